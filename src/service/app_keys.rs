//! Requests application keys from OctoPrint: a user allows the request on OctoPrint's own page and copies no key.
//!
//! OctoPrint drops a request that is not polled for 5 s, and a browser form cannot poll that reliably. So a task polls,
//! and the page reads the result of the task. The number of requests is limited, and every request ends by itself. A
//! key that is not fetched is removed with its request.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    Services,
    access::Principal,
    connection_test::checked_address,
    diagnosis::{Diagnosis, DiagnosisCode},
    error::Error,
    sealed_form,
};
use crate::{
    clock,
    domain::{
        access::Role,
        message::Message,
        printer_access::{PrinterAccess, check_api_key},
        validation::ValidationErrors,
    },
    octoprint::{Error as PrinterError, OctoPrint, RequestOptions},
};

/// Application name that OctoPrint shows to the user.
const APP_NAME: &str = "Printyard";
/// Time that the user has to log in to OctoPrint and allow the request.
pub const DECISION_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Pause between two polls. Together with `POLL_TIMEOUT` it is shorter than OctoPrint's 5 s.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const POLL_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request and its result are kept, counted from the start of the request.
const RETENTION: Duration = Duration::from_secs(15 * 60);
/// Maximum number of requests that wait at the same time.
const MAX_WAITING: usize = 16;
/// Maximum number of requests that are kept, including ended ones.
const MAX_REQUESTS: usize = 64;

/// State or result of a request for a key.
// No Debug: the value may contain the key.
#[derive(Clone, PartialEq)]
pub enum KeyRequestState {
    Waiting,
    Granted {
        key: String,
        /// The normalised address of the OctoPrint that granted the key.
        url: String,
    },
    /// The user denied the request, or OctoPrint restarted in the meantime.
    Denied,
    /// The user did not decide within [`DECISION_TIMEOUT`].
    TooLate,
    /// The request could not be sent, or polling still failed at the end of the time.
    Failed(Diagnosis),
}

struct KeyRequestEntry {
    owner: String,
    url: String,
    started_at: Instant,
    state: KeyRequestState,
}

/// Requests in progress, and the results of the last ones.
pub struct KeyRequests {
    requests: Mutex<HashMap<Uuid, KeyRequestEntry>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl KeyRequests {
    /// Starts without requests. Each request runs as a task of `tasks`, until `stop` is cancelled.
    pub fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { requests: Mutex::default(), tasks, stop }
    }

    /// Adds a request, and returns its id and `true`. If the same principal already waits for the same OctoPrint, returns the
    /// id of that request and `false`.
    fn begin(&self, who: &str, url: &str, now: Instant) -> Result<(Uuid, bool), Error> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.retain(|_, request| now.saturating_duration_since(request.started_at) < RETENTION);
        let waiting = requests.iter().filter(|(_, request)| request.state == KeyRequestState::Waiting);
        let same = waiting.clone().find(|(_, request)| request.owner == who && request.url == url);
        if let Some((id, _)) = same {
            return Ok((*id, false));
        }
        if waiting.count() >= MAX_WAITING {
            return Err(Error::Busy(Message::new("refusal-too-many-key-requests")));
        }
        while requests.len() >= MAX_REQUESTS {
            let ended = requests.iter().filter(|(_, request)| request.state != KeyRequestState::Waiting);
            let Some(oldest) = ended.min_by_key(|(_, request)| request.started_at).map(|(id, _)| *id) else { break };
            requests.remove(&oldest);
        }
        let id = clock::new_id();
        let request = KeyRequestEntry {
            owner: who.to_owned(),
            url: url.to_owned(),
            started_at: now,
            state: KeyRequestState::Waiting,
        };
        requests.insert(id, request);
        Ok((id, true))
    }

    fn set_state(&self, id: Uuid, state: KeyRequestState) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = requests.get_mut(&id) {
            request.state = state;
        }
    }

    fn get(&self, id: Uuid, who: &str, now: Instant) -> Option<KeyRequestState> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let own = requests.get(&id).filter(|request| request.owner == who);
        own.filter(|request| now.saturating_duration_since(request.started_at) < RETENTION)
            .map(|request| request.state.clone())
    }
}

impl Services {
    /// Requests a key from the OctoPrint at an address. Returns an id; [`Self::key_request_state`] returns the result for
    /// it.
    pub async fn request_key(&self, who: &Principal, url: &str, access: PrinterAccess) -> Result<Uuid, Error> {
        who.require(Role::Manager)?;
        let (url, access) = checked_address(url, PrinterAccess { api_key: None, ..access })?;
        let octoprint = self.client_for_url(&url, &access)?;
        let (id, is_new) = self.key_requests.begin(&sealed_form::principal_id(who), &url, Instant::now())?;
        if !is_new {
            return Ok(id);
        }
        let (requests, stop) = (self.key_requests.clone(), self.key_requests.stop.clone());
        let (sent, is_sent) = oneshot::channel();
        // A task runs the request from the start, because the client may disconnect before OctoPrint replies.
        self.key_requests.tasks.spawn(async move {
            let state = tokio::select! {
                () = stop.cancelled() => return,
                ended = request_and_poll(&octoprint, &access, url, sent) => ended,
            };
            requests.set_state(id, state);
        });
        // Now OctoPrint has the request, or the request has ended. The id is valid in both cases.
        let _ = is_sent.await;
        Ok(id)
    }

    /// Returns the state of a request by this principal. None: there is no such request, or it is no longer kept.
    pub fn key_request_state(&self, who: &Principal, id: Uuid) -> Option<KeyRequestState> {
        self.key_requests.get(id, &sealed_form::principal_id(who), Instant::now())
    }
}

/// Sends the request to OctoPrint, signals `sent`, and polls until the user decides. A failed poll is repeated, because
/// short network failures are normal in a farm.
async fn request_and_poll(
    octoprint: &OctoPrint,
    access: &PrinterAccess,
    url: String,
    sent: oneshot::Sender<()>,
) -> KeyRequestState {
    let options = RequestOptions::with_timeout(POLL_TIMEOUT);
    let request = match octoprint.request_key(APP_NAME, &options).await {
        Ok(request) => request,
        Err(error) => return KeyRequestState::Failed(diagnose(&error, octoprint, access)),
    };
    let _ = sent.send(());
    let until = Instant::now() + DECISION_TIMEOUT;
    loop {
        let found = octoprint.poll_requested_key(&request, &options).await;
        match found {
            Ok(Some(key)) => {
                let mut invalid = ValidationErrors::default();
                check_api_key(&mut invalid, &key);
                let Ok(()) = invalid.into_result(()) else {
                    let error = PrinterError::Protocol { detail: Message::new("cause-key-invalid") };
                    return KeyRequestState::Failed(diagnose(&error, octoprint, access));
                };
                return KeyRequestState::Granted { key, url };
            }
            Err(PrinterError::NotFound) => return KeyRequestState::Denied,
            Err(error) if Instant::now() >= until => {
                return KeyRequestState::Failed(diagnose(&error, octoprint, access));
            }
            Ok(None) if Instant::now() >= until => return KeyRequestState::TooLate,
            Ok(None) | Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

/// Returns the diagnosis of a failed request.
fn diagnose(error: &PrinterError, octoprint: &OctoPrint, access: &PrinterAccess) -> Diagnosis {
    let (base, seconds) = (octoprint.base(), POLL_TIMEOUT.as_secs());
    let code = match error {
        PrinterError::NotFound => DiagnosisCode::NoAppKeys,
        PrinterError::Refused { status: 429, .. } => DiagnosisCode::TooManyRequests,
        PrinterError::Unauthorized => DiagnosisCode::AskingRefused,
        other => return Diagnosis::from_error(other, base, access, seconds),
    };
    Diagnosis::with_code(code, error, base, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> KeyRequests {
        KeyRequests::new(TaskTracker::new(), CancellationToken::new())
    }

    #[test]
    fn waiting_requests_are_bounded_and_a_repeat_shares_the_first() {
        let (requests, now) = (requests(), Instant::now());
        let (first, is_new) = requests.begin("ann", "http://a", now).expect("a free place");
        assert!(is_new);
        assert_eq!(requests.begin("ann", "http://a", now).ok(), Some((first, false)));
        for n in 1..MAX_WAITING {
            assert!(requests.begin("ann", &format!("http://{n}"), now).is_ok());
        }
        assert!(matches!(requests.begin("bob", "http://a", now), Err(Error::Busy(_))));
        requests.set_state(first, KeyRequestState::Denied);
        assert!(requests.begin("bob", "http://a", now).is_ok());
    }

    #[test]
    fn results_expire_and_only_their_owner_reads_them() {
        let (requests, now) = (requests(), Instant::now());
        let granted = KeyRequestState::Granted { key: "K3Y".to_owned(), url: "http://a".to_owned() };
        let (id, _) = requests.begin("ann", "http://a", now).expect("a free place");
        requests.set_state(id, granted.clone());
        assert!(requests.get(id, "ann", now) == Some(granted));
        assert!(requests.get(id, "bob", now).is_none());
        assert!(requests.get(id, "ann", now + RETENTION).is_none(), "a key that is not fetched is removed");
        for n in 0..2 * MAX_REQUESTS {
            let (id, _) = requests.begin("ann", &format!("http://{n}"), now).expect("a free place");
            requests.set_state(id, KeyRequestState::Denied);
        }
        assert!(requests.requests.lock().expect("the lock is not poisoned").len() <= MAX_REQUESTS);
    }
}
