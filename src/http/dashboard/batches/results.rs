//! Labels and advice for the results of commands.

use askama::Template;
use chrono::Utc;
use uuid::Uuid;

use crate::{
    domain::{
        batch::{Batch, BatchResult, BatchState, OutcomeCounts},
        command::{Command, CommandRow, Effect, Outcome, Reason, StartFile},
        printer_content::{TransferState, shown_path},
    },
    http::dashboard::{
        filters, labels,
        messages::{t, t_with, text_of},
        time::{TimeElement, format_duration, format_size},
    },
    service::batches::BatchView,
};

/// Maximum number of rows per list.
const MAX_ROWS: usize = 500;

/// A command that failed, or whose effect is unknown.
struct ProblemRow {
    printer_id: Uuid,
    name: String,
    label: &'static str,
    reason: String,
    /// The outcome as in the API, for the tooltip.
    code: &'static str,
    has_unknown_effect: bool,
    /// The plate can be cleared here.
    clears_plate: bool,
    late_result: Option<&'static str>,
}

/// A command that needs no explanation.
struct ResultRow {
    printer_id: Uuid,
    name: String,
    label: String,
    /// Of the transfer of its file, from 0 to 100.
    percent: Option<u64>,
}

/// Progress of the transfers of a batch.
#[derive(Default)]
struct TransferSummary {
    /// Printers that have the file, and all printers that need it.
    done: u64,
    total: u64,
    sent_bytes: u64,
    bytes: u64,
}

impl TransferSummary {
    fn add(&mut self, row: &CommandRow) {
        let Some(transfer) = row.transfer else { return };
        self.total += 1;
        self.done += u64::from(transfer.state == TransferState::Done);
        self.sent_bytes += transfer.sent_bytes;
        self.bytes += transfer.size;
    }

    /// Returns the progress in one line: "7 of 20 printers have the file · 43 MB of 80 MB".
    fn text(&self) -> String {
        let (sent, size) = (format_size(self.sent_bytes), format_size(self.bytes));
        t_with("batch-transfers", &[("n", &self.done), ("total", &self.total), ("sent", &sent), ("size", &size)])
    }
}

/// Number of commands with an outcome, for the summary line.
struct OutcomeCount {
    n: i64,
    label: String,
    class: &'static str,
}

/// The live part of a batch's page.
#[derive(Template)]
#[template(path = "batches/_progress.html")]
pub(in crate::http::dashboard) struct BatchProgress {
    id: Uuid,
    state: String,
    total: i64,
    ended: i64,
    duration: Option<String>,
    outcome_counts: Vec<OutcomeCount>,
    transfers: TransferSummary,
    problems: Vec<ProblemRow>,
    in_progress: Vec<ResultRow>,
    done: Vec<ResultRow>,
    has_more: bool,
    /// Number of commands that a retry would repeat: without effect, and with an unknown effect.
    retryable_without_effect: i64,
    retryable_with_unknown_effect: i64,
    /// What the user declares to have checked before a retry of commands with an unknown effect.
    operator_check: Option<&'static str>,
    can_stop: bool,
    can_operate: bool,
}

impl BatchProgress {
    /// Returns the current state of a batch.
    pub fn from_view(view: &BatchView, can_operate: bool) -> Self {
        let batch = &view.batch;
        let command = batch.spec.command;
        let is_final = view.is_final();
        let count_with_effect = |effect: Effect| -> i64 {
            let outcomes = Outcome::ALL.iter().filter(|outcome| outcome.effect() == Some(effect));
            outcomes.map(|outcome| view.counts.get(*outcome)).sum()
        };
        let mut progress = Self {
            id: batch.id,
            state: batch_state_label(batch, &view.counts),
            total: view.counts.total(),
            ended: view.counts.final_total(),
            duration: batch.finished_at.map(|at| format_milliseconds((at - batch.created_at).num_milliseconds())),
            outcome_counts: count_outcomes(&view.counts, command),
            transfers: TransferSummary::default(),
            problems: Vec::new(),
            in_progress: Vec::new(),
            done: Vec::new(),
            has_more: view.next.is_some(),
            retryable_without_effect: if is_final { count_with_effect(Effect::None) } else { 0 },
            retryable_with_unknown_effect: if is_final { count_with_effect(Effect::Maybe) } else { 0 },
            operator_check: match command {
                Command::Start | Command::Restart => Some(t("batch-not-printing-checked")),
                Command::EmergencyStop => Some(t("batch-still-running-checked")),
                Command::Pause
                | Command::Resume
                | Command::Toggle
                | Command::Cancel
                | Command::Connect
                | Command::Disconnect => None,
            },
            can_stop: !is_final && matches!(batch.state, BatchState::Running | BatchState::Scheduled),
            can_operate,
        };
        for row in &view.commands {
            progress.transfers.add(row);
            progress.add_row(row);
        }
        progress
    }

    fn add_row(&mut self, row: &CommandRow) {
        let transfer = row.transfer.filter(|_| row.outcome == Outcome::Queued);
        let percent = transfer.filter(|transfer| transfer.state == TransferState::Running);
        let percent = percent.map(|transfer| transfer.sent_bytes * 100 / transfer.size.max(1));
        let result_row = |label: &str| ResultRow {
            printer_id: row.printer_id,
            name: row.printer_name.clone(),
            label: label.to_owned(),
            percent,
        };
        let command = row.resolved_command.unwrap_or(row.command);
        match row.outcome.effect() {
            None if self.in_progress.len() < MAX_ROWS => {
                let sending = percent.map(|percent| t_with("batch-sending-file", &[("percent", &percent)]));
                self.in_progress.push(result_row(sending.as_deref().unwrap_or_else(|| match row.outcome {
                    Outcome::Queued if transfer.is_some_and(|transfer| transfer.state == TransferState::Queued) => {
                        t("batch-waiting-for-file")
                    }
                    Outcome::Queued => t("batch-count-queued"),
                    Outcome::Sent => t("batch-count-sent"),
                    _ => t("batch-count-accepted"),
                })));
            }
            Some(Effect::Done) if self.done.len() < MAX_ROWS => self.done.push(result_row(match row.outcome {
                Outcome::Confirmed => labels::effect_label(command),
                _ => labels::unchanged_label(command),
            })),
            Some(Effect::None | Effect::Maybe) if self.problems.len() < MAX_ROWS => {
                self.problems.push(problem_row(row))
            }
            _ => self.has_more = true,
        }
    }
}

fn problem_row(row: &CommandRow) -> ProblemRow {
    let result = result_labels(row);
    ProblemRow {
        printer_id: row.printer_id,
        name: row.printer_name.clone(),
        label: result.label,
        reason: result.reason,
        code: result.code,
        has_unknown_effect: row.outcome.effect() == Some(Effect::Maybe),
        clears_plate: row.reason == Some(Reason::PlateNotClear),
        late_result: result.late_result,
    }
}

/// The result of one command.
pub(in crate::http::dashboard) struct ResultLabels {
    pub label: &'static str,
    /// The reason, if there is one.
    pub reason: String,
    /// The outcome as in the API, for the tooltip.
    pub code: &'static str,
    pub class: &'static str,
    pub late_result: Option<&'static str>,
}

/// Returns the labels for a row of the command log, in any state.
pub(in crate::http::dashboard) fn result_labels(row: &CommandRow) -> ResultLabels {
    let command = row.resolved_command.unwrap_or(row.command);
    let (label, default_reason) = match row.outcome {
        Outcome::Queued => (t("batch-queued"), ""),
        Outcome::Sent => (t("batch-sent"), ""),
        Outcome::Accepted => (t("batch-accepted"), ""),
        Outcome::Confirmed => (labels::effect_label(command), ""),
        Outcome::Unchanged => (t("batch-unchanged"), labels::unchanged_label(command)),
        Outcome::Unreachable => (t("word-no-answer"), t("batch-unreachable-why")),
        Outcome::Unauthorized => (t("word-access-denied"), t("batch-unauthorized-why")),
        Outcome::Expired => (t("batch-expired"), t("batch-expired-why")),
        Outcome::Skipped => (t("batch-skipped"), t("batch-skipped-why")),
        Outcome::Unconfirmed => (t("batch-unconfirmed"), t("batch-check-printer")),
        Outcome::Unknown => (t("batch-unknown"), t("batch-check-printer")),
        Outcome::Rejected => (t("batch-rejected"), t("batch-rejected-why")),
    };
    let reason = row.explanation().map(|message| text_of(&message));
    ResultLabels {
        label,
        reason: reason.unwrap_or_else(|| default_reason.to_owned()),
        code: row.reason.map_or(row.outcome.as_str(), Reason::as_str),
        class: match row.outcome.effect() {
            None => "quiet",
            Some(Effect::Done) => "good",
            Some(Effect::None) => "bad",
            Some(Effect::Maybe) => "maybe",
        },
        late_result: row.settled.map(|settled| match settled.effect {
            Effect::Done => t("batch-later-done"),
            Effect::None => t("batch-later-not-done"),
            Effect::Maybe => t("batch-later-unknown"),
        }),
    }
}

fn format_milliseconds(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds / 100 % 10),
        _ => format_duration(milliseconds / 1_000),
    }
}

fn count_outcomes(counts: &OutcomeCounts, command: Command) -> Vec<OutcomeCount> {
    let all = [
        (Outcome::Rejected, t("batch-count-rejected").to_owned(), "bad"),
        (Outcome::Unreachable, t("batch-count-unreachable").to_owned(), "bad"),
        (Outcome::Unauthorized, t("batch-count-unauthorized").to_owned(), "bad"),
        (Outcome::Unknown, t("batch-count-unknown").to_owned(), "maybe"),
        (Outcome::Unconfirmed, t("batch-count-unconfirmed").to_owned(), "maybe"),
        (Outcome::Expired, t("batch-count-expired").to_owned(), "bad"),
        (Outcome::Skipped, t("batch-count-skipped").to_owned(), "quiet"),
        (Outcome::Confirmed, labels::effect_label(command).to_lowercase(), "good"),
        (Outcome::Unchanged, t("batch-count-unchanged").to_owned(), "good"),
        (Outcome::Accepted, t("batch-count-accepted").to_owned(), "quiet"),
        (Outcome::Sent, t("batch-count-sent").to_owned(), "quiet"),
        (Outcome::Queued, t("batch-count-queued").to_owned(), "quiet"),
    ];
    let outcome_counts =
        all.into_iter().map(|(outcome, what, class)| OutcomeCount { n: counts.get(outcome), label: what, class });
    outcome_counts.filter(|tally| tally.n > 0).collect()
}

/// Returns the file that a batch names: the id, if the library had it when the batch was created, and the name.
pub(in crate::http::dashboard) fn batch_file(batch: &Batch) -> Option<(Option<Uuid>, String)> {
    Some(match batch.spec.file.as_ref()? {
        StartFile::InLibrary(content) => (Some(content.file_id), content.name.clone()),
        StartFile::OnPrinter(file) => (None, shown_path(&file.path).to_owned()),
    })
}

/// Returns the title of a batch: "Pause 17 printers".
pub(in crate::http::dashboard) fn batch_title(batch: &Batch, counts: &OutcomeCounts) -> String {
    labels::command_title(batch.spec.command, usize::try_from(counts.total()).unwrap_or_default())
}

/// Returns the state of a batch, or its result.
pub(in crate::http::dashboard) fn batch_state_label(batch: &Batch, counts: &OutcomeCounts) -> String {
    let label = match (counts.result(), batch.state) {
        (None, BatchState::Scheduled) => t("batch-scheduled"),
        (None, BatchState::Stopped) => t("batch-stopping"),
        (None, _) => t("batch-in-progress"),
        (Some(_), BatchState::Stopped) => t("batch-stopped"),
        (Some(BatchResult::Ok), _) => t("batch-all-done"),
        (Some(BatchResult::Partial), _) => return partial_result_label(batch, counts),
        (Some(BatchResult::Failed), _) => t("word-nothing-done"),
        (Some(BatchResult::Uncertain), _) => t("batch-uncertain"),
    };
    label.to_owned()
}

/// Returns the result of a batch that took effect on some printers: "14 of 17 paused".
fn partial_result_label(batch: &Batch, counts: &OutcomeCounts) -> String {
    let n = counts.get(Outcome::Confirmed) + counts.get(Outcome::Unchanged);
    let done = labels::effect_label(batch.spec.command).to_lowercase();
    t_with("batch-partly-done", &[("n", &n), ("total", &counts.total()), ("done", &done)])
}

/// A row in the list of batches.
pub(in crate::http::dashboard) struct BatchListRow {
    pub id: Uuid,
    pub title: String,
    /// Name of the file, if the batch names one.
    pub file: Option<String>,
    pub state: String,
    pub class: &'static str,
    pub by: String,
    pub at: TimeElement,
    pub done: String,
}

impl BatchListRow {
    /// Creates the row of a batch.
    pub fn from_batch(batch: &Batch, counts: &OutcomeCounts) -> Self {
        let done = counts.get(Outcome::Confirmed) + counts.get(Outcome::Unchanged);
        Self {
            id: batch.id,
            title: batch_title(batch, counts),
            file: batch_file(batch).map(|(_, name)| name),
            state: batch_state_label(batch, counts),
            class: match counts.result() {
                None => "quiet",
                Some(BatchResult::Ok) => "good",
                Some(BatchResult::Uncertain) => "maybe",
                Some(BatchResult::Partial | BatchResult::Failed) => "bad",
            },
            by: batch.created_by.clone(),
            at: TimeElement::date_and_time(batch.created_at.with_timezone(&Utc)),
            done: t_with("batch-progress", &[("n", &done), ("total", &counts.total())]),
        }
    }
}
