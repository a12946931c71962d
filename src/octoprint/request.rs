//! One request to a printer and its response: the only place that sends requests and classifies responses.

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{
    Method, Request, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::Instant;
use url::Url;

use super::{
    DEFAULT_TIMEOUT, Error, OctoPrint, RequestOptions,
    lenient::{Object, Text},
    repair::from_python,
};
use crate::outbound::{Reply, TimeLimit};

/// The largest response about one printer's state, in bytes (measured: 0.6 to 30 KB).
pub(super) const SMALL: usize = 256 * 1024;

/// The largest error page that is read, in bytes.
const ERROR_BODY: usize = 64 * 1024;

/// The longest part of a foreign error text that is repeated, in characters.
const ERROR_TEXT: usize = 200;

pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Headers of the connection, which a caller cannot set. On 2.x the version header would change the shapes of responses.
const NOT_THE_CALLERS: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "x-octoprint-api-version"];

/// The characters that are encoded in a segment of a path: those with a meaning in a URL, and those outside visible ASCII.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Returns the URL of an endpoint. Each segment is percent-encoded on its own; no segment may be `.` or `..`. (The path
/// segments of `Url` silently drop tabs and line breaks, so a `..` with one inside would lead up a level.)
pub(super) fn endpoint(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    let mut path = base.path().trim_end_matches('/').to_owned();
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    url.set_path(&path);
    url
}

/// Returns the `Authorization` header for the user and password of a URL, if it has them.
pub(super) fn basic_credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    basic(&plain(url.username()), &plain(url.password().unwrap_or_default()))
}

/// Returns the `Authorization` header for a user and password (RFC 7617, in UTF-8).
pub(super) fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    use base64::Engine as _;
    let coded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {coded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl OctoPrint {
    /// Returns the URL of an endpoint of this instance.
    pub(super) fn endpoint(&self, segments: &[&str]) -> Url {
        endpoint(&self.0.base, segments)
    }

    /// Sends `GET`, and reads the JSON of the response.
    pub(super) async fn get_json<T: DeserializeOwned>(
        &self,
        url: Url,
        limit: usize,
        options: &RequestOptions,
    ) -> Result<T, Error> {
        let exchange = self.exchange(self.call(Method::GET, url, options)?, options).await?;
        exchange.json(limit).await
    }

    /// Sends `POST` with a JSON text. The content of the response is not read.
    pub(super) async fn post(&self, url: Url, json: Bytes, options: &RequestOptions) -> Result<(), Error> {
        let exchange = self.post_json(url, json, options).await?;
        exchange.nothing()
    }

    /// Sends `POST` with a JSON text.
    pub(super) async fn post_json(&self, url: Url, json: Bytes, options: &RequestOptions) -> Result<Exchange, Error> {
        let mut call = self.call(Method::POST, url, options)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.body = json;
        self.exchange(call, options).await
    }

    /// Builds a request with this instance's credentials and the caller's headers and parameters.
    pub(super) fn call(&self, method: Method, mut url: Url, options: &RequestOptions) -> Result<Call, Error> {
        if !options.params.is_empty() {
            url.query_pairs_mut().extend_pairs(&options.params);
        }
        let mut headers = self.0.credentials.clone();
        for (name, value) in &options.headers {
            let invalid = || Error::Invalid { detail: format!("the header {name:?} cannot be sent") };
            let header = HeaderName::try_from(name).map_err(|_| invalid())?;
            if NOT_THE_CALLERS.contains(&header.as_str()) {
                return Err(invalid());
            }
            headers.insert(header, HeaderValue::try_from(value).map_err(|_| invalid())?);
        }
        Ok(Call { method, url, headers, body: Bytes::new() })
    }

    /// Sends a small request to this instance over its line, unless its address is blocked.
    pub(super) async fn exchange(&self, call: Call, options: &RequestOptions) -> Result<Exchange, Error> {
        self.check_address()?;
        let Call { method, url, headers, body } = call;
        // Boxed: each of the surrounding futures would hold it twice. A thousand simultaneous commands took 10 MB for them,
        // copied at every level.
        let send = Box::pin(self.0.line.send(method, &url, headers, body, options.not_after));
        answered(async { send.await.map_err(Error::from_line) }, options).await
    }

    /// Sends a streamed request, or a request to another address, with the general client. The address guard checks names; the
    /// caller has already checked a literal address.
    pub(super) async fn exchange_apart(&self, request: Request, options: &RequestOptions) -> Result<Exchange, Error> {
        let send = self.0.outbound.http().execute(request);
        answered(async { send.await.map(Reply::from).map_err(|error| Error::from_send(&error)) }, options).await
    }

    /// Checks that the address of this instance may be contacted.
    ///
    /// # Errors
    /// [`Error::Blocked`] if the base URL contains a literal address that must not be contacted.
    pub(super) fn check_address(&self) -> Result<(), Error> {
        self.0.blocked.clone().map_or(Ok(()), |blocked| Err(Error::Blocked(blocked)))
    }
}

/// A small request to this instance.
pub(super) struct Call {
    method: Method,
    url: Url,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// Returns the request for the general client, without its body.
    pub(super) fn apart(self) -> Request {
        let mut request = Request::new(self.method, self.url);
        *request.headers_mut() = self.headers;
        request
    }
}

/// Waits for a successful response, within the limits of the options.
async fn answered(
    send: impl Future<Output = Result<Reply, Error>>,
    options: &RequestOptions,
) -> Result<Exchange, Error> {
    let timeout = options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let limit = TimeLimit { deadline: Instant::now() + timeout, silence: options.silence };
    let response = limit.wait(send).await.map_err(|error| Error::from_body(&error, timeout))??;
    let exchange = Exchange { response, limit, timeout };
    if exchange.response.status().is_success() { Ok(exchange) } else { Err(Box::pin(exchange.refusal()).await) }
}

/// A response that has begun, and the time that is left for its rest.
pub(super) struct Exchange {
    response: Reply,
    limit: TimeLimit,
    timeout: std::time::Duration,
}

impl Exchange {
    /// Returns the status, which is always a success.
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the content type of the response, without parameters.
    pub(super) fn content_type(&self) -> Option<String> {
        let text = self.response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
        text.split(';').next().map(|kind| kind.trim().to_ascii_lowercase())
    }

    fn is_html(&self) -> bool {
        self.content_type().as_deref() == Some("text/html")
    }

    /// Reads the bytes of the response.
    pub(super) async fn bytes(self, limit: usize) -> Result<Bytes, Error> {
        let read = self.response.bytes(limit, self.limit).await;
        read.map_err(|error| Error::from_body(&error, self.timeout))
    }

    /// Reads the JSON of the response. OctoPrint always sends an object.
    pub(super) async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, Error> {
        if self.is_html() {
            return Err(Error::protocol("a web page came where data was due"));
        }
        let bytes = self.bytes(limit).await?;
        let object = from_python::<Object<T>>(&bytes).ok().and_then(|object| object.0);
        object.ok_or_else(|| Error::protocol("what came was not JSON of the expected kind"))
    }

    /// Ignores the content of the response. A web page (from a captive portal or another server) is not a success.
    pub(super) fn nothing(self) -> Result<(), Error> {
        if self.is_html() {
            return Err(Error::protocol("a web page came where nothing was due"));
        }
        self.response.finish();
        Ok(())
    }

    /// Classifies a response that is not a success.
    async fn refusal(self) -> Error {
        let status = self.response.status();
        if status.is_redirection() {
            let to = self.response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            // The query may contain secrets.
            let to = cut(to.split(['?', '#']).next().unwrap_or_default());
            return if to.is_empty() {
                Error::protocol("it redirects to no address")
            } else {
                Error::Redirected { to }
            };
        }
        if status.is_server_error() {
            return Error::Server { status: status.as_u16() };
        }
        match status {
            // OctoPrint 1.11.8 and 2.0.0rc7 never answer 401, and their 403 is JSON.
            StatusCode::UNAUTHORIZED => Error::ProxyLogin,
            StatusCode::FORBIDDEN if self.content_type().as_deref() == Some("application/json") => Error::Unauthorized,
            StatusCode::FORBIDDEN => Error::ProxyLogin,
            StatusCode::NOT_FOUND => Error::NotFound,
            StatusCode::CONFLICT => Error::Conflict { message: self.message().await },
            StatusCode::BAD_REQUEST => match self.message().await {
                message if message.contains("CSRF validation failed") => Error::Unauthorized,
                message => Error::Refused { status: 400, message },
            },
            status if status.is_client_error() => {
                Error::Refused { status: status.as_u16(), message: self.message().await }
            }
            status => Error::protocol(format!("it answered with the status {}", status.as_u16())),
        }
    }

    /// Reads OctoPrint's `{"error": "…"}`, or the text itself if it is short and not a web page. The status is already known,
    /// so an error here loses only the text.
    async fn message(self) -> String {
        #[derive(Deserialize)]
        struct Told {
            #[serde(default)]
            error: Text,
        }
        let page = self.is_html();
        let status = self.response.status();
        let words = || status.canonical_reason().unwrap_or("no reason given").to_owned();
        let Ok(bytes) = self.bytes(ERROR_BODY).await else { return words() };
        if let Some(text) = from_python::<Told>(&bytes).ok().and_then(|told| told.error.filled()) {
            return cut(&text);
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) if !page && !text.trim().is_empty() => cut(text.trim()),
            _ => words(),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(ERROR_TEXT).collect()
}
