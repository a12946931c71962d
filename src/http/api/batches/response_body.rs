//! Response bodies for a batch and its command rows.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        batch::{Batch, BatchCounts, BatchResult, BatchSpec, BatchState, OutcomeCounts},
        command::{Command, CommandRow, Effect, FileRef, Outcome, Reason, SettledEffect, StartFile, Step},
        effect::Decision,
        printer_content::{TransferProgress, TransferState},
        reading::LOCAL_ORIGIN,
        state::PrinterState,
    },
    http::{
        api::list::{export::CsvRow, page},
        messages::text_of,
    },
    service::{batches::BatchView, dry_run::DryRunRow},
};

/// Name of the list that a cursor of batch commands belongs to.
pub const COMMANDS_LIST: &str = "commands";

/// A batch without its commands, as in lists.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchSummary)]
pub struct BatchSummaryBody {
    /// Null in the response to a dry run.
    id: Option<Uuid>,
    command: Command,
    state: BatchState,
    /// Null until the last command has ended.
    result: Option<BatchResult>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    /// Name of the token or user that created the batch.
    created_by: String,
    reason: Option<String>,
    external_ref: Option<String>,
    /// The batch that this one retries.
    retry_of: Option<Uuid>,
    counts: BatchCounts,
}

impl CsvRow for BatchSummaryBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "command",
        "state",
        "result",
        "created_at",
        "finished_at",
        "created_by",
        "reason",
        "external_ref",
        "retry_of",
        "counts",
    ];
}

/// A batch with its first commands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Batch)]
pub struct BatchBody {
    #[serde(flatten)]
    summary: BatchSummaryBody,
    /// The first 500 commands, in the order of the batch.
    commands: Vec<CommandBody>,
    /// Cursor of the next commands: `GET /batches/{id}/commands?cursor=…`. Null: `commands` is complete.
    commands_next: Option<String>,
}

/// A command to one printer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommandRow)]
pub struct CommandBody {
    /// Null in the response to a dry run.
    pub id: Option<Uuid>,
    pub batch_id: Option<Uuid>,
    pub printer_id: Uuid,
    /// Empty if the printer does not exist, or the token may not see it.
    pub printer_name: String,
    pub command: Command,
    /// Null in the response to a dry run.
    pub outcome: Option<Outcome>,
    /// The outcome does not change any more.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Effect of the command; null until it ends.
    pub effect: Option<Effect>,
    pub reason: Option<Reason>,
    /// Explanation in one sentence, for people.
    pub detail: Option<String>,
    /// The command that a toggle was resolved to.
    pub resolved_command: Option<Command>,
    /// The last request that was sent.
    pub step: Option<Step>,
    /// The print that the command acted on, or started.
    pub print_id: Option<Uuid>,
    /// For a start: the file that it names. Null: the selected file.
    pub file: Option<CommandFileBody>,
    /// Transfer of a library file to the printer. Null: no file of the library, or the command ended before.
    pub transfer: Option<CommandTransferBody>,
    pub state_before: Option<PrinterState>,
    pub state_after: Option<PrinterState>,
    /// Number of requests sent.
    pub attempts: i64,
    pub expires_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Time from sending to OctoPrint's reply, in milliseconds.
    pub latency_ms: Option<i64>,
    /// Effect that was observed after the command had ended as `unconfirmed` or `unknown`.
    pub settled: Option<SettledEffect>,
    /// In the response to a dry run: what the command would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub would: Option<PlannedAction>,
}

impl CsvRow for CommandBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "batch_id",
        "printer_id",
        "printer_name",
        "command",
        "outcome",
        "final",
        "effect",
        "reason",
        "detail",
        "resolved_command",
        "step",
        "print_id",
        "file",
        "transfer",
        "state_before",
        "state_after",
        "attempts",
        "expires_at",
        "sent_at",
        "accepted_at",
        "finished_at",
        "latency_ms",
        "settled",
    ];
}

/// The file of a start.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommandFile)]
pub struct CommandFileBody {
    /// Path on the printer. Null until the printer has a file of the library.
    path: Option<String>,
    origin: Option<String>,
    /// The file of the library.
    file_id: Option<Uuid>,
    /// Hash of its content. The file may have another content now.
    sha256: Option<String>,
    name: String,
}

impl CommandFileBody {
    fn new(file: StartFile, path: Option<String>) -> Self {
        match file {
            StartFile::OnPrinter(FileRef { path, origin }) => Self {
                name: path.rsplit('/').next().unwrap_or(&path).to_owned(),
                path: Some(path),
                origin: Some(origin),
                file_id: None,
                sha256: None,
            },
            StartFile::InLibrary(content) => Self {
                origin: path.is_some().then(|| LOCAL_ORIGIN.to_owned()),
                path,
                file_id: Some(content.file_id),
                sha256: Some(content.sha256),
                name: content.name,
            },
        }
    }
}

/// A transfer of a library file to a printer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommandTransfer)]
pub struct CommandTransferBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    state: Option<TransferState>,
    /// Bytes that the printer has accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    sent_bytes: Option<u64>,
    /// Bytes of the file on the printer.
    size: u64,
    /// In the response to a dry run: whether the printer lacks the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    needed: Option<bool>,
}

impl From<TransferProgress> for CommandTransferBody {
    fn from(progress: TransferProgress) -> Self {
        let TransferProgress { state, sent_bytes, size } = progress;
        Self { state: Some(state), sent_bytes: Some(sent_bytes), size, needed: None }
    }
}

/// What a command would do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Would)]
pub enum PlannedAction {
    /// The command would be sent.
    Send,
    /// The printer is in a transitional state. The command would wait until that state ends.
    Wait,
    /// The printer is already in the requested state.
    Unchanged,
    /// The command would be rejected, for `reason`.
    Reject,
}

impl From<(Batch, OutcomeCounts)> for BatchSummaryBody {
    fn from((batch, counts): (Batch, OutcomeCounts)) -> Self {
        Self {
            id: Some(batch.id),
            command: batch.spec.command,
            state: batch.state,
            // The last row ends shortly before its batch does. A running batch must not show a result.
            result: counts.result().filter(|_| batch.finished_at.is_some()),
            created_at: batch.created_at,
            finished_at: batch.finished_at,
            created_by: batch.created_by,
            reason: batch.spec.reason,
            external_ref: batch.spec.external_ref,
            retry_of: batch.retry_of,
            counts: BatchCounts::from(&counts),
        }
    }
}

impl From<BatchView> for BatchBody {
    fn from(view: BatchView) -> Self {
        Self {
            summary: (view.batch, view.counts).into(),
            commands: view.commands.into_iter().map(CommandBody::from).collect(),
            commands_next: view.next.map(|position| page::encode_cursor(COMMANDS_LIST, &position)),
        }
    }
}

impl BatchBody {
    /// Returns the body for a dry run. It has all rows, so there is no next page.
    pub fn from_dry_run(created_by: String, spec: BatchSpec, rows: Vec<DryRunRow>) -> Self {
        let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let counts = BatchCounts { total, ..BatchCounts::from(&OutcomeCounts::default()) };
        let summary = BatchSummaryBody {
            id: None,
            command: spec.command,
            state: BatchState::DryRun,
            result: None,
            created_at: clock::now(),
            finished_at: None,
            created_by,
            reason: spec.reason,
            external_ref: spec.external_ref,
            retry_of: None,
            counts,
        };
        let commands = rows.into_iter().map(|row| CommandBody::from_dry_run(spec.command, row)).collect();
        Self { summary, commands, commands_next: None }
    }
}

impl From<CommandRow> for CommandBody {
    fn from(row: CommandRow) -> Self {
        let latency_ms = row.accepted_at.zip(row.sent_at).map(|(to, from)| (to - from).num_milliseconds().max(0));
        let detail = row.explanation().as_ref().map(text_of);
        Self {
            id: Some(row.id),
            batch_id: Some(row.batch_id),
            printer_id: row.printer_id,
            printer_name: row.printer_name,
            command: row.command,
            outcome: Some(row.outcome),
            is_final: row.outcome.is_final(),
            effect: row.outcome.effect(),
            reason: row.reason,
            detail,
            resolved_command: row.resolved_command,
            step: row.step,
            print_id: row.print_id,
            file: row.file.map(|file| CommandFileBody::new(file, row.file_path)),
            transfer: row.transfer.map(CommandTransferBody::from),
            state_before: row.state_before,
            state_after: row.state_after,
            attempts: row.attempts,
            expires_at: row.expires_at,
            sent_at: row.sent_at,
            accepted_at: row.accepted_at,
            finished_at: row.finished_at,
            latency_ms,
            settled: row.settled,
            would: None,
        }
    }
}

impl CommandBody {
    /// Returns what a command would do.
    pub fn from_dry_run(command: Command, row: DryRunRow) -> Self {
        let (would, reason) = match row.decision {
            Decision::Send(_) => (PlannedAction::Send, None),
            Decision::Wait => (PlannedAction::Wait, None),
            Decision::Unchanged => (PlannedAction::Unchanged, None),
            Decision::Reject(reason) => (PlannedAction::Reject, Some(reason)),
        };
        let step = match row.decision {
            Decision::Send(step) => Some(step),
            Decision::Wait | Decision::Unchanged | Decision::Reject(_) => None,
        };
        Self {
            id: None,
            batch_id: None,
            printer_id: row.selected.printer_id,
            printer_name: row.selected.printer_name,
            command,
            outcome: None,
            is_final: false,
            effect: None,
            reason,
            detail: row.selected.refusal_detail.or_else(|| reason.map(Reason::message)).as_ref().map(text_of),
            resolved_command: row.resolved,
            step,
            print_id: None,
            file: row.selected.file.map(|file| CommandFileBody::new(file, None)),
            transfer: row.transfer.map(|planned| CommandTransferBody {
                state: None,
                sent_bytes: None,
                size: planned.size,
                needed: Some(planned.is_needed),
            }),
            state_before: Some(row.state),
            state_after: None,
            attempts: 0,
            expires_at: None,
            sent_at: None,
            accepted_at: None,
            finished_at: None,
            latency_ms: None,
            settled: None,
            would: Some(would),
        }
    }
}
