//! Labels for commands, states and refusals on the pages. The API uses other words.

use super::language::{counted, t};
use crate::domain::{
    access::Role,
    command::{Command, Reason},
    print::PrintResult,
    state::PrinterState,
};

/// Returns the label of a role.
pub(super) fn role(role: Role) -> &'static str {
    t(match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Manager => "manager",
        Role::Admin => "admin",
    })
}

/// Returns the label of a state that a printer reports.
pub(super) fn state(state: PrinterState) -> &'static str {
    t(match state {
        PrinterState::Operational => "Ready",
        PrinterState::Starting => "Starting…",
        PrinterState::Printing => "Printing",
        PrinterState::Pausing => "Pausing…",
        PrinterState::Paused => "Paused",
        PrinterState::Resuming => "Resuming…",
        PrinterState::Finishing => "Finishing…",
        PrinterState::Cancelling => "Cancelling…",
        PrinterState::Transferring => "Transferring a file to SD…",
        PrinterState::Offline => "Not connected",
        PrinterState::Connecting => "Connecting…",
        PrinterState::Error => "Error",
        PrinterState::Unknown => "Unknown",
    })
}

/// Returns the label of the button.
pub(super) fn verb(command: Command) -> &'static str {
    t(match command {
        Command::Start => "Start",
        Command::Pause => "Pause",
        Command::Resume => "Resume",
        Command::Toggle => "Toggle",
        Command::Cancel => "Cancel print",
        Command::Restart => "Restart",
        Command::Connect => "Connect",
        Command::Disconnect => "Disconnect",
    })
}

/// Returns the verb with a number of printers: "Pause 17 printers".
pub(super) fn verb_for(command: Command, n: usize) -> String {
    let (one, many) = match command {
        Command::Start => ("Start {n} printer", "Start {n} printers"),
        Command::Pause => ("Pause {n} printer", "Pause {n} printers"),
        Command::Resume => ("Resume {n} printer", "Resume {n} printers"),
        Command::Toggle => ("Pause or resume {n} printer", "Pause or resume {n} printers"),
        Command::Cancel => ("Cancel {n} print", "Cancel {n} prints"),
        Command::Restart => ("Restart {n} printer", "Restart {n} printers"),
        Command::Connect => ("Connect {n} printer", "Connect {n} printers"),
        Command::Disconnect => ("Disconnect {n} printer", "Disconnect {n} printers"),
    };
    counted(n, one, many)
}

/// Returns the label of a command in progress.
pub(super) fn under_way(command: Command) -> &'static str {
    t(match command {
        Command::Start => "start under way",
        Command::Pause => "pause under way",
        Command::Resume => "resume under way",
        Command::Toggle => "toggle under way",
        Command::Cancel => "cancel under way",
        Command::Restart => "restart under way",
        Command::Connect => "connecting",
        Command::Disconnect => "disconnecting",
    })
}

/// Returns the icon of a command.
pub(super) fn icon(command: Command) -> &'static str {
    match command {
        Command::Start => "start",
        Command::Pause => "pause",
        Command::Resume => "resume",
        Command::Toggle => "toggle",
        Command::Cancel => "cancel",
        Command::Restart => "restart",
        Command::Connect => "settings",
        Command::Disconnect => "off",
    }
}

/// Returns the label of the effect, once it was observed.
pub(super) fn done(command: Command) -> &'static str {
    t(match command {
        Command::Start => "Started",
        Command::Pause => "Paused",
        Command::Resume => "Resumed",
        Command::Toggle => "Toggled",
        Command::Cancel => "Cancelled",
        Command::Restart => "Restarted",
        Command::Connect => "Connected",
        Command::Disconnect => "Disconnected",
    })
}

/// Returns why there was nothing to do.
pub(super) fn already(command: Command) -> &'static str {
    t(match command {
        Command::Start | Command::Restart => "printing already",
        Command::Pause => "paused already",
        Command::Resume => "printing already",
        Command::Toggle => "so already",
        Command::Cancel => "without a print",
        Command::Connect => "connected already",
        Command::Disconnect => "disconnected already",
    })
}

/// Returns the label of a print's result, and its CSS class. `None`: the print has not ended.
pub(super) fn print(result: Option<PrintResult>) -> (&'static str, &'static str) {
    match result {
        None => (t("Printing"), "quiet"),
        Some(PrintResult::Done) => (t("Done"), "good"),
        Some(PrintResult::Failed) => (t("Failed"), "bad"),
        Some(PrintResult::Cancelled) => (t("Cancelled"), "quiet"),
        Some(PrintResult::Unknown) => (t("Not watched"), "quiet"),
    }
}

/// Returns why printers would be left out, to follow their number: "3 not printing".
pub(super) fn refusal(reason: Reason) -> &'static str {
    t(match reason {
        Reason::NoFileSelected => "without a selected file",
        Reason::NotOperational => "not connected or in error",
        Reason::AlreadyPrinting => "printing already",
        Reason::NotActive => "not printing",
        Reason::PlateNotClear => "with a plate to clear",
        Reason::CommandInFlight => "busy with another command",
        Reason::PausedAtPrinter => "paused at the printer",
        Reason::PrinterDisabled => "disabled",
        Reason::NotFound | Reason::PrinterRemoved => "no longer there",
        Reason::Forbidden => "outside what you may control",
        Reason::PrinterUnreachable => "without an answer",
        Reason::UnknownState => "in an unknown state",
        _ => "that would refuse",
    })
}
