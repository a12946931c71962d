//! One printer: what it does, its commands, its files, its history.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};

use super::{
    Dashboard,
    board::Entry,
    form::Form,
    page::{Failure, Frame, Id, Visitor, html},
    plan::OFFERED,
    time::{Moment, length},
    words,
};
use crate::{
    domain::{access::Role, command::FileRef, plate::ClearResult, state::Reachability},
    service::{Error, access::Principal, plates::ClearPlate},
};

/// Longer than this a page does not wait for a printer's list of files.
const FILES_WITHIN: Duration = Duration::from_secs(3);
/// Prints of the history.
const PRINTS: i64 = 20;

struct File {
    path: String,
    origin: String,
    size: String,
    length: String,
    is_selected: bool,
}

struct PrintLine {
    file: String,
    at: Moment,
    took: String,
    result: &'static str,
    class: &'static str,
    reason: String,
}

#[derive(Template)]
#[template(path = "printers/show.html")]
struct ShowPage {
    frame: Frame,
    entry: Arc<Entry>,
    facts: Vec<(&'static str, String)>,
    files: Result<Vec<File>, String>,
    prints: Vec<PrintLine>,
    buttons: Vec<(&'static str, &'static str, &'static str)>,
    stream: String,
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Html<String>, Failure> {
    let (version, entries) = dashboard.board.all(&who).await?;
    let found = entries.into_iter().find(|entry| entry.id() == id);
    let entry = found.ok_or(Failure::from(Error::NotFound("printer")))?;
    let prints = dashboard.services.prints_of(&who, id, PRINTS).await?;
    let prints = prints.into_iter().map(|print| PrintLine {
        file: print.file.map_or_else(|| "not known".to_owned(), |file| file.path),
        at: Moment::day(print.started_at),
        took: print.ended_at.map(|at| length((at - print.started_at).num_seconds())).unwrap_or_default(),
        result: match print.result {
            None => "Printing",
            Some(crate::domain::print::PrintResult::Done) => "Done",
            Some(crate::domain::print::PrintResult::Failed) => "Failed",
            Some(crate::domain::print::PrintResult::Cancelled) => "Cancelled",
            Some(crate::domain::print::PrintResult::Unknown) => "Not watched",
        },
        class: match print.result {
            Some(crate::domain::print::PrintResult::Done) => "good",
            Some(crate::domain::print::PrintResult::Failed) => "bad",
            _ => "quiet",
        },
        reason: print.reason.unwrap_or_default(),
    });
    html(&ShowPage {
        frame: Frame::of(&who, "farm"),
        facts: facts(&entry),
        files: files(&dashboard, &who, &entry).await,
        prints: prints.collect(),
        buttons: OFFERED.iter().map(|one| (one.as_str(), words::verb(*one), words::icon(*one))).collect(),
        stream: format!("/stream?only={id}&since={}", dashboard.board.stamp(version)),
        entry,
    })
}

fn facts(entry: &Entry) -> Vec<(&'static str, String)> {
    let (details, live) = (&entry.view.printer.details, &entry.view.live);
    let mut facts = vec![("Address", details.url.clone())];
    let mut add = |name, value: Option<String>| facts.extend(value.filter(|v| !v.is_empty()).map(|v| (name, v)));
    add("Model", details.model.clone());
    add("Material", details.material.clone());
    add("Nozzle", details.nozzle_mm.map(|mm| format!("{mm} mm")));
    add("Tags", Some(details.tags.join(", ")));
    add("Power group", details.power_group.clone());
    add("OctoPrint", live.octoprint_version.as_deref().map(str::to_owned));
    let channel = live.channel.map(|channel| match channel.as_str() {
        "push" => "by its event socket",
        _ => "by asking it",
    });
    add("News come", channel.map(str::to_owned));
    add("Notes", Some(details.notes.clone()));
    facts
}

async fn files(dashboard: &Dashboard, who: &Principal, entry: &Entry) -> Result<Vec<File>, String> {
    let live = &entry.view.live;
    if live.reachability != Reachability::Online {
        return Err("The files can be listed when the printer answers.".to_owned());
    }
    let list = dashboard.services.list_files(who, entry.id());
    let list = match tokio::time::timeout(FILES_WITHIN, list).await {
        Err(_) => return Err("The printer did not list its files in time. Load the page again.".to_owned()),
        Ok(Err(Error::Printer(error))) => return Err(format!("The printer {error}.")),
        Ok(Err(_)) => return Err("The files could not be listed.".to_owned()),
        Ok(Ok(list)) => list,
    };
    let selected = live.job.as_ref().and_then(|job| job.file.as_ref()).map(|file| (&file.path, &file.origin));
    let files = list.into_iter().map(|file| File {
        is_selected: selected == Some((&file.path, &file.origin)),
        size: file.size.map(size).unwrap_or_default(),
        length: file.estimated_print_time_s.map(|s| length(whole(s))).unwrap_or_default(),
        path: file.path,
        origin: file.origin,
    });
    Ok(files.collect())
}

#[expect(clippy::cast_possible_truncation, reason = "an estimate in seconds, and `as` saturates")]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// A person has looked: the plate is clear.
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
        Some(ClearResult::Printing) => refused("The printer is printing on it."),
        Some(ClearResult::PlateChanged) => refused("Another print lies on it now than the one that you saw."),
        _ => Err(Error::NotFound("printer").into()),
    }
}

/// Selects a file on the printer; the next start prints it.
pub(super) async fn select_file(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let (Some(path), Some(origin)) = (form.text("path"), form.text("origin")) else {
        return Err(Failure::broken_form());
    };
    let file = FileRef { path: path.to_owned(), origin: origin.to_owned() };
    dashboard.services.select_file(&who, id, file).await?;
    Ok(Redirect::to(&format!("/printers/{id}")).into_response())
}
