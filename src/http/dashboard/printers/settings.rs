//! The settings form of a printer: change and remove.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    access_fields::{self, AccessFields},
    api_key_field::{self, ApiKeyField},
    connection_test,
};
use crate::http::dashboard::{
    Dashboard, filters,
    form::FormData,
    messages::{t, t_with},
    page::{Failure, PageFrame, PathUuid, Visitor, form_errors, render_html},
};
use crate::{
    domain::{
        access::Role,
        printer::{Printer, parse_bed, parse_millimetres, parse_tags},
        validation::ValidationErrors,
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
    /// Name, value, label and hint of the single-line fields.
    text_fields: Vec<TextField>,
    notes: String,
    enabled: bool,
    key: ApiKeyField,
    access: AccessFields,
    errors: Vec<String>,
}

struct TextField {
    name: &'static str,
    value: String,
    label: &'static str,
    hint: &'static str,
}

/// Returns name, label and hint of the single-line fields.
fn text_field_labels() -> [(&'static str, &'static str, &'static str); 9] {
    [
        ("name", t("word-name"), ""),
        ("url", t("printer-octoprint-address"), ""),
        ("tags", t("printer-tags-list"), "hall-a, petg"),
        ("model", t("printer-model"), "MK4"),
        ("material", t("printer-material"), "PETG"),
        ("color", t("printer-color"), "#1a2b3c"),
        ("nozzle_mm", t("printer-nozzle-mm"), "0.4"),
        ("bed_mm", t("printer-bed-size"), "250 x 210 x 210"),
        ("power_group", t("printer-power-group"), t("printer-power-group-hint")),
    ]
}

fn stored_value(printer: &Printer, name: &str) -> String {
    let details = &printer.details;
    let text = match name {
        "name" => Some(details.name.clone()),
        "url" => Some(details.url.clone()),
        "tags" => Some(details.tags.join(", ")),
        "model" => details.model.clone(),
        "material" => details.material.clone(),
        "color" => details.color.clone(),
        "nozzle_mm" => details.nozzle_mm.map(|mm| mm.to_string()),
        "bed_mm" => details.bed_mm.map(|mm| mm.map(|mm| mm.to_string()).join(" x ")),
        _ => details.power_group.clone(),
    };
    text.unwrap_or_default()
}

async fn load_printer(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<Printer, Failure> {
    who.require(Role::Manager)?;
    Ok(dashboard.services.printer(who, id).await?.printer)
}

pub(in crate::http::dashboard) async fn show_form(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Response, Failure> {
    let printer = load_printer(&dashboard, &who, id).await?;
    let page = SettingsPage {
        frame: PageFrame::new(&who, "farm"),
        id,
        version: printer.version,
        title: printer.details.name.clone(),
        text_fields: text_field_labels()
            .map(|(name, label, hint)| TextField { name, value: stored_value(&printer, name), label, hint })
            .into(),
        notes: printer.details.notes.clone(),
        enabled: printer.details.enabled,
        key: ApiKeyField::default(),
        access: AccessFields::from_printer(&printer.details),
        errors: Vec::new(),
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
    let typed = |name| form.text(name).unwrap_or_default().to_owned();
    let page = SettingsPage {
        frame: PageFrame::new(&who, "farm"),
        id,
        version,
        title: before.details.name,
        text_fields: text_field_labels()
            .map(|(name, label, hint)| TextField { name, value: typed(name), label, hint })
            .into(),
        notes: typed("notes"),
        enabled: form.is_set("enabled"),
        key,
        access,
        errors,
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
    let text = |name| form.text(name).map(str::to_owned);
    let number_error =
        |pointer: &'static str| move |rule: &'static str| ValidationErrors::single(pointer, "number", rule);
    Ok(PrinterPatch {
        name: Some(text("name").unwrap_or_default()),
        url: Some(text("url").unwrap_or_default()),
        access,
        tags: Some(parse_tags(form.text("tags").unwrap_or_default())),
        enabled: Some(form.is_set("enabled")),
        model: Some(text("model")),
        material: Some(text("material")),
        color: Some(text("color")),
        nozzle_mm: Some(form.text("nozzle_mm").map(parse_millimetres).transpose().map_err(number_error("/nozzle_mm"))?),
        bed_mm: Some(form.text("bed_mm").map(parse_bed).transpose().map_err(number_error("/bed_mm"))?),
        power_group: Some(text("power_group")),
        notes: Some(text("notes").unwrap_or_default()),
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
