//! Errors of use cases. The HTTP layer turns them into responses.

use std::time::Duration;

use crate::{
    domain::{event::Cursor, invalid::Invalid},
    octoprint, secrets, storage,
};
/// Errors of the lower layers, for the code that turns errors into responses.
pub use crate::{octoprint::Error as PrinterError, storage::Error as StorageError};

/// Why a use case failed. The texts are for the person or program that made the request; causes are for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is well-formed but breaks a rule.
    #[error("the request breaks a rule")]
    Invalid(Invalid),
    /// The request breaks a rule about the request as a whole, such as `nothing_selected`.
    #[error("{detail}")]
    Unprocessable { code: &'static str, detail: String },
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The current state does not permit the request, such as `name_taken`, `command_in_flight`, `batch_not_finished`.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: String },
    /// The selection does not have the expected size.
    #[error("{total} printers are selected now")]
    SelectionChanged { total: usize },
    /// The events after this position in the feed are no longer kept. `restart` is a position before the oldest event.
    #[error("the feed does not go on from there")]
    CursorExpired { restart: Cursor },
    /// `If-Match` named another version.
    #[error("it was changed in the meantime")]
    Stale,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    TooLarge(String),
    /// The server is too busy. The same request may succeed later.
    #[error("{0}")]
    Busy(&'static str),
    /// Too many login attempts or unknown tokens. The next attempt is permitted after this time.
    #[error("Too many attempts. Wait {} s, then try again.", .0.as_secs().max(1))]
    TooManyAttempts(Duration),
    /// A request to the printer failed.
    #[error("the printer {0}")]
    Printer(#[from] octoprint::Error),
    #[error(transparent)]
    Storage(storage::Error),
    /// A defect in Printyard, or a failure of the machine. The text is for the log.
    #[error("{0}")]
    Internal(String),
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::NameTaken => {
                Self::Conflict { code: "name_taken", detail: "Another printer has this name.".to_owned() }
            }
            storage::Error::UrlTaken => {
                Self::Conflict { code: "url_taken", detail: "Another printer has this address.".to_owned() }
            }
            storage::Error::KeyTaken => super::idempotency::in_progress(),
            other @ (storage::Error::Unavailable(_)
            | storage::Error::Superseded
            | storage::Error::Broken { .. }
            | storage::Error::Setup(_)
            | storage::Error::Database(_)) => Self::Storage(other),
        }
    }
}

impl From<secrets::Error> for Error {
    fn from(error: secrets::Error) -> Self {
        Self::Internal(error.to_string())
    }
}
