//! The result of planning.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    rank::Score,
    reason::{IdleReason, WaitingReason},
};
use crate::domain::command::string_enum;

string_enum! {
    /// How an order was chosen.
    PlanRule {
        /// The order had the highest score of those that the printer could take.
        HighestScore = "highest_score",
        /// The printer could take no other order.
        OnlyOrder = "only_order",
    }
}

/// What is to be done now, and the reasons for everything that is not done.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The printer that was idle longest comes first.
    pub assignments: Vec<Assignment>,
    /// Every order that has queued parts after the assignments, by id.
    pub waiting: Vec<WaitingOrder>,
    /// Every printer without an assignment, by id.
    pub idle: Vec<IdlePrinter>,
}

/// A copy that a printer is to make now.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    pub order: Uuid,
    pub printer: Uuid,
    /// Position in the files of the order.
    pub file: usize,
    pub parts: u32,
    /// The failed copy that this one replaces.
    pub replaces: Option<Uuid>,
    pub why: Why,
}

/// Why a copy was assigned. It is stored with the copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Why {
    pub rule: PlanRule,
    /// The due date that was used.
    pub due_at: DateTime<Utc>,
    /// The order has no due date: 14 days after its creation were used.
    pub is_due_assumed: bool,
    /// Natural logarithm of `weight / t · (p / t)² · exp(−slack / (4 · mean))`, with t in hours. The highest wins.
    pub score: f64,
    /// `3^((priority − 50) / 25)`.
    pub weight: f64,
    /// p: the file's print time, in seconds.
    pub print_time_s: u64,
    /// `false`: the file does not say its print time, and the mean was used.
    pub is_print_time_known: bool,
    /// t: seconds until the plate is free again, which includes the wait for staff.
    pub plate_time_s: u64,
    /// Seconds that are left until the due date if the copy begins now.
    pub slack_s: u64,
    /// Mean print time of the open orders, in seconds.
    pub mean_print_time_s: u64,
    /// The next best orders for this printer, at most 3.
    pub beaten: Vec<BeatenOrder>,
}

/// An order that the printer could have taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BeatenOrder {
    pub order_id: Uuid,
    pub score: f64,
}

/// An order that waits, with at least one reason.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingOrder {
    pub order: Uuid,
    /// Most orders of a class share one list.
    pub reasons: std::sync::Arc<[WaitingReason]>,
}

/// A printer that gets no copy now, with at least one reason.
#[derive(Debug, Clone, PartialEq)]
pub struct IdlePrinter {
    pub printer: Uuid,
    pub reasons: Vec<IdleReason>,
}

impl Plan {
    /// Returns why an order waits. Empty if it does not.
    pub fn waiting_reasons(&self, order: Uuid) -> &[WaitingReason] {
        let found = self.waiting.binary_search_by_key(&order, |waiting| waiting.order);
        found.map_or(&[], |index| &self.waiting[index].reasons)
    }

    /// Returns why a printer gets no copy. Empty if it gets one.
    pub fn idle_reasons(&self, printer: Uuid) -> &[IdleReason] {
        let found = self.idle.binary_search_by_key(&printer, |idle| idle.printer);
        found.map_or(&[], |index| &self.idle[index].reasons)
    }
}

impl Why {
    pub(super) fn new(score: Score, due_at: DateTime<Utc>, is_due_assumed: bool, beaten: Vec<BeatenOrder>) -> Self {
        Self {
            rule: if beaten.is_empty() { PlanRule::OnlyOrder } else { PlanRule::HighestScore },
            due_at,
            is_due_assumed,
            score: score.value,
            weight: score.weight,
            print_time_s: score.print_time_s,
            is_print_time_known: score.is_print_time_known,
            plate_time_s: score.plate_time_s,
            slack_s: score.slack_s,
            mean_print_time_s: score.mean_print_time_s,
            beaten,
        }
    }
}
