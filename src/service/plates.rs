//! Plates: cleared by a person who looked, and never while something prints.

use std::collections::HashMap;

use serde_json::Map;
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, Entry},
        invalid::Invalid,
        plate::{ClearResult, Plate, PlateState},
    },
    storage,
};

/// Plates that one request can clear.
const MAX_PLATES: usize = 5_000;

/// A plate that is to be marked as clear.
#[derive(Debug, Clone, Copy)]
pub struct ClearPlate {
    pub printer_id: Uuid,
    /// The print that was seen on it; none means whatever lies there.
    pub print_id: Option<Uuid>,
}

impl Services {
    /// Marks plates as clear, each with a result of its own, in the order asked.
    pub async fn clear_plates(
        &self,
        who: &Principal,
        plates: &[ClearPlate],
    ) -> Result<Vec<(ClearPlate, ClearResult)>, Error> {
        who.require(Role::Operator)?;
        if plates.is_empty() || plates.len() > MAX_PLATES {
            let rule = format!("must name 1 to {MAX_PLATES} plates");
            return Err(Invalid::one("", "length", rule).into());
        }
        let ids: Vec<Uuid> = plates.iter().map(|plate| plate.printer_id).collect();
        let printers: HashMap<Uuid, bool> = storage::printers::get_many(&self.db, &ids)
            .await?
            .into_iter()
            .map(|printer| (printer.id, who.may_see(&printer)))
            .collect();
        let mut results = Vec::with_capacity(plates.len());
        for plate in plates {
            let result = match printers.get(&plate.printer_id) {
                None => ClearResult::NotFound,
                Some(false) => ClearResult::Forbidden,
                Some(true) => self.clear_plate(who, *plate).await?,
            };
            results.push((*plate, result));
        }
        Ok(results)
    }

    async fn clear_plate(&self, who: &Principal, plate: ClearPlate) -> Result<ClearResult, Error> {
        let now = clock::now();
        let id = plate.printer_id;
        let known = self.fleet.view().get(id);
        let on_it = known.as_ref().and_then(|live| live.plate.print_id);
        let result = match self.fleet.clear_plate(id, plate.print_id, who.name.clone(), now).await {
            Some(result) => result,
            // No actor watches it: the printer is disabled.
            None => match known.as_ref().map(|live| &live.plate) {
                None => ClearResult::NotFound,
                Some(plate) if plate.state == PlateState::Clear => ClearResult::AlreadyClear,
                Some(there) if plate.print_id.is_some() && there.print_id != plate.print_id => {
                    ClearResult::PlateChanged
                }
                Some(_) => {
                    let by = Some(who.name.clone());
                    let clear = Plate { state: PlateState::Clear, print_id: None, since: Some(now), cleared_by: by };
                    self.fleet.show_plate(id, clear);
                    ClearResult::Cleared
                }
            },
        };
        if result == ClearResult::Cleared {
            let entry = Entry { printer_ids: vec![id], ..who.entry(Action::PlateCleared, Map::new()) };
            storage::plates::clear(&self.db, id, plate.print_id.or(on_it), &who.name, now, &entry).await?;
            tracing::info!(printer.id = %id, by = %who.name, "plate cleared");
        }
        Ok(result)
    }
}
