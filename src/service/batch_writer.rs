//! Stores new batches in groups. Batches that arrive while a transaction is under way share the next transaction.
//!
//! Batches that stop printers have their own queue, which has priority, and emergency stops have one before that. So other
//! batches delay a cancel or an emergency stop by at most the transaction that is under way.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    dispatch::{Admission, DispatcherHandle},
    error::Error,
};
use crate::{
    domain::{command::Command, message::Message},
    storage::{
        self, Db,
        batches::{self, PreparedBatch},
    },
};

/// Capacity of each of the three queues, in batches.
const QUEUE_CAPACITY: usize = 512;
/// Maximum number of batches in one transaction.
const MAX_BATCHES: usize = 128;
/// A transaction takes no further batch once it has this many rows. So a single command does not wait for many large batches.
const MAX_ROWS: usize = 5_000;

/// A batch that has waited this long for the database is refused. Other statements wait as long for a connection.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A batch that waits to be stored.
struct PendingBatch {
    since: Instant,
    new: PreparedBatch,
    admission: Admission,
    reply: oneshot::Sender<Result<(), storage::Error>>,
}

/// Sends new batches to the [`BatchWriterTask`]. Cheap to clone.
#[derive(Clone)]
pub struct BatchWriter {
    emergency_stops: mpsc::Sender<PendingBatch>,
    stops: mpsc::Sender<PendingBatch>,
    others: mpsc::Sender<PendingBatch>,
}

/// The task that stores new batches.
pub struct BatchWriterTask {
    db: Db,
    dispatch: DispatcherHandle,
    emergency_stops: mpsc::Receiver<PendingBatch>,
    stops: mpsc::Receiver<PendingBatch>,
    others: mpsc::Receiver<PendingBatch>,
}

impl BatchWriter {
    /// Returns a writer and its task. The caller must run the task.
    pub fn new(db: Db, dispatch: DispatcherHandle) -> (Self, BatchWriterTask) {
        let (emergency_stops, waiting_emergency_stops) = mpsc::channel(QUEUE_CAPACITY);
        let (stops, waiting_stops) = mpsc::channel(QUEUE_CAPACITY);
        let (others, waiting_others) = mpsc::channel(QUEUE_CAPACITY);
        let task = BatchWriterTask {
            db,
            dispatch,
            emergency_stops: waiting_emergency_stops,
            stops: waiting_stops,
            others: waiting_others,
        };
        (Self { emergency_stops, stops, others }, task)
    }

    /// Stores a batch and hands it to the dispatcher. Stores nothing if the caller drops this future before the
    /// transaction begins.
    pub async fn store(&self, new: PreparedBatch, admission: Admission) -> Result<(), Error> {
        const STOPPING: Error = Error::Busy(Message::new("refusal-server-stops"));
        let (reply, stored) = oneshot::channel();
        let queue = match new.batch.spec.command {
            Command::EmergencyStop => &self.emergency_stops,
            command if command.stops_printers() => &self.stops,
            _ => &self.others,
        };
        queue.send(PendingBatch { since: Instant::now(), new, admission, reply }).await.map_err(|_| STOPPING)?;
        Ok(stored.await.map_err(|_| STOPPING)??)
    }
}

impl BatchWriterTask {
    /// Runs until `stop` is cancelled and all batches that have arrived by then are stored.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let group = tokio::select! {
                biased;
                () = stop.cancelled(), if !self.others.is_closed() => {
                    self.emergency_stops.close();
                    self.stops.close();
                    self.others.close();
                    continue;
                }
                Some(first) = self.emergency_stops.recv() => collect_group(first, &mut self.emergency_stops),
                Some(first) = self.stops.recv() => collect_group(first, &mut self.stops),
                Some(first) = self.others.recv() => collect_group(first, &mut self.others),
                else => return,
            };
            let mut wanted = Vec::with_capacity(group.len());
            for pending in group {
                // A slow database must not make requests wait forever.
                if pending.since.elapsed() >= LONGEST_WAIT {
                    let _ = pending.reply.send(Err(storage::Error::timed_out()));
                } else if !pending.reply.is_closed() {
                    wanted.push(pending);
                }
            }
            if !wanted.is_empty() {
                self.write(wanted).await;
            }
        }
    }

    async fn write(&self, group: Vec<PendingBatch>) {
        let (mut prepared, mut others) = (Vec::new(), Vec::new());
        for PendingBatch { new, admission, reply, .. } in group {
            prepared.push(new);
            others.push((admission, reply));
        }
        match batches::create(&self.db, &prepared).await {
            Ok(()) => prepared.into_iter().zip(others).for_each(|(new, (admission, reply))| {
                self.hand_over(new, admission);
                // The request may have ended.
                let _ = reply.send(Ok(()));
            }),
            // One batch may have caused the error, and nothing was committed. So each batch is stored separately.
            Err(error) if prepared.len() > 1 && is_caused_by_one(&error) => {
                for (new, (admission, reply)) in prepared.into_iter().zip(others) {
                    let stored = batches::create(&self.db, std::slice::from_ref(&new)).await;
                    if stored.is_ok() {
                        self.hand_over(new, admission);
                    }
                    let _ = reply.send(stored);
                }
            }
            Err(error) => {
                let mut replies = others.into_iter().map(|(_, reply)| reply);
                let first = replies.next();
                for reply in replies {
                    let _ = reply.send(Err(error.copy_for_group()));
                }
                if let Some(first) = first {
                    let _ = first.send(Err(error));
                }
            }
        }
    }

    fn hand_over(&self, PreparedBatch { batch, mut rows, .. }: PreparedBatch, admission: Admission) {
        if batch.finished_at.is_none() {
            admission.keep();
        }
        rows.retain(|row| !row.outcome.is_final());
        self.dispatch.add_batch(batch, rows);
    }
}

/// Returns the batches of one transaction: the first, and those that wait behind it.
fn collect_group(first: PendingBatch, queue: &mut mpsc::Receiver<PendingBatch>) -> Vec<PendingBatch> {
    let mut rows = first.new.rows.len();
    let mut group = vec![first];
    while group.len() < MAX_BATCHES
        && rows < MAX_ROWS
        && let Ok(next) = queue.try_recv()
    {
        rows += next.new.rows.len();
        group.push(next);
    }
    group
}

/// Returns whether one batch of a group may have caused the error, so that the others can be stored without it.
fn is_caused_by_one(error: &storage::Error) -> bool {
    match error {
        storage::Error::KeyTaken | storage::Error::Database(_) | storage::Error::Unreadable { .. } => true,
        storage::Error::NameTaken
        | storage::Error::UrlTaken
        | storage::Error::Superseded
        | storage::Error::Unavailable(_)
        | storage::Error::Setup(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio_util::task::TaskTracker;
    use uuid::Uuid;

    use super::*;
    use crate::{
        clock,
        config::Settings,
        domain::{
            audit::{Action, ActorKind, AuditEntry},
            batch::{Batch, BatchSpec, BatchState},
            command::{Command, CommandRow},
        },
        fleet::Fleet,
        service::dispatch::Dispatcher,
        storage::events,
    };

    /// A writer whose task does not run yet, with its database.
    struct TestWriter {
        db: Db,
        dispatch: DispatcherHandle,
        writer: BatchWriter,
        task: Option<BatchWriterTask>,
        _dir: TempDir,
    }

    impl TestWriter {
        async fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let db =
                Db::connect(&format!("sqlite:{}", dir.path().join("test.db").display())).await.expect("a database");
            let (fleet, inbox) = Fleet::new(Settings::default(), &TaskTracker::new(), CancellationToken::new());
            let dispatch = Dispatcher::new(db.clone(), fleet, inbox.events, None).handle();
            let (writer, task) = BatchWriter::new(db.clone(), dispatch.clone());
            Self { db, dispatch, writer, task: Some(task), _dir: dir }
        }

        /// Returns a request that waits until its batch is stored.
        fn request(&self, new: PreparedBatch) -> impl Future<Output = Result<(), Error>> + use<> {
            let admission = self.dispatch.admit(&new.batch).expect("admitted");
            let writer = self.writer.clone();
            async move { writer.store(new, admission).await }
        }

        async fn wait_until_queued(&self, requests: usize) {
            let task = self.task.as_ref().expect("not run yet");
            while task.emergency_stops.len() + task.stops.len() + task.others.len() < requests {
                tokio::task::yield_now().await;
            }
        }

        /// Runs the task as in a shutdown: it stores the waiting batches and ends.
        async fn run(&mut self) {
            let stop = CancellationToken::new();
            stop.cancel();
            self.task.take().expect("not run yet").run(stop).await;
        }

        /// Returns the ids of the stored batches, in the order in which they were stored.
        async fn stored(&self) -> Vec<Uuid> {
            let page = events::list_page(&self.db, 0, None, 100).await.expect("the feed");
            page.events.into_iter().filter_map(|event| event.subject).collect()
        }
    }

    fn prepared_batch(command: Command) -> PreparedBatch {
        let now = clock::now();
        let batch = Batch {
            id: clock::new_id(),
            spec: BatchSpec::new(command),
            state: BatchState::Running,
            created_at: now,
            finished_at: None,
            created_by: String::new(),
            retry_of: None,
        };
        let row = CommandRow::queued(clock::new_id(), batch.id, clock::new_id(), String::new(), command);
        let entry = AuditEntry {
            subject: Some(batch.id),
            ..AuditEntry::without_request(ActorKind::Scheduler, Action::BatchCreated, now)
        };
        PreparedBatch { rows: vec![row], entry, batch }
    }

    #[tokio::test]
    async fn stops_are_stored_before_the_batches_that_wait() {
        let mut test = TestWriter::new().await;
        let commands = [
            Command::Start,
            Command::Resume,
            Command::Cancel,
            Command::Restart,
            Command::Pause,
            Command::EmergencyStop,
        ];
        let new: Vec<PreparedBatch> = commands.into_iter().map(prepared_batch).collect();
        let ids: Vec<Uuid> = new.iter().map(|new| new.batch.id).collect();
        let requests: Vec<_> = new.into_iter().map(|new| tokio::spawn(test.request(new))).collect();
        test.wait_until_queued(commands.len()).await;
        test.run().await;
        for request in requests {
            request.await.expect("no panic").expect("stored");
        }
        assert_eq!(test.stored().await, [5, 2, 4, 0, 1, 3].map(|position| ids[position]));
        let refused = test.request(prepared_batch(Command::Cancel)).await;
        assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_batch_whose_request_is_gone_is_not_stored() {
        let mut test = TestWriter::new().await;
        let (kept, dropped) = (prepared_batch(Command::Start), prepared_batch(Command::Start));
        let id = kept.batch.id;
        let (kept, dropped) = (tokio::spawn(test.request(kept)), tokio::spawn(test.request(dropped)));
        test.wait_until_queued(2).await;
        dropped.abort();
        assert!(dropped.await.is_err_and(|error| error.is_cancelled()));
        test.run().await;
        kept.await.expect("no panic").expect("stored");
        assert_eq!(test.stored().await, [id]);
    }
}
