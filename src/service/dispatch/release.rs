//! Which commands may go now, and to whom they are handed.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Dispatcher, RETRY, TICK, log_storage};
use crate::{
    clock,
    domain::{
        access::Role,
        batch::{Batch, BatchSpec, BatchState, PlatePolicy, WhenUnreachable},
        command::{Command, CommandRow, FileRef, Outcome, Reason},
        reading::LOCAL,
        state::PrinterState,
    },
    fleet::{
        NotTaken,
        flight::LATE_LIMIT,
        message::{LateOrder, Order, Recover},
    },
    service::lanes::{Offer, Ticket},
    storage::{self, commands},
};

impl Dispatcher {
    pub(super) async fn learn_power_groups(&mut self, batches: &[Batch]) {
        if batches.iter().all(|batch| batch.spec.max_heating == 0) {
            return;
        }
        match storage::printers::all(&self.db).await {
            Ok(printers) => {
                self.groups =
                    printers.into_iter().map(|(printer, _)| (printer.id, printer.details.power_group)).collect();
            }
            Err(error) => log_storage("power groups", &error),
        }
    }

    /// Releases what the limits allow.
    pub(super) async fn release(&mut self) {
        let (now, wall) = (Instant::now(), clock::now());
        self.wake_at = now + TICK;
        let mut ids: Vec<Uuid> =
            self.runs.iter().filter(|(_, run)| !run.queued.is_empty()).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            if !self.check_when_due(id, wall).await {
                continue;
            }
            let limits_heating = self.runs.get(&id).is_some_and(|run| run.batch.spec.max_heating > 0);
            let heating = if limits_heating { self.heating(now) } else { HashSet::new() };
            let groups = &self.groups;
            let Some(run) = self.runs.get_mut(&id) else { continue };
            let limit = usize::try_from(run.batch.spec.max_heating).unwrap_or(usize::MAX);
            let group_of = |printer: &Uuid| groups.get(printer).cloned().flatten();
            let released = run.release(now, wall, |printer, let_go| {
                let group = group_of(&printer);
                let busy = heating.iter().chain(let_go.iter().filter(|id| !heating.contains(*id)));
                let others = busy.filter(|id| **id != printer && group_of(id) == group).count();
                others < limit
            });
            let expires_in = TimeDelta::seconds(i64::from(run.batch.spec.expires_in_s));
            if let Some(again) = released.again {
                self.wake_at = self.wake_at.min(again);
            }
            if !released.over.is_empty() {
                let over: Vec<Uuid> = released.over.iter().map(|row| row.id).collect();
                self.end_queued(&over, Outcome::Expired, Reason::WindowOver).await;
                self.close_if_over(vec![id]).await;
            }
            let mut rows = released.rows;
            if rows.is_empty() {
                continue;
            }
            for row in &mut rows {
                row.expires_at = Some(wall + expires_in);
            }
            let times: Vec<(Uuid, DateTime<Utc>)> = rows.iter().map(|row| (row.id, wall + expires_in)).collect();
            while let Err(error) = commands::release(&self.db, &times, wall).await {
                log_storage("release", &error);
                tokio::time::sleep(RETRY).await;
            }
            self.offer(rows).await;
        }
    }

    /// When a scheduled batch is due, states and the creator's rights are checked again. `false`: nothing to release.
    pub(super) async fn check_when_due(&mut self, id: Uuid, wall: DateTime<Utc>) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        if run.due || wall < run.batch.due_at() {
            return true;
        }
        run.due = true;
        if run.batch.state != BatchState::Scheduled {
            return true;
        }
        run.batch.state = BatchState::Running;
        let spec = run.batch.spec.clone();
        let printers: Vec<(Uuid, Uuid)> = run.queued.iter().map(|row| (row.id, row.printer_id)).collect();
        if let Err(error) = storage::batches::run(&self.db, id).await {
            log_storage("start of a batch", &error);
        }
        let _ = self.handle.changed.send(id);
        if !self.may_still(&spec, wall).await {
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
        self.close_if_over(vec![id]).await;
        true
    }

    /// Whether whoever made a batch may do so at this moment.
    pub(super) async fn may_still(&self, spec: &BatchSpec, wall: DateTime<Utc>) -> bool {
        let may = async {
            if let Some(user_id) = spec.user_id {
                let user = storage::users::get(&self.db, user_id).await?;
                return Ok(user.is_some_and(|user| user.details.enabled && user.details.role >= Role::Operator));
            }
            let Some(token_id) = spec.token_id else { return Ok(true) };
            let token = storage::tokens::get(&self.db, token_id).await?;
            Ok(token.is_some_and(|token| token.role >= Role::Operator && token.expires_at.is_none_or(|at| at > wall)))
        };
        may.await.unwrap_or_else(|error: storage::Error| {
            log_storage("rights", &error);
            false
        })
    }

    /// Printers that heat, or were told to.
    pub(super) fn heating(&self, now: Instant) -> HashSet<Uuid> {
        let seen = self.fleet.view().all();
        let told = self.rows.values().filter(|row| {
            row.command.heats()
                && self.lanes.in_flight(row.printer_id).is_some_and(|ticket| ticket.command_id == row.id)
        });
        seen.iter()
            .filter(|live| live.is_heating(now))
            .map(|live| live.id)
            .chain(told.map(|row| row.printer_id))
            .collect()
    }

    /// Offers released rows to their printers.
    pub(super) async fn offer(&mut self, rows: Vec<CommandRow>) {
        self.withdraw_before_cancels(&rows).await;
        let mut refused: HashMap<Command, Vec<Uuid>> = HashMap::new();
        for row in rows {
            let (id, printer_id) = (row.id, row.printer_id);
            let offer = self.lanes.offer(printer_id, ticket(&row));
            self.rows.insert(id, row);
            match offer {
                Offer::Go | Offer::Overtake => self.post(id).await,
                Offer::Wait => {}
                Offer::Refuse(in_flight) => refused.entry(in_flight).or_default().push(id),
            }
        }
        for (in_flight, ids) in refused {
            let detail = format!("Another command to this printer has not ended yet: {in_flight}.");
            self.end_rows(&ids, Outcome::Rejected, Reason::CommandInFlight, &detail).await;
        }
    }

    /// A cancel first withdraws whatever was about to start on its printers, of any batch.
    pub(super) async fn withdraw_before_cancels(&mut self, rows: &[CommandRow]) {
        let printers: HashSet<Uuid> =
            rows.iter().filter(|row| row.command == Command::Cancel).map(|row| row.printer_id).collect();
        if printers.is_empty() {
            return;
        }
        let unreleased = self
            .runs
            .values()
            .flat_map(|run| run.queued.iter())
            .filter(|row| row.command.heats() && printers.contains(&row.printer_id));
        let mut ids: Vec<Uuid> = unreleased.map(|row| row.id).collect();
        ids.extend(printers.iter().flat_map(|printer| self.lanes.withdrawable(*printer)));
        self.end_queued(&ids, Outcome::Skipped, Reason::OvertakenByCancel).await;
    }

    /// Hands a released command to its actor.
    pub(super) async fn post(&mut self, id: Uuid) {
        let Some(row) = self.rows.get(&id) else { return };
        let Some(run) = self.runs.get(&row.batch_id) else { return };
        let printer_id = row.printer_id;
        match self.fleet.perform(printer_id, order(row, &run.batch.spec)) {
            Ok(()) => {}
            Err(NotTaken::Busy) => self.unposted.push(id),
            Err(NotTaken::NoActor) => {
                let (outcome, reason) = if row.outcome == Outcome::Queued {
                    (Outcome::Rejected, Reason::PrinterDisabled)
                } else {
                    (Outcome::Unknown, Reason::PrinterDisabled)
                };
                Box::pin(self.end_now(id, outcome, Some(reason))).await;
            }
        }
    }

    /// Has printers watched on for effects of commands that ended as a maybe before the server was started.
    pub(super) async fn watch_late(&mut self) {
        let since = clock::now() - TimeDelta::from_std(LATE_LIMIT).unwrap_or_default();
        let rows = match commands::unsettled_since(&self.db, since).await {
            Ok(rows) => rows,
            Err(error) => return log_storage("unsettled commands", &error),
        };
        for row in rows {
            let (Some(step), Some(finished_at)) = (row.step, row.finished_at) else { continue };
            if row.command == Command::Restart {
                continue;
            }
            let left = LATE_LIMIT.saturating_sub((clock::now() - finished_at).to_std().unwrap_or_default());
            let order = LateOrder {
                command_id: row.id,
                step,
                file: row.file_path.map(|path| FileRef { path, origin: LOCAL.to_owned() }),
                state_before: row.state_before.unwrap_or(PrinterState::Unknown),
                print_id: row.print_id,
                unanswered: row.outcome == Outcome::Unknown,
                until: Instant::now() + left,
            };
            self.fleet.watch_late(row.printer_id, order);
        }
    }

    /// Gives a command that was on its way when the server died to its actor, to be settled as one without answer.
    pub(super) async fn recover(&mut self, row: CommandRow) {
        let ticket = Ticket { sent: true, ..ticket(&row) };
        let (id, printer_id) = (row.id, row.printer_id);
        self.rows.insert(id, row);
        match self.lanes.offer(printer_id, ticket) {
            Offer::Go | Offer::Overtake => self.post(id).await,
            Offer::Wait => {}
            Offer::Refuse(_) => {
                self.end_now(id, Outcome::Unknown, Some(Reason::NoAnswer)).await;
            }
        }
    }
}

fn ticket(row: &CommandRow) -> Ticket {
    Ticket {
        command_id: row.id,
        batch_id: row.batch_id,
        command: row.command,
        expires_at: row.expires_at,
        sent: row.outcome != Outcome::Queued,
    }
}

/// The order for a row, as its batch says.
fn order(row: &CommandRow, spec: &BatchSpec) -> Order {
    let left = row.expires_at.map_or(Duration::ZERO, |at| (at - clock::now()).to_std().unwrap_or_default());
    let recover = row.step.filter(|_| row.outcome != Outcome::Queued).map(|step| Recover {
        step,
        resolved: row.resolved_command,
        attempts: row.attempts,
        state_before: row.state_before,
        print_id: row.print_id,
        file: row.file_path.clone().map(|path| FileRef { path, origin: LOCAL.to_owned() }),
        accepted_at: row.accepted_at,
    });
    Order {
        command_id: row.id,
        command: row.command,
        expected_job: row.expected_job.clone(),
        file: spec.file.clone(),
        named: spec.named,
        force: spec.force,
        assume_clear: spec.plate == PlatePolicy::AssumeClear,
        confirm_within: Duration::from_secs(u64::from(spec.confirm_within_s)),
        wait_when_unreachable: spec.when_unreachable == WhenUnreachable::Wait,
        expires: Instant::now() + left,
        recover,
    }
}
