//! SQL fragments that differ between SQLite and PostgreSQL, and JSON parameters of bulk writes.
//!
//! A bulk write is ONE statement with ONE JSON parameter, whatever its size. 5,000 updates took 69 ms as single
//! statements in one transaction, and 4.6 ms as a bulk write. The fragment that reads the parameter as a table differs
//! between the databases.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Db, Engine};

/// Type of a column in a bulk record.
#[derive(Debug, Clone, Copy)]
pub(super) enum ColumnType {
    Uuid,
    Text,
    BigInt,
    /// An object or an array.
    Json,
    Time,
    /// Written by [`format_bytes()`].
    Bytes,
}

use ColumnType::{BigInt, Time};

impl ColumnType {
    fn postgres_type(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Text => "text",
            BigInt => "bigint",
            Self::Json => "jsonb",
            Time => "timestamptz",
            Self::Bytes => "bytea",
        }
    }
}

impl Db {
    /// Returns whether this is PostgreSQL, which has row locks.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.engine(), Engine::Postgres(_))
    }

    /// Returns a `from` source named `x`: the records of the JSON array `$1`, typed.
    pub(super) fn records_source(&self, columns: &[(&str, ColumnType)]) -> String {
        match self.engine() {
            Engine::Postgres(_) => format!("{} as x", recordset_source("", columns)),
            Engine::Sqlite { .. } => format!("{} as x", jsonb_each_source(columns, |_| true)),
        }
    }

    /// Like [`Db::records_source`], for the given records. SQLite searches every record completely for each column. So a
    /// column that no record has is replaced by null.
    pub(super) fn given_records_source(&self, columns: &[(&str, ColumnType)], records: &JsonParameter) -> String {
        match self.engine() {
            Engine::Postgres(_) => self.records_source(columns),
            Engine::Sqlite { .. } => {
                let text = records.0.get();
                format!("{} as x", jsonb_each_source(columns, |name| text.contains(&format!("\"{name}\":"))))
            }
        }
    }

    /// Like [`Db::given_records_source`], for an update of `commands` by `x.row_id`. PostgreSQL locks the rows in the order of
    /// their ids first. So bulk writes that share rows wait for each other and never deadlock. SQLite has only one
    /// writer.
    pub(super) fn command_records_source(&self, columns: &[(&str, ColumnType)], records: &JsonParameter) -> String {
        match self.engine() {
            Engine::Postgres(_) => format!(
                "(select r.* from {} join commands l on l.id = r.row_id order by l.id for update of l) as x",
                recordset_source("r", columns)
            ),
            Engine::Sqlite { .. } => self.given_records_source(columns, records),
        }
    }

    /// Returns a one-column subquery with the texts of the JSON array `$n`.
    pub(super) fn texts_subquery(&self, n: usize) -> String {
        match self.engine() {
            Engine::Postgres(_) => format!("(select value from jsonb_array_elements_text(${n}))"),
            Engine::Sqlite { .. } => format!("(select value from json_each(${n}))"),
        }
    }

    /// Returns a one-column subquery with the ids of the JSON array `$n`.
    pub(super) fn uuids_subquery(&self, n: usize) -> String {
        match self.engine() {
            Engine::Postgres(_) => format!("(select value::uuid from jsonb_array_elements_text(${n}))"),
            Engine::Sqlite { .. } => format!("(select unhex(value, '-') from json_each(${n}))"),
        }
    }

    /// Returns a column with the tags of the printer `p`, as an array. It is read in the same statement as the
    /// printer's row. So a reader never gets the tags of another version.
    pub(super) fn tags_column(&self) -> &'static str {
        match self.engine() {
            Engine::Postgres(_) => {
                "(select coalesce(jsonb_agg(t.tag), '[]'::jsonb) from printer_tags t where t.printer_id = p.id) as tags"
            }
            Engine::Sqlite { .. } => {
                "(select json_group_array(t.tag) from printer_tags t where t.printer_id = p.id) as tags"
            }
        }
    }

    /// Returns a column with the sealed secrets of the printer `p`, as an array of objects with hexadecimal digits. It
    /// is read in the same statement as the printer's row. So a reader never gets the secrets of another version.
    pub(super) fn secrets_column(&self) -> &'static str {
        match self.engine() {
            Engine::Postgres(_) => {
                "(select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'kind', s.kind, 'sealed', encode(s.sealed, 'hex'))
                    order by s.id), '[]'::jsonb) from printer_secrets s where s.printer_id = p.id) as secrets"
            }
            Engine::Sqlite { .. } => {
                "(select json_group_array(json_object('id', hex(s.id), 'kind', s.kind, 'sealed', hex(s.sealed)) order by s.id)
                    from printer_secrets s where s.printer_id = p.id) as secrets"
            }
        }
    }

    /// Returns the end of a subquery that selects rows to update. PostgreSQL locks them in the order of the subquery.
    pub(super) fn for_update(&self) -> &'static str {
        if self.is_postgres() { " for update" } else { "" }
    }
}

fn recordset_source(alias: &str, columns: &[(&str, ColumnType)]) -> String {
    let list: Vec<String> = columns.iter().map(|(name, kind)| format!("{name} {}", kind.postgres_type())).collect();
    let list = list.join(", ");
    if alias.is_empty() {
        format!("(select * from jsonb_to_recordset($1) as r({list}))")
    } else {
        format!("jsonb_to_recordset($1) as {alias}({list})")
    }
}

fn jsonb_each_source(columns: &[(&str, ColumnType)], is_used: impl Fn(&str) -> bool) -> String {
    let list: Vec<String> = columns
        .iter()
        .map(|(name, kind)| match kind {
            _ if !is_used(name) => format!("null as {name}"),
            // sqlx stores a uuid as 16 bytes.
            ColumnType::Uuid => format!("unhex(value ->> '{name}', '-') as {name}"),
            // Skip PostgreSQL's prefix `\x`.
            ColumnType::Bytes => format!("unhex(substr(value ->> '{name}', 3)) as {name}"),
            _ => format!("value ->> '{name}' as {name}"),
        })
        .collect();
    // Not `json_each`: it writes each record out as text, and every `->>` parses that text again (SQLite 3.51).
    format!("(select {} from jsonb_each($1))", list.join(", "))
}

/// JSON parameter of a bulk write.
pub(super) type JsonParameter = Json<Box<RawValue>>;

/// Builds the parameter of a bulk write, directly as text, because a batch has a thousand records. PostgreSQL cannot
/// store U+0000. One such character in the error text of one printer must not fail the other rows, so it becomes
/// U+FFFD.
///
/// # Errors
/// If a record cannot be written as JSON, which is a defect.
pub(super) fn json_parameter<T: Serialize>(records: impl IntoIterator<Item = T>) -> Result<JsonParameter, sqlx::Error> {
    let records: Vec<T> = records.into_iter().collect();
    let mut text = serde_json::to_string(&records).map_err(encode_error)?;
    // This is rare. A text may also contain these six characters literally; then nothing is replaced.
    if text.contains("\\u0000") {
        let mut records: Value = serde_json::from_str(&text).map_err(encode_error)?;
        replace_nul_in_json(&mut records);
        text = records.to_string();
    }
    Ok(Json(RawValue::from_string(text).map_err(encode_error)?))
}

fn encode_error(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(error.into())
}

/// Builds the parameter for [`Db::uuids_subquery`].
pub(super) fn uuid_list(ids: impl IntoIterator<Item = Uuid>) -> Json<Vec<Uuid>> {
    Json(ids.into_iter().collect())
}

/// Builds the parameter for [`Db::texts_subquery`].
pub(super) fn text_list<T: ToString>(texts: impl IntoIterator<Item = T>) -> Json<Vec<String>> {
    Json(texts.into_iter().map(|text| without_nul(&text.to_string())).collect())
}

/// Returns a value as a parameter of a jsonb column.
pub(super) fn json_value(value: &impl Serialize) -> Json<Value> {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    replace_nul_in_json(&mut value);
    Json(value)
}

/// Formats a time for a bulk record, exactly as sqlx writes it on SQLite, where times are compared as text.
pub(super) fn format_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

/// Like [`format_time`], for a time that may be absent.
pub(super) fn format_optional_time(at: Option<DateTime<Utc>>) -> Option<String> {
    at.map(format_time)
}

/// Formats bytes for a bulk record, as PostgreSQL parses them from text.
pub(super) fn format_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Replaces U+0000 in a text from outside: see [`json_parameter`].
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Returns the pattern with which `like` finds a text anywhere, with `\` as the escape character.
pub(super) fn contains_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    without_nul(&pattern)
}

pub(super) fn replace_nul_in_json(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = without_nul(text),
        Value::Array(items) => items.iter_mut().for_each(replace_nul_in_json),
        Value::Object(fields) => fields.values_mut().for_each(replace_nul_in_json),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::storage::bulk::*;

    #[test]
    fn formatted_times_sort_by_time() {
        let base = DateTime::from_timestamp(1_700_000_000, 0).expect("valid timestamp");
        let micros = [0, 1, 999, 1_000, 1_001, 120_000, 123_000, 123_456, 999_999, 1_000_000];
        let stamps: Vec<String> =
            micros.iter().map(|n| format_time(base + chrono::Duration::microseconds(*n))).collect();
        assert!(stamps.is_sorted(), "{stamps:?}");
    }

    #[test]
    fn a_pattern_matches_its_text_literally() {
        assert_eq!(contains_pattern(r"50%_a\b"), r"%50\%\_a\\b%");
    }

    #[test]
    fn nul_characters_are_replaced_at_any_depth() {
        let json_text = |record: Value| json_parameter([record]).expect("valid parameter").0.get().to_owned();
        let nul = serde_json::json!({"detail": "a\0b", "deep": ["\0"]});
        let replaced = serde_json::json!([{"detail": "a\u{fffd}b", "deep": ["\u{fffd}"]}]);
        assert_eq!(serde_json::from_str::<Value>(&json_text(nul)).expect("valid JSON"), replaced);
        let literal = serde_json::json!({"detail": "\\u0000"});
        assert_eq!(json_text(literal.clone()), serde_json::json!([literal]).to_string());
    }
}
