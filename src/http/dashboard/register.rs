//! The form for a new printer: test it first, then add it.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};

use serde::Deserialize;

use super::{
    Dashboard,
    access_fields::{self, AccessFields},
    api_key_field::{self, KeyField},
    connection_test, filters,
    form::Form,
    page::{Failure, Frame, Visitor, html},
};
use crate::{
    domain::{
        access::Role,
        invalid::Invalid,
        printer::{PrinterDetails, tags_of},
        printer_access::PrinterAccess,
    },
    service::{Error, access::Principal},
};

#[derive(Template)]
#[template(path = "printers/new.html")]
struct NewPage {
    frame: Frame,
    name: String,
    url: String,
    key: KeyField,
    access: AccessFields,
    tags: String,
    power_group: String,
    /// Errors of the typed values.
    errors: Vec<String>,
}

impl NewPage {
    fn of(frame: Frame, form: &Form, key: KeyField, access: AccessFields) -> Self {
        let text = |name: &str| form.text(name).unwrap_or_default().to_owned();
        Self {
            frame,
            name: text("name"),
            url: shown(&text("url")),
            key,
            access,
            tags: text("tags"),
            power_group: text("power_group"),
            errors: Vec::new(),
        }
    }
}

/// Query parameters: the known values of a discovered printer.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Found {
    name: String,
    url: String,
}

impl Default for Found {
    fn default() -> Self {
        Self { name: String::new(), url: "http://".to_owned() }
    }
}

pub(super) async fn form(Visitor(who): Visitor, Query(found): Query<Found>) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    html(&NewPage {
        frame: Frame::of(&who, "new"),
        name: found.name,
        url: shown(&found.url),
        key: KeyField::default(),
        access: AccessFields::default(),
        tags: String::new(),
        power_group: String::new(),
        errors: Vec::new(),
    })
}

/// An address with a user and a password is refused, and not sent back.
fn shown(url: &str) -> String {
    if url.contains('@') { String::new() } else { url.to_owned() }
}

pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let form = form.with_suggestion();
    let url = form.text("url").unwrap_or_default();
    let access = api_key_field::given(&dashboard, &who, &form)
        .and_then(|key| access_fields::access(&dashboard, &who, &form, key));
    if form.text("act") == Some("test") {
        let tested = match access {
            Ok(access) => dashboard.services.test_printer(&who, url, access).await,
            Err(invalid) => Err(invalid.into()),
        };
        return connection_test::answer(&dashboard, &who, &form, "/printers/new", None, tested);
    }
    let fields = AccessFields::of(&dashboard, &who, &form, None)?;
    let mut page = NewPage::of(Frame::of(&who, "new"), &form, KeyField::of(&dashboard, &who, &form)?, fields);
    match form.text("act") {
        Some("ask") => {
            if let Err(error) = page.key.ask(&dashboard, &who, &form).await {
                page.errors = sentences(error)?;
            }
        }
        Some("check") => {}
        _ => return add(&dashboard, &who, &form, access, page).await,
    }
    Ok(html(&page)?.into_response())
}

async fn add(
    dashboard: &Dashboard,
    who: &Principal,
    form: &Form,
    access: Result<PrinterAccess, Invalid>,
    mut page: NewPage,
) -> Result<Response, Failure> {
    let url = form.text("url").unwrap_or_default();
    let mut details = PrinterDetails::new(page.name.clone(), url);
    details.tags = tags_of(&page.tags);
    details.power_group = form.text("power_group").map(str::to_owned);
    let registered = match access {
        Ok(access) => dashboard.services.register_printer(who, details, access).await,
        Err(invalid) => Err(invalid.into()),
    };
    match registered {
        Ok(view) => Ok(Redirect::to(&format!("/printers/{}", view.printer.id)).into_response()),
        Err(error) => {
            page.errors = sentences(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
        }
    }
}

/// Returns errors that the user can correct in the form. Any other error gets its own page.
pub(super) fn sentences(error: Error) -> Result<Vec<String>, Failure> {
    match error {
        Error::Conflict { detail, .. } => Ok(vec![detail]),
        error @ Error::Invalid(_) => Ok(Failure::from(error).details),
        other => Err(other.into()),
    }
}
