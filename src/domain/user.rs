//! People who log in by name and password.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    access::Role,
    invalid::{Invalid, check_text},
};

/// NIST SP 800-63B-4, section 3.1.1.2: a password that is the only factor has at least 15 characters.
pub const SHORTEST_PASSWORD: usize = 15;
/// The same section asks for at least 64; the end is there so that nobody has megabytes hashed.
pub const LONGEST_PASSWORD: usize = 256;
/// In characters.
const LONGEST_NAME: usize = 64;

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: Uuid,
    pub details: UserDetails,
    /// Grows with every change.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
}

/// What an admin says of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserDetails {
    /// Unique, whatever the case of its letters.
    pub name: String,
    pub role: Role,
    /// Printers that they may see and command: those with any of these tags; empty = all.
    pub tags: Vec<String>,
    pub enabled: bool,
}

/// The form under which a name is unique.
pub fn name_key(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Holds a name against its rules.
pub fn check_name(invalid: &mut Invalid, pointer: &str, name: &str) {
    check_text(invalid, pointer, name, 1, LONGEST_NAME);
    if name.trim() != name || name.contains(['\n', '\t']) {
        invalid.add(pointer, "space", "must not begin or end with a space, nor have line breaks");
    }
}

/// Holds a password against the rules of NIST SP 800-63B-4: long, not the name, not one letter over and over, and
/// nothing else (no rules on which kinds of characters).
pub fn check_password(invalid: &mut Invalid, pointer: &str, password: &str, name: &str) {
    let length = password.chars().count();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        let rule = format!("must be {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters long; any characters will do");
        invalid.add(pointer, "length", rule);
        return;
    }
    let mut kinds: Vec<char> = password.to_lowercase().chars().collect();
    kinds.sort_unstable();
    kinds.dedup();
    let name = name_key(name);
    if kinds.len() < 5 || (name.chars().count() >= 5 && password.to_lowercase().replace(&name, "").chars().count() < 5)
    {
        invalid.add(pointer, "too_easy", "is too easy to guess: take several words that do not belong together");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str, name: &str) -> Option<&'static str> {
        let mut invalid = Invalid::default();
        check_password(&mut invalid, "/password", password, name);
        invalid.0.first().map(|error| error.code)
    }

    #[test]
    fn a_password_is_long_and_not_to_be_guessed_and_otherwise_free() {
        assert_eq!(refused("short enough!!", "ann"), Some("length"));
        assert_eq!(refused(&"ab".repeat(200), "ann"), Some("length"));
        assert_eq!(refused("aaaaaaaaaaaaaaaaaaaa", "ann"), Some("too_easy"));
        assert_eq!(refused("Shiftlead.Shiftlead", "shiftlead"), Some("too_easy"));
        for good in ["correct horse battery", "ein satz mit äöü ß", "1234567890abcde"] {
            assert_eq!(refused(good, "ann"), None, "{good}");
        }
    }
}
