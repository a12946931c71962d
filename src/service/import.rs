//! Import of printers from a CSV list: the rows are checked one by one, then the printers are registered together.
//!
//! Spreadsheets write different variants of CSV. The separator is a comma, a semicolon (for a decimal comma) or a tab.
//! The bytes are UTF-8, with or without a byte order mark, or Windows-1252. All of these are read.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Services,
    access::Principal,
    error::Error,
    printers::{check_new_printer, check_within_limit},
};
use crate::{
    clock,
    domain::{
        access::Role,
        message::Message,
        printer::{Printer, PrinterDetails, parse_tags},
        printer_access::{PrinterAccess, ProxyAuth, parse_headers},
        printer_profile::PROFILE_FIELDS,
        validation::ValidationErrors,
    },
    storage::{self, printers::NewPrinter},
};

/// Maximum size of a list in bytes.
pub const MAX_BYTES: usize = 1_000_000;
/// Maximum number of rows in a list.
const MAX_ROWS: usize = 1_000;

/// Returns the columns that a list may have, named like the fields of the API.
pub fn list_columns() -> Vec<&'static str> {
    let names = |multiline| {
        PROFILE_FIELDS.iter().filter(move |field| field.kind.is_multiline() == multiline).map(|field| field.name)
    };
    let columns = ["name", "url", "api_key", "tags"].into_iter().chain(names(false)).chain(["enabled"]);
    let access = ["proxy_user", "proxy_password", "headers", "ca_certificate", "camera_url"];
    columns.chain(names(true)).chain(access).collect()
}

/// Expected result of each row of a list.
pub struct ImportPreview {
    pub rows: Vec<ImportRow>,
}

/// A row, without its secrets.
pub struct ImportRow {
    /// The line of the list at which the row begins, counted from 1.
    pub line: u64,
    pub details: PrinterDetails,
    pub has_key: bool,
    /// The row has a user, headers, a certificate or a camera address.
    pub has_access: bool,
    pub result: RowResult,
}

/// Expected result of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum RowResult {
    Added,
    /// A printer with this name and address is registered already.
    Registered,
    Invalid(ValidationErrors),
}

/// Result of an import.
pub enum ImportResult {
    /// Number of printers that were registered.
    Done(usize),
    /// The list no longer gives the result that the user confirmed. Nothing was registered.
    Changed(ImportPreview),
}

impl ImportPreview {
    /// Returns the number of rows that would be added.
    pub fn count_added(&self) -> usize {
        self.rows.iter().filter(|row| row.result == RowResult::Added).count()
    }
}

/// A parsed row, with its errors.
// No Debug: it may contain secrets.
struct ParsedRow {
    line: u64,
    details: PrinterDetails,
    access: PrinterAccess,
    errors: ValidationErrors,
}

impl Services {
    /// Returns the expected result of each row. Fails if the list itself cannot be read.
    pub async fn preview_import(&self, who: &Principal, list: &str) -> Result<ImportPreview, Error> {
        who.require(Role::Manager)?;
        let results = self.check_rows(who, parse_rows(list)?).await?;
        Ok(ImportPreview { rows: results.into_iter().map(|(parsed, result)| preview_row(parsed, result)).collect() })
    }

    /// Registers the new printers of a list, all of them or none. Rows with errors are left out. `expected`: the number
    /// of new printers that the user confirmed.
    pub async fn import_printers(&self, who: &Principal, list: &str, expected: usize) -> Result<ImportResult, Error> {
        who.require(Role::Manager)?;
        let results = self.check_rows(who, parse_rows(list)?).await?;
        let added = results.iter().filter(|(_, result)| *result == RowResult::Added);
        let new = added.map(|(parsed, _)| self.new_printer(who, parsed.details.clone(), &parsed.access));
        let new: Vec<NewPrinter> = new.collect::<Result<_, _>>()?;
        if new.len() == expected && expected > 0 {
            let insert = async { Ok(storage::printers::insert(&self.db, &new).await) };
            match self.change_registry(insert).await? {
                Ok(()) => {
                    let versions: Vec<_> = new.iter().map(|new| (new.printer.id, Some(new.printer.version))).collect();
                    self.apply_to_fleet(&versions).await;
                    tracing::info!(printers = new.len(), by = %who.name, "printers imported");
                    return Ok(ImportResult::Done(new.len()));
                }
                // Another request registered such a printer first. The result is a new preview.
                Err(storage::Error::NameTaken | storage::Error::UrlTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.preview_import(who, list).await.map(ImportResult::Changed)
    }

    /// Checks rows against the rules, against each other, and against the printer registry.
    async fn check_rows(&self, who: &Principal, rows: Vec<ParsedRow>) -> Result<Vec<(ParsedRow, RowResult)>, Error> {
        let registered = storage::printers::list_printers(&self.db).await?;
        let names: HashMap<&str, &str> =
            registered.iter().map(|printer| (printer.details.name.as_str(), printer.details.url.as_str())).collect();
        let urls: HashMap<&str, &str> = names.iter().map(|(name, url)| (*url, *name)).collect();
        let (mut seen_names, mut seen_urls) = (HashMap::new(), HashMap::new());
        let results = rows.into_iter().map(|mut parsed| {
            let mut errors = std::mem::take(&mut parsed.errors);
            match check_new_printer(parsed.details.clone(), parsed.access.clone()) {
                Ok((details, access)) => (parsed.details, parsed.access) = (details, access),
                Err(invalid) => errors.0.extend(invalid.0),
            }
            let (name, url) = (parsed.details.name.clone(), parsed.details.url.clone());
            let is_registered = names.get(name.as_str()) == Some(&url.as_str());
            for (pointer, text, seen) in [("/name", &name, &mut seen_names), ("/url", &url, &mut seen_urls)] {
                match seen.get(text) {
                    Some(line) => errors.add(pointer, "twice", Message::new("rule-duplicate-line").with("line", line)),
                    None if !text.is_empty() => drop(seen.insert(text.clone(), parsed.line)),
                    None => {}
                }
            }
            if !is_registered && names.contains_key(name.as_str()) {
                errors.add("/name", "name_taken", "rule-name-taken");
            }
            if let Some(other) = urls.get(url.as_str()).filter(|_| !is_registered) {
                // The error names no printer that the principal may not see.
                let visible = registered.iter().any(|printer| printer.details.name == **other && who.may_see(printer));
                let rule =
                    if visible { Message::new("rule-taken-by").with("printer", other) } else { "rule-taken".into() };
                errors.add("/url", "url_taken", rule);
            }
            let result = match (errors.0.is_empty(), is_registered) {
                (false, _) => RowResult::Invalid(errors),
                (true, true) => RowResult::Registered,
                (true, false) => match check_within_limit(who, &as_printer(&parsed.details)) {
                    Ok(()) => RowResult::Added,
                    Err(outside) => RowResult::Invalid(outside),
                },
            };
            (parsed, result)
        });
        Ok(results.collect())
    }
}

fn preview_row(parsed: ParsedRow, result: RowResult) -> ImportRow {
    let (has_key, has_access) = (parsed.access.api_key.is_some(), parsed.access.has_more_than_key());
    ImportRow { line: parsed.line, details: parsed.details, has_key, has_access, result }
}

/// Returns a printer for the check of a tag limit only.
fn as_printer(details: &PrinterDetails) -> Printer {
    let now = clock::now();
    Printer {
        id: uuid::Uuid::nil(),
        details: details.clone(),
        attention: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// Decodes the text of a file in any of the supported encodings.
pub fn decode_text(bytes: &[u8]) -> Result<Cow<'_, str>, ValidationErrors> {
    if bytes.len() > MAX_BYTES {
        return Err(ValidationErrors::single("/file", "too_large", "rule-list-size"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.contains(&0) {
        return Err(ValidationErrors::single("/file", "no_text", "rule-csv"));
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    })
}

/// Returns the rows of a list. Fails if a column is unknown, or there are no rows or too many.
fn parse_rows(list: &str) -> Result<Vec<ParsedRow>, ValidationErrors> {
    let list = list.trim_start_matches('\u{feff}');
    if list.len() > 2 * MAX_BYTES {
        return Err(ValidationErrors::single("/file", "too_large", "rule-list-size"));
    }
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(detect_separator(list))
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(list.as_bytes());
    let unreadable = |_| ValidationErrors::single("/file", "no_csv", "rule-csv-unreadable");
    let columns = parse_header(reader.headers().map_err(unreadable)?)?;
    let (mut rows, mut lines) = (Vec::new(), LineCounter { list, at: 0, line: 1 });
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        if record.iter().all(str::is_empty) {
            continue;
        }
        if rows.len() == MAX_ROWS {
            return Err(ValidationErrors::single(
                "/rows",
                "too_many",
                Message::new("rule-max-rows").with("max", MAX_ROWS),
            ));
        }
        rows.push(parse_row(&columns, &record, lines.find_line(&record)));
    }
    if rows.is_empty() {
        return Err(ValidationErrors::single("/rows", "none", "rule-rows-missing"));
    }
    Ok(rows)
}

/// Finds the first line of each record. (The reader's own count is late after `\r\n` and before empty lines.)
struct LineCounter<'a> {
    list: &'a str,
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// Returns the line of a record. Records must be passed in order.
    fn find_line(&mut self, record: &csv::StringRecord) -> u64 {
        let begins = record.position().map_or(0, csv::Position::byte);
        let rest = self.list.as_bytes().get(self.at..).unwrap_or_default();
        let before = usize::try_from(begins).unwrap_or_default().saturating_sub(self.at).min(rest.len());
        let (before, after) = rest.split_at(before);
        let empty = after.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let passed = before.iter().chain(&after[..empty]).filter(|byte| **byte == b'\n').count();
        self.at += before.len() + empty;
        self.line += passed as u64;
        self.line
    }
}

/// Returns the separator of the fields in the first line.
fn detect_separator(list: &str) -> u8 {
    let first = list.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |separator: u8| first.bytes().filter(|byte| *byte == separator).count();
    // With equal counts, the last one wins: a comma.
    [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

/// Returns the names of the columns. Each must be known and occur once.
fn parse_header(header: &csv::StringRecord) -> Result<Vec<String>, ValidationErrors> {
    let mut invalid = ValidationErrors::default();
    let (known, mut columns) = (list_columns(), Vec::new());
    for name in header {
        let name = name.to_lowercase().replace([' ', '-'], "_");
        if !known.contains(&name.as_str()) {
            let shown: String = name.chars().take(50).collect();
            let rule = Message::new("rule-column-unknown").with("known", known.join(", ")).with("column", shown);
            invalid.add("/column", "unknown", rule);
        } else if columns.contains(&name) {
            invalid.add("/column", "twice", Message::new("rule-column-once").with("column", &name));
        }
        columns.push(name);
    }
    for needed in ["name", "url"] {
        if !columns.iter().any(|column| column == needed) {
            invalid.add("/column", "required", Message::new("rule-column-missing").with("column", needed));
        }
    }
    invalid.into_result(columns)
}

fn parse_row(columns: &[String], record: &csv::StringRecord, line: u64) -> ParsedRow {
    let mut errors = ValidationErrors::default();
    let fields =
        record.iter().enumerate().filter(|(_, field)| !field.is_empty()).last().map_or(0, |(last, _)| last + 1);
    if fields > columns.len() {
        let rule = Message::new("rule-row-fields").with("columns", columns.len()).with("fields", fields);
        errors.add("/row", "fields", rule);
    }
    let text = |name: &str| {
        let at = columns.iter().position(|column| column == name)?;
        record.get(at).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut details = PrinterDetails::new(text("name").unwrap_or_default(), text("url").unwrap_or_default());
    details.tags = text("tags").map(|tags| parse_tags(&tags)).unwrap_or_default();
    for field in PROFILE_FIELDS {
        match field.parse(text(field.name).as_deref()) {
            Ok(value) => details.profile.set(field, value),
            Err(invalid) => errors.0.extend(invalid.0),
        }
    }
    match text("enabled").map(|text| text.to_lowercase()).as_deref() {
        None | Some("true" | "yes" | "1" | "wahr" | "ja") => {}
        Some("false" | "no" | "0" | "falsch" | "nein") => details.enabled = false,
        Some(_) => errors.add("/enabled", "boolean", "rule-yes-no"),
    }
    let mut access = PrinterAccess {
        api_key: text("api_key"),
        ca_certificate: text("ca_certificate"),
        camera_url: text("camera_url"),
        ..PrinterAccess::default()
    };
    match ProxyAuth::from_parts(text("proxy_user"), text("proxy_password")) {
        Ok(auth) => access.proxy_auth = auth,
        Err((field, rule)) => errors.add(format!("/proxy_{field}"), "required", rule),
    }
    match text("headers").as_deref().map(parse_headers).transpose() {
        Ok(headers) => access.headers = headers.unwrap_or_default(),
        Err(rule) => errors.add("/headers", "headers", rule),
    }
    ParsedRow { line, details, access, errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(list: &str) -> Vec<&'static str> {
        match parse_rows(list) {
            Ok(_) => Vec::new(),
            Err(invalid) => invalid.0.into_iter().map(|error| error.code).collect(),
        }
    }

    #[test]
    fn commas_semicolons_and_tabs_separate_fields() {
        for list in [
            "name,url,tags,nozzle_mm\nA,http://a,\"hall-a, petg\",0.4\n",
            "\u{feff}Name;URL;Tags;nozzle mm\r\n\"A\";http://a;hall-a, petg;0,4\r\n;;;\r\n",
            "url\tname\ttags\tnozzle_mm\n\nhttp://a\tA\thall-a,petg\t0.4\t\t",
        ] {
            let rows = parse_rows(list).unwrap_or_else(|invalid| panic!("{list}: {invalid:?}"));
            assert_eq!(
                rows.first().map(|row| row.line),
                list.lines().position(|line| line.contains("http")).map(|line| line as u64 + 1)
            );
            let [row] = rows.as_slice() else { panic!("{list}: {} rows", rows.len()) };
            assert_eq!((row.details.name.as_str(), row.details.url.as_str()), ("A", "http://a"), "{list}");
            assert_eq!(row.details.tags, ["hall-a", "petg"], "{list}");
            assert_eq!(
                (row.details.profile.nozzle_mm, &row.errors),
                (Some(0.4), &ValidationErrors::default()),
                "{list}"
            );
        }
    }

    #[test]
    fn a_quoted_field_contains_separators_quotes_and_line_breaks() {
        let rows =
            parse_rows("name,url,notes\n\"A, \"\"B\"\"\",http://a,\"two\nlines\"\nC,http://c,\n").unwrap_or_default();
        let parsed: Vec<_> =
            rows.iter().map(|row| (row.line, row.details.name.as_str(), row.details.profile.notes.as_str())).collect();
        assert_eq!(parsed, [(2, "A, \"B\"", "two\nlines"), (4, "C", "")]);
    }

    #[test]
    fn every_supported_encoding_is_decoded() {
        for bytes in [&b"n\xc3\xa4me"[..], b"\xef\xbb\xbfn\xc3\xa4me", b"n\xe4me"] {
            assert_eq!(decode_text(bytes).as_deref(), Ok("näme"), "{bytes:?}");
        }
        assert!(decode_text(b"PK\x03\x04\x00\x00").is_err());
        assert!(decode_text(&vec![b'a'; MAX_BYTES + 1]).is_err());
    }

    #[test]
    fn errors_of_a_list_are_reported() {
        assert_eq!(codes(""), ["required", "required"]);
        assert_eq!(codes("name,url\n"), ["none"]);
        assert_eq!(codes("name,url,adress,name\nA,http://a,x,B\n"), ["unknown", "twice"]);
        let rows: String = (0..=MAX_ROWS).map(|n| format!("P{n},http://p{n}\n")).collect();
        assert_eq!(codes(&format!("name,url\n{rows}")), ["too_many"]);
    }

    #[test]
    fn errors_of_a_row_name_the_field() {
        let list = "name,url,nozzle_mm,bed_mm,enabled\nA,http://a,wide,1x2,maybe,more\n";
        let rows = parse_rows(list).unwrap_or_default();
        let pointers: Vec<_> = rows[0].errors.0.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/row", "/nozzle_mm", "/bed_mm", "/enabled"]);
    }
}
