//! Errors of requests to printers. The main question for each is: may the request have had an effect?

use std::time::Duration;

use crate::outbound::{Blocked, BodyError, DialError, LineError, TlsError, blocked_in, tls_error_in};

/// A request to a printer that did not succeed. Its text is for users; [`Error::wire_word`] is for programs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection could be made, so no byte of the request was sent. The causes: name not found, refused, no route, no
    /// connection within 3 s, TLS refused.
    #[error("could not be reached: {detail}")]
    Offline {
        /// The cause. Each needs a different action of the user.
        why: NoConnection,
        /// In plain words.
        detail: String,
    },
    /// The address guard blocks the address, so no byte was sent.
    #[error("is not contacted: {0}")]
    Blocked(Blocked),
    /// The request could not be built from its input (a header, a camera's address), so no byte was sent.
    #[error("could not be sent the request: {detail}")]
    Invalid {
        /// In plain words.
        detail: String,
    },
    /// No complete response in time. A connection may take 3 s. With a shorter timeout, this error may also mean that no
    /// connection was made.
    #[error("did not answer within {} s", .after.as_secs_f32())]
    Timeout {
        /// The time that was waited.
        after: Duration,
    },
    /// For this long, no data of the response arrived, or the printer accepted no data of an upload.
    #[error("sent and took no data for {} s", .after.as_secs_f32())]
    Silent {
        /// The time that was waited.
        after: Duration,
    },
    /// The connection broke after the request was sent, or may have been sent.
    #[error("lost the connection before the reply was complete: {detail}")]
    Lost {
        /// In plain words.
        detail: String,
    },
    /// OctoPrint refused the key, or the key lacks a permission. OctoPrint 1.11 sends 403 as JSON, and 400
    /// `CSRF validation failed` for a POST or DELETE without a valid key.
    #[error("refused the API key, or it lacks the permission for this")]
    Unauthorized,
    /// 401, or a 403 that is not JSON. OctoPrint sends neither: a web server in front of it refuses access.
    #[error("is behind a web server that refuses access: it wants a user and a password, or a header")]
    ProxyLogin,
    /// A redirect. It is not followed, because the request contains secrets.
    #[error("redirects to {to}")]
    Redirected {
        /// The target, without its query.
        to: String,
    },
    /// 409: the printer's state does not allow the request.
    #[error("refused in its present state: {message}")]
    Conflict {
        /// OctoPrint's own text.
        message: String,
    },
    /// 404.
    #[error("does not have that (404)")]
    NotFound,
    /// Any other 4xx.
    #[error("refused the request ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// OctoPrint's own text.
        message: String,
    },
    /// 5xx from OctoPrint, or from a proxy in front of it.
    #[error("failed with an error of its own ({status})")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The response does not come from a working OctoPrint: it is not HTTP, is a page instead of JSON, or is too large. An
    /// OctoPrint that is starting sends text that is not HTTP for about 0.3 s.
    #[error("did not answer as an OctoPrint does: {detail}")]
    Protocol {
        /// In plain words.
        detail: String,
    },
    /// HTTP works, but the event socket does not (a proxy without WebSockets). The caller must poll.
    #[error("does not open an event socket ({status})")]
    NoSocket {
        /// The HTTP status that was sent instead of 101.
        status: u16,
    },
}

/// Why no connection could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoConnection {
    /// The name cannot be resolved.
    Name,
    /// The host is reachable, but nothing listens on that port.
    Refused,
    /// There is no route to that network or host.
    Route,
    /// No connection within the timeout.
    Time,
    Tls(TlsError),
    /// Any other cause.
    Other,
}

impl NoConnection {
    fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Route,
            ErrorKind::TimedOut => Self::Time,
            _ => Self::Other,
        }
    }
}

impl Error {
    /// Whether the request may have had an effect. `false` is certain. After `true`, the caller must read the printer.
    pub fn may_have_acted(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Silent { .. }
            | Self::Lost { .. }
            | Self::Server { .. }
            | Self::Protocol { .. }
            | Self::Redirected { .. } => true,
            Self::Offline { .. }
            | Self::Blocked(_)
            | Self::Invalid { .. }
            | Self::Unauthorized
            | Self::ProxyLogin
            | Self::Conflict { .. }
            | Self::NotFound
            | Self::Refused { .. }
            | Self::NoSocket { .. } => false,
        }
    }

    /// Whether no byte of the request was sent.
    pub fn never_left(&self) -> bool {
        match self {
            Self::Offline { .. } | Self::Blocked(_) | Self::Invalid { .. } => true,
            Self::Timeout { .. }
            | Self::Silent { .. }
            | Self::Lost { .. }
            | Self::Unauthorized
            | Self::ProxyLogin
            | Self::Redirected { .. }
            | Self::Conflict { .. }
            | Self::NotFound
            | Self::Refused { .. }
            | Self::Server { .. }
            | Self::Protocol { .. }
            | Self::NoSocket { .. } => false,
        }
    }

    /// Whether OctoPrint, or a web server in front of it, refused the credentials.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::ProxyLogin)
    }

    /// Returns a short, stable code for the API, logs and metrics.
    pub fn wire_word(&self) -> &'static str {
        match self {
            Self::Offline { .. } => "offline",
            Self::Blocked(_) => "blocked_address",
            Self::Invalid { .. } => "invalid_request",
            Self::Timeout { .. } | Self::Silent { .. } => "timeout",
            Self::Lost { .. } => "connection_lost",
            Self::Unauthorized => "unauthorized",
            Self::ProxyLogin => "proxy_login",
            Self::Redirected { .. } => "redirected",
            Self::Conflict { .. } => "conflict",
            Self::NotFound => "not_found",
            Self::Refused { .. } => "refused",
            Self::Server { .. } => "server_error",
            Self::Protocol { .. } => "protocol_error",
            Self::NoSocket { .. } => "no_event_socket",
        }
    }

    /// Classifies an error of the HTTP client that occurred before the status.
    pub(super) fn from_send(error: &reqwest::Error) -> Self {
        if let Some(blocked) = blocked_in(error) {
            return Self::Blocked(blocked.clone());
        }
        if error.is_builder() {
            return Self::Invalid { detail: innermost(error) };
        }
        if let Some(tls) = tls_error_in(error) {
            return Self::Offline { detail: tls.to_string(), why: NoConnection::Tls(tls) };
        }
        if error.is_connect() {
            return match cause::<std::io::Error>(error) {
                _ if error.is_timeout() => Self::no_connection_in_time(),
                _ if error.is_dns() => {
                    Self::Offline { why: NoConnection::Name, detail: "its name could not be found".into() }
                }
                Some(io) => Self::Offline { why: NoConnection::of(io), detail: io_kind_words(io) },
                None => Self::Offline { why: NoConnection::Other, detail: innermost(error) },
            };
        }
        Self::from_exchange(error)
    }

    /// Classifies an error of a line that occurred before the status.
    pub(super) fn from_line(error: LineError) -> Self {
        match error {
            LineError::Dial(error) => Self::from_dial(error),
            LineError::Url => Self::Invalid { detail: "the address cannot be sent".into() },
            LineError::TooLate => Self::Offline {
                why: NoConnection::Time,
                detail: "the permit to send ran out before the request was written".to_owned(),
            },
            LineError::Http(error) => Self::from_exchange(&error),
        }
    }

    /// Classifies an error of an established connection. An error that is not surely another kind counts as lost.
    pub(super) fn from_exchange(error: &(dyn std::error::Error + 'static)) -> Self {
        match cause::<hyper::Error>(error) {
            Some(hyper) if hyper.is_parse() => Self::Protocol { detail: "what came was not HTTP".into() },
            Some(hyper) if hyper.is_incomplete_message() => Self::Lost { detail: "it was closed".into() },
            _ => Self::Lost { detail: io_words(error) },
        }
    }

    /// Classifies an error of reading the body. `after` is the timeout of the request.
    pub(super) fn from_body(error: &BodyError, after: Duration) -> Self {
        match error {
            BodyError::TooLarge { .. } => Self::Protocol { detail: error.to_string() },
            BodyError::TimedOut => Self::Timeout { after },
            BodyError::Silent { after } => Self::Silent { after: *after },
            BodyError::Broken(error) => Self::from_exchange(&**error),
        }
    }

    /// Classifies an error of making a connection.
    pub(super) fn from_dial(error: DialError) -> Self {
        match error {
            DialError::Blocked(blocked) => Self::Blocked(blocked),
            DialError::Connect(error) => Self::Offline { why: NoConnection::of(&error), detail: io_kind_words(&error) },
            DialError::Timeout(_) => Self::no_connection_in_time(),
            DialError::Name(_) => Self::Offline { why: NoConnection::Name, detail: error.to_string() },
            DialError::Tls(error) => Self::Offline { detail: error.to_string(), why: NoConnection::Tls(error) },
        }
    }

    fn no_connection_in_time() -> Self {
        Self::Offline { why: NoConnection::Time, detail: "no connection in time".into() }
    }

    pub(super) fn protocol(detail: impl Into<String>) -> Self {
        Self::Protocol { detail: detail.into() }
    }
}

/// Returns the first error of a type in an error's chain of causes.
fn cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref::<T>())
}

/// Returns the text of the last cause. (The text of reqwest repeats the URL, which the reader already has.)
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// Describes a failed connection in plain words.
pub(super) fn io_words(error: &(dyn std::error::Error + 'static)) -> String {
    cause::<std::io::Error>(error).map_or_else(|| innermost(error), io_kind_words)
}

/// Describes the common failures in Printyard's words, and the others in the system's words.
fn io_kind_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "it refused the connection".into(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "there is no way to its network".into(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            "it reset the connection".into()
        }
        ErrorKind::UnexpectedEof => "it was closed".into(),
        ErrorKind::TimedOut => "no connection in time".into(),
        _ => innermost(error),
    }
}
