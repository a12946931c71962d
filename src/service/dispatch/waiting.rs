//! Reasons why a queued command waits. Its row shows the reason to users.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::{
    domain::{
        command::{CommandRow, Outcome},
        state::Reachability,
    },
    fleet::view::Live,
    service::Services,
};

/// Why a queued command waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    DueTime,
    InFlightLimit,
    Interval,
    HeatingLimit,
    Reply,
    PassingState,
    Turn,
}

impl WaitsFor {
    /// Returns an English sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::DueTime => "It waits for the time at which the batch is due.",
            Self::InFlightLimit => "It waits until fewer commands of the batch are in flight.",
            Self::Interval => "It waits for the interval between two commands of the batch.",
            Self::HeatingLimit => "It waits until fewer printers of its power group heat.",
            Self::Reply => "It waits for the printer, which does not reply.",
            Self::PassingState => "It waits until the printer has left a passing state.",
            Self::Turn => "It waits for its turn: commands before it have not ended.",
        }
    }
}

/// What the unreleased rows of one batch wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchWaits {
    /// Printers whose power group has reached its heating limit.
    pub heating: HashSet<Uuid>,
    pub others: Option<WaitsFor>,
}

/// The waits of all batches, as the dispatcher published them last.
pub(super) type Waits = HashMap<Uuid, BatchWaits>;

impl Services {
    /// Sets the detail of queued rows to the reason why they wait.
    pub(in crate::service) fn explain_waits(&self, rows: &mut [CommandRow]) {
        for row in rows.iter_mut().filter(|row| row.outcome == Outcome::Queued) {
            let waits_for = match row.released_at {
                None => self.dispatch.waits_for(row),
                Some(_) => self.fleet.view().get(row.printer_id).map_or(WaitsFor::Turn, |live| waits_at(&live)),
            };
            row.detail = Some(waits_for.sentence().to_owned());
        }
    }
}

/// Returns what a released command waits for at its printer.
fn waits_at(live: &Live) -> WaitsFor {
    if live.reachability != Reachability::Online {
        WaitsFor::Reply
    } else if live.in_flight.is_some() && live.state.is_transient() {
        WaitsFor::PassingState
    } else {
        WaitsFor::Turn
    }
}
