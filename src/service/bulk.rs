//! Registers many printers in one request. Each printer has its own result: an error in one does not affect the others.

use super::{
    Services,
    access::Principal,
    error::Error,
    printers::{PrinterView, check_new_printer},
};
use crate::{
    domain::{
        access::Role,
        message::Message,
        printer::{Printer, PrinterDetails},
        printer_access::PrinterAccess,
    },
    storage,
};

/// Maximum number of printers in one request.
pub const MAX_PRINTERS: usize = 500;

impl Services {
    /// Registers each of these printers as [`Services::register_printer`] does, in the given order. Of two printers
    /// with the same name or address, the later one is refused. Returns one result for each printer.
    pub async fn register_printers(
        &self,
        who: &Principal,
        printers: Vec<(PrinterDetails, PrinterAccess)>,
    ) -> Result<Vec<Result<PrinterView, Error>>, Error> {
        who.require(Role::Manager)?;
        let results = self.change_registry(self.store_each(who, printers)).await?;
        let versions: Vec<_> = results.iter().flatten().map(|printer| (printer.id, Some(printer.version))).collect();
        self.apply_to_fleet(&versions).await;
        tracing::info!(printers = versions.len(), by = %who.name, "printers registered");
        Ok(results.into_iter().map(|result| result.map(|printer| self.view_of(printer))).collect())
    }

    /// Stores each of these printers. Returns one result for each, in the given order.
    async fn store_each(
        &self,
        who: &Principal,
        printers: Vec<(PrinterDetails, PrinterAccess)>,
    ) -> Result<Vec<Result<Printer, Error>>, Error> {
        // The valid printers, and their positions in the request.
        let (mut new, mut positions, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (details, access)) in printers.into_iter().enumerate() {
            let checked = check_new_printer(details, access).map_err(Error::from);
            match checked.and_then(|(details, access)| self.new_printer(who, details, &access)) {
                Ok(printer) => {
                    new.push(printer);
                    positions.push(index);
                }
                Err(error) => results.push((index, Err(error))),
            }
        }
        // One transaction stores all printers if there is no conflict. After a conflict, the two halves are stored
        // separately, down to a single printer. So a few conflicts cost a few more transactions, and not one for each
        // printer.
        let whole = 0..new.len();
        let (mut parts, mut failed) = (vec![whole], false);
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let inserted = match new.get(part.clone()) {
                Some(new) if !failed => storage::printers::insert(&self.db, new).await.map_err(Error::from),
                _ => Err(Error::Busy(Message::new("refusal-not-tried"))),
            };
            match inserted {
                Ok(()) => {
                    let stored = positions.iter().zip(&new).take(part.end).skip(part.start);
                    results.extend(stored.map(|(index, new)| (*index, Ok(new.printer.clone()))));
                }
                Err(Error::Conflict { .. }) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Err(error) => {
                    failed = !matches!(error, Error::Conflict { .. });
                    results.extend(positions.get(part.start).map(|index| (*index, Err(error))));
                    parts.push(part.start + 1..part.end);
                }
            }
        }
        results.sort_by_key(|(index, _)| *index);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}
