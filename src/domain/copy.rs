//! Copies: one plate of an order on one printer.

mod observation;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{command::string_enum, event::EventType, order::Order, part::Judgement};
pub use observation::CopyObservation;

string_enum! {
    /// Where a copy is.
    CopyState {
        /// The planner chose the printer. Nothing was sent.
        Assigned = "assigned",
        /// The printer gets the file.
        Uploading = "uploading",
        /// The start was sent, and its effect was not observed.
        Starting = "starting",
        Printing = "printing",
        /// Printed to the end. A person or the order's rule judges the parts.
        Finished = "finished",
        Failed = "failed",
        Cancelled = "cancelled",
        /// What happened to the print is not known, or a person gave it up.
        Lost = "lost",
        /// It was never started. Its printer is free for another copy.
        Released = "released",
    }
}

string_enum! {
    /// Whether the parts of a copy were judged.
    Quality { Unjudged = "unjudged", Judged = "judged", }
}

impl CopyState {
    /// Returns whether the copy occupies its printer. A printer has at most one active copy.
    pub fn is_active(self) -> bool {
        match self {
            Self::Assigned | Self::Uploading | Self::Starting | Self::Printing => true,
            Self::Finished | Self::Failed | Self::Cancelled | Self::Lost | Self::Released => false,
        }
    }

    /// Returns whether the copy ended without parts after it was started, so that another copy replaces it.
    pub fn needs_replacement(self) -> bool {
        match self {
            Self::Failed | Self::Cancelled | Self::Lost => true,
            Self::Assigned | Self::Uploading | Self::Starting | Self::Printing | Self::Finished | Self::Released => {
                false
            }
        }
    }

    /// Returns the event that a copy in this state is published with.
    pub fn event(self) -> Option<EventType> {
        match self {
            Self::Assigned | Self::Uploading | Self::Starting => None,
            Self::Printing => Some(EventType::CopyStarted),
            Self::Finished => Some(EventType::CopyFinished),
            Self::Failed => Some(EventType::CopyFailed),
            Self::Cancelled => Some(EventType::CopyCancelled),
            Self::Lost => Some(EventType::CopyLost),
            Self::Released => Some(EventType::CopyReleased),
        }
    }

    /// Returns whether a copy can go from this state to another one. A finished copy can still be given up as lost.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Assigned | Self::Uploading | Self::Starting => next != self && next.rank() > self.rank(),
            Self::Printing => !next.is_active() && next != Self::Released,
            Self::Finished => next == Self::Lost,
            Self::Failed | Self::Cancelled | Self::Lost | Self::Released => false,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Assigned => 0,
            Self::Uploading => 1,
            Self::Starting => 2,
            Self::Printing => 3,
            Self::Finished | Self::Failed | Self::Cancelled | Self::Lost | Self::Released => 4,
        }
    }
}

/// What a print used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CopyResult {
    /// Filament of all tools. Of a finished print what its file says; of one that failed or was cancelled, what the moves up
    /// to the last known position extrude. Null: unknown.
    pub filament_mm: Option<f64>,
    /// Of a print that failed or was cancelled, the same share of the file's weight. Null: unknown.
    pub filament_g: Option<f64>,
    /// From the start of the print to its end, with pauses.
    pub print_time_s: Option<f64>,
}

/// A copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    pub id: Uuid,
    pub order_id: Uuid,
    /// Number of the order's part.
    pub part: Option<String>,
    /// The copy that this one replaces.
    pub replaces: Option<Uuid>,
    /// 1 for the first copy, and one more for each replacement.
    pub attempt: u32,
    pub state: CopyState,
    pub printer_id: Uuid,
    pub file_id: Uuid,
    /// The content that is printed.
    pub sha256: String,
    /// The start command.
    pub command_id: Uuid,
    /// The batch of the start command.
    pub batch_id: Uuid,
    pub print_id: Option<Uuid>,
    /// Number of parts on the plate.
    pub parts: u32,
    pub assigned_at: DateTime<Utc>,
    /// When the print began.
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub result: Option<CopyResult>,
    pub quality: Quality,
    pub good: u32,
    pub scrap: u32,
    /// Why the copy was judged so, failed or was lost.
    pub reason: Option<String>,
    /// Why the planner chose this printer, with the rule's numbers.
    pub why: Map<String, Value>,
}

/// The judged parts of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CopyVerdict {
    pub quality: Quality,
    pub good: u32,
    pub scrap: u32,
}

impl Copy {
    /// Returns the copy in another state. `None`: it cannot go there. A finished copy is judged as its order says.
    pub fn advance(&self, order: &Order, next: CopyState, at: DateTime<Utc>) -> Option<Self> {
        if !self.state.may_become(next) {
            return None;
        }
        let mut copy = Self { state: next, ..self.clone() };
        match next {
            CopyState::Assigned | CopyState::Uploading | CopyState::Starting => {}
            CopyState::Printing => copy.started_at = Some(at),
            CopyState::Finished => {
                copy.finished_at = Some(at);
                if order.details.judgement == Judgement::Auto {
                    (copy.quality, copy.good) = (Quality::Judged, copy.parts);
                }
            }
            CopyState::Failed | CopyState::Cancelled | CopyState::Lost | CopyState::Released => {
                copy.finished_at = Some(at);
                (copy.quality, copy.good, copy.scrap) = (Quality::Unjudged, 0, 0);
            }
        }
        Some(copy)
    }

    /// Returns the judged parts.
    pub fn verdict(&self) -> CopyVerdict {
        CopyVerdict { quality: self.quality, good: self.good, scrap: self.scrap }
    }
}

/// Filter for a page of copies. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CopyFilter {
    pub order_id: Option<Uuid>,
    pub printer_id: Option<Uuid>,
    pub state: Option<CopyState>,
    pub quality: Option<Quality>,
    /// Assigned at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// The tag limit of the caller. Only copies of visible orders.
    pub visible_tags: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_never_goes_back_and_ends_once() {
        for state in CopyState::ALL {
            for next in CopyState::ALL {
                let may = state.may_become(*next);
                assert!(!may || next.rank() > state.rank() || *state == CopyState::Finished, "{state} to {next}");
                assert!(!may || state != next);
                let is_ended = !state.is_active() && *state != CopyState::Finished;
                assert!(!(may && is_ended), "{state} to {next}");
            }
        }
        assert!(!CopyState::Printing.may_become(CopyState::Released), "a started copy is not released");
        assert!(CopyState::Finished.may_become(CopyState::Lost));
    }
}
