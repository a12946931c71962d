//! Changes many printers at once: takes them out of service, drains them, returns them to service, and opts them in to
//! production.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
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
    storage::{self, printers::ProductionChange},
};

/// Maximum number of printers in one change: as many as a batch may have.
const MAX_PRINTERS: usize = 5_000;
/// Number of attempts. Another request may change a printer in between, and these changes can be repeated.
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
        production.check(&mut invalid);
        check_count(&mut invalid, ids);
        invalid.into_result(())?;
        let changed = self.change_production(who, ids, ProductionChange::Service(&production), clock::now()).await?;
        if changed.is_empty() {
            return Ok(changed);
        }
        tracing::info!(
            printers = changed.len(), service = %production.service, by = %who.name,
            note = production.note.as_deref().unwrap_or(""), "service state of printers changed"
        );
        Ok(changed)
    }

    /// Opts printers in or out: all or none. After an opt-in, the planner starts prints once a person has cleared the plate.
    /// Returns the ids of the changed printers.
    pub async fn set_auto(&self, who: &Principal, ids: &[Uuid], auto: bool) -> Result<Vec<Uuid>, Error> {
        who.require(Role::Manager)?;
        let mut invalid = ValidationErrors::default();
        check_count(&mut invalid, ids);
        invalid.into_result(())?;
        let now = clock::now();
        let changed = self.change_production(who, ids, ProductionChange::Auto(auto.then_some(now)), now).await?;
        if changed.is_empty() {
            return Ok(changed);
        }
        tracing::info!(printers = changed.len(), auto, by = %who.name, "opt-in of printers changed");
        self.planner.wake();
        Ok(changed)
    }

    async fn change_production(
        &self,
        who: &Principal,
        ids: &[Uuid],
        change: ProductionChange<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Uuid>, Error> {
        for _ in 0..ATTEMPTS {
            let mut printers = storage::printers::get_many(&self.db, ids).await?;
            printers.retain(|printer| who.may_see(printer));
            if printers.len() != ids.iter().collect::<BTreeSet<_>>().len() {
                return Err(Error::NotFound("printer"));
            }
            printers.retain(|printer| {
                let before = &printer.details.production;
                apply_change(before, change) != *before
            });
            if printers.is_empty() {
                return Ok(Vec::new());
            }
            let entries = audit_entries(who, &printers, change);
            for printer in &mut printers {
                printer.version += 1;
                printer.updated_at = now;
            }
            let update = storage::printers::change_production(&self.db, &printers, change, &entries);
            if self.change_registry(async { update.await.map_err(Error::from) }).await? {
                let versions: Vec<_> = printers.iter().map(|printer| (printer.id, Some(printer.version))).collect();
                self.apply_to_fleet(&versions).await;
                return Ok(printers.iter().map(|printer| printer.id).collect());
            }
        }
        Err(Error::Stale)
    }
}

fn check_count(invalid: &mut ValidationErrors, ids: &[Uuid]) {
    if ids.is_empty() || ids.len() > MAX_PRINTERS {
        invalid.add("/printer_ids", "count", Message::new("rule-printer-count").with("max", MAX_PRINTERS));
    }
}

/// Returns a value after a change. A printer that is opted in already keeps the time of its opt-in.
fn apply_change(before: &Production, change: ProductionChange<'_>) -> Production {
    let mut after = before.clone();
    match change {
        ProductionChange::Service(to) => after.set_service(to.clone()),
        ProductionChange::Auto(since) if since.is_some() == before.auto => {}
        ProductionChange::Auto(since) => (after.auto, after.auto_since) = (since.is_some(), since),
    }
    after
}

/// Returns one audit entry for the printers that had the same state before.
fn audit_entries(who: &Principal, printers: &[Printer], change: ProductionChange<'_>) -> Vec<AuditEntry> {
    let mut groups: Vec<(Production, Vec<Uuid>)> = Vec::new();
    for printer in printers {
        let before = Production { auto_since: None, ..printer.details.production.clone() };
        match groups.iter_mut().find(|(state, _)| *state == before) {
            Some((_, ids)) => ids.push(printer.id),
            None => groups.push((before, vec![printer.id])),
        }
    }
    let entry = |(before, printer_ids): (Production, Vec<Uuid>)| {
        let after = apply_change(&before, change);
        let changes = Map::from_iter([("production".to_owned(), json!([before, after]))]);
        AuditEntry { printer_ids, ..who.audit_entry(Action::PrinterChanged, changes) }
    };
    groups.into_iter().map(entry).collect()
}
