//! What an actor makes of what it hears and reads: the printer's state, its prints, its plate, and its entry in the
//! farm's snapshot.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    actor::{Actor, Link, jittered},
    message::Observation,
    settings::{DOUBT, FRESH_BY_READING, FRESH_BY_SOCKET},
    view::LiveJob,
};
use crate::{
    clock,
    domain::{
        command::Step,
        effect::Sight,
        plate::Plate,
        print::{ActorKind, Moment, PrintFact, PrintResult, StartSent},
        reading::{JobFile, JobReading},
        state::{PrinterState, Reachability},
    },
    octoprint::{Error, PrinterReading},
};

impl Actor {
    /// Takes in an answer of `GET /api/job`.
    pub(super) fn on_reading(&mut self, mut reading: JobReading, started: Instant) {
        let now = Instant::now();
        let is_old = self.read_from.is_some_and(|from| started < from);
        if is_old || (self.in_touch && self.events_at_read != self.events) {
            // It is of an earlier connection, or an event came meanwhile: it may be older than what is known.
            self.want_reading(now);
            return;
        }
        reading.state = reading.state.refined(self.flags);
        self.read_begun = Some(started);
        self.read_came = Some(now);
        self.hear();
        self.state = reading.state;
        self.live.state_text.clone_from(&reading.state_text);
        self.live.error.clone_from(&reading.error);
        self.note_for_flights(reading.state);
        let facts = self.tracker.on_reading(&reading, &self.moment());
        self.in_touch = true;
        self.tell(facts);
        for event in self.tracker.take_waiting() {
            let facts = self.tracker.on_event(&event, &self.moment());
            self.tell(facts);
        }
        // What the previous run had sent is a command in flight by now, or had ended.
        if self.start_before.as_ref().is_some_and(|start| start.print_id.is_some()) {
            self.start_before = None;
        }
        let stalled = self.stall.note(&reading, &self.live.temperatures, now, self.around.settings.stall_after);
        let stalled_since = stalled.map(|since| clock::now() - (now - since));
        if let (Some(since), None, Some(print)) = (stalled_since, self.live.stalled_since, self.tracker.current()) {
            let id = print.id;
            self.tell(vec![PrintFact::Stalled { id, since }]);
        }
        self.live.stalled_since = stalled_since;
        self.live.reachability = Reachability::Online;
        if matches!(self.link, Link::Down) && !self.establishing {
            self.connect_due = now;
        }
        self.reading = Some(reading);
        self.job_stale = true;
        let pace = if self.tracker.is_in_doubt() { DOUBT } else { jittered(self.pace().job) };
        self.read_due = now + pace;
        self.heaters_due = self.heaters_due.min(now + self.pace().heaters);
        self.dirty = true;
        self.report_observation();
        self.judge_late();
    }

    pub(super) fn on_read_failed(&mut self, error: &Error, started: Instant) {
        let now = Instant::now();
        self.on_unreachable(error, now);
        self.conduct_read_failure(error, started);
    }

    pub(super) fn on_heaters(&mut self, result: Result<Option<PrinterReading>, Error>) {
        let now = Instant::now();
        self.heaters_under_way = false;
        let mut due = self.pace().heaters;
        if let Ok(Some(printer)) = result {
            // Whoever looks follows each reading, also one that says the same.
            self.dirty |= self.is_watched();
            if *self.live.temperatures != printer.temperatures {
                self.live.temperatures = Arc::new(printer.temperatures);
                self.dirty = true;
            }
            self.flags = printer.flags;
            self.live.heaters_read = Some(now);
            if self.live.temperatures.values().any(|heater| heater.is_heating()) {
                due = due.min(Duration::from_secs(3));
            }
        }
        self.heaters_due = now + jittered(due);
    }

    /// What is known of the printer is of this moment. `after`: only a reading begun after it will do.
    pub(super) fn is_fresh(&self, after: Option<Instant>, now: Instant) -> bool {
        if let Some(after) = after {
            return self.in_touch && self.read_begun.is_some_and(|begun| begun >= after);
        }
        let by_socket = self.is_pushed()
            && self.in_touch
            && self.last_frame.is_some_and(|last| now.duration_since(last) <= FRESH_BY_SOCKET);
        by_socket || (self.in_touch && self.read_came.is_some_and(|came| now.duration_since(came) <= FRESH_BY_READING))
    }

    /// What is known of the printer.
    pub(super) fn sight(&self) -> Sight {
        let current = self.tracker.current();
        Sight {
            state: self.state,
            file: self.tracker.selected().cloned(),
            print_id: current.map(|print| print.id),
            paused_by_printyard: current
                .and_then(|print| print.paused_by)
                .is_some_and(|by| by.kind == ActorKind::Command),
        }
    }

    pub(super) fn moment(&self) -> Moment {
        let out = |step: Step| {
            self.slot
                .as_ref()
                .filter(|flight| flight.is_out() && flight.step == step)
                .map(|flight| flight.order.command_id)
        };
        Moment {
            at: clock::now(),
            fresh_ids: [clock::new_id(), clock::new_id()],
            pushed: self.is_pushed(),
            starting: self.start_sent(),
            pausing: out(Step::Pause),
            resuming: out(Step::Resume),
            cancelling: out(Step::Cancel),
        }
    }

    /// The start that was sent and whose print has not been observed: of the command in flight, of the previous run of
    /// the server, or of a command without a reply.
    pub(super) fn start_sent(&self) -> Option<StartSent> {
        if let Some(flight) = self.slot.as_ref().filter(|flight| flight.is_out() && flight.step == Step::Start) {
            let command_id = flight.order.command_id;
            let before = self.start_before.as_ref().filter(|start| start.command_id == command_id);
            return Some(before.cloned().unwrap_or_else(|| StartSent {
                command_id,
                file: flight.target().cloned(),
                sent_at: flight.sent_at,
                by_previous_run: flight.order.recover.is_some(),
                print_id: None,
            }));
        }
        self.start_before.clone().or_else(|| self.late.iter().rev().find_map(|late| late.start.clone()))
    }

    /// Tells the recorder what the tracker found out.
    pub(super) fn tell(&mut self, facts: Vec<PrintFact>) {
        // A gap after which something had changed: it is kept as a print, and proves nothing about a start.
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
                    self.note_began(*id, by.command_id);
                    if let Some(file) = file.as_ref().filter(|_| !doubtful.contains(id)) {
                        self.note_found(&file.path);
                    }
                    self.live.plate = Plate::occupied(*id, *at);
                    self.live.heated_up = Some(Instant::now());
                    self.heaters_due = self.heaters_due.min(Instant::now() + Duration::from_secs(3));
                }
                PrintFact::Resumed { .. } => self.live.heated_up = Some(Instant::now()),
                PrintFact::Paused { .. } | PrintFact::Stalled { .. } | PrintFact::Ended { .. } => {}
            }
            self.dirty = true;
            self.job_stale = true;
            self.around.recorder.add_fact(self.live.id, fact);
        }
    }

    /// Has the recorder store what the printer shows, where it differs from what is stored. After a restart the server
    /// continues from it. Of an active print each reading is stored: its time counts until then.
    pub(super) fn report_observation(&mut self) {
        let mark = self.tracker.mark();
        if !self.state.is_active() && self.stored.0 == self.state && self.stored.1 == *mark {
            return;
        }
        self.stored = (self.state, mark.clone());
        self.around.recorder.add_observation(Observation {
            printer_id: self.live.id,
            state: self.state,
            mark: mark.clone(),
            at: clock::now(),
            octoprint_version: self.live.octoprint_version.clone(),
        });
    }

    /// Believes a reading whose events have not come: what happens next must find the print ended.
    pub(super) fn settle_print(&mut self) {
        if self.tracker.is_in_doubt() {
            let facts = self.tracker.settle(&self.moment());
            self.tell(facts);
        }
    }

    /// Tells the recorder that the printer has come into reach, or is out of it.
    pub(super) fn report_reach(&mut self) {
        let reachability = self.live.reachability;
        if self.seen_reachability == reachability || reachability == Reachability::Unknown {
            return;
        }
        self.seen_reachability = reachability;
        self.around.recorder.add_reach(self.live.id, reachability, clock::now());
    }

    /// It was heard of now; the view's age needs no new version for that.
    pub(super) fn hear(&mut self) {
        self.live.heard.store(clock::now().timestamp_micros(), Ordering::Relaxed);
    }

    /// Writes what is seen into the farm's snapshot.
    pub(super) fn publish(&mut self) {
        if !self.dirty {
            return;
        }
        self.dirty = false;
        let online = self.live.reachability == Reachability::Online;
        self.live.state = if online { self.state } else { PrinterState::Unknown };
        if online && self.state != PrinterState::Unknown {
            self.live.last_state = self.state;
        }
        self.live.in_flight = self.slot.as_ref().map(|flight| flight.order.command);
        if std::mem::take(&mut self.job_stale) {
            self.live.job = self.live_job().map(Arc::new);
        }
        self.around.view.update(self.live.clone());
    }

    pub(super) fn live_job(&self) -> Option<LiveJob> {
        let current = self.tracker.current();
        let reading = self.reading.as_ref();
        let selected = self.tracker.selected();
        if current.is_none() && selected.is_none() {
            return None;
        }
        // The reading may be of the file before.
        let read_file = reading
            .and_then(|reading| reading.file.clone())
            .filter(|file| selected.is_some_and(|selected| selected.path == file.path));
        let fresh = read_file.is_some();
        let file = read_file.or_else(|| {
            selected.map(|file| JobFile {
                name: file.path.rsplit('/').next().unwrap_or(&file.path).to_owned(),
                path: file.path.clone(),
                origin: file.origin.clone(),
                size: None,
                date: None,
            })
        });
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
}
