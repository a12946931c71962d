//! The pages of batches: create from a selection, follow each printer's outcome, stop, retry.

pub(super) mod confirm;
pub(super) mod form;
pub(super) mod results;
pub(super) mod start;
mod start_preview;

use askama::Template;
use axum::{
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use self::{
    form::{BatchPlan, BatchPreview, OFFERED_COMMANDS},
    results::{BatchListRow, BatchProgress},
};
use super::{
    Dashboard, filters,
    form::FormData,
    page::{Failure, PageFrame, PathUuid, Visitor, render_html},
    time::TimeElement,
};
use crate::{
    domain::{
        access::Role,
        batch::BatchSpec,
        command::{Command, Effect, Outcome},
    },
    service::{
        access::Principal,
        batches::{BatchView, CreateBatchResult, RetryRequest},
    },
};

/// Number of batches in the list.
const MAX_LISTED: i64 = 50;
/// Number of commands on the page of a batch: the maximum of a batch.
const MAX_COMMANDS: i64 = 5_000;

#[derive(Template)]
#[template(path = "batches/list.html")]
struct BatchListPage {
    frame: PageFrame,
    rows: Vec<BatchListRow>,
}

#[derive(Template)]
#[template(path = "batches/show.html")]
struct BatchPage {
    frame: PageFrame,
    id: Uuid,
    title: String,
    created_by: String,
    created_at: TimeElement,
    /// The file that it names: the id in the library, and the name.
    file: Option<(Option<Uuid>, String)>,
    reason: Option<String>,
    retry_of: Option<Uuid>,
    is_final: bool,
    progress: BatchProgress,
}

#[derive(Template)]
#[template(path = "batches/_preview.html")]
struct CommandPreviews {
    total: usize,
    previews: Vec<BatchPreview>,
}

pub(super) async fn list(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Html<String>, Failure> {
    let batches = dashboard.services.list_batches(&who, Default::default(), None, MAX_LISTED).await?;
    let rows = batches.iter().map(|(batch, counts)| BatchListRow::from_batch(batch, counts)).collect();
    render_html(&BatchListPage { frame: PageFrame::new(&who, "batches"), rows })
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
        previews.push(plan.preview(&dashboard, &who).await?);
    }
    render_html(&CommandPreviews { total: ids.len(), previews })
}

pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let mut plan = form::parse_batch_form(&dashboard, &who, &form).await?;
    if let Some(page) = confirm::confirmation_page(&dashboard, &who, &form, &mut plan).await? {
        return Ok(render_html(&page)?.into_response());
    }
    if plan.spec.command == Command::EmergencyStop {
        let view = dashboard.services.emergency_stop(&who, &plan.selector(), plan.spec.reason.clone()).await?;
        return Ok(redirect_to_batch(view.batch.id));
    }
    match dashboard.services.create_batch(&who, plan.to_new_batch(false)).await? {
        CreateBatchResult::Batch(view) => Ok(redirect_to_batch(view.batch.id)),
        CreateBatchResult::DryRun { .. } => Err(Failure::internal()),
    }
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Html<String>, Failure> {
    let view = load_visible_batch(&dashboard, &who, id).await?;
    let frame = PageFrame::new(&who, "batches");
    let progress = BatchProgress::from_view(&view, frame.can_operate());
    render_html(&BatchPage {
        id,
        title: self::results::batch_title(&view.batch, &view.counts),
        created_by: view.batch.created_by.clone(),
        created_at: TimeElement::date_and_time(view.batch.created_at),
        file: self::results::batch_file(&view.batch),
        reason: view.batch.spec.reason.clone(),
        retry_of: view.batch.retry_of,
        is_final: view.is_final(),
        progress,
        frame,
    })
}

pub(super) async fn stop(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Response, Failure> {
    dashboard.services.stop_batch(&who, id).await?;
    Ok(redirect_to_batch(id))
}

pub(super) async fn retry(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    let effect = match form.text("effect") {
        Some("maybe") => Effect::Maybe,
        _ => Effect::None,
    };
    let outcomes = Outcome::ALL.iter().copied().filter(|outcome| outcome.effect() == Some(effect));
    let retry = RetryRequest { outcomes: outcomes.collect(), operator_checked: form.is_set("looked") };
    Ok(redirect_to_batch(dashboard.services.retry_batch(&who, id, retry).await?.batch.id))
}

fn redirect_to_batch(id: Uuid) -> Response {
    Redirect::to(&format!("/batches/{id}")).into_response()
}

/// Returns a batch with all its commands that the user may see.
pub(super) async fn load_visible_batch(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<BatchView, Failure> {
    let mut view = dashboard.services.batch(who, id).await?;
    if view.next.is_some() {
        (view.commands, view.next) = dashboard.services.list_batch_commands(who, id, None, MAX_COMMANDS, None).await?;
    }
    Ok(view)
}
