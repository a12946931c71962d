//! Password hashing with argon2id and the parameters that OWASP recommends (19 MiB, two passes).
//!
//! A hash contains its parameters. So they can be increased later, and existing passwords stay valid.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};

use super::Error;

/// Hashes a password with a new salt, as a PHC string. This takes about 30 ms and 19 MiB, so do not call it on an async
/// worker. Errors: [`Error::NoRandom`].
pub fn hash(password: &str) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|_| Error::NoRandom)?;
    Ok(hash.to_string())
}

/// A hash for user names that do not exist. No password matches it. It has the same parameters as new hashes.
const UNKNOWN_USER_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Returns whether a password matches a hash. `None`: the user does not exist. The check then takes the same time, so
/// that the time does not reveal which names exist.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let user_exists = hash.is_some();
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(UNKNOWN_USER_HASH)) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && user_exists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_matches_its_hash() {
        let one = hash("correct horse battery").expect("hashed");
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, hash("correct horse battery").expect("hashed"), "each has a salt of its own");
        assert!(verify("correct horse battery", Some(&one)));
        assert!(!verify("correct horse batterY", Some(&one)));
        assert!(!verify("", Some("broken")));
        assert!(!verify("anything", None));
    }

    /// Only these parameters decide the duration, as `benches/login.rs` shows.
    #[test]
    fn an_unknown_user_costs_the_same_work_as_a_new_hash() {
        let fresh = hash("correct horse battery").expect("hashed");
        let (fresh, unknown_user) =
            (PasswordHash::new(&fresh).expect("a hash"), PasswordHash::new(UNKNOWN_USER_HASH).expect("a hash"));
        let work = |hash: &PasswordHash| (hash.algorithm, hash.version, hash.params.to_string());
        assert_eq!(work(&unknown_user), work(&fresh));
        let lengths = |hash: &PasswordHash| (hash.salt.map(|salt| salt.len()), hash.hash.map(|hash| hash.len()));
        assert_eq!(lengths(&unknown_user), lengths(&fresh));
        // Equal parameters are not enough: this hash must match no password.
        assert!(Argon2::default().verify_password(b"anything", &unknown_user).is_err());
    }
}
