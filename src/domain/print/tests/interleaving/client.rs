//! What reads a printer, receives its events, stores what it finds, and dies at any moment: the actor and the recorder, as
//! far as prints are concerned.

use std::collections::{BTreeMap, VecDeque};

use super::{printer::Printer, *};

/// A print as it is stored.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: Uuid,
    pub file: Option<FileRef>,
    pub by: By,
    pub started_at: DateTime<Utc>,
    pub result: Option<PrintResult>,
    pub paused_by: Option<By>,
}

/// A start as the command log has it.
#[derive(Debug, Clone)]
pub struct Command {
    pub file: &'static str,
    pub sent_at: DateTime<Utc>,
    pub is_final: bool,
    pub print_id: Option<Uuid>,
}

/// What survives the end of the server.
#[derive(Default)]
pub struct Store {
    pub rows: Vec<Row>,
    mark: Option<(Mark, DateTime<Utc>)>,
    pub commands: BTreeMap<Uuid, Command>,
    /// How much of the printer's log it covers.
    known: usize,
}

/// A start on its way, or without confirmation.
struct Flight {
    command_id: Uuid,
    recovered: bool,
}

struct Reading {
    asked: i64,
    taken: Option<(JobReading, usize)>,
    events_before: u64,
    void: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    Down,
    Push,
    Poll,
}

pub struct Client {
    pub store: Store,
    pub tracker: Tracker,
    pub link: Link,
    in_touch: bool,
    state: S,
    events: u64,
    reading: Option<Reading>,
    flight: Option<Flight>,
    start_before: Option<StartSent>,
    /// What the recorder has not stored, in order, with the part of the log that it covers.
    facts: VecDeque<(PrintFact, usize)>,
    observed: Option<(Mark, DateTime<Utc>, usize)>,
    /// How long the printer's log was when the connection was opened.
    pub connected: usize,
    /// How much of the printer's log is known, and how much with the events that wait for a reading.
    pub known: usize,
    waiting: usize,
    /// How much of it a reading shows that is not believed yet.
    pub doubted: Option<usize>,
    ids: u128,
    pub seen: Seen,
}

/// The interleavings that a history had.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    pub doubts: u32,
    pub doubts_settled_by_events: u32,
    pub doubts_believed: u32,
    pub began_by_reading: u32,
    pub gaps: u32,
    pub discarded_readings: u32,
    pub kills: u32,
    pub kills_between_end_and_observation: u32,
    pub kills_with_lost_facts: u32,
    pub kills_between_send_and_start: u32,
    pub recovered_starts: u32,
    pub polls: u32,
}

pub fn time(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::milliseconds(ms)
}

impl Client {
    pub fn new() -> Self {
        let mut client = Self {
            store: Store::default(),
            tracker: Tracker::resume(None, None),
            link: Link::Down,
            in_touch: false,
            state: S::Unknown,
            events: 0,
            reading: None,
            flight: None,
            start_before: None,
            facts: VecDeque::new(),
            observed: None,
            connected: 0,
            known: 0,
            waiting: 0,
            doubted: None,
            ids: 0,
            seen: Seen::default(),
        };
        client.tracker.lose_sight();
        client
    }

    fn fresh_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    /// The start whose print may begin.
    pub fn start(&self) -> Option<StartSent> {
        let Some(flight) = &self.flight else { return self.start_before.clone() };
        let before = self.start_before.clone().filter(|start| start.command_id == flight.command_id);
        let command = &self.store.commands[&flight.command_id];
        Some(before.unwrap_or_else(|| StartSent {
            command_id: flight.command_id,
            file: Some(file(command.file)),
            sent_at: Some(command.sent_at),
            by_previous_run: flight.recovered,
            print_id: None,
        }))
    }

    fn moment(&mut self, now: i64) -> Moment {
        let fresh_ids = [self.fresh_id(), self.fresh_id()];
        let (pushed, starting) = (self.link == Link::Push, self.start());
        Moment { at: time(now), fresh_ids, pushed, starting, pausing: None, resuming: None, cancelling: None }
    }

    /// Hands facts to the recorder.
    fn tell(&mut self, facts: Vec<PrintFact>) {
        for fact in facts {
            if let PrintFact::Began { id, by, .. } = &fact {
                if self.start_before.as_ref().is_some_and(|start| by.command_id == Some(start.command_id)) {
                    self.seen.recovered_starts += 1;
                    self.start_before = None;
                }
                if let Some(command) = by.command_id.and_then(|id| self.store.commands.get_mut(&id)) {
                    command.print_id = Some(*id);
                }
            }
            if let (Some((mark, at)), Some(older)) = (fact.mark(), &mut self.observed) {
                (older.0, older.1) = (mark, at);
            }
            self.facts.push_back((fact, self.known));
        }
    }

    fn observe(&mut self, now: i64) {
        self.observed = Some((self.tracker.mark().clone(), time(now), self.known));
    }

    /// Opens the connection, with an event socket or without.
    pub fn connect(&mut self, printer: &mut Printer, pushed: bool) {
        if self.link == Link::Push || (self.link == Link::Poll && !pushed) {
            return;
        }
        if self.link == Link::Down {
            self.seen.gaps += 1;
            self.tracker.lose_sight();
            self.waiting = 0;
        }
        (self.in_touch, self.reading) = (false, None);
        (printer.socket, self.connected) = (pushed.then(VecDeque::new), printer.log.len());
        self.link = if pushed { Link::Push } else { Link::Poll };
        self.ask(printer.now);
    }

    pub fn disconnect(&mut self, printer: &mut Printer) {
        printer.socket = None;
        (self.link, self.in_touch) = (Link::Down, false);
        if let Some(reading) = &mut self.reading {
            reading.void = true;
        }
        self.tracker.lose_sight();
        self.waiting = 0;
    }

    /// Begins a reading.
    pub fn ask(&mut self, now: i64) {
        if self.link != Link::Down && self.reading.is_none() {
            self.reading = Some(Reading { asked: now, taken: None, events_before: self.events, void: false });
        }
    }

    /// The printer answers a reading.
    pub fn serve(&mut self, printer: &Printer) {
        if let Some(reading) = &mut self.reading {
            reading.taken.get_or_insert_with(|| (printer.read(), printer.log.len()));
        }
    }

    /// Whether an answer is on its way, and the place in the log that it shows.
    pub fn answer(&self) -> Option<(&JobReading, usize)> {
        let reading = self.reading.as_ref().filter(|reading| !reading.void && !self.is_overtaken(reading))?;
        reading.taken.as_ref().map(|(read, place)| (read, *place))
    }

    fn is_overtaken(&self, reading: &Reading) -> bool {
        self.in_touch && reading.events_before != self.events
    }

    /// The answer to a reading arrives.
    pub fn receive(&mut self, printer: &Printer) {
        if self.reading.as_ref().is_none_or(|reading| reading.taken.is_none()) {
            return;
        }
        let Some(reading) = self.reading.take() else { return };
        if reading.void || self.is_overtaken(&reading) {
            self.seen.discarded_readings += 1;
            self.ask(printer.now);
            return;
        }
        let Some((read, place)) = reading.taken else { return };
        self.state = read.state;
        self.seen.polls += u32::from(self.link == Link::Poll);
        let (doubted, had) = (self.tracker.is_in_doubt(), self.tracker.current().is_some());
        let moment = self.moment(printer.now);
        let in_gap = self.tracker.gap;
        let facts = self.tracker.on_reading(&read, &moment);
        // While events come, a reading is believed for what it contradicts only, and not at once.
        if self.tracker.is_in_doubt() {
            self.doubted.get_or_insert(place);
        } else if in_gap || !moment.pushed || !facts.is_empty() {
            self.known = self.known.max(place);
            self.doubted = None;
        }
        self.in_touch = true;
        match (doubted, self.tracker.is_in_doubt()) {
            (false, true) => self.seen.doubts += 1,
            (true, false) => self.seen.doubts_believed += 1,
            _ => {}
        }
        self.seen.began_by_reading += u32::from(!had && self.tracker.current().is_some() && self.link == Link::Push);
        self.tell(facts);
        self.known = self.known.max(std::mem::take(&mut self.waiting));
        for event in self.tracker.take_waiting() {
            let moment = self.moment(printer.now);
            let facts = self.tracker.on_event(&event, &moment);
            self.tell(facts);
        }
        if self.start_before.as_ref().is_some_and(|start| start.print_id.is_some()) {
            self.start_before = None;
        }
        self.observe(printer.now);
        self.judge(None);
    }

    /// The next event arrives.
    pub fn hear(&mut self, printer: &mut Printer) {
        let Some((_, place, event)) = printer.socket.as_mut().and_then(VecDeque::pop_front) else { return };
        let mut started = None;
        match &event {
            PrinterEvent::StateChanged { state, .. } => {
                self.events += 1;
                self.state = *state;
            }
            PrinterEvent::FileSelected { .. } => self.events += 1,
            PrinterEvent::PrintStarted { path, .. } => started = Some(path.clone()),
            _ => {}
        }
        let doubted = self.tracker.is_in_doubt();
        let moment = self.moment(printer.now);
        let in_gap = !self.in_touch && self.tracker.gap;
        let known = if in_gap { &mut self.waiting } else { &mut self.known };
        *known = place.max(*known);
        let facts = self.tracker.on_event(&event, &moment);
        if doubted && !self.tracker.is_in_doubt() {
            self.seen.doubts_settled_by_events += 1;
            self.doubted = None;
        }
        self.tell(facts);
        if !in_gap {
            self.observe(printer.now);
        }
        self.judge(started);
    }

    /// Ends the command in flight where its effect shows.
    fn judge(&mut self, started: Option<String>) {
        let Some(flight) = self.flight.as_ref().filter(|_| self.in_touch) else { return };
        let (id, wanted) = (flight.command_id, self.store.commands[&flight.command_id].file);
        let active = self.state.is_active() && self.tracker.selected().is_some_and(|file| file.path == wanted);
        if active || started.as_deref() == Some(wanted) {
            self.end_flight(id);
        }
    }

    fn end_flight(&mut self, id: Uuid) {
        self.flight = None;
        self.start_before = self.start_before.take().filter(|start| start.command_id != id);
        if let Some(command) = self.store.commands.get_mut(&id) {
            command.is_final = true;
        }
    }

    /// Commits and sends a start, where the printer is known to be idle. The printer acts later.
    pub fn send(&mut self, printer: &Printer, wanted: &'static str) -> Option<Uuid> {
        if !self.in_touch || self.state != S::Operational || self.flight.is_some() {
            return None;
        }
        let moment = self.moment(printer.now);
        let facts = self.tracker.settle(&moment);
        self.known = self.known.max(self.doubted.take().unwrap_or_default());
        self.tell(facts);
        let command_id = self.fresh_id();
        let sent_at = time(printer.now);
        self.store.commands.insert(command_id, Command { file: wanted, sent_at, is_final: false, print_id: None });
        self.flight = Some(Flight { command_id, recovered: false });
        Some(command_id)
    }

    /// The printer has refused a start.
    pub fn refused(&mut self, id: Uuid) {
        if self.flight.as_ref().is_some_and(|flight| flight.command_id == id) {
            self.end_flight(id);
        }
    }

    /// A request or a start has taken too long.
    pub fn give_up(&mut self, printer: &mut Printer) {
        let now = printer.now;
        if self.reading.as_ref().is_some_and(|reading| now - reading.asked > 5_000) {
            self.reading = None;
            self.disconnect(printer);
        }
        let late = |id: &Uuid| time(now) - self.store.commands[id].sent_at > chrono::TimeDelta::seconds(60);
        if let Some(id) = self.flight.as_ref().map(|flight| flight.command_id).filter(late) {
            self.end_flight(id);
        }
    }

    /// The recorder stores facts, each with its mark, or an observation where no facts wait.
    pub fn store_some(&mut self, facts: usize) {
        for _ in 0..facts {
            let Some((fact, known)) = self.facts.pop_front() else { break };
            self.store.known = self.store.known.max(known);
            if let Some(mark) = fact.mark() {
                self.store.mark = Some(mark);
            }
            let id = fact.id();
            match fact {
                PrintFact::Began { file, at, by, .. } => {
                    self.store.rows.push(Row { id, file, by, started_at: at, result: None, paused_by: None });
                }
                PrintFact::Ended { result, .. } => self.change(id, |row| row.result = Some(result)),
                PrintFact::Paused { by, .. } => self.change(id, |row| row.paused_by = Some(by)),
                PrintFact::Resumed { .. } => self.change(id, |row| row.paused_by = None),
                PrintFact::Stalled { .. } => {}
            }
        }
    }

    fn change(&mut self, id: Uuid, change: impl FnOnce(&mut Row)) {
        let row = self.store.rows.iter_mut().find(|row| row.id == id && row.result.is_none());
        change(row.unwrap_or_else(|| panic!("{id} is not open")));
    }

    pub fn store_observation(&mut self) {
        if self.facts.is_empty()
            && let Some((mark, at, known)) = self.observed.take()
        {
            self.store.mark = Some((mark, at));
            self.store.known = self.store.known.max(known);
        }
    }

    /// The server ends, with what it had not stored or without, and starts again.
    pub fn restart(&mut self, printer: &mut Printer, kill: bool) {
        if kill {
            let seen = &mut self.seen;
            seen.kills += 1;
            seen.kills_with_lost_facts += u32::from(!self.facts.is_empty());
            let ended = self.store.mark.as_ref().is_some_and(|(mark, _)| mark.of == MarkOf::Left);
            seen.kills_between_end_and_observation += u32::from(ended && self.facts.is_empty());
            seen.kills_between_send_and_start += u32::from(self.flight.is_some());
        } else {
            self.store_some(usize::MAX);
            self.store_observation();
        }
        printer.socket = None;
        let open = self.store.rows.iter().find(|row| row.result.is_none()).map(|row| Print {
            id: row.id,
            printer_id: Uuid::nil(),
            file: row.file.clone(),
            started_at: row.started_at,
            ended_at: None,
            result: None,
            reason: None,
            started_by: row.by,
            paused_by: row.paused_by,
            batch_id: None,
            external_ref: None,
        });
        let recorded = |id: &Uuid| self.store.rows.iter().any(|row| row.id == *id);
        let has_print = |id: &Uuid| self.store.rows.iter().any(|row| row.by.command_id == Some(*id));
        let sent = self
            .store
            .commands
            .iter()
            .rev()
            .find(|(id, command)| (!command.is_final || command.print_id.is_some()) && !has_print(id));
        self.start_before = sent.map(|(id, command)| StartSent {
            command_id: *id,
            file: Some(file(command.file)),
            sent_at: Some(command.sent_at),
            by_previous_run: true,
            print_id: command.print_id.filter(|id| !recorded(id)),
        });
        let open_command = self.store.commands.iter().rev().find(|(_, command)| !command.is_final);
        let flight = open_command.map(|(id, _)| *id);
        self.flight = flight.map(|command_id| Flight { command_id, recovered: true });
        self.tracker = Tracker::resume(open.as_ref(), self.store.mark.clone());
        (self.link, self.in_touch, self.state, self.reading) = (Link::Down, false, S::Unknown, None);
        (self.facts, self.observed) = (VecDeque::new(), None);
        (self.known, self.waiting, self.doubted) = (self.store.known, 0, None);
    }
}

impl Seen {
    /// Adds up.
    pub fn add(&mut self, other: Self) {
        self.doubts += other.doubts;
        self.doubts_settled_by_events += other.doubts_settled_by_events;
        self.doubts_believed += other.doubts_believed;
        self.began_by_reading += other.began_by_reading;
        self.gaps += other.gaps;
        self.discarded_readings += other.discarded_readings;
        self.kills += other.kills;
        self.kills_between_end_and_observation += other.kills_between_end_and_observation;
        self.kills_with_lost_facts += other.kills_with_lost_facts;
        self.kills_between_send_and_start += other.kills_between_send_and_start;
        self.recovered_starts += other.recovered_starts;
        self.polls += other.polls;
    }
}
