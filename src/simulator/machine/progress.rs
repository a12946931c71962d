//! `progress` of `GET /api/job`: by position in the file, and what is left of it after a print.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Machine, State};

/// How far a print is, or was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Percent.
    pub completion: f64,
    pub filepos: usize,
    /// Seconds.
    pub print_time: f64,
    /// Seconds, and where the guess comes from.
    pub left: Option<(f64, &'static str)>,
}

impl Progress {
    /// Measured: 100 percent, nothing left, until the next job.
    pub fn of_a_done_print(size: usize, print_time: f64) -> Self {
        Self { completion: 100.0, filepos: size, print_time, left: Some((0.0, "")) }
    }

    /// What OctoPrint says of the print of a file without a byte, which begins and is done within 10 ms.
    pub fn of_an_empty_file() -> Self {
        Self { completion: -100.0, filepos: 0, print_time: 0.0, left: None }
    }

    /// The body; all null where there is nothing to say.
    pub fn to_json(progress: Option<Self>) -> Value {
        let origin = progress.and_then(|it| it.left).map(|(_, origin)| origin).filter(|origin| !origin.is_empty());
        json!({
            "completion": progress.map(|it| it.completion),
            "filepos": progress.map(|it| it.filepos),
            "printTime": progress.map(|it| it.print_time.floor()).map(whole),
            "printTimeLeft": progress.and_then(|it| it.left).map(|(left, _)| whole(left.floor())),
            "printTimeLeftOrigin": origin,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of a print, far below 2^53")]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

impl Machine {
    /// As of `now`; `average` is the mean time of this file's earlier prints.
    #[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^53")]
    pub fn progress(&self, now: Instant, average: Option<f64>) -> Option<Progress> {
        let (Some(job), Some(selected)) = (&self.job, &self.selected) else { return self.last };
        if matches!(self.state, State::Cancelling | State::Finishing) {
            return self.last;
        }
        let size = selected.blob.bytes().len();
        let done = job.sent as f64 / size.max(1) as f64;
        let print_time = self.print_time(now);
        let left = match average {
            Some(average) => Some(((average - print_time).max(0.0), "average")),
            None if done > 0.0 => Some((print_time * (1.0 - done) / done, "linear")),
            None => None,
        };
        Some(Progress { completion: done * 100.0, filepos: job.sent, print_time, left })
    }

    /// Seconds of printing so far, without pauses.
    pub(super) fn print_time(&self, now: Instant) -> f64 {
        self.job.as_ref().map_or(0.0, |job| {
            let until = job.held_since.unwrap_or(now);
            until.saturating_duration_since(job.began).saturating_sub(job.held).as_secs_f64()
        })
    }
}
