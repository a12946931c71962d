//! Credentials of a printer: API key, proxy login, headers, certificates and camera address.

use std::collections::BTreeMap;

use url::Url;

use super::{
    message::Message,
    validation::{ValidationErrors, check_line},
};

/// The highest number of characters in an API key.
const MAX_API_KEY: usize = 1_000;
/// The highest number of headers of one printer.
pub const MAX_HEADERS: usize = 20;
/// The highest number of characters in the certificates of one printer, as PEM text.
pub const MAX_CERTIFICATE_TEXT: usize = 64_000;
/// The highest number of characters in the address of a camera.
const MAX_CAMERA_URL: usize = 2_000;
/// The highest number of characters in one secret.
const MAX_SECRET: usize = 4_000;

/// Headers that belong to the connection, to the body or to OctoPrint. They cannot be set.
const REFUSED_HEADERS: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-octoprint-api-version",
];

/// User and password that a web server before OctoPrint asks for.
// No Debug: it holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAuth {
    pub user: String,
    pub password: String,
}

impl ProxyAuth {
    /// Combines user and password: both or neither. The error is the missing field and the message id of its rule.
    pub fn from_parts(
        user: Option<String>,
        password: Option<String>,
    ) -> Result<Option<Self>, (&'static str, &'static str)> {
        match (user, password) {
            (Some(user), Some(password)) => Ok(Some(Self { user, password })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(("password", "rule-given-with-user")),
            (None, Some(_)) => Err(("user", "rule-given-with-password")),
        }
    }
}

/// The secrets and certificates of one printer.
// No Debug: it holds secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PrinterAccess {
    pub api_key: Option<String>,
    pub proxy_auth: Option<ProxyAuth>,
    /// Header values by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// PEM text. Trusted for this printer, in addition to the certificate authorities that the server trusts.
    pub ca_certificate: Option<String>,
    /// Address of the camera picture. It replaces the address in OctoPrint's settings.
    pub camera_url: Option<String>,
}

impl PrinterAccess {
    /// Returns access with an API key only.
    pub fn with_api_key(api_key: impl Into<String>) -> Self {
        Self { api_key: Some(api_key.into()), ..Self::default() }
    }

    /// Returns whether anything except the API key is set.
    pub fn has_more_than_key(&self) -> bool {
        *self != Self { api_key: self.api_key.clone(), ..Self::default() }
    }

    /// Checks every value and normalises pasted ones. `outbound` parses the certificates.
    pub fn validate(mut self) -> Result<Self, ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        if let Some(key) = &mut self.api_key {
            *key = key.trim().to_owned();
            check_api_key(&mut invalid, key);
        }
        if let Some(ProxyAuth { user, password }) = &self.proxy_auth {
            check_proxy_user(&mut invalid, user);
            check_proxy_password(&mut invalid, password);
        }
        let mut headers = BTreeMap::new();
        for (name, value) in self.headers {
            let name = name.trim().to_lowercase();
            let value = value.trim().to_owned();
            check_header(&mut invalid, &name, &value);
            if headers.insert(name.clone(), value).is_some() {
                invalid.add(header_pointer(&name), "twice", "rule-once");
            }
        }
        self.headers = headers;
        check_header_names(&mut invalid, self.headers.keys(), self.proxy_auth.is_some());
        if let Some(url) = &mut self.camera_url {
            match normalise_camera_url(url) {
                Ok(normal) => *url = normal,
                Err(rule) => invalid.add("/camera_url", "url", rule),
            }
        }
        invalid.into_result(self)
    }
}

/// Returns a pasted value without surrounding white space and without line breaks.
pub fn clean_pasted_line(text: &str) -> String {
    text.trim().chars().filter(|char| !matches!(char, '\r' | '\n')).collect()
}

/// Checks the user of a proxy. A colon is refused, because it ends the user name in basic authentication.
pub fn check_proxy_user(invalid: &mut ValidationErrors, user: &str) {
    check_line(invalid, "/proxy_auth/user", user, 1, 200);
    if user.contains(':') {
        invalid.add("/proxy_auth/user", "user", "rule-no-colon");
    }
}

/// Checks the password of a proxy.
pub fn check_proxy_password(invalid: &mut ValidationErrors, password: &str) {
    check_line(invalid, "/proxy_auth/password", password, 1, MAX_SECRET);
}

fn check_header(invalid: &mut ValidationErrors, name: &str, value: &str) {
    let pointer = header_pointer(name);
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(is_token) {
        invalid.add(pointer.as_str(), "header_name", "rule-header-name");
    } else if REFUSED_HEADERS.contains(&name) || name.starts_with("sec-websocket-") {
        invalid.add(pointer.as_str(), "header_refused", "rule-header-reserved");
    }
    let is_sendable = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if value.is_empty() || value.len() > MAX_SECRET || !is_sendable {
        invalid.add(pointer, "header_value", Message::new("rule-header-value").with("max", MAX_SECRET));
    }
}

/// Checks the names of all headers together.
pub fn check_header_names<'a>(
    invalid: &mut ValidationErrors,
    mut names: impl ExactSizeIterator<Item = &'a String>,
    has_proxy_auth: bool,
) {
    if names.len() > MAX_HEADERS {
        invalid.add("/headers", "too_many", Message::new("rule-max-headers").with("max", MAX_HEADERS));
    }
    if has_proxy_auth && names.any(|name| name == "authorization") {
        invalid.add("/headers/authorization", "header_refused", "rule-header-authorization");
    }
}

/// Returns the JSON pointer of a header. A long name is truncated, because the response repeats it.
fn header_pointer(name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Parses headers that people wrote: `Name: value`, one per line. The error is the message id of the broken rule.
pub fn parse_headers(text: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let mut headers = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or("rule-header-lines")?;
        if headers.insert(name.trim().to_lowercase(), value.trim().to_owned()).is_some() {
            return Err("rule-header-once");
        }
    }
    Ok(headers)
}

/// Normalises the address of a camera, which may contain a user and a password. The error is the broken rule.
pub fn normalise_camera_url(text: &str) -> Result<String, Message> {
    let text = clean_pasted_line(text);
    if text.len() > MAX_CAMERA_URL {
        return Err(Message::new("rule-max-length").with("max", MAX_CAMERA_URL));
    }
    let url = Url::parse(&text).map_err(|_| Message::new("rule-camera-url"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(Message::new("rule-url-scheme"));
    }
    Ok(url.into())
}

/// Kinds of sealed secrets of a printer, except its API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    ProxyPassword,
    /// All headers with their values, as one JSON object.
    Headers,
    CameraUrl,
}

impl SecretKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::ProxyPassword, Self::Headers, Self::CameraUrl];

    /// Returns the value that the database uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProxyPassword => "proxy_password",
            Self::Headers => "headers",
            Self::CameraUrl => "camera_url",
        }
    }

    /// Parses a value of the database.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Checks an API key, which is sent in a header. OctoPrint replies with 500 to a key with other bytes (measured on
/// 1.11.8).
pub fn check_api_key(invalid: &mut ValidationErrors, key: &str) {
    if key.is_empty() || key.len() > MAX_API_KEY || !key.bytes().all(|b| b.is_ascii_graphic()) {
        invalid.add("/api_key", "api_key", Message::new("rule-api-key").with("max", MAX_API_KEY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(access: PrinterAccess) -> Vec<(String, &'static str)> {
        let invalid = access.validate().err().unwrap_or_default();
        invalid.0.into_iter().map(|error| (error.pointer, error.code)).collect()
    }

    fn headers(headers: &[(&str, &str)]) -> PrinterAccess {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        PrinterAccess { headers, ..PrinterAccess::default() }
    }

    #[test]
    fn pasted_values_are_normalised() {
        let access = PrinterAccess {
            api_key: Some(" K3Y\r\n".to_owned()),
            camera_url: Some("http://cam.local/shot\n".to_owned()),
            ..headers(&[("CF-Access-Client-Id", " id ")])
        };
        let access = access.validate().unwrap_or_default();
        assert_eq!(access.api_key.as_deref(), Some("K3Y"));
        assert_eq!(access.camera_url.as_deref(), Some("http://cam.local/shot"));
        assert_eq!(access.headers.get("cf-access-client-id").map(String::as_str), Some("id"));
    }

    #[test]
    fn headers_are_parsed_one_per_line() {
        let headers = parse_headers("X-Access-Token: a:b\r\n\n x-hall:3 ").unwrap_or_default();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, [("x-access-token", "a:b"), ("x-hall", "3")]);
        assert!(parse_headers("token").is_err() && parse_headers("a: 1\nA: 2").is_err());
    }

    #[test]
    fn headers_of_the_connection_are_refused_by_name() {
        for name in ["Host", "Content-Length", "X-Api-Key", "Connection", "Upgrade", "TE", "Sec-WebSocket-Key"] {
            let expected = (format!("/headers/{}", name.to_lowercase()), "header_refused");
            assert_eq!(codes(headers(&[(name, "x")])), [expected], "{name}");
        }
        for (name, value, code) in [
            ("a b", "x", "header_name"),
            ("", "x", "header_name"),
            ("x", "", "header_value"),
            ("x", "a\nb", "header_value"),
        ] {
            assert_eq!(
                codes(headers(&[(name, value)])).first().map(|(_, code)| *code),
                Some(code),
                "{name:?} {value:?}"
            );
        }
        assert_eq!(codes(headers(&[("X-A", "1"), ("x-a", "2")])), [("/headers/x-a".to_owned(), "twice")]);
    }

    #[test]
    fn a_user_has_no_colon_and_no_second_authorization() {
        let auth =
            |user: &str, password: &str| Some(ProxyAuth { user: user.to_owned(), password: password.to_owned() });
        let bad = PrinterAccess { proxy_auth: auth("a:b", ""), ..PrinterAccess::default() };
        assert_eq!(
            codes(bad),
            [("/proxy_auth/user".to_owned(), "user"), ("/proxy_auth/password".to_owned(), "length")]
        );
        let both = PrinterAccess { proxy_auth: auth("ann", "pass"), ..headers(&[("Authorization", "Bearer x")]) };
        assert_eq!(codes(both), [("/headers/authorization".to_owned(), "header_refused")]);
    }
}
