//! The state of a simulated printer at the start of its farm.

use super::SimulatedPrinter;
use crate::simulator::config::{InitialJob, Scenario};

impl SimulatedPrinter {
    /// Puts the printer into the state of a scenario. A print of a file that the printer does not have is left out.
    pub(in crate::simulator) fn begin_scenario(&self, scenario: &Scenario) {
        self.with_inner(|inner, now| {
            let selected = |path: &str| inner.files.to_selected(path);
            match &scenario.job {
                InitialJob::Idle => {}
                InitialJob::Printing(print) | InitialJob::Paused(print) => {
                    if let Some(file) = selected(&print.path) {
                        let is_paused = matches!(scenario.job, InitialJob::Paused(_));
                        inner.machine.continue_print(file, print, is_paused, now);
                    }
                }
                InitialJob::Done { path, print_time } => {
                    if let Some(file) = selected(path) {
                        inner.machine.show_done_print(file, *print_time);
                    }
                }
                InitialJob::Halted(error) => inner.machine.halt_firmware(error, now),
            }
        });
        if scenario.is_key_revoked {
            self.revoke_key();
        }
        if scenario.fault.is_some() {
            self.set_fault(scenario.fault.clone());
        }
    }
}
