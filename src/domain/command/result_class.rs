//! Classifies results of commands for people: what was done, what was left as it is, and what failed.

use std::collections::BTreeMap;

use super::{Command, CommandRow, Outcome, Reason};
use crate::domain::effect::Decision;

/// What the result of a command means to the user who sent it.
///
/// [`Outcome`] is the vocabulary of programs. It does not separate a printer that Printyard left as it is from a printer
/// that refused: both are `rejected`. Only the second one is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResultClass {
    /// The command has not ended.
    Working,
    /// The effect was observed.
    Done,
    /// There was nothing to do, or a rule of Printyard did not allow it. No printer failed.
    LeftAlone,
    /// The batch was stopped before the command was sent.
    NotSent,
    Failed,
    /// The command was sent, and its effect was not observed.
    Unknown,
}

impl ResultClass {
    /// Returns the class of a command's outcome with its reason.
    pub fn from_outcome(command: Command, outcome: Outcome, reason: Option<Reason>) -> Self {
        let class_of_reason = || reason.map_or(Self::Failed, Reason::class_of_refusal);
        match outcome {
            Outcome::Queued | Outcome::Sent | Outcome::Accepted => Self::Working,
            Outcome::Confirmed => Self::Done,
            Outcome::Unchanged => Self::LeftAlone,
            // A printer that an emergency stop did not reach may still heat and move.
            Outcome::Rejected if command == Command::EmergencyStop => Self::Failed,
            Outcome::Rejected => class_of_reason(),
            // Without a reason, the batch was stopped.
            Outcome::Skipped => reason.map_or(Self::NotSent, Reason::class_of_refusal),
            Outcome::Unreachable | Outcome::Unauthorized | Outcome::Expired => Self::Failed,
            Outcome::Unconfirmed | Outcome::Unknown => Self::Unknown,
        }
    }

    /// Returns the class that a decision leads to, if the printer carries out the command.
    pub fn expected_from(decision: Decision) -> Self {
        match decision {
            Decision::Send(_) | Decision::Wait => Self::Done,
            Decision::Unchanged => Self::LeftAlone,
            Decision::Reject(reason) => reason.class_of_refusal(),
        }
    }

    /// Returns whether the user may want to send the command again.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Failed | Self::Unknown | Self::NotSent => true,
            Self::Working | Self::Done | Self::LeftAlone => false,
        }
    }
}

impl Reason {
    /// Returns the class of a command that ended without an effect for this reason. Every reason has its own decision
    /// here: a new reason does not compile without one.
    fn class_of_refusal(self) -> ResultClass {
        match self {
            // Guards and the decision table, before anything was sent.
            Self::NoFileSelected
            | Self::NotOperational
            | Self::AlreadyPrinting
            | Self::NotActive
            | Self::JobActive
            | Self::JobChanged
            | Self::StateChanged
            | Self::PlateNotClear
            | Self::CommandInFlight
            | Self::PausedAtPrinter
            | Self::PrinterDisabled
            | Self::PrinterRemoved
            | Self::NotFound
            | Self::Forbidden
            | Self::UnknownState
            | Self::FileDoesNotFit
            | Self::OutOfService
            // A later cancel or emergency stop replaced the command.
            | Self::OvertakenByCancel
            | Self::OvertakenByEmergencyStop => ResultClass::LeftAlone,
            Self::BatchStopped => ResultClass::NotSent,
            Self::FileNotFound
            | Self::PrinterRefused
            | Self::PrinterProtocol
            | Self::PrinterUnreachable
            | Self::PrinterUnauthorized
            | Self::WaitedTooLong
            | Self::WindowOver
            | Self::NotRecorded
            | Self::UploadFailed
            // Reasons of unknown effects. Their outcome decides.
            | Self::NoEffect
            | Self::StillStarting
            | Self::StillPausing
            | Self::StillResuming
            | Self::StillCancelling
            | Self::CancelledNotStarted
            | Self::NoAnswer => ResultClass::Failed,
        }
    }
}

impl CommandRow {
    /// Returns what the result means to the user.
    pub fn result_class(&self) -> ResultClass {
        ResultClass::from_outcome(self.command, self.outcome, self.reason)
    }

    /// Returns whether Printyard left the printer as it is: nothing was to do, or a rule did not allow it.
    pub fn was_left_alone(&self) -> bool {
        self.result_class() == ResultClass::LeftAlone
    }
}

/// The number of commands of a batch by result class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultCounts(BTreeMap<ResultClass, i64>);

impl ResultCounts {
    /// Adds commands with this outcome and reason.
    pub fn add(&mut self, command: Command, outcome: Outcome, reason: Option<Reason>, n: i64) {
        *self.0.entry(ResultClass::from_outcome(command, outcome, reason)).or_default() += n;
    }

    /// Counts rows of the command log.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = &'a CommandRow>) -> Self {
        let mut counts = Self::default();
        for row in rows {
            counts.add(row.command, row.outcome, row.reason, 1);
        }
        counts
    }

    /// Returns the number of commands of this class.
    pub fn get(&self, class: ResultClass) -> i64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    /// Returns the number of all commands.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// Returns the number of printers that the batch acts on: all but those that were left as they are.
    pub fn acted_on(&self) -> i64 {
        self.total() - self.get(ResultClass::LeftAlone)
    }

    /// Returns whether every command has ended.
    pub fn is_final(&self) -> bool {
        self.get(ResultClass::Working) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::{Effect, Step};

    #[test]
    fn every_reason_is_left_alone_not_sent_or_a_failure() {
        let left_alone = [
            "no_file_selected",
            "not_operational",
            "already_printing",
            "not_active",
            "job_active",
            "job_changed",
            "state_changed",
            "plate_not_clear",
            "command_in_flight",
            "paused_at_printer",
            "printer_disabled",
            "printer_removed",
            "not_found",
            "forbidden",
            "out_of_service",
            "overtaken_by_cancel",
            "overtaken_by_emergency_stop",
            "unknown_state",
            "file_does_not_fit",
        ];
        for reason in Reason::ALL {
            let expected = match reason.as_str() {
                code if left_alone.contains(&code) => ResultClass::LeftAlone,
                "batch_stopped" => ResultClass::NotSent,
                _ => ResultClass::Failed,
            };
            for outcome in [Outcome::Rejected, Outcome::Skipped] {
                assert_eq!(
                    ResultClass::from_outcome(Command::Start, outcome, Some(*reason)),
                    expected,
                    "{outcome} {reason}"
                );
            }
            assert_eq!(ResultClass::expected_from(Decision::Reject(*reason)), expected, "{reason}");
        }
    }

    #[test]
    fn an_emergency_stop_that_did_not_reach_its_printer_is_a_failure() {
        let class = |outcome| ResultClass::from_outcome(Command::EmergencyStop, outcome, Some(Reason::NotOperational));
        assert_eq!(class(Outcome::Rejected), ResultClass::Failed);
        assert_eq!(class(Outcome::Confirmed), ResultClass::Done);
    }

    #[test]
    fn only_a_refusal_asks_its_reason() {
        let reasons = || Reason::ALL.iter().copied().map(Some).chain([None]);
        for outcome in Outcome::ALL {
            let classes: Vec<_> =
                reasons().map(|reason| ResultClass::from_outcome(Command::Start, *outcome, reason)).collect();
            let is_uniform = classes.iter().all(|class| *class == classes[0]);
            assert_eq!(is_uniform, !matches!(outcome, Outcome::Rejected | Outcome::Skipped), "{outcome}");
            for class in classes {
                let expected = match outcome.effect() {
                    None => class == ResultClass::Working,
                    Some(Effect::Done) => matches!(class, ResultClass::Done | ResultClass::LeftAlone),
                    Some(Effect::Maybe) => class == ResultClass::Unknown,
                    Some(Effect::None) => {
                        matches!(class, ResultClass::LeftAlone | ResultClass::NotSent | ResultClass::Failed)
                    }
                };
                assert!(expected, "{outcome}: {class:?}");
            }
        }
        assert_eq!(ResultClass::from_outcome(Command::Start, Outcome::Rejected, None), ResultClass::Failed);
        assert_eq!(ResultClass::from_outcome(Command::Start, Outcome::Skipped, None), ResultClass::NotSent);
    }

    #[test]
    fn a_printer_that_was_left_alone_is_not_acted_on() {
        let mut counts = ResultCounts::default();
        counts.add(Command::Start, Outcome::Confirmed, None, 14);
        counts.add(Command::Start, Outcome::Rejected, Some(Reason::NotActive), 3);
        counts.add(Command::Start, Outcome::Unchanged, None, 2);
        counts.add(Command::Start, Outcome::Rejected, Some(Reason::PrinterRefused), 1);
        assert_eq!((counts.total(), counts.acted_on(), counts.get(ResultClass::Done)), (20, 15, 14));
        assert!(counts.is_final());
        counts.add(Command::Start, Outcome::Sent, None, 1);
        assert!(!counts.is_final());
        assert_eq!(ResultClass::expected_from(Decision::Send(Step::Pause)), ResultClass::Done);
    }
}
