//! Random histories of a printer and of a client. The client reads the printer, receives its events late, loses its
//! connection and is killed. The printer's own history is the truth: one row for each print, with its result and its
//! command.
//!
//! # Histories that no client can distinguish
//!
//! Between two readings without events (a *gap*, or two polls) a client sees only what is left at the end. It cannot
//! distinguish the following histories, so the test requires less for them (`Gap::is_unclear`):
//!
//! 1. A print that began and ended within the gap. It is found only if it is the last one, was done and is still
//!    selected. It must also leave another file or print time than the printer showed before.
//! 2. A print that was active before the gap, and another print of the same file that was done within it. What is left
//!    counts for the first print, unless the print time is shorter than before.
//! 3. A print that was active before the gap, and another print of the same file that is active after it. They count as
//!    one print only if the second is farther than the first was. In addition, the second must fulfil one condition. It
//!    began within 5 s of the last observation of the first, or is about to end. Or it is paused as the first was, or
//!    is at exactly the position of the first.
//! 4. A print that was paused within the gap for longer than 5 s, or resumed. The pause looks like a later beginning.
//!    The same happens if the server was killed before it stored more of a paused print than its beginning.
//! 5. A file that was selected within the gap. It looks like a cancelled print of this file. It is recorded as a print
//!    with an unknown result, because its plate may be occupied. After a gap of up to 5 s without a sent start it counts as
//!    a selection, as between two polls.
//! 6. A print that ended by its event, and another one that began. Both happened between the opening of the connection
//!    and the reply to the first reading. Their events may be older or newer than that reply.
//!
//! While events arrive late, a reading may show a later print than the events do:
//!
//! 7. A print that began and ended after the last event, and before a reading that shows the next print or a closed
//!    connection. It stays unknown if the connection is lost, or the server is killed, before its events are recorded.
//!
//! An eighth case does not occur here: a person starts the file of a command at the printer, and the client does not
//! know this when it sends the command.

mod client;
mod counts;
mod printer;

use client::{Client, Link};
use counts::{Interleaving, InterleavingCounts};
use printer::{Change, ModelPrinter};

use super::*;

/// Random numbers from a seed.
struct TestRng(u64);

impl TestRng {
    fn below(&mut self, n: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn millis_below(&mut self, max: u64) -> i64 {
        i64::try_from(self.below(max)).unwrap_or_default()
    }
}

/// How the recorded print may differ from the true one.
#[derive(Debug, Clone)]
struct Expected {
    result: Option<PrintResult>,
    /// It is not certain that the command started the print.
    may_lack_command: bool,
}

/// Changes between the known state of a client and its next reading.
struct Gap<'a> {
    changes: &'a [Change],
    /// The print that was active before the gap, as an index into the true prints.
    before: Option<usize>,
    /// The print that is active after the gap.
    after: Option<usize>,
    /// The first print that began within the gap.
    first_begun: usize,
    polled: bool,
    /// Changes from the opening of the connection until the reply arrives.
    since_connected: &'a [Change],
}

impl Gap<'_> {
    fn has(&self, change: Change) -> bool {
        self.changes.contains(&change)
    }

    fn count(&self, change: Change) -> usize {
        self.changes.iter().filter(|one| **one == change).count()
    }

    /// Returns whether no change after the last end hides it.
    fn is_last_shown(&self) -> bool {
        let last = self.changes.iter().rposition(|change| *change == Change::Ended).unwrap_or_default();
        !self.changes[last..].iter().any(|change| matches!(change, Change::Selected | Change::Deselected))
    }

    fn is_unclear(&self, printer: &ModelPrinter, client: &Client, read: &JobReading) -> bool {
        let now = JobMark::from_reading(read);
        let last = client.tracker.unconfirmed.as_ref().map_or(client.tracker.mark(), |doubt| &doubt.mark);
        let hidden = self.count(Change::Began) - usize::from(self.after.is_some_and(|n| n >= self.first_begun));
        let is_younger =
            |then: &JobMark| matches!((then.print_time_s, now.print_time_s), (Some(then), Some(now)) if now + 1 < then);
        let away = printer_time(printer) - client.tracker.marked_at.unwrap_or_default();
        let is_like_a_poll = away <= chrono::TimeDelta::seconds(5) && client.start().is_none();
        if self.has(Change::Selected) && !self.polled && !is_like_a_poll {
            return true;
        }
        let ended = self.since_connected.iter().position(|change| *change == Change::Ended).unwrap_or(usize::MAX);
        if self.since_connected.iter().skip(ended).any(|change| *change == Change::Began) {
            return true;
        }
        if hidden > 0 {
            let print = &printer.prints[printer.prints.len() - 1];
            let other_than_before = match self.before {
                Some(n) => !self.polled && (printer.prints[n].file != print.file || is_younger(last)),
                None => {
                    last.file != now.file
                        || last.completion != now.completion
                        || (now.print_time_s.unwrap_or_default() - last.print_time_s.unwrap_or_default()).abs() > 2
                }
            };
            let shown = self.after.is_none() && self.is_last_shown() && print.result == Some(PrintResult::Done);
            return hidden > 1 || !shown || !other_than_before || last.phase == MarkPhase::Unknown;
        }
        let was_paused = matches!(last.state, Some(S::Pausing | S::Paused))
            || client.tracker.current().is_some_and(|current| current.paused_by.is_some());
        match (self.before, self.after) {
            (Some(before), Some(after)) if before != after => {
                let went_back = is_younger(last)
                    || matches!((last.file_position, now.file_position), (Some(then), Some(now)) if now < then);
                let stands = read.state == S::Finishing
                    || (read.state == S::Paused && was_paused)
                    || (last.file_position, last.print_time_s) == (now.file_position, now.print_time_s);
                let too_young =
                    !self.polled && !stands && now.print_time_s.is_some_and(|age| age + 6 < away.num_seconds());
                printer.prints[before].file == printer.prints[after].file && !went_back && !too_young
            }
            (Some(_), Some(_)) => {
                let changed = self.has(Change::Paused) || self.has(Change::Resumed);
                !self.polled && (changed || (read.state == S::Paused && !was_paused))
            }
            (Some(_), None) => !self.is_last_shown() && self.changes.contains(&Change::Selected),
            (None, _) => false,
        }
    }
}

fn printer_time(printer: &ModelPrinter) -> DateTime<Utc> {
    client::time(printer.now)
}

/// One random history.
struct History {
    seed: u64,
    rng: TestRng,
    printer: ModelPrinter,
    client: Client,
    polled: bool,
    /// Events arrive within this time.
    latest_ms: i64,
    /// How often connections are lost and the server ends, per 200 steps.
    gaps: u64,
    kills: u64,
    /// Starts in flight: the time at which the printer acts, the command, and the file.
    requests: Vec<(i64, Uuid, &'static str)>,
    expected: Vec<Expected>,
    unclear: bool,
    trace: Vec<String>,
}

impl History {
    fn from_seed(seed: u64) -> Self {
        let mut rng = TestRng(seed);
        let polled = rng.below(5) == 0;
        let latest_ms = [300, 2_500, 2_500, 20_000][usize::try_from(rng.below(4)).unwrap_or_default()];
        let (gaps, kills) = (
            [0, 2, 6][usize::try_from(rng.below(3)).unwrap_or_default()],
            [0, 2, 6][usize::try_from(rng.below(3)).unwrap_or_default()],
        );
        Self {
            seed,
            gaps,
            kills,
            rng,
            printer: ModelPrinter::new(),
            client: Client::new(),
            polled,
            latest_ms,
            requests: Vec::new(),
            expected: Vec::new(),
            unclear: false,
            trace: Vec::new(),
        }
    }

    fn trace_step(&mut self, message: impl std::fmt::Display) {
        let (now, state, log) = (self.printer.now - 1_000_000, self.printer.state, self.printer.log.len());
        let current = self.client.tracker.current().map(|print| print.id.as_u128());
        self.trace
            .push(format!("{now:>7} {state:?} log {log} known {} print {current:?}: {message}", self.client.known));
    }

    /// Adds the prints that began since the last call. They are expected without differences.
    fn expect_new(&mut self) {
        while self.expected.len() < self.printer.prints.len() {
            self.expected.push(Expected { result: None, may_lack_command: false });
        }
    }

    /// Computes what the next reply to a reading will mean if events before it are missing.
    fn expect_reply(&mut self) {
        self.expect_new();
        let in_gap = self.client.tracker.in_gap;
        if !in_gap && self.client.link == Link::Push {
            return;
        }
        let Some((read, place)) = self.client.pending_reply() else { return };
        let read = read.clone();
        let mut known = self.client.known.max(self.client.unconfirmed.unwrap_or_default()).min(place);
        let begun = |upto: usize| self.printer.log[..upto].iter().filter(|change| **change == Change::Began).count();
        let is_open = |upto: usize| {
            let last = self.printer.log[..upto].iter().rfind(|change| matches!(change, Change::Began | Change::Ended));
            last == Some(&Change::Began)
        };
        // The end is known, and the tracker waited for its reason.
        let current = self.client.tracker.current();
        let cut_off = current.is_some_and(|current| current.cut_off);
        if current.is_some() && !is_open(known) {
            known = self.printer.log[..known].iter().rposition(|change| *change == Change::Ended).unwrap_or_default();
        }
        let open = |upto: usize| is_open(upto).then(|| begun(upto) - 1);
        let gap = Gap {
            changes: &self.printer.log[known..place],
            before: open(known),
            after: open(place),
            first_begun: begun(known),
            polled: !in_gap,
            since_connected: &self.printer.log[self.client.connected.max(known)..],
        };
        // A print began and was not recorded at all, because the client was killed or had doubts.
        let unrecorded = gap.before.is_some() && self.client.tracker.current().is_none();
        // A print is hidden, too, if it began and ended between the last event and a reading whose events were lost.
        let unconfirmed = self.client.unconfirmed.filter(|doubted| *doubted > self.client.known);
        let unconfirmed = unconfirmed.map(|doubted| &self.printer.log[self.client.known..doubted]).unwrap_or_default();
        let began = unconfirmed.iter().position(|change| *change == Change::Began).unwrap_or(usize::MAX);
        let is_hidden = unconfirmed.iter().skip(began).any(|change| *change == Change::Ended);
        let unclear = unrecorded || is_hidden || gap.is_unclear(&self.printer, &self.client, &read);
        let tracker = &self.client.tracker;
        let is_end_unknown = tracker.ending_by_state().result == PrintResult::Unknown
            && tracker.current().is_some_and(|current| current.ending.is_none())
            && tracker.unconfirmed.as_ref().is_some_and(|doubt| !doubt.is_idle);
        let overtaken = open(self.client.known).filter(|n| is_end_unknown && open(known) != Some(*n));
        let (before, after, first_begun) = (gap.before, gap.after, gap.first_begun);
        let (changes, last_begun) = (gap.changes.to_vec(), begun(place));
        if unclear {
            self.trace_step(format!("unclear: {changes:?}"));
            self.unclear = true;
        }
        if let Some(overtaken) = overtaken {
            // A reading showed the next print, and the events of the end were lost.
            self.expected[overtaken].result = Some(PrintResult::Unknown);
        }
        if let Some(before) = before.filter(|before| after != Some(*before)) {
            let others = last_begun > first_begun;
            let result = self.printer.prints[before].result;
            let shown = matches!(result, Some(PrintResult::Done | PrintResult::Cancelled)) && !others;
            let closed = matches!(read.state, S::Error | S::Offline) && (cut_off || !in_gap);
            let reselected = changes.contains(&Change::Deselected) || (changes.contains(&Change::Selected));
            if !closed && (!shown || reselected) {
                self.expected[before].result = Some(PrintResult::Unknown);
            }
        }
        let start = self.client.start();
        for n in first_begun..last_begun {
            let print = &self.printer.prints[n];
            let known = start.as_ref().filter(|start| print.command == Some(start.command_id));
            let soon = known
                .and_then(|start| start.sent_at)
                .is_some_and(|sent_at| client::time(print.began) - sent_at < chrono::TimeDelta::seconds(10));
            // A print time does not show when the print began if the print was paused, or while a script runs after it.
            let paused = changes.contains(&Change::Resumed)
                || changes.contains(&Change::Paused)
                || matches!(read.state, S::Finishing | S::Cancelling);
            self.expected[n].may_lack_command = !soon || paused;
        }
    }

    fn receive_reply(&mut self) {
        self.expect_reply();
        if let Some((read, place)) = self.client.pending_reply() {
            let shown = JobMark::from_reading(read);
            let (position, time_s) = (shown.file_position, shown.print_time_s);
            let path = shown.file.map(|file| file.path);
            self.trace_step(format!(
                "reading of log {place}: {:?} {path:?} at {position:?} after {time_s:?} s",
                read.state
            ));
        }
        self.client.receive_reply(&self.printer);
    }

    /// Lets time pass, and delivers the events that are due.
    fn advance(&mut self, ms: i64) {
        let mut remaining_ms = ms;
        while remaining_ms > 0 {
            let step = remaining_ms.min(250);
            remaining_ms -= step;
            self.printer.advance(step);
            let now = self.printer.now;
            let due: Vec<_> = self.requests.iter().filter(|(at, ..)| *at <= now).copied().collect();
            self.requests.retain(|(at, ..)| *at > now);
            for (_, id, file) in due {
                self.apply_start(id, file);
            }
            let latest = now - self.latest_ms;
            while self.printer.socket.as_ref().and_then(|socket| socket.front()).is_some_and(|(at, ..)| *at < latest) {
                self.deliver_event();
            }
            self.client.give_up(&mut self.printer);
        }
    }

    fn apply_start(&mut self, id: Uuid, file: &'static str) {
        self.printer.select(file);
        let started = self.printer.selected == Some(file) && self.printer.start(Some(id));
        self.trace_step(format!("start {} of {file}: {started}", id.as_u128()));
        if !started {
            self.client.on_refused(id);
        }
    }

    fn deliver_event(&mut self) {
        self.expect_new();
        let event =
            self.printer.socket.as_ref().and_then(|socket| socket.front()).map(|(_, _, event)| format!("{event:?}"));
        if let Some(event) = event {
            self.trace_step(event);
            self.client.receive_event(&mut self.printer);
        }
    }

    /// Returns one of these numbers.
    fn pick(&mut self, numbers: &[u64]) -> u64 {
        let n = numbers.len() as u64;
        numbers[usize::try_from(self.rng.below(n)).unwrap_or_default()]
    }

    /// Executes one random step, at the printer or at the client.
    fn run_step(&mut self) {
        if self.client.link == Link::Down && self.rng.below(3) == 0 {
            self.trace_step("connected");
            self.client.connect(&mut self.printer, !self.polled);
            return;
        }
        if self.rng.below(200) < self.gaps {
            self.trace_step("connection lost");
            self.client.disconnect(&mut self.printer);
            return;
        }
        if self.rng.below(200) < self.kills {
            return self.end_server();
        }
        match self.rng.below(100) {
            0..12 => {
                let max_ms = self.pick(&[500, 500, 1_000, 4_000, 20_000, 60_000]);
                let ms = self.rng.millis_below(max_ms);
                self.trace_step(format!("{ms} ms pass"));
                self.advance(ms);
            }
            12..34 => self.printer.step(),
            34..50 => self.deliver_event(),
            50..60 => self.client.request_reading(self.printer.now),
            60..71 => self.client.reply_to_reading(&self.printer),
            71..82 => self.receive_reply(),
            82..88 => {
                let n = usize::try_from(self.rng.below(3)).unwrap_or_default();
                self.client.store_facts(n);
                self.client.store_observation();
            }
            88..94 => self.start(),
            _ => self.at_printer(),
        }
    }

    fn end_server(&mut self) {
        let kill = self.rng.below(4) != 0;
        self.trace_step(if kill { "killed" } else { "stopped" });
        self.client.restart(&mut self.printer, kill);
        let max_ms = self.pick(&[100, 3_000, 30_000, 100_000]);
        let ms = self.rng.millis_below(max_ms);
        self.advance(ms);
    }

    fn start(&mut self) {
        if self.rng.below(2) == 0 {
            if self.requests.is_empty() && self.printer.start(None) {
                self.trace_step("started at the printer");
            }
            return;
        }
        let file = if self.rng.below(4) == 0 { B } else { A };
        // The client must know everything that was done at the printer: see the eighth case above.
        let is_known = match &self.printer.socket {
            Some(socket) => socket.is_empty(),
            None => self.client.known == self.printer.log.len(),
        };
        if self.printer.state == S::Operational
            && is_known
            && let Some(id) = self.client.send(&self.printer, file)
        {
            self.trace_step(format!("sends start {}", id.as_u128()));
            let delay = self.rng.millis_below(2_000);
            self.requests.push((self.printer.now + delay, id, file));
        }
    }

    fn at_printer(&mut self) {
        match self.rng.below(9) {
            0 => self.printer.pause(),
            1 | 2 => self.printer.resume(),
            3 | 4 => self.printer.cancel(),
            5 => {
                let reason_first = self.rng.below(2) == 0;
                self.printer.fail(reason_first);
            }
            6 => self.printer.connect(),
            7 if self.requests.is_empty() => {
                self.printer.select([A, B][usize::try_from(self.rng.below(2)).unwrap_or_default()])
            }
            8 if self.rng.below(3) == 0 => {
                self.trace_step("OctoPrint restarts");
                let prints = self.printer.state.is_active();
                self.client.interleavings.count_if(prints, Interleaving::PrinterRestartWithinPrint);
                self.printer.restart();
                if self.client.link == Link::Push {
                    self.client.disconnect(&mut self.printer);
                }
            }
            _ => {}
        }
    }

    /// Finishes all steps, then reads, receives and stores everything.
    fn finish(&mut self) {
        self.advance(3_000);
        for _ in 0..5 {
            self.advance(4_000);
            self.printer.settle();
            self.client.connect(&mut self.printer, !self.polled);
            self.client.request_reading(self.printer.now);
            self.client.reply_to_reading(&self.printer);
            self.receive_reply();
            while self.printer.socket.as_ref().is_some_and(|socket| !socket.is_empty()) {
                self.deliver_event();
            }
        }
        self.client.store_facts(usize::MAX);
        self.expect_new();
    }

    /// Checks that the recorded prints are the true ones. The error is the difference.
    fn check(&self) -> Result<(), String> {
        let (truth, rows) = (&self.printer.prints, &self.client.store.rows);
        for row in rows {
            let print_of_command = row.by.command_id.map(|id| truth.iter().find(|print| print.command == Some(id)));
            if print_of_command.is_some_and(|print| {
                print.is_none_or(|print| Some(print.file) != row.file.as_ref().map(|file| file.path.as_str()))
            }) {
                return Err(format!("{row:?} is credited to a command that did not start it"));
            }
        }
        let open = rows.iter().filter(|row| row.result.is_none()).count();
        if open != usize::from(self.printer.state.is_active()) {
            return Err(format!("{open} rows are open"));
        }
        if self.unclear || self.client.lost_hidden {
            return Ok(());
        }
        if truth.len() != rows.len() {
            return Err(format!("{} prints and {} rows", truth.len(), rows.len()));
        }
        for ((print, row), expected) in truth.iter().zip(rows).zip(&self.expected) {
            if row.file.as_ref().map(|file| file.path.as_str()) != Some(print.file) {
                return Err(format!("{print:?} is {row:?}"));
            }
            let result = if print.result.is_some() { expected.result.or(print.result) } else { None };
            // If events arrive later than the tracker waits for them, a reading decides.
            if row.result != result && row.result != print.result && self.latest_ms < 3_000 {
                return Err(format!("{print:?} is {row:?}, expected {result:?}"));
            }
            // After a kill, an event that arrives too late does not fit the time of the send.
            let too_late = self.latest_ms > 3_000 && self.kills > 0;
            let lacks = row.by.command_id.is_none() && (expected.may_lack_command || too_late);
            if row.by.command_id != print.command && !lacks {
                return Err(format!("{print:?} is {row:?}, of another command"));
            }
        }
        Ok(())
    }
}

/// Runs one history. Returns its interleavings, whether it was clear, and the number of its prints.
fn run(seed: u64) -> (InterleavingCounts, bool, usize) {
    let mut history = History::from_seed(seed);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..120 {
            history.run_step();
        }
        history.finish();
    }));
    let outcome = match result {
        Ok(()) => history.check(),
        Err(_) => Err("panicked".to_owned()),
    };
    if let Err(why) = outcome {
        panic!(
            "seed {}: {why}\npolled: {}, events within {} ms\n{}\ntruth {:#?}\nrows {:#?}",
            history.seed,
            history.polled,
            history.latest_ms,
            history.trace.join("\n"),
            history.printer.prints,
            history.client.store.rows,
        );
    }
    (history.client.interleavings, !history.unclear && !history.client.lost_hidden, history.printer.prints.len())
}

#[test]
fn every_print_is_recorded_once_with_its_result_and_its_command() {
    const HISTORIES: u64 = 4_000;
    // Always the same seeds, so that the test fails only for a change of the code. `PRINTYARD_TEST_SEED=random` takes
    // other seeds, and a number takes that seed.
    const FIRST: u64 = 20_261_128;
    let seed_setting = std::env::var("PRINTYARD_TEST_SEED").ok();
    let seed: Option<u64> = seed_setting.as_deref().and_then(|seed| seed.parse().ok());
    let first = seed.unwrap_or_else(|| if seed_setting.as_deref() == Some("random") { rand::random() } else { FIRST });
    println!("seed {first}; PRINTYARD_TEST_SEED repeats it");
    let (mut counts, mut clear, mut prints) = (InterleavingCounts::default(), 0, 0);
    for n in 0..if seed.is_some() { 1 } else { HISTORIES } {
        let (seen, is_clear, begun) = run(first.wrapping_add(n));
        counts.add(&seen);
        clear += u64::from(is_clear);
        prints += if is_clear { begun } else { 0 };
    }
    println!("{clear} of {HISTORIES} histories are clear, with {prints} prints: {counts:?}");
    if seed_setting.is_none() {
        assert_eq!(counts.too_rare(), [], "the histories cover too little");
        assert!(clear > 1_200 && prints > 1_600, "{clear} clear histories with {prints} prints cover too little");
    }
}
