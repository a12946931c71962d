//! Labels for commands, states and refusals on the pages. The API uses other words.

use super::messages::{t, t_with};
use crate::domain::{
    access::Role,
    command::{Command, Reason},
    print::PrintResult,
    state::PrinterState,
};

/// Returns the label of a role.
pub(super) fn role(role: Role) -> &'static str {
    t(match role {
        Role::Viewer => "word-viewer",
        Role::Operator => "word-operator",
        Role::Manager => "word-manager",
        Role::Admin => "word-admin",
    })
}

/// Returns the label of a state that a printer reports.
pub(super) fn state(state: PrinterState) -> &'static str {
    t(match state {
        PrinterState::Operational => "word-ready",
        PrinterState::Starting => "word-starting",
        PrinterState::Printing => "word-printing",
        PrinterState::Pausing => "word-pausing",
        PrinterState::Paused => "word-paused",
        PrinterState::Resuming => "word-resuming",
        PrinterState::Finishing => "word-finishing",
        PrinterState::Cancelling => "word-cancelling",
        PrinterState::Transferring => "word-transferring-file-sd",
        PrinterState::Offline => "word-not-connected",
        PrinterState::Connecting => "word-connecting",
        PrinterState::Error => "word-error",
        PrinterState::Unknown => "word-unknown",
    })
}

/// Returns the label of the button.
pub(super) fn verb(command: Command) -> &'static str {
    t(match command {
        Command::Start => "word-start",
        Command::Pause => "word-pause",
        Command::Resume => "word-resume",
        Command::Toggle => "word-toggle",
        Command::Cancel => "word-cancel-print",
        Command::Restart => "word-restart",
        Command::Connect => "word-connect",
        Command::Disconnect => "word-disconnect",
    })
}

/// Returns the verb with a number of printers: "Pause 17 printers".
pub(super) fn verb_for(command: Command, n: usize) -> String {
    let id = match command {
        Command::Start => "word-start-printer",
        Command::Pause => "word-pause-printer",
        Command::Resume => "word-resume-printer",
        Command::Toggle => "word-pause-resume-printer",
        Command::Cancel => "word-cancel-print-2",
        Command::Restart => "word-restart-printer",
        Command::Connect => "word-connect-printer",
        Command::Disconnect => "word-disconnect-printer",
    };
    t_with(id, &[("n", &n)])
}

/// Returns the label of a command in progress.
pub(super) fn under_way(command: Command) -> &'static str {
    t(match command {
        Command::Start => "word-start-under-way",
        Command::Pause => "word-pause-under-way",
        Command::Resume => "word-resume-under-way",
        Command::Toggle => "word-toggle-under-way",
        Command::Cancel => "word-cancel-under-way",
        Command::Restart => "word-restart-under-way",
        Command::Connect => "word-connecting-2",
        Command::Disconnect => "word-disconnecting",
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
        Command::Start => "word-started",
        Command::Pause => "word-paused",
        Command::Resume => "word-resumed",
        Command::Toggle => "word-toggled",
        Command::Cancel => "word-cancelled",
        Command::Restart => "word-restarted",
        Command::Connect => "word-connected",
        Command::Disconnect => "word-disconnected",
    })
}

/// Returns why there was nothing to do.
pub(super) fn already(command: Command) -> &'static str {
    t(match command {
        Command::Start | Command::Restart => "word-printing-already",
        Command::Pause => "word-paused-already",
        Command::Resume => "word-printing-already",
        Command::Toggle => "word-so-already",
        Command::Cancel => "word-without-print",
        Command::Connect => "word-connected-already",
        Command::Disconnect => "word-disconnected-already",
    })
}

/// Returns the label of a print's result, and its CSS class. `None`: the print has not ended.
pub(super) fn print(result: Option<PrintResult>) -> (&'static str, &'static str) {
    match result {
        None => (t("word-printing"), "quiet"),
        Some(PrintResult::Done) => (t("word-done"), "good"),
        Some(PrintResult::Failed) => (t("word-failed"), "bad"),
        Some(PrintResult::Cancelled) => (t("word-cancelled"), "quiet"),
        Some(PrintResult::Unknown) => (t("printer-not-watched"), "quiet"),
    }
}

/// Returns why printers would be left out, to follow their number: "3 not printing".
pub(super) fn refusal(reason: Reason) -> &'static str {
    t(match reason {
        Reason::NoFileSelected => "word-without-selected-file",
        Reason::NotOperational => "word-not-connected-error",
        Reason::AlreadyPrinting => "word-printing-already",
        Reason::NotActive => "word-not-printing",
        Reason::PlateNotClear => "word-plate-clear-2",
        Reason::CommandInFlight => "word-busy-another-command",
        Reason::PausedAtPrinter => "word-paused-printer",
        Reason::PrinterDisabled => "word-disabled-2",
        Reason::NotFound | Reason::PrinterRemoved => "word-no-longer-there",
        Reason::Forbidden => "word-outside-what-you-may",
        Reason::PrinterUnreachable => "batch-without-answer",
        Reason::UnknownState => "word-unknown-state",
        _ => "word-would-refuse",
    })
}
