//! Who may do what: roles, tokens and sessions, as they are kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
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
}

/// A browser that has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The token that it was opened with; it ends when that is revoked.
    pub token_id: Option<Uuid>,
    pub name: String,
    pub role: Role,
    /// As in [`Token::tags`].
    pub tags: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_role_is_more_than_an_earlier_one() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Manager && Role::Manager < Role::Admin);
    }
}
