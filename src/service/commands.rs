//! The commands that one printer was given, whichever batches they belong to.
//!
//! The ledger has no index by printer: the insert of a batch would wait for it. The audit's list of rows by printer,
//! which follows in the background, says which batches named a printer, and in which place of each its row stands.

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
    /// Older ones are before this.
    pub next: Option<i64>,
}

impl Services {
    /// The commands of a printer that may be seen, newest batch first, those before `before`; as far back as both their
    /// batches and the audit are kept.
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
        // Where nothing is left of batches, the audit may go back further.
        let next = found.last().map(Found::seq).filter(|_| more && !commands.is_empty());
        Ok(CommandsOf { commands, next })
    }
}

/// The batch that a record tells of, and where in it the printer's row stands: the record names a batch's printers in the
/// order of its rows.
fn place(found: &Found, printer_id: Uuid) -> Option<(Uuid, i64)> {
    let Found::Whole(record) = found else { return None };
    let position = record.entry.printer_ids.iter().position(|id| *id == printer_id)?;
    Some((record.entry.subject?, i64::try_from(position).ok()?))
}
