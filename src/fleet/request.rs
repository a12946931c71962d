//! Requests of an actor to its printer. They run beside the actor's loop and never block it.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use uuid::Uuid;

use super::settings::{READ_HEDGE, READ_TIMEOUT, SEND_TIMEOUT, VERSION_TIMEOUT};
use crate::{
    domain::{
        command::{FileRef, Step},
        printer_file::PrintCounts,
        reading::JobReading,
        state::PrinterState,
    },
    octoprint::{Error, EventSocket, EventSocketError, OctoPrint, PrinterReading, RequestOptions},
};

/// The result of a request.
pub enum RequestResult {
    /// The first reading of a connection.
    Contact {
        started: Instant,
        version: Option<String>,
        result: Result<StateReading, Error>,
    },
    Socket(Result<Box<EventSocket>, EventSocketError>),
    Read {
        started: Instant,
        result: Result<StateReading, Error>,
    },
    Heaters(Result<Option<PrinterReading>, Error>),
    /// The dispatcher's reply. Without a dispatcher, the permit counts as refused.
    Permit {
        command_id: Uuid,
        granted: bool,
    },
    Sent {
        command_id: Uuid,
        result: Result<(), Error>,
    },
    /// Prints of a file, including failed ones. `None`: they could not be read.
    Counted {
        command_id: Uuid,
        prints: Option<PrintCounts>,
    },
}

/// A reading of a printer's state. Either of two requests is enough for it.
pub struct StateReading {
    /// Has no file and no progress if `has_job` is false.
    pub job: JobReading,
    /// `false`: `GET /api/job` failed, and `GET /api/printer` returned the state.
    pub has_job: bool,
}

/// Reads the printer for the first time. It holds a connection permit, so that a farm does not get a thousand connections at
/// once after a power cut. Commands need no such permit.
pub async fn contact(octoprint: OctoPrint, permits: Arc<Semaphore>) -> RequestResult {
    let _permit = permits.acquire().await;
    let version = octoprint.version(&RequestOptions::with_timeout(VERSION_TIMEOUT)).await;
    let started = Instant::now();
    let (version, result) = match version {
        Err(error) if error.is_unsent() => (None, Err(error)),
        version => (version.ok().map(|version| version.server), read_state(&octoprint).await),
    };
    RequestResult::Contact { started, version, result }
}

/// Opens the event socket. It holds a connection permit, too.
pub async fn open_socket(octoprint: OctoPrint, permits: Arc<Semaphore>) -> RequestResult {
    let _permit = permits.acquire().await;
    let push = EventSocket::open(&octoprint, &RequestOptions::with_timeout(READ_TIMEOUT)).await;
    RequestResult::Socket(push.map(Box::new))
}

/// Reads the state.
pub async fn poll_state(octoprint: OctoPrint, started: Instant) -> RequestResult {
    RequestResult::Read { started, result: read_state(&octoprint).await }
}

/// Reads the job. If that fails, takes too long, or returns an unknown state, the printer's flags decide.
async fn read_state(octoprint: &OctoPrint) -> Result<StateReading, Error> {
    let options = RequestOptions::with_timeout(READ_TIMEOUT);
    let client = octoprint.job();
    let mut job = pin!(client.get(&options));
    match timeout(READ_HEDGE, &mut job).await {
        Ok(Ok(job)) if job.state != PrinterState::Unknown => Ok(StateReading { job, has_job: true }),
        Ok(Ok(job)) => Ok(Box::pin(refine_state(octoprint, job)).await),
        Ok(Err(error)) if error.is_unsent() => Err(error),
        Ok(Err(error)) => Box::pin(read_printer(octoprint)).await.map_err(|_| error),
        Err(_) => Box::pin(read_either(octoprint, job)).await,
    }
}

/// Uses the first reply. The request `job` is in progress.
async fn read_either(
    octoprint: &OctoPrint,
    job: impl Future<Output = Result<JobReading, Error>> + Unpin,
) -> Result<StateReading, Error> {
    match select(job, Box::pin(read_printer(octoprint))).await {
        Either::Left((Ok(job), _)) => Ok(StateReading { job, has_job: true }),
        Either::Left((Err(error), printer)) => printer.await.map_err(|_| error),
        Either::Right((Ok(reading), _)) => Ok(reading),
        Either::Right((Err(_), job)) => job.await.map(|job| StateReading { job, has_job: true }),
    }
}

/// Derives a state with an unknown text from the printer's flags.
async fn refine_state(octoprint: &OctoPrint, job: JobReading) -> StateReading {
    let printer = octoprint.printer().get(&RequestOptions::with_timeout(FLAGS_TIMEOUT)).await;
    let state = match printer {
        Ok(Some(printer)) => job.state.or_from_flags(printer.flags),
        Ok(None) | Err(_) => job.state,
    };
    StateReading { job: JobReading { state, ..job }, has_job: true }
}

/// Reads the state without the job.
async fn read_printer(octoprint: &OctoPrint) -> Result<StateReading, Error> {
    let printer = octoprint.printer().get(&RequestOptions::with_timeout(FLAGS_TIMEOUT)).await?;
    let (state, state_text) = match printer {
        Some(printer) => (printer.state, printer.state_text),
        None => (PrinterState::Offline, "Offline".to_owned()),
    };
    Ok(StateReading { job: JobReading::without_job(state, state_text), has_job: false })
}

/// Together, both requests take no longer than [`READ_TIMEOUT`].
const FLAGS_TIMEOUT: Duration = READ_TIMEOUT.saturating_sub(READ_HEDGE);

/// Reads the temperatures.
pub async fn read_heaters(octoprint: OctoPrint) -> RequestResult {
    RequestResult::Heaters(octoprint.printer().get(&RequestOptions::with_timeout(READ_TIMEOUT)).await)
}

/// Waits for the permit of a send.
pub async fn await_permit(command_id: Uuid, reply: oneshot::Receiver<bool>) -> RequestResult {
    RequestResult::Permit { command_id, granted: reply.await.unwrap_or(false) }
}

/// Sends one step. Its permit may be used until `not_after`. `file` is the file that a start names.
pub async fn send_step(
    octoprint: OctoPrint,
    command_id: Uuid,
    step: Step,
    file: Option<FileRef>,
    not_after: Option<Instant>,
) -> RequestResult {
    let options = RequestOptions { not_after, ..RequestOptions::with_timeout(SEND_TIMEOUT) };
    let result = match (step, file) {
        (Step::Start, Some(file)) => octoprint.files().select(&file.path, &file.origin, true, &options).await,
        (Step::Start, None) => octoprint.job().start(&options).await,
        (Step::Pause, _) => octoprint.job().pause(&options).await,
        (Step::Resume, _) => octoprint.job().resume(&options).await,
        (Step::Cancel, _) => octoprint.job().cancel(&options).await,
        (Step::Connect, _) => octoprint.connection().connect(&options).await,
        (Step::Disconnect, _) => octoprint.connection().disconnect(&options).await,
        (Step::EmergencyStop, _) => octoprint.printer().emergency_stop(&options).await,
    };
    RequestResult::Sent { command_id, result }
}

/// Counts the prints of a file, for a start that no event reports.
pub async fn count_prints(octoprint: OctoPrint, command_id: Uuid, file: FileRef) -> RequestResult {
    let entry = octoprint.files().get(&file.path, &file.origin, &RequestOptions::with_timeout(READ_TIMEOUT)).await;
    RequestResult::Counted { command_id, prints: entry.ok().map(|entry| entry.prints) }
}
