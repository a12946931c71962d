//! Files on a printer: listed, uploaded as they stream in, selected and deleted, never beside a command.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::{
    Services,
    access::Principal,
    dispatch::{NotReserved, Reservation},
    error::Error,
    uploads::UploadPlace,
};
use crate::{
    domain::{
        access::Role,
        audit::{Action, Entry, fields},
        command::FileRef,
    },
    octoprint::{self, RequestOptions},
    storage,
};
pub use crate::{
    octoprint::{FileEntry, Upload, Uploaded},
    outbound::Body,
};

const TIMEOUT: Duration = Duration::from_secs(10);

impl Services {
    /// The files of a printer, read now.
    pub async fn list_files(&self, who: &Principal, id: Uuid) -> Result<Vec<FileEntry>, Error> {
        let view = self.printer(who, id).await?;
        let octoprint = self.client_of(&view.printer).await?;
        // A list may take minutes and many megabytes.
        let _turn = self.file_lists.take(id).await;
        Ok(octoprint.files().list(&RequestOptions::default()).await?)
    }

    /// A place for an upload, to be taken before its body is read.
    pub fn admit_upload(&self, who: &Principal) -> Result<UploadPlace, Error> {
        self.uploads.admit(who)
    }

    /// Sends a file on to a printer as it comes in. The path that OctoPrint gave it may differ from what was asked.
    pub async fn upload_file(&self, who: &Principal, id: Uuid, mut upload: Upload) -> Result<Uploaded, Error> {
        who.require(Role::Operator)?;
        let view = self.printer(who, id).await?;
        let octoprint = self.client_of(&view.printer).await?;
        let select = std::mem::take(&mut upload.select);
        let turn = self.uploads.turns.take(id).await;
        let options = RequestOptions { silence: self.settings.upload_silence, ..RequestOptions::default() };
        let mut uploaded = octoprint.files().upload(upload, &options).await.map_err(busy_file)?;
        drop(turn);
        self.note_file(who, id, Action::FileUploaded, &uploaded.path, &uploaded.origin).await?;
        if select {
            // A select of its own, so that a transfer of minutes keeps no command waiting.
            let file = FileRef { path: uploaded.path.clone(), origin: uploaded.origin.clone() };
            self.select_file(who, id, file).await?;
            uploaded.effective_select = true;
        }
        self.fleet.look(id);
        Ok(uploaded)
    }

    /// Selects a file without printing it. Fails with `command_in_flight` or `already_printing`.
    pub async fn select_file(&self, who: &Principal, id: Uuid, file: FileRef) -> Result<(), Error> {
        who.require(Role::Operator)?;
        let FileRef { path, origin } = file.checked()?;
        let view = self.printer(who, id).await?;
        let octoprint = self.client_of(&view.printer).await?;
        let _reservation = self.reserve(id).await?;
        self.refuse_while_printing(id)?;
        let options = RequestOptions::within(TIMEOUT);
        octoprint.files().select(&path, &origin, false, &options).await.map_err(busy_file)?;
        self.note_file(who, id, Action::FileSelected, &path, &origin).await?;
        self.fleet.look(id);
        Ok(())
    }

    /// Deletes a file from a printer. Fails with `command_in_flight` or `already_printing`.
    pub async fn delete_file(&self, who: &Principal, id: Uuid, file: FileRef) -> Result<(), Error> {
        who.require(Role::Operator)?;
        let FileRef { path, origin } = file.checked()?;
        let view = self.printer(who, id).await?;
        let octoprint = self.client_of(&view.printer).await?;
        let _reservation = self.reserve(id).await?;
        octoprint.files().delete(&path, &origin, &RequestOptions::within(TIMEOUT)).await.map_err(busy_file)?;
        self.note_file(who, id, Action::FileDeleted, &path, &origin).await?;
        self.fleet.look(id);
        Ok(())
    }

    /// Writes down what was done to a file. It lies on the printer, so there is no transaction to be part of.
    async fn note_file(
        &self,
        who: &Principal,
        id: Uuid,
        action: Action,
        path: &str,
        origin: &str,
    ) -> Result<(), Error> {
        let told = fields(&json!({"path": path, "origin": origin}));
        let entry = Entry { printer_ids: vec![id], ..who.entry(action, told) };
        Ok(storage::audit::add(&self.db, &entry).await?)
    }

    async fn reserve(&self, id: Uuid) -> Result<Reservation, Error> {
        let detail = |what: &str| format!("Something else is being done to this printer: {what}.");
        self.dispatch.reserve(id).await.map_err(|refused| match refused {
            NotReserved::InFlight(command) => {
                Error::Conflict { code: "command_in_flight", detail: detail(command.as_str()) }
            }
            NotReserved::Reserved => {
                Error::Conflict { code: "command_in_flight", detail: detail("a change of its files") }
            }
            NotReserved::NoAnswer => Error::Busy("The dispatcher waits for the database. Try again in a moment."),
        })
    }

    fn refuse_while_printing(&self, id: Uuid) -> Result<(), Error> {
        match self.fleet.view().get(id) {
            Some(live) if live.state.is_active() => Err(already_printing()),
            _ => Ok(()),
        }
    }
}

fn already_printing() -> Error {
    Error::Conflict { code: "already_printing", detail: "The printer has a job: wait for its end.".to_owned() }
}

/// OctoPrint answers 409 for a file in use, and for a printer that is busy or not connected.
fn busy_file(error: octoprint::Error) -> Error {
    match error {
        octoprint::Error::Conflict { message } if message.contains("not operational") => {
            Error::Conflict { code: "not_operational", detail: format!("The printer refused: {message}.") }
        }
        octoprint::Error::Conflict { .. } => already_printing(),
        octoprint::Error::NotFound => Error::NotFound("file"),
        octoprint::Error::Refused { status: 415, .. } => Error::Unprocessable {
            code: "file_type_refused",
            detail: "OctoPrint takes no files with this extension.".to_owned(),
        },
        other => Error::Printer(other),
    }
}
