//! Application keys: requested without credentials, granted by a person, issued once.

use std::time::{Duration, Instant};

/// A request that is not polled for this long is dropped.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of pending requests. More are a mistake of a client.
const MAX_PENDING_REQUESTS: usize = 32;

/// Issued keys, and requests for more.
#[derive(Debug, Default)]
pub struct AppKeys {
    keys: Vec<String>,
    requests: Vec<PendingKeyRequest>,
}

#[derive(Debug)]
struct PendingKeyRequest {
    token: String,
    last_polled_at: Instant,
    granted: bool,
}

/// Result of a poll.
#[derive(Debug, PartialEq, Eq)]
pub enum PollResult {
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
    pub fn add_request(&mut self, now: Instant) -> Option<String> {
        self.drop_expired(now);
        if self.requests.len() >= MAX_PENDING_REQUESTS {
            return None;
        }
        let token = random_token();
        self.requests.push(PendingKeyRequest { token: token.clone(), last_polled_at: now, granted: false });
        Some(token)
    }

    /// Returns the decision about a request.
    pub fn poll(&mut self, token: &str, now: Instant) -> PollResult {
        self.drop_expired(now);
        let Some(index) = self.requests.iter().position(|request| request.token == token) else {
            return PollResult::Gone;
        };
        let Some(request) = self.requests.get_mut(index) else { return PollResult::Gone };
        if !request.granted {
            request.last_polled_at = now;
            return PollResult::Awaiting;
        }
        self.requests.remove(index);
        let key = random_token();
        self.keys.push(key.clone());
        PollResult::Granted(key)
    }

    /// Grants or denies the oldest pending request. Returns `false` if no request is pending.
    pub fn decide_oldest(&mut self, grant: bool, now: Instant) -> bool {
        self.drop_expired(now);
        let Some(index) = self.requests.iter().position(|request| !request.granted) else { return false };
        match self.requests.get_mut(index) {
            Some(request) if grant => request.granted = true,
            _ => {
                self.requests.remove(index);
            }
        }
        true
    }

    fn drop_expired(&mut self, now: Instant) {
        self.requests.retain(|request| now.saturating_duration_since(request.last_polled_at) < REQUEST_TIMEOUT);
    }
}

fn random_token() -> String {
    format!("{:032X}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_granted_key_is_issued_once_and_accepted() {
        let (mut keys, now) = (AppKeys::default(), Instant::now());
        let token = keys.add_request(now).unwrap_or_default();
        assert_eq!(keys.poll(&token, now), PollResult::Awaiting);
        assert!(keys.decide_oldest(true, now));
        let PollResult::Granted(key) = keys.poll(&token, now) else { panic!("not granted") };
        assert!(keys.accepts(&key));
        assert_eq!(keys.poll(&token, now), PollResult::Gone);
    }

    #[test]
    fn a_request_ends_when_denied_or_not_polled_for_five_seconds() {
        let (mut keys, now) = (AppKeys::default(), Instant::now());
        let token = keys.add_request(now).unwrap_or_default();
        assert!(keys.decide_oldest(false, now));
        assert_eq!(keys.poll(&token, now), PollResult::Gone);
        let token = keys.add_request(now).unwrap_or_default();
        assert_eq!(keys.poll(&token, now + REQUEST_TIMEOUT), PollResult::Gone);
    }
}
