//! Tests of the dispatcher: when reports are written, how permits follow the command log, and how memory follows it.

mod faults;

use std::time::Instant;

use chrono::TimeDelta;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{
    config::Settings,
    domain::{
        audit::{Action, ActorKind, Entry},
        batch::BatchSpec,
        command::{Command, Effect, Settled, Step},
        plate::{Plate, PlateState},
        state::PrinterState,
    },
    fleet::{
        message::{Report, SendRequest},
        view::Live,
    },
    storage::batches::{self, PreparedBatch},
};

/// A dispatcher with two sent pauses in its command log; `a` and `b` are their ids.
struct Desk {
    dispatcher: Dispatcher,
    a: Uuid,
    b: Uuid,
    _dir: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let db = Db::connect(&format!("sqlite:{}", dir.path().join("test.db").display())).await.expect("a database");
        let (fleet, inbox) = Fleet::new(Settings::default(), TaskTracker::new(), CancellationToken::new());
        let dispatcher = Dispatcher::new(db, fleet, inbox.ledger, None);
        let mut desk = Self { dispatcher, a: Uuid::nil(), b: Uuid::nil(), _dir: dir };
        let now = clock::now();
        let sent = |row: &mut CommandRow| {
            (row.outcome, row.step, row.attempts, row.sent_at) = (Outcome::Sent, Some(Step::Pause), 1, Some(now));
        };
        let (_, rows) = desk.store(BatchState::Running, |_| {}, 2, sent).await;
        [desk.a, desk.b] = [rows[0].id, rows[1].id];
        desk.dispatcher.rows.extend(rows.into_iter().map(|row| (row.id, row)));
        desk
    }

    /// Stores a batch of pauses in the command log, each for a different printer.
    async fn store(
        &self,
        state: BatchState,
        spec: impl FnOnce(&mut BatchSpec),
        rows: i64,
        change: impl Fn(&mut CommandRow),
    ) -> (Uuid, Vec<CommandRow>) {
        let now = clock::now();
        let mut batch = Batch {
            id: clock::new_id(),
            spec: BatchSpec::of(Command::Pause),
            state,
            created_at: now,
            finished_at: None,
            created_by: String::new(),
            retry_of: None,
        };
        spec(&mut batch.spec);
        let row = |position| {
            let row = CommandRow::queued(clock::new_id(), batch.id, clock::new_id(), String::new(), Command::Pause);
            let mut row = CommandRow { position, ..row };
            change(&mut row);
            row
        };
        let rows: Vec<CommandRow> = (0..rows).map(row).collect();
        let entry =
            Entry { subject: Some(batch.id), ..Entry::unasked(ActorKind::Scheduler, Action::BatchCreated, now) };
        let new = PreparedBatch { batch: batch.clone(), rows: rows.clone(), entry };
        batches::create(&self.dispatcher.db, &[new]).await.expect("created");
        (batch.id, rows)
    }

    /// Adds a released pause that is in flight. Its printer has no actor in this test.
    async fn add(&mut self, change: impl Fn(&mut CommandRow)) -> CommandRow {
        let released = |row: &mut CommandRow| {
            row.released_at = Some(clock::now());
            row.expires_at = Some(clock::now() + TimeDelta::seconds(60));
            change(row);
        };
        let (batch_id, rows) = self.store(BatchState::Running, |_| {}, 1, released).await;
        let batch = batches::get(&self.dispatcher.db, batch_id).await.expect("readable").expect("a stored batch");
        let row = rows[0].clone();
        let mut active = ActiveBatch::new(batch, VecDeque::new());
        active.open.insert(row.id, row.printer_id);
        self.dispatcher.active_batches.insert(batch_id, active);
        self.dispatcher.printer_queues.offer(row.printer_id, super::delivery::ticket(&row));
        self.dispatcher.rows.insert(row.id, row.clone());
        row
    }

    fn report(&self, id: Uuid, outcome: Outcome) -> ActorEvent {
        ActorEvent::Report(Report {
            printer_id: self.dispatcher.rows[&id].printer_id,
            command_id: id,
            outcome,
            reason: None,
            detail: None,
            resolved: None,
            print_id: None,
            state_before: None,
            state_after: None,
            accepted_at: None,
            at: clock::now(),
        })
    }

    async fn stored(&self, id: Uuid) -> CommandRow {
        commands::get(&self.dispatcher.db, id).await.expect("readable").expect("a stored row")
    }
}

fn stored(id: Uuid, outcome: Outcome) -> commands::Report {
    commands::Report {
        id,
        row: None,
        outcome,
        reason: None,
        detail: None,
        resolved: None,
        print_id: None,
        state_before: None,
        state_after: None,
        accepted_at: None,
        finished_at: Some(clock::now()),
    }
}

#[tokio::test]
async fn a_report_is_written_while_the_reply_to_another_command_is_due() {
    let mut desk = Desk::new().await;
    let (a, b) = (desk.a, desk.b);
    let acceptance = desk.report(a, Outcome::Accepted);
    desk.dispatcher.on_messages(vec![acceptance]).await;
    assert_eq!(desk.stored(a).await.outcome, Outcome::Accepted);
    let end = desk.report(a, Outcome::Confirmed);
    desk.dispatcher.on_messages(vec![end]).await;
    assert_eq!(desk.stored(a).await.outcome, Outcome::Confirmed);
    assert_eq!(desk.stored(b).await.outcome, Outcome::Sent);
}

#[tokio::test]
async fn what_came_to_light_later_is_kept_also_when_it_comes_with_the_end() {
    let mut desk = Desk::new().await;
    let settled = Settled { effect: Effect::Done, state: PrinterState::Paused, at: clock::now() };
    let end = desk.report(desk.a, Outcome::Unknown);
    desk.dispatcher.on_messages(vec![end, ActorEvent::Settled { command_id: desk.a, settled }]).await;
    let row = desk.stored(desk.a).await;
    assert_eq!((row.outcome, row.settled.map(|settled| settled.effect)), (Outcome::Unknown, Some(Effect::Done)));
}

#[tokio::test]
async fn a_command_that_another_write_has_ended_is_shown_as_it_ended() {
    let mut desk = Desk::new().await;
    let printer_id = desk.dispatcher.rows[&desk.a].printer_id;
    let plate = Plate { state: PlateState::Clear, print_id: None, since: None, cleared_by: None };
    let unseen = Live::unseen(printer_id, PrinterState::Unknown, None, plate);
    desk.dispatcher.fleet.view().put(unseen);
    let skipped = Reason::OvertakenByCancel;
    let end = commands::Report { reason: Some(skipped), ..stored(desk.a, Outcome::Skipped) };
    commands::report(&desk.dispatcher.db, &[end], &[]).await.expect("ended");
    let late = desk.report(desk.a, Outcome::Confirmed);
    desk.dispatcher.on_messages(vec![late]).await;
    assert!(!desk.dispatcher.rows.contains_key(&desk.a), "the command has ended");
    let live = desk.dispatcher.fleet.view().get(printer_id).expect("the printer");
    let shown = live.last_command.as_ref().map(|row| (row.outcome, row.reason));
    assert_eq!(shown, Some((Outcome::Skipped, Some(skipped))));
}

/// A request for a permit, and the receiver of its result.
fn ready(row: &CommandRow, attempt: i64) -> (SendRequest, oneshot::Receiver<bool>) {
    let (permit, answer) = oneshot::channel();
    let ready = SendRequest {
        printer_id: row.printer_id,
        command_id: row.id,
        attempt,
        is_repeated: false,
        step: Step::Pause,
        resolved: None,
        state_before: PrinterState::Printing,
        print_id: None,
        file_path: None,
        permit,
    };
    (ready, answer)
}

#[tokio::test]
async fn a_send_whose_commit_lost_its_reply_is_granted_once() {
    let mut desk = Desk::new().await;
    let row = desk.add(|_| {}).await;
    let committed = commands::Send {
        id: row.id,
        attempt: 1,
        is_repeated: false,
        step: Step::Pause,
        resolved: None,
        state_before: None,
        print_id: None,
        file_path: None,
        at: clock::now(),
    };
    assert_eq!(commands::commit_sends(&desk.dispatcher.db, &[committed]).await.expect("committed"), [row.id]);
    let ((first, granted), (second, refused)) = (ready(&row, 1), ready(&row, 1));
    desk.dispatcher.on_readies(vec![first]).await;
    assert_eq!(granted.await, Ok(true), "the log has the send, and it was never granted");
    desk.dispatcher.on_readies(vec![second]).await;
    assert_eq!(refused.await, Ok(false));
    assert_eq!(desk.stored(row.id).await.outcome, Outcome::Sent);
}

#[tokio::test]
async fn a_command_that_expired_before_its_permit_ends_and_leaves_the_queue() {
    let mut desk = Desk::new().await;
    let row = desk.add(|row| row.expires_at = Some(clock::now())).await;
    let (ready, refused) = ready(&row, 1);
    desk.dispatcher.on_readies(vec![ready]).await;
    assert_eq!(refused.await, Ok(false));
    assert_eq!(desk.stored(row.id).await.outcome, Outcome::Expired);
    assert_eq!(desk.dispatcher.printer_queues.in_flight(row.printer_id), None);
}

#[tokio::test]
async fn a_command_long_past_its_expiry_ends_as_the_log_says() {
    let mut desk = Desk::new().await;
    let ago = |s| Some(clock::now() - TimeDelta::seconds(s));
    let ended = desk.add(|row| row.expires_at = ago(30)).await;
    let forgotten = desk.add(|row| row.expires_at = ago(2_000)).await;
    let waiting = desk.add(|row| row.expires_at = ago(30)).await;
    commands::report(&desk.dispatcher.db, &[stored(ended.id, Outcome::Confirmed)], &[]).await.expect("ended");
    desk.dispatcher.compare_overdue().await;
    assert_eq!(desk.dispatcher.printer_queues.in_flight(ended.printer_id), None, "the log has its end");
    assert_eq!(desk.dispatcher.printer_queues.in_flight(forgotten.printer_id), None, "no actor holds it for so long");
    assert_eq!(desk.stored(forgotten.id).await.outcome, Outcome::Expired);
    assert!(desk.dispatcher.printer_queues.in_flight(waiting.printer_id).is_some(), "its actor may hold it");
}

#[tokio::test]
async fn a_stop_of_which_the_dispatcher_was_not_told_is_found_in_the_log() {
    let mut desk = Desk::new().await;
    let row = desk.add(|_| {}).await;
    let entry = Entry::unasked(ActorKind::Scheduler, Action::BatchStopped, clock::now());
    batches::stop(&desk.dispatcher.db, row.batch_id, clock::now(), &entry).await.expect("stopped");
    desk.dispatcher.tick().await;
    assert_eq!(desk.dispatcher.printer_queues.in_flight(row.printer_id), None);
    assert!(!desk.dispatcher.active_batches.contains_key(&row.batch_id));
}

#[tokio::test]
async fn a_batch_that_failed_under_on_failure_stop_is_stopped_by_the_next_process_too() {
    let mut desk = Desk::new().await;
    let limited = |spec: &mut BatchSpec| (spec.on_failure, spec.max_in_flight) = (OnFailure::Stop, 1);
    let first = |row: &mut CommandRow| row.released_at = (row.position == 0).then(clock::now);
    let (batch_id, rows) = desk.store(BatchState::Running, limited, 2, first).await;
    commands::report(&desk.dispatcher.db, &[stored(rows[0].id, Outcome::Rejected)], &[]).await.expect("ended");
    assert!(desk.dispatcher.load().await);
    assert_eq!(desk.stored(rows[1].id).await.reason, Some(Reason::BatchStopped));
    let batch = batches::get(&desk.dispatcher.db, batch_id).await.expect("readable").expect("a stored batch");
    assert_eq!(batch.state, BatchState::Stopped);
}

#[tokio::test]
async fn new_batches_wait_in_memory_up_to_a_bound_and_in_the_log_beyond() {
    let mut desk = Desk::new().await;
    let handle = desk.dispatcher.handle();
    let (batch_id, rows) = desk.store(BatchState::Running, |_| {}, 1, |_| {}).await;
    let batch = batches::get(&desk.dispatcher.db, batch_id).await.expect("readable").expect("a stored batch");
    let many = vec![rows[0].clone(); 20_001];
    handle.created(batch, many);
    assert_eq!(handle.open_batches(), 0, "too many rows are not kept in memory");
    desk.dispatcher.take_up_new().await;
    assert_eq!(desk.dispatcher.active_batches[&batch_id].queued.len(), 1);
}

#[tokio::test]
async fn a_batch_that_is_stopped_before_it_was_taken_up_is_not_held() {
    let mut desk = Desk::new().await;
    let now = clock::now();
    let batch = Batch {
        id: clock::new_id(),
        spec: BatchSpec { not_before: Some(now + chrono::TimeDelta::days(1)), ..BatchSpec::of(Command::Pause) },
        state: BatchState::Scheduled,
        created_at: now,
        finished_at: None,
        created_by: String::new(),
        retry_of: None,
    };
    let row = CommandRow::queued(clock::new_id(), batch.id, clock::new_id(), String::new(), Command::Pause);
    let id = row.id;
    desk.dispatcher.handle().created(batch, vec![row]);
    desk.dispatcher.on_signal(Signal::Ended(vec![id])).await;
    // The wake-up for the new batch may come after the signal of its end.
    desk.dispatcher.take_up_new().await;
    assert!(desk.dispatcher.active_batches.is_empty(), "the signal reported its end");
}
