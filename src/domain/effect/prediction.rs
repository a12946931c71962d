//! Predicts the decision of a command that must wait, for previews.

use super::{Decision, Guards, Observation, decide, resolve_toggle};
use crate::domain::{command::Command, state::PrinterState};

/// Returns the decision that a command gets in the end. A command waits for a transient state, or for the same command
/// in flight (`waits_for`). Then the state that follows decides.
pub fn predict(command: Command, waits_for: Option<Command>, observation: &Observation, guards: &Guards) -> Decision {
    let next = match waits_for {
        Some(in_flight) => state_after(in_flight, observation.state),
        None => match decide(command, observation, guards) {
            Decision::Wait => next_state(observation.state),
            decided => return decided,
        },
    };
    decide(command, &Observation { state: next, ..observation.clone() }, guards)
}

/// Returns the state that a printer reaches from a transient state by itself. Other states stay.
fn next_state(state: PrinterState) -> PrinterState {
    use PrinterState as S;
    match state {
        S::Starting | S::Resuming => S::Printing,
        S::Pausing => S::Paused,
        S::Cancelling | S::Finishing | S::Connecting => S::Operational,
        S::Operational | S::Printing | S::Paused | S::Transferring | S::Offline | S::Error | S::Unknown => state,
    }
}

/// Returns the state after the effect of a command.
fn state_after(command: Command, state: PrinterState) -> PrinterState {
    match command {
        Command::Start | Command::Restart | Command::Resume => PrinterState::Printing,
        Command::Pause => PrinterState::Paused,
        Command::Cancel | Command::Connect => PrinterState::Operational,
        Command::Disconnect | Command::EmergencyStop => PrinterState::Offline,
        Command::Toggle => match resolve_toggle(state) {
            Ok(resolved) if resolved != Command::Toggle => state_after(resolved, state),
            Ok(_) | Err(_) => state,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::{FileRef, Reason, Step};

    #[test]
    fn a_command_that_waits_is_decided_in_the_state_that_follows() {
        let guards = Guards {
            enabled: true,
            out_of_service: false,
            plate_clear: true,
            expected_job: None,
            file: None,
            named: true,
            force: false,
        };
        let predict_at = |command, waits_for, state| {
            let file = Some(FileRef { path: "a.gcode".to_owned(), origin: "local".to_owned() });
            let observation = Observation { state, file, print_id: None, paused_by_printyard: true };
            predict(command, waits_for, &observation, &guards)
        };
        use PrinterState as S;
        for (command, state, expected) in [
            (Command::Pause, S::Starting, Decision::Send(Step::Pause)),
            (Command::Pause, S::Pausing, Decision::Unchanged),
            (Command::Resume, S::Pausing, Decision::Send(Step::Resume)),
            (Command::Resume, S::Resuming, Decision::Unchanged),
            (Command::Cancel, S::Cancelling, Decision::Unchanged),
            (Command::Cancel, S::Finishing, Decision::Unchanged),
            (Command::Start, S::Finishing, Decision::Send(Step::Start)),
            (Command::Connect, S::Connecting, Decision::Unchanged),
            (Command::Pause, S::Operational, Decision::Reject(Reason::NotActive)),
        ] {
            assert_eq!(predict_at(command, None, state), expected, "{command} {state:?}");
        }
        for (command, state, expected) in [
            (Command::Start, S::Operational, Decision::Reject(Reason::AlreadyPrinting)),
            (Command::Pause, S::Printing, Decision::Unchanged),
            (Command::Resume, S::Paused, Decision::Unchanged),
            (Command::Toggle, S::Printing, Decision::Send(Step::Resume)),
            (Command::Disconnect, S::Operational, Decision::Unchanged),
        ] {
            assert_eq!(predict_at(command, Some(command), state), expected, "{command} {state:?}");
        }
    }

    #[test]
    fn a_prediction_never_waits() {
        let guards = Guards {
            enabled: true,
            out_of_service: false,
            plate_clear: true,
            expected_job: None,
            file: None,
            named: true,
            force: true,
        };
        for command in Command::ALL {
            for state in PrinterState::ALL {
                let observation = Observation { state, file: None, print_id: None, paused_by_printyard: false };
                for waits_for in [None, Some(*command)] {
                    let predicted = predict(*command, waits_for, &observation, &guards);
                    assert_ne!(predicted, Decision::Wait, "{command} {state:?}");
                }
            }
        }
    }
}
