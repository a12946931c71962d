//! One transfer: looks for the content on the printer, sends it if it is missing, and checks what the printer has.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    outcome::{TransferEnd, end_of_error, end_of_service_error},
    progress::Progress,
};
use crate::{
    domain::{
        audit::ActorKind,
        command::FileRef,
        message::Message,
        printer_content::{PrinterContent, content_folder, upload_tag},
        printer_file::FileEntry,
        reading::LOCAL_ORIGIN,
    },
    octoprint::{self, OctoPrint, RequestOptions, Upload},
    outbound::Body,
    service::{Services, access::Principal, error::Error},
    storage::{self, files::PrintText},
};

/// Timeout of the small requests before and after the transfer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A transfer fails if the printer accepts no byte for this long.
const SILENCE: Duration = Duration::from_secs(20);
/// How often a running transfer looks whether a print began.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// A transfer to be run.
pub(super) struct Transfer {
    pub services: Services,
    pub content: PrinterContent,
    pub progress: Arc<Progress>,
    /// Cancelled when the transfer is no longer wanted.
    pub cut: CancellationToken,
}

impl Transfer {
    /// Runs the transfer to its end.
    pub async fn run(self) -> TransferEnd {
        let cut = self.cut.clone();
        tokio::select! {
            end = self.send() => end,
            () = cut.cancelled() => TransferEnd::Cut,
            () = self.watch() => TransferEnd::Cut,
        }
    }

    /// Returns when a print begins. Wakes the reconciler when the transfer stalls, because another one may take its place.
    async fn watch(&self) {
        let mut was_moving = true;
        loop {
            // Its place is given to another transfer at the moment when it stalls.
            let left = self.progress.stalls_in();
            tokio::time::sleep(if left.is_zero() { WATCH_INTERVAL } else { left.min(WATCH_INTERVAL) }).await;
            let is_moving = !self.progress.stalls_in().is_zero();
            if was_moving && !is_moving {
                self.services.transfers.wake();
            }
            was_moving = is_moving;
            if !self.services.may_transfer_to(self.content.printer_id) {
                return;
            }
        }
    }

    async fn send(&self) -> TransferEnd {
        match self.try_send().await {
            Ok(Some(path)) => TransferEnd::Present { selected: self.select_if_requested(&path).await, path },
            Ok(None) => TransferEnd::Failed(Message::new("cause-stored-file-differs")),
            Err(TransferError::Printer(error)) => end_of_error(&error),
            Err(TransferError::Service(error)) => end_of_service_error(&error),
        }
    }

    /// Returns the path of the content on the printer. `None`: the printer has stored something else.
    async fn try_send(&self) -> Result<Option<String>, TransferError> {
        let PrinterContent { printer_id, sha256, name, .. } = &self.content;
        let octoprint = self.services.client_of(*printer_id).await?;
        // An upload by hand to the same printer comes first.
        let _turn = self.services.uploads.transfer_locks.lock(*printer_id).await;
        self.progress.touch();
        let text = storage::files::get_print_text(&self.services.db, sha256).await.map_err(Error::from)?;
        let text = text.ok_or_else(|| Error::ContentMissing(Message::new("refusal-content-missing")))?;
        if let Some(path) = find_content(&octoprint, sha256, &text).await? {
            return Ok(Some(path));
        }
        let body = self.services.print_text_body(sha256, &text).await?;
        let (progress, transfers, size) = (self.progress.clone(), self.services.transfers.clone(), text.size);
        let chunks = body.into_data_stream().inspect(move |chunk| {
            if let Ok(bytes) = chunk
                && progress.add(bytes.len() as u64, size)
            {
                // The place of this transfer is free.
                transfers.wake();
            }
        });
        let upload = Upload {
            body: Body::wrap_stream(chunks),
            length: text.size,
            filename: name.clone(),
            folder: content_folder(sha256),
            select: false,
            print: false,
            userdata: Some(upload_tag(sha256)),
        };
        let silence = self.services.settings.upload_idle_timeout.unwrap_or(SILENCE);
        let options = RequestOptions { silence: Some(silence), ..RequestOptions::default() };
        octoprint.files().upload(upload, &options).await?;
        self.progress.touch();
        Ok(find_content(&octoprint, sha256, &text).await?)
    }

    /// Selects the file if a user asked for that. The printer may hang, so it belongs to this transfer and not to the
    /// reconciler, which serves all printers.
    async fn select_if_requested(&self, path: &str) -> Option<Result<(), Message>> {
        let PrinterContent { printer_id, select_after, requested_by, .. } = &self.content;
        if !select_after {
            return None;
        }
        let mut who = Principal::server_admin(ActorKind::Scheduler);
        who.name = requested_by.clone().unwrap_or(who.name);
        let file = FileRef { path: path.to_owned(), origin: LOCAL_ORIGIN.to_owned() };
        Some(self.services.select_file(&who, *printer_id, file).await.map_err(|error| error.message()))
    }
}

/// Why an attempt did not succeed.
enum TransferError {
    Printer(octoprint::Error),
    Service(Error),
}

impl From<octoprint::Error> for TransferError {
    fn from(error: octoprint::Error) -> Self {
        Self::Printer(error)
    }
}

impl From<Error> for TransferError {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

/// Returns the path of a content on a printer. Size and tag must match, and the hash where the printer reports it.
async fn find_content(
    octoprint: &OctoPrint,
    sha256: &str,
    text: &PrintText,
) -> Result<Option<String>, octoprint::Error> {
    let entries =
        octoprint.files().list_folder(&content_folder(sha256), &RequestOptions::with_timeout(TIMEOUT)).await?;
    let is_content = |entry: &&FileEntry| {
        entry.content.as_deref() == Some(sha256)
            && entry.size == Some(text.size)
            && entry.hash.as_ref().is_none_or(|hash| hash.eq_ignore_ascii_case(&text.sha1))
    };
    Ok(entries.iter().find(is_content).map(|entry| entry.path.clone()))
}

impl Services {
    /// Returns the client of a registered printer.
    pub(super) async fn client_of(&self, printer_id: Uuid) -> Result<OctoPrint, Error> {
        let (printer, sealed) = self.sealed_printer(printer_id).await?;
        self.client_with_secrets(&printer, &sealed)
    }

    /// Deletes the files of a content from a printer, and their folder if it is empty. Files without the tag of the content
    /// stay.
    pub(super) async fn delete_from_printer(&self, printer_id: Uuid, sha256: &str) -> TransferEnd {
        match self.try_delete(printer_id, sha256).await {
            Ok(()) => TransferEnd::Removed,
            Err(TransferError::Printer(octoprint::Error::Conflict { .. })) => TransferEnd::InUse,
            Err(TransferError::Printer(error)) => end_of_error(&error),
            Err(TransferError::Service(error)) => end_of_service_error(&error),
        }
    }

    async fn try_delete(&self, printer_id: Uuid, sha256: &str) -> Result<(), TransferError> {
        let octoprint = self.client_of(printer_id).await?;
        let options = RequestOptions::with_timeout(TIMEOUT);
        let folder = content_folder(sha256);
        let entries = octoprint.files().list_folder(&folder, &options).await?;
        let (own, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.content.as_deref() == Some(sha256));
        for entry in own {
            match octoprint.files().delete(&entry.path, &entry.origin, &options).await {
                Ok(()) | Err(octoprint::Error::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if others.is_empty() {
            match octoprint.files().delete(&folder, LOCAL_ORIGIN, &options).await {
                Ok(()) | Err(octoprint::Error::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
