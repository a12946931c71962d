//! The page of one printer: state, commands, files, history.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    Dashboard,
    batch_form::OFFERED,
    files::why_no_files,
    filters,
    form::Form,
    history::{History, Wanted},
    labels,
    messages::t,
    page::{Failure, Frame, Id, Visitor, html},
    temperatures::Heat,
    tile_cache::Entry,
};
use crate::{
    domain::{
        channel::{ChannelError, ChannelFailure},
        command::Command,
        plate::ClearResult,
    },
    service::{Error, access::Principal, plates::ClearPlate},
};

/// The command as in the API, the label of the button, its icon.
type Button = (&'static str, &'static str, &'static str);

fn button(command: &Command) -> Button {
    (command.as_str(), labels::verb(*command), labels::icon(*command))
}

#[derive(Template)]
#[template(path = "printers/show.html")]
struct ShowPage {
    frame: Frame,
    entry: Arc<Entry>,
    heat: Heat,
    facts: Vec<(&'static str, String)>,
    why_no_files: Option<&'static str>,
    history: History,
    buttons: Vec<Button>,
    /// Commands for the connection of OctoPrint to the printer.
    connection: Vec<Button>,
    stream: String,
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    Query(wanted): Query<Wanted>,
) -> Result<Html<String>, Failure> {
    let (version, entry) = entry_of(&dashboard, &who, id).await?;
    let history = History::of(&dashboard, &who, id, &wanted).await?;
    let heat = Heat::of(&dashboard, &who, &entry).await;
    html(&ShowPage {
        frame: Frame::of(&who, "farm"),
        facts: facts(&entry),
        heat,
        why_no_files: why_no_files(&entry),
        history,
        buttons: OFFERED.iter().map(button).collect(),
        connection: [Command::Connect, Command::Disconnect].iter().map(button).collect(),
        stream: format!("/stream?only={id}&since={}", dashboard.board.stamp(version)),
        entry,
    })
}

/// Returns the tile of a printer, and the farm version that it belongs to.
pub(super) async fn entry_of(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<(u64, Arc<Entry>), Failure> {
    let (version, entries) = dashboard.board.all(who).await?;
    let found = entries.into_iter().find(|entry| entry.id() == id);
    Ok((version, found.ok_or(Failure::from(Error::NotFound("printer")))?))
}

fn facts(entry: &Entry) -> Vec<(&'static str, String)> {
    let (details, live) = (&entry.view.printer.details, &entry.view.live);
    let mut facts = vec![(t("printer-address"), details.url.clone())];
    let mut add = |name, value: Option<String>| facts.extend(value.filter(|v| !v.is_empty()).map(|v| (name, v)));
    add(t("printer-model"), details.model.clone());
    add(t("printer-material"), details.material.clone());
    add(t("printer-nozzle"), details.nozzle_mm.map(|mm| format!("{mm} mm")));
    add(t("printer-tags"), Some(details.tags.join(", ")));
    add(t("printer-power-group"), details.power_group.clone());
    add(t("printer-octoprint"), live.octoprint_version.as_deref().map(str::to_owned));
    let channel = live.channel.map(|channel| match channel.as_str() {
        "push" => t("printer-event-socket"),
        _ => t("printer-polling"),
    });
    add(t("printer-changes-observed"), channel.map(str::to_owned));
    add(t("printer-no-events"), live.channel_error.map(no_events));
    add(t("printer-notes"), Some(details.notes.clone()));
    facts
}

/// Returns why a printer sends no events.
fn no_events(error: ChannelError) -> String {
    let why = match error.code {
        ChannelFailure::LoginRefused => t("printer-octoprint-refuses-login-events"),
        ChannelFailure::LoginFailed => t("printer-login-events-fails"),
        ChannelFailure::LoginNotConfirmed => t("printer-octoprint-does-not-confirm"),
        ChannelFailure::SocketRefused => t("printer-event-socket-refused-does"),
        ChannelFailure::SocketLost => t("printer-event-socket-closed-does"),
    };
    let status = error.status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
    format!("{why}{status} {}", t("printer-printer-polled"))
}

/// Marks the plate as clear. The user has checked it.
pub(super) async fn clear_plate(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Failure> {
    let plate = ClearPlate { printer_id: id, print_id: form.text("print_id").and_then(|text| text.parse().ok()) };
    let results = dashboard.services.clear_plates(&who, &[plate]).await?;
    let refused = |text: &str| Err(Failure::new(StatusCode::CONFLICT, "printer-plate-not-marked-clear", text));
    match results.first().map(|(_, result)| *result) {
        Some(ClearResult::Cleared | ClearResult::AlreadyClear) => Ok(Redirect::to(form.back()).into_response()),
        Some(ClearResult::Printing) => refused(t("printer-printer-printing")),
        Some(ClearResult::PlateChanged) => refused(t("printer-another-print-lies-now")),
        _ => Err(Error::NotFound("printer").into()),
    }
}
