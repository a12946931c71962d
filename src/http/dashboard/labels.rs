//! Labels for commands, states and refusals on the pages. The API uses other words.

use super::messages::{t, t_with};
use crate::domain::{
    access::Role,
    command::{Command, Reason},
    print::PrintResult,
    production::ServiceState,
    state::PrinterState,
};

/// Returns the label of a role.
pub(super) fn role_label(role: Role) -> &'static str {
    t(match role {
        Role::Viewer => "word-viewer",
        Role::Operator => "word-operator",
        Role::Manager => "word-manager",
        Role::Admin => "word-admin",
    })
}

/// Returns the label of a service state.
pub(super) fn service_label(service: ServiceState) -> &'static str {
    t(match service {
        ServiceState::InService => "maintenance-in-service",
        ServiceState::Draining => "word-draining",
        ServiceState::OutOfService => "word-out-of-service",
    })
}

/// Returns the label of a state that a printer reports.
pub(super) fn state_label(state: PrinterState) -> &'static str {
    t(match state {
        PrinterState::Operational => "word-ready",
        PrinterState::Starting => "word-starting",
        PrinterState::Printing => "word-printing",
        PrinterState::Pausing => "word-pausing",
        PrinterState::Paused => "word-paused",
        PrinterState::Resuming => "word-resuming",
        PrinterState::Finishing => "word-finishing",
        PrinterState::Cancelling => "word-cancelling",
        PrinterState::Transferring => "word-transferring",
        PrinterState::Offline => "word-not-connected",
        PrinterState::Connecting => "word-connecting",
        PrinterState::Error => "word-error",
        PrinterState::Unknown => "word-unknown",
    })
}

/// Returns the label of the button.
pub(super) fn command_label(command: Command) -> &'static str {
    t(match command {
        Command::Start => "word-start",
        Command::Pause => "word-pause",
        Command::Resume => "word-resume",
        Command::Toggle => "word-toggle",
        Command::Cancel => "word-cancel-print",
        Command::Restart => "word-restart",
        Command::Connect => "word-connect",
        Command::Disconnect => "word-disconnect",
        Command::EmergencyStop => "word-emergency-stop",
    })
}

/// Returns the verb with a number of printers: "Pause 17 printers".
pub(super) fn command_title(command: Command, n: usize) -> String {
    let id = match command {
        Command::Start => "word-start-count",
        Command::Pause => "word-pause-count",
        Command::Resume => "word-resume-count",
        Command::Toggle => "word-toggle-count",
        Command::Cancel => "word-cancel-count",
        Command::Restart => "word-restart-count",
        Command::Connect => "word-connect-count",
        Command::Disconnect => "word-disconnect-count",
        Command::EmergencyStop => "word-emergency-stop-count",
    };
    t_with(id, &[("n", &n)])
}

/// Returns the command in progress with a number of printers: "Pausing 17".
pub(super) fn doing_title(command: Command, n: i64) -> String {
    let id = match command {
        Command::Start => "word-doing-start",
        Command::Pause => "word-doing-pause",
        Command::Resume => "word-doing-resume",
        Command::Toggle => "word-doing-toggle",
        Command::Cancel => "word-doing-cancel",
        Command::Restart => "word-doing-restart",
        Command::Connect => "word-doing-connect",
        Command::Disconnect => "word-doing-disconnect",
        Command::EmergencyStop => "word-doing-emergency-stop",
    };
    t_with(id, &[("n", &n)])
}

/// Returns the label of a command in progress.
pub(super) fn in_progress_label(command: Command) -> &'static str {
    t(match command {
        Command::Start => "word-start-in-progress",
        Command::Pause => "word-pause-in-progress",
        Command::Resume => "word-resume-in-progress",
        Command::Toggle => "word-toggle-in-progress",
        Command::Cancel => "word-cancel-in-progress",
        Command::Restart => "word-restart-in-progress",
        Command::Connect => "word-connect-in-progress",
        Command::Disconnect => "word-disconnect-in-progress",
        Command::EmergencyStop => "word-emergency-stop-in-progress",
    })
}

/// Returns the icon of a command.
pub(super) fn command_icon(command: Command) -> &'static str {
    match command {
        Command::Start => "start",
        Command::Pause => "pause",
        Command::Resume => "resume",
        Command::Toggle => "toggle",
        Command::Cancel => "cancel",
        Command::Restart => "restart",
        Command::Connect => "settings",
        Command::Disconnect => "off",
        Command::EmergencyStop => "emergency",
    }
}

/// Returns the label of the effect, once it was observed.
pub(super) fn effect_label(command: Command) -> &'static str {
    t(match command {
        Command::Start => "word-started",
        Command::Pause => "word-paused",
        Command::Resume => "word-resumed",
        Command::Toggle => "word-toggled",
        Command::Cancel => "word-cancelled",
        Command::Restart => "word-restarted",
        Command::Connect => "word-connected",
        Command::Disconnect => "word-disconnected",
        Command::EmergencyStop => "word-stopped",
    })
}

/// Returns why there was nothing to do.
pub(super) fn unchanged_label(command: Command) -> &'static str {
    t(match command {
        Command::Start | Command::Restart => "word-already-printing",
        Command::Pause => "word-already-paused",
        Command::Resume => "word-already-printing",
        Command::Toggle => "word-already-toggled",
        Command::Cancel => "word-count-without-print",
        Command::Connect => "word-already-connected",
        Command::Disconnect => "word-already-disconnected",
        // An emergency stop is sent or refused: no state counts as stopped already.
        Command::EmergencyStop => "word-stopped",
    })
}

/// Returns the label of a print's result, and its CSS class. `None`: the print has not ended.
pub(super) fn print_result_label(result: Option<PrintResult>) -> (&'static str, &'static str) {
    match result {
        None => (t("word-printing"), "quiet"),
        Some(PrintResult::Done) => (t("word-done"), "good"),
        Some(PrintResult::Failed) => (t("word-failed"), "bad"),
        Some(PrintResult::Cancelled) => (t("word-cancelled"), "quiet"),
        Some(PrintResult::Unknown) => (t("printer-print-end-not-seen"), "quiet"),
    }
}

/// Returns what all printers with this reason have in common, to follow their number: "3 not printing".
pub(super) fn refusal_label(reason: Reason) -> &'static str {
    t(match reason {
        Reason::NoFileSelected => "word-count-without-file",
        Reason::FileNotFound | Reason::UploadFailed => "word-count-file-missing",
        Reason::NotOperational => "word-count-not-operational",
        Reason::AlreadyPrinting => "word-already-printing",
        Reason::NotActive => "word-count-not-printing",
        Reason::JobActive => "word-count-job-active",
        Reason::JobChanged => "word-count-other-job",
        Reason::StateChanged => "word-count-other-state",
        Reason::PlateNotClear => "word-count-plate-occupied",
        Reason::CommandInFlight => "word-count-busy",
        Reason::PausedAtPrinter => "word-count-paused-at-printer",
        Reason::OutOfService => "word-count-out-of-service",
        Reason::PrinterDisabled => "word-count-disabled",
        Reason::NotFound | Reason::PrinterRemoved => "word-count-removed",
        Reason::Forbidden => "word-count-forbidden",
        Reason::BatchStopped => "batch-count-skipped",
        Reason::OvertakenByCancel => "word-count-overtaken",
        Reason::OvertakenByEmergencyStop => "word-count-stopped",
        Reason::PrinterRefused => "batch-count-rejected",
        Reason::PrinterProtocol => "word-count-invalid-reply",
        Reason::PrinterUnreachable => "batch-count-unreachable",
        Reason::PrinterUnauthorized => "batch-count-unauthorized",
        Reason::UnknownState => "word-count-unknown-state",
        Reason::WindowOver => "batch-count-expired",
        Reason::WaitedTooLong | Reason::NotRecorded => "word-count-failed",
        Reason::FileDoesNotFit => "word-count-file-does-not-fit",
        Reason::NoAnswer => "batch-count-unknown",
        Reason::NoEffect
        | Reason::StillStarting
        | Reason::StillPausing
        | Reason::StillResuming
        | Reason::StillCancelling
        | Reason::CancelledNotStarted => "batch-count-unconfirmed",
    })
}
