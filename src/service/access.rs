//! Principals and their rights: roles and tag limits, looked up by token or by session.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use super::login_throttle::TokenRefusal;
use super::{Services, error::Error};
use crate::{
    clock,
    domain::{
        access::{Role, Session},
        audit::{Action, ActorKind, AuditActor, AuditEntry, RequestOrigin},
        idempotency::KeyUse,
        message::Message,
        printer::Printer,
        user::User,
    },
    secrets, storage,
};

/// Maximum lifetime of a session.
pub const SESSION_LIFETIME: TimeDelta = TimeDelta::days(30);
/// A session that is not used for this time ends.
pub(super) const SESSION_IDLE: TimeDelta = TimeDelta::days(7);
/// Minimum time between two writes of `last_used_at` or `last_seen_at`.
const TOUCH_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// The user, token or operator that makes a request.
#[derive(Debug, Clone)]
pub struct Principal {
    pub kind: ActorKind,
    pub name: String,
    pub role: Role,
    /// The principal sees printers with any of these tags. Empty: all printers.
    pub tags: Vec<String>,
    pub token_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    /// The session that the request uses.
    pub session_id: Option<Uuid>,
    /// Where the request comes from.
    pub origin: RequestOrigin,
    /// The first token of the rotation chain to which this token belongs. It is the scope of the idempotency keys.
    pub root_token_id: Option<Uuid>,
    /// Requests that change something must have an idempotency key.
    pub requires_key: bool,
    /// The idempotency key of the request. It is bound to the effect of the request.
    pub idempotency_key: Option<Arc<KeyUse>>,
}

impl Principal {
    /// Returns a principal without limits that is not a user: the operator of the server, at the terminal or with its
    /// own token.
    pub fn server_admin(kind: ActorKind) -> Self {
        let name = match kind {
            ActorKind::Terminal | ActorKind::Scheduler | ActorKind::Planner | ActorKind::Printer | ActorKind::Setup => {
                kind.as_str()
            }
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
            origin: RequestOrigin::default(),
            root_token_id: None,
            requires_key: false,
            idempotency_key: None,
        }
    }

    pub(super) fn from_user(user: User, session_id: Option<Uuid>) -> Self {
        Self {
            kind: ActorKind::User,
            name: user.details.name,
            role: user.details.role,
            tags: user.details.tags,
            token_id: None,
            user_id: Some(user.id),
            session_id,
            origin: RequestOrigin::default(),
            root_token_id: None,
            requires_key: false,
            idempotency_key: None,
        }
    }

    /// Returns the id to which limits apply: a user, or a token with its successors. None: the operator of the server.
    pub fn owner(&self) -> Option<Uuid> {
        self.user_id.or(self.root_token_id).or(self.token_id)
    }

    /// Returns the tag limit, if there is one.
    pub fn visible_tags(&self) -> Option<Vec<String>> {
        (!self.tags.is_empty()).then(|| self.tags.clone())
    }

    /// Returns whether the printer is within the tag limit. Other printers do not exist for this principal.
    pub fn may_see(&self, printer: &Printer) -> bool {
        self.tags.is_empty() || printer.details.tags.iter().any(|tag| self.tags.contains(tag))
    }

    /// Fails if the principal's role is lower than `role`.
    pub fn require(&self, role: Role) -> Result<(), Error> {
        if self.role >= role { Ok(()) } else { Err(Error::Forbidden(Message::new("refusal-role"))) }
    }

    /// Fails for a principal with a tag limit, who must not see figures of the whole farm.
    pub fn require_whole_farm(&self) -> Result<(), Error> {
        if self.tags.is_empty() {
            return Ok(());
        }
        Err(Error::Forbidden(Message::new("refusal-whole-farm")))
    }

    /// Returns the audit entry of an action by this principal.
    pub fn audit_entry(&self, action: Action, changes: Map<String, Value>) -> AuditEntry {
        AuditEntry {
            at: clock::now(),
            actor: AuditActor { kind: self.kind, id: self.user_id.or(self.token_id), name: self.name.clone() },
            action,
            printer_ids: Vec::new(),
            subject: None,
            request_id: self.origin.request_id.clone(),
            address: self.origin.address.clone(),
            changes,
            idempotency_key: self.idempotency_key.clone(),
        }
    }
}

impl Services {
    /// Returns the holder of this token, or a refusal if the token is unknown, expired or revoked. Tokens that
    /// Printyard created cannot be guessed, so they are accepted even while this address is throttled.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if this address guesses too fast, or too many refusals wait. In that state, the admin
    /// token is not compared.
    pub async fn principal_by_token(
        &self,
        token: &str,
        address: Option<&str>,
    ) -> Result<Result<Principal, TokenRefusal>, Error> {
        let slot = self.login_throttle.take_refusal_slot(address);
        let admin = self.admin_token.as_ref().filter(|_| slot.is_ok());
        if admin.is_some_and(|admin| secrets::is_equal(admin.as_bytes(), token.as_bytes())) {
            self.login_throttle.accept_token(address, slot.ok().flatten());
            return Ok(Ok(Principal::server_admin(ActorKind::AdminToken)));
        }
        let now = clock::now();
        let Some(found) = storage::tokens::find_by_hash(&self.db, &secrets::token_hash(token)).await? else {
            let slot = slot.map_err(Error::TooManyAttempts)?;
            return Ok(Err(self.login_throttle.refuse_token(address, slot)));
        };
        self.login_throttle.accept_token(address, slot.ok().flatten());
        if found.expires_at.is_some_and(|at| at <= now) {
            return Ok(Err(TokenRefusal::default()));
        }
        if found.last_used_at.is_none_or(|at| now - at >= TOUCH_INTERVAL) && self.is_database_ok() {
            log_touch_failure(storage::tokens::record_use(&self.db, found.id, now).await);
        }
        Ok(Ok(Principal {
            name: found.name,
            role: found.role,
            tags: found.tags,
            token_id: Some(found.id),
            root_token_id: Some(found.root_id),
            requires_key: found.requires_key,
            ..Principal::server_admin(ActorKind::Token)
        }))
    }

    /// Returns the holder of a session with their current rights. None: the session is unknown or has ended.
    pub async fn principal_by_session(&self, secret: &str) -> Result<Option<Principal>, Error> {
        let now = clock::now();
        let Some(session) = storage::sessions::find_by_hash(&self.db, &secrets::token_hash(secret)).await? else {
            return Ok(None);
        };
        if session.expires_at <= now || session.last_seen_at <= now - SESSION_IDLE {
            return Ok(None);
        }
        let found = if let Some(user_id) = session.user_id {
            let user = storage::users::get(&self.db, user_id).await?.filter(|user| user.details.enabled);
            user.map(|user| Principal::from_user(user, Some(session.id)))
        } else if let Some(token_id) = session.token_id {
            let token = storage::tokens::get(&self.db, token_id).await?;
            token.filter(|token| token.expires_at.is_none_or(|at| at > now)).map(|token| Principal {
                name: token.name,
                role: token.role,
                tags: token.tags,
                token_id: Some(token.id),
                root_token_id: Some(token.root_id),
                session_id: Some(session.id),
                ..Principal::server_admin(ActorKind::Token)
            })
        } else {
            let admin = self.admin_token.as_ref().map(|token| secrets::token_hash(token));
            let same = admin.zip(session.admin_hash.as_ref()).is_some_and(|(a, b)| secrets::is_equal(&a, b));
            same.then(|| Principal { session_id: Some(session.id), ..Principal::server_admin(ActorKind::AdminToken) })
        };
        let is_due = now - session.last_seen_at >= TOUCH_INTERVAL && self.is_database_ok();
        if let Some(who) = found.as_ref().filter(|_| is_due) {
            log_touch_failure(
                storage::sessions::record_use(&self.db, session.id, now, session_end(&session, who, now)).await,
            );
        }
        Ok(found)
    }
}

/// Logs a last use that could not be stored. The request continues: with a full disk, pages and lists can still be
/// read.
fn log_touch_failure(stored: Result<(), storage::Error>) {
    if let Err(error) = stored {
        tracing::warn!(?error, "the last use of a token or session could not be stored");
    }
}

/// Returns the latest end of a session that is used now. Each use extends the session of a viewer, who can only read:
/// it may run on an unattended screen. A session that was shorter from the start has its limit from the identity
/// provider, so it is not extended.
fn session_end(session: &Session, who: &Principal, now: DateTime<Utc>) -> DateTime<Utc> {
    let is_screen = who.role == Role::Viewer && who.user_id.is_some();
    let is_own = session.expires_at - session.created_at >= SESSION_LIFETIME;
    if is_screen && is_own { now + SESSION_LIFETIME } else { session.expires_at }
}
