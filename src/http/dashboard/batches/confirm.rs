//! The confirmation page before a batch that could do harm: it shows the number of printers and asks once.

use askama::Template;
use uuid::Uuid;

use super::form::BatchPlan;
use crate::{
    domain::{
        batch::PlatePolicy,
        command::{Command, Reason},
    },
    http::dashboard::{
        Dashboard,
        farm::status_group::is_paused_at_printer,
        filters,
        form::FormData,
        labels,
        messages::{t, t_with},
        page::{Failure, PageFrame},
    },
    service::{Error, access::Principal},
};

/// From this number of prints, the user must type the number.
const TYPED_NUMBER_FROM: usize = 20;

#[derive(Template)]
#[template(path = "batches/confirm.html")]
pub(in crate::http::dashboard) struct ConfirmPage {
    frame: PageFrame,
    command: Command,
    title: String,
    is_harmful: bool,
    warning: &'static str,
    /// Printers that the command does not affect, by reason.
    unaffected: Vec<String>,
    /// Printers that are left out unless the user declares their plates clear.
    plates_not_clear: usize,
    reason: String,
    /// The number that must be typed, if any.
    expected_number: Option<usize>,
    is_wrong_number: bool,
    /// Prints that were paused at their printers. They are left out unless the user includes them.
    paused_at_printer: usize,
    ids: Vec<Uuid>,
    /// Options of the previous form, passed on.
    preserved_options: Vec<(&'static str, String)>,
    names: Vec<String>,
    back_path: String,
}

/// Options that pass through the confirmation unchanged.
const PRESERVED_OPTIONS: [&str; 6] = ["max_in_flight", "interval_s", "max_heating", "plates_clear", "reason", "back"];
/// Number of printer names that are shown.
const MAX_NAMES: usize = 40;

/// Returns the confirmation page. `None` if no confirmation is needed, or it was given. A plan for several printers
/// leaves out prints that were paused at their printers, unless the user includes them.
pub(in crate::http::dashboard) async fn confirmation_page(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    plan: &mut BatchPlan,
) -> Result<Option<ConfirmPage>, Failure> {
    let command = plan.spec.command;
    let mut paused_at_printer = Vec::new();
    if matches!(command, Command::Resume | Command::Toggle) && plan.ids.len() > 1 {
        let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
        let paused = entries.iter().filter(|entry| is_paused_at_printer(&entry.view));
        paused_at_printer = paused.map(|entry| entry.id()).filter(|id| plan.ids.contains(id)).collect();
    }
    let confirmed = form.is_set("confirm");
    if confirmed && !form.is_set("also_at_printer") && paused_at_printer.len() < plan.ids.len() {
        plan.ids.retain(|id| !paused_at_printer.contains(id));
    }
    let is_emergency_stop = command == Command::EmergencyStop;
    let is_harmful = matches!(command, Command::Cancel | Command::Restart | Command::EmergencyStop);
    let checks_plates = matches!(command, Command::Start | Command::Restart) && plan.spec.plate == PlatePolicy::Check;
    let is_wrong_number =
        !is_emergency_stop && form.text("number").is_some_and(|number| form.text("typed") != Some(number));
    if (confirmed && !is_wrong_number) || (!is_harmful && !checks_plates && paused_at_printer.is_empty()) {
        return Ok(None);
    }
    // An emergency stop is tried on every printer, whatever its last observation shows.
    let preview = if is_emergency_stop { None } else { Some(plan.preview(dashboard, who).await?) };
    let plates_not_clear = preview.as_ref().filter(|_| checks_plates).map_or(0, |preview| preview.plates_not_clear);
    let n = preview.as_ref().map_or(plan.ids.len(), |preview| preview.affected + plates_not_clear);
    if (n == 0 || !is_harmful && plates_not_clear == 0) && paused_at_printer.is_empty() {
        // Nothing can be lost: the batch shows the result for each printer.
        return Ok(None);
    }
    let unaffected = preview.iter().flat_map(|preview| &preview.unaffected);
    let unaffected = unaffected
        .filter(|other| plates_not_clear == 0 || !other.ends_with(labels::refusal_label(Reason::PlateNotClear)));
    let mut names = Vec::new();
    for id in plan.ids.iter().take(MAX_NAMES) {
        match dashboard.services.printer(who, *id).await {
            Ok(view) => names.push(view.printer.details.name),
            // The printer was removed after the page was rendered.
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if plan.ids.len() > MAX_NAMES {
        names.push(t_with("word-more", &[("n", &(plan.ids.len() - MAX_NAMES))]));
    }
    let preserved_options = PRESERVED_OPTIONS.iter().filter(|name| plates_not_clear == 0 || **name != "reason");
    let preserved_options = preserved_options.filter_map(|name| Some((*name, form.text(name)?.to_owned())));
    Ok(Some(ConfirmPage {
        frame: PageFrame::new(who, "farm"),
        command,
        is_harmful,
        title: format!("{}?", labels::command_title(command, n)),
        warning: t(match command {
            Command::Cancel => "batch-confirm-cancel",
            Command::Restart => "batch-confirm-restart",
            Command::Start => "batch-confirm-start",
            Command::EmergencyStop => "batch-confirm-emergency-stop",
            _ => "batch-confirm-resume",
        }),
        expected_number: (is_harmful && !is_emergency_stop && n >= TYPED_NUMBER_FROM).then_some(n),
        unaffected: unaffected.cloned().collect(),
        plates_not_clear,
        reason: form.text("reason").unwrap_or_default().to_owned(),
        is_wrong_number,
        paused_at_printer: paused_at_printer.len(),
        ids: plan.ids.clone(),
        preserved_options: preserved_options.collect(),
        names,
        back_path: form.back_path().to_owned(),
    }))
}
