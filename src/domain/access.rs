//! Who may do what: roles, tokens and sessions, as they are kept.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::command::words;

words! {
    /// What somebody may do. Ordered: a later role may do all that an earlier one may.
    Role {
        /// Look.
        Viewer = "viewer",
        /// Command printers.
        Operator = "operator",
        /// Change the register and the plans.
        Manager = "manager",
        /// Tokens, users, settings.
        Admin = "admin",
    }
}

/// A token of the API. The secret is not part of it: only its hash is kept, and only in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    /// Printers that it may see and command: those with any of these tags; empty = all.
    pub tags: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// The first of the tokens that each came in the place of; itself, where it came in the place of none.
    pub line: Uuid,
    /// Its holder must send an idempotency key with every request that has an effect.
    pub requires_key: bool,
}

/// A browser that has logged in. It may do what its holder may do at the moment: exactly one of the three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: Uuid,
    pub user_id: Option<Uuid>,
    /// The token that it was opened with; it ends when that is revoked.
    pub token_id: Option<Uuid>,
    /// The hash of the server's own admin token, where it was opened with that; it ends when another one is set.
    pub admin_hash: Option<Vec<u8>>,
    pub created_at: DateTime<Utc>,
    /// To the minute.
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub address: Option<String>,
    /// What the browser says it is.
    pub agent: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_role_is_more_than_an_earlier_one() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Manager && Role::Manager < Role::Admin);
    }
}
