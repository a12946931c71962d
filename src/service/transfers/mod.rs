//! Transfers: sends contents of the library to printers, once per printer and content.
//!
//! One reconciler owns all transfers. It compares what commands and users want with what runs, and corrects the
//! difference: it begins, cuts and repeats transfers, and deletes files that are no longer needed. The database stores
//! changes of state; the progress is in memory. Commands never wait for a transfer of another printer, and a transfer
//! never delays a command, because it uses its own connection.

mod check;
mod clean_up;
mod ends;
mod outcome;
mod progress;
mod reconcile;
mod send;
mod wanted;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::{
    progress::{ActiveTransfers, Progress},
    reconcile::TransferReconciler,
};
use super::{Services, access::Principal, background::PeriodicTask, background::RunResult, error::Error};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry, object_fields},
        command::{CommandRow, LibraryContent, Reason},
        file::{LibraryFile, name_on_printer},
        printer_content::{PrinterContent, PrinterContentState, TransferProgress, TransferState},
    },
    storage,
};

/// Time between two runs without a signal: how soon a printer that became idle gets its file.
const PERIOD: Duration = Duration::from_secs(1);
/// Time between two searches for files that printers no longer need.
const CLEAN_UP_PERIOD: Duration = Duration::from_secs(600);

/// What the reconciler of transfers shares with requests. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transfers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wake: Notify,
    active: ActiveTransfers,
}

impl Transfers {
    /// Makes the reconciler run now, because what is wanted has changed.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    fn active(&self) -> &ActiveTransfers {
        &self.0.active
    }
}

/// The background task `transfers`.
struct TransferTask(TransferReconciler);

impl PeriodicTask for TransferTask {
    async fn run(&mut self) -> RunResult {
        self.0.run().await
    }

    async fn wait_for_work(&mut self) {
        self.0.services.transfers.0.wake.notified().await;
    }
}

impl Services {
    pub(super) fn start_transfers(&self, tasks: TaskTracker) {
        self.background.add("transfers", PERIOD, TransferTask(TransferReconciler::new(self.clone(), tasks)));
        let services = self.clone();
        self.background.add("printer_files", CLEAN_UP_PERIOD, move || {
            let services = services.clone();
            async move { services.mark_unneeded_contents().await }
        });
    }

    /// Returns the printers that get a file now.
    pub(super) fn transferring_printers(&self) -> HashSet<Uuid> {
        self.transfers.active().printers()
    }

    /// Returns the progress of the transfer of a command's file. `None`: the command names no library file, or it ended
    /// before its transfer.
    pub(super) fn transfer_of(&self, row: &CommandRow) -> Option<TransferProgress> {
        let LibraryContent { sha256, print_size, .. } = row.file.as_ref()?.content()?;
        let progress = |state, sent_bytes| TransferProgress { state, sent_bytes, size: *print_size };
        if row.file_path.is_some() {
            return Some(progress(TransferState::Done, *print_size));
        }
        if row.reason == Some(Reason::UploadFailed) {
            return Some(progress(TransferState::Failed, 0));
        }
        if row.outcome.is_final() {
            return None;
        }
        let active = self.transfers.active().get(row.printer_id, sha256);
        Some(active.map_or(progress(TransferState::Queued, 0), |active| active.snapshot(*print_size)))
    }

    /// Sends a file of the library to a printer when the printer is idle, and then selects it there if `select` is true.
    /// It starts nothing.
    pub async fn send_to_printer(
        &self,
        who: &Principal,
        file: &LibraryFile,
        printer_id: Uuid,
        select: bool,
    ) -> Result<(), Error> {
        who.require(Role::Operator)?;
        let view = self.printer(who, printer_id).await?;
        let content = PrinterContent {
            printer_id,
            sha256: file.content.sha256.clone(),
            name: name_on_printer(&file.name),
            print_size: file.content.print_size,
            path: None,
            state: PrinterContentState::Queued,
            select_after: select,
            requested_by: Some(who.name.clone()),
            detail: None,
            updated_at: clock::now(),
        };
        storage::printer_contents::put(&self.db, &content).await?;
        let changes = object_fields(&serde_json::json!({"path": file.path(), "origin": "library"}));
        let entry = AuditEntry { printer_ids: vec![printer_id], ..who.audit_entry(Action::FileUploaded, changes) };
        storage::audit::append_single(&self.db, &entry).await?;
        tracing::info!(
            file.name = %file.name, printer.name = %view.printer.details.name, by = %who.name, "transfer requested"
        );
        self.transfers.wake();
        Ok(())
    }

    /// Returns where a content is on printers that the principal may see, with the progress of running transfers.
    pub async fn places_of_content(
        &self,
        who: &Principal,
        sha256: &str,
    ) -> Result<Vec<(PrinterContent, Option<TransferProgress>)>, Error> {
        let mut places = storage::printer_contents::list_by_content(&self.db, sha256).await?;
        let visible = self.visible_printers(who, places.iter().map(|place| place.printer_id)).await?;
        places.retain(|place| visible.as_ref().is_none_or(|ids| ids.contains(&place.printer_id)));
        let with_progress = |place: PrinterContent| {
            let active = self.transfers.active().get(place.printer_id, sha256);
            let progress = active.map(|active: Arc<Progress>| active.snapshot(place.print_size));
            (place, progress)
        };
        Ok(places.into_iter().map(with_progress).collect())
    }

    /// Returns on how many printers that the principal may see each of these contents is.
    pub async fn count_places(&self, who: &Principal, sha256: &[String]) -> Result<HashMap<String, usize>, Error> {
        let places = storage::printer_contents::list_present(&self.db, sha256).await?;
        let visible = self.visible_printers(who, places.iter().map(|(id, _)| *id)).await?;
        let mut counts = HashMap::new();
        for (_, sha256) in places.into_iter().filter(|(id, _)| visible.as_ref().is_none_or(|ids| ids.contains(id))) {
            *counts.entry(sha256).or_default() += 1;
        }
        Ok(counts)
    }

    /// Returns which of these printers the principal may see. `None`: all.
    async fn visible_printers(
        &self,
        who: &Principal,
        ids: impl Iterator<Item = Uuid>,
    ) -> Result<Option<HashSet<Uuid>>, Error> {
        if who.visible_tags().is_none() {
            return Ok(None);
        }
        let printers = storage::printers::get_many(&self.db, &ids.collect::<Vec<_>>()).await?;
        Ok(Some(printers.iter().filter(|printer| who.may_see(printer)).map(|printer| printer.id).collect()))
    }
}
