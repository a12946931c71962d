//! The pages of batches: create from a selection, follow each printer's outcome, stop, retry.

use askama::Template;
use axum::{
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    Dashboard,
    batch_form::{self, Forecast, OFFERED, Plan},
    confirm, filters,
    form::Form,
    outcome::{Line, Live},
    page::{Failure, Frame, Id, Visitor, html},
    time::Moment,
};
use crate::{
    domain::{
        access::Role,
        batch::BatchSpec,
        command::{Effect, Outcome},
    },
    service::{
        access::Principal,
        batches::{BatchView, Created, Retry},
    },
};

/// Number of batches in the list.
const LISTED: i64 = 50;
/// Number of commands on the page of a batch: the maximum of a batch.
const READ: i64 = 5_000;

#[derive(Template)]
#[template(path = "batches/list.html")]
struct ListPage {
    frame: Frame,
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "batches/show.html")]
struct ShowPage {
    frame: Frame,
    id: Uuid,
    title: String,
    by: String,
    at: Moment,
    reason: Option<String>,
    retry_of: Option<Uuid>,
    is_final: bool,
    live: Live,
}

#[derive(Template)]
#[template(path = "batches/_preview.html")]
struct Preview {
    total: usize,
    forecasts: Vec<Forecast>,
}

pub(super) async fn list(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Html<String>, Failure> {
    let batches = dashboard.services.list_batches(&who, Default::default(), None, LISTED).await?;
    let lines = batches.iter().map(|(batch, counts)| Line::of(batch, counts)).collect();
    html(&ListPage { frame: Frame::of(&who, "batches"), lines })
}

/// Shows what each command would do to the selected printers.
pub(super) async fn preview(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: Form,
) -> Result<Html<String>, Failure> {
    who.require(Role::Operator)?;
    let ids = batch_form::targets(&dashboard, &who, &form).await?;
    let mut forecasts = Vec::new();
    for command in OFFERED {
        if ids.is_empty() {
            break;
        }
        let plan = Plan { ids: ids.clone(), spec: BatchSpec::of(command) };
        forecasts.push(plan.foresee(&dashboard, &who).await?);
    }
    html(&Preview { total: ids.len(), forecasts })
}

pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let mut plan = batch_form::read(&dashboard, &who, &form).await?;
    if let Some(page) = confirm::ask(&dashboard, &who, &form, &mut plan).await? {
        return Ok(html(&page)?.into_response());
    }
    match dashboard.services.create_batch(&who, plan.batch(false)).await? {
        Created::Batch(view) => Ok(to(view.batch.id)),
        Created::Dry { .. } => Err(Failure::internal()),
    }
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Html<String>, Failure> {
    let view = visible(&dashboard, &who, id).await?;
    let frame = Frame::of(&who, "batches");
    let live = Live::of(&view, frame.operates());
    html(&ShowPage {
        id,
        title: super::outcome::title(&view.batch, &view.counts),
        by: view.batch.created_by.clone(),
        at: Moment::day(view.batch.created_at),
        reason: view.batch.spec.reason.clone(),
        retry_of: view.batch.retry_of,
        is_final: view.is_final(),
        live,
        frame,
    })
}

pub(super) async fn stop(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Response, Failure> {
    dashboard.services.stop_batch(&who, id).await?;
    Ok(to(id))
}

pub(super) async fn retry(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Failure> {
    let wanted = match form.text("effect") {
        Some("maybe") => Effect::Maybe,
        _ => Effect::None,
    };
    let outcomes = Outcome::ALL.iter().copied().filter(|outcome| outcome.effect() == Some(wanted));
    let retry = Retry { outcomes: outcomes.collect(), operator_checked: form.is_set("looked") };
    Ok(to(dashboard.services.retry_batch(&who, id, retry).await?.batch.id))
}

fn to(id: Uuid) -> Response {
    Redirect::to(&format!("/batches/{id}")).into_response()
}

/// Returns a batch with all its commands that the user may see.
pub(super) async fn visible(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<BatchView, Failure> {
    let mut view = dashboard.services.batch(who, id).await?;
    if view.next.is_some() {
        (view.commands, view.next) = dashboard.services.batch_commands(who, id, None, READ, None).await?;
    }
    Ok(view)
}
