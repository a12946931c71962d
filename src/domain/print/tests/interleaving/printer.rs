//! Simulated printer whose history is the truth.

use std::collections::VecDeque;

use super::*;

/// A change at a printer. Positions in the log of changes describe what a client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Began,
    Ended,
    Paused,
    Resumed,
    Selected,
    /// OctoPrint, or its connection to the printer, was restarted. No file is selected.
    Deselected,
}

/// A print as it really happened.
#[derive(Debug, Clone)]
pub struct TruePrint {
    pub file: &'static str,
    pub command: Option<Uuid>,
    pub began: i64,
    pub time_s: i64,
    pub result: Option<PrintResult>,
}

/// A step that the printer takes by itself.
#[derive(Debug, Clone)]
enum PlannedStep {
    State(S),
    Begins(Option<Uuid>),
    Ends(PrintResult),
    SendsEvent(PrinterEvent),
    LogsChange(Change),
}

struct Job {
    /// The print time without pauses.
    time_ms: i64,
    /// The time spent on the file itself. It determines the position in the file.
    printed_ms: i64,
    total_ms: i64,
}

pub struct ModelPrinter {
    pub now: i64,
    pub state: S,
    pub selected: Option<&'static str>,
    job: Option<Job>,
    /// The print time of the last print, while the printer shows it.
    last_print_time_s: Option<i64>,
    pub prints: Vec<TruePrint>,
    pub log: Vec<Change>,
    steps: VecDeque<PlannedStep>,
    /// Events in flight to the client, with the time and the length of the log when they were sent.
    pub socket: Option<VecDeque<(i64, usize, PrinterEvent)>>,
}

impl ModelPrinter {
    pub fn new() -> Self {
        Self {
            now: 1_000_000,
            state: S::Operational,
            selected: Some(A),
            job: None,
            last_print_time_s: None,
            prints: Vec::new(),
            log: Vec::new(),
            steps: VecDeque::new(),
            socket: None,
        }
    }

    /// Returns whether the printer has no planned steps.
    pub fn is_steady(&self) -> bool {
        self.steps.is_empty()
    }

    fn send_event(&mut self, event: PrinterEvent) {
        let (now, place) = (self.now, self.log.len());
        if let Some(socket) = &mut self.socket {
            socket.push_back((now, place, event));
        }
    }

    fn plan(&mut self, steps: impl IntoIterator<Item = PlannedStep>) {
        self.steps.extend(steps);
    }

    /// Executes the next step.
    pub fn step(&mut self) {
        let Some(step) = self.steps.pop_front() else { return };
        match step {
            PlannedStep::State(state) => {
                self.state = state;
                self.send_event(PrinterEvent::StateChanged { state, text: String::new() });
            }
            PlannedStep::Begins(command) => {
                let file = self.selected.expect("a file is selected");
                let total_ms = if file == A { 40_000 } else { 2_000 };
                self.job = Some(Job { time_ms: 0, printed_ms: 0, total_ms });
                self.last_print_time_s = None;
                self.prints.push(TruePrint { file, command, began: self.now, time_s: 0, result: None });
                self.log.push(Change::Began);
            }
            PlannedStep::Ends(result) => {
                let printed_s = self.job.take().map_or(0, |job| job.time_ms / 1_000);
                if let Some(print) = self.prints.last_mut() {
                    (print.result, print.time_s) = (Some(result), printed_s);
                }
                self.last_print_time_s = (result == PrintResult::Done).then_some(printed_s);
                self.log.push(Change::Ended);
                if result == PrintResult::Failed {
                    // The connection is closed, too, and the file is deselected.
                    (self.state, self.selected) = (S::Error, None);
                }
            }
            PlannedStep::SendsEvent(event) => self.send_event(event),
            PlannedStep::LogsChange(change) => self.log.push(change),
        }
    }

    /// Executes all planned steps.
    pub fn settle(&mut self) {
        while !self.is_steady() {
            self.step();
        }
    }

    /// Lets time pass. A print may end by being done.
    pub fn advance(&mut self, ms: i64) {
        let remaining_ms = self.job.as_ref().map(|job| job.total_ms - job.printed_ms);
        if let (S::Printing, true, Some(left)) = (self.state, self.is_steady(), remaining_ms)
            && left <= ms
        {
            self.run(left);
            self.finish();
            self.now += ms - left;
        } else {
            self.run(ms);
        }
    }

    fn run(&mut self, ms: i64) {
        self.now += ms;
        let Some(job) = &mut self.job else { return };
        if self.state == S::Printing {
            job.printed_ms = (job.printed_ms + ms).min(job.total_ms);
        }
        if matches!(self.state, S::Starting | S::Printing | S::Pausing | S::Resuming) {
            job.time_ms += ms;
        }
    }

    fn time_s(&self) -> Option<i64> {
        self.job.as_ref().map(|job| job.time_ms / 1_000)
    }

    fn finish(&mut self) {
        let (path, time_s) = (self.selected.unwrap_or_default().to_owned(), self.time_s());
        self.plan([
            PlannedStep::State(S::Finishing),
            PlannedStep::SendsEvent(PrinterEvent::PrintDone { path, time_s }),
            PlannedStep::Ends(PrintResult::Done),
            PlannedStep::State(S::Operational),
        ]);
        self.step();
    }

    pub fn select(&mut self, file: &'static str) {
        if self.state == S::Operational && self.is_steady() {
            self.selected = Some(file);
            self.last_print_time_s = None;
            self.log.push(Change::Selected);
            self.send_event(PrinterEvent::FileSelected { path: file.to_owned(), origin: "local".to_owned() });
        }
    }

    /// Starts a print of the selected file. Returns `false` if the printer refuses.
    pub fn start(&mut self, command: Option<Uuid>) -> bool {
        if self.state != S::Operational || !self.is_steady() || self.selected.is_none() {
            return false;
        }
        let (path, origin) = (self.selected.unwrap_or_default().to_owned(), "local".to_owned());
        self.plan([
            PlannedStep::Begins(command),
            PlannedStep::State(S::Starting),
            PlannedStep::SendsEvent(PrinterEvent::PrintStarted { path, origin }),
            PlannedStep::State(S::Printing),
        ]);
        for _ in 0..3 {
            self.step();
        }
        true
    }

    pub fn pause(&mut self) {
        if self.state == S::Printing && self.is_steady() {
            let path = self.selected.unwrap_or_default().to_owned();
            let paused = PlannedStep::SendsEvent(PrinterEvent::PrintPaused { path });
            self.plan([
                PlannedStep::LogsChange(Change::Paused),
                PlannedStep::State(S::Pausing),
                PlannedStep::State(S::Paused),
                paused,
            ]);
            self.step();
            self.step();
        }
    }

    pub fn resume(&mut self) {
        if self.state == S::Paused && self.is_steady() {
            self.plan([
                PlannedStep::LogsChange(Change::Resumed),
                PlannedStep::State(S::Resuming),
                PlannedStep::State(S::Printing),
            ]);
            self.step();
            self.step();
        }
    }

    pub fn cancel(&mut self) {
        if !matches!(self.state, S::Printing | S::Paused) || !self.is_steady() {
            return;
        }
        let (path, time_s) = (self.selected.unwrap_or_default().to_owned(), self.time_s());
        let reason = Some("cancelled".to_owned());
        self.plan([
            PlannedStep::State(S::Cancelling),
            PlannedStep::SendsEvent(PrinterEvent::PrintCancelled { path: path.clone(), time_s }),
            PlannedStep::SendsEvent(PrinterEvent::PrintFailed { path, reason, error: None, time_s }),
            PlannedStep::Ends(PrintResult::Cancelled),
            PlannedStep::State(S::Operational),
        ]);
        self.step();
    }

    /// The firmware halts. OctoPrint reports it in one of two orders.
    pub fn fail(&mut self, reason_first: bool) {
        if !matches!(self.state, S::Printing | S::Paused) || !self.is_steady() {
            return;
        }
        let path = self.selected.unwrap_or_default().to_owned();
        let (reason, error) = (Some("error".to_owned()), Some("MINTEMP".to_owned()));
        let failed = PlannedStep::SendsEvent(PrinterEvent::PrintFailed {
            path,
            reason,
            error: error.clone(),
            time_s: self.time_s(),
        });
        let error = PlannedStep::SendsEvent(PrinterEvent::Error { error: error.unwrap_or_default() });
        let (ends, closed) = (PlannedStep::Ends(PrintResult::Failed), [S::Error, S::Offline].map(PlannedStep::State));
        let [halted, offline] = closed;
        if reason_first {
            self.plan([failed, ends, halted, error, offline]);
        } else {
            self.plan([ends, halted, error, offline, failed]);
        }
        self.step();
    }

    pub fn connect(&mut self) {
        if matches!(self.state, S::Offline | S::Error) && self.is_steady() {
            self.plan([
                PlannedStep::State(S::Connecting),
                PlannedStep::LogsChange(Change::Deselected),
                PlannedStep::State(S::Operational),
            ]);
        }
    }

    /// OctoPrint is killed and starts again. The job is lost without an event.
    pub fn restart(&mut self) {
        self.socket = None;
        // An end that had begun keeps its result.
        let ending = self.steps.drain(..).find_map(|step| match step {
            PlannedStep::Ends(result) => Some(result),
            PlannedStep::State(_)
            | PlannedStep::Begins(_)
            | PlannedStep::SendsEvent(_)
            | PlannedStep::LogsChange(_) => None,
        });
        if self.job.is_some() {
            self.plan([PlannedStep::Ends(ending.unwrap_or(PrintResult::Unknown))]);
            self.settle();
        }
        (self.selected, self.last_print_time_s, self.state) = (None, None, S::Operational);
        self.log.push(Change::Deselected);
    }

    /// Returns a reply to `GET /api/job`.
    pub fn read(&self) -> JobReading {
        let mut read = match (&self.job, self.last_print_time_s) {
            (Some(job), _) if self.state != S::Cancelling => {
                let part = u32::try_from(job.printed_ms * 1_000 / job.total_ms).unwrap_or_default();
                let completion = Some(f64::from(part) / 10.0);
                reading(self.state, self.selected, completion, u64::from(part), job.time_ms / 1_000)
            }
            (None, Some(time_s)) => reading(self.state, self.selected, Some(100.0), 1_000, time_s),
            (Some(_) | None, _) => reading(self.state, self.selected, None, 0, 0),
        };
        if self.state == S::Error {
            read.error = Some("MINTEMP".to_owned());
        }
        read
    }
}
