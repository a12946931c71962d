//! The page of files on a printer: list, upload, select, delete.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Request, State},
    response::{Html, IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    Dashboard, filters,
    form::Form,
    language::said,
    messages::{t, t_with},
    page::{Failure, Frame, Id, Visitor, html},
    printer::entry_of,
    tile_cache::Entry,
    time::length,
};
use crate::{
    domain::{access::Role, command::FileRef, state::Reachability},
    http::api::upload::{Wishes, receive},
    service::{Error, access::Principal, files::FileEntry},
};

struct File {
    path: String,
    origin: String,
    size: String,
    length: String,
    is_selected: bool,
}

/// The list of files. The page of the printer loads it separately, because a printer with many files needs long to send
/// it.
#[derive(Template)]
#[template(path = "printers/files.html")]
struct FilesPage {
    frame: Frame,
    entry: Arc<Entry>,
    files: Result<Vec<File>, String>,
}

pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Html<String>, Failure> {
    let (_, entry) = entry_of(&dashboard, &who, id).await?;
    let files = read_files(&dashboard, &who, &entry).await;
    // The selected file may have changed in the meantime.
    let (_, entry) = entry_of(&dashboard, &who, id).await?;
    let files = files.map(|list| shown(list, &entry));
    html(&FilesPage { frame: Frame::of(&who, "farm"), files, entry })
}

/// Returns why the files of a printer cannot be listed now, as a sentence.
pub(super) fn why_no_files(entry: &Entry) -> Option<&'static str> {
    let is_online = entry.view.live.reachability == Reachability::Online;
    (!is_online).then(|| t("printer-files-can-listed-when"))
}

async fn read_files(dashboard: &Dashboard, who: &Principal, entry: &Entry) -> Result<Vec<FileEntry>, String> {
    if let Some(why) = why_no_files(entry) {
        return Err(why.to_owned());
    }
    dashboard.services.list_files(who, entry.id()).await.map_err(|error| match error {
        Error::Printer(error) => t_with("failure-printer", &[("what", &said(&error.to_string()))]),
        _ => t("printer-files-could-not-listed").to_owned(),
    })
}

fn shown(list: Vec<FileEntry>, entry: &Entry) -> Vec<File> {
    let selected =
        entry.view.live.job.as_ref().and_then(|job| job.file.as_ref()).map(|file| (&file.path, &file.origin));
    let files = list.into_iter().map(|file| File {
        is_selected: selected == Some((&file.path, &file.origin)),
        size: file.size.map(size).unwrap_or_default(),
        length: file.estimated_print_time_s.map(|s| length(whole(s))).unwrap_or_default(),
        path: file.path,
        origin: file.origin,
    });
    files.collect()
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

/// Receives a file and uploads it to the printer.
pub(super) async fn upload(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    request: Request,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    // Checked first, so that no large upload is received for an unknown printer.
    dashboard.services.printer(&who, id).await?;
    receive(&dashboard.services, &who, id, Wishes::default(), request).await.map_err(Failure::of_problem)?;
    Ok(back(id))
}

/// Selects a file on the printer. The next start prints it.
pub(super) async fn select(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    dashboard.services.select_file(&who, id, named(&form)?).await?;
    Ok(back(id))
}

/// Deletes a file from the printer.
pub(super) async fn delete(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    dashboard.services.delete_file(&who, id, named(&form)?).await?;
    Ok(back(id))
}

fn named(form: &Form) -> Result<FileRef, Failure> {
    match (form.text("path"), form.text("origin")) {
        (Some(path), Some(origin)) => Ok(FileRef { path: path.to_owned(), origin: origin.to_owned() }),
        _ => Err(Failure::broken_form()),
    }
}

fn back(id: Uuid) -> Response {
    Redirect::to(&format!("/printers/{id}")).into_response()
}
