//! The switch of the planner: stops and resumes assigning for the whole farm. The head of every page has its form.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    errors::FormErrors,
    list::{QueueNotes, QueueParams, render_queue},
};
use crate::{
    domain::access::Role,
    http::dashboard::{
        Dashboard,
        form::FormData,
        page::{Failure, Visitor, local_path},
    },
};

/// The form of the switch as it was sent, and what is wrong with it.
#[derive(Default)]
pub(super) struct SentSwitch {
    pub reason: String,
    pub errors: FormErrors,
}

/// Stops or resumes production, and returns to the page of the form. If the reason is wrong, the page of the queue shows the
/// form again.
pub(in crate::http::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let stops = match form.text("act") {
        Some("stop") => true,
        Some("resume") => false,
        _ => return Err(Failure::invalid_form()),
    };
    let reason = form.text("reason").map(str::to_owned);
    let Err(error) = dashboard.services.set_plan_switch(&who, stops, reason.clone()).await else {
        return Ok(Redirect::to(local_path(form.text("back")).unwrap_or("/queue")).into_response());
    };
    let switch = SentSwitch { reason: reason.unwrap_or_default(), errors: FormErrors::from_error(error)? };
    let notes = QueueNotes { switch, ..QueueNotes::default() };
    let page = render_queue(&dashboard, &who, QueueParams::default(), notes).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
