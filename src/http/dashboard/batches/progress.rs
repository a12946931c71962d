//! The live parts of a batch: its page, and the short form in the bar of the farm.

use askama::Template;
use uuid::Uuid;

use super::{
    batch_href,
    groups::{GroupAction, OccupiedPlates, ResultGroup},
    preview::left_summary,
    results::result_labels,
    verdict::{OutcomeBar, resolved_command, verdict},
};
use crate::{
    domain::{
        access::Role,
        batch::BatchState,
        command::{Command, CommandRow, Effect, Outcome, Reason, ResultClass, ResultCounts},
        plate::PlateState,
        printer_content::TransferState,
    },
    http::dashboard::{
        Dashboard, filters, labels,
        messages::{t, t_with},
        page::Failure,
        time::{format_duration, format_size},
    },
    service::{access::Principal, batches::BatchView},
};

/// Maximum number of rows per list.
const MAX_ROWS: usize = 500;

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

/// The live part of a batch's page.
#[derive(Template)]
#[template(path = "batches/_progress.html")]
pub(in crate::http::dashboard) struct BatchProgress {
    id: Uuid,
    /// Where the user came from.
    back_path: String,
    state: &'static str,
    verdict: String,
    duration: Option<String>,
    bar: OutcomeBar,
    transfers: TransferSummary,
    is_final: bool,
    problems: Vec<ResultGroup>,
    left: Vec<ResultGroup>,
    left_total: usize,
    starts_prints: bool,
    in_progress: Vec<ResultRow>,
    done: Vec<ResultRow>,
    done_total: i64,
    effect_label: &'static str,
    has_more: bool,
    /// Number of commands that failed or were not sent, in more than one group.
    retryable: i64,
    can_stop: bool,
    can_operate: bool,
    can_manage: bool,
    /// What the user declares before a command with an unknown effect is sent again.
    checked_label: &'static str,
}

impl BatchProgress {
    /// Returns the current state of a batch for a user.
    pub async fn load(
        dashboard: &Dashboard,
        who: &Principal,
        view: &BatchView,
        back_path: &str,
    ) -> Result<Self, Failure> {
        let plates = load_occupied_plates(dashboard, who, view).await?;
        Ok(Self::from_view(view, who.role, back_path, &plates))
    }

    fn from_view(view: &BatchView, role: Role, back_path: &str, plates: &OccupiedPlates) -> Self {
        let (batch, rows) = (&view.batch, &view.commands);
        let is_final = view.is_final();
        let can_operate = role >= Role::Operator;
        let command = resolved_command(batch, rows);
        let counts = ResultCounts::from_rows(rows);
        let groups = ResultGroup::from_rows(rows.iter().filter(|row| is_exception(row)));
        let groups = groups.into_iter().map(|group| {
            // A retry needs the end of the batch.
            if is_final && can_operate { group.with_action(batch, rows, plates) } else { group }
        });
        let (left, problems): (Vec<_>, Vec<_>) = groups.partition(|group| group.class == ResultClass::LeftAlone);
        let repeated = [ResultClass::Failed, ResultClass::NotSent];
        let retry_groups = problems.iter().filter(|group| repeated.contains(&group.class)).count();
        let mut progress = Self {
            id: batch.id,
            back_path: back_path.to_owned(),
            state: if is_final { "final" } else { batch.state.as_str() },
            verdict: verdict(command, batch.state, &counts),
            duration: batch.finished_at.map(|at| format_milliseconds((at - batch.created_at).num_milliseconds())),
            bar: OutcomeBar::from_counts(command, &counts),
            transfers: TransferSummary::default(),
            is_final,
            left_total: left.iter().map(|group| group.n).sum(),
            left,
            starts_prints: matches!(command, Command::Start | Command::Restart),
            problems,
            in_progress: Vec::new(),
            done: Vec::new(),
            done_total: counts.get(ResultClass::Done),
            effect_label: labels::effect_label(command),
            has_more: view.next.is_some(),
            retryable: if is_final && can_operate && retry_groups > 1 {
                repeated.map(|class| counts.get(class)).iter().sum()
            } else {
                0
            },
            can_stop: !is_final && matches!(batch.state, BatchState::Running | BatchState::Scheduled),
            can_operate,
            can_manage: role >= Role::Manager,
            checked_label: t(if command == Command::EmergencyStop {
                "batch-still-running-checked"
            } else {
                "batch-not-printing-checked"
            }),
        };
        for row in rows {
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
        match row.result_class() {
            ResultClass::Working if self.in_progress.len() < MAX_ROWS => {
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
            ResultClass::Done if self.done.len() < MAX_ROWS => {
                // A toggle paused some and resumed others. Otherwise the label of the list is enough.
                let label = result_labels(row).label;
                self.done.push(result_row(if label == self.effect_label { "" } else { label }));
            }
            ResultClass::Working | ResultClass::Done => self.has_more = true,
            // They are in the groups.
            ResultClass::LeftAlone | ResultClass::NotSent | ResultClass::Failed | ResultClass::Unknown => {}
        }
    }

    /// Returns the printers that were left as they are in one line.
    fn left_text(&self) -> String {
        let groups: Vec<(usize, &str)> = self.left.iter().map(|group| (group.n, group.count_label)).collect();
        left_summary(&groups).unwrap_or_default()
    }

    /// Returns whether the printers that were left as they are are shown at first: a start may go on after a small
    /// action.
    fn is_left_open(&self) -> bool {
        self.starts_prints && self.left.iter().any(|group| group.action.is_some())
    }
}

fn is_exception(row: &CommandRow) -> bool {
    !matches!(row.result_class(), ResultClass::Working | ResultClass::Done)
}

/// Returns the plates that are occupied now, if a row of the batch was left alone for its plate.
async fn load_occupied_plates(
    dashboard: &Dashboard,
    who: &Principal,
    view: &BatchView,
) -> Result<OccupiedPlates, Failure> {
    let has_plates = view.commands.iter().any(|row| row.reason == Some(Reason::PlateNotClear));
    if !has_plates || !view.is_final() {
        return Ok(OccupiedPlates::new());
    }
    let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
    let occupied = entries.iter().filter(|entry| {
        let live = &entry.view.live;
        live.plate.state == PlateState::Occupied && !live.state.is_active()
    });
    Ok(occupied.map(|entry| (entry.id(), entry.view.live.plate.print_id)).collect())
}

fn format_milliseconds(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds / 100 % 10),
        _ => format_duration(milliseconds / 1_000),
    }
}

/// The short form of a batch, for the bar of the farm: progress, then the result.
#[derive(Template)]
#[template(path = "batches/_summary.html")]
pub(super) struct BatchSummary {
    id: Uuid,
    href: String,
    back_path: String,
    text: String,
    is_final: bool,
    bar: OutcomeBar,
    /// Printers on which the command failed or has an unknown effect. They stay selected.
    unsuccessful: Vec<Uuid>,
    retryable: i64,
    can_operate: bool,
}

impl BatchSummary {
    /// Returns the short form of a batch for a user.
    pub fn from_view(view: &BatchView, role: Role, back_path: &str) -> Self {
        let counts = ResultCounts::from_rows(&view.commands);
        let command = resolved_command(&view.batch, &view.commands);
        let is_unsuccessful = |row: &&CommandRow| {
            matches!(row.result_class(), ResultClass::Failed | ResultClass::Unknown)
                && row.settled.is_none_or(|settled| settled.effect != Effect::Done)
        };
        Self {
            id: view.batch.id,
            href: batch_href(view.batch.id, back_path),
            back_path: back_path.to_owned(),
            text: summary_text(view, command, &counts),
            is_final: view.is_final(),
            bar: OutcomeBar::from_counts(command, &counts),
            unsuccessful: view.commands.iter().filter(is_unsuccessful).map(|row| row.printer_id).collect(),
            retryable: counts.get(ResultClass::Failed) + counts.get(ResultClass::NotSent),
            can_operate: role >= Role::Operator,
        }
    }

    fn failed_ids(&self) -> String {
        self.unsuccessful.iter().map(Uuid::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// Returns the verdict with the exceptions: "Pausing 17 · 14 done · 3 no answer".
fn summary_text(view: &BatchView, command: Command, counts: &ResultCounts) -> String {
    let mut parts = vec![verdict(command, view.batch.state, counts)];
    let done = counts.get(ResultClass::Done);
    if !view.is_final() && done > 0 {
        parts.push(format!("{done} {}", labels::effect_label(command).to_lowercase()));
    }
    let (left, problems): (Vec<_>, Vec<_>) =
        ResultGroup::from_rows(view.commands.iter().filter(|row| is_exception(row)))
            .into_iter()
            .partition(|group| group.class == ResultClass::LeftAlone);
    // The verdict counts the uncertain ones.
    let named = problems.iter().filter(|group| !view.is_final() || group.class != ResultClass::Unknown);
    parts.extend(named.map(|group| format!("{} {}", group.n, group.count_label)));
    let left: Vec<(usize, &str)> = left.iter().map(|group| (group.n, group.count_label)).collect();
    parts.extend(left_summary(&left));
    parts.join(" · ")
}
