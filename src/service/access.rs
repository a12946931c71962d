//! Who asks, and what they may do: roles and tag limits, by token and by session.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use super::login_throttle::TokenRefusal;
use super::{Services, error::Error, sessions::SESSION_LIFE};
use crate::{
    clock,
    domain::{
        access::{Role, Session},
        audit::{Action, Actor, ActorKind, Entry, Origin},
        idempotency::KeyUse,
        printer::Printer,
        user::User,
    },
    secrets, storage,
};

/// A session that was not used for so long ends.
pub(super) const SESSION_IDLE: TimeDelta = TimeDelta::days(7);
/// `last_used_at` and `last_seen_at` are written at most this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Who asks.
#[derive(Debug, Clone)]
pub struct Principal {
    pub kind: ActorKind,
    pub name: String,
    pub role: Role,
    /// Printers with any of these tags; empty = all.
    pub tags: Vec<String>,
    pub token_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    /// The session in which they ask.
    pub session_id: Option<Uuid>,
    /// Where the request came from.
    pub origin: Origin,
    /// The first of the tokens that theirs came in the place of: the scope of their idempotency keys.
    pub line: Option<Uuid>,
    /// They must send an idempotency key with whatever has an effect.
    pub requires_key: bool,
    /// The key of the request, to be bound to what it does.
    pub key: Option<Arc<KeyUse>>,
}

impl Principal {
    /// Somebody without limits who is no user: the operator of the server, at the terminal or by its own token.
    pub fn operator_of_the_server(kind: ActorKind) -> Self {
        let name = match kind {
            ActorKind::Terminal | ActorKind::Scheduler | ActorKind::Printer | ActorKind::Setup => kind.as_str(),
            ActorKind::AdminToken | ActorKind::User | ActorKind::Token => "admin",
        };
        Self {
            kind,
            name: name.to_owned(),
            role: Role::Admin,
            tags: Vec::new(),
            token_id: None,
            user_id: None,
            session_id: None,
            origin: Origin::default(),
            line: None,
            requires_key: false,
            key: None,
        }
    }

    pub(super) fn of_user(user: User, session_id: Option<Uuid>) -> Self {
        Self {
            kind: ActorKind::User,
            name: user.details.name,
            role: user.details.role,
            tags: user.details.tags,
            token_id: None,
            user_id: Some(user.id),
            session_id,
            origin: Origin::default(),
            line: None,
            requires_key: false,
            key: None,
        }
    }

    /// Whose limits count: a user, or a token with its successors. None: the operator of the server.
    pub fn owner(&self) -> Option<Uuid> {
        self.user_id.or(self.line).or(self.token_id)
    }

    /// The tag limit, where there is one.
    pub fn visible_tags(&self) -> Option<Vec<String>> {
        (!self.tags.is_empty()).then(|| self.tags.clone())
    }

    /// A printer outside the limit does not exist for this principal.
    pub fn may_see(&self, printer: &Printer) -> bool {
        self.tags.is_empty() || printer.details.tags.iter().any(|tag| self.tags.contains(tag))
    }

    /// Fails when the role is too small.
    pub fn require(&self, role: Role) -> Result<(), Error> {
        if self.role >= role { Ok(()) } else { Err(Error::Forbidden("Your role does not allow this.")) }
    }

    /// Fails for a principal that is limited by tags: figures of the whole farm are not for them.
    pub fn require_whole_farm(&self) -> Result<(), Error> {
        if self.tags.is_empty() {
            return Ok(());
        }
        Err(Error::Forbidden("A token that is limited by tags cannot see the whole farm."))
    }

    /// What is written down of something that they do.
    pub fn entry(&self, action: Action, changes: Map<String, Value>) -> Entry {
        Entry {
            at: clock::now(),
            actor: Actor { kind: self.kind, id: self.user_id.or(self.token_id), name: self.name.clone() },
            action,
            printer_ids: Vec::new(),
            subject: None,
            request_id: self.origin.request_id.clone(),
            address: self.origin.address.clone(),
            changes,
            key: self.key.clone(),
        }
    }
}

impl Services {
    /// The holder of this token, or the refusal of one that is unknown, expired or revoked. Tokens that Printyard made
    /// cannot be guessed, and are always accepted.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] where this address guesses too fast, or too many refusals wait: then the admin token is
    /// not compared.
    pub async fn principal_by_token(
        &self,
        token: &str,
        address: Option<&str>,
    ) -> Result<Result<Principal, TokenRefusal>, Error> {
        let place = self.login_throttle.refusal_place(address);
        let admin = self.admin_token.as_ref().filter(|_| place.is_ok());
        if admin.is_some_and(|admin| secrets::is_equal(admin.as_bytes(), token.as_bytes())) {
            self.login_throttle.known_token(address, place.ok().flatten());
            return Ok(Ok(Principal::operator_of_the_server(ActorKind::AdminToken)));
        }
        let now = clock::now();
        let Some(found) = storage::tokens::by_hash(&self.db, &secrets::token_hash(token)).await? else {
            let place = place.map_err(Error::TooManyAttempts)?;
            return Ok(Err(self.login_throttle.unknown_token(address, place)));
        };
        self.login_throttle.known_token(address, place.ok().flatten());
        if found.expires_at.is_some_and(|at| at <= now) {
            return Ok(Err(TokenRefusal::default()));
        }
        if found.last_used_at.is_none_or(|at| now - at >= TOUCH_EVERY) && self.is_database_ok() {
            note_touch(storage::tokens::touch(&self.db, found.id, now).await);
        }
        Ok(Ok(Principal {
            name: found.name,
            role: found.role,
            tags: found.tags,
            token_id: Some(found.id),
            line: Some(found.line),
            requires_key: found.requires_key,
            ..Principal::operator_of_the_server(ActorKind::Token)
        }))
    }

    /// Whose session this is, with the rights that its holder has at the moment. None: nobody's, or not any more.
    pub async fn principal_by_session(&self, secret: &str) -> Result<Option<Principal>, Error> {
        let now = clock::now();
        let Some(session) = storage::sessions::by_hash(&self.db, &secrets::token_hash(secret)).await? else {
            return Ok(None);
        };
        if session.expires_at <= now || session.last_seen_at <= now - SESSION_IDLE {
            return Ok(None);
        }
        let found = if let Some(user_id) = session.user_id {
            let user = storage::users::get(&self.db, user_id).await?.filter(|user| user.details.enabled);
            user.map(|user| Principal::of_user(user, Some(session.id)))
        } else if let Some(token_id) = session.token_id {
            let token = storage::tokens::get(&self.db, token_id).await?;
            token.filter(|token| token.expires_at.is_none_or(|at| at > now)).map(|token| Principal {
                name: token.name,
                role: token.role,
                tags: token.tags,
                token_id: Some(token.id),
                line: Some(token.line),
                session_id: Some(session.id),
                ..Principal::operator_of_the_server(ActorKind::Token)
            })
        } else {
            let admin = self.admin_token.as_ref().map(|token| secrets::token_hash(token));
            let same = admin.zip(session.admin_hash.as_ref()).is_some_and(|(a, b)| secrets::is_equal(&a, b));
            same.then(|| Principal {
                session_id: Some(session.id),
                ..Principal::operator_of_the_server(ActorKind::AdminToken)
            })
        };
        let is_due = now - session.last_seen_at >= TOUCH_EVERY && self.is_database_ok();
        if let Some(who) = found.as_ref().filter(|_| is_due) {
            note_touch(storage::sessions::touch(&self.db, session.id, now, end_of(&session, who, now)).await);
        }
        Ok(found)
    }
}

/// A last use that cannot be stored refuses nobody: with a full disk, pages and lists can still be read.
fn note_touch(stored: Result<(), storage::Error>) {
    if let Err(error) = stored {
        tracing::warn!(?error, "the last use of a token or session could not be stored");
    }
}

/// When a session that is used now ends at the latest. That of a screen which nobody touches goes on with its use: a
/// viewer can only look. One that is shorter from the start is the provider's, which is to be asked again.
fn end_of(session: &Session, who: &Principal, now: DateTime<Utc>) -> DateTime<Utc> {
    let is_screen = who.role == Role::Viewer && who.user_id.is_some();
    let is_own = session.expires_at - session.created_at >= SESSION_LIFE;
    if is_screen && is_own { now + SESSION_LIFE } else { session.expires_at }
}
