//! The register's entry of a printer: what people say about it, as opposed to what is seen of it.

use chrono::{DateTime, Utc};
use url::Url;
use uuid::Uuid;

use super::{
    invalid::{Invalid, check_line, check_text},
    printer_access::{PrinterAccess, pasted_line},
};

/// Tags of one printer.
pub const MAX_TAGS: usize = 50;

/// A registered printer. The API key is not part of it: it stays encrypted in the register.
#[derive(Debug, Clone, PartialEq)]
pub struct Printer {
    pub id: Uuid,
    pub details: PrinterDetails,
    /// Grows with every change that a client can make; the `ETag`.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What a client can write of a printer, secrets aside.
#[derive(serde::Serialize, Debug, Clone, PartialEq)]
pub struct PrinterDetails {
    pub name: String,
    /// Normalised: see [`normalise_url`].
    pub url: String,
    /// Sorted, without repetition.
    pub tags: Vec<String>,
    pub enabled: bool,
    pub model: Option<String>,
    pub material: Option<String>,
    /// `#rrggbb`.
    pub color: Option<String>,
    pub nozzle_mm: Option<f64>,
    /// Width, depth and height in mm.
    pub bed_mm: Option<[f64; 3]>,
    /// Printers on one electrical circuit.
    pub power_group: Option<String>,
    pub notes: String,
    /// User that a web server before OctoPrint asks for.
    pub proxy_user: Option<String>,
    /// Names of the headers that go with every request, in lower case.
    pub header_names: Vec<String>,
    /// PEM text.
    #[serde(skip)]
    pub ca_certificate: Option<String>,
    /// Whether the printer has a camera address of its own.
    #[serde(skip)]
    pub has_camera_url: bool,
}

impl PrinterDetails {
    /// A printer of which only the name and the address are known.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            tags: Vec::new(),
            enabled: true,
            model: None,
            material: None,
            color: None,
            nozzle_mm: None,
            bed_mm: None,
            power_group: None,
            notes: String::new(),
            proxy_user: None,
            header_names: Vec::new(),
            ca_certificate: None,
            has_camera_url: false,
        }
    }

    /// Shows what may be shown of how the printer is reached.
    pub fn describe(&mut self, access: &PrinterAccess) {
        self.proxy_user = access.proxy_auth.as_ref().map(|auth| auth.user.clone());
        self.header_names = access.headers.keys().cloned().collect();
        self.ca_certificate.clone_from(&access.ca_certificate);
        self.has_camera_url = access.camera_url.is_some();
    }

    /// Holds the fields against the rules, and brings url and tags into their normal form.
    pub fn checked(mut self) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        self.name = self.name.trim().to_owned();
        check_line(&mut invalid, "/name", &self.name, 1, 100);
        match normalise_url(&self.url) {
            Ok(url) => self.url = url,
            Err(rule) => invalid.add("/url", "url", rule),
        }
        if self.tags.len() > MAX_TAGS {
            invalid.add("/tags", "too_many", format!("a printer has at most {MAX_TAGS} tags"));
        }
        for (i, tag) in self.tags.iter().enumerate() {
            check_tag(&mut invalid, &format!("/tags/{i}"), tag);
        }
        self.tags.sort();
        self.tags.dedup();
        for (pointer, text) in
            [("/model", &self.model), ("/material", &self.material), ("/power_group", &self.power_group)]
        {
            if let Some(text) = text {
                check_line(&mut invalid, pointer, text, 1, 100);
            }
        }
        if let Some(color) = &self.color {
            let hex = color.strip_prefix('#').unwrap_or_default();
            if hex.len() != 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                invalid.add("/color", "color", "must be a color like #1a2b3c");
            }
        }
        check_mm(&mut invalid, "/nozzle_mm", self.nozzle_mm, 10.0);
        for (i, mm) in self.bed_mm.iter().flatten().enumerate() {
            check_mm(&mut invalid, &format!("/bed_mm/{i}"), Some(*mm), 10_000.0);
        }
        check_text(&mut invalid, "/notes", &self.notes, 0, 10_000);
        invalid.or_ok(self)
    }
}

/// A tag: 1 to 50 characters without white space at its ends and without commas, which separate tags in a query.
pub fn check_tag(invalid: &mut Invalid, pointer: &str, tag: &str) {
    check_line(invalid, pointer, tag, 1, 50);
    if tag.trim() != tag || tag.contains(',') {
        invalid.add(pointer, "tag", "must not contain a comma, nor white space at its ends");
    }
}

fn check_mm(invalid: &mut Invalid, pointer: &str, mm: Option<f64>, max: f64) {
    if mm.is_some_and(|mm| !(mm > 0.0 && mm <= max)) {
        invalid.add(pointer, "range", format!("must be more than 0 and at most {max} mm"));
    }
}

/// An API key goes into a header: OctoPrint answers a key with other bytes by 500 (measured on 1.11.8).
pub fn check_api_key(invalid: &mut Invalid, key: &str) {
    if key.is_empty() || key.len() > 1_000 || !key.bytes().all(|b| b.is_ascii_graphic()) {
        invalid.add("/api_key", "api_key", "must be 1 to 1000 visible ASCII characters, without spaces");
    }
}

/// A length as people write it: `0,4`.
pub fn millimetres(text: &str) -> Result<f64, &'static str> {
    text.replace(',', ".").trim().parse().map_err(|_| "must be a number of mm")
}

/// Width, depth and height as people write them: `250 x 210 x 210`.
pub fn bed(text: &str) -> Result<[f64; 3], &'static str> {
    let numbers: Result<Vec<f64>, _> = text.split(['x', 'X', '×', '*', ';']).map(millimetres).collect();
    numbers?.try_into().map_err(|_| "must be three numbers like 250 x 210 x 210")
}

/// Tags as people write them, with commas between.
pub fn tags_of(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// One name for one machine: scheme and host in lower case, no default port, no trailing slash, no user, query or
/// fragment. Two registered addresses of the same OctoPrint would each believe that they alone command it.
///
/// It takes an address as a browser shows it: a missing `http://` is added, query, fragment and line breaks are left out.
pub fn normalise_url(text: &str) -> Result<String, String> {
    let mut text = pasted_line(text);
    if text.len() > 1_000 {
        return Err("must be at most 1000 characters long".to_owned());
    }
    if !text.contains("://") {
        // A word alone may be anything that was pasted: an API key.
        let host = text.split('/').next().unwrap_or_default();
        if !host.contains(['.', ':', '[']) {
            return Err("must be an address like http://octopi.local".to_owned());
        }
        text.insert_str(0, "http://");
    }
    let url = Url::parse(&text).map_err(|error| format!("is not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://".to_owned());
    }
    // A dot at its end says that the name is whole, and is no name by itself.
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    if host.is_empty() {
        return Err("must name a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or a password: those of a proxy have fields of their own".to_owned());
    }
    if url.port() == Some(0) {
        return Err("must not name port 0".to_owned());
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let path = if segments.is_empty() { String::new() } else { format!("/{}", segments.join("/")) };
    Ok(format!("{}://{host}{port}{path}", url.scheme()))
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
        assert_eq!(normalise_url("10.0.3.17:5000/#temp").as_deref(), Ok("http://10.0.3.17:5000"));
        assert_eq!(normalise_url("https://h:8443/octo/one/").as_deref(), Ok("https://h:8443/octo/one"));
        assert_eq!(normalise_url("http://[::1]:5000/").as_deref(), Ok("http://[::1]:5000"));
    }

    proptest! {
        #[test]
        fn what_is_stored_of_an_address_is_an_address_and_stays_as_it_is(
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
    fn an_address_that_is_none_is_refused_with_the_rule() {
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
    fn a_bed_is_written_in_many_ways() {
        for text in ["250x210x210", "250 × 210 × 210", "250.0 x 210 X 210,0"] {
            assert_eq!(bed(text), Ok([250.0, 210.0, 210.0]), "{text}");
        }
        for text in ["", "250", "250 x 210", "1x2x3x4", "a x b x c"] {
            assert!(bed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_broken_field_is_named() {
        let mut details = PrinterDetails::new("", "nowhere");
        details.tags = vec![" a".into()];
        details.nozzle_mm = Some(f64::NAN);
        let pointers: Vec<String> =
            details.checked().expect_err("four rules are broken").0.into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/name", "/url", "/tags/0", "/nozzle_mm"]);
    }
}
