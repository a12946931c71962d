//! Prints that began before the machine was created, and the jump to the end of a print.

use std::time::{Duration, Instant};

use super::{HeaterModel, Machine, MachineState, PrintJob, Progress, SelectedFile};
use crate::simulator::{config::InitialPrint, gcode};

impl Machine {
    /// Puts an idle machine into the middle of a print. No events are sent.
    pub fn continue_print(&mut self, file: SelectedFile, print: &InitialPrint, is_paused: bool, now: Instant) {
        self.job = Some(PrintJob {
            sent_bytes: line_start_at(file.blob.bytes(), print.done),
            line_done_at: now,
            started_at: now,
            printed_before: print.print_time,
            paused_for: Duration::ZERO,
            paused_since: is_paused.then_some(now),
        });
        self.selected = Some(file);
        self.state = if is_paused { MachineState::Paused } else { MachineState::Printing };
        [self.tool, self.bed] = print.temperatures_c.map(|target| HeaterModel::at_target(target, now));
    }

    /// Shows the progress of a print that is done. No events are sent.
    pub fn show_done_print(&mut self, file: SelectedFile, print_time: Duration) {
        self.last_progress = Some(Progress::for_done_print(file.blob.bytes().len(), print_time.as_secs_f64()));
        self.selected = Some(file);
    }

    /// Skips the rest of the file. Does nothing unless the machine prints.
    pub(super) fn skip_to_end(&mut self, now: Instant) {
        if self.state == MachineState::Printing
            && let (Some(job), Some(file)) = (&mut self.job, &self.selected)
        {
            job.sent_bytes = file.blob.bytes().len();
            job.line_done_at = now;
        }
    }
}

/// Returns the start of the first line at or after this part of a file.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "file sizes are far below 2^53, and the part is between 0 and 1"
)]
fn line_start_at(content: &[u8], part: f64) -> usize {
    match (content.len() as f64 * part.clamp(0.0, 1.0)) as usize {
        0 => 0,
        position => gcode::line_end(content, position - 1).unwrap_or(content.len()),
    }
}
