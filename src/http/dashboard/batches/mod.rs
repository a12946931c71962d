//! The pages of batches: create from a selection, follow each printer's outcome, stop, retry.

pub(super) mod confirm;
pub(super) mod form;
mod groups;
pub(super) mod list;
pub(super) mod preview;
pub(super) mod progress;
pub(super) mod results;
pub(super) mod start;
mod start_preview;
pub(super) mod verdict;

use askama::Template;
use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use self::{
    form::{BatchPlan, OFFERED_COMMANDS},
    groups::group_key,
    preview::CommandPreview,
    progress::{BatchProgress, BatchSummary},
    verdict::{batch_file, batch_title, selection_label},
};
use super::{
    Dashboard, filters,
    form::FormData,
    list_filters,
    page::{Failure, PageFrame, PathUuid, Visitor, local_path, render_html},
    time::TimeElement,
};
use crate::{
    domain::{
        access::Role,
        batch::{BatchSpec, BatchState, PlatePolicy},
        command::{Command, CommandRow, Outcome, Reason, ResultClass, ResultCounts},
        plate::ClearResult,
    },
    service::{
        access::Principal,
        batches::{BatchView, CreateBatchResult, RetryRequest},
        plates::PlateToClear,
    },
};

/// Number of commands on the page of a batch: the maximum of a batch.
const MAX_COMMANDS: i64 = 5_000;
/// Number of printer names that a preview lists in each group.
const MAX_NAMES: usize = 40;

#[derive(Template)]
#[template(path = "batches/show.html")]
struct BatchPage {
    frame: PageFrame,
    title: String,
    back_path: String,
    stream: String,
    selection: String,
    created_by: String,
    created_at: TimeElement,
    /// When a scheduled batch is due.
    due_at: Option<TimeElement>,
    /// The file that it names: the id in the library, and the name.
    file: Option<(Option<Uuid>, String)>,
    reason: Option<String>,
    reference: Option<String>,
    retry_of: Option<Uuid>,
    is_final: bool,
    /// Number of plates that the user could not mark as clear.
    kept_plates: usize,
    progress: BatchProgress,
}

/// Query parameters of the page of a batch, and of its stream and summary.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BatchParams {
    /// Where the user came from, such as the farm with its filter.
    back: String,
    kept: String,
}

impl BatchParams {
    /// Returns a path of this site, else the farm page.
    pub fn back_path(&self) -> &str {
        local_path(Some(&self.back)).unwrap_or("/")
    }
}

#[derive(Template)]
#[template(path = "batches/_preview.html")]
struct CommandPreviews {
    total: usize,
    previews: Vec<CommandPreview>,
}

/// Shows what each command would do to the selected printers.
pub(super) async fn preview(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Html<String>, Failure> {
    who.require(Role::Operator)?;
    let ids = form::target_ids(&dashboard, &who, &form).await?;
    let mut previews = Vec::new();
    for command in OFFERED_COMMANDS {
        if ids.is_empty() {
            break;
        }
        let plan = BatchPlan { ids: ids.clone(), spec: BatchSpec::new(command) };
        let groups = plan.preview(&dashboard, &who, PlatePolicy::Check).await?;
        previews.push(CommandPreview { command, groups });
    }
    render_html(&CommandPreviews { total: ids.len(), previews })
}

pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    headers: HeaderMap,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let mut plan = form::parse_batch_form(&dashboard, &who, &form).await?;
    if let Some((status, page)) = confirm::confirmation_page(&dashboard, &who, &form, &mut plan).await? {
        return Ok((status, render_html(&page)?).into_response());
    }
    if plan.spec.command == Command::EmergencyStop {
        let view = dashboard.services.emergency_stop(&who, &plan.selector(), plan.spec.reason.clone()).await?;
        return Ok(respond_with_batch(&headers, &form, view.batch.id));
    }
    match dashboard.services.create_batch(&who, plan.to_new_batch(false)).await? {
        CreateBatchResult::Batch(view) => Ok(respond_with_batch(&headers, &form, view.batch.id)),
        CreateBatchResult::DryRun { .. } => Err(Failure::internal()),
    }
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    Query(params): Query<BatchParams>,
) -> Result<Html<String>, Failure> {
    let view = load_visible_batch(&dashboard, &who, id).await?;
    let back_path = params.back_path();
    let progress = BatchProgress::load(&dashboard, &who, &view, back_path).await?;
    let (batch, counts) = (&view.batch, ResultCounts::from_rows(&view.commands));
    let first_name = view.commands.first().map_or("", |row| row.printer_name.as_str());
    let due_at = batch.spec.not_before.filter(|_| batch.state == BatchState::Scheduled);
    render_html(&BatchPage {
        frame: PageFrame::new(&who, "batches"),
        title: batch_title(batch, &counts),
        back_path: back_path.to_owned(),
        stream: href_with_back(&format!("/batches/{id}/stream"), back_path),
        selection: selection_label(batch, counts.total(), first_name),
        created_by: batch.created_by.clone(),
        created_at: TimeElement::date_and_time(batch.created_at),
        due_at: due_at.map(TimeElement::date_and_time),
        file: batch_file(batch),
        reason: batch.spec.reason.clone(),
        reference: batch.spec.external_ref.clone(),
        retry_of: batch.retry_of,
        is_final: view.is_final(),
        kept_plates: params.kept.parse().unwrap_or(0),
        progress,
    })
}

/// Returns the short form of a batch, for the bar of the farm.
pub(super) async fn summarise(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    Query(params): Query<BatchParams>,
) -> Result<Html<String>, Failure> {
    let view = load_visible_batch(&dashboard, &who, id).await?;
    render_html(&BatchSummary::from_view(&view, who.role, params.back_path()))
}

pub(super) async fn stop(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    dashboard.services.stop_batch(&who, id).await?;
    Ok(Redirect::to(&batch_href(id, form.back_path())).into_response())
}

/// Repeats the commands of one group, or all that failed or were not sent.
pub(super) async fn retry(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    headers: HeaderMap,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let view = load_visible_batch(&dashboard, &who, id).await?;
    let group = form.text("group");
    let is_retried = |row: &&CommandRow| match group {
        // A plate may be clear now. Nothing else that was left alone is worth a retry.
        Some(key) => {
            let may_retry = row.result_class().is_retryable() || row.reason == Some(Reason::PlateNotClear);
            may_retry && group_key(row) == key
        }
        None => matches!(row.result_class(), ResultClass::Failed | ResultClass::NotSent),
    };
    let rows: Vec<&CommandRow> = view.commands.iter().filter(is_retried).collect();
    let outcomes = Outcome::ALL.iter().copied().filter(|outcome| rows.iter().any(|row| row.outcome == *outcome));
    let mut outcomes: Vec<Outcome> = outcomes.collect();
    if outcomes.is_empty() {
        // The service reports that there is nothing to repeat.
        outcomes.push(Outcome::Unreachable);
    }
    let retry = RetryRequest {
        outcomes,
        printers: Some(rows.iter().map(|row| row.printer_id).collect()),
        operator_checked: form.is_set("looked"),
    };
    let retried = dashboard.services.retry_batch(&who, id, retry).await?;
    Ok(respond_with_batch(&headers, &form, retried.batch.id))
}

/// Marks plates of a batch as clear, if the print that the user saw is still on them.
pub(super) async fn clear_plates(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let plates: Vec<PlateToClear> = form.values("plate").filter_map(parse_plate).collect();
    let results = dashboard.services.clear_plates(&who, &plates).await?;
    let is_clear = |result: &ClearResult| matches!(result, ClearResult::Cleared | ClearResult::AlreadyClear);
    let kept = results.iter().filter(|(_, result)| !is_clear(result)).count();
    let kept = if kept == 0 { String::new() } else { kept.to_string() };
    let back = if form.back_path() == "/" { "" } else { form.back_path() };
    let href = list_filters::href(&format!("/batches/{id}"), &[("back", back), ("kept", &kept)]);
    Ok(Redirect::to(&href).into_response())
}

/// Parses a printer and the print on its plate: `printer/print`, or `printer`.
fn parse_plate(text: &str) -> Option<PlateToClear> {
    match text.split_once('/') {
        Some((printer, print)) => {
            Some(PlateToClear { printer_id: printer.parse().ok()?, print_id: Some(print.parse().ok()?) })
        }
        None => Some(PlateToClear { printer_id: text.parse().ok()?, print_id: None }),
    }
}

/// Returns the address of a batch's page. From there, the user can go back.
pub(super) fn batch_href(id: Uuid, back_path: &str) -> String {
    href_with_back(&format!("/batches/{id}"), back_path)
}

fn href_with_back(path: &str, back_path: &str) -> String {
    list_filters::href(path, &[("back", if back_path == "/" { "" } else { back_path })])
}

/// Responds with the address of a new batch: as JSON to a script that asks for it, else as a redirect.
fn respond_with_batch(headers: &HeaderMap, form: &FormData, id: Uuid) -> Response {
    let href = batch_href(id, form.back_path());
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if form.is_set("quick") || accept.starts_with("application/json") {
        return Json(json!({"batch": id, "href": href})).into_response();
    }
    Redirect::to(&href).into_response()
}

/// Returns a batch with all its commands that the user may see.
pub(super) async fn load_visible_batch(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<BatchView, Failure> {
    let mut view = dashboard.services.batch(who, id).await?;
    if view.next.is_some() {
        (view.commands, view.next) = dashboard.services.list_batch_commands(who, id, None, MAX_COMMANDS, None).await?;
    }
    Ok(view)
}
