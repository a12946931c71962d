//! Counts the commands of a batch by outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BatchResult;
use crate::domain::command::{Effect, Outcome, ResultCounts};

/// The number of commands of a batch by outcome. Outcomes without a command are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct OutcomeCounts(BTreeMap<Outcome, i64>);

impl OutcomeCounts {
    /// Counts rows by outcome.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (Outcome, i64)>) -> Self {
        let mut counts = Self::default();
        for (outcome, n) in pairs {
            *counts.0.entry(outcome).or_default() += n;
        }
        counts
    }

    /// Returns the number of commands with this outcome.
    pub fn get(&self, outcome: Outcome) -> i64 {
        self.0.get(&outcome).copied().unwrap_or(0)
    }

    /// Returns the number of all commands.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// Returns the number of commands that have ended.
    pub fn final_total(&self) -> i64 {
        self.0.iter().filter(|(outcome, _)| outcome.is_final()).map(|(_, n)| n).sum()
    }

    /// Returns the result of the batch; `None` until its last command has ended.
    pub fn result(&self) -> Option<BatchResult> {
        if self.final_total() < self.total() {
            return None;
        }
        let count_with_effect = |effect: Effect| -> i64 {
            self.0.iter().filter(|(outcome, _)| outcome.effect() == Some(effect)).map(|(_, n)| n).sum()
        };
        Some(if count_with_effect(Effect::Maybe) > 0 {
            BatchResult::Uncertain
        } else if count_with_effect(Effect::Done) == self.total() {
            BatchResult::Ok
        } else if count_with_effect(Effect::Done) == 0 {
            BatchResult::Failed
        } else {
            BatchResult::Partial
        })
    }
}

/// The results of a batch in one line of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResultSummary {
    pub counts: ResultCounts,
    /// The first printer by name. It is the only one of a batch with one command.
    pub printer_name: String,
}

/// The number of commands of a batch by outcome, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BatchCounts {
    pub total: i64,
    pub queued: i64,
    pub sent: i64,
    pub accepted: i64,
    pub confirmed: i64,
    pub unchanged: i64,
    pub rejected: i64,
    pub unreachable: i64,
    pub unauthorized: i64,
    pub unconfirmed: i64,
    pub unknown: i64,
    pub expired: i64,
    pub skipped: i64,
}

impl From<&OutcomeCounts> for BatchCounts {
    fn from(counts: &OutcomeCounts) -> Self {
        Self {
            total: counts.total(),
            queued: counts.get(Outcome::Queued),
            sent: counts.get(Outcome::Sent),
            accepted: counts.get(Outcome::Accepted),
            confirmed: counts.get(Outcome::Confirmed),
            unchanged: counts.get(Outcome::Unchanged),
            rejected: counts.get(Outcome::Rejected),
            unreachable: counts.get(Outcome::Unreachable),
            unauthorized: counts.get(Outcome::Unauthorized),
            unconfirmed: counts.get(Outcome::Unconfirmed),
            unknown: counts.get(Outcome::Unknown),
            expired: counts.get(Outcome::Expired),
            skipped: counts.get(Outcome::Skipped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(pairs: &[(Outcome, i64)]) -> Option<BatchResult> {
        OutcomeCounts::from_pairs(pairs.iter().copied()).result()
    }

    #[test]
    fn one_unknown_effect_makes_a_batch_uncertain() {
        assert_eq!(result(&[(Outcome::Confirmed, 9), (Outcome::Unknown, 1)]), Some(BatchResult::Uncertain));
    }

    #[test]
    fn a_batch_has_no_result_before_its_last_command_ends() {
        assert_eq!(result(&[(Outcome::Confirmed, 9), (Outcome::Accepted, 1)]), None);
    }

    #[test]
    fn unchanged_counts_as_done() {
        assert_eq!(result(&[(Outcome::Confirmed, 1), (Outcome::Unchanged, 1)]), Some(BatchResult::Ok));
        assert_eq!(result(&[(Outcome::Confirmed, 1), (Outcome::Rejected, 1)]), Some(BatchResult::Partial));
        assert_eq!(result(&[(Outcome::Rejected, 1)]), Some(BatchResult::Failed));
    }

    #[test]
    fn stored_counts_are_completed_with_every_outcome_and_the_total() {
        let stored: OutcomeCounts = serde_json::from_str(r#"{"confirmed": 3, "unknown": 1}"#).expect("counts");
        let complete = serde_json::to_value(BatchCounts::from(&stored)).expect("JSON");
        assert_eq!(
            (&complete["total"], &complete["confirmed"], &complete["skipped"]),
            (&4.into(), &3.into(), &0.into())
        );
        assert_eq!(complete.as_object().map(serde_json::Map::len), Some(Outcome::ALL.len() + 1));
    }
}
