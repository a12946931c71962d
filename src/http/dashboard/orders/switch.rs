//! The switch of the planner: stops and resumes assigning for the whole farm.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    errors::FormErrors,
    list::{QueueParams, render_queue},
};
use crate::{
    domain::access::Role,
    http::dashboard::{
        Dashboard,
        form::FormData,
        page::{Failure, Visitor},
        time::TimeElement,
    },
    service::access::Principal,
};

/// The switch on the page of the queue.
pub(super) struct SwitchSection {
    pub is_stopped: bool,
    pub reason: Option<String>,
    pub since: Option<TimeElement>,
    pub by: Option<String>,
    /// Whether the user may use it.
    pub can_use: bool,
    /// The reason that was typed, and what is wrong with it.
    pub typed: String,
    pub errors: FormErrors,
}

impl SwitchSection {
    /// Reads the switch.
    pub async fn load(dashboard: &Dashboard, who: &Principal) -> Result<Self, Failure> {
        let switch = dashboard.services.plan_switch().await?;
        Ok(Self {
            is_stopped: switch.is_stopped,
            reason: switch.reason,
            since: switch.since.map(TimeElement::date_and_time),
            by: switch.by,
            can_use: who.role >= Role::Operator && who.tags.is_empty(),
            typed: String::new(),
            errors: FormErrors::default(),
        })
    }
}

/// Stops or resumes production.
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
        return Ok(Redirect::to("/queue").into_response());
    };
    let errors = FormErrors::from_error(error)?;
    let switch =
        SwitchSection { typed: reason.unwrap_or_default(), errors, ..SwitchSection::load(&dashboard, &who).await? };
    let page = render_queue(&dashboard, &who, QueueParams::default(), switch).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
