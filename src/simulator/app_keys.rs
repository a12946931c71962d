//! Application keys: requested without credentials, granted by a person, issued once.

use std::time::{Duration, Instant};

/// A request that is not polled for this long is dropped.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);
/// Maximum number of pending requests. More are a mistake of a client.
const WAITING: usize = 32;

/// Issued keys, and requests for more.
#[derive(Debug, Default)]
pub struct AppKeys {
    keys: Vec<String>,
    requests: Vec<Request>,
}

#[derive(Debug)]
struct Request {
    token: String,
    asked: Instant,
    granted: bool,
}

/// Result of a poll.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll {
    Awaiting,
    /// Returned only once.
    Granted(String),
    /// Unknown, denied, dropped, or issued already.
    Gone,
}

impl AppKeys {
    /// Returns whether this key was issued.
    pub fn accepts(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// Adds a request and returns its token. Returns `None` if too many requests are pending.
    pub fn request(&mut self, now: Instant) -> Option<String> {
        self.forget(now);
        if self.requests.len() >= WAITING {
            return None;
        }
        let token = random_token();
        self.requests.push(Request { token: token.clone(), asked: now, granted: false });
        Some(token)
    }

    /// Returns the decision about a request.
    pub fn poll(&mut self, token: &str, now: Instant) -> Poll {
        self.forget(now);
        let Some(index) = self.requests.iter().position(|request| request.token == token) else { return Poll::Gone };
        let Some(request) = self.requests.get_mut(index) else { return Poll::Gone };
        if !request.granted {
            request.asked = now;
            return Poll::Awaiting;
        }
        self.requests.remove(index);
        let key = random_token();
        self.keys.push(key.clone());
        Poll::Granted(key)
    }

    /// Grants or denies the oldest pending request. Returns `false` if no request is pending.
    pub fn decide(&mut self, grant: bool, now: Instant) -> bool {
        self.forget(now);
        let Some(index) = self.requests.iter().position(|request| !request.granted) else { return false };
        match self.requests.get_mut(index) {
            Some(request) if grant => request.granted = true,
            _ => {
                self.requests.remove(index);
            }
        }
        true
    }

    fn forget(&mut self, now: Instant) {
        self.requests.retain(|request| now.saturating_duration_since(request.asked) < FORGOTTEN_AFTER);
    }
}

fn random_token() -> String {
    format!("{:032X}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_granted_key_is_handed_out_once_and_is_good() {
        let (mut keys, now) = (AppKeys::default(), Instant::now());
        let token = keys.request(now).unwrap_or_default();
        assert_eq!(keys.poll(&token, now), Poll::Awaiting);
        assert!(keys.decide(true, now));
        let Poll::Granted(key) = keys.poll(&token, now) else { panic!("not granted") };
        assert!(keys.accepts(&key));
        assert_eq!(keys.poll(&token, now), Poll::Gone);
    }

    #[test]
    fn a_request_is_gone_when_denied_or_not_asked_about_for_five_seconds() {
        let (mut keys, now) = (AppKeys::default(), Instant::now());
        let token = keys.request(now).unwrap_or_default();
        assert!(keys.decide(false, now));
        assert_eq!(keys.poll(&token, now), Poll::Gone);
        let token = keys.request(now).unwrap_or_default();
        assert_eq!(keys.poll(&token, now + FORGOTTEN_AFTER), Poll::Gone);
    }
}
