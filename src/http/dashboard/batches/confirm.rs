//! The page that asks once before a batch that could do harm. The script shows its sheet as a dialog.
//!
//! If something is missing or wrong, the same sheet is shown again with the sentence beside its field. Nothing that was
//! typed or selected is lost.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use askama::Template;
use axum::http::StatusCode;
use uuid::Uuid;

use super::{
    form::BatchPlan,
    preview::{PreviewGroup, PreviewGroups},
};
use crate::{
    domain::{
        batch::PlatePolicy,
        command::{Command, Reason},
    },
    http::dashboard::{
        Dashboard,
        farm::{status_group::is_paused_at_printer, tile_cache::PrinterEntry},
        filters,
        form::FormData,
        labels,
        messages::t,
        page::{Failure, PageFrame},
    },
    service::access::Principal,
};

/// From this number of prints, the user must type the number.
const TYPED_NUMBER_FROM: usize = 20;
/// Options of the previous form that pass through the confirmation unchanged.
const PRESERVED_OPTIONS: [&str; 8] =
    ["max_in_flight", "interval_s", "max_heating", "back", "quick", "show", "tag", "q"];

/// Printers with the same file.
struct FileGroup {
    file: Option<String>,
    names: Vec<String>,
}

/// The question, as a part of the page or in a dialog.
#[derive(Template)]
#[template(path = "batches/_confirm.html")]
struct ConfirmSheet {
    command: Command,
    title: String,
    is_harmful: bool,
    warning: &'static str,
    ids: Vec<Uuid>,
    preserved_options: Vec<(&'static str, String)>,
    back_path: String,
    /// What the command acts on.
    files: Vec<FileGroup>,
    left: Vec<PreviewGroup>,
    left_total: usize,
    failing: Vec<PreviewGroup>,
    /// Printers that are left out unless the user declares their plates clear.
    plates: Vec<String>,
    plates_clear: bool,
    /// Nothing is sent unless the plates are declared clear.
    needs_plates: bool,
    is_check_missing: bool,
    reason: String,
    is_reason_missing: bool,
    /// Prints that were paused at their printers. They are left out unless the user includes them.
    paused_at_printer: Vec<String>,
    includes_paused: bool,
    /// The number that must be typed, if any.
    expected_number: Option<usize>,
    typed: String,
    is_wrong_number: bool,
    /// The button, while the box that adds printers is not ticked, and while it is.
    button: String,
    button_with_all: Option<String>,
}

#[derive(Template)]
#[template(path = "batches/confirm.html")]
pub(in crate::http::dashboard) struct ConfirmPage {
    frame: PageFrame,
    sheet: ConfirmSheet,
}

/// Returns the confirmation page with its status. `None` if no confirmation is needed, or it was given. A plan for
/// several printers leaves out prints that were paused at their printers, unless the user includes them.
pub(in crate::http::dashboard) async fn confirmation_page(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    plan: &mut BatchPlan,
) -> Result<Option<(StatusCode, ConfirmPage)>, Failure> {
    let command = plan.spec.command;
    let is_confirmed = form.is_set("confirm");
    let is_emergency_stop = command == Command::EmergencyStop;
    let is_harmful = matches!(command, Command::Cancel | Command::Restart | Command::EmergencyStop);
    let starts = matches!(command, Command::Start | Command::Restart);
    let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
    let entries: HashMap<Uuid, Arc<PrinterEntry>> = entries.into_iter().map(|entry| (entry.id(), entry)).collect();
    let paused = list_paused_at_printer(plan, &entries);
    // If all of them were paused at their printers, the confirmation is about them.
    let optional: HashSet<Uuid> = if paused.len() < plan.ids.len() { paused.clone() } else { HashSet::new() };
    if is_confirmed && !form.is_set("also_at_printer") {
        plan.ids.retain(|id| !optional.contains(id));
    }
    if !is_harmful && !starts && (is_confirmed || paused.is_empty()) {
        return Ok(None);
    }
    let mut preview = if is_emergency_stop {
        // It is tried on every printer, whatever the last observation shows.
        PreviewGroups { acting: plan.ids.clone(), ..PreviewGroups::default() }
    } else {
        plan.preview(dashboard, who, PlatePolicy::Check).await?
    };
    let plates = take_plates(&mut preview);
    let n = preview.acting.len() + plates.len();
    if n == 0 || !is_harmful && plates.is_empty() && paused.is_empty() {
        // Nothing can be lost: the batch shows the result for each printer. No plate needs a declaration.
        plan.spec.plate = PlatePolicy::Check;
        return Ok(None);
    }
    let plates_clear = !plates.is_empty() && plan.spec.plate == PlatePolicy::AssumeClear;
    if !plates_clear {
        plan.spec.plate = PlatePolicy::Check;
    }
    let needs_plates = preview.acting.is_empty() && !plates.is_empty();
    let is_check_missing = is_confirmed && needs_plates && !plates_clear;
    let is_reason_missing = is_confirmed && plates_clear && plan.spec.reason.is_none();
    let typed = form.text("typed").unwrap_or_default();
    let is_wrong_number =
        is_confirmed && !is_emergency_stop && form.text("number").is_some_and(|number| typed != number);
    let has_error = is_check_missing || is_reason_missing || is_wrong_number;
    if is_confirmed && !has_error {
        return Ok(None);
    }
    let (optional_entries, acting): (Vec<_>, Vec<_>) =
        preview.acting.iter().filter_map(|id| entries.get(id)).partition(|entry| optional.contains(&entry.id()));
    // Without the plates that are not declared clear, or the prints that the user does not include.
    let certain = acting.len();
    let preserved = PRESERVED_OPTIONS.iter().chain(plates.is_empty().then_some(&"reason"));
    let preserved = preserved.filter_map(|name| Some((*name, form.text(name)?.to_owned())));
    let sheet = ConfirmSheet {
        command,
        title: format!("{}?", labels::command_title(command, n)),
        is_harmful,
        warning: t(match command {
            Command::Cancel => "batch-confirm-cancel",
            Command::Restart => "batch-confirm-restart",
            Command::Start => "batch-confirm-start",
            Command::EmergencyStop => "batch-confirm-emergency-stop",
            Command::Pause | Command::Resume | Command::Toggle | Command::Connect | Command::Disconnect => {
                "batch-confirm-resume"
            }
        }),
        ids: plan.ids.clone(),
        preserved_options: preserved.collect(),
        back_path: form.back_path().to_owned(),
        files: group_by_file(&acting),
        left_total: preview.left_total(),
        left: preview.left,
        failing: preview.failing,
        plates_clear,
        needs_plates,
        is_check_missing,
        reason: form.text("reason").unwrap_or_default().to_owned(),
        is_reason_missing,
        paused_at_printer: optional_entries.iter().map(|entry| name_of(entry)).collect(),
        includes_paused: form.is_set("also_at_printer"),
        expected_number: (is_harmful && !is_emergency_stop && n >= TYPED_NUMBER_FROM).then_some(n),
        typed: typed.to_owned(),
        is_wrong_number,
        button: labels::command_title(command, if needs_plates { n } else { certain }),
        button_with_all: (certain < n && !needs_plates).then(|| labels::command_title(command, n)),
        plates,
    };
    let status = if has_error { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(Some((status, ConfirmPage { frame: PageFrame::new(who, "farm"), sheet })))
}

/// Returns the printers of a plan whose prints were paused at the printer. Only plans for several printers ask about them.
fn list_paused_at_printer(plan: &BatchPlan, entries: &HashMap<Uuid, Arc<PrinterEntry>>) -> HashSet<Uuid> {
    if !matches!(plan.spec.command, Command::Resume | Command::Toggle) || plan.ids.len() < 2 {
        return HashSet::new();
    }
    let is_paused = |id: &Uuid| entries.get(id).is_some_and(|entry| is_paused_at_printer(&entry.view));
    plan.ids.iter().copied().filter(is_paused).collect()
}

/// Moves the printers with occupied plates out of the others. The user may declare their plates clear.
fn take_plates(preview: &mut PreviewGroups) -> Vec<String> {
    let label = labels::refusal_label(Reason::PlateNotClear);
    let is_plates = |group: &mut PreviewGroup| group.label == label;
    preview.left.extract_if(.., is_plates).flat_map(|group| group.names).collect()
}

/// Groups printers by their file, the largest group first.
fn group_by_file(entries: &[&Arc<PrinterEntry>]) -> Vec<FileGroup> {
    let mut groups: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
    for entry in entries {
        groups.entry(entry.shown_file()).or_default().push(name_of(entry));
    }
    let groups = groups.into_iter().map(|(file, names)| FileGroup { file: file.map(str::to_owned), names });
    let mut groups: Vec<FileGroup> = groups.collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.names.len()));
    groups
}

fn name_of(entry: &PrinterEntry) -> String {
    entry.view.printer.details.name.clone()
}
