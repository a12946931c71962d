//! Diagnosis of a failed request to a printer: a code with arguments. `http` has the sentences.

use url::Url;

use crate::{
    domain::{
        message::{Argument, Message},
        printer_access::PrinterAccess,
    },
    octoprint::{Error as PrinterError, OfflineCause},
    outbound::TlsHandshakeError,
};

/// What is wrong with an address, or with the access data for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiagnosisCode {
    NameNotFound,
    ConnectionRefused,
    NoConnection,
    NoRoute,
    Offline,
    BlockedAddress,
    TlsNotSpoken,
    TlsUntrusted,
    /// A CA certificate was given, but the server's certificate is from another authority.
    TlsOtherAuthority,
    TlsOutOfTime,
    TlsOtherName,
    TlsFailed,
    Timeout,
    ConnectionLost,
    /// A web server in front of OctoPrint requires a user and a password, or a header.
    ProxyLogin,
    /// The web server in front of OctoPrint does not accept the given credentials.
    ProxyRefused,
    /// Status 502 to 504: a web server replies, but the OctoPrint behind it does not.
    ProxyError,
    /// A redirect to the same path at another address. The argument `suggested_url` is that address.
    Redirected,
    RedirectedElsewhere,
    ServerError,
    InvalidRequest,
    NotOctoPrint,
    KeyWanted,
    WrongKey,
    MissingPermissions,
    /// Requests work, but the event socket or the login for it does not.
    NoEvents,
    NoAppKeys,
    TooManyRequests,
    AskingRefused,
}

impl DiagnosisCode {
    /// Every code.
    pub const ALL: [Self; 29] = [
        Self::NameNotFound,
        Self::ConnectionRefused,
        Self::NoConnection,
        Self::NoRoute,
        Self::Offline,
        Self::BlockedAddress,
        Self::TlsNotSpoken,
        Self::TlsUntrusted,
        Self::TlsOtherAuthority,
        Self::TlsOutOfTime,
        Self::TlsOtherName,
        Self::TlsFailed,
        Self::Timeout,
        Self::ConnectionLost,
        Self::ProxyLogin,
        Self::ProxyRefused,
        Self::ProxyError,
        Self::Redirected,
        Self::RedirectedElsewhere,
        Self::ServerError,
        Self::InvalidRequest,
        Self::NotOctoPrint,
        Self::KeyWanted,
        Self::WrongKey,
        Self::MissingPermissions,
        Self::NoEvents,
        Self::NoAppKeys,
        Self::TooManyRequests,
        Self::AskingRefused,
    ];

    /// Returns the API name of the code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NameNotFound => "name_not_found",
            Self::ConnectionRefused => "connection_refused",
            Self::NoConnection => "no_connection",
            Self::NoRoute => "no_route",
            Self::Offline => "offline",
            Self::BlockedAddress => "blocked_address",
            Self::TlsNotSpoken => "tls_not_spoken",
            Self::TlsUntrusted => "tls_untrusted",
            Self::TlsOtherAuthority => "tls_other_authority",
            Self::TlsOutOfTime => "tls_out_of_time",
            Self::TlsOtherName => "tls_other_name",
            Self::TlsFailed => "tls_failed",
            Self::Timeout => "timeout",
            Self::ConnectionLost => "connection_lost",
            Self::ProxyLogin => "proxy_login",
            Self::ProxyRefused => "proxy_refused",
            // Both have the same name, as in the first release.
            Self::ProxyError | Self::ServerError => "server_error",
            Self::Redirected => "redirected",
            Self::RedirectedElsewhere => "redirected_elsewhere",
            Self::InvalidRequest => "invalid_request",
            Self::NotOctoPrint => "not_octoprint",
            Self::KeyWanted => "key_wanted",
            Self::WrongKey => "wrong_key",
            Self::MissingPermissions => "missing_permissions",
            Self::NoEvents => "no_events",
            Self::NoAppKeys => "no_app_keys",
            Self::TooManyRequests => "too_many_requests",
            Self::AskingRefused => "asking_refused",
        }
    }
}

/// A code with the arguments for its sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub code: DiagnosisCode,
    pub arguments: Vec<(&'static str, Argument)>,
}

impl Diagnosis {
    /// Diagnoses a failed request to the OctoPrint at `base`. `seconds`: how long the client waited for a reply.
    pub(super) fn from_error(error: &PrinterError, base: &Url, access: &PrinterAccess, seconds: u64) -> Self {
        let suggestion = match error {
            PrinterError::Redirected { to } => suggested_url(base, to),
            _ => None,
        };
        let code = if suggestion.is_some() { DiagnosisCode::Redirected } else { classify_error(error, access) };
        let mut diagnosis = Self::with_code(code, error, base, seconds);
        diagnosis.arguments.extend(suggestion.map(|url| ("suggested_url", Argument::Value(url))));
        diagnosis
    }

    /// Like [`from_error`](Self::from_error), for a known code.
    pub(super) fn with_code(code: DiagnosisCode, error: &PrinterError, base: &Url, seconds: u64) -> Self {
        let detail = match error {
            PrinterError::Offline { detail, .. }
            | PrinterError::Invalid { detail }
            | PrinterError::Protocol { detail }
            | PrinterError::Lost { detail } => Argument::Message(detail.clone()),
            PrinterError::Blocked(blocked) => Argument::Message(blocked.message()),
            PrinterError::Refused { message, status } => Argument::Value(format!("{message} ({status})")),
            PrinterError::Conflict { message } => Argument::Value(format!("{message} (409)")),
            PrinterError::Server { status } => Argument::Value(status.to_string()),
            PrinterError::Redirected { to } => Argument::Value(to.clone()),
            PrinterError::NotFound => Argument::Message(unexpected_status(404)),
            PrinterError::NoSocket { status } => Argument::Message(unexpected_status(*status)),
            // The sentences for their codes do not use the detail.
            PrinterError::Timeout { .. }
            | PrinterError::Silent { .. }
            | PrinterError::Unauthorized
            | PrinterError::ProxyLogin => Argument::Message(error.message()),
        };
        let arguments = vec![
            ("host", Argument::Value(base.host_str().unwrap_or_default().to_owned())),
            ("port", Argument::Value(base.port_or_known_default().unwrap_or_default().to_string())),
            ("seconds", Argument::Value(seconds.to_string())),
            ("detail", detail),
        ];
        Self { code, arguments }
    }

    /// Diagnosis of a valid key that lacks permissions.
    pub(super) fn missing_permissions(user: &str, missing: &[String]) -> Self {
        let arguments =
            vec![("user", Argument::Value(user.to_owned())), ("missing", Argument::Value(missing.join(", ")))];
        Self { code: DiagnosisCode::MissingPermissions, arguments }
    }

    pub(super) fn no_events() -> Self {
        Self { code: DiagnosisCode::NoEvents, arguments: Vec::new() }
    }

    /// Returns the address to use instead of the tested one.
    pub fn suggested_url(&self) -> Option<&str> {
        self.arguments.iter().find_map(|argument| match argument {
            ("suggested_url", Argument::Value(url)) => Some(url.as_str()),
            _ => None,
        })
    }
}

fn unexpected_status(status: u16) -> Message {
    Message::new("cause-unexpected-status").with("status", status)
}

fn classify_error(error: &PrinterError, access: &PrinterAccess) -> DiagnosisCode {
    match error {
        PrinterError::Offline { cause: why, .. } => match why {
            OfflineCause::NameNotFound => DiagnosisCode::NameNotFound,
            OfflineCause::Refused => DiagnosisCode::ConnectionRefused,
            OfflineCause::Timeout => DiagnosisCode::NoConnection,
            OfflineCause::NoRoute => DiagnosisCode::NoRoute,
            OfflineCause::Other => DiagnosisCode::Offline,
            OfflineCause::Tls(tls) => match tls {
                TlsHandshakeError::NotTls => DiagnosisCode::TlsNotSpoken,
                TlsHandshakeError::Untrusted if access.ca_certificate.is_some() => DiagnosisCode::TlsOtherAuthority,
                TlsHandshakeError::Untrusted => DiagnosisCode::TlsUntrusted,
                TlsHandshakeError::NotValidNow => DiagnosisCode::TlsOutOfTime,
                TlsHandshakeError::WrongName => DiagnosisCode::TlsOtherName,
                TlsHandshakeError::Other(_) => DiagnosisCode::TlsFailed,
            },
        },
        PrinterError::Blocked(_) => DiagnosisCode::BlockedAddress,
        PrinterError::Timeout { .. } | PrinterError::Silent { .. } => DiagnosisCode::Timeout,
        PrinterError::Lost { .. } => DiagnosisCode::ConnectionLost,
        PrinterError::Unauthorized if access.api_key.is_none() => DiagnosisCode::KeyWanted,
        PrinterError::Unauthorized => DiagnosisCode::WrongKey,
        PrinterError::ProxyLogin if access.proxy_auth.is_some() || !access.headers.is_empty() => {
            DiagnosisCode::ProxyRefused
        }
        PrinterError::ProxyLogin => DiagnosisCode::ProxyLogin,
        PrinterError::Redirected { .. } => DiagnosisCode::RedirectedElsewhere,
        PrinterError::Server { status: 502..=504 } => DiagnosisCode::ProxyError,
        PrinterError::Server { .. } => DiagnosisCode::ServerError,
        PrinterError::Invalid { .. } => DiagnosisCode::InvalidRequest,
        PrinterError::NotFound
        | PrinterError::Protocol { .. }
        | PrinterError::Refused { .. }
        | PrinterError::Conflict { .. }
        | PrinterError::NoSocket { .. } => DiagnosisCode::NotOctoPrint,
    }
}

/// Paths that a connection test requests, below the address of an OctoPrint.
const TESTED_PATHS: [&str; 3] = ["/api/version", "/api/login", "/plugin/appkeys/request"];

/// Returns the address of the OctoPrint to which a request was redirected. None: the redirect does not keep the path.
fn suggested_url(base: &Url, to: &str) -> Option<String> {
    let mut target = base.join(to).ok()?;
    let path = target.path().trim_end_matches('/');
    let path = TESTED_PATHS.iter().find_map(|tested| path.strip_suffix(tested))?.to_owned();
    target.set_path(&path);
    let url = crate::domain::printer::normalise_url(target.as_str()).ok()?;
    // A redirect to the same address suggests nothing.
    (Some(&url) != crate::domain::printer::normalise_url(base.as_str()).ok().as_ref()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_to_the_same_path_suggests_its_address() {
        let base: Url = "http://octopi.local/".parse().expect("a valid URL");
        for (to, suggested) in [
            ("https://octopi.local/api/version", Some("https://octopi.local")),
            ("http://farm.example/printer-7/api/version", Some("http://farm.example/printer-7")),
            ("/octoprint/api/version", Some("http://octopi.local/octoprint")),
            ("/api/version", None),
            ("https://login.example/oauth2/start", None),
            ("ftp://octopi.local/api/version", None),
        ] {
            assert_eq!(suggested_url(&base, to).as_deref(), suggested, "{to}");
        }
    }
}
