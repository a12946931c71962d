//! Reasons why a queued command waits. Its row shows the reason to users.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::{
    domain::{
        command::{CommandRow, Outcome},
        message::Message,
        state::Reachability,
    },
    fleet::view::LivePrinter,
    service::Services,
};

/// Why a queued command waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    DueTime,
    InFlightLimit,
    Interval,
    HeatingLimit,
    Reply,
    TransientState,
    Transfer,
    Turn,
}

impl WaitReason {
    /// Returns the text for users.
    pub fn message(self) -> Message {
        Message::new(match self {
            Self::DueTime => "wait-due-time",
            Self::InFlightLimit => "wait-in-flight-limit",
            Self::Interval => "wait-interval",
            Self::HeatingLimit => "wait-heating-limit",
            Self::Reply => "wait-reply",
            Self::TransientState => "wait-transient-state",
            Self::Transfer => "wait-transfer",
            Self::Turn => "wait-turn",
        })
    }
}

/// What the unreleased rows of one batch wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchWaits {
    /// Printers whose power group has reached its heating limit.
    pub heating: HashSet<Uuid>,
    /// Printers that do not have their file yet.
    pub transfers: HashSet<Uuid>,
    pub others: Option<WaitReason>,
}

/// The waits of all batches, as the dispatcher published them last.
pub(super) type WaitsByBatch = HashMap<Uuid, BatchWaits>;

impl Services {
    /// Sets the progress of transfers, and the detail of queued rows to the reason why they wait.
    pub(in crate::service) fn explain_waits(&self, rows: &mut [CommandRow]) {
        for row in rows.iter_mut() {
            row.transfer = self.transfer_of(row);
        }
        for row in rows.iter_mut().filter(|row| row.outcome == Outcome::Queued) {
            let reason = match row.released_at {
                None => self.dispatcher.wait_reason(row),
                Some(_) => self.fleet.view().get(row.printer_id).map_or(WaitReason::Turn, |live| wait_reason_at(&live)),
            };
            row.detail = Some(reason.message());
        }
    }
}

/// Returns what a released command waits for at its printer.
fn wait_reason_at(live: &LivePrinter) -> WaitReason {
    if live.reachability != Reachability::Online {
        WaitReason::Reply
    } else if live.in_flight.is_some() && live.state.is_transient() {
        WaitReason::TransientState
    } else {
        WaitReason::Turn
    }
}
