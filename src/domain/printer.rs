//! Printer registry entries: the settings of a printer, without its observed state.

use chrono::{DateTime, Utc};
use url::Url;
use uuid::Uuid;

use super::{
    attention::Attention,
    message::Message,
    printer_access::{PrinterAccess, clean_pasted_line},
    printer_profile::PrinterProfile,
    printer_tool::PrinterTool,
    production::Production,
    validation::{FieldError, ValidationErrors, check_line},
};

/// The highest number of tags of one printer.
pub const MAX_TAGS: usize = 50;
/// The highest number of tools of one printer.
const MAX_TOOLS: usize = 64;
/// The highest number of characters in an address.
const MAX_URL: usize = 1_000;

/// A registered printer. Its API key is not included: it stays encrypted in the printer registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Printer {
    pub id: Uuid,
    pub details: PrinterDetails,
    /// The planner starts nothing on the printer until a person has looked at it.
    pub attention: Option<Attention>,
    /// Incremented with every change that a client can make. It is used as the `ETag`.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Settings of a printer that a client can change, without secrets.
#[derive(serde::Serialize, Debug, Clone, PartialEq)]
pub struct PrinterDetails {
    pub name: String,
    /// Normalised by [`normalise_url`].
    pub url: String,
    /// Sorted, without duplicates.
    pub tags: Vec<String>,
    pub enabled: bool,
    #[serde(flatten)]
    pub profile: PrinterProfile,
    pub production: Production,
    /// Tools beside tool 0, by number. The profile has tool 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_tools: Vec<PrinterTool>,
    /// User for the web server in front of OctoPrint.
    pub proxy_user: Option<String>,
    /// Lower-case names of the headers that are sent with every request.
    pub header_names: Vec<String>,
    /// PEM text.
    #[serde(skip)]
    pub ca_certificate: Option<String>,
    /// Whether the printer has its own camera address.
    #[serde(skip)]
    pub has_camera_url: bool,
}

impl PrinterDetails {
    /// Returns a printer with only a name and an address.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            tags: Vec::new(),
            enabled: true,
            profile: PrinterProfile::default(),
            production: Production::default(),
            other_tools: Vec::new(),
            proxy_user: None,
            header_names: Vec::new(),
            ca_certificate: None,
            has_camera_url: false,
        }
    }

    /// Copies the parts of the access data that may be shown.
    pub fn copy_visible_access(&mut self, access: &PrinterAccess) {
        self.proxy_user = access.proxy_auth.as_ref().map(|auth| auth.user.clone());
        self.header_names = access.headers.keys().cloned().collect();
        self.ca_certificate.clone_from(&access.ca_certificate);
        self.has_camera_url = access.camera_url.is_some();
    }

    /// Returns all tools that are known, by number.
    pub fn tools(&self) -> Vec<PrinterTool> {
        let PrinterProfile { nozzle_mm, material, color, .. } = &self.profile;
        let first = PrinterTool { tool: 0, nozzle_mm: *nozzle_mm, material: material.clone(), color: color.clone() };
        let is_known = nozzle_mm.is_some() || material.is_some() || color.is_some() || !self.other_tools.is_empty();
        Some(first).filter(|_| is_known).into_iter().chain(self.other_tools.iter().cloned()).collect()
    }

    /// Sets all tools. Tool 0 is stored in the profile.
    pub fn set_tools(&mut self, mut tools: Vec<PrinterTool>) {
        let first = tools.iter().position(|tool| tool.tool == 0).map(|at| tools.remove(at));
        let (nozzle_mm, material, color) =
            first.map_or((None, None, None), |tool| (tool.nozzle_mm, tool.material, tool.color));
        (self.profile.nozzle_mm, self.profile.material, self.profile.color) = (nozzle_mm, material, color);
        tools.sort_by_key(|tool| tool.tool);
        self.other_tools = tools;
    }

    /// Checks the fields and normalises the address and the tags.
    pub fn validate(mut self) -> Result<Self, ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        self.name = self.name.trim().to_owned();
        check_line(&mut invalid, "/name", &self.name, 1, 100);
        match normalise_url(&self.url) {
            Ok(url) => self.url = url,
            Err(rule) => invalid.add("/url", "url", rule),
        }
        if self.tags.len() > MAX_TAGS {
            invalid.add("/tags", "too_many", Message::new("rule-max-tags").with("max", MAX_TAGS));
        }
        for (i, tag) in self.tags.iter().enumerate() {
            check_tag(&mut invalid, &format!("/tags/{i}"), tag);
        }
        self.tags.sort();
        self.tags.dedup();
        self.profile.check(&mut invalid);
        self.production.check(&mut invalid);
        check_tools(&mut invalid, &self.other_tools);
        invalid.into_result(self)
    }
}

/// Checks a tag: 1 to 50 characters, no white space at its ends, and no commas, because commas separate tags in a
/// query.
pub fn check_tag(invalid: &mut ValidationErrors, pointer: &str, tag: &str) {
    check_line(invalid, pointer, tag, 1, 50);
    if tag.trim() != tag || tag.contains(',') {
        invalid.add(pointer, "tag", "rule-tag-comma");
    }
}

/// Checks the tools beside tool 0.
fn check_tools(invalid: &mut ValidationErrors, tools: &[PrinterTool]) {
    if tools.len() >= MAX_TOOLS {
        invalid.add("/tools", "too_many", Message::new("rule-max-items").with("max", MAX_TOOLS));
    }
    let mut numbers = std::collections::HashSet::from([0]);
    for PrinterTool { tool, nozzle_mm, material, color } in tools {
        if !numbers.insert(*tool) || usize::try_from(*tool).map_or(true, |tool| tool >= MAX_TOOLS) {
            let rule = Message::new("rule-tool-number").with("max", MAX_TOOLS - 1).with("value", tool);
            invalid.add("/tools", "tool_number", rule);
        }
        let profile = PrinterProfile {
            nozzle_mm: *nozzle_mm,
            material: material.clone(),
            color: color.clone(),
            ..PrinterProfile::default()
        };
        let mut own = ValidationErrors::default();
        profile.check(&mut own);
        invalid
            .0
            .extend(own.0.into_iter().map(|error| FieldError { pointer: format!("/tools{}", error.pointer), ..error }));
    }
}

/// Parses tags that people wrote, separated by commas.
pub fn parse_tags(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// Normalises an address: scheme and host in lower case, without a default port, trailing slash, query or fragment. A
/// user is refused. Otherwise one OctoPrint could be registered twice, and each entry would send commands as if it were
/// the only one.
///
/// The input may be an address that a browser shows. A missing `http://` is added. Query, fragment and line breaks are
/// removed. The error is the broken rule.
pub fn normalise_url(text: &str) -> Result<String, Message> {
    let mut text = drop_repeated_scheme(&clean_pasted_line(text)).to_owned();
    if text.len() > MAX_URL {
        return Err(Message::new("rule-max-length").with("max", MAX_URL));
    }
    if !text.contains("://") {
        // A single word may be another pasted value, such as an API key.
        let host = text.split('/').next().unwrap_or_default();
        if !host.contains(['.', ':', '[']) {
            return Err(Message::new("rule-url-example"));
        }
        text.insert_str(0, "http://");
    }
    let url = Url::parse(&text).map_err(|_| Message::new("rule-url-example"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Message::new("rule-url-scheme"));
    }
    // A dot at the end only marks the name as fully qualified. Two dots in a row are in no name; `0..` would become `0`, which
    // is the address 0.0.0.0.
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.split('.').any(str::is_empty) {
        return Err(Message::new("rule-url-host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Message::new("rule-url-proxy-user"));
    }
    if url.port() == Some(0) {
        return Err(Message::new("rule-url-port"));
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let path = if segments.is_empty() { String::new() } else { format!("/{}", segments.join("/")) };
    Ok(format!("{}://{host}{port}{path}", url.scheme()))
}

/// Returns the address without a scheme in front of another one: a form may have had `http://` before a pasted address.
fn drop_repeated_scheme(text: &str) -> &str {
    let scheme_end = |text: &str| {
        let end = text.find("://").filter(|end| matches!(text[..*end].to_ascii_lowercase().as_str(), "http" | "https"));
        end.map(|end| end + "://".len())
    };
    let mut rest = text;
    while let Some(end) = scheme_end(rest)
        && scheme_end(&rest[end..]).is_some()
    {
        rest = &rest[end..];
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn different_spellings_of_one_address_are_one() {
        for spelling in ["http://Pi.local", "HTTP://pi.local:80/", " http://pi.local// ", "http://pi.local."] {
            assert_eq!(normalise_url(spelling).as_deref(), Ok("http://pi.local"), "{spelling}");
        }
        for pasted in ["http://pi.local/#temp", "pi.local", " pi.local/\n", "http://pi.local/?#files", "pi.local:80"] {
            assert_eq!(normalise_url(pasted).as_deref(), Ok("http://pi.local"), "{pasted:?}");
        }
        for doubled in ["http://http://pi.local", "https://http://pi.local/", "HTTP://http://http://pi.local"] {
            assert_eq!(normalise_url(doubled).as_deref(), Ok("http://pi.local"), "{doubled}");
        }
        for broken in ["://pi.local", "http://[::1", "http://pi local.test"] {
            assert_eq!(normalise_url(broken), Err(Message::new("rule-url-example")), "{broken}");
        }
        assert_eq!(normalise_url("10.0.3.17:5000/#temp").as_deref(), Ok("http://10.0.3.17:5000"));
        assert_eq!(normalise_url("https://h:8443/octo/one/").as_deref(), Ok("https://h:8443/octo/one"));
        assert_eq!(normalise_url("http://[::1]:5000/").as_deref(), Ok("http://[::1]:5000"));
        for dots in ["http://0..", "http://a..b", "http://.a", "http://."] {
            assert_eq!(normalise_url(dots), Err(Message::new("rule-url-host")), "{dots}");
        }
    }

    proptest! {
        #[test]
        fn a_normalised_address_is_valid_and_stable(
            host in "[.]{1,2}|[.a-z0-9\\[:\\]%-]{0,12}|\\PC{0,8}",
            rest in "[/:.a-z0-9]{0,12}|\\PC{0,8}",
        ) {
            if let Ok(stored) = normalise_url(&format!("http://{host}{rest}")) {
                prop_assert!(Url::parse(&stored).is_ok(), "{stored}");
                prop_assert_eq!(normalise_url(&stored), Ok(stored));
            }
        }
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_rule() {
        for bad in [
            "",
            "pi",
            "ftp://pi",
            "http://",
            "http://u:p@pi",
            "u:p@pi.local",
            "3F2504E04F8911D39A0C0305E82C3301",
            "/api",
            "//pi.local",
            "javascript:alert(1)",
            "http://pi:0",
            "file:///etc/passwd",
            "http://./x",
            "http://../x",
        ] {
            assert!(normalise_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_broken_field_is_named() {
        let mut details = PrinterDetails::new("", "nowhere");
        details.tags = vec![" a".into()];
        details.profile.nozzle_mm = Some(f64::NAN);
        let pointers: Vec<String> =
            details.validate().expect_err("four rules are broken").0.into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/name", "/url", "/tags/0", "/nozzle_mm"]);
    }
}
