//! The page of files on a printer: list, upload, select, delete.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Request, State},
    response::{Html, IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::find_entry;
use crate::{
    domain::{
        access::Role, command::FileRef, printer_content::shown_path, printer_file::FileEntry, state::Reachability,
    },
    http::{
        api::printers::upload::{UploadOptions, receive_upload},
        dashboard::{
            Dashboard,
            farm::tile_cache::PrinterEntry,
            filters,
            form::FormData,
            messages::{t, text_of},
            page::{Failure, PageFrame, PathUuid, Visitor, render_html},
            time::{format_duration, format_size},
        },
    },
    service::{Error, access::Principal},
};

struct FileRow {
    path: String,
    /// The path without the folder of Printyard.
    shown: String,
    origin: String,
    size: String,
    print_time: String,
    is_selected: bool,
}

/// The list of files. The page of the printer loads it separately, because a printer with many files needs long to send
/// it.
#[derive(Template)]
#[template(path = "printers/files.html")]
struct FilesPage {
    frame: PageFrame,
    entry: Arc<PrinterEntry>,
    files: Result<Vec<FileRow>, String>,
}

pub(in crate::http::dashboard) async fn list(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Html<String>, Failure> {
    let (_, entry) = find_entry(&dashboard, &who, id).await?;
    let files = read_files(&dashboard, &who, &entry).await;
    // The selected file may have changed in the meantime.
    let (_, entry) = find_entry(&dashboard, &who, id).await?;
    let files = files.map(|list| file_rows(list, &entry));
    render_html(&FilesPage { frame: PageFrame::new(&who, "farm"), files, entry })
}

/// Returns why the files of a printer cannot be listed now, as a sentence.
pub(in crate::http::dashboard) fn files_unavailable_reason(entry: &PrinterEntry) -> Option<&'static str> {
    let is_online = entry.view.live.reachability == Reachability::Online;
    (!is_online).then(|| t("printer-files-unavailable"))
}

async fn read_files(dashboard: &Dashboard, who: &Principal, entry: &PrinterEntry) -> Result<Vec<FileEntry>, String> {
    if let Some(reason) = files_unavailable_reason(entry) {
        return Err(reason.to_owned());
    }
    dashboard.services.list_files(who, entry.id()).await.map_err(|error| match error {
        Error::Printer { message, .. } => text_of(&message),
        _ => t("printer-files-failed").to_owned(),
    })
}

fn file_rows(list: Vec<FileEntry>, entry: &PrinterEntry) -> Vec<FileRow> {
    let selected =
        entry.view.live.job.as_ref().and_then(|job| job.file.as_ref()).map(|file| (&file.path, &file.origin));
    let files = list.into_iter().map(|file| FileRow {
        is_selected: selected == Some((&file.path, &file.origin)),
        size: file.size.map(format_size).unwrap_or_default(),
        print_time: file.estimated_print_time_s.map(|s| format_duration(whole_seconds(s))).unwrap_or_default(),
        shown: shown_path(&file.path).to_owned(),
        path: file.path,
        origin: file.origin,
    });
    files.collect()
}

#[expect(clippy::cast_possible_truncation, reason = "an estimate in seconds, and `as` saturates")]
fn whole_seconds(seconds: f64) -> i64 {
    seconds as i64
}

/// Receives a file and uploads it to the printer.
pub(in crate::http::dashboard) async fn upload(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    request: Request,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    // Checked first, so that no large upload is received for an unknown printer.
    dashboard.services.printer(&who, id).await?;
    receive_upload(&dashboard.services, &who, id, UploadOptions::default(), request)
        .await
        .map_err(Failure::from_problem)?;
    Ok(redirect_to_printer(id))
}

/// Selects a file on the printer. The next start prints it.
pub(in crate::http::dashboard) async fn select(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    dashboard.services.select_file(&who, id, parse_file_ref(&form)?).await?;
    Ok(redirect_to_printer(id))
}

/// Deletes a file from the printer.
pub(in crate::http::dashboard) async fn delete(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    dashboard.services.delete_file(&who, id, parse_file_ref(&form)?).await?;
    Ok(redirect_to_printer(id))
}

fn parse_file_ref(form: &FormData) -> Result<FileRef, Failure> {
    match (form.text("path"), form.text("origin")) {
        (Some(path), Some(origin)) => Ok(FileRef { path: path.to_owned(), origin: origin.to_owned() }),
        _ => Err(Failure::invalid_form()),
    }
}

fn redirect_to_printer(id: Uuid) -> Response {
    Redirect::to(&format!("/printers/{id}")).into_response()
}
