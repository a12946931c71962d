//! Test fixture: a print tracker with a manual clock, and the readings and events of printers.

use crate::domain::print::tests::*;

/// A tracker with a clock that the test sets.
pub struct TrackerFixture {
    pub tracker: PrintTracker,
    pub second: i64,
    pub next_id: u128,
    pub pushed: bool,
    pub starting: Option<Uuid>,
    pub pausing: Option<Uuid>,
    pub resuming: Option<Uuid>,
    pub cancelling: Option<Uuid>,
    pub facts: Vec<PrintFact>,
}

pub const A: &str = "a.gcode";
pub const B: &str = "b.gcode";

pub fn command(n: u128) -> Uuid {
    Uuid::from_u128(1_000 + n)
}

pub fn file(path: &str) -> FileRef {
    FileRef { path: path.to_owned(), origin: "local".to_owned() }
}

/// A reply to `GET /api/job`: state, file, completion, position, print time.
pub fn reading(state: S, path: Option<&str>, completion: Option<f64>, position: u64, time: i64) -> JobReading {
    let has_progress = completion.is_some();
    JobReading {
        state,
        state_text: String::new(),
        error: None,
        file: path.map(|path| JobFile {
            name: path.to_owned(),
            path: path.to_owned(),
            origin: "local".to_owned(),
            size: Some(1_000),
            date: None,
        }),
        user: None,
        estimated_print_time_s: None,
        progress: Progress {
            completion,
            print_time_s: has_progress.then_some(time),
            print_time_left_s: None,
            file_position: has_progress.then_some(position),
        },
    }
}

pub fn idle(path: &str) -> JobReading {
    reading(S::Operational, Some(path), None, 0, 0)
}

pub fn done(path: &str, time: i64) -> JobReading {
    reading(S::Operational, Some(path), Some(100.0), 1_000, time)
}

pub fn printing(path: &str, position: u64, time: i64) -> JobReading {
    reading(S::Printing, Some(path), Some(10.0), position, time)
}

pub fn print_done(path: &str, time: i64) -> PrinterEvent {
    PrinterEvent::PrintDone { path: path.to_owned(), time_s: Some(time) }
}

impl TrackerFixture {
    /// Returns the tracker of a printer that has just been read.
    pub fn after_reading(first: &JobReading) -> Self {
        let mut watch = Self::new(PrintTracker::default());
        watch.tracker.begin_gap();
        watch.receive_reading(first);
        watch.facts.clear();
        watch
    }

    /// Returns the tracker of a printer without an event socket that has just been read.
    pub fn polling(first: &JobReading) -> Self {
        Self { pushed: false, ..Self::after_reading(first) }
    }

    pub fn new(tracker: PrintTracker) -> Self {
        Self {
            tracker,
            second: 100,
            next_id: 1,
            pushed: true,
            starting: None,
            pausing: None,
            resuming: None,
            cancelling: None,
            facts: Vec::new(),
        }
    }

    pub fn context(&mut self) -> TrackerContext {
        let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(self.second);
        let fresh_ids = [self.next_id, self.next_id + 1].map(Uuid::from_u128);
        self.next_id += 2;
        let Self { pushed, pausing, resuming, cancelling, .. } = *self;
        let sent_at = Some(at - chrono::TimeDelta::seconds(10));
        let starting = self.starting.map(|command_id| SentStart {
            command_id,
            file: None,
            sent_at,
            by_previous_run: false,
            print_id: None,
        });
        TrackerContext { at, fresh_ids, pushed, starting, pausing, resuming, cancelling }
    }

    pub fn receive_reading(&mut self, reading: &JobReading) {
        self.second += 1;
        let context = self.context();
        let facts = self.tracker.on_reading(reading, &context);
        self.facts.extend(facts);
        for event in self.tracker.take_waiting() {
            self.receive_event(event);
        }
    }

    /// Sends the same reading until the tracker accepts it, although no event confirms it.
    pub fn receive_until_accepted(&mut self, reading: &JobReading) {
        self.receive_reading(reading);
        self.second += 3;
        self.receive_reading(reading);
    }

    pub fn receive_event(&mut self, event: PrinterEvent) {
        let context = self.context();
        let facts = self.tracker.on_event(&event, &context);
        self.facts.extend(facts);
    }

    pub fn receive_states(&mut self, states: &[S]) {
        for state in states {
            self.receive_event(PrinterEvent::StateChanged { state: *state, text: String::new() });
        }
    }

    /// Sends the events of both OctoPrint generations for a print that begins (2.x sends the selection twice).
    pub fn receive_print_begin(&mut self, path: &str) {
        let (path, origin) = (path.to_owned(), "local".to_owned());
        self.receive_event(PrinterEvent::FileSelected { path: path.clone(), origin: origin.clone() });
        self.receive_event(PrinterEvent::FileSelected { path: path.clone(), origin: origin.clone() });
        self.receive_states(&[S::Starting]);
        self.receive_event(PrinterEvent::PrintStarted { path, origin });
        self.receive_states(&[S::Printing]);
    }

    pub fn receive_print_failed(&mut self, reason: &str, error: &str) {
        let (reason, error) = (Some(reason.to_owned()), Some(error.to_owned()));
        self.receive_event(PrinterEvent::PrintFailed { path: A.to_owned(), reason, error, time_s: None });
    }

    pub fn receive_print_cancelled(&mut self) {
        self.receive_event(PrinterEvent::PrintCancelled { path: A.to_owned(), time_s: None });
        self.receive_print_failed("cancelled", "");
    }

    /// Returns the facts since the last call, one line each.
    pub fn take_facts(&mut self) -> Vec<String> {
        let facts = std::mem::take(&mut self.facts);
        let by = |by: &PrintActor| match by.command_id {
            Some(id) => format!("command {}", id.as_u128() - 1_000),
            None => by.kind.to_string(),
        };
        facts
            .iter()
            .map(|fact| match fact {
                PrintFact::Began { file, by: actor, .. } => {
                    format!("began {} by {}", file.as_ref().map_or("?", |file| &file.path), by(actor))
                }
                PrintFact::Paused { by: actor, .. } => format!("paused by {}", by(actor)),
                PrintFact::PauseCredited { by: actor, .. } => format!("pause credited to {}", by(actor)),
                PrintFact::Resumed { .. } => "resumed".to_owned(),
                PrintFact::Stalled { .. } => "stalled".to_owned(),
                PrintFact::Ended { result, reason, .. } => match reason {
                    Some(reason) => format!("{result}: {reason}"),
                    None => result.to_string(),
                },
            })
            .collect()
    }
}
