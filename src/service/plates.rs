//! Plates: a user clears a plate after a check, and never during a print.
//!
//! The database decides, by compare-and-set on the print that is on the plate. Then the fleet follows. If the request was
//! dropped or the reply of the database was lost, a periodic task corrects the fleet.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use serde_json::Map;
use uuid::Uuid;

use super::{Services, access::Principal, background::RunResult, error::Error};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry},
        message::Message,
        plate::{ClearResult, PlateState},
        validation::ValidationErrors,
    },
    storage,
};

/// Maximum number of plates in one request.
const MAX_PLATES: usize = 5_000;
/// How often the fleet's plates are compared with the database.
const PERIOD: Duration = Duration::from_secs(10);
/// Maximum time that a request waits until its plates are shown as clear.
const SHOW_TIMEOUT: Duration = Duration::from_secs(2);

/// A plate to mark as clear.
#[derive(Debug, Clone, Copy)]
pub struct PlateToClear {
    pub printer_id: Uuid,
    /// The print that the user saw on the plate. None: any print.
    pub print_id: Option<Uuid>,
}

impl Services {
    /// Marks plates as clear. Returns one result for each, in the given order.
    pub async fn clear_plates(
        &self,
        who: &Principal,
        plates: &[PlateToClear],
    ) -> Result<Vec<(PlateToClear, ClearResult)>, Error> {
        who.require(Role::Operator)?;
        if plates.is_empty() || plates.len() > MAX_PLATES {
            let rule = Message::new("rule-plate-count").with("max", MAX_PLATES);
            return Err(ValidationErrors::single("", "length", rule).into());
        }
        // The database decides, so the observations of the actors must be stored first.
        if !self.fleet.flush_observations().await {
            return Err(Error::Busy(Message::new("refusal-prints-not-stored")));
        }
        let ids: Vec<Uuid> = plates.iter().map(|plate| plate.printer_id).collect();
        let printers: HashMap<Uuid, bool> = storage::printers::get_many(&self.db, &ids)
            .await?
            .into_iter()
            .map(|printer| (printer.id, who.may_see(&printer)))
            .collect();
        let (mut results, mut cleared) = (Vec::with_capacity(plates.len()), HashSet::new());
        for plate in plates {
            let result = match printers.get(&plate.printer_id) {
                None => ClearResult::NotFound,
                Some(false) => ClearResult::Forbidden,
                Some(true) => self.clear_plate(who, *plate).await?,
            };
            if result == ClearResult::Cleared {
                cleared.insert(plate.printer_id);
            }
            results.push((*plate, result));
        }
        self.wait_until_clear(&cleared).await;
        Ok(results)
    }

    async fn clear_plate(&self, who: &Principal, plate: PlateToClear) -> Result<ClearResult, Error> {
        let (id, now) = (plate.printer_id, clock::now());
        let entry = AuditEntry { printer_ids: vec![id], ..who.audit_entry(Action::PlateCleared, Map::new()) };
        match storage::plates::mark_clear(&self.db, id, plate.print_id, &who.name, now, &entry).await? {
            Err(refused) => Ok(refused),
            Ok(cleared) => {
                self.fleet.clear_plate(id, cleared);
                tracing::info!(printer.id = %id, by = %who.name, "plate cleared");
                Ok(ClearResult::Cleared)
            }
        }
    }

    /// Waits until these plates are shown as clear. The time is limited, because a plate may be occupied again already.
    async fn wait_until_clear(&self, printers: &HashSet<Uuid>) {
        let view = self.fleet.view();
        let mut changes = view.subscribe();
        let is_clear = |id: &Uuid| view.get(*id).is_none_or(|live| live.plate.state == PlateState::Clear);
        let shown = changes.wait_for(|_| printers.iter().all(is_clear));
        let _ = tokio::time::timeout(SHOW_TIMEOUT, shown).await;
    }

    /// Starts the task that applies the plates of the database to the fleet.
    pub(super) fn start_plates(&self) {
        let services = self.clone();
        self.background.add("plates", PERIOD, move || {
            let services = services.clone();
            async move { services.reconcile_plates().await }
        });
    }

    /// Compares the occupied plates with the database. There, a plate is clear only after the print on it was
    /// removed.
    async fn reconcile_plates(&self) -> RunResult {
        let occupied = self.fleet.view().printers().into_iter().filter(|live| live.plate.state == PlateState::Occupied);
        let ids: Vec<Uuid> = occupied.map(|live| live.id).collect();
        if !ids.is_empty() {
            for (id, cleared) in storage::plates::list_cleared(&self.db, &ids).await? {
                self.fleet.clear_plate(id, cleared);
            }
        }
        Ok(None)
    }
}
