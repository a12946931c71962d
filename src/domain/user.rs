//! Users who log in by name and password.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    access::Role,
    invalid::{Invalid, check_line},
};

/// NIST SP 800-63B-4, section 3.1.1.2: a password that is the only factor has at least 15 characters.
pub const SHORTEST_PASSWORD: usize = 15;
/// The same section requires a maximum of at least 64. The maximum prevents the hashing of megabytes.
pub const LONGEST_PASSWORD: usize = 256;
/// In characters.
const LONGEST_NAME: usize = 64;

/// A user who can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: Uuid,
    pub details: UserDetails,
    /// Incremented with every change.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
}

/// The settings of a user that an admin can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserDetails {
    /// Unique, ignoring case.
    pub name: String,
    pub role: Role,
    /// Tags of the printers that the user may see and command: any of them is enough. Empty = all printers.
    pub tags: Vec<String>,
    pub enabled: bool,
}

/// Returns the form of a name that must be unique.
pub fn name_key(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Checks the rules of a user name.
pub fn check_name(invalid: &mut Invalid, pointer: &str, name: &str) {
    check_line(invalid, pointer, name, 1, LONGEST_NAME);
    if name.trim() != name {
        invalid.add(pointer, "space", "must not begin or end with a space");
    }
}

/// Words that users of a print farm try first.
const WORDS_OF_THE_HOUSE: [&str; 8] =
    ["printyard", "octoprint", "octopi", "klipper", "prusa", "printer", "printfarm", "filament"];

/// Checks the rules of NIST SP 800-63B-4: a password must be long and not easy to guess. There are no rules about kinds
/// of characters. zxcvbn estimates the guesses: leaked passwords, names, words, keyboard rows, repetitions, dates and
/// combinations of them. It also gets the user's name and `WORDS_OF_THE_HOUSE`.
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
        // The length is limited, so the time of the check is limited, too.
        assert_eq!(refused(&"correct horse battery ".repeat(11), "ann"), None);
    }
}
