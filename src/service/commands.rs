//! Commands of one printer, across all batches.
//!
//! The command log has no index by printer, because it would delay the insert of a batch. The audit has an index of
//! entries by printer, which is filled in the background. It gives the batches that name a printer, and the position of
//! the printer's row in each batch.

use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
pub use crate::storage::commands::Asked;
use crate::{
    domain::audit::{Action, Found},
    storage::{self, audit::AuditFilter},
};

/// A page of one printer's commands.
#[derive(Debug, Clone, Default)]
pub struct CommandsOf {
    pub commands: Vec<Asked>,
    /// Pass this as `before` to get older commands.
    pub next: Option<i64>,
}

impl Services {
    /// Returns the commands of a visible printer, newest batch first, before the audit position `before`. They go back
    /// as far as both their batches and the audit are kept.
    pub async fn commands_of(
        &self,
        who: &Principal,
        printer_id: Uuid,
        before: Option<i64>,
        limit: usize,
    ) -> Result<CommandsOf, Error> {
        self.printer(who, printer_id).await?;
        let filter =
            AuditFilter { action: Some(Action::BatchCreated), printer_id: Some(printer_id), ..AuditFilter::default() };
        let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut found = storage::audit::page(&self.db, &filter, before, one_more).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let places: Vec<(Uuid, i64)> = found.iter().filter_map(|found| place(found, printer_id)).collect();
        let commands = storage::commands::at_places(&self.db, printer_id, &places).await?;
        // The audit may go back further than the batches. So the list ends where no batch is left.
        let next = found.last().map(Found::seq).filter(|_| more && !commands.is_empty());
        Ok(CommandsOf { commands, next })
    }
}

/// Returns the batch of an audit record, and the position of the printer's row in it. The record names the printers of
/// a batch in the order of its rows.
fn place(found: &Found, printer_id: Uuid) -> Option<(Uuid, i64)> {
    let Found::Whole(record) = found else { return None };
    let position = record.entry.printer_ids.iter().position(|id| *id == printer_id)?;
    Some((record.entry.subject?, i64::try_from(position).ok()?))
}
