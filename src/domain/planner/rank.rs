//! The rule: which of the orders that a printer may take it takes.
//!
//! The highest `weight / t · (p / t)² · exp(−slack / (4 · p̄))` wins. p is the print time of the copy, and t the time
//! until its plate is free again. So a copy that ends at night counts until the morning, and long copies go into the night.

use std::cmp::Ordering;

use chrono::{DateTime, TimeDelta, Utc};

use super::{input::PlanOrder, presence::Presence};
use crate::domain::part::MAX_PRINT_TIME_S;

/// Due date of an order without one, after its creation.
const ASSUMED_DUE: TimeDelta = TimeDelta::days(14);
/// Mean print time of orders without any known print time: 3 h.
const ASSUMED_PRINT_TIME_S: u64 = 3 * 3_600;
/// Time that staff needs to clear a plate, in seconds.
const CLEARING_S: i64 = 10 * 60;
/// Mean print times after which urgency is 1/e.
const LOOKAHEAD: f64 = 4.0;

/// The numbers of the rule for one copy, as a person can check them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// 3^((priority − 50) / 25).
    pub weight: f64,
    /// p.
    pub print_time_s: u64,
    /// `false`: the file does not say how long it prints, so p is the mean.
    pub is_print_time_known: bool,
    /// t: seconds until the plate is free again.
    pub plate_time_s: u64,
    /// Seconds that are left if the copy begins now. Never negative.
    pub slack_s: u64,
    /// p̄.
    pub mean_print_time_s: u64,
    /// Natural logarithm of the rule's value, with t in hours. Higher first. Logarithms of far due dates stay different
    /// where the values would all be 0.
    pub value: f64,
}

/// What the rule needs besides the order.
#[derive(Clone, Copy)]
pub(super) struct RankContext<'a> {
    /// When the copy would begin.
    pub(super) at: DateTime<Utc>,
    pub(super) mean_print_time_s: u64,
    pub(super) presence: &'a Presence<'a>,
}

impl RankContext<'_> {
    /// Returns when the plate of a print is cleared that ends at `end`. In Unix seconds.
    pub(super) fn plate_free_at(&self, end: i64) -> i64 {
        self.presence.next(end) + CLEARING_S
    }

    /// Computes the rule for a copy. `print_time_s` is the file's estimate.
    pub(super) fn score(&self, order: &PlanOrder, print_time_s: Option<u64>) -> Score {
        let print_s = print_time_s.unwrap_or(self.mean_print_time_s).clamp(1, u64::from(u32::MAX));
        let begin = self.at.timestamp();
        let end = begin + print_s.cast_signed();
        let plate_s = self.plate_free_at(end) - begin;
        let slack_s = (assumed_due(order).timestamp() - end).max(0);
        let (p, t, mean) = (print_s as f64, plate_s as f64, self.mean_print_time_s as f64);
        let ln_weight = (f64::from(order.priority) - 50.0) / 25.0 * 3_f64.ln();
        let value = ln_weight - (t / 3_600.0).ln() + 2.0 * (p / t).ln() - slack_s as f64 / (LOOKAHEAD * mean);
        Score {
            weight: ln_weight.exp(),
            print_time_s: print_s,
            is_print_time_known: print_time_s.is_some(),
            plate_time_s: plate_s.unsigned_abs(),
            slack_s: slack_s.unsigned_abs(),
            mean_print_time_s: self.mean_print_time_s,
            value,
        }
    }
}

/// Returns when the parts are due, or 14 days after the creation.
pub(super) fn assumed_due(order: &PlanOrder) -> DateTime<Utc> {
    order.due_at.or_else(|| order.created_at.checked_add_signed(ASSUMED_DUE)).unwrap_or(order.created_at)
}

/// Returns the mean of the known print times, in seconds. Never 0. A file that claims more than a client may state counts as
/// that, so that it does not change the rule for every order.
pub(super) fn mean_print_time(print_times_s: impl Iterator<Item = u64>) -> u64 {
    // Whole numbers: a sum of floats would depend on the order of the orders.
    let capped = print_times_s.map(|time| time.min(MAX_PRINT_TIME_S));
    let (sum, count) = capped.fold((0_u64, 0_u64), |(sum, count), time| (sum.saturating_add(time), count + 1));
    sum.checked_div(count).unwrap_or(ASSUMED_PRINT_TIME_S).max(1)
}

/// Compares two orders by the rule, the better first. Equal values: the earlier due date, the older order, the lower id.
pub(super) fn compare(a: (f64, &PlanOrder), b: (f64, &PlanOrder)) -> Ordering {
    let ((a_value, a), (b_value, b)) = (a, b);
    let by_value = b_value.total_cmp(&a_value);
    by_value.then_with(|| (assumed_due(a), a.created_at, a.id).cmp(&(assumed_due(b), b.created_at, b.id)))
}
