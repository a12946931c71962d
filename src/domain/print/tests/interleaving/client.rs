//! Simulated client: reads a printer, receives its events, stores what it finds, and is killed at any moment. It does
//! what the actor and the recorder do for prints.

use std::collections::{BTreeMap, VecDeque};

use super::{
    counts::{Interleaving as I, InterleavingCounts},
    printer::{Change, ModelPrinter},
    *,
};

/// A stored print.
#[derive(Debug, Clone)]
pub struct RecordedPrint {
    pub id: Uuid,
    pub file: Option<FileRef>,
    pub by: PrintActor,
    pub started_at: DateTime<Utc>,
    pub result: Option<PrintResult>,
    pub paused_by: Option<PrintActor>,
}

/// A start in the command log.
#[derive(Debug, Clone)]
pub struct StartCommand {
    pub file: &'static str,
    pub sent_at: DateTime<Utc>,
    pub is_final: bool,
    pub print_id: Option<Uuid>,
}

/// Data that survives the end of the server.
#[derive(Default)]
pub struct Store {
    pub rows: Vec<RecordedPrint>,
    mark: Option<(JobMark, DateTime<Utc>)>,
    pub commands: BTreeMap<Uuid, StartCommand>,
    /// How much of the printer's log the stored data covers.
    known: usize,
}

/// A start in flight, or without confirmation.
struct InFlightStart {
    command_id: Uuid,
    is_recovered: bool,
}

struct PendingReading {
    requested_at: i64,
    reply: Option<(JobReading, usize)>,
    events_before: u64,
    is_void: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    Down,
    Push,
    Poll,
}

pub struct Client {
    pub store: Store,
    pub tracker: PrintTracker,
    pub link: Link,
    has_reading: bool,
    state: S,
    events: u64,
    reading: Option<PendingReading>,
    in_flight: Option<InFlightStart>,
    start_before: Option<SentStart>,
    /// Facts that the recorder has not stored yet, in order, each with the part of the log that it covers.
    facts: VecDeque<(PrintFact, usize)>,
    observed: Option<(JobMark, DateTime<Utc>, usize)>,
    /// Length of the printer's log when the connection was opened.
    pub connected: usize,
    /// How much of the printer's log is known. `waiting` includes the events that wait for a reading.
    pub known: usize,
    waiting: usize,
    /// How much of the log a reading shows that is not accepted yet.
    pub unconfirmed: Option<usize>,
    /// How much of the log the events of this connection cover.
    covered_by_events: usize,
    /// How much of the log readings have shown, accepted or not.
    covered_by_readings: usize,
    /// Position in the log where a hidden print ended. It began after the last event, and before the print that a
    /// reading showed.
    hidden: Option<usize>,
    /// The same position, and the position of that reading. The print may be stored without what its events report
    /// later.
    stored_hidden: Option<(usize, usize)>,
    /// The connection was lost before the events of a hidden print arrived.
    pub lost_hidden: bool,
    ids: u128,
    pub interleavings: InterleavingCounts,
}

pub fn time(ms: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::milliseconds(ms)
}

impl Client {
    pub fn new() -> Self {
        let mut client = Self {
            store: Store::default(),
            tracker: PrintTracker::resume(None, None),
            link: Link::Down,
            has_reading: false,
            state: S::Unknown,
            events: 0,
            reading: None,
            in_flight: None,
            start_before: None,
            facts: VecDeque::new(),
            observed: None,
            connected: 0,
            known: 0,
            waiting: 0,
            unconfirmed: None,
            covered_by_events: 0,
            covered_by_readings: 0,
            hidden: None,
            stored_hidden: None,
            lost_hidden: false,
            ids: 0,
            interleavings: InterleavingCounts::default(),
        };
        client.tracker.begin_gap();
        client
    }

    fn fresh_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    /// Returns the start whose print may begin.
    pub fn start(&self) -> Option<SentStart> {
        let Some(flight) = &self.in_flight else { return self.start_before.clone() };
        let before = self.start_before.clone().filter(|start| start.command_id == flight.command_id);
        let command = &self.store.commands[&flight.command_id];
        Some(before.unwrap_or_else(|| SentStart {
            command_id: flight.command_id,
            file: Some(file(command.file)),
            sent_at: Some(command.sent_at),
            by_previous_run: flight.is_recovered,
            print_id: None,
        }))
    }

    fn context(&mut self, now: i64) -> TrackerContext {
        let fresh_ids = [self.fresh_id(), self.fresh_id()];
        let (pushed, starting) = (self.link == Link::Push, self.start());
        TrackerContext { at: time(now), fresh_ids, pushed, starting, pausing: None, resuming: None, cancelling: None }
    }

    /// Returns the recorded part of the log. The end of a print that is cut off is known before it is recorded.
    fn recorded(&self, printer: &ModelPrinter) -> usize {
        let is_cut_off = self.tracker.current().is_some_and(|current| current.cut_off);
        let end = printer.log[..self.known].iter().rposition(|change| *change == Change::Ended);
        end.filter(|_| is_cut_off).unwrap_or(self.known)
    }

    /// Passes facts to the recorder. `recorded` is the recorded part of the log. It is updated.
    fn queue_facts(&mut self, facts: Vec<PrintFact>, recorded: &mut usize, printer: &ModelPrinter) {
        for fact in facts {
            let change = match &fact {
                PrintFact::Began { .. } => Some(Change::Began),
                PrintFact::Ended { .. } => Some(Change::Ended),
                PrintFact::Paused { .. }
                | PrintFact::PauseCredited { .. }
                | PrintFact::Resumed { .. }
                | PrintFact::Stalled { .. } => None,
            };
            let known = self.known.max(*recorded);
            let place = printer.log[*recorded..known].iter().position(|one| Some(*one) == change);
            *recorded += place.map_or(0, |place| place + 1);
            if let PrintFact::Began { id, by, .. } = &fact {
                if self.start_before.as_ref().is_some_and(|start| by.command_id == Some(start.command_id)) {
                    self.interleavings.count_if(true, I::RecoveredStart);
                    self.start_before = None;
                }
                if let Some(command) = by.command_id.and_then(|id| self.store.commands.get_mut(&id)) {
                    command.print_id = Some(*id);
                }
            }
            if let (Some((mark, at)), Some(older)) = (fact.mark(), &mut self.observed) {
                (older.0, older.1) = (mark, at);
            }
            self.facts.push_back((fact, *recorded));
        }
    }

    /// Extends the last fact to everything that is known.
    fn cover_known(&mut self, before: usize) {
        if self.facts.len() > before
            && let Some((_, recorded)) = self.facts.back_mut()
        {
            *recorded = self.known;
        }
    }

    fn observe(&mut self, now: i64) {
        self.observed = Some((self.tracker.mark().clone(), time(now), self.known));
    }

    /// Opens the connection, with an event socket or without.
    pub fn connect(&mut self, printer: &mut ModelPrinter, pushed: bool) {
        if self.link == Link::Push || (self.link == Link::Poll && !pushed) {
            return;
        }
        if self.link == Link::Down {
            self.interleavings.count_if(true, I::Gap);
            self.tracker.begin_gap();
            self.waiting = 0;
        }
        (self.has_reading, self.reading) = (false, None);
        printer.socket = pushed.then(VecDeque::new);
        // The printer sends the event of an end after the end.
        let turn = printer.log.iter().rposition(|change| matches!(change, Change::Began | Change::Ended));
        let is_ending = |turn: &usize| printer.state.is_active() && printer.log[*turn] == Change::Ended;
        self.connected = turn.filter(is_ending).unwrap_or(printer.log.len());
        self.lose_hidden();
        self.covered_by_events = printer.log.len();
        self.link = if pushed { Link::Push } else { Link::Poll };
        self.request_reading(printer.now);
    }

    pub fn disconnect(&mut self, printer: &mut ModelPrinter) {
        self.interleavings.count_if(self.link != Link::Down && self.in_flight.is_some(), I::GapBetweenSendAndStart);
        printer.socket = None;
        (self.link, self.has_reading) = (Link::Down, false);
        if let Some(reading) = &mut self.reading {
            reading.is_void = true;
        }
        self.tracker.begin_gap();
        self.waiting = 0;
        self.lose_hidden();
    }

    fn lose_hidden(&mut self) {
        let is_lost = self.hidden.take().is_some();
        self.interleavings.count_if(is_lost, I::HiddenPrintLost);
        self.lost_hidden |= is_lost;
    }

    /// Begins a reading.
    pub fn request_reading(&mut self, now: i64) {
        if self.link != Link::Down && self.reading.is_none() {
            self.reading =
                Some(PendingReading { requested_at: now, reply: None, events_before: self.events, is_void: false });
        }
    }

    /// The printer replies to a reading.
    pub fn reply_to_reading(&mut self, printer: &ModelPrinter) {
        if let Some(reading) = &mut self.reading {
            reading.reply.get_or_insert_with(|| (printer.read(), printer.log.len()));
        }
    }

    /// Returns the reply in flight, if there is one, and the position in the log that it shows.
    pub fn pending_reply(&self) -> Option<(&JobReading, usize)> {
        let reading = self.reading.as_ref().filter(|reading| !reading.is_void && !self.is_overtaken(reading))?;
        reading.reply.as_ref().map(|(read, place)| (read, *place))
    }

    fn is_overtaken(&self, reading: &PendingReading) -> bool {
        self.has_reading && reading.events_before != self.events
    }

    /// Receives the reply to a reading.
    pub fn receive_reply(&mut self, printer: &ModelPrinter) {
        if self.reading.as_ref().is_none_or(|reading| reading.reply.is_none()) {
            return;
        }
        let Some(reading) = self.reading.take() else { return };
        if reading.is_void || self.is_overtaken(&reading) {
            self.interleavings.count_if(!reading.is_void, I::EventBeforeReading);
            self.request_reading(printer.now);
            return;
        }
        let Some((read, place)) = reading.reply else { return };
        self.state = read.state;
        self.interleavings.count_if(self.link == Link::Poll, I::Poll);
        let (was_unconfirmed, had) = (self.tracker.has_unconfirmed_reading(), self.tracker.current().is_some());
        let context = self.context(printer.now);
        let in_gap = self.tracker.in_gap;
        let changed = printer.log[self.known.min(place)..place].iter();
        let changed = changed.filter(|change| matches!(change, Change::Began | Change::Ended)).count();
        self.interleavings.count_if(in_gap && changed > 0, I::GapWithChange);
        self.interleavings.count_if(!in_gap && context.pushed && place > self.covered_by_events, I::ReadingBeforeEvent);
        self.covered_by_readings = self.covered_by_readings.max(place);
        let (mut recorded, queued) = (self.recorded(printer), self.facts.len());
        let facts = self.tracker.on_reading(&read, &context);
        // While events arrive, a reading is accepted only for what it contradicts, and not at once. The end of a pause
        // does not prove that the print is the same.
        let turns = facts.iter().any(|fact| matches!(fact, PrintFact::Began { .. } | PrintFact::Ended { .. }));
        if self.tracker.has_unconfirmed_reading() {
            self.unconfirmed.get_or_insert(place);
        } else if in_gap || !context.pushed || turns {
            self.known = self.known.max(place);
            self.unconfirmed = None;
        }
        self.has_reading = true;
        let (is_in_doubt, begins) = (self.tracker.has_unconfirmed_reading(), !had && self.tracker.current().is_some());
        self.interleavings.count_if(!was_unconfirmed && is_in_doubt, I::UnconfirmedReading);
        self.interleavings.count_if(was_unconfirmed && !is_in_doubt, I::UnconfirmedAccepted);
        self.interleavings.count_if(begins && !in_gap && context.pushed, I::BeginningByReading);
        if !in_gap && context.pushed && turns && !JobMark::from_reading(&read).is_done() {
            let missing_events = &printer.log[self.covered_by_events.min(place)..place];
            let began = missing_events.iter().position(|change| *change == Change::Began);
            let ended = missing_events.iter().rposition(|change| *change == Change::Ended);
            self.hidden =
                ended.filter(|ended| began.is_some_and(|began| began < *ended)).map(|n| self.covered_by_events + n + 1);
            self.stored_hidden = self.hidden.map(|ended| (ended, place)).or(self.stored_hidden);
        }
        self.queue_facts(facts, &mut recorded, printer);
        self.known = self.known.max(std::mem::take(&mut self.waiting));
        let waiting = self.tracker.take_waiting();
        self.interleavings.count_if(!waiting.is_empty(), I::GapWithEvents);
        for event in waiting {
            let context = self.context(printer.now);
            let facts = self.tracker.on_event(&event, &context);
            self.queue_facts(facts, &mut recorded, printer);
        }
        self.cover_known(queued);
        if self.start_before.as_ref().is_some_and(|start| start.print_id.is_some()) {
            self.start_before = None;
        }
        self.observe(printer.now);
        self.settle_visible_start(None);
    }

    /// Receives the next event.
    pub fn receive_event(&mut self, printer: &mut ModelPrinter) {
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
        let was_unconfirmed = self.tracker.has_unconfirmed_reading();
        let context = self.context(printer.now);
        let in_gap = !self.has_reading && self.tracker.in_gap;
        let (mut recorded, queued) = (self.recorded(printer), self.facts.len());
        self.interleavings.count_if(
            !in_gap && place > self.covered_by_events && place <= self.covered_by_readings,
            I::EventAfterReading,
        );
        self.covered_by_events = place.max(self.covered_by_events);
        self.hidden = self.hidden.filter(|ended| self.covered_by_events < *ended);
        let known = if in_gap { &mut self.waiting } else { &mut self.known };
        *known = place.max(*known);
        let is_cut_off = |tracker: &PrintTracker| tracker.current().is_some_and(|current| current.cut_off);
        let was_cut_off = is_cut_off(&self.tracker);
        let facts = self.tracker.on_event(&event, &context);
        self.interleavings.count_if(!was_cut_off && is_cut_off(&self.tracker), I::EndBeforeReason);
        if was_unconfirmed && !self.tracker.has_unconfirmed_reading() {
            self.interleavings.count_if(true, I::UnconfirmedSettledByEvent);
            self.unconfirmed = None;
        }
        self.queue_facts(facts, &mut recorded, printer);
        self.cover_known(queued);
        if !in_gap {
            self.observe(printer.now);
        }
        self.settle_visible_start(started);
    }

    /// Ends the command in flight if its effect is visible.
    fn settle_visible_start(&mut self, started: Option<String>) {
        let Some(flight) = self.in_flight.as_ref().filter(|_| self.has_reading) else { return };
        let (id, wanted) = (flight.command_id, self.store.commands[&flight.command_id].file);
        let active = self.state.is_active() && self.tracker.selected().is_some_and(|file| file.path == wanted);
        if active || started.as_deref() == Some(wanted) {
            self.end_in_flight(id);
        }
    }

    fn end_in_flight(&mut self, id: Uuid) {
        self.in_flight = None;
        self.start_before = self.start_before.take().filter(|start| start.command_id != id);
        if let Some(command) = self.store.commands.get_mut(&id) {
            command.is_final = true;
        }
    }

    /// Commits and sends a start if the printer is known to be idle. The printer acts later.
    pub fn send(&mut self, printer: &ModelPrinter, wanted: &'static str) -> Option<Uuid> {
        if !self.has_reading || self.state != S::Operational || self.in_flight.is_some() {
            return None;
        }
        let context = self.context(printer.now);
        let (mut recorded, queued) = (self.recorded(printer), self.facts.len());
        let facts = self.tracker.accept_unconfirmed(&context);
        self.known = self.known.max(self.unconfirmed.take().unwrap_or_default());
        self.queue_facts(facts, &mut recorded, printer);
        self.cover_known(queued);
        let command_id = self.fresh_id();
        let sent_at = time(printer.now);
        self.store.commands.insert(command_id, StartCommand { file: wanted, sent_at, is_final: false, print_id: None });
        self.in_flight = Some(InFlightStart { command_id, is_recovered: false });
        Some(command_id)
    }

    /// Handles the refusal of a start by the printer.
    pub fn on_refused(&mut self, id: Uuid) {
        if self.in_flight.as_ref().is_some_and(|flight| flight.command_id == id) {
            self.end_in_flight(id);
        }
    }

    /// Gives up a reading or a start that takes too long.
    pub fn give_up(&mut self, printer: &mut ModelPrinter) {
        let now = printer.now;
        if self.reading.as_ref().is_some_and(|reading| now - reading.requested_at > 5_000) {
            self.reading = None;
            self.disconnect(printer);
        }
        let late = |id: &Uuid| time(now) - self.store.commands[id].sent_at > chrono::TimeDelta::seconds(60);
        if let Some(id) = self.in_flight.as_ref().map(|flight| flight.command_id).filter(late) {
            self.end_in_flight(id);
        }
    }

    /// Stores facts, each with its mark.
    pub fn store_facts(&mut self, facts: usize) {
        for _ in 0..facts {
            let Some((fact, known)) = self.facts.pop_front() else { break };
            self.store.known = self.store.known.max(known);
            if let Some(mark) = fact.mark() {
                self.store.mark = Some(mark);
            }
            let id = fact.id();
            match fact {
                PrintFact::Began { file, at, by, .. } => {
                    self.store.rows.push(RecordedPrint { id, file, by, started_at: at, result: None, paused_by: None });
                }
                PrintFact::Ended { result, .. } => self.change_row(id, |row| row.result = Some(result)),
                PrintFact::Paused { by, .. } | PrintFact::PauseCredited { by, .. } => {
                    self.change_row(id, |row| row.paused_by = Some(by))
                }
                PrintFact::Resumed { .. } => self.change_row(id, |row| row.paused_by = None),
                PrintFact::Stalled { .. } => {}
            }
        }
    }

    fn change_row(&mut self, id: Uuid, change: impl FnOnce(&mut RecordedPrint)) {
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

    /// Ends the server and starts it again. `kill`: the server does not store its unstored facts first.
    pub fn restart(&mut self, printer: &mut ModelPrinter, kill: bool) {
        if kill {
            let (interleavings, within) = (&mut self.interleavings, self.tracker.current().is_some());
            interleavings.count_if(true, I::Kill);
            interleavings.count_if(within, I::KillWithinPrint);
            interleavings.count_if(!self.facts.is_empty(), I::KillWithLostFacts);
            let ended = self.store.mark.as_ref().is_some_and(|(mark, _)| mark.phase == MarkPhase::Left);
            interleavings.count_if(ended && self.facts.is_empty(), I::KillBetweenEndAndObservation);
            interleavings.count_if(self.in_flight.is_some(), I::KillBetweenSendAndStart);
        } else {
            self.store_facts(usize::MAX);
            self.store_observation();
        }
        let is_incomplete = !self.facts.is_empty();
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
        self.start_before = sent.map(|(id, command)| SentStart {
            command_id: *id,
            file: Some(file(command.file)),
            sent_at: Some(command.sent_at),
            by_previous_run: true,
            print_id: command.print_id.filter(|id| !recorded(id)),
        });
        let open_command = self.store.commands.iter().rev().find(|(_, command)| !command.is_final);
        let flight = open_command.map(|(id, _)| *id);
        self.in_flight = flight.map(|command_id| InFlightStart { command_id, is_recovered: true });
        self.tracker = PrintTracker::resume(open.as_ref(), self.store.mark.clone());
        (self.link, self.has_reading, self.state, self.reading) = (Link::Down, false, S::Unknown, None);
        (self.facts, self.observed) = (VecDeque::new(), None);
        (self.known, self.waiting, self.unconfirmed) = (self.store.known, 0, None);
        if is_incomplete || self.hidden.is_some() {
            let known = self.store.known;
            self.hidden =
                self.stored_hidden.filter(|(ended, place)| (*ended..=*place).contains(&known)).map(|(ended, _)| ended);
        }
        self.lose_hidden();
    }
}
