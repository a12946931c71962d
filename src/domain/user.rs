//! People who log in by name and password.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    access::Role,
    invalid::{Invalid, check_line},
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
    check_line(invalid, pointer, name, 1, LONGEST_NAME);
    if name.trim() != name {
        invalid.add(pointer, "space", "must not begin or end with a space");
    }
}

/// Words that everybody here would think of first.
const WORDS_OF_THE_HOUSE: [&str; 8] =
    ["printyard", "octoprint", "octopi", "klipper", "prusa", "printer", "printfarm", "filament"];

/// Holds a password against the rules of NIST SP 800-63B-4: long, not among those that are tried first, and nothing else
/// (no rules on which kinds of characters). What is tried first is zxcvbn's to say: leaked passwords, names and words,
/// rows of keys, repetitions, dates, and these put together; the user's name and the house's words are given to it.
pub fn check_password(invalid: &mut Invalid, pointer: &str, password: &str, name: &str) {
    let length = password.chars().count();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        let rule = format!("must be {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters long; any characters will do");
        invalid.add(pointer, "length", rule);
        return;
    }
    let name = name_key(name);
    let mut known = WORDS_OF_THE_HOUSE.to_vec();
    known.push(&name);
    if zxcvbn::zxcvbn(password, &known).score() < zxcvbn::Score::Four {
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
        for known in [
            "1234567890abcde",
            "passwordpassword",
            "qwertyuiop12345",
            "iloveyouiloveyou",
            "P@ssw0rd12345678",
            "abcdefghijklmnop",
            "printyardprintyard",
            "octoprint-printyard",
        ] {
            assert_eq!(refused(known, "ann"), Some("too_easy"), "{known}");
        }
        for good in ["correct horse battery", "ein satz mit äöü ß", "drei kleine Schrauben fehlen", "vQ7#mT2x!Lp9zRw"]
        {
            assert_eq!(refused(good, "ann"), None, "{good}");
        }
        // The length that is looked at has an end, and so has the time.
        assert_eq!(refused(&"correct horse battery ".repeat(11), "ann"), None);
    }
}
