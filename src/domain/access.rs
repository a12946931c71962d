//! Roles, API tokens and browser sessions.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::command::string_enum;

string_enum! {
    /// The rights of a user or token. Ordered: each role includes the rights of the roles before it.
    Role {
        /// Reads the state of the farm.
        Viewer = "viewer",
        /// Sends commands to printers.
        Operator = "operator",
        /// Changes the printer registry and webhooks.
        Manager = "manager",
        /// Manages tokens, users and settings.
        Admin = "admin",
    }
}

/// An API token. The secret is not included: the database stores only its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    /// Tags of the printers that the token may see and command: any of them is enough. Empty = all printers.
    pub tags: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// Id of the first token in the chain of rotations. A token that replaced no other has its own id.
    pub root_id: Uuid,
    /// The client must send an idempotency key with every request that has an effect.
    pub requires_key: bool,
    /// Name of the user or token that created it. `None` for tokens of earlier versions.
    pub created_by: Option<String>,
}

/// A browser session. Exactly one of user, token and admin hash is set. It has the rights that this principal has at
/// the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: Uuid,
    pub user_id: Option<Uuid>,
    /// The token that opened the session. The session ends when the token is revoked.
    pub token_id: Option<Uuid>,
    /// The hash of the server's admin token, if that opened the session. The session ends when another admin token is
    /// set.
    pub admin_hash: Option<Vec<u8>>,
    pub created_at: DateTime<Utc>,
    /// Rounded to the minute.
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub address: Option<String>,
    /// The browser's name, as it reports it.
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
