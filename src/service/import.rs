//! Import of printers from a CSV list: the rows are checked one by one, then the printers are registered together.
//!
//! Spreadsheets write different variants of CSV. The separator is a comma, a semicolon (for a decimal comma) or a tab.
//! The bytes are UTF-8, with or without a byte order mark, or Windows-1252. All of these are read.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Services,
    access::Principal,
    error::Error,
    printers::{checked, within_limit},
};
use crate::{
    clock,
    domain::{
        access::Role,
        invalid::Invalid,
        printer::{Printer, PrinterDetails, bed, millimetres, tags_of},
        printer_access::{PrinterAccess, ProxyAuth, headers_of},
    },
    storage::{self, printers::NewPrinter},
};

/// Columns that a list may have, named like the fields of the API.
pub const COLUMNS: [&str; 17] = [
    "name",
    "url",
    "api_key",
    "tags",
    "model",
    "material",
    "color",
    "nozzle_mm",
    "bed_mm",
    "power_group",
    "enabled",
    "notes",
    "proxy_user",
    "proxy_password",
    "headers",
    "ca_certificate",
    "camera_url",
];
/// Maximum size of a list in bytes.
pub const MOST_BYTES: usize = 1_000_000;
/// Maximum number of rows in a list.
const MOST_ROWS: usize = 1_000;

/// Expected result of each row of a list.
pub struct Preview {
    pub rows: Vec<Row>,
}

/// A row, without its secrets.
pub struct Row {
    /// The line of the list at which the row begins, counted from 1.
    pub line: u64,
    pub details: PrinterDetails,
    pub has_key: bool,
    /// The row has a user, headers, a certificate or a camera address.
    pub has_access: bool,
    pub fate: Fate,
}

/// Expected result of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Added,
    /// A printer with this name and address is registered already.
    There,
    Wrong(Invalid),
}

/// Result of an import.
pub enum Imported {
    /// Number of printers that were registered.
    Done(usize),
    /// The list no longer gives the result that the user confirmed. Nothing was registered.
    Changed(Preview),
}

impl Preview {
    /// Returns the number of rows that would be added.
    pub fn added(&self) -> usize {
        self.rows.iter().filter(|row| row.fate == Fate::Added).count()
    }
}

/// A parsed row, with its errors.
// No Debug: it may contain secrets.
struct Given {
    line: u64,
    details: PrinterDetails,
    access: PrinterAccess,
    wrong: Invalid,
}

impl Services {
    /// Returns the expected result of each row. Fails if the list itself cannot be read.
    pub async fn preview_import(&self, who: &Principal, list: &str) -> Result<Preview, Error> {
        who.require(Role::Manager)?;
        let judged = self.judge(who, read(list)?).await?;
        Ok(Preview { rows: judged.into_iter().map(|(given, fate)| row(given, fate)).collect() })
    }

    /// Registers the new printers of a list, all of them or none. Rows with errors are left out. `expected`: the number
    /// of new printers that the user confirmed.
    pub async fn import_printers(&self, who: &Principal, list: &str, expected: usize) -> Result<Imported, Error> {
        who.require(Role::Manager)?;
        let judged = self.judge(who, read(list)?).await?;
        let added = judged.iter().filter(|(_, fate)| *fate == Fate::Added);
        let new = added.map(|(given, _)| self.new_printer(who, given.details.clone(), &given.access));
        let new: Vec<NewPrinter> = new.collect::<Result<_, _>>()?;
        if new.len() == expected && expected > 0 {
            let insert = async { Ok(storage::printers::insert(&self.db, &new).await) };
            match self.change_registry(insert).await? {
                Ok(()) => {
                    let versions: Vec<_> = new.iter().map(|new| (new.printer.id, Some(new.printer.version))).collect();
                    self.apply_to_fleet(&versions).await;
                    tracing::info!(printers = new.len(), by = %who.name, "printers imported");
                    return Ok(Imported::Done(new.len()));
                }
                // Another request registered such a printer first. The result is a new preview.
                Err(storage::Error::NameTaken | storage::Error::UrlTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.preview_import(who, list).await.map(Imported::Changed)
    }

    /// Checks rows against the rules, against each other, and against the printer registry.
    async fn judge(&self, who: &Principal, rows: Vec<Given>) -> Result<Vec<(Given, Fate)>, Error> {
        let registered = storage::printers::all(&self.db).await?;
        let names: HashMap<&str, &str> =
            registered.iter().map(|printer| (printer.details.name.as_str(), printer.details.url.as_str())).collect();
        let urls: HashMap<&str, &str> = names.iter().map(|(name, url)| (*url, *name)).collect();
        let (mut seen_names, mut seen_urls) = (HashMap::new(), HashMap::new());
        let judged = rows.into_iter().map(|mut given| {
            let mut wrong = std::mem::take(&mut given.wrong);
            match checked(given.details.clone(), given.access.clone()) {
                Ok((details, access)) => (given.details, given.access) = (details, access),
                Err(invalid) => wrong.0.extend(invalid.0),
            }
            let (name, url) = (given.details.name.clone(), given.details.url.clone());
            let is_there = names.get(name.as_str()) == Some(&url.as_str());
            for (pointer, text, seen) in [("/name", &name, &mut seen_names), ("/url", &url, &mut seen_urls)] {
                match seen.get(text) {
                    Some(line) => wrong.add(pointer, "twice", format!("is in line {line}, too")),
                    None if !text.is_empty() => drop(seen.insert(text.clone(), given.line)),
                    None => {}
                }
            }
            if !is_there && names.contains_key(name.as_str()) {
                wrong.add("/name", "name_taken", "is that of another printer already");
            }
            if let Some(other) = urls.get(url.as_str()).filter(|_| !is_there) {
                // The error names no printer that the principal may not see.
                let visible = registered.iter().any(|printer| printer.details.name == **other && who.may_see(printer));
                let whose = if visible { format!("is that of {other} already") } else { "is taken already".to_owned() };
                wrong.add("/url", "url_taken", whose);
            }
            let fate = match (wrong.0.is_empty(), is_there) {
                (false, _) => Fate::Wrong(wrong),
                (true, true) => Fate::There,
                (true, false) => match within_limit(who, &as_printer(&given.details)) {
                    Ok(()) => Fate::Added,
                    Err(outside) => Fate::Wrong(outside),
                },
            };
            (given, fate)
        });
        Ok(judged.collect())
    }
}

fn row(given: Given, fate: Fate) -> Row {
    let (has_key, has_access) = (given.access.api_key.is_some(), given.access.has_more_than_key());
    Row { line: given.line, details: given.details, has_key, has_access, fate }
}

/// Returns a printer for the check of a tag limit only.
fn as_printer(details: &PrinterDetails) -> Printer {
    let now = clock::now();
    Printer { id: uuid::Uuid::nil(), details: details.clone(), version: 1, created_at: now, updated_at: now }
}

/// Decodes the text of a file in any of the supported encodings.
pub fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, Invalid> {
    if bytes.len() > MOST_BYTES {
        return Err(Invalid::one("/file", "too_large", "must be at most 1 MB"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.contains(&0) {
        return Err(Invalid::one("/file", "no_text", "is no CSV file: save the sheet as CSV first"));
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    })
}

/// Returns the rows of a list. Fails if a column is unknown, or there are no rows or too many.
fn read(list: &str) -> Result<Vec<Given>, Invalid> {
    let list = list.trim_start_matches('\u{feff}');
    if list.len() > 2 * MOST_BYTES {
        return Err(Invalid::one("/file", "too_large", "must be at most 1 MB"));
    }
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator(list))
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(list.as_bytes());
    let unreadable = |_| Invalid::one("/file", "no_csv", "is no list that can be read");
    let columns = columns(reader.headers().map_err(unreadable)?)?;
    let (mut rows, mut lines) = (Vec::new(), Lines { list, at: 0, line: 1 });
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        if record.iter().all(str::is_empty) {
            continue;
        }
        if rows.len() == MOST_ROWS {
            return Err(Invalid::one("/rows", "too_many", format!("must be at most {MOST_ROWS} at once")));
        }
        rows.push(given(&columns, &record, lines.of(&record)));
    }
    if rows.is_empty() {
        return Err(Invalid::one("/rows", "none", "must follow the first line, one for each printer"));
    }
    Ok(rows)
}

/// Finds the first line of each record. (The reader's own count is late after `\r\n` and before empty lines.)
struct Lines<'a> {
    list: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// Returns the line of a record. Records must be passed in order.
    fn of(&mut self, record: &csv::StringRecord) -> u64 {
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
fn separator(list: &str) -> u8 {
    let first = list.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |separator: u8| first.bytes().filter(|byte| *byte == separator).count();
    // With equal counts, the last one wins: a comma.
    [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

/// Returns the names of the columns. Each must be known and occur once.
fn columns(header: &csv::StringRecord) -> Result<Vec<String>, Invalid> {
    let mut invalid = Invalid::default();
    let mut columns: Vec<String> = Vec::new();
    for name in header {
        let name = name.to_lowercase().replace([' ', '-'], "_");
        if !COLUMNS.contains(&name.as_str()) {
            let known = COLUMNS.join(", ");
            let shown: String = name.chars().take(50).collect();
            invalid.add("/column", "unknown", format!("must be one of {known}; “{shown}” in the first line is none"));
        } else if columns.contains(&name) {
            invalid.add("/column", "twice", format!("must be there once, and {name} is there twice"));
        }
        columns.push(name);
    }
    for needed in ["name", "url"] {
        if !columns.iter().any(|column| column == needed) {
            invalid.add("/column", "required", format!("must be there: {needed}"));
        }
    }
    invalid.or_ok(columns)
}

fn given(columns: &[String], record: &csv::StringRecord, line: u64) -> Given {
    let mut wrong = Invalid::default();
    let fields =
        record.iter().enumerate().filter(|(_, field)| !field.is_empty()).last().map_or(0, |(last, _)| last + 1);
    if fields > columns.len() {
        let n = columns.len();
        let rule = format!("must have {n} fields as the first line has, and has {fields}");
        wrong.add("/row", "fields", rule);
    }
    let text = |name: &str| {
        let at = columns.iter().position(|column| column == name)?;
        record.get(at).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut details = PrinterDetails::new(text("name").unwrap_or_default(), text("url").unwrap_or_default());
    details.tags = text("tags").map(|tags| tags_of(&tags)).unwrap_or_default();
    details.model = text("model");
    details.material = text("material");
    details.color = text("color");
    details.power_group = text("power_group");
    details.notes = text("notes").unwrap_or_default();
    match text("nozzle_mm").as_deref().map(millimetres).transpose() {
        Ok(nozzle) => details.nozzle_mm = nozzle,
        Err(rule) => wrong.add("/nozzle_mm", "number", rule),
    }
    match text("bed_mm").as_deref().map(bed).transpose() {
        Ok(bed) => details.bed_mm = bed,
        Err(rule) => wrong.add("/bed_mm", "number", rule),
    }
    match text("enabled").map(|text| text.to_lowercase()).as_deref() {
        None | Some("true" | "yes" | "1" | "wahr" | "ja") => {}
        Some("false" | "no" | "0" | "falsch" | "nein") => details.enabled = false,
        Some(_) => wrong.add("/enabled", "boolean", "must be yes or no"),
    }
    let mut access = PrinterAccess {
        api_key: text("api_key"),
        ca_certificate: text("ca_certificate"),
        camera_url: text("camera_url"),
        ..PrinterAccess::default()
    };
    match ProxyAuth::both(text("proxy_user"), text("proxy_password")) {
        Ok(auth) => access.proxy_auth = auth,
        Err((field, rule)) => wrong.add(format!("/proxy_{field}"), "required", rule),
    }
    match text("headers").as_deref().map(headers_of).transpose() {
        Ok(headers) => access.headers = headers.unwrap_or_default(),
        Err(rule) => wrong.add("/headers", "headers", rule),
    }
    Given { line, details, access, wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(list: &str) -> Vec<&'static str> {
        match read(list) {
            Ok(_) => Vec::new(),
            Err(invalid) => invalid.0.into_iter().map(|error| error.code).collect(),
        }
    }

    #[test]
    fn every_spreadsheets_list_is_read() {
        for list in [
            "name,url,tags,nozzle_mm\nA,http://a,\"hall-a, petg\",0.4\n",
            "\u{feff}Name;URL;Tags;nozzle mm\r\n\"A\";http://a;hall-a, petg;0,4\r\n;;;\r\n",
            "url\tname\ttags\tnozzle_mm\n\nhttp://a\tA\thall-a,petg\t0.4\t\t",
        ] {
            let rows = read(list).unwrap_or_else(|invalid| panic!("{list}: {invalid:?}"));
            assert_eq!(
                rows.first().map(|row| row.line),
                list.lines().position(|line| line.contains("http")).map(|line| line as u64 + 1)
            );
            let [row] = rows.as_slice() else { panic!("{list}: {} rows", rows.len()) };
            assert_eq!((row.details.name.as_str(), row.details.url.as_str()), ("A", "http://a"), "{list}");
            assert_eq!(row.details.tags, ["hall-a", "petg"], "{list}");
            assert_eq!((row.details.nozzle_mm, &row.wrong), (Some(0.4), &Invalid::default()), "{list}");
        }
    }

    #[test]
    fn quotes_hold_separators_quotes_and_lines() {
        let rows = read("name,url,notes\n\"A, \"\"B\"\"\",http://a,\"two\nlines\"\nC,http://c,\n").unwrap_or_default();
        let seen: Vec<_> =
            rows.iter().map(|row| (row.line, row.details.name.as_str(), row.details.notes.as_str())).collect();
        assert_eq!(seen, [(2, "A, \"B\"", "two\nlines"), (4, "C", "")]);
    }

    #[test]
    fn a_file_is_read_whichever_way_it_was_written() {
        for bytes in [&b"n\xc3\xa4me"[..], b"\xef\xbb\xbfn\xc3\xa4me", b"n\xe4me"] {
            assert_eq!(text_of(bytes).as_deref(), Ok("näme"), "{bytes:?}");
        }
        assert!(text_of(b"PK\x03\x04\x00\x00").is_err());
        assert!(text_of(&vec![b'a'; MOST_BYTES + 1]).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_list_is_told() {
        assert_eq!(codes(""), ["required", "required"]);
        assert_eq!(codes("name,url\n"), ["none"]);
        assert_eq!(codes("name,url,adress,name\nA,http://a,x,B\n"), ["unknown", "twice"]);
        let rows: String = (0..=MOST_ROWS).map(|n| format!("P{n},http://p{n}\n")).collect();
        assert_eq!(codes(&format!("name,url\n{rows}")), ["too_many"]);
    }

    #[test]
    fn what_is_wrong_with_a_row_is_told_by_field() {
        let list = "name,url,nozzle_mm,bed_mm,enabled\nA,http://a,wide,1x2,maybe,more\n";
        let rows = read(list).unwrap_or_default();
        let pointers: Vec<_> = rows[0].wrong.0.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/row", "/nozzle_mm", "/bed_mm", "/enabled"]);
    }
}
