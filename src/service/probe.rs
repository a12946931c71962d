//! The test of an address and a key before they are registered: what is wrong, in plain words, and what to do about it.
//!
//! Whoever adds a printer stands before it with a phone, or sits far away from it with a list. "It does not work" sends
//! them to somebody else; so each way of not working that a person can mend has a sentence and a next step of its own.

use std::time::Duration;

use url::Url;

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        access::Role,
        invalid::Invalid,
        printer::{check_api_key, normalise_url},
        state::Reachability,
        text::fill,
    },
    octoprint::{Error as PrinterError, NoConnection, OctoPrint, RequestOptions, Session},
    outbound::TlsError,
};

/// Permissions that Printyard needs of a printer's key (OctoPrint's names, documented; `STATUS` carries the push).
pub const NEEDED_PERMISSIONS: [&str; 8] =
    ["STATUS", "CONNECTION", "PRINT", "FILES_LIST", "FILES_UPLOAD", "FILES_SELECT", "FILES_DELETE", "CONTROL"];
/// Somebody waits for it.
const WITHIN: Duration = Duration::from_secs(5);

/// What a test of an address and a key found.
#[derive(Debug, Clone)]
pub struct TestReport {
    pub reachability: Reachability,
    pub octoprint_version: Option<String>,
    /// Who the key belongs to.
    pub user: Option<String>,
    pub missing_permissions: Vec<String>,
    /// None when all is well.
    pub trouble: Option<Trouble>,
}

/// What is wrong at an address, or with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A stable word.
    pub code: &'static str,
    /// One sentence, with the names of `values` in braces.
    pub what: &'static str,
    /// The next step.
    pub todo: &'static str,
    pub values: Vec<(&'static str, String)>,
}

impl Trouble {
    /// What is wrong, in English.
    pub fn sentence(&self) -> String {
        self.filled(self.what)
    }

    /// What to do, in English.
    pub fn advice(&self) -> String {
        self.filled(self.todo)
    }

    /// A text of it with its values: `what` or `todo`, in any language.
    pub fn filled(&self, text: &str) -> String {
        let values: Vec<(&str, &dyn std::fmt::Display)> =
            self.values.iter().map(|(name, value)| (*name, value as &dyn std::fmt::Display)).collect();
        fill(text, &values)
    }

    /// Of a request to the OctoPrint at `url` that failed. `keyless`: it was sent without a key.
    pub(super) fn of(error: &PrinterError, url: &Url, keyless: bool) -> Self {
        Self::with(words(error, keyless), error, url)
    }

    /// Code, sentence and next step of a request to `url` that failed.
    pub(super) fn with(
        (code, what, todo): (&'static str, &'static str, &'static str),
        error: &PrinterError,
        url: &Url,
    ) -> Self {
        let detail = match error {
            PrinterError::Offline { detail, .. }
            | PrinterError::Protocol { detail }
            | PrinterError::Lost { detail } => detail.clone(),
            PrinterError::Refused { message, status } => format!("{message} ({status})"),
            PrinterError::Server { status } => status.to_string(),
            other => other.to_string(),
        };
        let values = vec![
            ("host", url.host_str().unwrap_or_default().to_owned()),
            ("port", url.port_or_known_default().unwrap_or_default().to_string()),
            ("seconds", WITHIN.as_secs().to_string()),
            ("detail", detail),
        ];
        Self { code, what, todo, values }
    }

    fn missing_permissions(user: &str, missing: &[String]) -> Self {
        Self {
            code: "missing_permissions",
            what: "The key works, but its user {user} lacks permissions: {missing}.",
            todo: "In OctoPrint's Settings, Access Control, put the user into the group Operator, or give it these \
                   permissions. Then test again.",
            values: vec![("user", user.to_owned()), ("missing", missing.join(", "))],
        }
    }
}

/// Code, sentence and next step of each way in which an OctoPrint does not answer.
pub(super) fn words(error: &PrinterError, keyless: bool) -> (&'static str, &'static str, &'static str) {
    match error {
        PrinterError::Offline { why, .. } => no_connection(why),
        PrinterError::Blocked(_) => (
            "blocked_address",
            "{host} is not contacted: it is in a network that this server must not connect to.",
            "If the printer really is there, the person who runs this server can allow its network by \
             PRINTYARD_PRINTER_NETWORKS.",
        ),
        PrinterError::Timeout { .. } => (
            "timeout",
            "{host} took the connection, but gave no answer within {seconds} s.",
            "OctoPrint there hangs, or is very busy. Open it in a browser; if that stays empty, restart it.",
        ),
        PrinterError::Lost { .. } => (
            "connection_lost",
            "{host} broke the connection off before it had answered.",
            "Test again in a minute: it may be starting. If it stays so, see that the port is that of OctoPrint, and \
             whether the address has to begin with https://.",
        ),
        PrinterError::Unauthorized if keyless => (
            "key_wanted",
            "OctoPrint answers at {host}, and wants an API key.",
            "Let this page ask OctoPrint for a key, or make one in OctoPrint's Settings, Application Keys, and put it \
             in here.",
        ),
        PrinterError::Unauthorized => (
            "wrong_key",
            "OctoPrint at {host} does not accept this API key.",
            "Copy it once more, as a whole, from OctoPrint's Settings, Application Keys; or let this page ask \
             OctoPrint for a new one.",
        ),
        PrinterError::Server { status: 502..=504 } => (
            "server_error",
            "The web server of {host} answers, but OctoPrint behind it does not ({detail}).",
            "Start OctoPrint there, wait until its own page comes, and test again.",
        ),
        PrinterError::Server { .. } => (
            "server_error",
            "{host} failed with an error of its own ({detail}).",
            "See what octoprint.log says there, and whether this is the address of an OctoPrint.",
        ),
        PrinterError::Invalid { .. } => (
            "invalid_request",
            "The request to {host} could not be made: {detail}.",
            "Check how the address is written.",
        ),
        PrinterError::NotFound
        | PrinterError::Protocol { .. }
        | PrinterError::Refused { .. }
        | PrinterError::Conflict { .. }
        | PrinterError::NoSocket { .. } => (
            "not_octoprint",
            "Something answers at {host} on port {port}, but not as an OctoPrint does: {detail}.",
            "Open the address in a browser: OctoPrint's own page has to come. Check its port, its path, and whether it \
             begins with https://. If OctoPrint is just starting, wait half a minute.",
        ),
    }
}

fn no_connection(why: &NoConnection) -> (&'static str, &'static str, &'static str) {
    match why {
        NoConnection::Name => (
            "name_not_found",
            "The name {host} is not known to this server's network.",
            "Check how it is spelled, or write the printer's IP address instead. Names that end in .local need mDNS on \
             this server, which containers mostly lack.",
        ),
        NoConnection::Refused => (
            "connection_refused",
            "{host} is there, but nothing listens on its port {port}.",
            "Start OctoPrint there, or correct the port: OctoPrint itself has 5000, behind its usual web server it is \
             80.",
        ),
        NoConnection::Time => (
            "no_connection",
            "{host} does not answer: no connection came about within 3 s.",
            "See that it is switched on and on the network, that the IP address is right, and that no firewall is in \
             between.",
        ),
        NoConnection::Route => (
            "no_route",
            "There is no way from this server to {host}.",
            "See that it is switched on, that the IP address is right, and that this server is on a network from which \
             it can be reached.",
        ),
        NoConnection::Tls(tls) => no_tls(tls),
        NoConnection::Other => (
            "offline",
            "{host} could not be reached: {detail}.",
            "See that it is switched on, that OctoPrint runs there, and that the address is right.",
        ),
    }
}

fn no_tls(error: &TlsError) -> (&'static str, &'static str, &'static str) {
    match error {
        TlsError::NotSpoken => (
            "tls_not_spoken",
            "{host} does not speak HTTPS on port {port}.",
            "Begin the address with http:// instead, or name the port that has HTTPS.",
        ),
        TlsError::Untrusted => (
            "tls_untrusted",
            "The certificate of {host} is from nobody whom this server trusts.",
            "Add the authority that made it to the trusted certificates of this server's system and restart \
             Printyard, or use http:// within your own network.",
        ),
        TlsError::OutOfTime => (
            "tls_out_of_time",
            "The certificate of {host} has run out, or is not valid yet.",
            "Renew the certificate there, and see that the clocks of both machines are right.",
        ),
        TlsError::OtherName => (
            "tls_other_name",
            "The certificate of {host} was made for another name.",
            "Write the address with the name for which it was made, or make one for {host}.",
        ),
        TlsError::Other(_) => (
            "tls_failed",
            "HTTPS with {host} did not come about: {detail}.",
            "See that the port is the one for HTTPS, or begin the address with http://.",
        ),
    }
}

impl Services {
    /// Tries an address and a key, and says in plain words what is wrong.
    pub async fn test_printer(&self, who: &Principal, url: &str, api_key: Option<String>) -> Result<TestReport, Error> {
        who.require(Role::Manager)?;
        let url = normalise_url(url).map_err(|rule| Invalid::one("/url", "url", rule))?;
        let mut invalid = Invalid::default();
        if let Some(key) = &api_key {
            check_api_key(&mut invalid, key);
        }
        invalid.or_ok(())?;
        let keyless = api_key.is_none();
        Ok(probe(&self.client_for(&url, api_key)?, keyless).await)
    }
}

async fn probe(octoprint: &OctoPrint, keyless: bool) -> TestReport {
    let options = RequestOptions::within(WITHIN);
    let mut report = TestReport {
        reachability: Reachability::Online,
        octoprint_version: None,
        user: None,
        missing_permissions: Vec::new(),
        trouble: None,
    };
    let version = octoprint.version(&options).await;
    // A key that lacks STATUS is refused the version as a wrong one is; only the login tells them apart.
    let refused = version == Err(PrinterError::Unauthorized) && !keyless;
    let result = match version {
        Ok(version) => {
            report.octoprint_version = Some(version.server);
            octoprint.login(&options).await
        }
        Err(_) if refused => octoprint.login(&options).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(session) => {
            report.missing_permissions = missing(&session);
            if !report.missing_permissions.is_empty() {
                report.trouble = Some(Trouble::missing_permissions(&session.name, &report.missing_permissions));
            } else if refused {
                report.trouble = Some(Trouble::of(&PrinterError::Unauthorized, octoprint.base(), keyless));
                report.reachability = Reachability::Unauthorized;
            }
            report.user = Some(session.name);
        }
        Err(error) => {
            report.reachability = reachability(&error);
            report.trouble = Some(Trouble::of(&error, octoprint.base(), keyless));
        }
    }
    report
}

/// What a key may not do that it would have to.
fn missing(session: &Session) -> Vec<String> {
    let has = |right: &str| session.rights.iter().any(|own| own == right);
    let lacks = |needed: &&&str| !has("admin") && !has(&needed.to_lowercase());
    NEEDED_PERMISSIONS.iter().filter(lacks).map(|needed| (*needed).to_owned()).collect()
}

fn reachability(error: &PrinterError) -> Reachability {
    use PrinterError as E;
    match error {
        E::Unauthorized => Reachability::Unauthorized,
        E::Offline { .. } | E::Blocked(_) | E::Timeout { .. } | E::Lost { .. } | E::Server { .. } => {
            Reachability::Unreachable
        }
        E::Invalid { .. }
        | E::Conflict { .. }
        | E::NotFound
        | E::Refused { .. }
        | E::Protocol { .. }
        | E::NoSocket { .. } => Reachability::Incompatible,
    }
}
