//! Asking an OctoPrint for a key: a person allows it at OctoPrint's own page, and nobody copies anything.
//!
//! OctoPrint forgets a request that nobody looks after for 5 s, which no form can promise. So a task looks, and the page
//! asks what it found. Requests are few, end by themselves, and with them goes the key that nobody fetched.

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
    carried,
    diagnosis::{Code, Diagnosis},
    error::Error,
    probe::checked_address,
};
use crate::{
    clock,
    domain::{access::Role, invalid::Invalid, printer::check_api_key, printer_access::PrinterAccess},
    octoprint::{Error as PrinterError, OctoPrint, RequestOptions},
};

/// What OctoPrint's page calls this program.
const APP: &str = "Printyard";
/// Somebody has this long to log in to OctoPrint and allow it.
pub const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Between two looks; with `LOOK_WITHIN` it stays below OctoPrint's 5 s.
const PAUSE: Duration = Duration::from_secs(1);
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// What came of a request is told for so long after it began.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// Requests that wait at once.
const WAITING: usize = 16;
/// Requests that are remembered, ended ones among them.
const MOST: usize = 64;

/// What came of a request for a key.
// No Debug: it may hold the key.
#[derive(Clone, PartialEq)]
pub enum Asked {
    Waiting,
    Granted {
        key: String,
        /// The normalised address of the OctoPrint that gave it.
        url: String,
    },
    /// Somebody said no, or OctoPrint restarted meanwhile.
    Denied,
    /// Nobody said anything.
    TooLate,
    /// It could not be asked, or not be heard to the end.
    Failed(Diagnosis),
}

struct Request {
    who: String,
    url: String,
    begun: Instant,
    asked: Asked,
}

/// The requests that are under way, and what came of the last ones.
pub struct KeyRequests {
    requests: Mutex<HashMap<Uuid, Request>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl KeyRequests {
    /// None yet; each will be a task of `tasks`, until `stop` falls.
    pub fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { requests: Mutex::default(), tasks, stop }
    }

    /// A place for a request; the id of one that waits already, where the same person asked the same OctoPrint.
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
    /// Asks the OctoPrint at an address for a key. The id under which [`Self::asked_for_key`] says what came of it.
    pub async fn ask_for_key(&self, who: &Principal, url: &str, access: PrinterAccess) -> Result<Uuid, Error> {
        who.require(Role::Manager)?;
        let (url, access) = checked_address(url, PrinterAccess { api_key: None, ..access })?;
        let octoprint = self.client_for(&url, &access)?;
        let (id, is_new) = self.key_requests.begin(&carried::name_of(who), &url, Instant::now())?;
        if !is_new {
            return Ok(id);
        }
        let (requests, stop) = (self.key_requests.clone(), self.key_requests.stop.clone());
        let (put, is_put) = oneshot::channel();
        // A task from the beginning: whoever asks may go away while OctoPrint answers.
        self.key_requests.tasks.spawn(async move {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                asked = ask(&octoprint, &access, url, put) => asked,
            };
            requests.end(id, asked);
        });
        // Either it waits for somebody, or it has ended: both are known under its id.
        let _ = is_put.await;
        Ok(id)
    }

    /// What came of a request of theirs. None: there is none, or not any more.
    pub fn asked_for_key(&self, who: &Principal, id: Uuid) -> Option<Asked> {
        self.key_requests.get(id, &carried::name_of(who), Instant::now())
    }
}

/// Puts the request to OctoPrint, says so, and looks until somebody has decided. A look that fails is made again: the network of a farm has its moments.
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

/// The diagnosis of a request that OctoPrint did not take.
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
        let (first, is_new) = requests.begin("ann", "http://a", now).expect("a place");
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
        let (id, _) = requests.begin("ann", "http://a", now).expect("a place");
        requests.end(id, granted.clone());
        assert!(requests.get(id, "ann", now) == Some(granted));
        assert!(requests.get(id, "bob", now).is_none());
        assert!(requests.get(id, "ann", now + KEPT).is_none(), "a key that nobody fetches goes");
        for n in 0..2 * MOST {
            let (id, _) = requests.begin("ann", &format!("http://{n}"), now).expect("a place");
            requests.end(id, Asked::Denied);
        }
        assert!(requests.requests.lock().expect("no panic").len() <= MOST);
    }
}
