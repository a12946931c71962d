//! The page of one printer: state, commands, files, history.

pub(super) mod access_fields;
pub(super) mod api_key_field;
pub(super) mod camera;
pub(super) mod commands;
pub(super) mod connection_test;
pub(super) mod discover;
pub(super) mod files;
pub(super) mod history;
pub(super) mod import;
pub(super) mod import_result;
pub(super) mod new;
pub(super) mod production;
pub(super) mod profile_text;
pub(super) mod service;
pub(super) mod settings;
pub(super) mod tags;
pub(super) mod temperatures;

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use self::{
    commands::CommandSection,
    files::files_unavailable_reason,
    history::{History, HistoryParams, HistoryRow},
    production::ProductionSection,
    service::ServiceSection,
    temperatures::TemperatureSection,
};
use super::{
    Dashboard,
    farm::tile_cache::PrinterEntry,
    filters,
    form::FormData,
    messages::{t, text_of},
    page::{Failure, PageFrame, PathUuid, Visitor, render_html},
};
use crate::{
    domain::{event_channel::ChannelError, plate::ClearResult},
    service::{Error, access::Principal, plates::PlateToClear},
};

#[derive(Template)]
#[template(path = "printers/show.html")]
struct PrinterPage {
    frame: PageFrame,
    entry: Arc<PrinterEntry>,
    temperatures: TemperatureSection,
    facts: Vec<(String, String)>,
    service: ServiceSection,
    production: ProductionSection,
    files_unavailable: Option<&'static str>,
    history: History,
    commands: CommandSection,
    stream: String,
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    Query(params): Query<HistoryParams>,
) -> Result<Html<String>, Failure> {
    let (version, entry) = find_entry(&dashboard, &who, id).await?;
    let history = History::load(&dashboard, &who, id, &params).await?;
    let commands = CommandSection::load(&dashboard, &who, entry.clone()).await?;
    let temperatures = TemperatureSection::load(&dashboard, &who, &entry).await;
    render_html(&PrinterPage {
        frame: PageFrame::new(&who, "farm"),
        facts: list_facts(&entry),
        service: ServiceSection::from_printer(&entry.view.printer),
        production: ProductionSection::load(&dashboard, &who, &entry).await?,
        temperatures,
        files_unavailable: files_unavailable_reason(&entry),
        history,
        commands,
        stream: format!("/stream?only={id}&since={}", dashboard.tile_cache.format_stamp(version)),
        entry,
    })
}

/// Returns the tile of a printer, and the farm version that it belongs to.
pub(super) async fn find_entry(
    dashboard: &Dashboard,
    who: &Principal,
    id: Uuid,
) -> Result<(u64, Arc<PrinterEntry>), Failure> {
    let (version, entries) = dashboard.tile_cache.list_visible(who).await?;
    let found = entries.into_iter().find(|entry| entry.id() == id);
    Ok((version, found.ok_or(Failure::from(Error::NotFound("printer")))?))
}

fn list_facts(entry: &PrinterEntry) -> Vec<(String, String)> {
    let (details, live) = (&entry.view.printer.details, &entry.view.live);
    let mut facts = vec![(t("printer-address").to_owned(), details.url.clone())];
    let mut add = |name: String, value: Option<String>| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    };
    let profile: Vec<_> = details.profile.values().collect();
    for (field, value) in profile.iter().filter(|(field, _)| !field.kind.is_multiline()) {
        // Tags and the power group both group printers.
        if field.name == "power_group" {
            add(t("printer-tags").to_owned(), Some(details.tags.join(", ")));
        }
        add(profile_text::fact_label(field), profile_text::fact(field, value));
    }
    add(t("printer-octoprint").to_owned(), live.octoprint_version.as_deref().map(str::to_owned));
    let channel = live.channel.map(|channel| match channel.as_str() {
        "push" => t("printer-updates-live"),
        _ => t("printer-updates-polled"),
    });
    add(t("printer-updates").to_owned(), channel.map(str::to_owned));
    add(t("printer-no-events").to_owned(), live.channel_error.map(no_events_reason));
    for (field, value) in profile.iter().filter(|(field, _)| field.kind.is_multiline()) {
        add(profile_text::fact_label(field), profile_text::fact(field, value));
    }
    facts
}

/// Returns why a printer sends no events.
fn no_events_reason(error: ChannelError) -> String {
    let reason = text_of(&error.code.message());
    let status = error.status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
    format!("{reason}{status} {}", t("printer-polled-instead"))
}

/// Marks the plate as clear. The user has checked it.
pub(super) async fn clear_plate(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    let plate = PlateToClear { printer_id: id, print_id: form.text("print_id").and_then(|text| text.parse().ok()) };
    let results = dashboard.services.clear_plates(&who, &[plate]).await?;
    let refused = |text: &str| Err(Failure::new(StatusCode::CONFLICT, "printer-plate-not-marked-clear", text));
    match results.first().map(|(_, result)| *result) {
        Some(ClearResult::Cleared | ClearResult::AlreadyClear) => Ok(Redirect::to(form.back_path()).into_response()),
        Some(ClearResult::Printing) => refused(t("printer-plate-printing")),
        Some(ClearResult::PlateChanged) => refused(t("printer-plate-changed")),
        _ => Err(Error::NotFound("printer").into()),
    }
}
