//! Layout of a row of the command log: its columns, how it is written and how it is read.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::super::{
    Db, Error,
    error::{RowRef, unreadable},
};
use crate::{
    domain::{
        command::{Command, CommandRow, Effect, ExpectedJob, Outcome, Reason, SettledEffect, StartFile, Step},
        message::Message,
        state::PrinterState,
    },
    storage::bulk::{self, ColumnType, JsonParameter, format_optional_time},
};

/// The columns of [`RawCommandRow`].
pub(super) const COLUMNS: &str = "id, batch_id, position, printer_id, printer_name, command, resolved_command, \
     expected_job, outcome, reason, detail, step, print_id, file, file_path, state_before, state_after, attempts, released_at, \
     expires_at, sent_at, accepted_at, finished_at, settled_effect, settled_state, settled_at";

/// The columns of a [`CommandRecord`], with their types.
const RECORD_COLUMNS: &[(&str, ColumnType)] = &[
    ("id", ColumnType::Uuid),
    ("batch_id", ColumnType::Uuid),
    ("position", ColumnType::BigInt),
    ("printer_id", ColumnType::Uuid),
    ("printer_name", ColumnType::Text),
    ("command", ColumnType::Text),
    ("expected_job", ColumnType::Json),
    ("file", ColumnType::Json),
    ("file_sha256", ColumnType::Text),
    ("outcome", ColumnType::Text),
    ("reason", ColumnType::Text),
    ("detail", ColumnType::Text),
    ("attempts", ColumnType::BigInt),
    ("released_at", ColumnType::Time),
    ("expires_at", ColumnType::Time),
    ("finished_at", ColumnType::Time),
];

#[derive(sqlx::FromRow)]
pub(super) struct RawCommandRow {
    id: Uuid,
    batch_id: Uuid,
    position: i64,
    printer_id: Uuid,
    printer_name: String,
    command: String,
    resolved_command: Option<String>,
    expected_job: Option<Json<Value>>,
    outcome: String,
    reason: Option<String>,
    detail: Option<String>,
    step: Option<String>,
    print_id: Option<Uuid>,
    file: Option<Json<Value>>,
    file_path: Option<String>,
    state_before: Option<String>,
    state_after: Option<String>,
    attempts: i64,
    released_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    accepted_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    settled_effect: Option<String>,
    settled_state: Option<String>,
    settled_at: Option<DateTime<Utc>>,
}

impl RawCommandRow {
    pub(super) fn into_command(self) -> Result<CommandRow, Error> {
        let row_ref = RowRef { table: "commands", row: self.id };
        let effect = row_ref.parse_optional("settled_effect", self.settled_effect.as_deref(), Effect::parse)?;
        let state = row_ref.parse_optional("settled_state", self.settled_state.as_deref(), PrinterState::parse)?;
        let settled = match (effect, state, self.settled_at) {
            (None, None, None) => None,
            (Some(effect), Some(state), Some(at)) => Some(SettledEffect { effect, state, at }),
            _ => return Err(unreadable("commands", "settled_effect", self.id)),
        };
        Ok(CommandRow {
            command: row_ref.parse("command", &self.command, Command::parse)?,
            resolved_command: row_ref.parse_optional(
                "resolved_command",
                self.resolved_command.as_deref(),
                Command::parse,
            )?,
            expected_job: self.expected_job.map(|Json(job)| row_ref.parse_json("expected_job", job)).transpose()?,
            file: self.file.map(|Json(file)| row_ref.parse_json("file", file)).transpose()?,
            outcome: row_ref.parse("outcome", &self.outcome, Outcome::parse)?,
            reason: row_ref.parse_optional("reason", self.reason.as_deref(), Reason::parse)?,
            step: row_ref.parse_optional("step", self.step.as_deref(), Step::parse)?,
            state_before: row_ref.parse_optional("state_before", self.state_before.as_deref(), PrinterState::parse)?,
            state_after: row_ref.parse_optional("state_after", self.state_after.as_deref(), PrinterState::parse)?,
            settled,
            transfer: None,
            id: self.id,
            batch_id: self.batch_id,
            position: self.position,
            printer_id: self.printer_id,
            printer_name: self.printer_name,
            detail: self.detail.as_deref().map(Message::from_json),
            print_id: self.print_id,
            file_path: self.file_path,
            attempts: self.attempts,
            released_at: self.released_at,
            expires_at: self.expires_at,
            sent_at: self.sent_at,
            accepted_at: self.accepted_at,
            finished_at: self.finished_at,
        })
    }
}

pub(super) fn parse_rows(rows: Vec<RawCommandRow>) -> Result<Vec<CommandRow>, Error> {
    rows.into_iter().map(RawCommandRow::into_command).collect()
}

/// Rows of batches that are to be inserted. Values that all rows share are stored beside the records, not in each.
pub(in crate::storage) struct CommandInsert {
    pub records: JsonParameter,
    pub batch_id: Option<Uuid>,
    pub released_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl CommandInsert {
    /// Collects rows into one parameter.
    ///
    /// # Errors
    /// Like [`bulk::json_parameter`].
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = &'a CommandRow>) -> Result<Self, sqlx::Error> {
        let rows: Vec<&CommandRow> = rows.into_iter().collect();
        let rows = rows.as_slice();
        let batch_id = rows.first().map(|row| row.batch_id);
        let batch_id = batch_id.filter(|id| rows.iter().all(|row| row.batch_id == *id));
        let released_at = shared_time(rows, |row| row.released_at);
        let expires_at = shared_time(rows, |row| row.expires_at);
        let records = bulk::json_parameter(rows.iter().map(|row| CommandRecord {
            id: row.id,
            batch_id: Some(row.batch_id).filter(|_| batch_id.is_none()),
            position: row.position,
            printer_id: row.printer_id,
            printer_name: &row.printer_name,
            command: row.command,
            expected_job: row.expected_job.as_ref(),
            file: row.file.as_ref(),
            file_sha256: row.file.as_ref().and_then(StartFile::content).map(|content| content.sha256.as_str()),
            outcome: row.outcome,
            reason: row.reason,
            detail: row.detail.as_ref().map(Message::to_json),
            attempts: row.attempts,
            released_at: format_optional_time(row.released_at.filter(|_| released_at.is_none())),
            expires_at: format_optional_time(row.expires_at.filter(|_| expires_at.is_none())),
            finished_at: format_optional_time(row.finished_at),
        }))?;
        Ok(Self { records, batch_id, released_at, expires_at })
    }

    /// Returns the statement that inserts the records `$1`. Where all rows share them, `$2` is the batch, `$3` the
    /// release time and `$4` the expiry time. The columns for the result of a command are still empty.
    pub fn insert_sql(&self, db: &Db) -> String {
        format!(
            "insert into commands (id, batch_id, position, printer_id, printer_name, command, expected_job, file, file_sha256,
                 outcome, reason, detail, attempts, released_at, expires_at, finished_at)
             select x.id, coalesce(x.batch_id, $2), x.position, x.printer_id, x.printer_name, x.command, x.expected_job, x.file,
                 x.file_sha256, x.outcome, x.reason, x.detail, x.attempts, coalesce(x.released_at, $3), coalesce(x.expires_at, $4), x.finished_at
             from {}",
            db.given_records_source(RECORD_COLUMNS, &self.records)
        )
    }
}

/// Returns the time if all rows have the same one.
fn shared_time(rows: &[&CommandRow], time: impl Fn(&CommandRow) -> Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let first = rows.first().and_then(|row| time(row))?;
    rows.iter().all(|row| time(row) == Some(first)).then_some(first)
}

/// A new row as a bulk record. Absent fields read as null on both databases.
#[derive(Serialize)]
struct CommandRecord<'a> {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<Uuid>,
    position: i64,
    printer_id: Uuid,
    printer_name: &'a str,
    command: Command,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_job: Option<&'a ExpectedJob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a StartFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_sha256: Option<&'a str>,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    attempts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    released_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
}
