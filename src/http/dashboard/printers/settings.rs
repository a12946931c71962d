//! The settings form of a printer: change and remove.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    access_fields::{self, AccessFields},
    api_key_field::{self, ApiKeyField},
    connection_test, profile_text,
};
use crate::{
    domain::{
        access::Role,
        printer::{Printer, parse_tags},
        printer_profile::{FieldKind, PROFILE_FIELDS, ProfilePatch},
        validation::ValidationErrors,
    },
    http::dashboard::{
        Dashboard, filters,
        form::FormData,
        messages::{t, t_with},
        page::{Failure, PageFrame, PathUuid, Visitor, form_errors, render_html},
    },
    service::{
        Error, access::Principal, connection_test::TestReport, printer_access::AccessPatch, printers::PrinterPatch,
    },
};

#[derive(Template)]
#[template(path = "printers/settings.html")]
struct SettingsPage {
    frame: PageFrame,
    id: Uuid,
    /// The version when the form was rendered. If the printer was changed since, the page reports it and does not
    /// overwrite the change.
    version: i64,
    title: String,
    text_fields: Vec<TextField>,
    multiline_fields: Vec<MultilineField>,
    enabled: bool,
    key: ApiKeyField,
    access: AccessFields,
    errors: Vec<String>,
    /// The field or button where the page starts: `key`, `ask` or `url`.
    focus: String,
}

/// Query parameters of the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct SettingsParams {
    focus: String,
}

struct TextField {
    name: &'static str,
    value: String,
    label: String,
    hint: &'static str,
}

struct MultilineField {
    name: &'static str,
    value: String,
    label: String,
    max_length: usize,
}

/// Returns the single-line fields. `value_of` returns the value of a field by its name.
fn text_fields(value_of: impl Fn(&str) -> String) -> Vec<TextField> {
    let general = [
        ("name", t("word-name"), ""),
        ("url", t("printer-octoprint-address"), ""),
        ("tags", t("printer-tags-list"), "hall-a, petg"),
    ];
    let general = general.map(|(name, label, hint)| (name, label.to_owned(), hint));
    let profile = PROFILE_FIELDS.iter().filter(|field| !field.kind.is_multiline());
    let profile = profile.map(|field| (field.name, profile_text::input_label(field), profile_text::input_hint(field)));
    let fields = general.into_iter().chain(profile);
    fields.map(|(name, label, hint)| TextField { name, value: value_of(name), label, hint }).collect()
}

/// Returns the fields with several lines. `value_of` returns the value of a field by its name.
fn multiline_fields(value_of: impl Fn(&str) -> String) -> Vec<MultilineField> {
    let fields = PROFILE_FIELDS.iter().filter_map(|field| match field.kind {
        FieldKind::Text { max } => Some(MultilineField {
            name: field.name,
            value: value_of(field.name),
            label: profile_text::input_label(field),
            max_length: max,
        }),
        _ => None,
    });
    fields.collect()
}

fn stored_value(printer: &Printer, name: &str) -> String {
    let details = &printer.details;
    match name {
        "name" => details.name.clone(),
        "url" => details.url.clone(),
        "tags" => details.tags.join(", "),
        _ => details
            .profile
            .values()
            .find(|(field, _)| field.name == name)
            .map_or_else(String::new, |(_, value)| value.to_string()),
    }
}

async fn load_printer(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<Printer, Failure> {
    who.require(Role::Manager)?;
    Ok(dashboard.services.printer(who, id).await?.printer)
}

pub(in crate::http::dashboard) async fn show_form(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    Query(params): Query<SettingsParams>,
) -> Result<Response, Failure> {
    let printer = load_printer(&dashboard, &who, id).await?;
    let page = SettingsPage {
        frame: PageFrame::new(&who, "farm"),
        id,
        version: printer.version,
        title: printer.details.name.clone(),
        text_fields: text_fields(|name| stored_value(&printer, name)),
        multiline_fields: multiline_fields(|name| stored_value(&printer, name)),
        enabled: printer.details.enabled,
        key: ApiKeyField::default(),
        access: AccessFields::from_printer(&printer.details),
        errors: Vec::new(),
        focus: params.focus,
    };
    Ok(render_html(&page)?.into_response())
}

pub(in crate::http::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    let before = load_printer(&dashboard, &who, id).await?;
    let form = form.with_suggestion();
    if form.text("act") == Some("test") {
        let result = test_connection(&dashboard, &who, &before, &form).await;
        let action = format!("/printers/{id}/settings");
        return connection_test::respond(&dashboard, &who, &form, &action, Some(&before.details), result);
    }
    let version = form.text("version").and_then(|text| text.parse().ok()).ok_or(Failure::invalid_form())?;
    let mut key = ApiKeyField::from_form(&dashboard, &who, &form)?;
    let errors = match form.text("act") {
        Some("ask") => match key.request_key(&dashboard, &who, &form).await {
            Ok(()) => Vec::new(),
            Err(error) => form_errors(error)?,
        },
        Some("check") => Vec::new(),
        _ => match save(&dashboard, &who, &before, version, &form).await {
            Ok(()) => return Ok(Redirect::to(&format!("/printers/{id}")).into_response()),
            Err(error) => form_errors(error)?,
        },
    };
    let access = AccessFields::from_form(&dashboard, &who, &form, Some(&before.details))?;
    let typed = |name: &str| form.text(name).unwrap_or_default().to_owned();
    let page = SettingsPage {
        frame: PageFrame::new(&who, "farm"),
        id,
        version,
        title: before.details.name,
        text_fields: text_fields(typed),
        multiline_fields: multiline_fields(typed),
        enabled: form.is_set("enabled"),
        key,
        access,
        errors,
        focus: String::new(),
    };
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, render_html(&page)?).into_response())
}

/// Tests the typed values. Empty secret fields use the stored secrets.
async fn test_connection(
    dashboard: &Dashboard,
    who: &Principal,
    before: &Printer,
    form: &FormData,
) -> Result<TestReport, Error> {
    let key = api_key_field::submitted_key(dashboard, who, form)?;
    let access = access_fields::parse_access_patch(dashboard, who, form, &before.details, key)?;
    dashboard.services.test_change(who, before.id, form.text("url").unwrap_or_default(), access).await
}

async fn save(
    dashboard: &Dashboard,
    who: &Principal,
    before: &Printer,
    version: i64,
    form: &FormData,
) -> Result<(), Error> {
    let key = api_key_field::submitted_key(dashboard, who, form)?;
    let access = access_fields::parse_access_patch(dashboard, who, form, &before.details, key)?;
    dashboard.services.patch_printer(who, before.id, Some(version), parse_printer_patch(form, access)?).await?;
    Ok(())
}

/// Returns a patch with every field of the form. An empty secret field keeps the stored secret.
fn parse_printer_patch(form: &FormData, access: AccessPatch) -> Result<PrinterPatch, ValidationErrors> {
    let mut profile = ProfilePatch::default();
    for field in PROFILE_FIELDS {
        profile.add(field, field.parse(form.text(field.name))?);
    }
    Ok(PrinterPatch {
        name: Some(form.text("name").unwrap_or_default().to_owned()),
        url: Some(form.text("url").unwrap_or_default().to_owned()),
        access,
        tags: Some(parse_tags(form.text("tags").unwrap_or_default())),
        enabled: Some(form.is_set("enabled")),
        profile,
        production: None,
        tools: None,
    })
}

pub(in crate::http::dashboard) async fn remove(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    let printer = load_printer(&dashboard, &who, id).await?;
    if !form.is_set("sure") {
        let text = t_with("printer-remove-unconfirmed", &[("name", &printer.details.name)]);
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-unconfirmed", text));
    }
    dashboard.services.remove_printer(&who, id).await?;
    Ok(Redirect::to("/").into_response())
}
