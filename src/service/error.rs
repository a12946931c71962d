//! What can go wrong with a use case: typed here, turned into HTTP last.

use std::time::Duration;

use crate::{
    domain::{event::Cursor, invalid::Invalid},
    octoprint, secrets, storage,
};
/// What the layers below report, for whoever turns errors into answers.
pub use crate::{octoprint::Error as PrinterError, storage::Error as StorageError};

/// Why a use case was not carried out. The texts are for the person or program that asked; causes are for the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Well-formed, but against a rule.
    #[error("the request breaks a rule")]
    Invalid(Invalid),
    /// A rule that concerns the request as a whole: `nothing_selected`.
    #[error("{detail}")]
    Unprocessable { code: &'static str, detail: String },
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// What is there does not admit it: `name_taken`, `command_in_flight`, `batch_not_finished`.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: String },
    /// The selection is not of the size that was expected.
    #[error("{total} printers are selected now")]
    SelectionChanged { total: usize },
    /// A place in the feed whose continuation is not kept any more; `restart` is before the oldest event.
    #[error("the feed does not go on from there")]
    CursorExpired { restart: Cursor },
    /// `If-Match` named another version.
    #[error("it was changed in the meantime")]
    Stale,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    TooLarge(String),
    /// Too much is under way; the same request may work later.
    #[error("{0}")]
    Busy(&'static str),
    /// Too many attempts to log in, or unknown tokens. The next attempt may come after this time.
    #[error("Too many attempts. Wait {} s, then try again.", .0.as_secs().max(1))]
    TooManyAttempts(Duration),
    /// The printer did not do its part.
    #[error("the printer {0}")]
    Printer(#[from] octoprint::Error),
    #[error(transparent)]
    Storage(storage::Error),
    /// A defect of ours, or of the machine. Its text is for the log.
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
