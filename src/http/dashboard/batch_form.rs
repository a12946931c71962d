//! Converts a form to a batch: printers, command and limits. Also previews its effect.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::StatusCode;
use uuid::Uuid;

use super::{
    Dashboard,
    form::Form,
    labels,
    language::said,
    messages::{t, t_with},
    page::Failure,
    tile::Show,
    tile_cache::Entry,
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

/// Commands on the farm page, in the order of the buttons.
pub(super) const OFFERED: [Command; 6] =
    [Command::Start, Command::Pause, Command::Resume, Command::Toggle, Command::Restart, Command::Cancel];

/// The batch that a form asks for.
pub(super) struct Plan {
    pub ids: Vec<Uuid>,
    pub spec: BatchSpec,
}

/// Preview of a batch, from the last observations.
pub(super) struct Forecast {
    pub command: Command,
    /// Number of printers that would get the command.
    pub acts: usize,
    /// Number of printers that are held back only by their plates.
    pub plates: usize,
    /// Other printers by reason: "3 not printing".
    pub others: Vec<String>,
}

impl Forecast {
    /// Returns the preview in one line: "Pause 17 printers · 3 not printing".
    pub fn sentence(&self) -> String {
        let mut parts = vec![labels::verb_for(self.command, self.acts)];
        parts.extend(self.others.iter().cloned());
        parts.join(" · ")
    }
}

/// Returns the printers for a command: the ticked ones, or all enabled printers that match the filter of the form.
pub(super) async fn targets(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Vec<Uuid>, Failure> {
    if !form.is_set("all") {
        return Ok(form.ids("printer_id"));
    }
    let matching = matching(dashboard, who, form).await?;
    let in_use = matching.iter().filter(|entry| entry.view.printer.details.enabled);
    Ok(in_use.map(|entry| entry.id()).collect())
}

/// Returns the printers that match the filter of a form.
pub(super) async fn matching(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Vec<Arc<Entry>>, Failure> {
    let show = form.text("show").and_then(Show::parse).unwrap_or(Show::All);
    let (tag, q) = (form.text("tag").unwrap_or_default(), form.text("q").unwrap_or_default());
    let (_, entries) = dashboard.board.all(who).await?;
    Ok(entries.into_iter().filter(|entry| entry.matches(show) && entry.is_among(tag, q)).collect())
}

/// Reads the form of a command. Its errors are sentences for the user.
pub(super) async fn read(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Plan, Failure> {
    let command = form.text("command").and_then(Command::parse).ok_or_else(Failure::broken_form)?;
    let ids = targets(dashboard, who, form).await?;
    if ids.is_empty() {
        let text = t("failure-no-printer-selected-tick");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
    }
    let mut spec = BatchSpec::of(command);
    spec.max_in_flight = number(form, "max_in_flight")?;
    spec.interval_ms = number(form, "interval_s")?.saturating_mul(1_000);
    spec.max_heating = number(form, "max_heating")?;
    spec.reason = form.text("reason").map(str::to_owned);
    if form.is_set("plates_clear") && matches!(command, Command::Start | Command::Restart) {
        spec.plate = PlatePolicy::AssumeClear;
        if spec.reason.is_none() {
            let text = t("batch-start-plates-nobody-marked");
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
        }
    }
    Ok(Plan { ids, spec })
}

fn number(form: &Form, name: &str) -> Result<u32, Failure> {
    match form.text(name) {
        None => Ok(0),
        Some(_) => form.number(name).ok_or_else(|| {
            let text = t_with("failure-must-whole-number", &[("name", &said(&name.replace('_', " ")))]);
            Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text)
        }),
    }
}

impl Plan {
    /// Returns the batch to create.
    pub fn batch(&self, dry_run: bool) -> NewBatch {
        let targets = self.ids.iter().map(|id| Target { id: *id, expected_job: None });
        NewBatch {
            spec: self.spec.clone(),
            selector: Selector::Printers(targets.collect()),
            expect_total: None,
            dry_run,
        }
    }

    /// Previews the batch by a dry run.
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
                Decision::Unchanged => labels::already(row.resolved.unwrap_or(command)),
                Decision::Reject(reason) => {
                    plates += usize::from(reason == Reason::PlateNotClear);
                    labels::refusal(reason)
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
