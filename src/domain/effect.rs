//! Decides commands and judges their effect.
//!
//! Two pure functions contain all knowledge about OctoPrint's states. [`decide`] is the decision table. For a fresh
//! observation of the printer it returns whether to send the command, wait, leave the printer as it is, or refuse.
//! [`judge`] evaluates what was observed since the send. The actor follows both. OctoPrint's `204` never decides
//! anything here: it means *accepted*.

mod evidence;
mod prediction;

use uuid::Uuid;

use super::{
    command::{Command, ExpectedJob, FileRef, Reason, Step},
    state::PrinterState,
};
pub use evidence::Evidence;
pub use prediction::predict;

/// The observed state of a printer at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub state: PrinterState,
    /// The selected file. It is set while the printer is idle, too.
    pub file: Option<FileRef>,
    /// The active print.
    pub print_id: Option<Uuid>,
    /// Whether the active print is paused because of a command of Printyard.
    pub paused_by_printyard: bool,
}

/// Conditions for a command, in addition to the printer's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    pub enabled: bool,
    /// The printer is out of service: no print may start or continue.
    pub out_of_service: bool,
    /// The plate is clear, it is assumed to be clear, or the plate check is off.
    pub plate_clear: bool,
    pub expected_job: Option<ExpectedJob>,
    /// The file that `start` names.
    pub file: Option<FileRef>,
    /// Whether the client named the printer by its id.
    pub named: bool,
    /// `disconnect` even while a job is active.
    pub force: bool,
}

/// What to do about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Send(Step),
    /// The state is transient: decide again after it has passed.
    Wait,
    /// The printer already is in the requested state.
    Unchanged,
    Reject(Reason),
}

/// The judgement of a sent command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Confirmed,
    /// The effect is not observed yet. `moving`: the printer is changing its state. This may take long: an M109 in
    /// progress delays a cancel for minutes.
    Pending {
        moving: bool,
    },
    /// The change began and was undone. OctoPrint undoes a pause in Starting (measured on 1.11.8 and 2.x).
    Lost,
    /// The effect can no longer occur.
    Gone(Reason),
}

/// Returns the command that a toggle means in this state.
pub fn resolve_toggle(state: PrinterState) -> Result<Command, Reason> {
    use PrinterState as S;
    match state {
        S::Starting | S::Printing | S::Resuming => Ok(Command::Pause),
        S::Pausing | S::Paused => Ok(Command::Resume),
        S::Operational
        | S::Finishing
        | S::Cancelling
        | S::Transferring
        | S::Offline
        | S::Connecting
        | S::Error
        | S::Unknown => Err(Reason::NotActive),
    }
}

/// Decides a command by a fresh observation. `Toggle` is decided by [`resolve_toggle`].
pub fn decide(command: Command, observation: &Observation, guards: &Guards) -> Decision {
    if !guards.enabled {
        return Decision::Reject(Reason::PrinterDisabled);
    }
    if guards.out_of_service && runs_print(command, observation.state) {
        return Decision::Reject(Reason::OutOfService);
    }
    match decide_by_state(command, observation, guards) {
        refused @ Decision::Reject(_) => refused,
        allowed => match check_guards(command, allowed, observation, guards) {
            Some(reason) => Decision::Reject(reason),
            None => allowed,
        },
    }
}

/// Returns whether the command makes a print run in this state.
fn runs_print(command: Command, state: PrinterState) -> bool {
    match command {
        Command::Toggle => resolve_toggle(state).is_ok_and(Command::runs_print),
        other => other.runs_print(),
    }
}

/// The decision table: state by command.
fn decide_by_state(command: Command, observation: &Observation, guards: &Guards) -> Decision {
    use Decision::{Reject, Send, Unchanged, Wait};
    use PrinterState as S;
    let state = observation.state;
    match command {
        Command::Start => match state {
            S::Offline | S::Error | S::Connecting => Reject(Reason::NotOperational),
            S::Operational if observation.file.is_none() && guards.file.is_none() => Reject(Reason::NoFileSelected),
            S::Operational => Send(Step::Start),
            S::Starting | S::Printing | S::Pausing | S::Paused | S::Resuming | S::Transferring => {
                Reject(Reason::AlreadyPrinting)
            }
            S::Cancelling | S::Finishing => Wait,
            S::Unknown => Reject(Reason::UnknownState),
        },
        Command::Pause => match state {
            S::Offline | S::Error | S::Connecting => Reject(Reason::NotOperational),
            S::Operational | S::Cancelling | S::Finishing | S::Transferring => Reject(Reason::NotActive),
            S::Starting | S::Pausing | S::Resuming => Wait,
            S::Printing => Send(Step::Pause),
            S::Paused => Unchanged,
            S::Unknown => Reject(Reason::UnknownState),
        },
        Command::Resume => match state {
            S::Offline | S::Error | S::Connecting => Reject(Reason::NotOperational),
            S::Operational | S::Cancelling | S::Finishing | S::Transferring => Reject(Reason::NotActive),
            S::Starting | S::Printing => Unchanged,
            S::Pausing | S::Resuming => Wait,
            S::Paused => Send(Step::Resume),
            S::Unknown => Reject(Reason::UnknownState),
        },
        Command::Cancel => match state {
            S::Offline | S::Error | S::Connecting | S::Operational => Unchanged,
            S::Starting | S::Printing | S::Pausing | S::Paused | S::Resuming | S::Unknown => Send(Step::Cancel),
            // A cancel ends the transfer (measured). Without it, a print that is planned to follow the transfer would
            // begin.
            S::Transferring => Send(Step::Cancel),
            S::Cancelling | S::Finishing => Wait,
        },
        Command::Restart => match state {
            S::Offline | S::Error | S::Connecting => Reject(Reason::NotOperational),
            S::Operational | S::Cancelling | S::Finishing | S::Transferring => Reject(Reason::NotActive),
            S::Starting | S::Printing | S::Pausing | S::Paused | S::Resuming => Send(Step::Cancel),
            S::Unknown => Reject(Reason::UnknownState),
        },
        Command::Toggle => match resolve_toggle(state) {
            Ok(resolved) => decide_by_state(resolved, observation, guards),
            Err(reason) => Reject(reason),
        },
        Command::Connect => match state {
            S::Offline | S::Error => Send(Step::Connect),
            S::Connecting => Wait,
            S::Unknown => Reject(Reason::UnknownState),
            _ => Unchanged,
        },
        Command::Disconnect => match state {
            S::Offline | S::Error => Unchanged,
            _ if (state.is_active() || state == S::Transferring) && !guards.force => Reject(Reason::JobActive),
            S::Unknown if !guards.force => Reject(Reason::UnknownState),
            _ => Send(Step::Disconnect),
        },
        Command::EmergencyStop => match state {
            // OctoPrint refuses M112 without a connection (measured). The heaters may be on all the same, so this is no
            // `Unchanged`.
            S::Offline | S::Error | S::Connecting => Reject(Reason::NotOperational),
            S::Operational
            | S::Starting
            | S::Printing
            | S::Pausing
            | S::Paused
            | S::Resuming
            | S::Cancelling
            | S::Finishing
            | S::Transferring
            | S::Unknown => Send(Step::EmergencyStop),
        },
    }
}

/// Returns the reason why a guard refuses a command that the state allows.
fn check_guards(command: Command, allowed: Decision, observation: &Observation, guards: &Guards) -> Option<Reason> {
    if command == Command::EmergencyStop {
        return None;
    }
    // An unknown state may be the state of a job. So a command is sent only if the expected job is on the printer. A
    // transfer is a different job from the expected print.
    let concerns_job = observation.state.is_active()
        || matches!(observation.state, PrinterState::Transferring | PrinterState::Unknown);
    if let Some(expected) = &guards.expected_job
        && (concerns_job || command == Command::Start)
        && !is_expected_job(expected, observation)
    {
        return Some(Reason::JobChanged);
    }
    if allowed == Decision::Unchanged {
        return None;
    }
    let starts_print = matches!(command, Command::Start | Command::Restart);
    if starts_print && !guards.plate_clear {
        return Some(Reason::PlateNotClear);
    }
    let resumes = command == Command::Resume
        || (command == Command::Toggle && resolve_toggle(observation.state) == Ok(Command::Resume));
    if resumes && observation.state == PrinterState::Paused && !guards.named && !observation.paused_by_printyard {
        return Some(Reason::PausedAtPrinter);
    }
    None
}

fn is_expected_job(expected: &ExpectedJob, observation: &Observation) -> bool {
    let path =
        expected.path.as_deref().is_none_or(|path| observation.file.as_ref().is_some_and(|file| file.path == path));
    let print = expected.print_id.is_none_or(|id| observation.print_id == Some(id));
    path && print
}

/// Decides the second step of a restart. It is sent only if the printer is free, the same file is still selected, and
/// no other print began in between.
pub fn decide_restart_start(before: &Observation, evidence: &Evidence, now: &Observation) -> Decision {
    let same_file = now.file.is_some() && now.file == before.file;
    match now.state {
        PrinterState::Cancelling | PrinterState::Finishing => Decision::Wait,
        PrinterState::Operational if same_file && evidence.started.is_none() => Decision::Send(Step::Start),
        _ => Decision::Reject(Reason::CancelledNotStarted),
    }
}

/// Judges a sent step by what was observed since the send. `target` is the file that a start is to print.
pub fn judge(
    step: Step,
    target: Option<&FileRef>,
    before: &Observation,
    evidence: &Evidence,
    now: &Observation,
) -> Verdict {
    match step {
        Step::Start => judge_start(target.or(before.file.as_ref()), evidence, now),
        Step::Pause => judge_pause(before, evidence, now),
        Step::Resume => judge_resume(before, evidence, now),
        Step::Cancel => judge_cancel(before, now),
        Step::Connect => match now.state {
            state if state.is_operational() => Verdict::Confirmed,
            state => Verdict::Pending { moving: state == PrinterState::Connecting },
        },
        Step::Disconnect => match now.state {
            PrinterState::Offline | PrinterState::Error => Verdict::Confirmed,
            _ => Verdict::Pending { moving: false },
        },
        Step::EmergencyStop => judge_emergency_stop(before, evidence, now),
    }
}

fn judge_start(expected: Option<&FileRef>, evidence: &Evidence, now: &Observation) -> Verdict {
    use PrinterState as S;
    let is_expected = |path: &str| expected.is_some_and(|file| file.path == path);
    match (&evidence.started, now.state) {
        (Some(path), _) if is_expected(path) => Verdict::Confirmed,
        (Some(_), _) => Verdict::Gone(Reason::JobChanged),
        // The print was cancelled before it was observed.
        (None, S::Cancelling) => Verdict::Pending { moving: true },
        (None, state) if state.is_active() => match &now.file {
            Some(file) if is_expected(&file.path) => Verdict::Confirmed,
            Some(_) => Verdict::Gone(Reason::JobChanged),
            None => Verdict::Pending { moving: !evidence.is_file_hidden },
        },
        // The same file at 100 % is no proof: it may belong to the print before.
        (None, S::Operational | S::Transferring | S::Connecting | S::Unknown) => Verdict::Pending { moving: false },
        (None, _) => Verdict::Gone(Reason::NotOperational),
    }
}

fn judge_pause(before: &Observation, evidence: &Evidence, now: &Observation) -> Verdict {
    use PrinterState as S;
    if is_other_print(before, now) {
        return Verdict::Gone(Reason::JobChanged);
    }
    match now.state {
        S::Paused => Verdict::Confirmed,
        // The print was paused, and then resumed or cancelled before the reply to the pause arrived.
        _ if evidence.had_state_before_job_end(&[S::Paused]) => Verdict::Confirmed,
        S::Pausing | S::Starting | S::Resuming => Verdict::Pending { moving: true },
        S::Printing if evidence.has_state(S::Pausing) => Verdict::Lost,
        S::Printing | S::Finishing | S::Cancelling | S::Connecting | S::Unknown => Verdict::Pending { moving: false },
        S::Operational | S::Transferring | S::Offline | S::Error => Verdict::Gone(Reason::JobChanged),
    }
}

fn judge_resume(before: &Observation, evidence: &Evidence, now: &Observation) -> Verdict {
    use PrinterState as S;
    if is_other_print(before, now) {
        return Verdict::Gone(Reason::JobChanged);
    }
    match now.state {
        S::Printing | S::Resuming | S::Finishing => Verdict::Confirmed,
        // The print continued, and then ended or was paused again before the reply to the resume arrived.
        _ if evidence.had_state_before_job_end(&[S::Printing, S::Resuming, S::Finishing]) => Verdict::Confirmed,
        S::Pausing => Verdict::Pending { moving: true },
        S::Paused if evidence.has_state(S::Pausing) => Verdict::Lost,
        S::Paused | S::Starting | S::Cancelling | S::Connecting | S::Unknown => Verdict::Pending { moving: false },
        S::Operational | S::Transferring | S::Offline | S::Error => Verdict::Gone(Reason::JobChanged),
    }
}

fn judge_cancel(before: &Observation, now: &Observation) -> Verdict {
    use PrinterState as S;
    // The print of the command has ended, whatever followed it.
    if is_other_print(before, now) {
        return Verdict::Confirmed;
    }
    match now.state {
        S::Operational | S::Offline | S::Error => Verdict::Confirmed,
        // The print has ended if a transfer has begun.
        S::Transferring if before.state != S::Transferring => Verdict::Confirmed,
        S::Cancelling | S::Finishing => Verdict::Pending { moving: true },
        S::Connecting | S::Unknown => Verdict::Pending { moving: false },
        // Also after `Cancelling`: a cancel in Starting shows Printing for a moment before it completes (measured).
        _ => Verdict::Pending { moving: false },
    }
}

/// OctoPrint closes the connection to its printer before it answers. A closed connection proves the stop only if it was open
/// before.
fn judge_emergency_stop(before: &Observation, evidence: &Evidence, now: &Observation) -> Verdict {
    use PrinterState as S;
    let was_connected = evidence.is_accepted || before.state.is_operational() || evidence.was_connected_before_close();
    match now.state {
        S::Offline | S::Error if was_connected => Verdict::Confirmed,
        S::Offline | S::Error => Verdict::Gone(Reason::NotOperational),
        // OctoPrint has been connected to its printer again.
        _ if was_connected && (evidence.has_state(S::Error) || evidence.has_state(S::Offline)) => Verdict::Confirmed,
        _ => Verdict::Pending { moving: false },
    }
}

fn is_other_print(before: &Observation, now: &Observation) -> bool {
    matches!((before.print_id, now.print_id), (Some(then), Some(now)) if then != now)
}

/// Returns whether a step without a reply may be sent again. `now` must be observed after the loss. Only a step that
/// does no harm twice is repeated, and only while the same print shows that nothing has happened.
pub fn may_resend(step: Step, before: &Observation, now: &Observation) -> bool {
    use PrinterState as S;
    if before.print_id.is_none() || before.print_id != now.print_id {
        return false;
    }
    match step {
        Step::Pause => now.state == S::Printing,
        Step::Resume => now.state == S::Paused,
        Step::Cancel => matches!(now.state, S::Starting | S::Printing | S::Pausing | S::Paused | S::Resuming),
        Step::Start | Step::Connect | Step::Disconnect | Step::EmergencyStop => false,
    }
}

/// Returns why an effect was not observed in time.
pub fn overdue_reason(state: PrinterState) -> Reason {
    match state {
        PrinterState::Starting => Reason::StillStarting,
        PrinterState::Pausing => Reason::StillPausing,
        PrinterState::Resuming => Reason::StillResuming,
        PrinterState::Cancelling => Reason::StillCancelling,
        _ => Reason::NoEffect,
    }
}

#[cfg(test)]
mod tests;
