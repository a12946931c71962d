//! Sends the next file to printers whose plate waits, so that the start does not wait for it.

use std::collections::HashSet;

use uuid::Uuid;

use super::PlannerTask;
use crate::{
    clock,
    domain::{
        file::name_on_printer,
        order::OrderFile,
        planner::{Activity, NextCopy, PlanInput, PlanPrinter},
        printer_content::{PrinterContent, PrinterContentState},
    },
    service::error::Error,
    storage,
};

impl PlannerTask {
    /// Begins the transfers of the files that printers take when their plates are clear.
    pub(super) async fn prefetch(&self, input: &PlanInput, next: &[NextCopy]) -> Result<(), Error> {
        let is_idle = |printer: &&PlanPrinter| matches!(printer.activity, Activity::Idle { .. });
        let idle: HashSet<Uuid> = input.printers.iter().filter(is_idle).map(|printer| printer.id).collect();
        let mut wanted: Vec<(Uuid, &OrderFile)> = Vec::new();
        for copy in next.iter().filter(|copy| idle.contains(&copy.printer)) {
            let Some(takes) = &copy.takes else { continue };
            let order = self.farm.order(takes.order);
            wanted.extend(order.and_then(|order| order.files.get(takes.file)).map(|file| (copy.printer, file)));
        }
        self.send_missing(&wanted).await
    }

    async fn send_missing(&self, wanted: &[(Uuid, &OrderFile)]) -> Result<(), Error> {
        let db = &self.services.db;
        let mut known = HashSet::new();
        for sha256 in wanted.iter().map(|(_, file)| file.sha256.as_str()).collect::<HashSet<_>>() {
            let places = storage::printer_contents::list_by_content(db, sha256).await?;
            known.extend(places.into_iter().map(|place| (place.printer_id, place.sha256)));
        }
        let missing = wanted.iter().filter(|(printer, file)| !known.contains(&(*printer, file.sha256.clone())));
        let contents: Vec<PrinterContent> = missing
            .map(|(printer_id, file)| PrinterContent {
                printer_id: *printer_id,
                sha256: file.sha256.clone(),
                name: name_on_printer(&file.name),
                print_size: file.print_size,
                path: None,
                state: PrinterContentState::Queued,
                select_after: false,
                requested_by: Some("planner".to_owned()),
                detail: None,
                updated_at: clock::now(),
            })
            .collect();
        if !contents.is_empty() {
            storage::printer_contents::put_many(db, &contents).await?;
            self.services.transfers.wake();
        }
        Ok(())
    }
}
