//! Webhook signatures as in the specification of Standard Webhooks: HMAC-SHA256 with a secret that both sides have.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Error, fill_random};

/// Prefix of every signing secret, so that scanners for leaked secrets can find it.
const SECRET_PREFIX: &str = "whsec_";

/// Returns a new signing secret, which is shown once and stored sealed: `whsec_` and 32 random bytes in base64. Errors:
/// [`Error::NoRandom`].
pub fn new_signing_secret() -> Result<String, Error> {
    let mut bytes = [0; 32];
    fill_random(&mut bytes)?;
    Ok(format!("{SECRET_PREFIX}{}", BASE64_STANDARD.encode(bytes)))
}

/// Returns the value of `webhook-signature`: one signature for each secret, separated by spaces.
///
/// # Errors
/// [`Error::CannotOpen`] if a secret does not have the format of [`new_signing_secret`].
pub fn sign_webhook(secrets: &[String], id: &str, timestamp: i64, body: &str) -> Result<String, Error> {
    let mut signatures = Vec::new();
    for secret in secrets {
        let key = secret.strip_prefix(SECRET_PREFIX).and_then(|text| BASE64_STANDARD.decode(text).ok());
        let key = key.ok_or(Error::CannotOpen)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| Error::CannotOpen)?;
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        signatures.push(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())));
    }
    Ok(signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_matches_the_example_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        let signed = sign_webhook(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.expect("signed"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_adds_its_own_signature() {
        let secrets = [new_signing_secret().expect("random"), new_signing_secret().expect("random")];
        assert!(secrets[0] != secrets[1] && secrets.iter().all(|secret| secret.len() == 6 + 44), "32 bytes");
        let signed = sign_webhook(&secrets, "id", 1, "{}").expect("signed");
        let parts: Vec<&str> = signed.split(' ').collect();
        assert!(
            parts.len() == 2 && parts[0] != parts[1] && parts.iter().all(|part| part.starts_with("v1,")),
            "{signed}"
        );
        assert!(sign_webhook(&["secret".to_owned()], "id", 1, "{}").is_err());
    }
}
