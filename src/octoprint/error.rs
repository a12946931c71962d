//! Errors of requests to printers. The main question for each is: may the request have had an effect?

use std::time::Duration;

use crate::{
    domain::message::Message,
    outbound::{BlockedAddress, BodyError, DialError, PoolError, TlsHandshakeError, find_blocked, find_tls_error},
};

/// A request to a printer that did not succeed. [`Error::message`] is for users, [`Error::code`] for programs, and
/// `Display` for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection could be made, so no byte of the request was sent. The causes: name not found, refused, no route, no
    /// connection within 3 s, TLS refused.
    #[error("could not be reached: {detail}")]
    Offline {
        /// The cause. Each needs a different action of the user.
        cause: OfflineCause,
        /// The cause, as a part of a sentence.
        detail: Message,
    },
    /// The address guard blocks the address, so no byte was sent.
    #[error("is not contacted: {0}")]
    Blocked(BlockedAddress),
    /// The request could not be built from its input (a header, a camera's address), so no byte was sent.
    #[error("could not be sent the request: {detail}")]
    Invalid {
        /// The cause, as a part of a sentence.
        detail: Message,
    },
    /// No complete response in time. A connection may take 3 s. With a shorter timeout, this error may also mean that no
    /// connection was made.
    #[error("did not reply within {} s", .after.as_secs_f32())]
    Timeout {
        /// The time that was waited.
        after: Duration,
    },
    /// For this long, no data of the response arrived, or the printer accepted no data of an upload.
    #[error("sent and received no data for {} s", .after.as_secs_f32())]
    Silent {
        /// The time that was waited.
        after: Duration,
    },
    /// The connection broke after the request was sent, or may have been sent.
    #[error("lost the connection before the reply was complete: {detail}")]
    Lost {
        /// The cause, as a part of a sentence.
        detail: Message,
    },
    /// OctoPrint refused the key, or the key lacks a permission. OctoPrint 1.11 sends 403 as JSON, and 400
    /// `CSRF validation failed` for a POST or DELETE without a valid key.
    #[error("refused the API key, or it lacks the permission for this")]
    Unauthorized,
    /// 401, or a 403 that is not JSON. OctoPrint sends neither: a web server in front of it refuses access.
    #[error("is behind a web server that refuses access")]
    ProxyLogin,
    /// A redirect. It is not followed, because the request contains secrets.
    #[error("redirects to {to}")]
    Redirected {
        /// The target, without its query.
        to: String,
    },
    /// 409: the printer's state does not allow the request.
    #[error("refused in its current state: {message}")]
    Conflict {
        /// OctoPrint's own text.
        message: String,
    },
    /// 404.
    #[error("does not have it (404)")]
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
    #[error("failed with the status {status}")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The response does not come from a working OctoPrint: it is not HTTP, is a page instead of JSON, or is too large. An
    /// OctoPrint that is starting sends text that is not HTTP for about 0.3 s.
    #[error("does not reply like OctoPrint: {detail}")]
    Protocol {
        /// The cause, as a part of a sentence.
        detail: Message,
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
pub enum OfflineCause {
    /// The name cannot be resolved.
    NameNotFound,
    /// The host is reachable, but nothing listens on that port.
    Refused,
    /// There is no route to that network or host.
    NoRoute,
    /// No connection within the timeout.
    Timeout,
    Tls(TlsHandshakeError),
    /// Any other cause.
    Other,
}

impl OfflineCause {
    fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::NoRoute,
            ErrorKind::TimedOut => Self::Timeout,
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
    pub fn is_unsent(&self) -> bool {
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
    pub fn code(&self) -> &'static str {
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

    /// Returns the text for the user, a whole sentence.
    pub fn message(&self) -> Message {
        match self {
            Self::Offline { detail, .. } => Message::new("printer-error-offline").with_message("cause", detail.clone()),
            Self::Blocked(blocked) => {
                Message::new("printer-error-blocked-address").with_message("cause", blocked.message())
            }
            Self::Invalid { detail } => {
                Message::new("printer-error-invalid-request").with_message("cause", detail.clone())
            }
            Self::Timeout { after } => Message::new("printer-error-timeout").with("seconds", after.as_secs_f32()),
            // It has the same code for programs.
            Self::Silent { after } => Message::new("printer-error-silent").with("seconds", after.as_secs_f32()),
            Self::Lost { detail } => {
                Message::new("printer-error-connection-lost").with_message("cause", detail.clone())
            }
            Self::Unauthorized => Message::new("printer-error-unauthorized"),
            Self::ProxyLogin => Message::new("printer-error-proxy-login"),
            Self::Redirected { to } => Message::new("printer-error-redirected").with("url", to),
            Self::Conflict { message } => Message::new("printer-error-conflict").with("text", message),
            Self::NotFound => Message::new("printer-error-not-found"),
            Self::Refused { status, message } => {
                Message::new("printer-error-refused").with("status", status).with("text", message)
            }
            Self::Server { status } => Message::new("printer-error-server-error").with("status", status),
            Self::Protocol { detail } => {
                Message::new("printer-error-protocol-error").with_message("cause", detail.clone())
            }
            Self::NoSocket { status } => Message::new("printer-error-no-event-socket").with("status", status),
        }
    }

    /// Classifies an error of the HTTP client that occurred before the status.
    pub(super) fn from_send(error: &reqwest::Error) -> Self {
        if let Some(blocked) = find_blocked(error) {
            return Self::Blocked(blocked.clone());
        }
        if error.is_builder() {
            return Self::Invalid { detail: innermost_text(error) };
        }
        if let Some(tls) = find_tls_error(error) {
            return Self::from_tls(tls);
        }
        if error.is_connect() {
            return match find_cause::<std::io::Error>(error) {
                _ if error.is_timeout() => Self::connect_timeout(),
                _ if error.is_dns() => {
                    let name = error.url().and_then(|url| url.host_str());
                    Self::name_not_found(name.unwrap_or_default())
                }
                Some(io) => Self::Offline { cause: OfflineCause::from_io(io), detail: io_cause(io) },
                None => Self::Offline { cause: OfflineCause::Other, detail: innermost_text(error) },
            };
        }
        Self::from_http(error)
    }

    /// Classifies an error of a connection pool that occurred before the status.
    pub(super) fn from_pool(error: PoolError) -> Self {
        match error {
            PoolError::Dial(error) => Self::from_dial(error),
            PoolError::Url => Self::Invalid { detail: Message::new("cause-address-not-sendable") },
            PoolError::TooLate => {
                Self::Offline { cause: OfflineCause::Timeout, detail: Message::new("cause-too-late") }
            }
            PoolError::Http(error) => Self::from_http(&error),
        }
    }

    /// Classifies an error of an established connection. An error that is not surely another kind counts as lost.
    pub(super) fn from_http(error: &(dyn std::error::Error + 'static)) -> Self {
        match find_cause::<hyper::Error>(error) {
            Some(hyper) if hyper.is_parse() => Self::protocol("cause-not-http"),
            Some(hyper) if hyper.is_incomplete_message() => Self::Lost { detail: Message::new("cause-closed") },
            _ => Self::Lost { detail: cause_of_loss(error) },
        }
    }

    /// Classifies an error of reading the body. `after` is the timeout of the request.
    pub(super) fn from_body(error: &BodyError, after: Duration) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::protocol(Message::new("cause-body-too-large").with("limit", limit)),
            BodyError::TimedOut => Self::Timeout { after },
            BodyError::Silent { after } => Self::Silent { after: *after },
            BodyError::Broken(error) => Self::from_http(&**error),
        }
    }

    /// Classifies an error of making a connection.
    pub(super) fn from_dial(error: DialError) -> Self {
        match error {
            DialError::Blocked(blocked) => Self::Blocked(blocked),
            DialError::Connect(error) => {
                Self::Offline { cause: OfflineCause::from_io(&error), detail: io_cause(&error) }
            }
            DialError::Timeout(_) => Self::connect_timeout(),
            DialError::NameNotFound(name) => Self::name_not_found(&name),
            DialError::Tls(error) => Self::from_tls(error),
        }
    }

    fn from_tls(error: TlsHandshakeError) -> Self {
        Self::Offline { detail: error.message(), cause: OfflineCause::Tls(error) }
    }

    fn name_not_found(name: &str) -> Self {
        Self::Offline {
            cause: OfflineCause::NameNotFound,
            detail: Message::new("cause-name-not-found").with("name", name),
        }
    }

    fn connect_timeout() -> Self {
        Self::Offline { cause: OfflineCause::Timeout, detail: Message::new("cause-connection-timed-out") }
    }

    pub(super) fn protocol(detail: impl Into<Message>) -> Self {
        Self::Protocol { detail: detail.into() }
    }
}

/// Returns the first error of a type in an error's chain of causes.
fn find_cause<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref::<T>())
}

/// Returns the text of the last cause. (The text of reqwest repeats the URL, which the reader already has.)
fn innermost_text(error: &(dyn std::error::Error + 'static)) -> Message {
    let last = std::iter::successors(Some(error), |error| error.source()).last();
    Message::verbatim(last.map(ToString::to_string).unwrap_or_default())
}

/// Returns why an established connection ended.
pub(super) fn cause_of_loss(error: &(dyn std::error::Error + 'static)) -> Message {
    find_cause::<std::io::Error>(error).map_or_else(|| innermost_text(error), io_cause)
}

/// Describes the common failures in Printyard's words, and the others in the system's words.
fn io_cause(error: &std::io::Error) -> Message {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => Message::new("cause-connection-refused"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Message::new("cause-no-route"),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            Message::new("cause-connection-reset")
        }
        ErrorKind::UnexpectedEof => Message::new("cause-closed"),
        ErrorKind::TimedOut => Message::new("cause-connection-timed-out"),
        _ => innermost_text(error),
    }
}
