//! When ends are written down, and what has to come before and after them.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{
    config::Settings,
    domain::{
        batch::{Batch, BatchSpec, BatchState},
        command::{Command, Effect, Step},
        plate::{Plate, PlateState},
        state::PrinterState,
    },
    fleet::{Fleet, view::Live},
    service::dispatch::handle::Signal,
    storage::{Db, batches},
};

/// No test lasts so long.
const LONG: Duration = Duration::from_secs(3_600);

/// A dispatcher whose ledger has two pauses that were sent; `a` and `b` are their ids.
struct Desk {
    dispatcher: Dispatcher,
    a: Uuid,
    b: Uuid,
    _dir: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let db = Db::connect(&format!("sqlite:{}", dir.path().join("test.db").display())).await.expect("a database");
        let now = clock::now();
        let batch = Batch {
            id: clock::new_id(),
            spec: BatchSpec::of(Command::Pause),
            state: BatchState::Running,
            created_at: now,
            finished_at: None,
            created_by: String::new(),
            retry_of: None,
        };
        let sent = |position| CommandRow {
            position,
            outcome: Outcome::Sent,
            step: Some(Step::Pause),
            attempts: 1,
            sent_at: Some(now),
            ..CommandRow::queued(clock::new_id(), batch.id, clock::new_id(), String::new(), Command::Pause)
        };
        let rows = [sent(0), sent(1)];
        let entry =
            Entry { subject: Some(batch.id), ..Entry::unasked(ActorKind::Scheduler, Action::BatchCreated, now) };
        batches::create(&db, &batch, &rows, &entry).await.expect("made");
        let (fleet, inbox) = Fleet::new(Settings::default(), TaskTracker::new(), CancellationToken::new());
        let mut dispatcher = Dispatcher::new(db, fleet, inbox.ledger);
        let [a, b] = rows.each_ref().map(|row| row.id);
        dispatcher.awaited.extend([a, b]);
        dispatcher.rows.extend(rows.into_iter().map(|row| (row.id, row)));
        Self { dispatcher, a, b, _dir: dir }
    }

    fn report(&self, id: Uuid, outcome: Outcome) -> Up {
        Up::Report(Report {
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
        commands::get(&self.dispatcher.db, id).await.expect("read").expect("a row")
    }
}

#[tokio::test]
async fn an_end_waits_while_another_answer_is_due_and_no_longer() {
    let mut desk = Desk::new().await;
    let (a, b) = (desk.a, desk.b);
    desk.dispatcher.ends.due = Some(Instant::now() + LONG);
    let end = desk.report(a, Outcome::Confirmed);
    desk.dispatcher.hear(vec![end]).await;
    assert_eq!(desk.stored(a).await.outcome, Outcome::Sent, "the answer of the other one is due");
    let acceptance = desk.report(b, Outcome::Accepted);
    desk.dispatcher.hear(vec![acceptance]).await;
    assert_eq!(desk.stored(a).await.outcome, Outcome::Confirmed);
    assert_eq!(desk.stored(b).await.outcome, Outcome::Accepted);
    let end = desk.report(b, Outcome::Confirmed);
    desk.dispatcher.hear(vec![end]).await;
    assert_eq!(desk.stored(b).await.outcome, Outcome::Confirmed, "nobody is awaited");
}

#[tokio::test]
async fn an_acceptance_waits_for_another_answer_and_not_beyond_its_time() {
    let mut desk = Desk::new().await;
    let (a, b) = (desk.a, desk.b);
    desk.dispatcher.advances.due = Some(Instant::now() + LONG);
    let acceptance = desk.report(a, Outcome::Accepted);
    desk.dispatcher.hear(vec![acceptance]).await;
    assert_eq!(desk.stored(a).await.outcome, Outcome::Sent, "the answer of the other one is due");
    desk.dispatcher.advances.due = Some(Instant::now());
    desk.dispatcher.hear(Vec::new()).await;
    assert_eq!(desk.stored(a).await.outcome, Outcome::Accepted, "its time is over");
    assert_eq!(desk.stored(b).await.outcome, Outcome::Sent);
    let (end, acceptance) = (desk.report(a, Outcome::Confirmed), desk.report(b, Outcome::Accepted));
    desk.dispatcher.hear(vec![end, acceptance]).await;
    assert_eq!(desk.stored(a).await.outcome, Outcome::Confirmed, "nobody is awaited");
    assert_eq!(desk.stored(b).await.outcome, Outcome::Accepted);
}

#[tokio::test]
async fn an_end_that_has_waited_its_time_is_written_whoever_is_awaited() {
    let mut desk = Desk::new().await;
    let end = desk.report(desk.a, Outcome::Confirmed);
    desk.dispatcher.hear(vec![end]).await;
    desk.dispatcher.ends.due = Some(Instant::now());
    desk.dispatcher.hear(Vec::new()).await;
    assert_eq!(desk.stored(desk.a).await.outcome, Outcome::Confirmed);
    assert_eq!(desk.stored(desk.b).await.outcome, Outcome::Sent);
}

#[tokio::test]
async fn what_came_to_light_later_is_kept_also_when_it_comes_with_the_end() {
    let mut desk = Desk::new().await;
    let settled = Settled { effect: Effect::Done, state: PrinterState::Paused, at: clock::now() };
    let end = desk.report(desk.a, Outcome::Unknown);
    desk.dispatcher.hear(vec![end, Up::Settled { command_id: desk.a, settled }]).await;
    let row = desk.stored(desk.a).await;
    assert_eq!((row.outcome, row.settled.map(|settled| settled.effect)), (Outcome::Unknown, Some(Effect::Done)));
}

#[tokio::test]
async fn a_send_that_is_refused_because_somebody_else_has_ended_it_is_shown_as_it_ended() {
    let mut desk = Desk::new().await;
    let printer_id = desk.dispatcher.rows[&desk.a].printer_id;
    let plate = Plate { state: PlateState::Clear, print_id: None, since: None, cleared_by: None };
    let unseen = Live::unseen(printer_id, PrinterState::Unknown, None, plate);
    desk.dispatcher.fleet.view().put(unseen);
    let end = storage_report(desk.a, Outcome::Skipped, Some(Reason::OvertakenByCancel), clock::now());
    commands::report(&desk.dispatcher.db, &[end]).await.expect("ended");
    desk.dispatcher.end_lost(vec![desk.a]).await;
    assert!(!desk.dispatcher.rows.contains_key(&desk.a), "it is over");
    let live = desk.dispatcher.fleet.view().get(printer_id).expect("the printer");
    let shown = live.last_command.as_ref().map(|row| (row.outcome, row.reason));
    assert_eq!(shown, Some((Outcome::Skipped, Some(Reason::OvertakenByCancel))));
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
    desk.dispatcher.handle().made(batch, vec![row]);
    desk.dispatcher.on_signal(Signal::Ended(vec![id])).await;
    // What wakes the dispatcher for the batch itself may come after the signal.
    desk.dispatcher.take_up_made().await;
    assert!(desk.dispatcher.runs.is_empty(), "its end was told");
}
