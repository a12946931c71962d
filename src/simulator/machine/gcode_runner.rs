//! Runs G-code: the lines of the file one by one, and the scripts all at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{EndedPrint, Machine, MachineState, Progress, TRANSITION_TIME};
use crate::simulator::gcode::{self, DWELL_OVERHEAD, GcodeOperation, Heater, QUICK_LINE};

impl Machine {
    /// Called when the line in flight is acknowledged: sends the next line, or finishes.
    pub(super) fn run_next_line(&mut self, now: Instant) {
        let (Some(selected), Some(job)) = (&self.selected, &self.job) else { return };
        let blob = selected.blob.clone();
        let content = blob.bytes();
        let mut from = job.sent_bytes;
        // Comments are not sent and take no time, so they are skipped at once.
        let op = loop {
            let Some(end) = gcode::line_end(content, from) else { return self.finish_print(now) };
            let op = gcode::parse(content.get(from..end).unwrap_or_default());
            from = end;
            if op != GcodeOperation::Nothing {
                break op;
            }
        };
        let work = self.run_line(op, now);
        let cost = self.scale_time(work);
        if let Some(job) = &mut self.job {
            job.sent_bytes = from;
            job.line_done_at = now + cost;
        }
        match op {
            GcodeOperation::Dwell(_) => self.emit_event("Dwelling", Value::Null),
            GcodeOperation::Pause => self.pause_from_printer(false, now),
            GcodeOperation::ChangeFilament => self.pause_from_printer(true, now),
            GcodeOperation::EmergencyStop => self.emergency_stop(now),
            _ => {}
        }
    }

    fn finish_print(&mut self, now: Instant) {
        let time = self.print_time(now);
        let Some(selected) = &self.selected else { return };
        let path = selected.path.clone();
        self.last_progress = Some(match selected.blob.bytes().len() {
            0 => Progress::for_empty_file(),
            size => Progress::for_done_print(size, time),
        });
        self.enter_state(MachineState::Finishing);
        self.emit_file_event("PrintDone", json!({"owner": "admin", "time": time}));
        self.emit_event("MetadataStatisticsUpdated", json!({"storage": "local", "path": path}));
        self.ended_prints.push(EndedPrint { path, success: true, print_time: time });
        let script = self.run_script("afterPrintDone", now);
        self.state_ends_at = Some(now + TRANSITION_TIME + script);
    }

    /// Runs a script at once. Returns how long it takes from `now` on.
    pub(super) fn run_script(&mut self, name: &str, now: Instant) -> Duration {
        let Some(script) = self.scripts.get(name).cloned() else { return Duration::ZERO };
        let mut at = now;
        for line in script.lines() {
            let op = gcode::parse(line.as_bytes());
            if op != GcodeOperation::Nothing {
                let work = self.run_line(op, at);
                at += self.scale_time(work);
            }
        }
        at - now
    }

    /// Runs one line. Returns its duration, unscaled.
    pub(super) fn run_line(&mut self, op: GcodeOperation, now: Instant) -> Duration {
        match op {
            GcodeOperation::Nothing => Duration::ZERO,
            GcodeOperation::Dwell(time) => time.saturating_add(DWELL_OVERHEAD),
            GcodeOperation::Heat { heater, target, wait } => {
                let heater = match heater {
                    Heater::Tool => &mut self.tool,
                    Heater::Bed => &mut self.bed,
                };
                // The heater applies the scale itself, but this function returns unscaled times.
                let time = heater.set_target(target, now, self.scale).mul_f64(self.scale);
                if wait { time + QUICK_LINE } else { QUICK_LINE }
            }
            GcodeOperation::Move { to, feed } => self.head.move_to(to, feed).saturating_add(QUICK_LINE),
            GcodeOperation::SetPosition(axes) => {
                self.head.set_position(axes);
                QUICK_LINE
            }
            GcodeOperation::Relative(relative) => {
                self.head.set_relative(relative);
                QUICK_LINE
            }
            GcodeOperation::Pause
            | GcodeOperation::ChangeFilament
            | GcodeOperation::EmergencyStop
            | GcodeOperation::Quick => QUICK_LINE,
        }
    }
}
