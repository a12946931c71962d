//! What happens to a batch between its announcement and its being written, or not.

use std::{future::Future, pin::pin};

use futures_util::FutureExt;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{
    clock,
    config::Settings,
    domain::{
        audit::{Action, ActorKind, Entry},
        batch::{BatchSpec, BatchState},
        command::{Command, Outcome, Step},
        state::PrinterState,
    },
    fleet::{
        Fleet, Member,
        message::{Ready, Up},
    },
    octoprint::OctoPrint,
    outbound::{Networks, Outbound},
    storage::{batches, commands},
};

const PRINTER: Uuid = Uuid::from_u128(1);

/// A dispatcher with one printer, of which nobody answers.
struct Desk {
    dispatcher: Dispatcher,
    db: Db,
    _dir: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let db = Db::connect(&format!("sqlite:{}", dir.path().join("test.db").display())).await.expect("a database");
        let (fleet, inbox) = Fleet::new(Settings::default(), TaskTracker::new(), CancellationToken::new());
        let url = "http://127.0.0.1:9/".parse().expect("a url");
        let outbound = Outbound::new(Networks::default()).expect("set-up");
        fleet.add(Member::fresh(PRINTER, OctoPrint::new(url, None, outbound).expect("a client")));
        Self { dispatcher: Dispatcher::new(db.clone(), fleet, inbox.ledger), db, _dir: dir }
    }

    /// Announces a batch of one released command, and has it taken up.
    async fn announce(&mut self, command: Command) -> (Announced, Batch, CommandRow) {
        let (batch, row) = batch_of(command);
        let announced = self.dispatcher.handle().announce(batch.clone(), vec![row.clone()]);
        self.dispatcher.take_up_announced().await;
        (announced, batch, row)
    }

    /// The actor is ready to send a command; what it is told comes later.
    fn ready(&mut self, row: &CommandRow, step: Step) -> (impl Future<Output = ()>, oneshot::Receiver<bool>) {
        let (go, answer) = oneshot::channel();
        let ready = Ready {
            printer_id: PRINTER,
            command_id: row.id,
            attempt: 1,
            step,
            resolved: None,
            state_before: PrinterState::Printing,
            print_id: None,
            file_path: None,
            go,
        };
        (self.dispatcher.hear(vec![Up::Ready(ready)]), answer)
    }

    async fn outcome(&self, id: Uuid) -> Option<Outcome> {
        commands::get(&self.db, id).await.expect("read").map(|row| row.outcome)
    }
}

fn batch_of(command: Command) -> (Batch, CommandRow) {
    let now = clock::now();
    let batch = Batch {
        id: clock::new_id(),
        spec: BatchSpec::of(command),
        state: BatchState::Running,
        created_at: now,
        finished_at: None,
        created_by: String::new(),
        retry_of: None,
    };
    let row = CommandRow {
        released_at: Some(now),
        expires_at: Some(now + chrono::TimeDelta::hours(1)),
        ..CommandRow::queued(clock::new_id(), batch.id, PRINTER, String::new(), command)
    };
    (batch, row)
}

async fn write(db: &Db, batch: &Batch, row: &CommandRow) {
    let entry =
        Entry { subject: Some(batch.id), ..Entry::unasked(ActorKind::Scheduler, Action::BatchCreated, clock::now()) };
    batches::create(db, batch, std::slice::from_ref(row), &entry).await.expect("written");
}

#[tokio::test]
async fn leave_to_send_is_given_when_the_batch_is_written_and_not_before() {
    let mut desk = Desk::new().await;
    let db = desk.db.clone();
    let (announced, batch, row) = desk.announce(Command::Pause).await;
    let (hears, mut answer) = desk.ready(&row, Step::Pause);
    {
        let mut hears = pin!(hears);
        assert!(hears.as_mut().now_or_never().is_none(), "it waits for the batch");
        write(&db, &batch, &row).await;
        assert!(hears.as_mut().now_or_never().is_none(), "nobody has said that the batch is written");
        assert!(answer.try_recv().is_err());
        announced.written();
        hears.await;
    }
    assert_eq!(answer.await, Ok(true));
    assert_eq!(desk.outcome(row.id).await, Some(Outcome::Sent));
}

#[tokio::test]
async fn a_batch_that_does_not_come_about_is_forgotten_and_nothing_of_it_is_sent() {
    let mut desk = Desk::new().await;
    let (announced, batch, row) = desk.announce(Command::Pause).await;
    assert!(desk.dispatcher.runs.contains_key(&batch.id));
    let (hears, answer) = desk.ready(&row, Step::Pause);
    drop(announced);
    hears.await;
    assert_eq!(answer.await, Ok(false));
    assert!(desk.dispatcher.runs.is_empty() && desk.dispatcher.rows.is_empty());
    assert_eq!(desk.dispatcher.lanes.reserve(PRINTER), Ok(()), "its printer is free");
}

#[tokio::test]
async fn nothing_is_withdrawn_for_a_cancel_that_does_not_come_about() {
    let mut desk = Desk::new().await;
    let (announced, batch, start) = desk.announce(Command::Start).await;
    write(&desk.db, &batch, &start).await;
    announced.written();
    let (cancel, row) = batch_of(Command::Cancel);
    drop(desk.dispatcher.handle().announce(cancel, vec![row]));
    desk.dispatcher.take_up_announced().await;
    assert_eq!(desk.outcome(start.id).await, Some(Outcome::Queued));
    assert_eq!(desk.dispatcher.lanes.in_flight(PRINTER).map(|ticket| ticket.command_id), Some(start.id));
    let (announced, batch, cancel) = {
        let (batch, row) = batch_of(Command::Cancel);
        write(&desk.db, &batch, &row).await;
        (desk.dispatcher.handle().announce(batch.clone(), vec![row.clone()]), batch, row)
    };
    announced.written();
    desk.dispatcher.take_up_announced().await;
    assert_eq!(desk.outcome(start.id).await, Some(Outcome::Skipped), "one that is written withdraws it");
    assert!(desk.dispatcher.runs.contains_key(&batch.id));
    assert_eq!(desk.dispatcher.lanes.in_flight(PRINTER).map(|ticket| ticket.command_id), Some(cancel.id));
}
