//! API tokens: created, listed, rotated and revoked. A secret is shown once.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error, users::check_tag_limit};
use crate::{
    clock,
    domain::{
        access::{Role, Token},
        audit::{Action, AuditEntry, object_fields},
        message::Message,
        validation::{ValidationErrors, check_line},
    },
    secrets, storage,
};

/// Longest overlap of an old token and its replacement. Two valid tokens must not become permanent.
const LONGEST_OVERLAP: TimeDelta = TimeDelta::days(30);

/// Properties of a new token.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub name: String,
    pub role: Role,
    pub tags: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    /// Every request with this token that changes something must have an idempotency key.
    pub requires_key: bool,
}

impl Services {
    /// Creates a token. The secret is returned only here.
    pub async fn create_token(&self, who: &Principal, new: NewToken) -> Result<(Token, String), Error> {
        who.require(Role::Admin)?;
        let now = clock::now();
        let mut invalid = ValidationErrors::default();
        check_line(&mut invalid, "/name", new.name.trim(), 1, 100);
        check_tag_limit(&mut invalid, new.role, &new.tags);
        if new.expires_at.is_some_and(|at| at <= now) {
            invalid.add("/expires_at", "past", "rule-future");
        }
        invalid.into_result(())?;
        let (secret, hash) = secrets::new_token()?;
        let id = clock::new_id();
        let token = Token {
            id,
            name: new.name.trim().to_owned(),
            role: new.role,
            tags: new.tags,
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
            root_id: id,
            requires_key: new.requires_key,
            created_by: Some(who.name.clone()),
        };
        let changes = json!({
            "name": token.name, "role": token.role, "tags": token.tags, "expires_at": token.expires_at,
            "require_idempotency_key": token.requires_key,
        });
        let entry =
            AuditEntry { subject: Some(token.id), ..who.audit_entry(Action::TokenCreated, object_fields(&changes)) };
        storage::tokens::insert(&self.db, &token, &hash, &entry).await?;
        tracing::info!(token.id = %token.id, token.name = %token.name, role = %token.role, by = %who.name, "token created");
        Ok((token, secret))
    }

    /// Creates a token with the rights of another one. The old one stays valid for at most `overlap`, the time to
    /// configure the new one in every program. The secret is returned only here. Fails with `NotFound`.
    pub async fn rotate_token(&self, who: &Principal, id: Uuid, overlap: TimeDelta) -> Result<(Token, String), Error> {
        who.require(Role::Admin)?;
        if overlap < TimeDelta::zero() || overlap > LONGEST_OVERLAP {
            let rule = Message::new("rule-range-seconds").with("min", 0).with("max", LONGEST_OVERLAP.num_seconds());
            return Err(ValidationErrors::single("/overlap_s", "range", rule).into());
        }
        let now = clock::now();
        let old = storage::tokens::get(&self.db, id).await?.ok_or(Error::NotFound("token"))?;
        let (secret, hash) = secrets::new_token()?;
        // The new token has the lifetime of the old one, counted from now.
        let expires_at = old.expires_at.map(|at| now + (at - old.created_at));
        let created_by = Some(who.name.clone());
        let token = Token { id: clock::new_id(), created_at: now, expires_at, last_used_at: None, created_by, ..old };
        let until = now + overlap;
        let changes =
            json!({"name": token.name, "old_id": id, "old_expires_at": until, "expires_at": token.expires_at});
        let entry =
            AuditEntry { subject: Some(token.id), ..who.audit_entry(Action::TokenRotated, object_fields(&changes)) };
        if !storage::tokens::rotate(&self.db, id, until, &token, &hash, &entry).await? {
            return Err(Error::NotFound("token"));
        }
        tracing::info!(token.id = %token.id, token.old = %id, by = %who.name, "token rotated");
        Ok((token, secret))
    }

    /// Returns one token. Fails with `NotFound`.
    pub async fn token(&self, who: &Principal, id: Uuid) -> Result<Token, Error> {
        who.require(Role::Admin)?;
        storage::tokens::get(&self.db, id).await?.ok_or(Error::NotFound("token"))
    }

    /// Returns a page of the tokens, newest first.
    pub async fn list_tokens(&self, who: &Principal, after: Option<Uuid>, limit: i64) -> Result<Vec<Token>, Error> {
        who.require(Role::Admin)?;
        Ok(storage::tokens::list_page(&self.db, after, limit).await?)
    }

    /// Revokes a token at once, and the sessions that were opened with it. Fails with `NotFound`.
    pub async fn revoke_token(&self, who: &Principal, id: Uuid) -> Result<(), Error> {
        who.require(Role::Admin)?;
        let entry = AuditEntry { subject: Some(id), ..who.audit_entry(Action::TokenRevoked, Map::new()) };
        if !storage::tokens::revoke(&self.db, id, clock::now(), &entry).await? {
            return Err(Error::NotFound("token"));
        }
        tracing::info!(token.id = %id, by = %who.name, "token revoked");
        Ok(())
    }
}
