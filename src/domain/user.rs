//! Users who log in by name and password.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    access::Role,
    message::Message,
    validation::{ValidationErrors, check_line},
};

/// NIST SP 800-63B-4, section 3.1.1.2: a password that is the only factor has at least 15 characters.
pub const MIN_PASSWORD_LENGTH: usize = 15;
/// The same section requires a maximum of at least 64. The maximum prevents the hashing of megabytes.
pub const MAX_PASSWORD_LENGTH: usize = 256;
/// In characters.
const MAX_NAME_LENGTH: usize = 64;

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
pub fn check_user_name(invalid: &mut ValidationErrors, pointer: &str, name: &str) {
    check_line(invalid, pointer, name, 1, MAX_NAME_LENGTH);
    if name.trim() != name {
        invalid.add(pointer, "space", "rule-space-at-ends");
    }
}

/// Words that users of a print farm try first.
const FARM_WORDS: [&str; 8] =
    ["printyard", "octoprint", "octopi", "klipper", "prusa", "printer", "printfarm", "filament"];

/// Checks the rules of NIST SP 800-63B-4: a password must be long and not easy to guess. There are no rules about kinds
/// of characters. zxcvbn estimates the guesses: leaked passwords, names, words, keyboard rows, repetitions, dates and
/// combinations of them. It also gets the user's name and `FARM_WORDS`.
pub fn check_password(invalid: &mut ValidationErrors, pointer: &str, password: &str, name: &str) {
    let length = password.chars().count();
    if !(MIN_PASSWORD_LENGTH..=MAX_PASSWORD_LENGTH).contains(&length) {
        let rule =
            Message::new("rule-password-length").with("min", MIN_PASSWORD_LENGTH).with("max", MAX_PASSWORD_LENGTH);
        invalid.add(pointer, "length", rule);
        return;
    }
    let name = name_key(name);
    let mut known = FARM_WORDS.to_vec();
    known.push(&name);
    if zxcvbn::zxcvbn(password, &known).score() < zxcvbn::Score::Four {
        invalid.add(pointer, "too_easy", "rule-password-easy");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_code(password: &str, name: &str) -> Option<&'static str> {
        let mut invalid = ValidationErrors::default();
        check_password(&mut invalid, "/password", password, name);
        invalid.0.first().map(|error| error.code)
    }

    #[test]
    fn a_password_must_be_long_and_hard_to_guess_and_may_use_any_character() {
        assert_eq!(refusal_code("short enough!!", "ann"), Some("length"));
        assert_eq!(refusal_code(&"ab".repeat(200), "ann"), Some("length"));
        assert_eq!(refusal_code("aaaaaaaaaaaaaaaaaaaa", "ann"), Some("too_easy"));
        assert_eq!(refusal_code("Shiftlead.Shiftlead", "shiftlead"), Some("too_easy"));
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
            assert_eq!(refusal_code(known, "ann"), Some("too_easy"), "{known}");
        }
        for good in ["correct horse battery", "ein satz mit äöü ß", "drei kleine Schrauben fehlen", "vQ7#mT2x!Lp9zRw"]
        {
            assert_eq!(refusal_code(good, "ann"), None, "{good}");
        }
        // The length is limited, so the time of the check is limited, too.
        assert_eq!(refusal_code(&"correct horse battery ".repeat(11), "ann"), None);
    }
}
