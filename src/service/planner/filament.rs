//! How much filament the prints of copies use.

use std::collections::HashMap;

use super::PlannerTask;
use crate::{
    domain::{
        copy::{Copy, CopyResult, CopyState},
        gcode::Filament,
    },
    service::error::Error,
    storage,
};

impl PlannerTask {
    /// Keeps how far the printing copies are. While a print is being cancelled, OctoPrint reports no position.
    pub(super) fn keep_positions(&mut self, copies: &[Copy]) {
        let mut positions = HashMap::new();
        for copy in copies.iter().filter(|copy| copy.state == CopyState::Printing) {
            let live = self.services.fleet.view().get(copy.printer_id).filter(|live| live.state.is_active());
            let now = live.and_then(|live| live.job.as_ref()?.progress.file_position);
            let last = self.positions.get(&copy.id).copied();
            positions.extend(now.max(last).map(|position| (copy.id, position)));
        }
        self.positions = positions;
    }

    /// Adds the filament to the result of a copy that ended: that of the whole file, or up to the last known position.
    pub(super) async fn add_filament(
        &self,
        copy: &Copy,
        state: CopyState,
        result: CopyResult,
    ) -> Result<CopyResult, Error> {
        let Filament { mm, g } = self.find_filament(copy, state).await?;
        Ok(CopyResult { filament_mm: mm, filament_g: g, ..result })
    }

    async fn find_filament(&self, copy: &Copy, state: CopyState) -> Result<Filament, Error> {
        let Some(facts) = storage::contents::get_facts(&self.services.db, &copy.sha256).await? else {
            return Ok(Filament::default());
        };
        Ok(match state {
            CopyState::Finished => facts.total_filament(),
            CopyState::Failed | CopyState::Cancelled => {
                let position = self.positions.get(&copy.id);
                position.map_or_else(Filament::default, |position| facts.filament_at(*position))
            }
            CopyState::Assigned
            | CopyState::Uploading
            | CopyState::Starting
            | CopyState::Printing
            | CopyState::Lost
            | CopyState::Released => Filament::default(),
        })
    }
}
