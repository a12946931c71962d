//! Requests of an actor to its printer. They run beside the actor's loop, so that it never blocks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use super::settings::{READ_TIMEOUT, SEND_TIMEOUT};
use crate::{
    domain::{
        command::{FileRef, Step},
        reading::JobReading,
    },
    octoprint::{Error, NoConnection, OctoPrint, PrinterReading, Prints, Push, RequestOptions},
};

/// The number of commands on the wire in the whole farm. While many are, replies are processed before events: each
/// printer that was sent a command also sends its new states, and the replies of a thousand must not wait for those.
#[derive(Debug, Clone, Default)]
pub struct RepliesDue(Arc<AtomicUsize>);

impl RepliesDue {
    /// Whether any reply is due.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// One reply more is due, until the returned value is dropped.
    fn one_more(&self) -> ReplyDue {
        self.0.fetch_add(1, Ordering::Relaxed);
        ReplyDue(self.clone())
    }
}

/// The reply to one command is due.
struct ReplyDue(RepliesDue);

impl Drop for ReplyDue {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The result of a request.
#[expect(clippy::large_enum_variant, reason = "moved once, out of the future that made it")]
pub enum RequestResult {
    Established(Result<Established, Error>),
    Read {
        started: Instant,
        result: Result<JobReading, Error>,
    },
    Heaters(Result<Option<PrinterReading>, Error>),
    /// The dispatcher's reply; refused also when there is no dispatcher any more.
    Permit {
        command_id: Uuid,
        granted: bool,
    },
    Sent {
        command_id: Uuid,
        result: Result<(), Error>,
    },
    /// Prints of a file, failed ones too; none where it could not be read.
    Counted {
        command_id: Uuid,
        prints: Option<Prints>,
    },
}

/// A connection that works.
pub struct Established {
    pub version: String,
    /// None where the event socket is refused: the printer is polled.
    pub push: Option<Box<Push>>,
}

/// Finds out what answers at the address, and opens its event socket. Holds a permit, so that a farm that comes
/// back after a power cut is not met by a thousand dials at once; commands need none.
pub async fn establish(octoprint: OctoPrint, permits: Arc<Semaphore>) -> RequestResult {
    let Ok(_permit) = permits.acquire().await else {
        return RequestResult::Established(Err(Error::Offline {
            why: NoConnection::Other,
            detail: "the server is shutting down".to_owned(),
        }));
    };
    let options = RequestOptions::within(READ_TIMEOUT);
    let result = async {
        let version = octoprint.version(&options).await?;
        let push = match Push::open(&octoprint, &options).await {
            Ok(push) => Some(Box::new(push)),
            Err(Error::NoSocket { .. } | Error::Protocol { .. } | Error::NotFound | Error::Server { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Established { version: version.server, push })
    };
    RequestResult::Established(result.await)
}

/// Reads the job.
pub async fn read(octoprint: OctoPrint, started: Instant) -> RequestResult {
    let result = octoprint.job().get(&RequestOptions::within(READ_TIMEOUT)).await;
    RequestResult::Read { started, result }
}

/// Reads temperatures and flags.
pub async fn heaters(octoprint: OctoPrint) -> RequestResult {
    RequestResult::Heaters(octoprint.printer().get(&RequestOptions::within(READ_TIMEOUT)).await)
}

/// Waits for the permit of a send.
pub async fn permit(command_id: Uuid, reply: oneshot::Receiver<bool>) -> RequestResult {
    RequestResult::Permit { command_id, granted: reply.await.unwrap_or(false) }
}

/// Sends one step, whose permit may be used until `not_after`. `file` is what a start names.
pub async fn send(
    octoprint: OctoPrint,
    command_id: Uuid,
    step: Step,
    file: Option<FileRef>,
    not_after: Option<Instant>,
    replies_due: RepliesDue,
) -> RequestResult {
    let _due = replies_due.one_more();
    let options = RequestOptions { not_after, ..RequestOptions::within(SEND_TIMEOUT) };
    let result = match (step, file) {
        (Step::Start, Some(file)) => octoprint.files().select(&file.path, &file.origin, true, &options).await,
        (Step::Start, None) => octoprint.job().start(&options).await,
        (Step::Pause, _) => octoprint.job().pause(&options).await,
        (Step::Resume, _) => octoprint.job().resume(&options).await,
        (Step::Cancel, _) => octoprint.job().cancel(&options).await,
        (Step::Connect, _) => octoprint.connection().connect(&options).await,
        (Step::Disconnect, _) => octoprint.connection().disconnect(&options).await,
    };
    RequestResult::Sent { command_id, result }
}

/// Counts the prints of a file, for a start that no event reports.
pub async fn count(octoprint: OctoPrint, command_id: Uuid, file: FileRef) -> RequestResult {
    let entry = octoprint.files().get(&file.path, &file.origin, &RequestOptions::within(READ_TIMEOUT)).await;
    RequestResult::Counted { command_id, prints: entry.ok().map(|entry| entry.prints) }
}
