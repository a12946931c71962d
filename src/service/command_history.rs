//! Commands of one printer, across all batches.
//!
//! The command log has no index by printer, because it would delay the insert of a batch. The audit has an index of
//! entries by printer, which is filled in the background. It gives the batches that name a printer, and the position of
//! the printer's row in each batch.

use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        audit::{Action, AuditFilter, CheckedRecord},
        command::RequestedCommand,
    },
    storage,
};

/// A page of one printer's commands.
#[derive(Debug, Clone, Default)]
pub struct CommandPage {
    pub commands: Vec<RequestedCommand>,
    /// Pass this as `before` to get older commands.
    pub next: Option<i64>,
}

impl Services {
    /// Returns the commands of a visible printer, newest batch first, before the audit position `before`. They go back
    /// as far as both their batches and the audit are kept.
    pub async fn list_printer_commands(
        &self,
        who: &Principal,
        printer_id: Uuid,
        before: Option<i64>,
        limit: usize,
    ) -> Result<CommandPage, Error> {
        self.printer(who, printer_id).await?;
        let filter =
            AuditFilter { action: Some(Action::BatchCreated), printer_id: Some(printer_id), ..AuditFilter::default() };
        let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut found = storage::audit::list_page(&self.db, &filter, before, one_more).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let positions: Vec<(Uuid, i64)> = found.iter().filter_map(|found| locate_row(found, printer_id)).collect();
        let commands = storage::commands::list_at_positions(&self.db, printer_id, &positions).await?;
        // The audit may go back further than the batches. So the list ends where no batch is left.
        let next = found.last().map(CheckedRecord::seq).filter(|_| more && !commands.is_empty());
        Ok(CommandPage { commands, next })
    }
}

/// Returns the batch of an audit record, and the position of the printer's row in it. The record names the printers of
/// a batch in the order of its rows.
fn locate_row(found: &CheckedRecord, printer_id: Uuid) -> Option<(Uuid, i64)> {
    let CheckedRecord::Intact(record) = found else { return None };
    let position = record.entry.printer_ids.iter().position(|id| *id == printer_id)?;
    Some((record.entry.subject?, i64::try_from(position).ok()?))
}
