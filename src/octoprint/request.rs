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
    python_json::parse_python_json,
};
use crate::{
    domain::message::Message,
    outbound::{Reply, TimeLimit},
};

/// The largest response about one printer's state, in bytes (measured: 0.6 to 30 KB).
pub(super) const MAX_RESPONSE: usize = 256 * 1024;

/// The largest error page that is read, in bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// The longest part of a foreign error text that is repeated, in characters.
const MAX_ERROR_TEXT: usize = 200;

pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Headers of the connection, which a caller cannot set. On 2.x the version header would change the shapes of responses.
const RESERVED_HEADERS: [&str; 6] =
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
pub(super) fn basic_auth_from_url(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    basic_auth(&plain(url.username()), &plain(url.password().unwrap_or_default()))
}

/// Returns the `Authorization` header for a user and password (RFC 7617, in UTF-8).
pub(super) fn basic_auth(user: &str, password: &str) -> Option<HeaderValue> {
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
        let response = self.send_request(self.build_request(Method::GET, url, options)?, options).await?;
        response.json(limit).await
    }

    /// Sends `POST` with a JSON text. The content of the response is not read.
    pub(super) async fn post(&self, url: Url, json: Bytes, options: &RequestOptions) -> Result<(), Error> {
        let response = self.post_json(url, json, options).await?;
        response.discard_body()
    }

    /// Sends `POST` with a JSON text.
    pub(super) async fn post_json(
        &self,
        url: Url,
        json: Bytes,
        options: &RequestOptions,
    ) -> Result<OctoPrintResponse, Error> {
        let mut request = self.build_request(Method::POST, url, options)?;
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = json;
        self.send_request(request, options).await
    }

    /// Builds a request with this instance's credentials and the caller's headers and parameters.
    pub(super) fn build_request(
        &self,
        method: Method,
        mut url: Url,
        options: &RequestOptions,
    ) -> Result<SmallRequest, Error> {
        if !options.params.is_empty() {
            url.query_pairs_mut().extend_pairs(&options.params);
        }
        let mut headers = self.0.credentials.clone();
        for (name, value) in &options.headers {
            let invalid = || Error::Invalid { detail: Message::new("cause-header-not-sendable").with("name", name) };
            let header = HeaderName::try_from(name).map_err(|_| invalid())?;
            if RESERVED_HEADERS.contains(&header.as_str()) {
                return Err(invalid());
            }
            headers.insert(header, HeaderValue::try_from(value).map_err(|_| invalid())?);
        }
        Ok(SmallRequest { method, url, headers, body: Bytes::new() })
    }

    /// Sends a small request to this instance through its connection pool, unless its address is blocked.
    pub(super) async fn send_request(
        &self,
        request: SmallRequest,
        options: &RequestOptions,
    ) -> Result<OctoPrintResponse, Error> {
        self.check_address()?;
        let SmallRequest { method, url, headers, body } = request;
        // Boxed: each of the surrounding futures would hold it twice. A thousand simultaneous commands took 10 MB for them,
        // copied at every level.
        let send = Box::pin(self.0.pool.send(method, &url, headers, body, options.not_after));
        await_success(async { send.await.map_err(Error::from_pool) }, options).await
    }

    /// Sends a streamed request, or a request to another address, with the general client. The address guard checks names; the
    /// caller has already checked a literal address.
    pub(super) async fn send_with_general_client(
        &self,
        request: Request,
        options: &RequestOptions,
    ) -> Result<OctoPrintResponse, Error> {
        let send = self.0.outbound.http_client().execute(request);
        await_success(async { send.await.map(Reply::from).map_err(|error| Error::from_send(&error)) }, options).await
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
pub(super) struct SmallRequest {
    method: Method,
    url: Url,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl SmallRequest {
    /// Returns the request for the general client, without its body.
    pub(super) fn into_general_request(self) -> Request {
        let mut request = Request::new(self.method, self.url);
        *request.headers_mut() = self.headers;
        request
    }
}

/// Waits for a successful response, within the limits of the options.
async fn await_success(
    send: impl Future<Output = Result<Reply, Error>>,
    options: &RequestOptions,
) -> Result<OctoPrintResponse, Error> {
    let timeout = options.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let limit = TimeLimit { deadline: Instant::now() + timeout, silence: options.silence };
    let response = limit.wait(send).await.map_err(|error| Error::from_body(&error, timeout))??;
    let result = OctoPrintResponse { response, limit, timeout };
    if result.response.status().is_success() { Ok(result) } else { Err(Box::pin(result.into_error()).await) }
}

/// A response that has begun, and the time that is left for its rest.
pub(super) struct OctoPrintResponse {
    response: Reply,
    limit: TimeLimit,
    timeout: std::time::Duration,
}

impl OctoPrintResponse {
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
            return Err(Error::protocol("cause-web-page"));
        }
        let bytes = self.bytes(limit).await?;
        let object = parse_python_json::<Object<T>>(&bytes).ok().and_then(|object| object.0);
        object.ok_or_else(|| Error::protocol("cause-unexpected-json"))
    }

    /// Ignores the content of the response. A web page (from a captive portal or another server) is not a success.
    pub(super) fn discard_body(self) -> Result<(), Error> {
        if self.is_html() {
            return Err(Error::protocol("cause-web-page"));
        }
        self.response.finish();
        Ok(())
    }

    /// Classifies a response that is not a success.
    async fn into_error(self) -> Error {
        let status = self.response.status();
        if status.is_redirection() {
            let to = self.response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            // The query may contain secrets.
            let to = shorten(to.split(['?', '#']).next().unwrap_or_default());
            return if to.is_empty() {
                Error::protocol("cause-redirect-without-address")
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
            StatusCode::CONFLICT => Error::Conflict { message: self.error_message().await },
            StatusCode::BAD_REQUEST => match self.error_message().await {
                message if message.contains("CSRF validation failed") => Error::Unauthorized,
                message => Error::Refused { status: 400, message },
            },
            status if status.is_client_error() => {
                Error::Refused { status: status.as_u16(), message: self.error_message().await }
            }
            status => Error::protocol(Message::new("cause-unexpected-status").with("status", status.as_u16())),
        }
    }

    /// Reads OctoPrint's `{"error": "…"}`, or the text itself if it is short and not a web page. The status is already known,
    /// so an error here loses only the text.
    async fn error_message(self) -> String {
        #[derive(Deserialize)]
        struct ErrorResponse {
            #[serde(default)]
            error: Text,
        }
        let is_page = self.is_html();
        let status = self.response.status();
        let status_text = || status.canonical_reason().unwrap_or("no reason given").to_owned();
        let Ok(bytes) = self.bytes(MAX_ERROR_BODY).await else { return status_text() };
        if let Some(text) =
            parse_python_json::<ErrorResponse>(&bytes).ok().and_then(|response| response.error.non_empty())
        {
            return shorten(&text);
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) if !is_page && !text.trim().is_empty() => shorten(text.trim()),
            _ => status_text(),
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MAX_ERROR_TEXT).collect()
}
