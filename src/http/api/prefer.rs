//! `Prefer: wait=n` (RFC 7240): the response waits for the outcome, up to a limit.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The longest wait, in seconds. Shorter than common proxy timeouts.
const LONGEST_S: u64 = 30;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the client wants to wait for the outcome, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(u64);

impl Wait {
    /// Reads the header. An unreadable preference is ignored, as RFC 7240 requires.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let wishes = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        wishes.flat_map(|value| value.split(',')).find_map(|wish| {
            let (name, value) = wish.split(';').next()?.split_once('=')?;
            let value = value.trim().trim_matches('"');
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            // A number with too many digits is a long wait, too.
            (name.trim().eq_ignore_ascii_case("wait") && digits)
                .then(|| Self(value.parse().unwrap_or(LONGEST_S).min(LONGEST_S)))
        })
    }

    /// Returns the wait as a duration.
    pub fn patience(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Writes `Preference-Applied` to the response.
    pub fn applied(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&format!("wait={}", self.0)) {
            headers.insert(APPLIED, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(PREFER, HeaderValue::from_str(value).expect("a header"));
        Wait::from_headers(&headers).map(|wait| wait.0)
    }

    #[test]
    fn a_wish_is_cut_at_thirty_seconds() {
        assert_eq!(wait("wait=10"), Some(10));
        assert_eq!(wait("respond-async, Wait=\"7\"; x=1"), Some(7));
        assert_eq!(wait("wait=31"), Some(30));
        assert_eq!(wait("wait=99999999999999999999999"), Some(30));
    }

    #[test]
    fn a_wish_that_cannot_be_understood_is_none() {
        for value in ["wait", "wait=", "wait=-1", "wait=soon", "await=3", "respond-async"] {
            assert_eq!(wait(value), None, "{value}");
        }
    }
}
