//! Decides where a copy is, by its start command and by the print that the command started.

use uuid::Uuid;

use super::{CopyResult, CopyState};
use crate::domain::{
    attention::AttentionReason,
    command::{CommandRow, Effect, Outcome, Reason},
    print::{Print, PrintResult},
};

/// Where a copy is, by everything that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyObservation {
    pub state: CopyState,
    pub print_id: Option<Uuid>,
    pub result: Option<CopyResult>,
    /// Why the copy failed or was never started.
    pub reason: Option<String>,
    /// Why a person has to look at the printer.
    pub attention: Option<AttentionReason>,
}

impl CopyObservation {
    /// Returns where the copy is. The print decides; before there is one, its start command does.
    pub fn new(command: Option<&CommandRow>, print: Option<&Print>) -> Self {
        match (print, command) {
            (Some(print), _) => Self::from_print(print),
            (None, Some(command)) => Self::from_command(command),
            (None, None) => Self { reason: Some("command_missing".to_owned()), ..Self::in_state(CopyState::Lost) },
        }
    }

    fn in_state(state: CopyState) -> Self {
        Self { state, print_id: None, result: None, reason: None, attention: None }
    }

    fn from_print(print: &Print) -> Self {
        let state = match print.result {
            None => CopyState::Printing,
            Some(PrintResult::Done) => CopyState::Finished,
            Some(PrintResult::Failed) => CopyState::Failed,
            Some(PrintResult::Cancelled) => CopyState::Cancelled,
            Some(PrintResult::Unknown) => CopyState::Lost,
        };
        let seconds = |ended: chrono::DateTime<chrono::Utc>| (ended - print.started_at).as_seconds_f64().max(0.0);
        let result =
            print.ended_at.map(|ended| CopyResult { print_time_s: Some(seconds(ended)), ..CopyResult::default() });
        let reason = print.reason.clone().filter(|_| state != CopyState::Finished);
        Self { print_id: Some(print.id), result, reason, ..Self::in_state(state) }
    }

    fn from_command(command: &CommandRow) -> Self {
        let reason = command.reason.map(|reason| reason.as_str().to_owned());
        let released = |reason| Self { reason, ..Self::in_state(CopyState::Released) };
        match command.outcome {
            Outcome::Queued if command.awaited_content().is_some() => Self::in_state(CopyState::Uploading),
            Outcome::Queued => Self::in_state(CopyState::Assigned),
            // The print of a confirmed start is stored soon.
            Outcome::Sent | Outcome::Accepted | Outcome::Confirmed | Outcome::Unchanged => {
                Self::in_state(CopyState::Starting)
            }
            Outcome::Rejected | Outcome::Unreachable | Outcome::Unauthorized | Outcome::Expired | Outcome::Skipped => {
                let failed_upload =
                    (command.reason == Some(Reason::UploadFailed)).then_some(AttentionReason::UploadFailed);
                Self { attention: failed_upload, ..released(reason) }
            }
            Outcome::Unconfirmed | Outcome::Unknown => match command.settled.as_ref().map(|settled| settled.effect) {
                Some(Effect::None) => released(reason),
                Some(Effect::Done) => Self::in_state(CopyState::Starting),
                Some(Effect::Maybe) | None => {
                    Self { attention: Some(AttentionReason::StartUnknown), ..Self::in_state(CopyState::Starting) }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::domain::{
        command::{Command, SettledEffect},
        print::PrintActor,
        state::PrinterState,
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("a time") + TimeDelta::seconds(seconds)
    }

    fn start(outcome: Outcome) -> CommandRow {
        let row =
            CommandRow::queued(Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3), "P".into(), Command::Start);
        CommandRow { outcome, ..row }
    }

    fn print(result: Option<PrintResult>) -> Print {
        Print {
            id: Uuid::from_u128(7),
            printer_id: Uuid::from_u128(3),
            file: None,
            started_at: at(0),
            ended_at: result.map(|_| at(90)),
            result,
            reason: Some("Thermal runaway".into()),
            started_by: PrintActor::command(Uuid::from_u128(1)),
            paused_by: None,
            batch_id: None,
            external_ref: None,
        }
    }

    #[test]
    fn the_print_decides_over_the_outcome_of_its_start() {
        let unknown = start(Outcome::Unknown);
        for (result, state) in [
            (None, CopyState::Printing),
            (Some(PrintResult::Done), CopyState::Finished),
            (Some(PrintResult::Failed), CopyState::Failed),
            (Some(PrintResult::Cancelled), CopyState::Cancelled),
            (Some(PrintResult::Unknown), CopyState::Lost),
        ] {
            let seen = CopyObservation::new(Some(&unknown), Some(&print(result)));
            assert_eq!((seen.state, seen.print_id, seen.attention), (state, Some(Uuid::from_u128(7)), None));
            assert_eq!(seen.result.and_then(|result| result.print_time_s), result.map(|_| 90.0));
        }
    }

    #[test]
    fn a_start_with_an_unknown_effect_holds_its_printer_until_it_is_settled() {
        for outcome in [Outcome::Unknown, Outcome::Unconfirmed] {
            let seen = CopyObservation::new(Some(&start(outcome)), None);
            assert_eq!((seen.state, seen.attention), (CopyState::Starting, Some(AttentionReason::StartUnknown)));
            let settled = |effect| Some(SettledEffect { effect, state: PrinterState::Operational, at: at(5) });
            for (effect, state) in [(Effect::None, CopyState::Released), (Effect::Done, CopyState::Starting)] {
                let row = CommandRow { settled: settled(effect), ..start(outcome) };
                assert_eq!(CopyObservation::new(Some(&row), None).state, state, "{outcome}");
            }
        }
    }

    #[test]
    fn a_start_that_was_not_made_releases_its_printer() {
        for outcome in Outcome::ALL.iter().filter(|outcome| outcome.effect() == Some(Effect::None)) {
            let seen = CopyObservation::new(Some(&start(*outcome)), None);
            assert_eq!((seen.state, seen.attention), (CopyState::Released, None), "{outcome}");
        }
        let row = CommandRow { reason: Some(Reason::UploadFailed), ..start(Outcome::Rejected) };
        assert_eq!(CopyObservation::new(Some(&row), None).attention, Some(AttentionReason::UploadFailed));
        assert_eq!(CopyObservation::new(None, None).state, CopyState::Lost, "its command is gone");
    }
}
