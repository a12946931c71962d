//! Printers that need attention: set by the planner's rules, ended by a person.

use serde_json::json;
use uuid::Uuid;

use super::{Services, access::Principal, error::Error, printers::PrinterView};
use crate::{
    clock,
    domain::{
        access::Role,
        attention::{Attention, AttentionReason},
        audit::{Action, AuditEntry},
    },
    storage,
};

impl Services {
    /// Puts a printer under attention: the planner starts nothing on it until a person clears that. An earlier reason
    /// stays.
    pub async fn set_attention(&self, id: Uuid, reason: AttentionReason) -> Result<(), Error> {
        let attention = Attention { reason, since: clock::now() };
        if storage::printers::set_attention(&self.db, id, attention).await? {
            self.fleet.view().touch([id]);
            tracing::warn!(printer.id = %id, %reason, "the printer needs attention");
        }
        Ok(())
    }

    /// Ends the attention of a printer.
    pub async fn clear_attention(&self, who: &Principal, id: Uuid) -> Result<PrinterView, Error> {
        who.require(Role::Operator)?;
        let printer = self.printer(who, id).await?.printer;
        if let Some(Attention { reason, since }) = printer.attention {
            let changes = json!({"reason": reason, "since": since});
            let changes = changes.as_object().cloned().unwrap_or_default();
            let entry = AuditEntry { printer_ids: vec![id], ..who.audit_entry(Action::AttentionCleared, changes) };
            if storage::printers::clear_attention(&self.db, id, &entry).await? {
                self.fleet.view().touch([id]);
                tracing::info!(printer.id = %id, by = %who.name, "the printer was checked");
            }
        }
        self.printer(who, id).await
    }
}
