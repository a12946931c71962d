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
        audit::{Action, ActorKind, AuditEntry},
        batch::BatchSpec,
        command::{Command, Effect, SettledEffect, Step},
        command_report::CommandReport,
        plate::{Plate, PlateState},
        state::PrinterState,
    },
    fleet::{message::SendRequest, view::LivePrinter},
    storage::batches::{self, PreparedBatch},
};

/// A dispatcher with two sent pauses in its command log; `a` and `b` are their ids.
struct TestDispatcher {
    dispatcher: Dispatcher,
    a: Uuid,
    b: Uuid,
    _dir: TempDir,
}

impl TestDispatcher {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let db = Db::connect(&format!("sqlite:{}", dir.path().join("test.db").display())).await.expect("a database");
        let (fleet, inbox) = Fleet::new(Settings::default(), &TaskTracker::new(), CancellationToken::new());
        let dispatcher = Dispatcher::new(db, fleet, inbox.events, None);
        let mut test = Self { dispatcher, a: Uuid::nil(), b: Uuid::nil(), _dir: dir };
        let now = clock::now();
        let sent = |row: &mut CommandRow| {
            (row.outcome, row.step, row.attempts, row.sent_at) = (Outcome::Sent, Some(Step::Pause), 1, Some(now));
        };
        let (_, rows) = test.store(BatchState::Running, |_| {}, 2, sent).await;
        [test.a, test.b] = [rows[0].id, rows[1].id];
        test.dispatcher.rows.extend(rows.into_iter().map(|row| (row.id, row)));
        test
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
            spec: BatchSpec::new(Command::Pause),
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
        let entry = AuditEntry {
            subject: Some(batch.id),
            ..AuditEntry::without_request(ActorKind::Scheduler, Action::BatchCreated, now)
        };
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
        self.dispatcher.printer_queues.offer(row.printer_id, super::delivery::ticket_for(&row));
        self.dispatcher.rows.insert(row.id, row.clone());
        row
    }

    fn report(&self, id: Uuid, outcome: Outcome) -> ActorEvent {
        let printer_id = Some(self.dispatcher.rows[&id].printer_id);
        ActorEvent::Report(CommandReport { printer_id, ..CommandReport::new(id, outcome, clock::now()) })
    }

    async fn stored_row(&self, id: Uuid) -> CommandRow {
        commands::get(&self.dispatcher.db, id).await.expect("readable").expect("a stored row")
    }
}

#[tokio::test]
async fn a_report_is_written_while_the_reply_to_another_command_is_due() {
    let mut test = TestDispatcher::new().await;
    let (a, b) = (test.a, test.b);
    let acceptance = test.report(a, Outcome::Accepted);
    test.dispatcher.on_actor_events(vec![acceptance]).await;
    assert_eq!(test.stored_row(a).await.outcome, Outcome::Accepted);
    let end = test.report(a, Outcome::Confirmed);
    test.dispatcher.on_actor_events(vec![end]).await;
    assert_eq!(test.stored_row(a).await.outcome, Outcome::Confirmed);
    assert_eq!(test.stored_row(b).await.outcome, Outcome::Sent);
}

#[tokio::test]
async fn a_settled_effect_is_stored_when_it_arrives_with_the_final_report() {
    let mut test = TestDispatcher::new().await;
    let settled = SettledEffect { effect: Effect::Done, state: PrinterState::Paused, at: clock::now() };
    let end = test.report(test.a, Outcome::Unknown);
    test.dispatcher.on_actor_events(vec![end, ActorEvent::Settled { command_id: test.a, settled }]).await;
    let row = test.stored_row(test.a).await;
    assert_eq!((row.outcome, row.settled.map(|settled| settled.effect)), (Outcome::Unknown, Some(Effect::Done)));
}

#[tokio::test]
async fn a_command_that_another_write_has_ended_is_shown_as_it_ended() {
    let mut test = TestDispatcher::new().await;
    let printer_id = test.dispatcher.rows[&test.a].printer_id;
    let plate = Plate { state: PlateState::Clear, print_id: None, since: None, cleared_by: None };
    let unseen = LivePrinter::unobserved(printer_id, PrinterState::Unknown, None, plate);
    test.dispatcher.fleet.view().put(unseen);
    let skipped = Reason::OvertakenByCancel;
    let end = CommandReport { reason: Some(skipped), ..CommandReport::new(test.a, Outcome::Skipped, clock::now()) };
    commands::store_reports(&test.dispatcher.db, &[end], &[]).await.expect("ended");
    let late = test.report(test.a, Outcome::Confirmed);
    test.dispatcher.on_actor_events(vec![late]).await;
    assert!(!test.dispatcher.rows.contains_key(&test.a), "the command has ended");
    let live = test.dispatcher.fleet.view().get(printer_id).expect("the printer");
    let shown = live.last_command.as_ref().map(|row| (row.outcome, row.reason));
    assert_eq!(shown, Some((Outcome::Skipped, Some(skipped))));
}

/// A request for a permit, and the receiver of its result.
fn send_request(row: &CommandRow, attempt: i64) -> (SendRequest, oneshot::Receiver<bool>) {
    let (permit, answer) = oneshot::channel();
    let request = SendRequest {
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
    (request, answer)
}

#[tokio::test]
async fn a_send_whose_commit_lost_its_reply_is_granted_once() {
    let mut test = TestDispatcher::new().await;
    let row = test.add(|_| {}).await;
    let committed = commands::SendCommit {
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
    assert_eq!(commands::commit_sends(&test.dispatcher.db, &[committed]).await.expect("committed"), [row.id]);
    let ((first, granted), (second, refused)) = (send_request(&row, 1), send_request(&row, 1));
    test.dispatcher.on_send_requests(vec![first]).await;
    assert_eq!(granted.await, Ok(true), "the log has the send, and it was never granted");
    test.dispatcher.on_send_requests(vec![second]).await;
    assert_eq!(refused.await, Ok(false));
    assert_eq!(test.stored_row(row.id).await.outcome, Outcome::Sent);
}

#[tokio::test]
async fn a_command_that_expired_before_its_permit_ends_and_leaves_the_queue() {
    let mut test = TestDispatcher::new().await;
    let row = test.add(|row| row.expires_at = Some(clock::now())).await;
    let (request, refused) = send_request(&row, 1);
    test.dispatcher.on_send_requests(vec![request]).await;
    assert_eq!(refused.await, Ok(false));
    assert_eq!(test.stored_row(row.id).await.outcome, Outcome::Expired);
    assert_eq!(test.dispatcher.printer_queues.in_flight(row.printer_id), None);
}

#[tokio::test]
async fn a_command_long_past_its_expiry_ends_as_the_log_says() {
    let mut test = TestDispatcher::new().await;
    let ago = |s| Some(clock::now() - TimeDelta::seconds(s));
    let ended = test.add(|row| row.expires_at = ago(30)).await;
    let forgotten = test.add(|row| row.expires_at = ago(2_000)).await;
    let waiting = test.add(|row| row.expires_at = ago(30)).await;
    commands::store_reports(
        &test.dispatcher.db,
        &[CommandReport::new(ended.id, Outcome::Confirmed, clock::now())],
        &[],
    )
    .await
    .expect("ended");
    test.dispatcher.compare_overdue().await;
    assert_eq!(test.dispatcher.printer_queues.in_flight(ended.printer_id), None, "the log has its end");
    assert_eq!(test.dispatcher.printer_queues.in_flight(forgotten.printer_id), None, "no actor holds it for so long");
    assert_eq!(test.stored_row(forgotten.id).await.outcome, Outcome::Expired);
    assert!(test.dispatcher.printer_queues.in_flight(waiting.printer_id).is_some(), "its actor may hold it");
}

#[tokio::test]
async fn a_stop_without_a_signal_is_found_in_the_log() {
    let mut test = TestDispatcher::new().await;
    let row = test.add(|_| {}).await;
    let entry = AuditEntry::without_request(ActorKind::Scheduler, Action::BatchStopped, clock::now());
    batches::stop(&test.dispatcher.db, row.batch_id, clock::now(), &entry).await.expect("stopped");
    test.dispatcher.tick().await;
    assert_eq!(test.dispatcher.printer_queues.in_flight(row.printer_id), None);
    assert!(!test.dispatcher.active_batches.contains_key(&row.batch_id));
}

#[tokio::test]
async fn a_batch_that_failed_under_on_failure_stop_is_stopped_by_the_next_process_too() {
    let mut test = TestDispatcher::new().await;
    let limited = |spec: &mut BatchSpec| (spec.on_failure, spec.max_in_flight) = (OnFailure::Stop, 1);
    let first = |row: &mut CommandRow| row.released_at = (row.position == 0).then(clock::now);
    let (batch_id, rows) = test.store(BatchState::Running, limited, 2, first).await;
    commands::store_reports(
        &test.dispatcher.db,
        &[CommandReport::new(rows[0].id, Outcome::Rejected, clock::now())],
        &[],
    )
    .await
    .expect("ended");
    assert!(test.dispatcher.load_batches().await);
    assert_eq!(test.stored_row(rows[1].id).await.reason, Some(Reason::BatchStopped));
    let batch = batches::get(&test.dispatcher.db, batch_id).await.expect("readable").expect("a stored batch");
    assert_eq!(batch.state, BatchState::Stopped);
}

#[tokio::test]
async fn new_batches_wait_in_memory_up_to_a_bound_and_in_the_log_beyond() {
    let mut test = TestDispatcher::new().await;
    let handle = test.dispatcher.handle();
    let (batch_id, rows) = test.store(BatchState::Running, |_| {}, 1, |_| {}).await;
    let batch = batches::get(&test.dispatcher.db, batch_id).await.expect("readable").expect("a stored batch");
    let many = vec![rows[0].clone(); 20_001];
    handle.add_batch(batch, many);
    assert_eq!(handle.open_batches(), 0, "too many rows are not kept in memory");
    test.dispatcher.activate_new_batches().await;
    assert_eq!(test.dispatcher.active_batches[&batch_id].queued.len(), 1);
}

#[tokio::test]
async fn a_batch_that_is_stopped_before_it_is_active_is_not_activated() {
    let mut test = TestDispatcher::new().await;
    let now = clock::now();
    let batch = Batch {
        id: clock::new_id(),
        spec: BatchSpec { not_before: Some(now + chrono::TimeDelta::days(1)), ..BatchSpec::new(Command::Pause) },
        state: BatchState::Scheduled,
        created_at: now,
        finished_at: None,
        created_by: String::new(),
        retry_of: None,
    };
    let row = CommandRow::queued(clock::new_id(), batch.id, clock::new_id(), String::new(), Command::Pause);
    let id = row.id;
    test.dispatcher.handle().add_batch(batch, vec![row]);
    test.dispatcher.on_signal(DispatcherSignal::Ended(vec![id])).await;
    // The wake-up for the new batch may come after the signal of its end.
    test.dispatcher.activate_new_batches().await;
    assert!(test.dispatcher.active_batches.is_empty(), "the signal reported its end");
}
