//! Takes printers out of service, drains them, and returns them to service.

use std::collections::BTreeSet;

use serde_json::{Map, json};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry},
        message::Message,
        printer::Printer,
        production::Production,
        validation::ValidationErrors,
    },
    storage,
};

/// Maximum number of printers in one change: as many as a batch may have.
const MAX_PRINTERS: usize = 5_000;
/// Number of attempts. Another request may change a printer in between, and a change of the service state can be
/// repeated.
const ATTEMPTS: usize = 3;

impl Services {
    /// Sets the service state of printers: of all or of none. Returns the ids of the changed printers; the others had
    /// this state already. Waits until the actors have the state, for at most 2 s.
    pub async fn set_production(
        &self,
        who: &Principal,
        ids: &[Uuid],
        mut production: Production,
    ) -> Result<Vec<Uuid>, Error> {
        who.require(Role::Operator)?;
        let mut invalid = ValidationErrors::default();
        if ids.is_empty() || ids.len() > MAX_PRINTERS {
            invalid.add("/printer_ids", "count", Message::new("rule-printer-count").with("max", MAX_PRINTERS));
        }
        production.check(&mut invalid);
        invalid.into_result(())?;
        for _ in 0..ATTEMPTS {
            let mut printers = storage::printers::get_many(&self.db, ids).await?;
            printers.retain(|printer| who.may_see(printer));
            if printers.len() != ids.iter().collect::<BTreeSet<_>>().len() {
                return Err(Error::NotFound("printer"));
            }
            printers
                .retain(|printer| with_service(&printer.details.production, &production) != printer.details.production);
            if printers.is_empty() {
                return Ok(Vec::new());
            }
            let entries = audit_entries(who, &printers, &production);
            for printer in &mut printers {
                printer.version += 1;
                printer.updated_at = clock::now();
            }
            let update = storage::printers::set_production(&self.db, &printers, &production, &entries);
            if self.change_registry(async { update.await.map_err(Error::from) }).await? {
                let versions: Vec<_> = printers.iter().map(|printer| (printer.id, Some(printer.version))).collect();
                self.apply_to_fleet(&versions).await;
                tracing::info!(
                    printers = printers.len(), service = %production.service, by = %who.name,
                    note = production.note.as_deref().unwrap_or(""), "service state of printers changed"
                );
                return Ok(printers.iter().map(|printer| printer.id).collect());
            }
        }
        Err(Error::Stale)
    }
}

/// Returns a value with the service state of another one. The opt-in of the planner stays.
fn with_service(before: &Production, service: &Production) -> Production {
    let mut after = before.clone();
    after.set_service(service.clone());
    after
}

/// Returns one audit entry for the printers that had the same state before.
fn audit_entries(who: &Principal, printers: &[Printer], after: &Production) -> Vec<AuditEntry> {
    let mut groups: Vec<(&Production, Vec<Uuid>)> = Vec::new();
    for printer in printers {
        let before = &printer.details.production;
        match groups.iter_mut().find(|(state, _)| *state == before) {
            Some((_, ids)) => ids.push(printer.id),
            None => groups.push((before, vec![printer.id])),
        }
    }
    let entry = |(before, printer_ids): (&Production, Vec<Uuid>)| {
        let after = with_service(before, after);
        let changes = Map::from_iter([("production".to_owned(), json!([before, after]))]);
        AuditEntry { printer_ids, ..who.audit_entry(Action::PrinterChanged, changes) }
    };
    groups.into_iter().map(entry).collect()
}
