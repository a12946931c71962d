//! Files on a printer, in a browser: listed, uploaded, selected, deleted.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    Dashboard,
    board::Entry,
    form::Form,
    language::{fill, said, t},
    page::{Failure, Id, Visitor},
    time::length,
};
use crate::{
    domain::{access::Role, command::FileRef, state::Reachability},
    http::api::upload::{Wishes, receive},
    service::{Error, access::Principal},
};

/// Longer than this a page does not wait for a printer's list of files.
const FILES_WITHIN: Duration = Duration::from_secs(3);

pub(super) struct File {
    pub path: String,
    pub origin: String,
    pub size: String,
    pub length: String,
    pub is_selected: bool,
}

/// The files of a printer, or why they cannot be listed, in words.
pub(super) async fn of(dashboard: &Dashboard, who: &Principal, entry: &Entry) -> Result<Vec<File>, String> {
    let live = &entry.view.live;
    if live.reachability != Reachability::Online {
        return Err(t("The files can be listed when the printer answers.").to_owned());
    }
    let list = dashboard.services.list_files(who, entry.id());
    let list = match tokio::time::timeout(FILES_WITHIN, list).await {
        Err(_) => return Err(t("The printer did not list its files in time. Load the page again.").to_owned()),
        Ok(Err(Error::Printer(error))) => {
            return Err(fill(t("The printer {what}."), &[("what", &said(&error.to_string()))]));
        }
        Ok(Err(_)) => return Err(t("The files could not be listed.").to_owned()),
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

/// Receives a file and passes it on to the printer.
pub(super) async fn upload(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    request: Request,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    // Before a gigabyte is taken in for a printer that is none.
    dashboard.services.printer(&who, id).await?;
    receive(&dashboard.services, &who, id, Wishes::default(), request).await.map_err(Failure::of_problem)?;
    Ok(back(id))
}

/// Selects a file on the printer; the next start prints it.
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
