//! Maintenance: takes printers out of service, drains them, and returns them to service. One printer on its page, or a
//! selection.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        access::Role,
        printer::Printer,
        production::{MAX_NOTE, Production, ServiceState},
    },
    http::dashboard::{
        Dashboard,
        batches::form,
        filters,
        form::FormData,
        labels,
        messages::{t, t_with, text_of},
        page::{Failure, PageFrame, PathUuid, Visitor, render_html},
        time::TimeElement,
    },
    service::{Error, access::Principal},
};

/// Number of printer names that are shown.
const MAX_NAMES: usize = 40;
/// The offered times until a printer is back, in hours.
const OFFERED_HOURS: [u32; 8] = [1, 4, 8, 24, 72, 168, 336, 672];

/// The service state of a printer, on its page.
pub(in crate::http::dashboard) struct ServiceSection {
    pub state: ServiceState,
    pub label: &'static str,
    pub effect: &'static str,
    pub note: Option<String>,
    pub until: Option<TimeElement>,
    pub is_overdue: bool,
    pub form: ServiceForm,
}

/// The fields of the form.
pub(in crate::http::dashboard) struct ServiceForm {
    pub note: String,
    pub max_note: usize,
    /// Values, labels, and which one is selected.
    pub until_options: Vec<(String, String, bool)>,
    pub note_error: Option<String>,
}

#[derive(Template)]
#[template(path = "printers/service.html")]
struct ServicePage {
    frame: PageFrame,
    title: String,
    button: &'static str,
    effect: &'static str,
    /// The service state to set.
    service: ServiceState,
    ids: Vec<Uuid>,
    names: Vec<String>,
    more_names: usize,
    form: ServiceForm,
    back_path: String,
}

impl ServiceSection {
    /// Returns the service state of a printer, with a form to change it.
    pub fn from_printer(printer: &Printer) -> Self {
        let Production { service, until, note, .. } = &printer.details.production;
        Self {
            state: *service,
            label: labels::service_label(*service),
            effect: effect_text(*service),
            note: note.clone(),
            until: until.map(TimeElement::date_and_time),
            is_overdue: printer.details.production.is_overdue(clock::now()),
            form: ServiceForm::new(note.clone().unwrap_or_default(), *until),
        }
    }
}

impl ServiceForm {
    /// Returns the form with a reason, and with a time that is kept unless the user selects another one.
    fn new(note: String, until: Option<DateTime<Utc>>) -> Self {
        let kept = until.map(TimeElement::date_and_time).map(|until| (until.iso, until.text, true));
        let unknown = (String::new(), t("maintenance-until-unknown").to_owned(), kept.is_none());
        let offered = OFFERED_HOURS.iter().map(|hours| (hours.to_string(), hours_label(*hours), false));
        let until_options = kept.into_iter().chain([unknown]).chain(offered).collect();
        Self { note, max_note: MAX_NOTE, until_options, note_error: None }
    }

    /// Returns the form as it was typed.
    fn from_form(form: &FormData, note_error: Option<String>) -> Self {
        let until = form.text("until");
        let kept = until.and_then(|text| DateTime::parse_from_rfc3339(text).ok()).map(|until| until.to_utc());
        let mut shown = Self::new(form.text("note").unwrap_or_default().to_owned(), kept);
        for (value, _, is_selected) in &mut shown.until_options {
            *is_selected = value == until.unwrap_or_default();
        }
        Self { note_error, ..shown }
    }
}

/// Changes the service state of the printer.
pub(in crate::http::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let page = format!("/printers/{id}");
    set_service(&dashboard, &who, &form, vec![id], &page).await
}

/// Changes the service state of the selected printers. Without a reason, the page asks for it first.
pub(in crate::http::dashboard) async fn change_selected(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let ids = form::target_ids(&dashboard, &who, &form).await?;
    if ids.is_empty() {
        let text = t("failure-nothing-selected");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
    }
    let service = parse_service(&form)?;
    let asks = service != ServiceState::InService && !form.is_set("note") && !form.is_set("act");
    if asks {
        let page = service_page(&dashboard, &who, service, ids, ServiceForm::from_form(&form, None), form.back_path());
        return Ok(render_html(&page.await?)?.into_response());
    }
    set_service(&dashboard, &who, &form, ids, form.back_path()).await
}

/// Stores the service state of the form. If a field is wrong, the page shows the form again.
async fn set_service(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    ids: Vec<Uuid>,
    back_path: &str,
) -> Result<Response, Failure> {
    let production = parse_production(form)?;
    let service = production.service;
    let note_error = if service == ServiceState::OutOfService && production.note.is_none() {
        t("maintenance-reason-missing").to_owned()
    } else {
        match dashboard.services.set_production(who, &ids, production).await {
            Ok(_) => return Ok(Redirect::to(back_path).into_response()),
            Err(Error::Invalid(invalid)) => {
                let rules: Vec<String> = invalid.0.iter().map(|error| text_of(&error.detail)).collect();
                t_with("maintenance-reason-wrong", &[("rules", &rules.join("; "))])
            }
            Err(error) => return Err(error.into()),
        }
    };
    let fields = ServiceForm::from_form(form, Some(note_error));
    let page = service_page(dashboard, who, service, ids, fields, back_path).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render_html(&page)?).into_response())
}

async fn service_page(
    dashboard: &Dashboard,
    who: &Principal,
    service: ServiceState,
    ids: Vec<Uuid>,
    form: ServiceForm,
    back_path: &str,
) -> Result<ServicePage, Failure> {
    let mut printers = dashboard.services.registered_printers(&ids).await?;
    printers.retain(|printer| who.may_see(printer));
    if printers.is_empty() {
        return Err(Error::NotFound("printer").into());
    }
    let (title, button) = match service {
        ServiceState::InService => ("maintenance-return-count", "maintenance-return"),
        ServiceState::Draining => ("maintenance-drain-count", "maintenance-drain"),
        ServiceState::OutOfService => ("maintenance-take-out-count", "maintenance-take-out"),
    };
    Ok(ServicePage {
        frame: PageFrame::new(who, "farm"),
        title: t_with(title, &[("n", &printers.len())]),
        button: t(button),
        effect: effect_text(service),
        service,
        ids: printers.iter().map(|printer| printer.id).collect(),
        names: printers.iter().take(MAX_NAMES).map(|printer| printer.details.name.clone()).collect(),
        more_names: printers.len().saturating_sub(MAX_NAMES),
        form,
        back_path: back_path.to_owned(),
    })
}

fn parse_service(form: &FormData) -> Result<ServiceState, Failure> {
    form.text("service").and_then(ServiceState::parse).ok_or_else(Failure::invalid_form)
}

/// Returns the service state of the form. A return to service has neither a reason nor an end.
fn parse_production(form: &FormData) -> Result<Production, Failure> {
    let service = parse_service(form)?;
    if service == ServiceState::InService {
        return Ok(Production::default());
    }
    let until = form.text("until").map(|text| parse_until(text).ok_or_else(Failure::invalid_form)).transpose()?;
    let note = form.text("note").map(str::to_owned);
    Ok(Production { service, until, note, ..Production::default() })
}

/// Parses hours from now, or a time that is kept.
fn parse_until(text: &str) -> Option<DateTime<Utc>> {
    match text.parse::<u32>() {
        Ok(hours) => {
            let until = clock::now().checked_add_signed(TimeDelta::hours(i64::from(hours)))?;
            until.duration_round(TimeDelta::minutes(1)).ok()
        }
        Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|until| until.to_utc()),
    }
}

fn hours_label(hours: u32) -> String {
    match hours {
        0..24 => t_with("maintenance-in-hours", &[("n", &hours)]),
        24..168 => t_with("maintenance-in-days", &[("n", &(hours / 24))]),
        _ => t_with("maintenance-in-weeks", &[("n", &(hours / 168))]),
    }
}

fn effect_text(service: ServiceState) -> &'static str {
    t(match service {
        ServiceState::InService => "maintenance-in-service-effect",
        ServiceState::Draining => "maintenance-draining-effect",
        ServiceState::OutOfService => "maintenance-out-of-service-effect",
    })
}
