//! Errors of use cases. The HTTP layer turns them into responses.

use std::{iter, time::Duration};

use uuid::Uuid;

use crate::{
    domain::{event::Cursor, message::Message, validation::ValidationErrors},
    octoprint, secrets, storage,
};

/// Why a use case failed. [`Error::message`] is for the person or program that made the request; `Display` is for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is well-formed but breaks a rule.
    #[error("the request breaks a rule")]
    Invalid(ValidationErrors),
    /// The request breaks a rule about the request as a whole, such as `nothing_selected`.
    #[error("{detail}")]
    Unprocessable { code: &'static str, detail: Message },
    /// The thing does not exist, or the principal must not see it: `printer`, `batch`, `user`.
    #[error("not found: {0}")]
    NotFound(&'static str),
    /// The current state does not permit the request, such as `name_taken`, `command_in_flight`, `batch_not_finished`.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: Message },
    /// Another order has the business key of a request with other content.
    #[error("the business key belongs to the order {existing_id}")]
    OrderConflict { existing_id: Uuid },
    /// The selection does not have the expected size.
    #[error("{total} printers are selected now")]
    SelectionChanged { total: usize },
    /// The events after this position in the feed are no longer kept. `restart` is a position before the oldest event.
    #[error("the cursor is expired")]
    CursorExpired { restart: Cursor },
    /// `If-Match` named another version.
    #[error("changed in the meantime")]
    Stale,
    #[error("{0}")]
    Forbidden(Message),
    #[error("{0}")]
    TooLarge(Message),
    /// The content of an upload is of no format that Printyard knows, or it is damaged.
    #[error("{0}")]
    UnknownFormat(Message),
    /// There is no space for an upload.
    #[error("{detail}")]
    NoSpace { space: StorageSpace, detail: Message },
    /// The database has a file whose bytes are not in the data folder.
    #[error("{0}")]
    ContentMissing(Message),
    /// The server is too busy. The same request may succeed later.
    #[error("{0}")]
    Busy(Message),
    /// Too many login attempts or unknown tokens. The next attempt is permitted after this time.
    #[error("too many attempts")]
    TooManyAttempts(Duration),
    /// A request to the printer failed. `message` is for the user, `cause` for the log.
    #[error("the printer {cause}")]
    Printer { failure: PrinterFailure, message: Message, cause: String },
    /// The database failed. `cause` is for the log: the error with all its causes.
    #[error("{cause}")]
    Storage { failure: StorageFailure, cause: String },
    /// A defect in Printyard, or a failure of the machine. The text is for the log.
    #[error("{0}")]
    Internal(String),
}

/// The space that an upload exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageSpace {
    /// The configured limit of the library.
    Quota,
    /// The disk of the data folder.
    Disk,
}

/// Class of a failed request to a printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrinterFailure {
    /// No connection, or no complete response. Also a server error (5xx).
    Unreachable,
    /// OctoPrint, or a web server in front of it, refused the credentials.
    Unauthorized,
    /// OctoPrint refused the request, or the response does not come from a working OctoPrint.
    Protocol,
}

/// Class of a failure of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageFailure {
    /// The database is unreachable or too busy. The same request may succeed later.
    Unavailable,
    /// Another server has taken over the farm.
    Superseded,
    /// This version cannot read a stored value.
    Unreadable,
    /// Any other failure: a defect of Printyard or of the database.
    Internal,
}

impl Error {
    /// The first request with this idempotency key has no response yet.
    pub(super) fn request_in_progress() -> Self {
        Self::Conflict { code: "request_in_progress", detail: Message::new("refusal-request-in-progress") }
    }

    /// Returns the text for the user: what failed, and what to do next.
    pub fn message(&self) -> Message {
        match self {
            Self::Invalid(_) => Message::new("refusal-invalid"),
            Self::Unprocessable { detail, .. } | Self::Conflict { detail, .. } => detail.clone(),
            Self::Forbidden(message)
            | Self::TooLarge(message)
            | Self::UnknownFormat(message)
            | Self::ContentMissing(message)
            | Self::Busy(message) => message.clone(),
            Self::NoSpace { detail, .. } => detail.clone(),
            Self::NotFound(what) => Message::from_code("not-found", what),
            Self::OrderConflict { .. } => Message::new("refusal-order-conflict"),
            Self::SelectionChanged { total } => Message::new("refusal-selection-changed").with("total", total),
            Self::CursorExpired { .. } => Message::new("refusal-cursor-expired"),
            Self::Stale => Message::new("refusal-stale"),
            Self::TooManyAttempts(wait) => {
                Message::new("refusal-too-many-attempts").with("seconds", wait.as_secs().max(1))
            }
            Self::Printer { message, .. } => message.clone(),
            Self::Storage { failure: StorageFailure::Superseded, .. } => Message::new("refusal-superseded"),
            Self::Storage { failure: StorageFailure::Unavailable, .. } => Message::new("refusal-database-unavailable"),
            Self::Storage { failure: StorageFailure::Unreadable | StorageFailure::Internal, .. }
            | Self::Internal(_) => Message::new("refusal-internal"),
        }
    }
}

impl From<ValidationErrors> for Error {
    fn from(invalid: ValidationErrors) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<&octoprint::Error> for PrinterFailure {
    fn from(error: &octoprint::Error) -> Self {
        use octoprint::Error as E;
        match error {
            E::Timeout { .. }
            | E::Silent { .. }
            | E::Offline { .. }
            | E::Lost { .. }
            | E::Blocked(_)
            | E::Server { .. } => Self::Unreachable,
            E::Unauthorized | E::ProxyLogin => Self::Unauthorized,
            E::Protocol { .. }
            | E::Redirected { .. }
            | E::NotFound
            | E::NoSocket { .. }
            | E::Refused { .. }
            | E::Conflict { .. }
            | E::Invalid { .. } => Self::Protocol,
        }
    }
}

impl From<octoprint::Error> for Error {
    fn from(error: octoprint::Error) -> Self {
        Self::Printer { failure: (&error).into(), message: error.message(), cause: error.to_string() }
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        let failure = match &error {
            storage::Error::NameTaken => {
                return Self::Conflict { code: "name_taken", detail: Message::new("refusal-printer-name-taken") };
            }
            storage::Error::UrlTaken => {
                return Self::Conflict { code: "url_taken", detail: Message::new("refusal-printer-url-taken") };
            }
            storage::Error::KeyTaken => return Self::request_in_progress(),
            storage::Error::Unavailable(_) => StorageFailure::Unavailable,
            storage::Error::Superseded => StorageFailure::Superseded,
            storage::Error::Unreadable { .. } => StorageFailure::Unreadable,
            storage::Error::Setup(_) | storage::Error::Database(_) => StorageFailure::Internal,
        };
        Self::Storage { failure, cause: join_causes(&error) }
    }
}

/// Returns the texts of an error and of all its causes.
fn join_causes(error: &storage::Error) -> String {
    let causes = iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<secrets::Error> for Error {
    fn from(error: secrets::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_lower_layer_keeps_its_class_and_its_causes() {
        let Error::Storage { failure, cause } = storage::Error::timed_out().into() else { panic!("not a failure") };
        assert_eq!(failure, StorageFailure::Unavailable);
        assert!(cause.len() > "the database is not available: ".len(), "with the cause of the driver: {cause}");
        let error = Error::from(octoprint::Error::Server { status: 502 });
        assert_eq!(error.to_string(), "the printer failed with the status 502");
        assert_eq!(error.message(), octoprint::Error::Server { status: 502 }.message());
        assert!(matches!(error, Error::Printer { failure: PrinterFailure::Unreachable, .. }));
    }
}
