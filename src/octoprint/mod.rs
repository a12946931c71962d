//! The client of OctoPrint: the only module that sends requests to printers.
//!
//! [`OctoPrint`] is a client of one OctoPrint instance. Its model is OctoPrint's JavaScript client: [`JobClient`] has the same
//! job functions under the same names, with the same request options. Everything documented here was measured on OctoPrint
//! 1.11.8, 2.0.0rc7 and 2.1.0.dev, unless a comment names another source.
//!
//! Three rules hold in all submodules:
//! * **A response is not an effect.** OctoPrint's `204` means accepted. The caller must check the effect.
//! * **An error states whether the request may have arrived** ([`Error::may_have_acted`]). This module never repeats a
//!   request.
//! * **Responses are read leniently** (`lenient`): versions and plugins add fields, drop them, and change their types.
//!
//! Printyard never sends a version header. 1.11 ignores it. 2.x changes its response shapes for it, and answers 500 to one
//! that it does not accept.

mod app_keys;
mod camera;
mod connection;
mod discovery;
mod error;
#[cfg(test)]
mod error_tests;
mod event_frame;
mod event_socket;
mod files;
mod job;
mod lenient;
mod login;
mod printer;
mod python_json;
mod request;
mod settings;
#[cfg(test)]
mod testing;
mod upload;
mod version;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use app_keys::KeyRequest;
pub use connection::{ConnectionClient, ConnectionReading};
pub use discovery::{DiscoveredInstance, discover_instances};
pub use error::{Error, OfflineCause};
pub use event_frame::EventFrame;
pub use event_socket::{EventSocket, EventSocketError};
pub use files::FilesClient;
pub use job::JobClient;
pub use login::OctoPrintSession;
pub use printer::{PrinterClient, PrinterReading};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
pub use upload::Upload;
use url::Url;
pub use version::OctoPrintVersion;

use crate::{
    domain::printer_access::PrinterAccess,
    outbound::{BlockedAddress, Certificates, ConnectionPool, Outbound, SetupError},
};

/// The timeout of a request whose options have none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one OctoPrint instance. Cheap to clone: a clone increments a reference count.
#[derive(Clone)]
pub struct OctoPrint(Arc<OctoPrintInner>);

struct OctoPrintInner {
    /// Ends in `/`. Has no user, query and fragment.
    base: Url,
    /// Built once, because a thousand requests at the same time use this path.
    job_url: Url,
    /// The API key, and the headers that a web server in front of OctoPrint needs. They never appear in a `Debug` output.
    credentials: HeaderMap,
    /// Set if the base URL contains a literal address that must not be contacted.
    blocked: Option<BlockedAddress>,
    outbound: Outbound,
    pool: ConnectionPool,
}

/// The options of one request, as in OctoPrint's JavaScript client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestOptions {
    /// For the whole request, from the connection to the last byte. `None`: [`DEFAULT_TIMEOUT`].
    pub timeout: Option<Duration>,
    /// The request ends if no data of the response arrives for this long, or if the printer accepts no data of an upload.
    /// `None`: only uploads and lists of files have such a limit.
    pub silence: Option<Duration>,
    /// Sent in addition to the client's own headers. A header with the same name replaces the client's.
    pub headers: Vec<(String, String)>,
    /// Added to the query of the URL.
    pub params: Vec<(String, String)>,
    /// No byte of the request is sent after this time: it then ends as [`Error::Offline`]. Uploads and cameras ignore it.
    pub not_after: Option<Instant>,
}

impl RequestOptions {
    /// Returns options with a timeout for the whole request and no other limit.
    pub fn with_timeout(timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..Self::default() }
    }
}

/// Why no client can be created. The texts contain no secrets.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAccess {
    /// A key that cannot be sent. OctoPrint 1.11 answers 500 to non-ASCII keys, so they are refused before.
    #[error("an API key has only visible ASCII characters")]
    Key,
    /// A header that cannot be sent.
    #[error("the header {0} cannot be sent")]
    Header(String),
    /// A text that is not a certificate.
    #[error("the CA certificate cannot be read")]
    Certificate,
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl OctoPrint {
    /// Creates a client for the instance at `base`, which may have a path of its own (`http://farm/printer-7/`). Sends nothing
    /// yet.
    ///
    /// The headers and the user of `access` are sent with every request to this host and port. Its certificates apply to every
    /// connection.
    ///
    /// # Errors
    /// If the key is empty or has characters other than visible ASCII, or if another part of `access` cannot be used.
    pub fn new(base: Url, access: &PrinterAccess, outbound: Outbound) -> Result<Self, InvalidAccess> {
        let mut credentials = HeaderMap::new();
        for (name, value) in &access.headers {
            let invalid = || InvalidAccess::Header(name.clone());
            let header = HeaderName::try_from(name).map_err(|_| invalid())?;
            let mut value = HeaderValue::try_from(value).map_err(|_| invalid())?;
            value.set_sensitive(true);
            credentials.insert(header, value);
        }
        if let Some(key) = &access.api_key {
            credentials.insert(request::X_API_KEY, secret_header(key)?);
        }
        let basic = access.proxy_auth.as_ref().and_then(|auth| request::basic_auth(&auth.user, &auth.password));
        if let Some(basic) = basic.or_else(|| request::basic_auth_from_url(&base)) {
            credentials.insert(AUTHORIZATION, basic);
        }
        let outbound = match &access.ca_certificate {
            None => outbound,
            Some(pem) => {
                let certificates = Certificates::parse(pem).map_err(|_| InvalidAccess::Certificate)?;
                outbound.with_certificates(&certificates)?
            }
        };
        let blocked = outbound.check_literal(&base).err();
        let base = normalize_base_url(base);
        let job_url = request::endpoint(&base, &["api", "job"]);
        let pool = ConnectionPool::new(outbound.clone(), base.clone());
        Ok(Self(Arc::new(OctoPrintInner { base, job_url, credentials, blocked, outbound, pool })))
    }

    /// Returns the address of the instance. It ends in `/` and has no user and password.
    pub fn base(&self) -> &Url {
        &self.0.base
    }

    /// The client for the print job.
    pub fn job(&self) -> JobClient<'_> {
        JobClient(self)
    }

    /// The client for the printer behind OctoPrint: its flags, heaters and errors.
    pub fn printer(&self) -> PrinterClient<'_> {
        PrinterClient(self)
    }

    /// The client for the connection between OctoPrint and its printer.
    pub fn connection(&self) -> ConnectionClient<'_> {
        ConnectionClient(self)
    }

    /// The client for the files of OctoPrint.
    pub fn files(&self) -> FilesClient<'_> {
        FilesClient(self)
    }
}

impl std::fmt::Debug for OctoPrint {
    /// Shows the address, never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OctoPrint")
            .field("base", &self.0.base.as_str())
            .field("key", &self.0.credentials.get(request::X_API_KEY).map(|_| "…"))
            .finish_non_exhaustive()
    }
}

/// Returns a header value that never appears in a `Debug` output.
fn secret_header(key: &str) -> Result<HeaderValue, InvalidAccess> {
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidAccess::Key);
    }
    let mut value = HeaderValue::from_str(key).map_err(|_| InvalidAccess::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Normalizes the base URL: no query, fragment, user and password, and a path that ends in `/`.
fn normalize_base_url(mut base: Url) -> Url {
    base.set_query(None);
    base.set_fragment(None);
    // Both fail only for URLs without a host, which are blocked.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str, key: Option<&str>) -> Result<OctoPrint, InvalidAccess> {
        let access = PrinterAccess { api_key: key.map(str::to_owned), ..PrinterAccess::default() };
        OctoPrint::new(base.parse().expect("url"), &access, testing::outbound())
    }

    #[test]
    fn a_key_that_octoprint_cannot_read_is_refused() {
        for key in ["", "schlüssel", "two words", "line\nbreak"] {
            assert!(matches!(client("http://127.0.0.1/", Some(key)), Err(InvalidAccess::Key)), "{key:?}");
        }
        assert!(client("http://127.0.0.1/", Some("4Q-zP_x")).is_ok());
        assert!(client("http://127.0.0.1/", None).is_ok());
    }

    #[test]
    fn secrets_are_hidden_from_debug_output() {
        let debug_output =
            format!("{:?}", client("http://ann:pass@127.0.0.1/farm?x=1", Some("SECRET")).expect("client"));
        assert!(debug_output.contains("http://127.0.0.1/farm/"), "{debug_output}");
        assert!(!debug_output.contains("SECRET") && !debug_output.contains("pass"), "{debug_output}");
    }

    #[test]
    fn a_base_may_have_a_path() {
        let client = client("https://farm.example/printers/7", None).expect("client");
        assert_eq!(client.0.job_url.as_str(), "https://farm.example/printers/7/api/job");
    }
}
