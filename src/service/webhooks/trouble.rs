//! Why a receiver did not accept an event, in plain words, and what to do about it.

use std::{error::Error, fmt::Display, io, iter, time::Duration};

use url::Url;

use crate::{domain::interpolate::fill, outbound::SendError};

/// A failure of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// One sentence, with the names of values in braces.
    what: &'static str,
    /// The next step.
    todo: &'static str,
    host: String,
    detail: String,
}

impl Trouble {
    fn new((what, todo): (&'static str, &'static str), url: &Url, detail: impl Display) -> Self {
        let host = url.host_str().unwrap_or_default().to_owned();
        Self { what, todo, host, detail: detail.to_string() }
    }

    /// Returns the sentence about the failure.
    pub fn sentence(&self) -> String {
        fill(self.what, &[("host", &self.host), ("detail", &self.detail)])
    }

    /// Returns the advice for the user.
    pub fn advice(&self) -> String {
        fill(self.todo, &[("host", &self.host), ("detail", &self.detail)])
    }

    /// The receiver sent no response in time.
    pub(super) fn silence(url: &Url, after: Duration) -> Self {
        let words = (
            "The receiver at {host} gave no answer within {detail} s.",
            "Let it answer at once, and do the work afterwards. See that it is running.",
        );
        Self::new(words, url, after.as_secs_f32())
    }

    /// The request failed without a response.
    pub(super) fn of(error: &SendError, url: &Url) -> Self {
        let error = match error {
            SendError::Blocked(_) => {
                let words = (
                    "The receiver at {host} is in a network that this server must not connect to.",
                    "If it really is there, the person who runs this server can allow its network by \
                     PRINTYARD_WEBHOOK_NETWORKS.",
                );
                return Self::new(words, url, "");
            }
            SendError::Http(error) => error,
        };
        let refused = cause::<io::Error>(error).is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused);
        if error.is_connect() && !error.is_timeout() && !error.is_dns() && refused {
            let words =
                ("The receiver at {host} refused the connection.", "Start it, or correct the port in the address.");
            return Self::new(words, url, "");
        }
        let words = if error.is_dns() {
            ("The name {host} is not known to this server's network.", "Check how the address is spelled.")
        } else if error.is_connect() {
            (
                "The receiver at {host} could not be reached: {detail}.",
                "See that it is running, that the address is right, that its certificate holds, and that no firewall is \
                 in between.",
            )
        } else {
            (
                "The receiver at {host} broke the connection off before it had answered: {detail}.",
                "See what its own log says, and whether the address begins with the right one of http:// and https://.",
            )
        };
        let innermost = chain(error).last();
        Self::new(words, url, innermost.map(ToString::to_string).unwrap_or_default())
    }

    /// Returns the failure for a status. None: the receiver accepted the event.
    pub(super) fn of_status(status: u16, url: &Url) -> Option<Self> {
        let words = match status {
            200..=299 => return None,
            300..=399 => (
                "The receiver at {host} sent us elsewhere ({detail}), which is not followed.",
                "Give the webhook the address to which it leads.",
            ),
            401 | 403 => (
                "The receiver at {host} did not let us in ({detail}).",
                "See that it takes requests without a login, and that it checks signatures with the current secret.",
            ),
            404 => ("The receiver at {host} has nothing at this address ({detail}).", "Check the path of the address."),
            410 => (
                "The receiver at {host} is gone for good ({detail}).",
                "Remove the webhook, or give it another address and switch it on.",
            ),
            429 | 503 => (
                "The receiver at {host} has too much to do ({detail}).",
                "Nothing: it is tried again later. If that stays so, choose fewer types of events.",
            ),
            400..=499 => (
                "The receiver at {host} did not take the event ({detail}).",
                "See what its own log says: it may want another address, or other signatures.",
            ),
            _ => ("The receiver at {host} failed with an error of its own ({detail}).", "See what its own log says."),
        };
        Some(Self::new(words, url, status))
    }
}

/// Returns an error and its causes, outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| (*error).source())
}

/// Returns the first cause of a type.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref::<T>())
}
