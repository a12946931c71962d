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
    board::Entry,
    files::why_no_files,
    filters,
    form::Form,
    heat::Heat,
    history::{History, Wanted},
    language::t,
    page::{Failure, Frame, Id, Visitor, html},
    plan::OFFERED,
    words,
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
    (command.as_str(), words::verb(*command), words::icon(*command))
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
    let mut facts = vec![(t("Address"), details.url.clone())];
    let mut add = |name, value: Option<String>| facts.extend(value.filter(|v| !v.is_empty()).map(|v| (name, v)));
    add(t("Model"), details.model.clone());
    add(t("Material"), details.material.clone());
    add(t("Nozzle"), details.nozzle_mm.map(|mm| format!("{mm} mm")));
    add(t("Tags"), Some(details.tags.join(", ")));
    add(t("Power group"), details.power_group.clone());
    add(t("OctoPrint"), live.octoprint_version.as_deref().map(str::to_owned));
    let channel = live.channel.map(|channel| match channel.as_str() {
        "push" => t("by its event socket"),
        _ => t("by polling"),
    });
    add(t("Changes are observed"), channel.map(str::to_owned));
    add(t("No events"), live.channel_error.map(no_events));
    add(t("Notes"), Some(details.notes.clone()));
    facts
}

/// Returns why a printer sends no events.
fn no_events(error: ChannelError) -> String {
    let why = match error.code {
        ChannelFailure::LoginRefused => t("OctoPrint refuses the login for events."),
        ChannelFailure::LoginFailed => t("The login for events fails."),
        ChannelFailure::LoginNotConfirmed => {
            t("OctoPrint does not confirm the login for events. Does the user name contain a colon?")
        }
        ChannelFailure::SocketRefused => t("The event socket is refused. Does a proxy block websockets?"),
        ChannelFailure::SocketLost => t("The event socket was closed or does not reply."),
    };
    let status = error.status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
    format!("{why}{status} {}", t("The printer is polled."))
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
    let refused = |text: &str| Err(Failure::new(StatusCode::CONFLICT, "The plate was not marked as clear", text));
    match results.first().map(|(_, result)| *result) {
        Some(ClearResult::Cleared | ClearResult::AlreadyClear) => Ok(Redirect::to(form.back()).into_response()),
        Some(ClearResult::Printing) => refused(t("The printer is printing on it.")),
        Some(ClearResult::PlateChanged) => refused(t("Another print lies on it now than the one that you saw.")),
        _ => Err(Error::NotFound("printer").into()),
    }
}
