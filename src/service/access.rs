//! Who asks, and what they may do: tokens, sessions, roles and tag limits.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Services, error::Error};
use crate::{
    clock,
    domain::{
        access::{Role, Session, Token},
        invalid::{Invalid, check_text},
        printer::{Printer, check_tag},
    },
    secrets, storage,
};

/// A browser stays logged in for this long.
const SESSION_LIFE: TimeDelta = TimeDelta::days(30);
/// `last_used_at` is written at most this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The token of `PRINTYARD_ADMIN_TOKEN`.
    AdminToken,
    Token,
    Session,
}

impl PrincipalKind {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AdminToken => "admin_token",
            Self::Token => "token",
            Self::Session => "session",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Principal {
    pub kind: PrincipalKind,
    pub name: String,
    pub role: Role,
    /// Printers with any of these tags; empty = all.
    pub tags: Vec<String>,
    pub token_id: Option<Uuid>,
}

impl Principal {
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
}

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub name: String,
    pub role: Role,
    pub tags: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl Services {
    /// Who holds this token. None: nobody, or not any more.
    pub async fn principal_by_token(&self, token: &str) -> Result<Option<Principal>, Error> {
        if self.admin_token.as_ref().is_some_and(|admin| secrets::is_equal(admin.as_bytes(), token.as_bytes())) {
            return Ok(Some(admin_principal(PrincipalKind::AdminToken)));
        }
        let now = clock::now();
        let Some(found) = storage::tokens::by_hash(&self.db, &secrets::token_hash(token)).await? else {
            return Ok(None);
        };
        if found.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        if found.last_used_at.is_none_or(|at| now - at >= TOUCH_EVERY) {
            storage::tokens::touch(&self.db, found.id, now).await?;
        }
        Ok(Some(Principal {
            kind: PrincipalKind::Token,
            name: found.name,
            role: found.role,
            tags: found.tags,
            token_id: Some(found.id),
        }))
    }

    /// Opens a browser session with an API token. None: the token is not valid.
    pub async fn log_in(&self, token: &str) -> Result<Option<String>, Error> {
        let Some(principal) = self.principal_by_token(token.trim()).await? else { return Ok(None) };
        self.open_session(&principal).await.map(Some)
    }

    /// Opens a session for somebody; returns the secret for the cookie.
    pub async fn open_session(&self, principal: &Principal) -> Result<String, Error> {
        let now = clock::now();
        storage::sessions::delete_expired(&self.db, now).await?;
        let (secret, hash) = secrets::new_token()?;
        let session = Session {
            token_id: principal.token_id,
            name: principal.name.clone(),
            role: principal.role,
            tags: principal.tags.clone(),
            created_at: now,
            expires_at: now + SESSION_LIFE,
        };
        storage::sessions::insert(&self.db, &hash, &session).await?;
        Ok(secret)
    }

    /// Whose session this is. None: nobody's, or not any more.
    pub async fn principal_by_session(&self, secret: &str) -> Result<Option<Principal>, Error> {
        let Some(session) = storage::sessions::by_hash(&self.db, &secrets::token_hash(secret)).await? else {
            return Ok(None);
        };
        if session.expires_at <= clock::now() {
            return Ok(None);
        }
        if let Some(token_id) = session.token_id {
            let token = storage::tokens::get(&self.db, token_id).await?;
            if token.is_none_or(|token| token.expires_at.is_some_and(|at| at <= clock::now())) {
                return Ok(None);
            }
        }
        Ok(Some(Principal {
            kind: PrincipalKind::Session,
            name: session.name,
            role: session.role,
            tags: session.tags,
            token_id: session.token_id,
        }))
    }

    /// Ends a session.
    pub async fn log_out(&self, secret: &str) -> Result<(), Error> {
        storage::sessions::delete(&self.db, &secrets::token_hash(secret)).await?;
        Ok(())
    }

    /// Makes a token. Its secret is returned this once.
    pub async fn create_token(&self, new: NewToken) -> Result<(Token, String), Error> {
        let now = clock::now();
        let mut invalid = Invalid::default();
        check_text(&mut invalid, "/name", new.name.trim(), 1, 100);
        for (i, tag) in new.tags.iter().enumerate() {
            check_tag(&mut invalid, &format!("/tags/{i}"), tag);
        }
        if new.expires_at.is_some_and(|at| at <= now) {
            invalid.add("/expires_at", "past", "must be in the future");
        }
        invalid.or_ok(())?;
        let (secret, hash) = secrets::new_token()?;
        let token = Token {
            id: clock::new_id(),
            name: new.name.trim().to_owned(),
            role: new.role,
            tags: new.tags,
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
        };
        storage::tokens::insert(&self.db, &token, &hash).await?;
        tracing::info!(token.id = %token.id, token.name = %token.name, role = %token.role, "token created");
        Ok((token, secret))
    }

    /// A page of the tokens, newest first.
    pub async fn list_tokens(&self, after: Option<Uuid>, limit: i64) -> Result<Vec<Token>, Error> {
        Ok(storage::tokens::page(&self.db, after, limit).await?)
    }

    /// Revokes a token at once. Fails with `NotFound`.
    pub async fn revoke_token(&self, id: Uuid) -> Result<(), Error> {
        if storage::tokens::revoke(&self.db, id, clock::now()).await? { Ok(()) } else { Err(Error::NotFound("token")) }
    }
}

/// The holder of the token that the operator of the server set.
pub fn admin_principal(kind: PrincipalKind) -> Principal {
    Principal { kind, name: "admin".to_owned(), role: Role::Admin, tags: Vec::new(), token_id: None }
}
