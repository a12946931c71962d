//! What was observed since a command was sent.

use crate::domain::state::PrinterState;

/// States and prints that were observed since a command was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    pub(super) states: Vec<PrinterState>,
    /// Path of a print that began since the send, known from its event or from the print counters of the file.
    pub started: Option<String>,
    /// No reading and no event contains the file, because `GET /api/job` fails and the printer is polled.
    pub is_file_hidden: bool,
    /// OctoPrint accepted the command, so it was connected to its printer.
    pub is_accepted: bool,
}

impl Evidence {
    /// Adds a state. Each state is stored once.
    pub fn add_state(&mut self, state: PrinterState) {
        if !self.states.contains(&state) {
            self.states.push(state);
        }
    }

    /// Returns whether the printer was in this state since the send.
    pub fn has_state(&self, state: PrinterState) -> bool {
        self.states.contains(&state)
    }

    /// Returns whether OctoPrint was connected to its printer at some time since the send, before it closed the connection.
    pub(super) fn was_connected_before_close(&self) -> bool {
        let is_open = |state: &&PrinterState| !matches!(state, PrinterState::Offline | PrinterState::Error);
        self.states.iter().take_while(is_open).any(|state| state.is_operational())
    }

    /// Returns whether one of these states was observed since the send, before the job of that time ended.
    pub(super) fn had_state_before_job_end(&self, states: &[PrinterState]) -> bool {
        let states_of_job = self.states.iter().take_while(|state| !is_job_over(**state));
        states_of_job.into_iter().any(|state| states.contains(state))
    }
}

/// Returns whether an earlier job has ended when the printer shows this state.
fn is_job_over(state: PrinterState) -> bool {
    matches!(
        state,
        PrinterState::Operational | PrinterState::Transferring | PrinterState::Offline | PrinterState::Error
    )
}
