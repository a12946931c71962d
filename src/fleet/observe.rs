//! The observations of an actor: readings of the printer, the prints that they show, and the published state.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    actor::Actor,
    request::StateReading,
    schedule::jittered,
    settings::{FRESH_BY_EVENTS, FRESH_BY_READING, RECHECK_DELAY, TEMPERATURES_KEPT},
    view::LiveJob,
};
use crate::{
    clock,
    domain::{
        command::Step,
        effect::Observation,
        message::Message,
        plate::Plate,
        print::{ActorKind, PrintFact, PrintResult, PrintTracker, TrackerContext},
        reading::{JobFile, JobReading, Temperatures},
        state::{PrinterState, Reachability},
    },
    octoprint::{Error, PrinterReading},
};

impl Actor {
    /// Processes a reading.
    pub(super) fn on_reading(&mut self, reading: StateReading, started: Instant) {
        let now = Instant::now();
        let is_old = self.schedule.is_outdated(started);
        if is_old || (self.connection.has_reading() && self.schedule.is_overtaken_by_event()) {
            // An event or another reading arrived in the meantime, or this reading belongs to an earlier connection.
            self.start_reading(now);
            return;
        }
        let StateReading { job: mut reading, has_job } = reading;
        if !has_job {
            self.add_known_job(&mut reading);
        }
        self.schedule.on_reading(started, now);
        self.published.mark_observed();
        self.state = reading.state;
        self.commands.note_state(reading.state);
        self.commands.note_file_hidden(!has_job && !self.connection.is_pushed());
        let facts = self.tracker.on_reading(&reading, &self.moment());
        self.connection.on_reading(now);
        self.record_facts(facts);
        for event in self.tracker.take_waiting() {
            let facts = self.tracker.on_event(&event, &self.moment());
            self.record_facts(facts);
        }
        // The command that the previous run sent is in flight by now, or it has ended.
        self.commands.forget_observed_start();
        let live = self.published.live();
        let stalled = if has_job {
            self.stall.on_reading(&reading, live.is_below_target(now), now, self.context.settings.stall_after)
        } else {
            None
        };
        let stalled_since = stalled.map(|since| clock::now() - (now - since));
        if let (Some(since), None, Some(print)) = (stalled_since, live.stalled_since, self.tracker.current()) {
            let id = print.id;
            self.record_facts(vec![PrintFact::Stalled { id, since }]);
        }
        let live = self.published.change();
        live.state_text.clone_from(&reading.state_text);
        live.error = reading.error.as_ref().filter(|text| !text.is_empty()).map(Message::verbatim);
        live.stalled_since = stalled_since;
        live.reachability = Reachability::Online;
        if !reading.state.is_operational() && reading.state != PrinterState::Unknown {
            live.clear_temperatures();
        }
        self.reading = Some(reading);
        self.published.touch_job();
        let pace = self.pace();
        self.schedule
            .read_after(now, if self.tracker.has_unconfirmed_reading() { RECHECK_DELAY } else { jittered(pace.job) });
        self.schedule.read_heaters_within(now, pace.heaters);
        self.store_observation();
        self.judge_unsettled();
    }

    /// Adds the known job to a state that was read without a job.
    fn add_known_job(&self, reading: &mut JobReading) {
        let last = self.reading.as_ref().filter(|last| last.file.is_some() && reading.state.is_operational());
        reading.file = selected_file(&self.tracker, last);
        if let Some(last) = last.filter(|last| last.state == reading.state) {
            reading.user.clone_from(&last.user);
            reading.estimated_print_time_s = last.estimated_print_time_s;
            reading.progress = last.progress;
        }
    }

    pub(super) fn on_read_failed(&mut self, error: &Error, started: Instant) {
        let now = Instant::now();
        self.on_unreachable(error, now);
        self.on_read_failure_in_flight(error, started);
    }

    /// Handles a reading of the temperatures, or its failure. The temperatures are cleared when OctoPrint's connection to the
    /// printer ends.
    pub(super) fn on_heaters(&mut self, result: Result<Option<PrinterReading>, Error>) {
        let now = Instant::now();
        self.schedule.end_heaters_reading();
        let mut due = self.pace().heaters;
        let is_connected =
            self.connection.has_reading() && (self.state.is_operational() || self.state == PrinterState::Unknown);
        let live = self.published.live();
        let temperatures = match result {
            Ok(Some(printer)) if is_connected => {
                let heating_until = self.heating.on_reading(&printer.temperatures, now);
                if heating_until.is_some() {
                    due = due.min(Duration::from_secs(3));
                }
                let live = self.published.change_quietly();
                (live.heaters_read_at, live.heating_until) = (Some(now), heating_until);
                Some(printer.temperatures)
            }
            Err(_) if live.heaters_read_at.is_some_and(|read| now.duration_since(read) < TEMPERATURES_KEPT) => None,
            Ok(_) | Err(_) => Some(Temperatures::new()),
        };
        // A page that shows this printer gets each reading, even one with the same values.
        if self.schedule.is_viewed() {
            self.published.touch();
        }
        if let Some(temperatures) = temperatures.filter(|new| *new != *self.published.live().temperatures) {
            self.published.change().temperatures = Arc::new(temperatures);
        }
        self.schedule.read_heaters_after(now, jittered(due));
    }

    /// Whether the observation is current. With `after`, only a reading that was started after it counts. A pong or another
    /// frame does not make an observation fresh.
    pub(super) fn is_fresh(&self, after: Option<Instant>, now: Instant) -> bool {
        if !self.connection.has_reading() {
            return false;
        }
        match after {
            Some(after) => self.schedule.is_started_after(after),
            None => {
                let limit = if self.connection.has_events(now) { FRESH_BY_EVENTS } else { FRESH_BY_READING };
                self.schedule.is_observed_within(limit, now)
            }
        }
    }

    /// Returns the observation on which commands are decided.
    pub(super) fn observation(&self) -> Observation {
        let current = self.tracker.current();
        Observation {
            state: self.state,
            file: self.tracker.selected().cloned(),
            print_id: current.map(|print| print.id),
            paused_by_printyard: current
                .and_then(|print| print.paused_by)
                .is_some_and(|by| by.kind == ActorKind::Command),
        }
    }

    pub(super) fn moment(&self) -> TrackerContext {
        TrackerContext {
            at: clock::now(),
            fresh_ids: [clock::new_id(), clock::new_id()],
            pushed: self.connection.is_pushed(),
            starting: self.commands.sent_start(),
            pausing: self.commands.sent_command_id(Step::Pause),
            resuming: self.commands.sent_command_id(Step::Resume),
            cancelling: self.commands.sent_command_id(Step::Cancel),
        }
    }

    /// Sends the tracker's facts to the recorder.
    pub(super) fn record_facts(&mut self, facts: Vec<PrintFact>) {
        // Something changed in a gap between two observations. It is stored as a print, but proves nothing about a start.
        let doubtful: Vec<Uuid> = facts
            .iter()
            .filter_map(|fact| match fact {
                PrintFact::Ended { id, result: PrintResult::Unknown, .. } => Some(*id),
                _ => None,
            })
            .collect();
        for fact in facts {
            match &fact {
                PrintFact::Began { id, file, at, by } => {
                    self.commands.note_print_began(*id, by.command_id);
                    if let Some(file) = file.as_ref().filter(|_| !doubtful.contains(id)) {
                        self.commands.note_inferred_start(&file.path);
                    }
                    let now = Instant::now();
                    let live = self.published.change();
                    live.plate = Plate::occupied(*id, *at);
                    live.last_start_at = Some(now);
                    self.schedule.read_heaters_within(now, Duration::from_secs(3));
                }
                PrintFact::Resumed { .. } => self.published.change().last_start_at = Some(Instant::now()),
                PrintFact::Paused { .. }
                | PrintFact::PauseCredited { .. }
                | PrintFact::Stalled { .. }
                | PrintFact::Ended { .. } => {}
            }
            self.published.touch();
            self.published.touch_job();
            self.context.recorder.add_fact(self.published.printer_id(), fact);
        }
    }

    /// Sends the observation to the recorder if it differs from the stored one.
    pub(super) fn store_observation(&mut self) {
        self.published.store_observation(self.state, self.tracker.mark(), &self.context.recorder);
    }

    /// Accepts a reading whose events have not arrived, so that the print counts as ended before the next step.
    pub(super) fn settle_print(&mut self) {
        if self.tracker.has_unconfirmed_reading() {
            let facts = self.tracker.accept_unconfirmed(&self.moment());
            self.record_facts(facts);
        }
    }

    /// Publishes changes to the snapshot of the farm.
    pub(super) fn publish(&mut self) {
        let in_flight = self.commands.current().map(|command| command.spec.command);
        let (tracker, reading) = (&self.tracker, self.reading.as_ref());
        self.published.publish(&self.context.view, self.state, in_flight, || live_job(tracker, reading));
    }
}

/// Returns the job that the tracker and the last reading show.
fn live_job(tracker: &PrintTracker, reading: Option<&JobReading>) -> Option<LiveJob> {
    let current = tracker.current();
    let selected = tracker.selected();
    if current.is_none() && selected.is_none() {
        return None;
    }
    let file = selected_file(tracker, reading);
    // The reading may belong to the previous file.
    let fresh = reading.is_some_and(|reading| reading.file.is_some() && reading.file == file);
    Some(LiveJob {
        print_id: current.map(|print| print.id),
        file,
        user: reading.and_then(|reading| reading.user.clone()),
        estimated_print_time_s: reading.filter(|_| fresh).and_then(|reading| reading.estimated_print_time_s),
        started_by: current.map(|print| print.started_by),
        paused_by: current.and_then(|print| print.paused_by),
        progress: reading.filter(|_| fresh).map(|reading| reading.progress).unwrap_or_default(),
    })
}

/// Returns the selected file, with the details of the last reading if that shows the same file.
fn selected_file(tracker: &PrintTracker, reading: Option<&JobReading>) -> Option<JobFile> {
    let selected = tracker.selected()?;
    let read = reading.and_then(|reading| reading.file.clone()).filter(|file| file.path == selected.path);
    Some(read.unwrap_or_else(|| JobFile {
        name: selected.path.rsplit('/').next().unwrap_or(&selected.path).to_owned(),
        path: selected.path.clone(),
        origin: selected.origin.clone(),
        size: None,
        date: None,
    }))
}
