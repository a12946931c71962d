//! The settings form of a printer: change and remove.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    Dashboard,
    access_fields::{self, AccessFields},
    api_key_field::{self, KeyField},
    connection_test, filters,
    form::Form,
    messages::{t, t_with},
    page::{Failure, Frame, Id, Visitor, html},
    register::sentences,
};
use crate::{
    domain::{
        access::Role,
        invalid::Invalid,
        printer::{Printer, bed, millimetres, tags_of},
    },
    service::{Error, access::Principal, printer_access::AccessPatch, printers::PrinterPatch, probe::TestReport},
};

#[derive(Template)]
#[template(path = "printers/settings.html")]
struct SettingsPage {
    frame: Frame,
    id: Uuid,
    /// The version when the form was rendered. If the printer was changed since, the page reports it and does not
    /// overwrite the change.
    version: i64,
    title: String,
    /// Name, value, label and hint of the single-line fields.
    lines: Vec<Line>,
    notes: String,
    enabled: bool,
    key: KeyField,
    access: AccessFields,
    errors: Vec<String>,
}

struct Line {
    name: &'static str,
    value: String,
    label: &'static str,
    hint: &'static str,
}

/// Returns name, label and hint of the single-line fields.
fn lines() -> [(&'static str, &'static str, &'static str); 9] {
    [
        ("name", t("word-name"), ""),
        ("url", t("printer-address-octoprint"), ""),
        ("tags", t("printer-tags-commas-between"), "hall-a, petg"),
        ("model", t("printer-model"), "MK4"),
        ("material", t("printer-material-2"), "PETG"),
        ("color", t("printer-color"), "#1a2b3c"),
        ("nozzle_mm", t("printer-nozzle-mm"), "0.4"),
        ("bed_mm", t("printer-bed-width-depth-height"), "250 x 210 x 210"),
        ("power_group", t("printer-electrical-circuit"), t("printer-optional-counts-who-heats")),
    ]
}

fn stored(printer: &Printer, name: &str) -> String {
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

async fn of(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<Printer, Failure> {
    who.require(Role::Manager)?;
    Ok(dashboard.services.printer(who, id).await?.printer)
}

pub(super) async fn form(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Response, Failure> {
    let printer = of(&dashboard, &who, id).await?;
    let page = SettingsPage {
        frame: Frame::of(&who, "farm"),
        id,
        version: printer.version,
        title: printer.details.name.clone(),
        lines: lines().map(|(name, label, hint)| Line { name, value: stored(&printer, name), label, hint }).into(),
        notes: printer.details.notes.clone(),
        enabled: printer.details.enabled,
        key: KeyField::default(),
        access: AccessFields::stored(&printer.details),
        errors: Vec::new(),
    };
    Ok(html(&page)?.into_response())
}

pub(super) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Failure> {
    let before = of(&dashboard, &who, id).await?;
    let form = form.with_suggestion();
    if form.text("act") == Some("test") {
        let tested = test(&dashboard, &who, &before, &form).await;
        let action = format!("/printers/{id}/settings");
        return connection_test::answer(&dashboard, &who, &form, &action, Some(&before.details), tested);
    }
    let version = form.text("version").and_then(|text| text.parse().ok()).ok_or(Failure::broken_form())?;
    let mut key = KeyField::of(&dashboard, &who, &form)?;
    let errors = match form.text("act") {
        Some("ask") => match key.ask(&dashboard, &who, &form).await {
            Ok(()) => Vec::new(),
            Err(error) => sentences(error)?,
        },
        Some("check") => Vec::new(),
        _ => match save(&dashboard, &who, &before, version, &form).await {
            Ok(()) => return Ok(Redirect::to(&format!("/printers/{id}")).into_response()),
            Err(error) => sentences(error)?,
        },
    };
    let access = AccessFields::of(&dashboard, &who, &form, Some(&before.details))?;
    let typed = |name| form.text(name).unwrap_or_default().to_owned();
    let page = SettingsPage {
        frame: Frame::of(&who, "farm"),
        id,
        version,
        title: before.details.name,
        lines: lines().map(|(name, label, hint)| Line { name, value: typed(name), label, hint }).into(),
        notes: typed("notes"),
        enabled: form.is_set("enabled"),
        key,
        access,
        errors,
    };
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, html(&page)?).into_response())
}

/// Tests the typed values. Empty secret fields use the stored secrets.
async fn test(dashboard: &Dashboard, who: &Principal, before: &Printer, form: &Form) -> Result<TestReport, Error> {
    let key = api_key_field::given(dashboard, who, form)?;
    let access = access_fields::patch(dashboard, who, form, &before.details, key)?;
    dashboard.services.test_change(who, before.id, form.text("url").unwrap_or_default(), access).await
}

async fn save(
    dashboard: &Dashboard,
    who: &Principal,
    before: &Printer,
    version: i64,
    form: &Form,
) -> Result<(), Error> {
    let key = api_key_field::given(dashboard, who, form)?;
    let access = access_fields::patch(dashboard, who, form, &before.details, key)?;
    dashboard.services.patch_printer(who, before.id, Some(version), patch(form, access)?).await?;
    Ok(())
}

/// Returns a patch with every field of the form. An empty secret field keeps the stored secret.
fn patch(form: &Form, access: AccessPatch) -> Result<PrinterPatch, Invalid> {
    let text = |name| form.text(name).map(str::to_owned);
    let number = |pointer: &'static str| move |rule: &str| Invalid::one(pointer, "number", rule);
    Ok(PrinterPatch {
        name: Some(text("name").unwrap_or_default()),
        url: Some(text("url").unwrap_or_default()),
        access,
        tags: Some(tags_of(form.text("tags").unwrap_or_default())),
        enabled: Some(form.is_set("enabled")),
        model: Some(text("model")),
        material: Some(text("material")),
        color: Some(text("color")),
        nozzle_mm: Some(form.text("nozzle_mm").map(millimetres).transpose().map_err(number("/nozzle_mm"))?),
        bed_mm: Some(form.text("bed_mm").map(bed).transpose().map_err(number("/bed_mm"))?),
        power_group: Some(text("power_group")),
        notes: Some(text("notes").unwrap_or_default()),
    })
}

pub(super) async fn remove(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Failure> {
    let printer = of(&dashboard, &who, id).await?;
    if !form.is_set("sure") {
        let text = t_with("printer-nothing-done-tick-you", &[("name", &printer.details.name)]);
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-you-sure", text));
    }
    dashboard.services.remove_printer(&who, id).await?;
    Ok(Redirect::to("/").into_response())
}
