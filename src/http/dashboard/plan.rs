//! From a form to a batch: which printers, which command, under which limits, and what it would do.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::StatusCode;
use uuid::Uuid;

use super::{
    Dashboard,
    board::Entry,
    form::Form,
    language::{fill, t},
    page::Failure,
    tile::Show,
    words,
};
use crate::{
    domain::{
        batch::{BatchSpec, PlatePolicy, Selector, Target},
        command::{Command, Reason},
        effect::Decision,
    },
    service::{
        access::Principal,
        batches::{Created, NewBatch},
    },
};

/// Commands that the farm page offers, in the order of its buttons.
pub(super) const OFFERED: [Command; 6] =
    [Command::Start, Command::Pause, Command::Resume, Command::Toggle, Command::Restart, Command::Cancel];

/// What somebody wants done.
pub(super) struct Plan {
    pub ids: Vec<Uuid>,
    pub spec: BatchSpec,
}

/// What would come of it, by what is known now.
pub(super) struct Forecast {
    pub command: Command,
    /// Printers that would be commanded.
    pub acts: usize,
    /// Printers that would be, but for their plates.
    pub plates: usize,
    /// What about the others: "3 not printing".
    pub others: Vec<String>,
}

impl Forecast {
    /// In one line: "Pause 17 printers · 3 not printing".
    pub fn sentence(&self) -> String {
        let mut parts = vec![words::verb_for(self.command, self.acts)];
        parts.extend(self.others.iter().cloned());
        parts.join(" · ")
    }
}

/// The printers that a form means for a command: those that are ticked, or all in use that match its filter.
pub(super) async fn targets(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Vec<Uuid>, Failure> {
    if !form.is_set("all") {
        return Ok(form.ids("printer_id"));
    }
    let matching = matching(dashboard, who, form).await?;
    let in_use = matching.iter().filter(|entry| entry.view.printer.details.enabled);
    Ok(in_use.map(|entry| entry.id()).collect())
}

/// The printers that match a form's filter.
pub(super) async fn matching(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Vec<Arc<Entry>>, Failure> {
    let show = form.text("show").and_then(Show::parse).unwrap_or(Show::All);
    let (tag, q) = (form.text("tag").unwrap_or_default(), form.text("q").unwrap_or_default());
    let (_, entries) = dashboard.board.all(who).await?;
    Ok(entries.into_iter().filter(|entry| entry.matches(show) && entry.is_among(tag, q)).collect())
}

/// Reads a whole wish. Fails in words for the person who sent it.
pub(super) async fn read(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Plan, Failure> {
    let command = form.text("command").and_then(Command::parse).ok_or_else(Failure::broken_form)?;
    let ids = targets(dashboard, who, form).await?;
    if ids.is_empty() {
        let text = t("No printer was selected. Tick the printers first, then press the button.");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was done", text));
    }
    let mut spec = BatchSpec::of(command);
    spec.max_in_flight = number(form, "max_in_flight")?;
    spec.interval_ms = number(form, "interval_s")?.saturating_mul(1_000);
    spec.max_heating = number(form, "max_heating")?;
    spec.reason = form.text("reason").map(str::to_owned);
    if form.is_set("plates_clear") && matches!(command, Command::Start | Command::Restart) {
        spec.plate = PlatePolicy::AssumeClear;
        if spec.reason.is_none() {
            let text = t("To start on plates that nobody has marked as clear, write down why they are: it is kept.");
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was done", text));
        }
    }
    Ok(Plan { ids, spec })
}

fn number(form: &Form, name: &str) -> Result<u32, Failure> {
    match form.text(name) {
        None => Ok(0),
        Some(_) => form.number(name).ok_or_else(|| {
            let text =
                fill(t("\u{201c}{name}\u{201d} must be a whole number."), &[("name", &t(&name.replace('_', " ")))]);
            Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was done", text)
        }),
    }
}

impl Plan {
    /// The batch that it asks for.
    pub fn batch(&self, dry_run: bool) -> NewBatch {
        let targets = self.ids.iter().map(|id| Target { id: *id, expected_job: None });
        NewBatch {
            spec: self.spec.clone(),
            selector: Selector::Printers(targets.collect()),
            expect_total: None,
            dry_run,
        }
    }

    /// What would come of it.
    pub async fn foresee(&self, dashboard: &Dashboard, who: &Principal) -> Result<Forecast, Failure> {
        let command = self.spec.command;
        let Created::Dry { rows, .. } = dashboard.services.create_batch(who, self.batch(true)).await? else {
            return Err(Failure::internal());
        };
        let (mut acts, mut plates) = (0, 0);
        let mut others: BTreeMap<&'static str, usize> = BTreeMap::new();
        for row in rows {
            let word = match row.decision {
                Decision::Send(_) | Decision::Wait => {
                    acts += 1;
                    continue;
                }
                Decision::Unchanged => words::already(row.resolved.unwrap_or(command)),
                Decision::Reject(reason) => {
                    plates += usize::from(reason == Reason::PlateNotClear);
                    words::refusal(reason)
                }
            };
            *others.entry(word).or_default() += 1;
        }
        let mut others: Vec<_> = others.into_iter().collect();
        others.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        Ok(Forecast {
            command,
            acts,
            plates,
            others: others.into_iter().map(|(word, n)| format!("{n} {word}")).collect(),
        })
    }
}
