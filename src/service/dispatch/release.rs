//! Releases commands within the limits of their batches, and checks scheduled batches when they are due.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    Dispatcher, FileRefusal, TICK,
    delivery::ticket_for,
    log_storage_error,
    printer_queues::OfferResult,
    retry::{GroupPart, RowGroup},
};
use crate::{
    clock,
    domain::{
        access::Role,
        batch::{Batch, BatchSpec, BatchState},
        command::{Command, CommandRow, Outcome, Reason},
        message::Message,
    },
    storage::{self, commands},
};

impl Dispatcher {
    /// Reads the power groups of printers if a batch limits heating. Until they can be read, all printers count as one
    /// group: too few printers may heat at once, but never too many.
    pub(super) async fn load_power_groups(&mut self, batches: &[Batch]) {
        if batches.iter().all(|batch| batch.spec.max_heating == 0) {
            return;
        }
        let printers = self.retry("power groups", || storage::printers::list_printers(&self.db)).await;
        self.power_groups_stale = printers.is_err();
        match printers {
            Ok(printers) => {
                self.power_groups =
                    printers.into_iter().map(|printer| (printer.id, printer.details.profile.power_group)).collect();
            }
            Err(error) => {
                log_storage_error("power groups", &error);
                self.power_groups.clear();
            }
        }
    }

    pub(super) async fn reload_stale_power_groups(&mut self) {
        if self.power_groups_stale {
            let batches: Vec<Batch> = self.active_batches.values().map(|active| active.batch.clone()).collect();
            self.load_power_groups(&batches).await;
        }
    }

    /// Releases the commands that the limits allow.
    pub(super) async fn release_commands(&mut self) {
        let (now, wall) = (Instant::now(), clock::now());
        self.wake_at = now + TICK;
        let waiting = self.active_batches.iter().filter(|(_, active)| !active.queued.is_empty() && !active.stopping);
        let mut ids: Vec<Uuid> = waiting.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        self.handle.retain_waits(&ids);
        for id in ids {
            if !self.check_when_due(id, wall).await {
                continue;
            }
            let limits_heating = self.active_batches.get(&id).is_some_and(|active| active.batch.spec.max_heating > 0);
            let heating = if limits_heating { self.heating_printers(now) } else { HashSet::new() };
            let groups = &self.power_groups;
            let Some(active) = self.active_batches.get_mut(&id) else { continue };
            let limit = usize::try_from(active.batch.spec.max_heating).unwrap_or(usize::MAX);
            let group_of = |printer: &Uuid| groups.get(printer).cloned().flatten();
            let released = active.release_rows(now, wall, |printer, just_released| {
                let group = group_of(&printer);
                let busy = heating.iter().chain(just_released.iter().filter(|id| !heating.contains(*id)));
                let others = busy.filter(|id| **id != printer && group_of(id) == group).count();
                others < limit
            });
            self.handle.publish_waits(id, &active.waits);
            if let Some(again) = released.check_at {
                self.wake_at = self.wake_at.min(again);
            }
            self.end_unreleased(id, released.expired).await;
            self.record_release(id, released.rows).await;
        }
    }

    /// Ends the rows of a batch whose window is over.
    async fn end_unreleased(&mut self, id: Uuid, over: Vec<CommandRow>) {
        if over.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = over.iter().map(|row| row.id).collect();
        self.keep_open(over);
        self.end_queued(&ids, Outcome::Expired, Reason::WindowOver).await;
        self.close_if_over(vec![id]).await;
    }

    /// Marks rows whose printers have their files. The next release includes them.
    pub(super) fn on_files_ready(&mut self, ready: &[(Uuid, String)]) {
        let paths: HashMap<Uuid, &String> = ready.iter().map(|(id, path)| (*id, path)).collect();
        for row in self.active_batches.values_mut().flat_map(|active| active.queued.iter_mut()) {
            if let Some(path) = paths.get(&row.id) {
                row.file_path = Some((*path).clone());
            }
        }
    }

    /// Ends rows that were not released, because their files cannot be transferred or their printers refuse the start.
    pub(super) async fn end_before_transfer(&mut self, refused: Vec<FileRefusal>) {
        let ids: HashSet<Uuid> = refused.iter().map(|refusal| refusal.command_id).collect();
        let mut rows: Vec<CommandRow> = Vec::new();
        for active in self.active_batches.values_mut() {
            let (ending, queued): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut active.queued).into_iter().partition(|row| ids.contains(&row.id));
            active.queued = queued;
            rows.extend(ending);
        }
        let found: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
        self.keep_open(rows);
        // One statement for all that end in the same way.
        let mut groups: HashMap<(Outcome, Reason, Option<Message>), Vec<Uuid>> = HashMap::new();
        for FileRefusal { command_id, outcome, reason, detail } in refused {
            if found.contains(&command_id) {
                groups.entry((outcome, reason, detail)).or_default().push(command_id);
            }
        }
        for ((outcome, reason, detail), ids) in groups {
            self.end_rows(&ids, outcome, Some(reason), detail.as_ref()).await;
        }
    }

    /// Keeps rows that left the queue of their batch as open, until their end is in the command log.
    fn keep_open(&mut self, rows: Vec<CommandRow>) {
        for row in rows {
            if let Some(active) = self.active_batches.get_mut(&row.batch_id) {
                active.open.insert(row.id, row.printer_id);
            }
            self.rows.insert(row.id, row);
        }
    }

    async fn record_release(&mut self, id: Uuid, rows: Vec<CommandRow>) {
        let Some(active) = self.active_batches.get(&id) else { return };
        let expires_in = TimeDelta::seconds(i64::from(active.batch.spec.expires_in_s));
        let closes_at = active.closes_at();
        let mut group = RowGroup::new(rows);
        while let Some(part) = self
            .next_part("release", &mut group, |rows: Vec<CommandRow>| async {
                let at = clock::now();
                if at >= closes_at {
                    // The window ended while the database was unavailable.
                    return (rows, Ok(None));
                }
                let times: Vec<_> = rows.iter().map(|row| (row.id, at + expires_in, transferred_path(row))).collect();
                let released = commands::release_queued(&self.db, &times, at).await;
                (rows, released.map(|released| Some((at, released))))
            })
            .await
        {
            match part {
                GroupPart::Done(over, None) => self.end_unreleased(id, over).await,
                GroupPart::Done(mut rows, Some((at, released))) => {
                    let released: HashSet<Uuid> = released.into_iter().map(|row| row.id).collect();
                    for row in &mut rows {
                        (row.released_at, row.expires_at) = (Some(at), Some(at + expires_in));
                    }
                    let (rows, ended): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| released.contains(&row.id));
                    self.offer_rows(rows).await;
                    // These rows have ended in the meantime: by a stop, or because their printer was removed.
                    let ids: Vec<Uuid> = ended.iter().map(|row| row.id).collect();
                    self.keep_open(ended);
                    self.sync_with_log(&ids).await;
                }
                GroupPart::Refused(row) => {
                    let id = row.id;
                    self.keep_open(vec![row]);
                    self.end_as_not_recorded(vec![id.into()]).await;
                }
            }
        }
    }

    /// Checks the printer states and the creator's rights again when a scheduled batch is due. Returns `false` if the
    /// checks cannot be made now. Then the batch stays scheduled, and they are repeated until its window is over.
    pub(super) async fn check_when_due(&mut self, id: Uuid, wall: DateTime<Utc>) -> bool {
        let Some(active) = self.active_batches.get_mut(&id) else { return false };
        if active.checked || wall < active.batch.due_at() || wall >= active.closes_at() {
            return true;
        }
        if active.batch.state != BatchState::Scheduled {
            active.checked = true;
            return true;
        }
        if Instant::now() < self.next_due_check {
            return false;
        }
        let spec = active.batch.spec.clone();
        let printers: Vec<(Uuid, Uuid)> = active.queued.iter().map(|row| (row.id, row.printer_id)).collect();
        let is_permitted = match self.may_still_create(&spec, wall).await {
            Ok(is_permitted) => is_permitted,
            Err(error) => return self.check_later("rights", &error),
        };
        // The rows end before the batch becomes running. If the process ends in between, the next one repeats the
        // checks.
        if !is_permitted {
            let all: Vec<Uuid> = printers.iter().map(|(id, _)| *id).collect();
            self.end_queued(&all, Outcome::Rejected, Reason::Forbidden).await;
        } else if !spec.states.is_empty() {
            let view = self.fleet.view();
            let changed: Vec<Uuid> = printers
                .iter()
                .filter(|(_, printer)| view.get(*printer).is_none_or(|live| !spec.states.contains(&live.last_state)))
                .map(|(id, _)| *id)
                .collect();
            self.end_queued(&changed, Outcome::Rejected, Reason::StateChanged).await;
        }
        if !self.active_batches.contains_key(&id) {
            return false;
        }
        if let Err(error) = storage::batches::mark_running(&self.db, id).await {
            return self.check_later("start of a batch", &error);
        }
        if let Some(active) = self.active_batches.get_mut(&id) {
            active.checked = true;
            active.batch.state = BatchState::Running;
        }
        // `send` fails if no request follows the batch. That is harmless.
        let _ = self.handle.changed.send(id);
        true
    }

    fn check_later(&mut self, what: &str, error: &storage::Error) -> bool {
        log_storage_error(what, error);
        self.next_due_check = Instant::now() + TICK;
        false
    }

    /// Returns whether the creator of a batch still has the right to create it.
    async fn may_still_create(&self, spec: &BatchSpec, wall: DateTime<Utc>) -> Result<bool, storage::Error> {
        if let Some(user_id) = spec.user_id {
            let user = storage::users::get(&self.db, user_id).await?;
            return Ok(user.is_some_and(|user| user.details.enabled && user.details.role >= Role::Operator));
        }
        let Some(token_id) = spec.token_id else { return Ok(true) };
        let token = storage::tokens::get(&self.db, token_id).await?;
        Ok(token.is_some_and(|token| token.role >= Role::Operator && token.expires_at.is_none_or(|at| at > wall)))
    }

    /// Returns the printers that are heating, or have a command in flight that makes them heat.
    pub(super) fn heating_printers(&self, now: Instant) -> HashSet<Uuid> {
        let views = self.fleet.view().printers();
        let commanded = self.rows.values().filter(|row| {
            row.command.heats()
                && self.printer_queues.in_flight(row.printer_id).is_some_and(|ticket| ticket.command_id == row.id)
        });
        views
            .iter()
            .filter(|live| live.is_heating(now))
            .map(|live| live.id)
            .chain(commanded.map(|row| row.printer_id))
            .collect()
    }

    /// Offers released rows to the queues of their printers. Emergency stops go first.
    pub(super) async fn offer_rows(&mut self, rows: Vec<CommandRow>) {
        let rows = self.withdraw_before_stops(rows).await;
        let (stops, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.command == Command::EmergencyStop);
        let mut refused: HashMap<Command, Vec<Uuid>> = HashMap::new();
        self.offer_group(stops, &mut refused).await;
        let mut others = VecDeque::from(others);
        // A cancel overtakes what an earlier batch has put in flight. So a batch is offered before the next one is looked at.
        while let Some(batch_id) = others.front().map(|row| row.batch_id) {
            let end = others.iter().position(|row| row.batch_id != batch_id).unwrap_or(others.len());
            let group: Vec<CommandRow> = others.drain(..end).collect();
            let cancels = group.iter().filter(|row| row.command == Command::Cancel).map(|row| row.printer_id);
            self.withdraw_overtaken(&cancels.collect(), Command::Cancel, Vec::new()).await;
            self.offer_group(group, &mut refused).await;
        }
        for (in_flight, ids) in refused {
            let detail = Message::new("refusal-command-in-flight").with("command", in_flight);
            self.end_rows(&ids, Outcome::Rejected, Some(Reason::CommandInFlight), Some(&detail)).await;
        }
    }

    async fn offer_group(&mut self, rows: Vec<CommandRow>, refused: &mut HashMap<Command, Vec<Uuid>>) {
        for row in rows {
            let (id, printer_id) = (row.id, row.printer_id);
            let offer = self.printer_queues.offer(printer_id, ticket_for(&row));
            self.rows.insert(id, row);
            match offer {
                OfferResult::Deliver | OfferResult::Overtake => self.deliver(id).await,
                OfferResult::Wait => {}
                OfferResult::Refuse(in_flight) => refused.entry(in_flight).or_default().push(id),
            }
        }
    }

    /// Before emergency stops are offered, withdraws the unsent commands of their printers, in any batch. Of the offered rows,
    /// these are the rows of earlier batches. Returns the rows that are left.
    async fn withdraw_before_stops(&mut self, rows: Vec<CommandRow>) -> Vec<CommandRow> {
        // Printers with the newest batch that stops them.
        let stops = rows.iter().filter(|row| row.command == Command::EmergencyStop);
        let stops: HashMap<Uuid, Uuid> = stops.map(|row| (row.printer_id, row.batch_id)).collect();
        let is_withdrawn = |row: &CommandRow| {
            Command::EmergencyStop.withdraws(row.command)
                && stops.get(&row.printer_id).is_some_and(|stop| row.batch_id < *stop)
        };
        let (withdrawn, left): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_withdrawn);
        self.withdraw_overtaken(&stops.into_keys().collect(), Command::EmergencyStop, withdrawn).await;
        left
    }

    /// Withdraws the unsent commands of printers that a cancel or an emergency stop overtakes, in any batch, and `more`.
    async fn withdraw_overtaken(&mut self, printers: &HashSet<Uuid>, by: Command, more: Vec<CommandRow>) {
        if printers.is_empty() {
            return;
        }
        let unreleased = self
            .active_batches
            .values()
            .flat_map(|active| active.queued.iter())
            .filter(|row| by.withdraws(row.command) && printers.contains(&row.printer_id));
        let mut ids: Vec<Uuid> = unreleased.map(|row| row.id).collect();
        ids.extend(printers.iter().flat_map(|printer| self.printer_queues.withdrawable(*printer, by)));
        ids.extend(more.iter().map(|row| row.id));
        self.keep_open(more);
        let is_stop = by == Command::EmergencyStop;
        let reason = if is_stop { Reason::OvertakenByEmergencyStop } else { Reason::OvertakenByCancel };
        self.end_queued(&ids, Outcome::Skipped, reason).await;
    }
}

/// Returns the path of the library file of a row on its printer.
fn transferred_path(row: &CommandRow) -> Option<&str> {
    row.file.as_ref()?.content()?;
    row.file_path.as_deref()
}
