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
    diagnosis::{Code, Diagnosis},
    error::Error,
    probe::checked_address,
    sealed_form,
};
use crate::{
    clock,
    domain::{access::Role, invalid::Invalid, printer::check_api_key, printer_access::PrinterAccess},
    octoprint::{Error as PrinterError, OctoPrint, RequestOptions},
};

/// Application name that OctoPrint shows to the user.
const APP: &str = "Printyard";
/// Time that the user has to log in to OctoPrint and allow the request.
pub const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Pause between two polls. Together with `LOOK_WITHIN` it is shorter than OctoPrint's 5 s.
const PAUSE: Duration = Duration::from_secs(1);
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// How long a request and its result are kept, counted from the start of the request.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// Maximum number of requests that wait at the same time.
const WAITING: usize = 16;
/// Maximum number of requests that are kept, including ended ones.
const MOST: usize = 64;

/// State or result of a request for a key.
// No Debug: the value may contain the key.
#[derive(Clone, PartialEq)]
pub enum Asked {
    Waiting,
    Granted {
        key: String,
        /// The normalised address of the OctoPrint that granted the key.
        url: String,
    },
    /// The user denied the request, or OctoPrint restarted in the meantime.
    Denied,
    /// The user did not decide within [`PATIENCE`].
    TooLate,
    /// The request could not be sent, or polling still failed at the end of the time.
    Failed(Diagnosis),
}

struct Request {
    who: String,
    url: String,
    begun: Instant,
    asked: Asked,
}

/// Requests in progress, and the results of the last ones.
pub struct KeyRequests {
    requests: Mutex<HashMap<Uuid, Request>>,
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
        requests.retain(|_, request| now.saturating_duration_since(request.begun) < KEPT);
        let waiting = requests.iter().filter(|(_, request)| request.asked == Asked::Waiting);
        let same = waiting.clone().find(|(_, request)| request.who == who && request.url == url);
        if let Some((id, _)) = same {
            return Ok((*id, false));
        }
        if waiting.count() >= WAITING {
            return Err(Error::Busy("Too many requests for keys are under way. Try again in a few minutes."));
        }
        while requests.len() >= MOST {
            let ended = requests.iter().filter(|(_, request)| request.asked != Asked::Waiting);
            let Some(oldest) = ended.min_by_key(|(_, request)| request.begun).map(|(id, _)| *id) else { break };
            requests.remove(&oldest);
        }
        let id = clock::new_id();
        let request = Request { who: who.to_owned(), url: url.to_owned(), begun: now, asked: Asked::Waiting };
        requests.insert(id, request);
        Ok((id, true))
    }

    fn end(&self, id: Uuid, asked: Asked) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = requests.get_mut(&id) {
            request.asked = asked;
        }
    }

    fn get(&self, id: Uuid, who: &str, now: Instant) -> Option<Asked> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let own = requests.get(&id).filter(|request| request.who == who);
        own.filter(|request| now.saturating_duration_since(request.begun) < KEPT).map(|request| request.asked.clone())
    }
}

impl Services {
    /// Requests a key from the OctoPrint at an address. Returns an id; [`Self::asked_for_key`] returns the result for
    /// it.
    pub async fn ask_for_key(&self, who: &Principal, url: &str, access: PrinterAccess) -> Result<Uuid, Error> {
        who.require(Role::Manager)?;
        let (url, access) = checked_address(url, PrinterAccess { api_key: None, ..access })?;
        let octoprint = self.client_for(&url, &access)?;
        let (id, is_new) = self.key_requests.begin(&sealed_form::name_of(who), &url, Instant::now())?;
        if !is_new {
            return Ok(id);
        }
        let (requests, stop) = (self.key_requests.clone(), self.key_requests.stop.clone());
        let (put, is_put) = oneshot::channel();
        // A task runs the request from the start, because the client may disconnect before OctoPrint replies.
        self.key_requests.tasks.spawn(async move {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                asked = ask(&octoprint, &access, url, put) => asked,
            };
            requests.end(id, asked);
        });
        // Now OctoPrint has the request, or the request has ended. The id is valid in both cases.
        let _ = is_put.await;
        Ok(id)
    }

    /// Returns the state of a request by this principal. None: there is no such request, or it is no longer kept.
    pub fn asked_for_key(&self, who: &Principal, id: Uuid) -> Option<Asked> {
        self.key_requests.get(id, &sealed_form::name_of(who), Instant::now())
    }
}

/// Sends the request to OctoPrint, signals `put`, and polls until the user decides. A failed poll is repeated, because
/// short network failures are normal in a farm.
async fn ask(octoprint: &OctoPrint, access: &PrinterAccess, url: String, put: oneshot::Sender<()>) -> Asked {
    let options = RequestOptions::within(LOOK_WITHIN);
    let request = match octoprint.request_key(APP, &options).await {
        Ok(request) => request,
        Err(error) => return Asked::Failed(refused(&error, octoprint, access)),
    };
    let _ = put.send(());
    let until = Instant::now() + PATIENCE;
    loop {
        let found = octoprint.requested_key(&request, &options).await;
        match found {
            Ok(Some(key)) => {
                let mut invalid = Invalid::default();
                check_api_key(&mut invalid, &key);
                let Ok(()) = invalid.or_ok(()) else {
                    let error = PrinterError::Protocol { detail: "the key that it gave is none".to_owned() };
                    return Asked::Failed(refused(&error, octoprint, access));
                };
                return Asked::Granted { key, url };
            }
            Err(PrinterError::NotFound) => return Asked::Denied,
            Err(error) if Instant::now() >= until => return Asked::Failed(refused(&error, octoprint, access)),
            Ok(None) if Instant::now() >= until => return Asked::TooLate,
            Ok(None) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Returns the diagnosis of a failed request.
fn refused(error: &PrinterError, octoprint: &OctoPrint, access: &PrinterAccess) -> Diagnosis {
    let (base, seconds) = (octoprint.base(), LOOK_WITHIN.as_secs());
    let code = match error {
        PrinterError::NotFound => Code::NoAppKeys,
        PrinterError::Refused { status: 429, .. } => Code::TooManyRequests,
        PrinterError::Unauthorized => Code::AskingRefused,
        other => return Diagnosis::of(other, base, access, seconds),
    };
    Diagnosis::with(code, error, base, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> KeyRequests {
        KeyRequests::new(TaskTracker::new(), CancellationToken::new())
    }

    #[test]
    fn so_many_wait_at_once_and_each_person_once_for_each_octoprint() {
        let (requests, now) = (requests(), Instant::now());
        let (first, is_new) = requests.begin("ann", "http://a", now).expect("a free place");
        assert!(is_new);
        assert_eq!(requests.begin("ann", "http://a", now).ok(), Some((first, false)));
        for n in 1..WAITING {
            assert!(requests.begin("ann", &format!("http://{n}"), now).is_ok());
        }
        assert!(matches!(requests.begin("bob", "http://a", now), Err(Error::Busy(_))));
        requests.end(first, Asked::Denied);
        assert!(requests.begin("bob", "http://a", now).is_ok());
    }

    #[test]
    fn what_is_remembered_has_an_end_and_is_for_who_asked() {
        let (requests, now) = (requests(), Instant::now());
        let granted = Asked::Granted { key: "K3Y".to_owned(), url: "http://a".to_owned() };
        let (id, _) = requests.begin("ann", "http://a", now).expect("a free place");
        requests.end(id, granted.clone());
        assert!(requests.get(id, "ann", now) == Some(granted));
        assert!(requests.get(id, "bob", now).is_none());
        assert!(requests.get(id, "ann", now + KEPT).is_none(), "a key that is not fetched is removed");
        for n in 0..2 * MOST {
            let (id, _) = requests.begin("ann", &format!("http://{n}"), now).expect("a free place");
            requests.end(id, Asked::Denied);
        }
        assert!(requests.requests.lock().expect("the lock is not poisoned").len() <= MOST);
    }
}
