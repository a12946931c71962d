//! A week of prints and batches that end in the situations of the plan.
//!
//! Several times a day, people and an ERP system start a part on the printers that are free. A print occupies its printer
//! until its end and until its plate is cleared. Everything follows from the plan, the time and the random generator.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc, Weekday};
use printyard::domain::{
    command::{Command, Reason},
    print::PrintResult,
};
use rand::{RngExt as _, rngs::StdRng};
use uuid::Uuid;

use super::{
    parts::{PRINTER_TYPES, PartFile},
    plan::{FIRMWARE_ERROR, LastPrint, PlannedPrinter, Situation, id_at},
};

const DAYS: i64 = 7;
/// Times of the day at which batches start (UTC), as hour and minute.
const START_TIMES: [(u32, u32); 4] = [(6, 30), (10, 15), (14, 0), (18, 40)];
/// Time until a plate is clear.
const PLATE_MINUTES: i64 = 12;
/// Time from a send to its confirmation.
const CONFIRM_MS: i64 = 640;

/// Reasons of failed prints.
const FAILURES: [&str; 3] =
    ["MINTEMP triggered! - Not SD printing", "Filament jam detected at the extruder", FIRMWARE_ERROR];

/// Who created a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester {
    Anna,
    Erp,
}

/// A batch that has ended.
pub struct PastBatch {
    pub id: Uuid,
    pub by: Requester,
    pub at: DateTime<Utc>,
    pub command: Command,
    /// Index of the file that a start names.
    pub file: Option<usize>,
    pub reason: Option<&'static str>,
    pub external_ref: Option<String>,
    pub rows: Vec<PastRow>,
}

/// The command to one printer.
pub struct PastRow {
    pub id: Uuid,
    /// Index of the printer.
    pub printer: usize,
    /// Why it was rejected. `None`: it was confirmed.
    pub refusal: Option<Reason>,
    /// The print that it started or cancelled.
    pub print_id: Option<Uuid>,
    pub finished_at: DateTime<Utc>,
}

/// A print that has begun.
pub struct PastPrint {
    pub id: Uuid,
    /// Index of the printer.
    pub printer: usize,
    /// Index of the file.
    pub file: usize,
    /// The command that started it. `None`: a person at the printer did.
    pub command_id: Option<Uuid>,
    pub started_at: DateTime<Utc>,
    pub end: Option<PastEnd>,
    /// It was paused at the printer.
    pub is_paused: bool,
}

/// The end of a print.
pub struct PastEnd {
    pub at: DateTime<Utc>,
    pub result: PrintResult,
    pub reason: Option<String>,
    /// The command that cancelled it.
    pub command_id: Option<Uuid>,
}

/// Everything that happened before the start of the demo, in order of time.
#[derive(Default)]
pub struct History {
    pub batches: Vec<PastBatch>,
    pub prints: Vec<PastPrint>,
}

/// Builds a history up to `now`.
pub struct HistoryBuilder<'a> {
    printers: &'a [PlannedPrinter],
    files: &'a [PartFile],
    speed: f64,
    now: DateTime<Utc>,
    rng: StdRng,
    history: History,
    /// Indices of the prints that a person is about to cancel.
    cancelled: Vec<usize>,
    /// When each printer is free again.
    free_from: Vec<DateTime<Utc>>,
    /// When each printer begins the print of its situation.
    free_until: Vec<DateTime<Utc>>,
    orders: u32,
}

impl<'a> HistoryBuilder<'a> {
    /// `speed`: the print speed of the last prints, as a multiple of the speed of real printers.
    pub fn new(
        printers: &'a [PlannedPrinter],
        files: &'a [PartFile],
        speed: f64,
        now: DateTime<Utc>,
        rng: StdRng,
    ) -> Self {
        let last_start = |planned: &PlannedPrinter| {
            planned.last_print(&files[planned.file], speed, now).map_or(now, |print| print.started_at)
        };
        Self {
            printers,
            files,
            speed,
            now,
            rng,
            history: History::default(),
            cancelled: Vec::new(),
            free_from: vec![now - TimeDelta::days(DAYS); printers.len()],
            free_until: printers.iter().map(last_start).collect(),
            orders: 411,
        }
    }

    /// Returns the whole history.
    pub fn build(mut self) -> History {
        let now = self.now;
        let begin = now - TimeDelta::days(DAYS);
        for day in begin.date_naive().iter_days().take_while(|day| *day <= now.date_naive()) {
            for (slot, (hour, minute)) in START_TIMES.into_iter().enumerate() {
                let Some(at) = day.and_hms_opt(hour, minute, 0).map(|at| at.and_utc()) else { continue };
                let is_working_time = at.weekday() != Weekday::Sun || slot == 1;
                if is_working_time && (begin..now).contains(&at) {
                    self.start_parts(at, if slot % 2 == 0 { Requester::Erp } else { Requester::Anna });
                }
            }
        }
        self.start_last_prints();
        let mut history = self.history;
        history.batches.sort_by_key(|batch| batch.at);
        history.prints.sort_by_key(|print| print.started_at);
        history
    }

    /// Starts one part of each printer type on the printers that are free.
    fn start_parts(&mut self, at: DateTime<Utc>, by: Requester) {
        for printer_type in 0..PRINTER_TYPES.len() {
            let own_files: Vec<usize> =
                (0..self.files.len()).filter(|file| self.files[*file].printer_type == printer_type).collect();
            let file = own_files[self.rng.random_range(0..own_files.len())];
            let at = at + TimeDelta::seconds(self.rng.random_range(10..1_500));
            let needed = self.print_time(file) * 11 / 10 + TimeDelta::minutes(PLATE_MINUTES);
            let is_free = |printer: &usize| {
                self.printers[*printer].printer_type == printer_type
                    && self.free_from[*printer] <= at
                    && at + needed < self.free_until[*printer]
            };
            let printers: Vec<usize> = (0..self.printers.len()).filter(is_free).collect();
            let Some(first) = printers.first() else { continue };
            if self.rng.random_bool(0.08) {
                // A person starts this part at the printer.
                self.begin_print(*first, file, None, at);
            } else {
                self.start_file(&printers, file, at, by);
            }
        }
        if !self.cancelled.is_empty() {
            let minutes = self.rng.random_range(35..60);
            self.cancel_prints(at + TimeDelta::minutes(minutes));
        }
    }

    /// Adds a batch that starts a file. A few of its commands have no effect.
    fn start_file(&mut self, printers: &[usize], file: usize, at: DateTime<Utc>, by: Requester) {
        let mut rows = Vec::new();
        for (position, printer) in printers.iter().enumerate() {
            let id = id_at(at, &mut self.rng);
            let is_refused = position > 0 && self.rng.random_bool(0.06);
            let row = PastRow { id, printer: *printer, refusal: None, print_id: None, finished_at: at };
            rows.push(if is_refused {
                PastRow { refusal: Some(Reason::PlateNotClear), ..row }
            } else {
                let finished_at = self.confirmed_at(at);
                PastRow { print_id: Some(self.begin_print(*printer, file, Some(id), finished_at)), finished_at, ..row }
            });
        }
        self.add_batch(Command::Start, Some(file), by, at, rows);
    }

    /// Begins a print and decides how it ends. Returns its id.
    fn begin_print(
        &mut self,
        printer: usize,
        file: usize,
        command_id: Option<Uuid>,
        started_at: DateTime<Utc>,
    ) -> Uuid {
        let id = id_at(started_at, &mut self.rng);
        let time = self.print_time(file) * self.rng.random_range(97..104) / 100;
        let end = |at: DateTime<Utc>, result: PrintResult, reason: Option<&str>| {
            Some(PastEnd { at, result, reason: reason.map(str::to_owned), command_id: None })
        };
        let end = match self.rng.random_range(0..100) {
            0..5 => {
                let at = started_at + time * self.rng.random_range(10..90) / 100;
                let reason = FAILURES[self.rng.random_range(0..FAILURES.len())];
                end(at, PrintResult::Failed, Some(reason))
            }
            5..9 => {
                self.cancelled.push(self.history.prints.len());
                None
            }
            _ => end(started_at + time, PrintResult::Done, None),
        };
        let ends_at = end.as_ref().map_or(started_at + time, |end| end.at);
        self.free_from[printer] = ends_at + TimeDelta::minutes(PLATE_MINUTES);
        self.history.prints.push(PastPrint { id, printer, file, command_id, started_at, end, is_paused: false });
        id
    }

    /// Adds the batch that cancels prints.
    fn cancel_prints(&mut self, at: DateTime<Utc>) {
        let mut rows = Vec::new();
        for index in std::mem::take(&mut self.cancelled) {
            let (id, finished_at) = (id_at(at, &mut self.rng), self.confirmed_at(at));
            let print = &mut self.history.prints[index];
            print.end =
                Some(PastEnd { at: finished_at, result: PrintResult::Cancelled, reason: None, command_id: Some(id) });
            self.free_from[print.printer] = finished_at + TimeDelta::minutes(PLATE_MINUTES);
            let print_id = Some(print.id);
            rows.push(PastRow { id, printer: print.printer, refusal: None, print_id, finished_at });
        }
        self.add_batch(Command::Cancel, None, Requester::Anna, at, rows);
    }

    /// Adds the prints of the plan, which still run or are on the plates. Prints of one file that began at the same time
    /// are one batch.
    fn start_last_prints(&mut self) {
        let mut starts: BTreeMap<_, Vec<(usize, LastPrint)>> = BTreeMap::new();
        for (printer, planned) in self.printers.iter().enumerate() {
            if let Some(print) = planned.last_print(&self.files[planned.file], self.speed, self.now) {
                starts.entry((print.started_at, planned.file)).or_default().push((printer, print));
            }
        }
        for ((started_at, file), prints) in starts {
            let at = started_at - TimeDelta::milliseconds(CONFIRM_MS);
            let by = if self.rng.random_bool(0.5) { Requester::Anna } else { Requester::Erp };
            let mut rows = Vec::new();
            for (printer, print) in prints {
                let (id, print_id) = (id_at(at, &mut self.rng), id_at(started_at, &mut self.rng));
                let is_paused = matches!(self.printers[printer].situation, Situation::PausedAtPrinter { .. });
                let end = print.end.map(|(at, result)| PastEnd {
                    at,
                    result,
                    reason: (result == PrintResult::Failed).then(|| FIRMWARE_ERROR.to_owned()),
                    command_id: None,
                });
                let command_id = Some(id);
                let print = PastPrint { id: print_id, printer, file, command_id, started_at, end, is_paused };
                self.history.prints.push(print);
                rows.push(PastRow { id, printer, refusal: None, print_id: Some(print_id), finished_at: started_at });
            }
            self.add_batch(Command::Start, Some(file), by, at, rows);
        }
    }

    fn add_batch(
        &mut self,
        command: Command,
        file: Option<usize>,
        by: Requester,
        at: DateTime<Utc>,
        rows: Vec<PastRow>,
    ) {
        let external_ref = (by == Requester::Erp).then(|| {
            self.orders += 1;
            format!("MO/{:05}", self.orders)
        });
        let reason = (command == Command::Cancel).then_some("first layer came loose");
        let id = id_at(at, &mut self.rng);
        self.history.batches.push(PastBatch { id, by, at, command, file, reason, external_ref, rows });
    }

    fn print_time(&self, file: usize) -> TimeDelta {
        TimeDelta::seconds(self.files[file].print_time_s.into())
    }

    fn confirmed_at(&mut self, sent_at: DateTime<Utc>) -> DateTime<Utc> {
        sent_at + TimeDelta::milliseconds(CONFIRM_MS + self.rng.random_range(0..900))
    }
}
