//! The forms on the page of an order.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    copies::copy_form,
    errors::FormErrors,
    fields::{parse_local_time, parse_number, parse_required},
    order_path,
    show::{SentForm, render_order},
};
use crate::{
    domain::{
        access::Role,
        order::{Adjustment, OrderEnd, OrderPatch, RunningCopies},
        validation::ValidationErrors,
    },
    http::dashboard::{
        Dashboard,
        form::FormData,
        page::{Failure, PathUuid, Visitor},
    },
    service::{Error, access::Principal, copies::Verdict},
};

/// Changes an order as its form says: `act` names the action.
pub(in crate::http::dashboard) async fn act(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let name = form.text("act").unwrap_or_default().to_owned();
    let services = &dashboard.services;
    let result = match name.as_str() {
        "hold" => services.hold_order(&who, id).await.map(drop),
        "release" => services.release_order(&who, id).await.map(drop),
        "cancel" => services.end_order(&who, id, OrderEnd::Cancelled, parse_running(&form)?).await.map(drop),
        "short_close" => services.end_order(&who, id, OrderEnd::ShortClosed, parse_running(&form)?).await.map(drop),
        "adjust" => adjust(&dashboard, &who, id, &form).await,
        "change" => change(&dashboard, &who, id, &form).await,
        _ => return Err(Failure::invalid_form()),
    };
    respond(&dashboard, &who, id, name, form, result).await
}

/// Judges a copy, or gives it up as lost.
pub(in crate::http::dashboard) async fn act_on_copy(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let copy = dashboard.services.copy(&who, id).await?;
    let reason = form.text("reason").map(str::to_owned);
    let result = match form.text("act") {
        Some("all_good") => {
            let verdict = Verdict { good: copy.parts, scrap: 0, reason };
            dashboard.services.judge_copy(&who, id, verdict).await.map(drop)
        }
        Some("judge") => judge(&dashboard, &who, id, &form).await,
        Some("lost") => dashboard.services.lose_copy(&who, id, reason).await.map(drop),
        _ => return Err(Failure::invalid_form()),
    };
    respond(&dashboard, &who, copy.order_id, copy_form(id), form, result).await
}

/// Redirects to the page of the order. If a field is wrong, the page shows the form as it was typed.
async fn respond(
    dashboard: &Dashboard,
    who: &Principal,
    id: Uuid,
    name: String,
    form: FormData,
    result: Result<(), Error>,
) -> Result<Response, Failure> {
    let Err(error) = result else { return Ok(Redirect::to(&order_path(id)).into_response()) };
    let errors = FormErrors::from_error(error)?;
    render_order(dashboard, who, id, SentForm { name, errors, typed: Some(form) }).await
}

/// Returns what happens to running copies: they finish, unless the form says otherwise.
fn parse_running(form: &FormData) -> Result<RunningCopies, Failure> {
    let text = form.text("running").unwrap_or(RunningCopies::Finish.as_str());
    RunningCopies::parse(text).ok_or_else(Failure::invalid_form)
}

async fn adjust(dashboard: &Dashboard, who: &Principal, id: Uuid, form: &FormData) -> Result<(), Error> {
    let mut invalid = ValidationErrors::default();
    let good = parse_number(form, "good", &mut invalid).unwrap_or_default();
    let scrap = parse_number(form, "scrap", &mut invalid).unwrap_or_default();
    invalid.into_result(())?;
    let reason = form.text("reason").unwrap_or_default().to_owned();
    dashboard.services.adjust_order(who, id, Adjustment { good, scrap, reason }).await.map(drop)
}

async fn change(dashboard: &Dashboard, who: &Principal, id: Uuid, form: &FormData) -> Result<(), Error> {
    let mut invalid = ValidationErrors::default();
    let version = form.text("version").and_then(|version| version.parse().ok()).unwrap_or_default();
    let patch = OrderPatch {
        title: Some(form.text("title").unwrap_or_default().to_owned()),
        quantity: Some(parse_required(form, "quantity", &mut invalid)),
        priority: Some(parse_required(form, "priority", &mut invalid)),
        due_at: Some(parse_local_time(form, "due_at", dashboard.services.calendar(), &mut invalid)),
        ..OrderPatch::default()
    };
    invalid.into_result(())?;
    dashboard.services.patch_order(who, id, version, patch).await.map(drop)
}

async fn judge(dashboard: &Dashboard, who: &Principal, id: Uuid, form: &FormData) -> Result<(), Error> {
    let mut invalid = ValidationErrors::default();
    let verdict = Verdict {
        good: parse_required(form, "good", &mut invalid),
        scrap: parse_number(form, "scrap", &mut invalid).unwrap_or_default(),
        reason: form.text("reason").map(str::to_owned),
    };
    invalid.into_result(())?;
    dashboard.services.judge_copy(who, id, verdict).await.map(drop)
}
