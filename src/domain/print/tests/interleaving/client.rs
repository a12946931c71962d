//! Simulated client: reads a printer, receives its events, stores what it finds, and is killed at any moment. It does
//! what the actor and the recorder do for prints.

use std::collections::{BTreeMap, VecDeque};

use super::{
    printer::{Change, Printer},
    seen::{Interleaving as I, Seen},
    *,
};

/// A stored print.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: Uuid,
    pub file: Option<FileRef>,
    pub by: By,
    pub started_at: DateTime<Utc>,
    pub result: Option<PrintResult>,
    pub paused_by: Option<By>,
}

/// A start in the command log.
#[derive(Debug, Clone)]
pub struct Command {
    pub file: &'static str,
    pub sent_at: DateTime<Utc>,
    pub is_final: bool,
    pub print_id: Option<Uuid>,
}

/// Data that survives the end of the server.
#[derive(Default)]
pub struct Store {
    pub rows: Vec<Row>,
    mark: Option<(Mark, DateTime<Utc>)>,
    pub commands: BTreeMap<Uuid, Command>,
    /// How much of the printer's log the stored data covers.
    known: usize,
}

/// A start in flight, or without confirmation.
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
    /// Facts that the recorder has not stored yet, in order, each with the part of the log that it covers.
    facts: VecDeque<(PrintFact, usize)>,
    observed: Option<(Mark, DateTime<Utc>, usize)>,
    /// Length of the printer's log when the connection was opened.
    pub connected: usize,
    /// How much of the printer's log is known. `waiting` includes the events that wait for a reading.
    pub known: usize,
    waiting: usize,
    /// How much of the log a reading shows that is not accepted yet.
    pub doubted: Option<usize>,
    /// How much of the log the events of this connection cover.
    heard: usize,
    /// How much of the log readings have shown, accepted or not.
    shown: usize,
    /// Position in the log where a hidden print ended. It began after the last event, and before the print that a
    /// reading showed.
    hidden: Option<usize>,
    /// The same position, and the position of that reading. The print may be stored without what its events report
    /// later.
    stored_hidden: Option<(usize, usize)>,
    /// The connection was lost before the events of a hidden print arrived.
    pub lost_hidden: bool,
    ids: u128,
    pub seen: Seen,
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
            heard: 0,
            shown: 0,
            hidden: None,
            stored_hidden: None,
            lost_hidden: false,
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

    /// Returns the start whose print may begin.
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

    /// Returns the recorded part of the log. The end of a print that is cut off is known before it is recorded.
    fn recorded(&self, printer: &Printer) -> usize {
        let is_cut_off = self.tracker.current().is_some_and(|current| current.cut_off);
        let end = printer.log[..self.known].iter().rposition(|change| *change == Change::Ended);
        end.filter(|_| is_cut_off).unwrap_or(self.known)
    }

    /// Passes facts to the recorder. `recorded` is the recorded part of the log. It is updated.
    fn tell(&mut self, facts: Vec<PrintFact>, recorded: &mut usize, printer: &Printer) {
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
                    self.seen.count_if(true, I::RecoveredStart);
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
    pub fn connect(&mut self, printer: &mut Printer, pushed: bool) {
        if self.link == Link::Push || (self.link == Link::Poll && !pushed) {
            return;
        }
        if self.link == Link::Down {
            self.seen.count_if(true, I::Gap);
            self.tracker.lose_sight();
            self.waiting = 0;
        }
        (self.in_touch, self.reading) = (false, None);
        printer.socket = pushed.then(VecDeque::new);
        // The printer sends the event of an end after the end.
        let turn = printer.log.iter().rposition(|change| matches!(change, Change::Began | Change::Ended));
        let is_ending = |turn: &usize| printer.state.is_active() && printer.log[*turn] == Change::Ended;
        self.connected = turn.filter(is_ending).unwrap_or(printer.log.len());
        self.lose_hidden();
        self.heard = printer.log.len();
        self.link = if pushed { Link::Push } else { Link::Poll };
        self.ask(printer.now);
    }

    pub fn disconnect(&mut self, printer: &mut Printer) {
        self.seen.count_if(self.link != Link::Down && self.flight.is_some(), I::GapBetweenSendAndStart);
        printer.socket = None;
        (self.link, self.in_touch) = (Link::Down, false);
        if let Some(reading) = &mut self.reading {
            reading.void = true;
        }
        self.tracker.lose_sight();
        self.waiting = 0;
        self.lose_hidden();
    }

    fn lose_hidden(&mut self) {
        let is_lost = self.hidden.take().is_some();
        self.seen.count_if(is_lost, I::HiddenPrintLost);
        self.lost_hidden |= is_lost;
    }

    /// Begins a reading.
    pub fn ask(&mut self, now: i64) {
        if self.link != Link::Down && self.reading.is_none() {
            self.reading = Some(Reading { asked: now, taken: None, events_before: self.events, void: false });
        }
    }

    /// The printer replies to a reading.
    pub fn serve(&mut self, printer: &Printer) {
        if let Some(reading) = &mut self.reading {
            reading.taken.get_or_insert_with(|| (printer.read(), printer.log.len()));
        }
    }

    /// Returns the reply in flight, if there is one, and the position in the log that it shows.
    pub fn answer(&self) -> Option<(&JobReading, usize)> {
        let reading = self.reading.as_ref().filter(|reading| !reading.void && !self.is_overtaken(reading))?;
        reading.taken.as_ref().map(|(read, place)| (read, *place))
    }

    fn is_overtaken(&self, reading: &Reading) -> bool {
        self.in_touch && reading.events_before != self.events
    }

    /// Receives the reply to a reading.
    pub fn receive(&mut self, printer: &Printer) {
        if self.reading.as_ref().is_none_or(|reading| reading.taken.is_none()) {
            return;
        }
        let Some(reading) = self.reading.take() else { return };
        if reading.void || self.is_overtaken(&reading) {
            self.seen.count_if(!reading.void, I::EventBeforeReading);
            self.ask(printer.now);
            return;
        }
        let Some((read, place)) = reading.taken else { return };
        self.state = read.state;
        self.seen.count_if(self.link == Link::Poll, I::Poll);
        let (doubted, had) = (self.tracker.is_in_doubt(), self.tracker.current().is_some());
        let moment = self.moment(printer.now);
        let in_gap = self.tracker.gap;
        let changed = printer.log[self.known.min(place)..place].iter();
        let changed = changed.filter(|change| matches!(change, Change::Began | Change::Ended)).count();
        self.seen.count_if(in_gap && changed > 0, I::GapWithChange);
        self.seen.count_if(!in_gap && moment.pushed && place > self.heard, I::ReadingBeforeEvent);
        self.shown = self.shown.max(place);
        let (mut recorded, queued) = (self.recorded(printer), self.facts.len());
        let facts = self.tracker.on_reading(&read, &moment);
        // While events arrive, a reading is accepted only for what it contradicts, and not at once. The end of a pause
        // does not prove that the print is the same.
        let turns = facts.iter().any(|fact| matches!(fact, PrintFact::Began { .. } | PrintFact::Ended { .. }));
        if self.tracker.is_in_doubt() {
            self.doubted.get_or_insert(place);
        } else if in_gap || !moment.pushed || turns {
            self.known = self.known.max(place);
            self.doubted = None;
        }
        self.in_touch = true;
        let (is_in_doubt, begins) = (self.tracker.is_in_doubt(), !had && self.tracker.current().is_some());
        self.seen.count_if(!doubted && is_in_doubt, I::Doubt);
        self.seen.count_if(doubted && !is_in_doubt, I::DoubtBelieved);
        self.seen.count_if(begins && !in_gap && moment.pushed, I::BeginningByReading);
        if !in_gap && moment.pushed && turns && !Mark::of_reading(&read).is_done() {
            let unheard = &printer.log[self.heard.min(place)..place];
            let began = unheard.iter().position(|change| *change == Change::Began);
            let ended = unheard.iter().rposition(|change| *change == Change::Ended);
            self.hidden = ended.filter(|ended| began.is_some_and(|began| began < *ended)).map(|n| self.heard + n + 1);
            self.stored_hidden = self.hidden.map(|ended| (ended, place)).or(self.stored_hidden);
        }
        self.tell(facts, &mut recorded, printer);
        self.known = self.known.max(std::mem::take(&mut self.waiting));
        let waiting = self.tracker.take_waiting();
        self.seen.count_if(!waiting.is_empty(), I::GapWithEvents);
        for event in waiting {
            let moment = self.moment(printer.now);
            let facts = self.tracker.on_event(&event, &moment);
            self.tell(facts, &mut recorded, printer);
        }
        self.cover_known(queued);
        if self.start_before.as_ref().is_some_and(|start| start.print_id.is_some()) {
            self.start_before = None;
        }
        self.observe(printer.now);
        self.judge(None);
    }

    /// Receives the next event.
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
        let (mut recorded, queued) = (self.recorded(printer), self.facts.len());
        self.seen.count_if(!in_gap && place > self.heard && place <= self.shown, I::EventAfterReading);
        self.heard = place.max(self.heard);
        self.hidden = self.hidden.filter(|ended| self.heard < *ended);
        let known = if in_gap { &mut self.waiting } else { &mut self.known };
        *known = place.max(*known);
        let is_cut_off = |tracker: &Tracker| tracker.current().is_some_and(|current| current.cut_off);
        let was_cut_off = is_cut_off(&self.tracker);
        let facts = self.tracker.on_event(&event, &moment);
        self.seen.count_if(!was_cut_off && is_cut_off(&self.tracker), I::EndBeforeReason);
        if doubted && !self.tracker.is_in_doubt() {
            self.seen.count_if(true, I::DoubtSettledByEvent);
            self.doubted = None;
        }
        self.tell(facts, &mut recorded, printer);
        self.cover_known(queued);
        if !in_gap {
            self.observe(printer.now);
        }
        self.judge(started);
    }

    /// Ends the command in flight if its effect is visible.
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

    /// Commits and sends a start if the printer is known to be idle. The printer acts later.
    pub fn send(&mut self, printer: &Printer, wanted: &'static str) -> Option<Uuid> {
        if !self.in_touch || self.state != S::Operational || self.flight.is_some() {
            return None;
        }
        let moment = self.moment(printer.now);
        let (mut recorded, queued) = (self.recorded(printer), self.facts.len());
        let facts = self.tracker.settle(&moment);
        self.known = self.known.max(self.doubted.take().unwrap_or_default());
        self.tell(facts, &mut recorded, printer);
        self.cover_known(queued);
        let command_id = self.fresh_id();
        let sent_at = time(printer.now);
        self.store.commands.insert(command_id, Command { file: wanted, sent_at, is_final: false, print_id: None });
        self.flight = Some(Flight { command_id, recovered: false });
        Some(command_id)
    }

    /// Handles the refusal of a start by the printer.
    pub fn refused(&mut self, id: Uuid) {
        if self.flight.as_ref().is_some_and(|flight| flight.command_id == id) {
            self.end_flight(id);
        }
    }

    /// Gives up a reading or a start that takes too long.
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

    /// Stores facts, each with its mark.
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
                PrintFact::Paused { by, .. } | PrintFact::PauseCredited { by, .. } => {
                    self.change(id, |row| row.paused_by = Some(by))
                }
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

    /// Ends the server and starts it again. `kill`: the server does not store its unstored facts first.
    pub fn restart(&mut self, printer: &mut Printer, kill: bool) {
        if kill {
            let (seen, within) = (&mut self.seen, self.tracker.current().is_some());
            seen.count_if(true, I::Kill);
            seen.count_if(within, I::KillWithinPrint);
            seen.count_if(!self.facts.is_empty(), I::KillWithLostFacts);
            let ended = self.store.mark.as_ref().is_some_and(|(mark, _)| mark.of == MarkOf::Left);
            seen.count_if(ended && self.facts.is_empty(), I::KillBetweenEndAndObservation);
            seen.count_if(self.flight.is_some(), I::KillBetweenSendAndStart);
        } else {
            self.store_some(usize::MAX);
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
        if is_incomplete || self.hidden.is_some() {
            let known = self.store.known;
            self.hidden =
                self.stored_hidden.filter(|(ended, place)| (*ended..=*place).contains(&known)).map(|(ended, _)| ended);
        }
        self.lose_hidden();
    }
}
