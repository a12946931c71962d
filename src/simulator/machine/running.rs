//! Runs G-code: the lines of the file one by one, and the scripts all at once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Ended, Machine, Progress, STEP, State};
use crate::simulator::gcode::{self, DWELL_OVERHEAD, Heater, Op, QUICK_LINE};

impl Machine {
    /// Called when the line in flight is acknowledged: sends the next line, or finishes.
    pub(super) fn next_line(&mut self, now: Instant) {
        let (Some(selected), Some(job)) = (&self.selected, &self.job) else { return };
        let blob = selected.blob.clone();
        let content = blob.bytes();
        let mut from = job.sent;
        // Comments are not sent and take no time, so they are skipped at once.
        let op = loop {
            let Some(end) = gcode::line_end(content, from) else { return self.finish(now) };
            let op = gcode::parse(content.get(from..end).unwrap_or_default());
            from = end;
            if op != Op::Nothing {
                break op;
            }
        };
        let work = self.work(op, now);
        let cost = self.scaled(work);
        if let Some(job) = &mut self.job {
            job.sent = from;
            job.line_done = now + cost;
        }
        match op {
            Op::Dwell(_) => self.tell("Dwelling", Value::Null),
            Op::Pause => self.paused_by_printer(false, now),
            Op::ChangeFilament => self.paused_by_printer(true, now),
            Op::EmergencyStop => self.emergency_stop(now),
            _ => {}
        }
    }

    fn finish(&mut self, now: Instant) {
        let time = self.print_time(now);
        let Some(selected) = &self.selected else { return };
        let path = selected.path.clone();
        self.last = Some(match selected.blob.bytes().len() {
            0 => Progress::of_an_empty_file(),
            size => Progress::of_a_done_print(size, time),
        });
        self.enter(State::Finishing);
        self.tell_of_file("PrintDone", json!({"owner": "admin", "time": time}));
        self.tell("MetadataStatisticsUpdated", json!({"storage": "local", "path": path}));
        self.ended.push(Ended { path, success: true, print_time: time });
        let script = self.script_time("afterPrintDone", now);
        self.until = Some(now + STEP + script);
    }

    /// Runs a script at once. Returns how long it takes from `now` on.
    pub(super) fn script_time(&mut self, name: &str, now: Instant) -> Duration {
        let Some(script) = self.scripts.get(name).cloned() else { return Duration::ZERO };
        let mut at = now;
        for line in script.lines() {
            let op = gcode::parse(line.as_bytes());
            if op != Op::Nothing {
                let work = self.work(op, at);
                at += self.scaled(work);
            }
        }
        at - now
    }

    /// Runs one line. Returns its duration, unscaled.
    pub(super) fn work(&mut self, op: Op, now: Instant) -> Duration {
        match op {
            Op::Nothing => Duration::ZERO,
            Op::Dwell(time) => time.saturating_add(DWELL_OVERHEAD),
            Op::Heat { heater, target, wait } => {
                let heater = match heater {
                    Heater::Tool => &mut self.tool,
                    Heater::Bed => &mut self.bed,
                };
                // The heater applies the scale itself, but this function returns unscaled times.
                let time = heater.set(target, now, self.scale).mul_f64(self.scale);
                if wait { time + QUICK_LINE } else { QUICK_LINE }
            }
            Op::Move { to, feed } => self.head.travel(to, feed).saturating_add(QUICK_LINE),
            Op::Declare(axes) => {
                self.head.declare(axes);
                QUICK_LINE
            }
            Op::Relative(relative) => {
                self.head.set_relative(relative);
                QUICK_LINE
            }
            Op::Pause | Op::ChangeFilament | Op::EmergencyStop | Op::Quick => QUICK_LINE,
        }
    }
}
