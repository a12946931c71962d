//! The brain: what to do about a command, and whether it had its effect.
//!
//! Two pure functions hold all knowledge of OctoPrint's states. [`decide`] is the table of the design: on a fresh
//! look at the printer, send, wait, leave it, or refuse. [`judge`] reads what was seen since the send. The actor is
//! a loop that obeys both. OctoPrint's `204` never decides anything here: it means *accepted*.

use uuid::Uuid;

use super::{
    command::{Command, ExpectedJob, FileRef, Reason, Step},
    state::PrinterState,
};

/// What is known of a printer at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub state: PrinterState,
    /// The selected file, whether it prints or not.
    pub file: Option<FileRef>,
    /// The active print.
    pub print_id: Option<Uuid>,
    /// The active print is paused because Printyard asked for it.
    pub paused_by_printyard: bool,
}

/// What has to hold beside the printer's state. One value, one list of reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    pub enabled: bool,
    /// The plate is clear, assumed to be, or the gate is off.
    pub plate_clear: bool,
    pub expected_job: Option<ExpectedJob>,
    /// The file that `start` names.
    pub file: Option<FileRef>,
    /// The printer was named by its id.
    pub named: bool,
    /// `disconnect` also with a job active.
    pub force: bool,
}

/// What to do about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Send(Step),
    /// A passing state: look again when it has passed.
    Wait,
    /// It is so already.
    Unchanged,
    Reject(Reason),
}

/// What became of a command that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Confirmed,
    /// Not seen yet. `moving`: the printer is on its way, which may take long (an M109 in flight holds a cancel
    /// for minutes).
    Pending {
        moving: bool,
    },
    /// Begun and seen undone (a pause in Starting is: measured on 1.11.8 and 2.x).
    Lost,
    /// It cannot come any more.
    Gone(Reason),
}

/// What was seen since a command left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    passed: Vec<PrinterState>,
    /// The path of a print that began since, by its event or by the file's own counters.
    pub started: Option<String>,
    /// No reading and no event names the file: `GET /api/job` fails, and the printer is polled.
    pub is_file_hidden: bool,
}

impl Evidence {
    /// Notes a state; each counts once.
    pub fn note(&mut self, state: PrinterState) {
        if !self.passed.contains(&state) {
            self.passed.push(state);
        }
    }

    /// The printer was seen in this state since the send.
    pub fn passed(&self, state: PrinterState) -> bool {
        self.passed.contains(&state)
    }

    /// One of these states was seen since the send, before the job that was there ended.
    fn showed(&self, states: &[PrinterState]) -> bool {
        let of_this_job = self.passed.iter().take_while(|state| !ends_a_job(**state));
        of_this_job.into_iter().any(|state| states.contains(state))
    }
}

/// Where a printer shows this, the job that it had has ended.
fn ends_a_job(state: PrinterState) -> bool {
    matches!(
        state,
        PrinterState::Operational | PrinterState::Transferring | PrinterState::Offline | PrinterState::Error
    )
}

/// What a toggle means on this printer now.
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

/// Decides a command on a fresh look. `Toggle` is resolved first, with [`resolve_toggle`].
pub fn decide(command: Command, observation: &Observation, guards: &Guards) -> Decision {
    if !guards.enabled {
        return Decision::Reject(Reason::PrinterDisabled);
    }
    match by_state(command, observation, guards) {
        refused @ Decision::Reject(_) => refused,
        allowed => match guard(command, allowed, observation, guards) {
            Some(reason) => Decision::Reject(reason),
            None => allowed,
        },
    }
}

/// The table: state by command.
fn by_state(command: Command, observation: &Observation, guards: &Guards) -> Decision {
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
            // It ends the transfer (measured). Without it, a print that is to follow the transfer would begin.
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
            Ok(resolved) => by_state(resolved, observation, guards),
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
    }
}

/// What stands against a command that the state allows.
fn guard(command: Command, allowed: Decision, observation: &Observation, guards: &Guards) -> Option<Reason> {
    // A state that is not known may be one of a job: what would be sent goes only to the one that was meant.
    // A transfer is another job than the print that was meant.
    let on_a_job = observation.state.is_active()
        || matches!(observation.state, PrinterState::Transferring | PrinterState::Unknown);
    if let Some(expected) = &guards.expected_job
        && (on_a_job || command == Command::Start)
        && !is_job(expected, observation)
    {
        return Some(Reason::JobChanged);
    }
    if allowed == Decision::Unchanged {
        return None;
    }
    let places_a_print = matches!(command, Command::Start | Command::Restart);
    if places_a_print && !guards.plate_clear {
        return Some(Reason::PlateNotClear);
    }
    let resumes = command == Command::Resume
        || (command == Command::Toggle && resolve_toggle(observation.state) == Ok(Command::Resume));
    if resumes && observation.state == PrinterState::Paused && !guards.named && !observation.paused_by_printyard {
        return Some(Reason::PausedAtPrinter);
    }
    None
}

fn is_job(expected: &ExpectedJob, observation: &Observation) -> bool {
    let path =
        expected.path.as_deref().is_none_or(|path| observation.file.as_ref().is_some_and(|file| file.path == path));
    let print = expected.print_id.is_none_or(|id| observation.print_id == Some(id));
    path && print
}

/// Whether the second step of a restart may go: the printer was seen free, the same file is still selected, and
/// nobody else acted in between.
pub fn decide_restart_start(before: &Observation, evidence: &Evidence, now: &Observation) -> Decision {
    let same_file = now.file.is_some() && now.file == before.file;
    match now.state {
        PrinterState::Cancelling | PrinterState::Finishing => Decision::Wait,
        PrinterState::Operational if same_file && evidence.started.is_none() => Decision::Send(Step::Start),
        _ => Decision::Reject(Reason::CancelledNotStarted),
    }
}

/// Judges a step that was sent, by what was seen since. `target` is the file that a start is to print.
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
    }
}

fn judge_start(expected: Option<&FileRef>, evidence: &Evidence, now: &Observation) -> Verdict {
    use PrinterState as S;
    let wanted = |path: &str| expected.is_some_and(|file| file.path == path);
    match (&evidence.started, now.state) {
        (Some(path), _) if wanted(path) => Verdict::Confirmed,
        (Some(_), _) => Verdict::Gone(Reason::JobChanged),
        // Cancelled by somebody before a print of it was seen.
        (None, S::Cancelling) => Verdict::Pending { moving: true },
        (None, state) if state.is_active() => match &now.file {
            Some(file) if wanted(&file.path) => Verdict::Confirmed,
            Some(_) => Verdict::Gone(Reason::JobChanged),
            None => Verdict::Pending { moving: !evidence.is_file_hidden },
        },
        // The same file at 100 % is no proof: it may be the print before.
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
        // Paused, and moved on by somebody before the reply to the pause came.
        _ if evidence.showed(&[S::Paused]) => Verdict::Confirmed,
        S::Pausing | S::Starting | S::Resuming => Verdict::Pending { moving: true },
        S::Printing if evidence.passed(S::Pausing) => Verdict::Lost,
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
        // It went on, and ended or was paused again before the reply to the resume came.
        _ if evidence.showed(&[S::Printing, S::Resuming, S::Finishing]) => Verdict::Confirmed,
        S::Pausing => Verdict::Pending { moving: true },
        S::Paused if evidence.passed(S::Pausing) => Verdict::Lost,
        S::Paused | S::Starting | S::Cancelling | S::Connecting | S::Unknown => Verdict::Pending { moving: false },
        S::Operational | S::Transferring | S::Offline | S::Error => Verdict::Gone(Reason::JobChanged),
    }
}

fn judge_cancel(before: &Observation, now: &Observation) -> Verdict {
    use PrinterState as S;
    // The print that was meant is gone, whatever came after it.
    if is_other_print(before, now) {
        return Verdict::Confirmed;
    }
    match now.state {
        S::Operational | S::Offline | S::Error => Verdict::Confirmed,
        // A print is over when a transfer has begun.
        S::Transferring if before.state != S::Transferring => Verdict::Confirmed,
        S::Cancelling | S::Finishing => Verdict::Pending { moving: true },
        S::Connecting | S::Unknown => Verdict::Pending { moving: false },
        // Also after `Cancelling`: a cancel in Starting shows Printing for a moment before it is through (measured).
        _ => Verdict::Pending { moving: false },
    }
}

fn is_other_print(before: &Observation, now: &Observation) -> bool {
    matches!((before.print_id, now.print_id), (Some(then), Some(now)) if then != now)
}

/// Whether a step without an answer may be sent again, on a look taken after the loss: only what does no harm twice,
/// only while the same print shows that nothing has happened.
pub fn may_resend(step: Step, before: &Observation, now: &Observation) -> bool {
    use PrinterState as S;
    if before.print_id.is_none() || before.print_id != now.print_id {
        return false;
    }
    match step {
        Step::Pause => now.state == S::Printing,
        Step::Resume => now.state == S::Paused,
        Step::Cancel => matches!(now.state, S::Starting | S::Printing | S::Pausing | S::Paused | S::Resuming),
        Step::Start | Step::Connect | Step::Disconnect => false,
    }
}

/// Why an effect has not shown in time.
pub fn overdue(state: PrinterState) -> Reason {
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
