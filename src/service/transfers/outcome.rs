//! How a transfer ends, and what follows.

use std::time::Duration;

use crate::{domain::message::Message, octoprint, service::error::Error};

/// Attempts after a lost connection, before the transfer fails.
pub(super) const MAX_ATTEMPTS: u32 = 5;
/// Pause before the second attempt. It doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// End of one attempt.
#[derive(Debug)]
pub(super) enum TransferEnd {
    /// The printer has the file.
    Present {
        path: String,
        /// Result of its selection, if a user had asked for that before the transfer began.
        selected: Option<Result<(), Message>>,
    },
    /// The attempt was cut, because the transfer is no longer wanted or a print began.
    Cut,
    /// The printer could not be reached. The transfer begins again when it can.
    Unreachable,
    /// The connection broke. The transfer begins again after a pause, a few times.
    Lost(Message),
    /// The file on the printer was deleted, or there was none.
    Removed,
    /// The printer uses the file, so it cannot be deleted now.
    InUse,
    Failed(Message),
}

/// Returns the pause after this number of attempts.
pub(super) fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE * 2_u32.saturating_pow(attempts.saturating_sub(1).min(5))
}

/// Classifies the error of a request to the printer.
pub(super) fn end_of_error(error: &octoprint::Error) -> TransferEnd {
    use octoprint::Error as E;
    let message = error.message();
    match error {
        E::Offline { .. } => TransferEnd::Unreachable,
        // A printer that is busy, or that prints the file that would be overwritten.
        E::Lost { .. } | E::Timeout { .. } | E::Server { .. } | E::Conflict { .. } => TransferEnd::Lost(message),
        E::Silent { .. }
        | E::Blocked(_)
        | E::Invalid { .. }
        | E::Unauthorized
        | E::ProxyLogin
        | E::Redirected { .. }
        | E::NotFound
        | E::Refused { .. }
        | E::Protocol { .. }
        | E::NoSocket { .. } => TransferEnd::Failed(message),
    }
}

/// Classifies the error of a use case.
pub(super) fn end_of_service_error(error: &Error) -> TransferEnd {
    match error {
        // The database or the server is busy: not a fault of the printer or of the file.
        Error::Storage { .. } | Error::Busy(_) => TransferEnd::Lost(error.message()),
        _ => TransferEnd::Failed(error.message()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        assert_eq!([1, 2, 3, 40].map(|attempts| pause_after(attempts).as_secs()), [1, 2, 4, 32]);
    }
}
