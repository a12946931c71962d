//! The form for a new printer: test it first, then add it.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};

use serde::Deserialize;

use super::{
    access_fields::{self, AccessFields},
    api_key_field::{self, ApiKeyField},
    connection_test,
};
use crate::{
    domain::{
        access::Role,
        printer::{PrinterDetails, parse_tags},
        printer_access::PrinterAccess,
        validation::ValidationErrors,
    },
    http::dashboard::{
        Dashboard, filters,
        form::FormData,
        page::{Failure, PageFrame, Visitor, form_errors, render_html},
    },
    service::access::Principal,
};

#[derive(Template)]
#[template(path = "printers/new.html")]
struct NewPrinterPage {
    frame: PageFrame,
    name: String,
    url: String,
    key: ApiKeyField,
    access: AccessFields,
    tags: String,
    power_group: String,
    /// Errors of the typed values.
    errors: Vec<String>,
    /// The field where the page starts. None.
    focus: &'static str,
}

impl NewPrinterPage {
    fn from_form(frame: PageFrame, form: &FormData, key: ApiKeyField, access: AccessFields) -> Self {
        let text = |name: &str| form.text(name).unwrap_or_default().to_owned();
        Self {
            frame,
            name: text("name"),
            url: hide_credentials(&text("url")),
            key,
            access,
            tags: text("tags"),
            power_group: text("power_group"),
            errors: Vec::new(),
            focus: "",
        }
    }
}

/// Query parameters: the known values of a discovered printer.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct NewPrinterParams {
    name: String,
    url: String,
}

pub(in crate::http::dashboard) async fn show_form(
    Visitor(who): Visitor,
    Query(params): Query<NewPrinterParams>,
) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    render_html(&NewPrinterPage {
        frame: PageFrame::new(&who, "settings"),
        name: params.name,
        url: hide_credentials(&params.url),
        key: ApiKeyField::default(),
        access: AccessFields::default(),
        tags: String::new(),
        power_group: String::new(),
        errors: Vec::new(),
        focus: "",
    })
}

/// An address with a user and a password is refused, and not sent back.
fn hide_credentials(url: &str) -> String {
    if url.contains('@') { String::new() } else { url.to_owned() }
}

pub(in crate::http::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let form = form.with_suggestion();
    let url = form.text("url").unwrap_or_default();
    let access = api_key_field::submitted_key(&dashboard, &who, &form)
        .and_then(|key| access_fields::parse_new_access(&dashboard, &who, &form, key));
    if form.text("act") == Some("test") {
        let result = match access {
            Ok(access) => dashboard.services.test_printer(&who, url, access).await,
            Err(invalid) => Err(invalid.into()),
        };
        return connection_test::respond(&dashboard, &who, &form, "/printers/new", None, result);
    }
    let fields = AccessFields::from_form(&dashboard, &who, &form, None)?;
    let mut page = NewPrinterPage::from_form(
        PageFrame::new(&who, "settings"),
        &form,
        ApiKeyField::from_form(&dashboard, &who, &form)?,
        fields,
    );
    match form.text("act") {
        Some("ask") => {
            if let Err(error) = page.key.request_key(&dashboard, &who, &form).await {
                page.errors = form_errors(error)?;
            }
        }
        Some("check") => {}
        _ => return add_printer(&dashboard, &who, &form, access, page).await,
    }
    Ok(render_html(&page)?.into_response())
}

async fn add_printer(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    access: Result<PrinterAccess, ValidationErrors>,
    mut page: NewPrinterPage,
) -> Result<Response, Failure> {
    let url = form.text("url").unwrap_or_default();
    let mut details = PrinterDetails::new(page.name.clone(), url);
    details.tags = parse_tags(&page.tags);
    details.profile.power_group = form.text("power_group").map(str::to_owned);
    let registered = match access {
        Ok(access) => dashboard.services.register_printer(who, details, access).await,
        Err(invalid) => Err(invalid.into()),
    };
    match registered {
        Ok(view) => Ok(Redirect::to(&format!("/printers/{}", view.printer.id)).into_response()),
        Err(error) => {
            page.errors = form_errors(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render_html(&page)?).into_response())
        }
    }
}
