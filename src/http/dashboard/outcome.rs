//! Labels and advice for the results of commands.

use askama::Template;
use chrono::Utc;
use uuid::Uuid;

use super::{
    filters, labels,
    language::said,
    messages::{t, t_with},
    time::{Moment, length},
};
use crate::{
    domain::{
        batch::{Batch, BatchResult, BatchState, Counts},
        command::{Command, CommandRow, Effect, Outcome, Reason},
    },
    service::batches::BatchView,
};

/// Maximum number of rows per list.
const SHOWN: usize = 500;

/// A command that failed, or whose effect is unknown.
struct Trouble {
    printer_id: Uuid,
    name: String,
    what: &'static str,
    why: String,
    /// The outcome as in the API, for the tooltip.
    word: &'static str,
    is_maybe: bool,
    /// The plate can be cleared here.
    clears_plate: bool,
    later: Option<&'static str>,
}

/// A command that needs no explanation.
struct Row {
    printer_id: Uuid,
    name: String,
    word: &'static str,
}

/// Number of commands with an outcome, for the summary line.
struct Tally {
    n: i64,
    what: String,
    class: &'static str,
}

/// The live part of a batch's page.
#[derive(Template)]
#[template(path = "batches/_live.html")]
pub(super) struct Live {
    id: Uuid,
    state: &'static str,
    total: i64,
    finals: i64,
    took: Option<String>,
    tallies: Vec<Tally>,
    troubles: Vec<Trouble>,
    under_way: Vec<Row>,
    done: Vec<Row>,
    more: bool,
    /// Number of commands that a retry would repeat: without effect, and with an unknown effect.
    retry_none: i64,
    retry_maybe: i64,
    needs_look: bool,
    can_stop: bool,
    operates: bool,
}

impl Live {
    /// Returns the current state of a batch.
    pub fn of(view: &BatchView, operates: bool) -> Self {
        let batch = &view.batch;
        let command = batch.spec.command;
        let is_final = view.is_final();
        let of_effect = |effect: Effect| -> i64 {
            let outcomes = Outcome::ALL.iter().filter(|outcome| outcome.effect() == Some(effect));
            outcomes.map(|outcome| view.counts.of(*outcome)).sum()
        };
        let mut live = Self {
            id: batch.id,
            state: state(batch, &view.counts),
            total: view.counts.total(),
            finals: view.counts.finals(),
            took: batch.finished_at.map(|at| took((at - batch.created_at).num_milliseconds())),
            tallies: tallies(&view.counts, command),
            troubles: Vec::new(),
            under_way: Vec::new(),
            done: Vec::new(),
            more: view.next.is_some(),
            retry_none: if is_final { of_effect(Effect::None) } else { 0 },
            retry_maybe: if is_final { of_effect(Effect::Maybe) } else { 0 },
            needs_look: matches!(command, Command::Start | Command::Restart),
            can_stop: !is_final && matches!(batch.state, BatchState::Running | BatchState::Scheduled),
            operates,
        };
        for row in &view.commands {
            live.sort_in(row);
        }
        live
    }

    fn sort_in(&mut self, row: &CommandRow) {
        let plain = |word: &'static str| Row { printer_id: row.printer_id, name: row.printer_name.clone(), word };
        let command = row.resolved_command.unwrap_or(row.command);
        match row.outcome.effect() {
            None if self.under_way.len() < SHOWN => self.under_way.push(plain(match row.outcome {
                Outcome::Queued => t("batch-waiting-2"),
                Outcome::Sent => t("batch-sent-2"),
                _ => t("batch-accepted-watching-2"),
            })),
            Some(Effect::Done) if self.done.len() < SHOWN => self.done.push(plain(match row.outcome {
                Outcome::Confirmed => labels::done(command),
                _ => labels::already(command),
            })),
            Some(Effect::None | Effect::Maybe) if self.troubles.len() < SHOWN => self.troubles.push(trouble(row)),
            _ => self.more = true,
        }
    }
}

fn trouble(row: &CommandRow) -> Trouble {
    let verdict = verdict(row);
    Trouble {
        printer_id: row.printer_id,
        name: row.printer_name.clone(),
        what: verdict.what,
        why: verdict.why,
        word: verdict.word,
        is_maybe: row.outcome.effect() == Some(Effect::Maybe),
        clears_plate: row.reason == Some(Reason::PlateNotClear),
        later: verdict.later,
    }
}

/// The result of one command.
pub(super) struct Verdict {
    pub what: &'static str,
    /// The reason, if there is one.
    pub why: String,
    /// The outcome as in the API, for the tooltip.
    pub word: &'static str,
    pub class: &'static str,
    pub later: Option<&'static str>,
}

/// Returns the labels for a row of the command log, in any state.
pub(super) fn verdict(row: &CommandRow) -> Verdict {
    let command = row.resolved_command.unwrap_or(row.command);
    let (what, otherwise) = match row.outcome {
        Outcome::Queued => (t("batch-waiting"), ""),
        Outcome::Sent => (t("batch-sent"), ""),
        Outcome::Accepted => (t("batch-accepted-watching"), ""),
        Outcome::Confirmed => (labels::done(command), ""),
        Outcome::Unchanged => (t("batch-nothing-do"), labels::already(command)),
        Outcome::Unreachable => (t("word-no-answer"), t("batch-nothing-sent-look-whether")),
        Outcome::Unauthorized => (t("word-access-refused"), t("batch-octoprint-refused-api-key")),
        Outcome::Expired => (t("batch-too-late"), t("batch-time-passed-before-could")),
        Outcome::Skipped => (t("batch-not-sent"), t("batch-batch-stopped-first")),
        Outcome::Unconfirmed => (t("batch-accepted-effect-not-seen"), t("batch-look-printer")),
        Outcome::Unknown => (t("batch-sent-no-answer"), t("batch-look-printer")),
        Outcome::Rejected => (t("batch-refused"), t("batch-printer-refused")),
    };
    let own = row.detail.clone().filter(|detail| !detail.is_empty());
    let why = own.map(|own| said(&own)).or_else(|| row.reason.map(|reason| said(reason.sentence())));
    Verdict {
        what,
        why: why.unwrap_or_else(|| otherwise.to_owned()),
        word: row.reason.map_or(row.outcome.as_str(), Reason::as_str),
        class: match row.outcome.effect() {
            None => "quiet",
            Some(Effect::Done) => "good",
            Some(Effect::None) => "bad",
            Some(Effect::Maybe) => "maybe",
        },
        later: row.settled.map(|settled| match settled.effect {
            Effect::Done => t("batch-later-seen-done"),
            Effect::None => t("batch-later-seen-not-done"),
            Effect::Maybe => t("batch-later-still-not-clear"),
        }),
    }
}

fn took(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds / 100 % 10),
        _ => length(milliseconds / 1_000),
    }
}

fn tallies(counts: &Counts, command: Command) -> Vec<Tally> {
    let all = [
        (Outcome::Rejected, t("batch-refused-2").to_owned(), "bad"),
        (Outcome::Unreachable, t("batch-without-answer").to_owned(), "bad"),
        (Outcome::Unauthorized, t("batch-refused-access").to_owned(), "bad"),
        (Outcome::Unknown, t("batch-sent-no-answer-2").to_owned(), "maybe"),
        (Outcome::Unconfirmed, t("batch-effect-not-seen").to_owned(), "maybe"),
        (Outcome::Expired, t("batch-too-late-2").to_owned(), "bad"),
        (Outcome::Skipped, t("batch-not-sent-2").to_owned(), "quiet"),
        (Outcome::Confirmed, labels::done(command).to_lowercase(), "good"),
        (Outcome::Unchanged, t("batch-had-nothing-do").to_owned(), "good"),
        (Outcome::Accepted, t("batch-accepted-watching-2").to_owned(), "quiet"),
        (Outcome::Sent, t("batch-sent-2").to_owned(), "quiet"),
        (Outcome::Queued, t("batch-waiting-2").to_owned(), "quiet"),
    ];
    let tallies = all.into_iter().map(|(outcome, what, class)| Tally { n: counts.of(outcome), what, class });
    tallies.filter(|tally| tally.n > 0).collect()
}

/// Returns the title of a batch: "Pause 17 printers".
pub(super) fn title(batch: &Batch, counts: &Counts) -> String {
    labels::verb_for(batch.spec.command, usize::try_from(counts.total()).unwrap_or_default())
}

/// Returns the state of a batch, or its result.
pub(super) fn state(batch: &Batch, counts: &Counts) -> &'static str {
    t(match (counts.result(), batch.state) {
        (None, BatchState::Scheduled) => "batch-planned",
        (None, BatchState::Stopped) => "batch-stopped-what-sent-followed",
        (None, _) => "batch-under-way",
        (Some(_), BatchState::Stopped) => "batch-stopped",
        (Some(BatchResult::Ok), _) => "batch-all-done",
        (Some(BatchResult::Partial), _) => "batch-done-part",
        (Some(BatchResult::Failed), _) => "word-nothing-done",
        (Some(BatchResult::Uncertain), _) => "batch-uncertain-check-printer",
    })
}

/// A row in the list of batches.
pub(super) struct Line {
    pub id: Uuid,
    pub title: String,
    pub state: &'static str,
    pub class: &'static str,
    pub by: String,
    pub at: Moment,
    pub done: String,
}

impl Line {
    /// Creates the row of a batch.
    pub fn of(batch: &Batch, counts: &Counts) -> Self {
        let done = counts.of(Outcome::Confirmed) + counts.of(Outcome::Unchanged);
        Self {
            id: batch.id,
            title: title(batch, counts),
            state: state(batch, counts),
            class: match counts.result() {
                None => "quiet",
                Some(BatchResult::Ok) => "good",
                Some(BatchResult::Uncertain) => "maybe",
                Some(BatchResult::Partial | BatchResult::Failed) => "bad",
            },
            by: batch.created_by.clone(),
            at: Moment::day(batch.created_at.with_timezone(&Utc)),
            done: t_with("batch-of", &[("n", &done), ("total", &counts.total())]),
        }
    }
}
