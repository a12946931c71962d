//! Files on a printer: list, streamed upload, selection and deletion. No command runs during a selection or deletion.

use std::time::Duration;

use serde_json::json;
use tokio::fs::File;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::{
    Services,
    access::Principal,
    dispatch::{Reservation, ReservationError},
    error::Error,
    uploads::UploadSlot,
};
use crate::{
    domain::{
        access::Role,
        audit::{Action, AuditEntry, object_fields},
        command::FileRef,
        message::Message,
        printer_file::{FileEntry, UploadResult},
    },
    octoprint::{self, RequestOptions},
    outbound::Body,
    storage,
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A received file that is to be sent to a printer. It is streamed and never kept in memory.
#[derive(Debug)]
pub struct Upload {
    /// Open at the first byte to send.
    pub file: File,
    /// Bytes.
    pub length: u64,
    /// OctoPrint changes some characters, so use the path in the result.
    pub filename: String,
    /// The target folder. OctoPrint creates it if needed. Empty: the top folder.
    pub folder: String,
    /// Select the file after the upload.
    pub select: bool,
}

impl Services {
    /// Reads the list of files from a printer.
    pub async fn list_files(&self, who: &Principal, id: Uuid) -> Result<Vec<FileEntry>, Error> {
        let view = self.printer(who, id).await?;
        let octoprint = self.client_for_printer(&view.printer).await?;
        // A list can take minutes and many megabytes, so only one is read from a printer at a time.
        let _turn = self.file_list_locks.lock(id).await;
        Ok(octoprint.files().list(&RequestOptions::default()).await?)
    }

    /// Returns a slot for an upload. The caller takes it before it reads the body.
    pub fn admit_upload(&self, who: &Principal) -> Result<UploadSlot, Error> {
        self.uploads.admit(who)
    }

    /// Streams an upload to a printer. The path from OctoPrint may differ from the requested path.
    pub async fn upload_file(&self, who: &Principal, id: Uuid, upload: Upload) -> Result<UploadResult, Error> {
        who.require(Role::Operator)?;
        let view = self.printer(who, id).await?;
        let octoprint = self.client_for_printer(&view.printer).await?;
        let Upload { file, length, filename, folder, select } = upload;
        let body = Body::wrap_stream(ReaderStream::new(file));
        let upload = octoprint::Upload { body, length, filename, folder, select: false, print: false, userdata: None };
        let turn = self.uploads.transfer_locks.lock(id).await;
        let options = RequestOptions { silence: self.settings.upload_idle_timeout, ..RequestOptions::default() };
        let mut uploaded = octoprint.files().upload(upload, &options).await.map_err(file_error)?;
        drop(turn);
        self.audit_file_change(who, id, Action::FileUploaded, &uploaded.path, &uploaded.origin).await?;
        if select {
            // A separate request for the selection, so that no command waits during a transfer of minutes.
            let file = FileRef { path: uploaded.path.clone(), origin: uploaded.origin.clone() };
            self.select_file(who, id, file).await?;
            uploaded.effective_select = true;
        }
        self.fleet.request_reading(id);
        Ok(uploaded)
    }

    /// Selects a file without printing it. Fails with `command_in_flight` or `already_printing`.
    pub async fn select_file(&self, who: &Principal, id: Uuid, file: FileRef) -> Result<(), Error> {
        who.require(Role::Operator)?;
        let FileRef { path, origin } = file.validate()?;
        let view = self.printer(who, id).await?;
        let octoprint = self.client_for_printer(&view.printer).await?;
        let _reservation = self.reserve(id).await?;
        self.refuse_while_printing(id)?;
        let options = RequestOptions::with_timeout(TIMEOUT);
        octoprint.files().select(&path, &origin, false, &options).await.map_err(file_error)?;
        self.audit_file_change(who, id, Action::FileSelected, &path, &origin).await?;
        self.fleet.request_reading(id);
        Ok(())
    }

    /// Deletes a file from a printer. Fails with `command_in_flight` or `already_printing`.
    pub async fn delete_file(&self, who: &Principal, id: Uuid, file: FileRef) -> Result<(), Error> {
        who.require(Role::Operator)?;
        let FileRef { path, origin } = file.validate()?;
        let view = self.printer(who, id).await?;
        let octoprint = self.client_for_printer(&view.printer).await?;
        let _reservation = self.reserve(id).await?;
        octoprint.files().delete(&path, &origin, &RequestOptions::with_timeout(TIMEOUT)).await.map_err(file_error)?;
        self.audit_file_change(who, id, Action::FileDeleted, &path, &origin).await?;
        self.fleet.request_reading(id);
        Ok(())
    }

    /// Records a change of a file in the audit. The file is on the printer, so one transaction cannot cover both.
    async fn audit_file_change(
        &self,
        who: &Principal,
        id: Uuid,
        action: Action,
        path: &str,
        origin: &str,
    ) -> Result<(), Error> {
        let changes = object_fields(&json!({"path": path, "origin": origin}));
        let entry = AuditEntry { printer_ids: vec![id], ..who.audit_entry(action, changes) };
        Ok(storage::audit::append_single(&self.db, &entry).await?)
    }

    async fn reserve(&self, id: Uuid) -> Result<Reservation, Error> {
        self.dispatcher.reserve(id).await.map_err(|refused| match refused {
            ReservationError::InFlight(command) => Error::Conflict {
                code: "command_in_flight",
                detail: Message::new("refusal-printer-busy").with("command", command),
            },
            ReservationError::Reserved => {
                Error::Conflict { code: "command_in_flight", detail: Message::new("refusal-files-being-changed") }
            }
            ReservationError::NoReply => Error::Busy(Message::new("refusal-dispatcher-waits")),
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
    Error::Conflict { code: "already_printing", detail: Message::new("refusal-already-printing") }
}

/// Converts the error of a file request. OctoPrint replies with 409 for a file in use, and for a printer that is busy
/// or not connected.
fn file_error(error: octoprint::Error) -> Error {
    match error {
        octoprint::Error::Conflict { message } if message.contains("not operational") => Error::Conflict {
            code: "not_operational",
            detail: Message::new("refusal-printer-refused").with("text", message),
        },
        octoprint::Error::Conflict { .. } => already_printing(),
        octoprint::Error::NotFound => Error::NotFound("file"),
        octoprint::Error::Refused { status: 415, .. } => {
            Error::Unprocessable { code: "file_type_refused", detail: Message::new("refusal-file-type") }
        }
        other => other.into(),
    }
}
