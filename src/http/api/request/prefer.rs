//! `Prefer: wait=n` (RFC 7240): the response waits for the outcome, up to a limit.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The longest wait, in seconds. Shorter than common proxy timeouts.
const MAX_WAIT_S: u64 = 30;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the client wants to wait for the outcome, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitPreference(u64);

impl WaitPreference {
    /// Reads the header. An unreadable preference is ignored, as RFC 7240 requires.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        preferences.flat_map(|value| value.split(',')).find_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            let value = value.trim().trim_matches('"');
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            // A number with too many digits is a long wait, too.
            (name.trim().eq_ignore_ascii_case("wait") && digits)
                .then(|| Self(value.parse().unwrap_or(MAX_WAIT_S).min(MAX_WAIT_S)))
        })
    }

    /// Returns the wait as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Writes `Preference-Applied` to the response.
    pub fn write_applied(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&format!("wait={}", self.0)) {
            headers.insert(PREFERENCE_APPLIED, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::http::api::request::prefer::*;

    fn wait(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(PREFER, HeaderValue::from_str(value).expect("a header"));
        WaitPreference::from_headers(&headers).map(|wait| wait.0)
    }

    #[test]
    fn a_wait_is_limited_to_thirty_seconds() {
        assert_eq!(wait("wait=10"), Some(10));
        assert_eq!(wait("respond-async, Wait=\"7\"; x=1"), Some(7));
        assert_eq!(wait("wait=31"), Some(30));
        assert_eq!(wait("wait=99999999999999999999999"), Some(30));
    }

    #[test]
    fn an_unreadable_preference_is_ignored() {
        for value in ["wait", "wait=", "wait=-1", "wait=soon", "await=3", "respond-async"] {
            assert_eq!(wait(value), None, "{value}");
        }
    }
}
