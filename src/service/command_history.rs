//! Commands of one printer, across all batches.
//!
//! The command log has no index by printer, because it would delay the insert of a batch. The audit has an index of
//! entries by printer, which is filled in the background. It gives the batches that name a printer, and the position of
//! the printer's row in each batch.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        audit::{Action, AuditFilter, CheckedRecord},
        command::RequestedCommand,
    },
    storage,
};

impl Services {
    /// Returns the commands of a visible printer that were requested before `until`, newest batch first. They go back as
    /// far as both their batches and the audit are kept.
    pub async fn list_printer_commands(
        &self,
        who: &Principal,
        printer_id: Uuid,
        until: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<RequestedCommand>, Error> {
        self.printer(who, printer_id).await?;
        let action = Some(Action::BatchCreated);
        let filter = AuditFilter { action, printer_id: Some(printer_id), until, ..AuditFilter::default() };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = storage::audit::list_page(&self.db, &filter, None, limit).await?;
        let positions: Vec<(Uuid, i64)> = found.iter().filter_map(|found| locate_row(found, printer_id)).collect();
        Ok(storage::commands::list_at_positions(&self.db, printer_id, &positions).await?)
    }
}

/// Returns the batch of an audit record, and the position of the printer's row in it. The record names the printers of
/// a batch in the order of its rows.
fn locate_row(found: &CheckedRecord, printer_id: Uuid) -> Option<(Uuid, i64)> {
    let CheckedRecord::Intact(record) = found else { return None };
    let position = record.entry.printer_ids.iter().position(|id| *id == printer_id)?;
    Some((record.entry.subject?, i64::try_from(position).ok()?))
}
