//! The result of a batch in one line and one bar.

use uuid::Uuid;

use crate::{
    domain::{
        batch::{Batch, BatchState, SelectedBy},
        command::{Command, CommandRow, ResultClass, ResultCounts, StartFile},
        printer_content::shown_path,
    },
    http::dashboard::{labels, messages::t, messages::t_with},
};

/// The order of classes in bars and legends.
const CLASS_ORDER: [ResultClass; 6] = [
    ResultClass::Done,
    ResultClass::Working,
    ResultClass::LeftAlone,
    ResultClass::NotSent,
    ResultClass::Unknown,
    ResultClass::Failed,
];
/// The width of the bar, in SVG units.
const BAR_WIDTH: f64 = 1_000.0;
/// A single command among thousands stays visible.
const MIN_WIDTH: f64 = 8.0;

/// A stacked bar with one segment per result class, and its legend.
pub(in crate::http::dashboard) struct OutcomeBar {
    pub segments: Vec<BarSegment>,
    pub legend: Vec<LegendItem>,
}

/// A part of the bar. Positions are SVG units.
pub(in crate::http::dashboard) struct BarSegment {
    pub class: &'static str,
    pub x: f64,
    pub width: f64,
}

/// A number of the legend.
pub(in crate::http::dashboard) struct LegendItem {
    pub n: i64,
    pub label: String,
    pub class: &'static str,
}

impl OutcomeBar {
    /// Returns the bar of a batch.
    pub fn from_counts(command: Command, counts: &ResultCounts) -> Self {
        let items = CLASS_ORDER.into_iter().map(|class| LegendItem {
            n: counts.get(class),
            label: class_label(command, class),
            class: class_name(class),
        });
        Self::from_items(items)
    }

    /// Returns a bar with these items. Items of 0 are left out.
    pub fn from_items(items: impl Iterator<Item = LegendItem>) -> Self {
        let legend: Vec<LegendItem> = items.filter(|item| item.n > 0).collect();
        let total = to_f64(legend.iter().map(|item| item.n).sum());
        let widths: Vec<f64> = legend.iter().map(|item| (to_f64(item.n) / total * BAR_WIDTH).max(MIN_WIDTH)).collect();
        let sum: f64 = widths.iter().sum();
        let mut x = 0.0;
        let segments = legend.iter().zip(widths).map(|(item, width)| {
            let (start, width) = (x, (width * BAR_WIDTH / sum).round());
            x += width;
            BarSegment { class: item.class, x: start, width }
        });
        Self { segments: segments.collect(), legend }
    }

    /// Returns the bar as text: "14 paused, 3 left as they are".
    pub fn text(&self) -> String {
        self.legend.iter().map(|item| format!("{} {}", item.n, item.label)).collect::<Vec<_>>().join(", ")
    }
}

fn to_f64(n: i64) -> f64 {
    f64::from(i32::try_from(n).unwrap_or(i32::MAX))
}

/// Returns the CSS class of a result class.
pub(super) fn class_name(class: ResultClass) -> &'static str {
    match class {
        ResultClass::Working => "working",
        ResultClass::Done => "done",
        ResultClass::LeftAlone => "left",
        ResultClass::NotSent => "unsent",
        ResultClass::Failed => "failed",
        ResultClass::Unknown => "unknown",
    }
}

/// Returns the label of a class, to follow a number.
fn class_label(command: Command, class: ResultClass) -> String {
    match class {
        ResultClass::Done => labels::effect_label(command).to_lowercase(),
        ResultClass::Working => t("batch-count-working").to_owned(),
        ResultClass::LeftAlone => t("batch-count-left").to_owned(),
        ResultClass::NotSent => t("batch-count-skipped").to_owned(),
        ResultClass::Failed => t("word-count-failed").to_owned(),
        ResultClass::Unknown => t("batch-count-uncertain").to_owned(),
    }
}

/// Returns the title of a batch: "Pause 17 printers". It counts the printers that the batch acts on.
pub(in crate::http::dashboard) fn batch_title(batch: &Batch, counts: &ResultCounts) -> String {
    let n = if counts.acted_on() > 0 { counts.acted_on() } else { counts.total() };
    labels::command_title(batch.spec.command, usize::try_from(n).unwrap_or_default())
}

/// Returns the command that a toggle meant on every printer, else the command of the batch.
pub(super) fn resolved_command(batch: &Batch, rows: &[CommandRow]) -> Command {
    let first = rows.first().and_then(|row| row.resolved_command);
    first.filter(|first| rows.iter().all(|row| row.resolved_command == Some(*first))).unwrap_or(batch.spec.command)
}

/// Returns the state of a batch in one line, or its result: "14 of 17 paused".
pub(in crate::http::dashboard) fn verdict(command: Command, state: BatchState, counts: &ResultCounts) -> String {
    if !counts.is_final() {
        return match state {
            BatchState::Scheduled => t("batch-scheduled").to_owned(),
            BatchState::Stopped => t("batch-stopping").to_owned(),
            BatchState::Running | BatchState::Finished | BatchState::DryRun => {
                labels::doing_title(command, counts.acted_on())
            }
        };
    }
    let result = final_verdict(command, counts);
    if state == BatchState::Stopped { format!("{} · {result}", t("batch-stopped")) } else { result }
}

fn final_verdict(command: Command, counts: &ResultCounts) -> String {
    let (done, acted_on) = (counts.get(ResultClass::Done), counts.acted_on());
    let effect = labels::effect_label(command);
    let word = effect.to_lowercase();
    let unknown = counts.get(ResultClass::Unknown);
    let result = match (done, counts.total()) {
        (1, 1) => effect.to_owned(),
        (done, total) if done == total => t_with("batch-all-done", &[("n", &done), ("done", &word)]),
        (0, _) if unknown == 0 => t_with("batch-none-done", &[("done", &word)]),
        _ => t_with("batch-partly-done", &[("n", &done), ("total", &acted_on), ("done", &word)]),
    };
    if unknown == 0 {
        return result;
    }
    format!("{result} · {unknown} {}", t("batch-count-uncertain"))
}

/// Returns the class of the result in CSS, for marks.
pub(super) fn verdict_class(counts: &ResultCounts) -> &'static str {
    if !counts.is_final() {
        "quiet"
    } else if counts.get(ResultClass::Failed) > 0 {
        "bad"
    } else if counts.get(ResultClass::Unknown) > 0 {
        "maybe"
    } else if counts.get(ResultClass::Done) > 0 {
        "good"
    } else {
        "quiet"
    }
}

/// Returns the file that a batch names: the id, if the library had it when the batch was created, and the name.
pub(in crate::http::dashboard) fn batch_file(batch: &Batch) -> Option<(Option<Uuid>, String)> {
    Some(match batch.spec.file.as_ref()? {
        StartFile::InLibrary(content) => (Some(content.file_id), content.name.clone()),
        StartFile::OnPrinter(file) => (None, shown_path(&file.path).to_owned()),
    })
}

/// Returns the printers of a batch in short: "tag petg (12 printers)", or the name of the only one.
pub(in crate::http::dashboard) fn selection_label(batch: &Batch, total: i64, printer_name: &str) -> String {
    let printers = || t_with("word-printer-count", &[("n", &total)]);
    match &batch.spec.selected_by {
        Some(SelectedBy::Tags(tags)) => {
            t_with("batch-selected-tags", &[("tags", &tags.join(", ")), ("printers", &printers())])
        }
        Some(SelectedBy::All) if total > 1 => t_with("batch-selected-all", &[("n", &total)]),
        Some(SelectedBy::All) | None if total == 1 && !printer_name.is_empty() => printer_name.to_owned(),
        Some(SelectedBy::All) | None => printers(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        batch::BatchSpec,
        command::{Outcome, Reason},
    };

    fn verdict_of(state: BatchState, rows: &[(Outcome, Option<Reason>, i64)]) -> (String, String) {
        let batch = Batch {
            id: Uuid::nil(),
            spec: BatchSpec::new(Command::Pause),
            state,
            created_at: chrono::DateTime::UNIX_EPOCH,
            finished_at: None,
            created_by: "ada".to_owned(),
            retry_of: None,
        };
        let mut counts = ResultCounts::default();
        for (outcome, reason, n) in rows {
            counts.add(Command::Pause, *outcome, *reason, *n);
        }
        (batch_title(&batch, &counts), verdict(Command::Pause, state, &counts))
    }

    #[test]
    fn a_verdict_counts_the_printers_that_the_batch_acted_on() {
        let left = (Outcome::Rejected, Some(Reason::NotActive), 3);
        let refused = (Outcome::Rejected, Some(Reason::PrinterRefused), 3);
        let done = |n| (Outcome::Confirmed, None, n);
        for (rows, title, expected) in [
            (&[done(21)][..], "Pause 21 printers", "All 21 paused"),
            (&[done(1)], "Pause 1 printer", "Paused"),
            (&[done(2), left], "Pause 2 printers", "2 of 2 paused"),
            (&[done(14), refused, left], "Pause 17 printers", "14 of 17 paused"),
            (&[refused], "Pause 3 printers", "None paused"),
            (&[left], "Pause 3 printers", "None paused"),
            (&[(Outcome::Unchanged, None, 1)], "Pause 1 printer", "None paused"),
            (&[done(1), (Outcome::Unknown, None, 2)], "Pause 3 printers", "1 of 3 paused · 2 uncertain"),
            (&[done(1), (Outcome::Sent, None, 2), left], "Pause 3 printers", "Pausing 3"),
        ] {
            assert_eq!(verdict_of(BatchState::Running, rows), (title.to_owned(), expected.to_owned()));
        }
        let skipped = (Outcome::Skipped, Some(Reason::BatchStopped), 3);
        assert_eq!(verdict_of(BatchState::Stopped, &[done(14), skipped]).1, "Stopped · 14 of 17 paused");
    }

    #[test]
    fn the_segments_fill_the_bar_and_a_single_failure_stays_visible() {
        let mut counts = ResultCounts::default();
        counts.add(Command::Pause, Outcome::Confirmed, None, 4_999);
        counts.add(Command::Pause, Outcome::Unreachable, None, 1);
        let bar = OutcomeBar::from_counts(Command::Start, &counts);
        let [done, failed] = bar.segments.as_slice() else { panic!("two segments") };
        assert_eq!((done.class, failed.class, done.x), ("done", "failed", 0.0));
        assert!(failed.width >= 7.0 && (failed.x + failed.width - BAR_WIDTH).abs() <= 1.0);
        assert_eq!(bar.text(), "4999 started, 1 failed");
        assert!(OutcomeBar::from_counts(Command::Start, &ResultCounts::default()).segments.is_empty());
    }
}
