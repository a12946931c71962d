//! Failures of a delivery to a webhook receiver: the problem and the next step.

use std::{error::Error, io, iter, time::Duration};

use url::Url;

use crate::{domain::message::Message, outbound::SendError};

/// Why a receiver did not accept an event, and what the user can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFailure {
    /// A whole sentence.
    pub problem: Message,
    pub next_step: Message,
}

impl DeliveryFailure {
    fn new(problem: Message, next_step: &'static str, url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        Self { problem: problem.with("host", host), next_step: Message::new(next_step) }
    }

    /// The receiver did not reply in time.
    pub(super) fn timeout(url: &Url, after: Duration) -> Self {
        let problem = Message::new("delivery-timeout").with("seconds", after.as_secs_f32());
        Self::new(problem, "delivery-timeout-next", url)
    }

    /// The request failed without a response.
    pub(super) fn from_error(error: &SendError, url: &Url) -> Self {
        let error = match error {
            SendError::Blocked(_) => {
                return Self::new(Message::new("delivery-blocked"), "delivery-blocked-next", url);
            }
            SendError::Http(error) => error,
        };
        let refused = find_cause::<io::Error>(error).is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused);
        if error.is_connect() && !error.is_timeout() && !error.is_dns() && refused {
            let problem = Message::new("delivery-connection-refused");
            return Self::new(problem, "delivery-connection-refused-next", url);
        }
        if error.is_dns() {
            return Self::new(Message::new("delivery-name-not-found"), "delivery-name-not-found-next", url);
        }
        let innermost = error_chain(error).last().map(ToString::to_string).unwrap_or_default();
        let (problem, next_step) = if error.is_connect() {
            ("delivery-unreachable", "delivery-unreachable-next")
        } else {
            ("delivery-connection-lost", "delivery-connection-lost-next")
        };
        Self::new(Message::new(problem).with("detail", innermost), next_step, url)
    }

    /// Returns the failure for a status. None: the receiver accepted the event.
    pub(super) fn from_status(status: u16, url: &Url) -> Option<Self> {
        let (problem, next_step) = match status {
            200..=299 => return None,
            300..=399 => ("delivery-redirected", "delivery-redirected-next"),
            401 | 403 => ("delivery-unauthorized", "delivery-unauthorized-next"),
            404 => ("delivery-not-found", "delivery-not-found-next"),
            410 => ("delivery-gone", "delivery-gone-next"),
            429 | 503 => ("delivery-overloaded", "delivery-overloaded-next"),
            400..=499 => ("delivery-refused", "delivery-refused-next"),
            _ => ("delivery-server-error", "delivery-server-error-next"),
        };
        Some(Self::new(Message::new(problem).with("status", status), next_step, url))
    }
}

/// Returns an error and its causes, outermost first.
fn error_chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| (*error).source())
}

/// Returns the first cause of a type.
fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    error_chain(error).find_map(|error| error.downcast_ref::<T>())
}
