//! Errors of use cases. The HTTP layer turns them into responses.

use std::time::Duration;

use crate::{
    domain::{event::Cursor, message::Message, validation::ValidationErrors},
    octoprint, secrets, storage,
};
/// Errors of the lower layers, for the code that turns errors into responses.
pub use crate::{octoprint::Error as PrinterError, storage::Error as StorageError};

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
    /// The server is too busy. The same request may succeed later.
    #[error("{0}")]
    Busy(Message),
    /// Too many login attempts or unknown tokens. The next attempt is permitted after this time.
    #[error("too many attempts")]
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

impl Error {
    /// Returns the text for the user: what failed, and what to do next.
    pub fn message(&self) -> Message {
        match self {
            Self::Invalid(_) => Message::new("refusal-invalid"),
            Self::Unprocessable { detail, .. } | Self::Conflict { detail, .. } => detail.clone(),
            Self::Forbidden(message) | Self::TooLarge(message) | Self::Busy(message) => message.clone(),
            Self::NotFound(what) => Message::from_code("not-found", what),
            Self::SelectionChanged { total } => Message::new("refusal-selection-changed").with("total", total),
            Self::CursorExpired { .. } => Message::new("refusal-cursor-expired"),
            Self::Stale => Message::new("refusal-stale"),
            Self::TooManyAttempts(wait) => {
                Message::new("refusal-too-many-attempts").with("seconds", wait.as_secs().max(1))
            }
            Self::Printer(error) => error.message(),
            Self::Storage(storage::Error::Superseded) => Message::new("refusal-superseded"),
            Self::Storage(storage::Error::Unavailable(_)) => Message::new("refusal-database-unavailable"),
            Self::Storage(
                storage::Error::NameTaken
                | storage::Error::UrlTaken
                | storage::Error::KeyTaken
                | storage::Error::Unreadable { .. }
                | storage::Error::Setup(_)
                | storage::Error::Database(_),
            )
            | Self::Internal(_) => Message::new("refusal-internal"),
        }
    }
}

impl From<ValidationErrors> for Error {
    fn from(invalid: ValidationErrors) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::NameTaken => {
                Self::Conflict { code: "name_taken", detail: Message::new("refusal-printer-name-taken") }
            }
            storage::Error::UrlTaken => {
                Self::Conflict { code: "url_taken", detail: Message::new("refusal-printer-url-taken") }
            }
            storage::Error::KeyTaken => super::idempotency::in_progress_error(),
            other @ (storage::Error::Unavailable(_)
            | storage::Error::Superseded
            | storage::Error::Unreadable { .. }
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
