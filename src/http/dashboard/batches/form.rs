//! Converts a form to a batch: printers, command and limits.

use std::{collections::HashSet, sync::Arc};

use axum::http::StatusCode;
use uuid::Uuid;

use crate::{
    domain::{
        batch::{BatchSpec, PlatePolicy, SelectedBy, Selector, Target},
        command::Command,
    },
    http::dashboard::{
        Dashboard,
        farm::{status_group::StatusGroup, tile_cache::PrinterEntry},
        form::FormData,
        messages::{t, t_with},
        page::{Failure, field_label},
    },
    service::{access::Principal, batches::NewBatch},
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

/// Returns how the printers were selected: all of the farm, or all with a tag. `None`: by a person, one by one.
pub(in crate::http::dashboard) async fn selected_by(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    ids: &[Uuid],
) -> Result<Option<SelectedBy>, Failure> {
    let shows_all = form.text("show").and_then(StatusGroup::parse).is_some_and(|show| show == StatusGroup::All);
    if !shows_all || form.is_set("q") {
        return Ok(None);
    }
    let matching = matching_entries(dashboard, who, form).await?;
    let enabled = matching.iter().filter(|entry| entry.view.printer.details.enabled);
    let selected: HashSet<Uuid> = ids.iter().copied().collect();
    let is_whole = enabled.clone().count() > 1 && enabled.clone().all(|entry| selected.contains(&entry.id()));
    if !is_whole || selected.len() > matching.len() {
        return Ok(None);
    }
    Ok(Some(form.text("tag").map_or(SelectedBy::All, |tag| SelectedBy::Tags(vec![tag.to_owned()]))))
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
    }
    spec.selected_by = selected_by(dashboard, who, form, &ids).await?;
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
}
