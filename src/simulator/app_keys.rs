//! Application keys: asked for without credentials, granted by a person, handed out once.

use std::time::{Duration, Instant};

/// A request that nobody has asked about for this long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);
/// Requests that wait at the same time; more than that is somebody's mistake.
const WAITING: usize = 32;

/// The keys given and the requests for more.
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

/// What a poll finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll {
    Awaiting,
    /// Said once.
    Granted(String),
    /// Unknown, denied, forgotten, or handed out already.
    Gone,
}

impl AppKeys {
    /// Whether this is a key that was given.
    pub fn accepts(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// A new request: its token. None where too many wait.
    pub fn request(&mut self, now: Instant) -> Option<String> {
        self.forget(now);
        if self.requests.len() >= WAITING {
            return None;
        }
        let token = random_token();
        self.requests.push(Request { token: token.clone(), asked: now, granted: false });
        Some(token)
    }

    /// The asker looks for the decision.
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

    /// Answers the oldest request that waits. False where none does.
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
