//! Orders: a quantity of a part, or of the parts that files make.

mod check;
mod priority;
mod quantities;
mod request;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{command::string_enum, part::Judgement, requirements::Requirements};
pub use check::{check_adjustment, check_reason};
pub use priority::{MAX_PRIORITY, priority_between};
pub use quantities::{OrderSums, Quantities};
pub use request::{DEFAULT_PRIORITY, OrderPatch, OrderRequest};

/// Attempts of a copy before its order is put on hold, unless the client sets another number.
const DEFAULT_ATTEMPTS: u32 = 3;

string_enum! {
    /// Where an order is.
    OrderState {
        Queued = "queued",
        /// A copy is assigned, uploading, starting or printing.
        Running = "running",
        OnHold = "on_hold",
        /// Enough good parts, and nothing is printing or unjudged.
        Completed = "completed",
        ShortClosed = "short_closed",
        Cancelled = "cancelled",
    }
}

string_enum! {
    /// How an order ended.
    OrderEnd { Completed = "completed", ShortClosed = "short_closed", Cancelled = "cancelled", }
}

string_enum! {
    /// Why an order is on hold.
    HoldReason {
        /// A person or an API client.
        OnHold = "on_hold",
        /// A copy failed as often as the order permits.
        AttemptsUsedUp = "attempts_used_up",
    }
}

string_enum! {
    /// What happens to the running copies of an order that is cancelled or short-closed.
    RunningCopies {
        /// They are printed to their end, and their parts count.
        Finish = "finish",
        /// They are cancelled.
        Cancel = "cancel",
    }
}

/// What follows a failed copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailurePolicy {
    /// After so many failed attempts of a copy, the order is put on hold.
    #[schema(minimum = 1, maximum = 100)]
    pub max_attempts: u32,
    /// A failed copy is made again on another printer, if there is one.
    pub prefer_other_printer: bool,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self { max_attempts: DEFAULT_ATTEMPTS, prefer_other_printer: true }
    }
}

/// A file of an order, with the content that it had when the order was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFile {
    pub file_id: Uuid,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// Name of the file in the library.
    pub name: String,
    /// Bytes of the file on a printer.
    pub print_size: u64,
    pub models: Vec<String>,
    pub parts_per_plate: u32,
    pub estimated_print_time_s: Option<u64>,
}

/// The fields of an order that a client can change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrderDetails {
    pub title: String,
    /// Ordered parts.
    pub quantity: u32,
    pub requirements: Requirements,
    /// 0 to 100, higher first.
    pub priority: u32,
    pub not_before: Option<DateTime<Utc>>,
    pub due_at: Option<DateTime<Utc>>,
    /// Printers that may work on the order at the same time.
    pub max_printers: Option<u32>,
    /// Parts that may be made beyond the quantity, because a plate is not divisible.
    pub max_surplus: Option<u32>,
    pub on_failure: FailurePolicy,
    pub judgement: Judgement,
    /// Values of the client. Printyard only keeps them.
    pub metadata: Map<String, Value>,
}

/// The key of an order in another system. No two orders have the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BusinessKey {
    pub source: String,
    pub external_ref: String,
    pub line: String,
}

/// A stored order.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub id: Uuid,
    pub source: String,
    /// The client's reference. `None`: the order has no business key.
    pub external_ref: Option<String>,
    pub line: String,
    /// Number of the part. `None`: the order names files.
    pub part: Option<String>,
    /// Revision of the part whose files the order has.
    pub part_revision: Option<String>,
    pub files: Vec<OrderFile>,
    pub details: OrderDetails,
    pub hold: Option<HoldReason>,
    /// `None`: the order is open.
    pub ended_as: Option<OrderEnd>,
    /// What happens to copies that were running when the order was cancelled or short-closed.
    pub running: Option<RunningCopies>,
    /// The tag limit of the client that made the order. Only printers with one of these tags make it. Empty: no limit.
    pub tag_limit: Vec<String>,
    /// Incremented when a client changes the details.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    /// When details, state or quantities changed last.
    pub updated_at: DateTime<Utc>,
    /// When the first copy was printing.
    pub started_at: Option<DateTime<Utc>>,
    /// When the order ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Copies that ended before this time do not count as attempts.
    pub attempts_since: Option<DateTime<Utc>>,
    /// Name of the user or token that made the order.
    pub created_by: String,
}

impl Order {
    /// Returns the state. It follows from what is stored and from the copies.
    pub fn state(&self, sums: &OrderSums) -> OrderState {
        match (self.ended_as, self.hold) {
            (Some(OrderEnd::Completed), _) => OrderState::Completed,
            (Some(OrderEnd::ShortClosed), _) => OrderState::ShortClosed,
            (Some(OrderEnd::Cancelled), _) => OrderState::Cancelled,
            (None, Some(_)) => OrderState::OnHold,
            (None, None) if sums.active > 0 => OrderState::Running,
            (None, None) => OrderState::Queued,
        }
    }

    /// Returns the quantities.
    pub fn quantities(&self, sums: &OrderSums) -> Quantities {
        Quantities::derive(self.details.quantity, sums, self.ended_as.is_some())
    }

    /// Applies a change of the sums or of the quantity: completes or reopens the order, and notes its first print.
    /// Returns what happened, in order. A cancelled or short-closed order stays so.
    pub fn follow_sums(&mut self, sums: &OrderSums, at: DateTime<Utc>) -> Vec<OrderTurn> {
        let mut turns = Vec::new();
        if sums.begun > 0 && self.started_at.is_none() {
            self.started_at = Some(at);
            turns.push(OrderTurn::Started);
        }
        let is_complete = sums.is_complete(self.details.quantity);
        match self.ended_as {
            None if is_complete => {
                (self.ended_as, self.completed_at) = (Some(OrderEnd::Completed), Some(at));
                turns.push(OrderTurn::Completed);
            }
            Some(OrderEnd::Completed) if !is_complete => {
                (self.ended_as, self.completed_at) = (None, None);
                turns.push(OrderTurn::Reopened);
            }
            None | Some(OrderEnd::Completed | OrderEnd::ShortClosed | OrderEnd::Cancelled) => {}
        }
        turns
    }

    /// Returns whether a failed copy with this attempt puts the order on hold.
    pub fn uses_up_attempts(&self, attempt: u32) -> bool {
        self.ended_as.is_none() && attempt >= self.details.on_failure.max_attempts
    }

    /// Returns whether a copy that still runs is to be cancelled.
    pub fn cancels_running(&self) -> bool {
        self.running == Some(RunningCopies::Cancel)
    }

    /// Returns how people call the order: by its title, or else by its reference, its part or its id.
    pub fn label(&self) -> String {
        let title = Some(self.details.title.clone()).filter(|title| !title.is_empty());
        let label = title.or_else(|| self.external_ref.clone()).or_else(|| self.part.clone());
        label.unwrap_or_else(|| self.id.to_string())
    }

    /// Returns the attempt of a copy that replaces one that ended at `ended_at`.
    pub fn next_attempt(&self, attempt: u32, ended_at: Option<DateTime<Utc>>) -> u32 {
        let is_granted_anew = self.attempts_since.zip(ended_at).is_some_and(|(since, ended)| ended <= since);
        if is_granted_anew { 1 } else { attempt.saturating_add(1) }
    }

    /// Returns whether a principal with this tag limit may see the order: all printers that may make it are visible.
    pub fn is_visible_to(&self, tags: &[String]) -> bool {
        tags.is_empty() || (!self.tag_limit.is_empty() && self.tag_limit.iter().all(|tag| tags.contains(tag)))
    }
}

/// What a change of the sums means for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderTurn {
    Started,
    Completed,
    Reopened,
}

/// An order with the sums of its copies.
#[derive(Debug, Clone, PartialEq)]
pub struct CountedOrder {
    pub order: Order,
    pub sums: OrderSums,
}

impl CountedOrder {
    /// Returns the state.
    pub fn state(&self) -> OrderState {
        self.order.state(&self.sums)
    }

    /// Returns the quantities.
    pub fn quantities(&self) -> Quantities {
        self.order.quantities(&self.sums)
    }
}

/// A copy that ended without parts and was not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedCopy {
    pub id: Uuid,
    pub printer_id: Uuid,
    pub attempt: u32,
    pub ended_at: Option<DateTime<Utc>>,
}

/// An open order, with what a planner needs.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOrder {
    pub counted: CountedOrder,
    /// Copies that another copy is to replace, oldest first.
    pub failed: Vec<FailedCopy>,
    /// Printers with an active copy of the order.
    pub printers: Vec<Uuid>,
}

/// Parts that were counted by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    pub good: i32,
    pub scrap: i32,
    pub reason: String,
}

/// Filter for a page of orders. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OrderFilter {
    pub source: Option<String>,
    pub external_ref: Option<String>,
    pub line: Option<String>,
    pub state: Option<OrderState>,
    pub updated_since: Option<DateTime<Utc>>,
    /// Due before this time.
    pub due_before: Option<DateTime<Utc>>,
    /// Only these orders.
    pub ids: Option<Vec<Uuid>>,
    /// The tag limit of the caller.
    pub visible_tags: Option<Vec<String>>,
}
