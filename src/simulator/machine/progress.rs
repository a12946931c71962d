//! `progress` of `GET /api/job`: the position in the file during a print, and what remains of it after the print.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Machine, MachineState};

/// Progress of a print that runs or has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Percent.
    pub completion: f64,
    pub filepos: usize,
    /// Seconds.
    pub print_time: f64,
    /// Seconds that are left, and the origin of this estimate.
    pub time_left: Option<(f64, &'static str)>,
}

impl Progress {
    /// Measured: 100 percent and no time left, until the next job.
    pub fn for_done_print(size: usize, print_time: f64) -> Self {
        Self { completion: 100.0, filepos: size, print_time, time_left: Some((0.0, "")) }
    }

    /// What OctoPrint reports for an empty file, whose print begins and ends within 10 ms.
    pub fn for_empty_file() -> Self {
        Self { completion: -100.0, filepos: 0, print_time: 0.0, time_left: None }
    }

    /// Returns the body. All fields are null if there is no progress.
    pub fn to_json(progress: Option<Self>) -> Value {
        let origin = progress.and_then(|it| it.time_left).map(|(_, origin)| origin).filter(|origin| !origin.is_empty());
        json!({
            "completion": progress.map(|it| it.completion),
            "filepos": progress.map(|it| it.filepos),
            "printTime": progress.map(|it| it.print_time.floor()).map(whole_seconds),
            "printTimeLeft": progress.and_then(|it| it.time_left).map(|(left, _)| whole_seconds(left.floor())),
            "printTimeLeftOrigin": origin,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of a print, far below 2^53")]
fn whole_seconds(seconds: f64) -> i64 {
    seconds as i64
}

impl Machine {
    /// Returns the progress at `now`. `average` is the mean print time of earlier prints of this file.
    #[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^53")]
    pub fn progress(&self, now: Instant, average: Option<f64>) -> Option<Progress> {
        let (Some(job), Some(selected)) = (&self.job, &self.selected) else { return self.last_progress };
        if matches!(self.state, MachineState::Cancelling | MachineState::Finishing) {
            return self.last_progress;
        }
        let size = selected.blob.bytes().len();
        let done = job.sent_bytes as f64 / size.max(1) as f64;
        let print_time = self.print_time(now);
        let time_left = match average {
            Some(average) => Some(((average - print_time).max(0.0), "average")),
            None if done > 0.0 => Some((print_time * (1.0 - done) / done, "linear")),
            None => None,
        };
        Some(Progress { completion: done * 100.0, filepos: job.sent_bytes, print_time, time_left })
    }

    /// Returns the print time so far in seconds, without pauses.
    pub(super) fn print_time(&self, now: Instant) -> f64 {
        self.job.as_ref().map_or(0.0, |job| {
            let until = job.paused_since.unwrap_or(now);
            let printed = until.saturating_duration_since(job.started_at).saturating_sub(job.paused_for);
            (job.printed_before + printed).as_secs_f64()
        })
    }
}
