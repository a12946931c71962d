//! Converts a form to a batch: printers, command and limits. Also previews its effect.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::StatusCode;
use uuid::Uuid;

use crate::{
    domain::{
        batch::{BatchSpec, PlatePolicy, Selector, Target},
        command::{Command, Reason},
        effect::Decision,
    },
    http::dashboard::{
        Dashboard,
        farm::{status_group::StatusGroup, tile_cache::PrinterEntry},
        form::FormData,
        labels,
        messages::{t, t_with},
        page::{Failure, field_label},
    },
    service::{
        access::Principal,
        batches::{CreateBatchResult, NewBatch},
    },
};

/// Commands on the farm page, in the order of the buttons.
pub(in crate::http::dashboard) const OFFERED_COMMANDS: [Command; 6] =
    [Command::Start, Command::Pause, Command::Resume, Command::Cancel, Command::Restart, Command::Connect];

/// The batch that a form asks for.
pub(in crate::http::dashboard) struct BatchPlan {
    pub ids: Vec<Uuid>,
    pub spec: BatchSpec,
}

/// Reads the limits of a form: how many commands at once, how far apart, and how many printers may heat.
pub(in crate::http::dashboard) fn parse_stagger(form: &FormData, spec: &mut BatchSpec) -> Result<(), Failure> {
    spec.max_in_flight = parse_number(form, "max_in_flight")?;
    spec.interval_ms = parse_number(form, "interval_s")?.saturating_mul(1_000);
    spec.max_heating = parse_number(form, "max_heating")?;
    Ok(())
}

/// Preview of a batch, from the last observations.
pub(in crate::http::dashboard) struct BatchPreview {
    pub command: Command,
    /// Number of printers that would get the command.
    pub affected: usize,
    /// Number of printers that are held back only by their plates.
    pub plates_not_clear: usize,
    /// Other printers by reason: "3 not printing".
    pub unaffected: Vec<String>,
}

impl BatchPreview {
    /// Returns the preview in one line: "Pause 17 printers · 3 not printing".
    pub fn summary(&self) -> String {
        let mut parts = vec![labels::command_title(self.command, self.affected)];
        parts.extend(self.unaffected.iter().cloned());
        parts.join(" · ")
    }
}

/// Returns the printers for a command: the ticked ones, or all enabled printers that match the filter of the form.
pub(in crate::http::dashboard) async fn target_ids(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
) -> Result<Vec<Uuid>, Failure> {
    if !form.is_set("all") {
        return Ok(form.ids("printer_id"));
    }
    let matching = matching_entries(dashboard, who, form).await?;
    let enabled = matching.iter().filter(|entry| entry.view.printer.details.enabled);
    Ok(enabled.map(|entry| entry.id()).collect())
}

/// Returns the printers that match the filter of a form.
pub(in crate::http::dashboard) async fn matching_entries(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
) -> Result<Vec<Arc<PrinterEntry>>, Failure> {
    let show = form.text("show").and_then(StatusGroup::parse).unwrap_or(StatusGroup::All);
    let (tag, q) = (form.text("tag").unwrap_or_default(), form.text("q").unwrap_or_default());
    let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
    Ok(entries.into_iter().filter(|entry| entry.matches(show) && entry.has_tag_and_text(tag, q)).collect())
}

/// Reads the form of a command. Its errors are sentences for the user.
pub(in crate::http::dashboard) async fn parse_batch_form(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
) -> Result<BatchPlan, Failure> {
    let command = form.text("command").and_then(Command::parse).ok_or_else(Failure::invalid_form)?;
    let ids = target_ids(dashboard, who, form).await?;
    if ids.is_empty() {
        let text = t("failure-nothing-selected");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
    }
    let mut spec = BatchSpec::new(command);
    // Nothing delays an emergency stop, not even a wrong limit.
    if command != Command::EmergencyStop {
        parse_stagger(form, &mut spec)?;
    }
    spec.reason = form.text("reason").map(str::to_owned);
    if form.is_set("plates_clear") && matches!(command, Command::Start | Command::Restart) {
        spec.plate = PlatePolicy::AssumeClear;
        if spec.reason.is_none() {
            let text = t("batch-plates-reason-missing");
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
        }
    }
    Ok(BatchPlan { ids, spec })
}

fn parse_number(form: &FormData, name: &str) -> Result<u32, Failure> {
    match form.text(name) {
        None => Ok(0),
        Some(_) => form.number(name).ok_or_else(|| {
            let text = t_with("failure-whole-number", &[("name", &field_label(name))]);
            Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text)
        }),
    }
}

impl BatchPlan {
    /// Returns the batch to create.
    pub fn to_new_batch(&self, dry_run: bool) -> NewBatch {
        NewBatch { spec: self.spec.clone(), file: None, selector: self.selector(), expect_total: None, dry_run }
    }

    /// Returns the selector of the printers.
    pub fn selector(&self) -> Selector {
        let targets = self.ids.iter().map(|id| Target { id: *id, expected_job: None, file: None });
        Selector::Printers(targets.collect())
    }

    /// Previews the batch by a dry run.
    pub async fn preview(&self, dashboard: &Dashboard, who: &Principal) -> Result<BatchPreview, Failure> {
        let command = self.spec.command;
        let CreateBatchResult::DryRun { rows, .. } =
            dashboard.services.create_batch(who, self.to_new_batch(true)).await?
        else {
            return Err(Failure::internal());
        };
        let (mut affected, mut plates_not_clear) = (0, 0);
        let mut counts_by_reason: BTreeMap<&'static str, usize> = BTreeMap::new();
        for row in rows {
            let reason_label = match row.decision {
                Decision::Send(_) | Decision::Wait => {
                    affected += 1;
                    continue;
                }
                Decision::Unchanged => labels::unchanged_label(row.resolved.unwrap_or(command)),
                Decision::Reject(reason) => {
                    plates_not_clear += usize::from(reason == Reason::PlateNotClear);
                    labels::refusal_label(reason)
                }
            };
            *counts_by_reason.entry(reason_label).or_default() += 1;
        }
        let mut unaffected: Vec<_> = counts_by_reason.into_iter().collect();
        unaffected.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        Ok(BatchPreview {
            command,
            affected,
            plates_not_clear,
            unaffected: unaffected.into_iter().map(|(word, n)| format!("{n} {word}")).collect(),
        })
    }
}
