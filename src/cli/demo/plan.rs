//! What each printer of the demo does at the start: its place, its type and its situation.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    domain::{
        print::PrintResult,
        printer::{Printer, PrinterDetails},
    },
    simulator::{Fault, InitialJob, InitialPrint, Scenario},
};
use rand::{RngExt as _, rngs::StdRng, seq::SliceRandom as _};
use uuid::Uuid;

use super::{
    orders::is_opted_in,
    parts::{PRINTER_TYPES, PartFile, PrinterType},
};

/// Text of the firmware error.
pub const FIRMWARE_ERROR: &str = "Thermal Runaway, system stopped! Heater_ID: bed - Printer halted. kill() called!";
/// Time until the print that is almost done ends, in seconds.
const LAST_SECONDS: f64 = 75.0;
/// Parts of their prints that printers have done. The first print is almost done.
const DONE_PARTS: [f64; 8] = [1.0, 0.31, 0.84, 0.07, 0.62, 0.17, 0.47, 0.74];
/// When the prints ended that are still on their plates, in minutes before the start.
const ENDED_MINUTES: [i64; 5] = [6, 34, 17, 95, 58];

/// What a printer does at the start of the demo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Situation {
    /// It prints a file, of which this part is done.
    Printing {
        done: f64,
    },
    /// Its last print is on the plate.
    PlateOccupied {
        ended_minutes: i64,
    },
    Ready,
    /// The firmware has halted during a print.
    Halted {
        minutes: i64,
    },
    /// It prints, but does not answer.
    Unreachable {
        done: f64,
        minutes: i64,
    },
    /// It refuses its key.
    KeyRefused,
    /// Its print was paused at the printer.
    PausedAtPrinter {
        done: f64,
        minutes: i64,
    },
}

/// A printer of the demo.
pub struct PlannedPrinter {
    pub printer: Printer,
    pub situation: Situation,
    /// Index of its last or current file.
    pub file: usize,
    /// Index of its type.
    pub printer_type: usize,
}

/// The last print of a printer, or the current one.
pub struct LastPrint {
    pub started_at: DateTime<Utc>,
    pub end: Option<(DateTime<Utc>, PrintResult)>,
    /// Print time when the printer last answered.
    pub print_time: TimeDelta,
    /// When the printer last answered.
    pub observed_at: DateTime<Utc>,
}

impl PlannedPrinter {
    /// Returns the type of the printer.
    pub fn kind(&self) -> &'static PrinterType {
        &PRINTER_TYPES[self.printer_type]
    }

    /// Returns what the simulated printer does at the start. `speed`: as a multiple of the speed of real printers.
    pub fn scenario(&self, file: &PartFile, speed: f64) -> Scenario {
        let print_time = |done: f64| Duration::from_secs_f64(f64::from(file.print_time_s) * done / speed);
        let print = |done: f64| InitialPrint {
            path: file.path.clone(),
            done,
            print_time: print_time(done),
            temperatures_c: self.kind().temperatures_c.map(f64::from),
        };
        let idle = InitialJob::Done { path: file.path.clone(), print_time: print_time(1.0) };
        match self.situation {
            Situation::Printing { done } => Scenario { job: InitialJob::Printing(print(done)), ..Scenario::default() },
            Situation::PausedAtPrinter { done, .. } => {
                Scenario { job: InitialJob::Paused(print(done)), ..Scenario::default() }
            }
            Situation::Unreachable { done, .. } => {
                Scenario { job: InitialJob::Printing(print(done)), fault: Some(Fault::Refuse), ..Scenario::default() }
            }
            Situation::Halted { .. } => {
                Scenario { job: InitialJob::Halted(FIRMWARE_ERROR.to_owned()), ..Scenario::default() }
            }
            Situation::KeyRefused => Scenario { job: idle, is_key_revoked: true, ..Scenario::default() },
            Situation::PlateOccupied { .. } | Situation::Ready => Scenario { job: idle, ..Scenario::default() },
        }
    }

    /// Returns the print that the situation shows. `None`: the plate is clear.
    pub fn last_print(&self, file: &PartFile, speed: f64, now: DateTime<Utc>) -> Option<LastPrint> {
        let whole = f64::from(file.print_time_s) / speed;
        let time = |done: f64| TimeDelta::milliseconds((whole * done * 1_000.0).round() as i64);
        let open = |done: f64, paused: TimeDelta, unseen: TimeDelta| LastPrint {
            started_at: now - time(done) - paused,
            end: None,
            print_time: (time(done) - unseen).max(TimeDelta::zero()),
            observed_at: now - unseen,
        };
        let ended = |minutes: i64, done: f64, result: PrintResult| {
            let ended_at = now - TimeDelta::minutes(minutes);
            let (started_at, end) = (ended_at - time(done), Some((ended_at, result)));
            LastPrint { started_at, end, print_time: time(done), observed_at: now }
        };
        match self.situation {
            Situation::Printing { done } => Some(open(done, TimeDelta::zero(), TimeDelta::zero())),
            Situation::PausedAtPrinter { done, minutes } => {
                Some(open(done, TimeDelta::minutes(minutes), TimeDelta::zero()))
            }
            Situation::Unreachable { done, minutes } => {
                Some(open(done, TimeDelta::zero(), TimeDelta::minutes(minutes)))
            }
            Situation::PlateOccupied { ended_minutes } => Some(ended(ended_minutes, 1.0, PrintResult::Done)),
            Situation::Halted { minutes } => Some(ended(minutes, 0.4, PrintResult::Failed)),
            Situation::Ready | Situation::KeyRefused => None,
        }
    }
}

/// Plans printers, which have no addresses yet.
pub fn plan_printers(count: usize, files: &[PartFile], rng: &mut StdRng, now: DateTime<Utc>) -> Vec<PlannedPrinter> {
    let mut situations = plan_situations(count);
    situations.shuffle(rng);
    let registered_at = now - TimeDelta::days(30);
    let mut printing = 0;
    let plan = |(index, situation): (usize, Situation)| {
        let printer_type = index % PRINTER_TYPES.len();
        let own_files: Vec<usize> = (0..files.len()).filter(|file| files[*file].printer_type == printer_type).collect();
        let file = own_files[rng.random_range(0..own_files.len())];
        let situation = match situation {
            Situation::Printing { .. } => {
                printing += 1;
                Situation::Printing { done: part_done(printing - 1, &files[file]) }
            }
            other => other,
        };
        let mut details = describe_printer(index, "");
        details.production.auto = is_opted_in(situation);
        details.production.auto_since = details.production.auto.then_some(registered_at);
        let id = id_at(registered_at, rng);
        let printer =
            Printer { id, details, attention: None, version: 1, created_at: registered_at, updated_at: registered_at };
        PlannedPrinter { printer, situation, file, printer_type }
    };
    situations.into_iter().enumerate().map(plan).collect()
}

/// Returns the situations of a farm: 60 % print, 15 % have an occupied plate, 15 % are ready, and the others need help.
/// A farm of a dozen printers has each kind of trouble.
fn plan_situations(printers: usize) -> Vec<Situation> {
    let troubles = (printers / 10).max(4).min(printers / 3);
    let (plates, ready) = (printers * 15 / 100, (printers * 15 + 50) / 100);
    let trouble = |index: usize| match index % 4 {
        0 => Situation::PausedAtPrinter { done: 0.42, minutes: 9 },
        1 => Situation::Halted { minutes: 12 },
        2 => Situation::Unreachable { done: 0.55, minutes: 14 },
        _ => Situation::KeyRefused,
    };
    let plate = |index: usize| Situation::PlateOccupied { ended_minutes: ENDED_MINUTES[index % ENDED_MINUTES.len()] };
    let mut situations: Vec<Situation> = (0..troubles).map(trouble).chain((0..plates).map(plate)).collect();
    situations.resize(situations.len() + ready, Situation::Ready);
    situations.resize(printers, Situation::Printing { done: 0.0 });
    situations
}

/// Returns which part of its print the `index`-th printing printer has done. Only the first print ends soon.
fn part_done(index: usize, file: &PartFile) -> f64 {
    match index {
        0 => 1.0 - LAST_SECONDS / f64::from(file.print_time_s),
        _ => DONE_PARTS[1 + (index - 1) % (DONE_PARTS.len() - 1)],
    }
}

/// Returns name, place and type of the printer at an index.
pub fn describe_printer(index: usize, url: &str) -> PrinterDetails {
    let kind = &PRINTER_TYPES[index % PRINTER_TYPES.len()];
    let model = kind.model.trim_end_matches('+');
    let hall = if index.is_multiple_of(2) { "hall-a" } else { "hall-b" };
    let mut details = PrinterDetails::new(format!("{model}-{:02}", index / PRINTER_TYPES.len() + 1), url);
    details.tags = vec![hall.to_owned(), model.to_lowercase()];
    details.profile.model = Some(kind.model.to_owned());
    details.profile.material = Some(kind.material.to_owned());
    details.profile.color = Some(kind.color.to_owned());
    details.profile.nozzle_mm = Some(kind.nozzle_mm);
    details.profile.bed_mm = Some(kind.bed_mm);
    details.profile.power_group = Some(format!("{hall}-{}", index / 8 + 1));
    details
}

/// Returns an id that sorts by this time.
pub fn id_at(at: DateTime<Utc>, rng: &mut StdRng) -> Uuid {
    let milliseconds = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &rng.random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many printers print, have an occupied plate, are ready, and need help.
    fn count_situations(printers: usize) -> [usize; 4] {
        let mut counts = [0; 4];
        for situation in plan_situations(printers) {
            counts[match situation {
                Situation::Printing { .. } => 0,
                Situation::PlateOccupied { .. } => 1,
                Situation::Ready => 2,
                Situation::Halted { .. }
                | Situation::Unreachable { .. }
                | Situation::KeyRefused
                | Situation::PausedAtPrinter { .. } => 3,
            }] += 1;
        }
        counts
    }

    #[test]
    fn most_printers_print_and_some_need_help_in_farms_of_every_size() {
        for (printers, counts) in
            [(1, [1, 0, 0, 0]), (3, [2, 0, 0, 1]), (12, [5, 1, 2, 4]), (60, [36, 9, 9, 6]), (300, [180, 45, 45, 30])]
        {
            assert_eq!(count_situations(printers), counts, "{printers}");
        }
    }

    #[test]
    fn only_one_print_is_almost_done() {
        let file = &super::super::parts::create_files().expect("files")[0];
        let soon = (0..200).filter(|index| part_done(*index, file) > 0.9).count();
        assert_eq!(soon, 1);
    }
}
