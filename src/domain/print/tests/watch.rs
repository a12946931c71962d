//! Test fixture: a print tracker with a manual clock, and the readings and events of printers.

use super::*;

/// A tracker with a clock that the test sets.
pub struct Watch {
    pub tracker: Tracker,
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
    let seen = completion.is_some();
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
            print_time_s: seen.then_some(time),
            print_time_left_s: None,
            file_position: seen.then_some(position),
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

impl Watch {
    /// Watches a printer that has just been read.
    pub fn over(first: &JobReading) -> Self {
        let mut watch = Self::of(Tracker::default());
        watch.tracker.lose_sight();
        watch.read(first);
        watch.facts.clear();
        watch
    }

    /// Watches a printer without an event socket that has just been read.
    pub fn polled(first: &JobReading) -> Self {
        Self { pushed: false, ..Self::over(first) }
    }

    pub fn of(tracker: Tracker) -> Self {
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

    pub fn moment(&mut self) -> Moment {
        let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(self.second);
        let fresh_ids = [self.next_id, self.next_id + 1].map(Uuid::from_u128);
        self.next_id += 2;
        let Self { pushed, pausing, resuming, cancelling, .. } = *self;
        let sent_at = Some(at - chrono::TimeDelta::seconds(10));
        let starting = self.starting.map(|command_id| StartSent {
            command_id,
            file: None,
            sent_at,
            by_previous_run: false,
            print_id: None,
        });
        Moment { at, fresh_ids, pushed, starting, pausing, resuming, cancelling }
    }

    pub fn read(&mut self, reading: &JobReading) {
        self.second += 1;
        let moment = self.moment();
        let facts = self.tracker.on_reading(reading, &moment);
        self.facts.extend(facts);
        for event in self.tracker.take_waiting() {
            self.hear(event);
        }
    }

    /// Sends the same reading until the tracker accepts it, although no event confirms it.
    pub fn read_on(&mut self, reading: &JobReading) {
        self.read(reading);
        self.second += 3;
        self.read(reading);
    }

    pub fn hear(&mut self, event: PrinterEvent) {
        let moment = self.moment();
        let facts = self.tracker.on_event(&event, &moment);
        self.facts.extend(facts);
    }

    pub fn states(&mut self, states: &[S]) {
        for state in states {
            self.hear(PrinterEvent::StateChanged { state: *state, text: String::new() });
        }
    }

    /// Sends the events of both OctoPrint generations for a print that begins (2.x sends the selection twice).
    pub fn begins(&mut self, path: &str) {
        let (path, origin) = (path.to_owned(), "local".to_owned());
        self.hear(PrinterEvent::FileSelected { path: path.clone(), origin: origin.clone() });
        self.hear(PrinterEvent::FileSelected { path: path.clone(), origin: origin.clone() });
        self.states(&[S::Starting]);
        self.hear(PrinterEvent::PrintStarted { path, origin });
        self.states(&[S::Printing]);
    }

    pub fn failed(&mut self, reason: &str, error: &str) {
        let (reason, error) = (Some(reason.to_owned()), Some(error.to_owned()));
        self.hear(PrinterEvent::PrintFailed { path: A.to_owned(), reason, error, time_s: None });
    }

    pub fn cancelled(&mut self) {
        self.hear(PrinterEvent::PrintCancelled { path: A.to_owned(), time_s: None });
        self.failed("cancelled", "");
    }

    /// Returns the facts since the last call, one line each.
    pub fn told(&mut self) -> Vec<String> {
        let facts = std::mem::take(&mut self.facts);
        let by = |by: &By| match by.command_id {
            Some(id) => format!("command {}", id.as_u128() - 1_000),
            None => by.kind.to_string(),
        };
        facts
            .iter()
            .map(|fact| match fact {
                PrintFact::Began { file, by: who, .. } => {
                    format!("began {} by {}", file.as_ref().map_or("?", |file| &file.path), by(who))
                }
                PrintFact::Paused { by: who, .. } => format!("paused by {}", by(who)),
                PrintFact::PauseCredited { by: who, .. } => format!("pause credited to {}", by(who)),
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
