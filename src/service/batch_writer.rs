//! Stores new batches in groups. Batches that arrive while a transaction is under way share the next transaction.
//!
//! Batches that stop printers have their own queue, which has priority. So other batches delay a cancel by at most the
//! transaction that is under way.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    dispatch::{Admission, Dispatch},
    error::Error,
};
use crate::storage::{
    self, Db,
    batches::{self, PreparedBatch},
};

/// Capacity of each of the two queues, in batches.
const QUEUE: usize = 512;
/// Maximum number of batches in one transaction.
const GROUP: usize = 128;
/// A transaction takes no further batch once it has this many rows. So a single command does not wait for many large batches.
const ROWS: usize = 5_000;

/// A batch that has waited this long for the database is refused. Other statements wait as long for a connection.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A batch that waits to be stored.
struct Pending {
    since: Instant,
    new: PreparedBatch,
    admission: Admission,
    reply: oneshot::Sender<Result<(), storage::Error>>,
}

/// Sends new batches to the [`BatchWriterTask`]. Cheap to clone.
#[derive(Clone)]
pub struct BatchWriter {
    stops: mpsc::Sender<Pending>,
    others: mpsc::Sender<Pending>,
}

/// The task that stores new batches.
pub struct BatchWriterTask {
    db: Db,
    dispatch: Dispatch,
    stops: mpsc::Receiver<Pending>,
    others: mpsc::Receiver<Pending>,
}

impl BatchWriter {
    /// Returns a writer and its task. The caller must run the task.
    pub fn new(db: Db, dispatch: Dispatch) -> (Self, BatchWriterTask) {
        let (stops, waiting_stops) = mpsc::channel(QUEUE);
        let (others, waiting_others) = mpsc::channel(QUEUE);
        (Self { stops, others }, BatchWriterTask { db, dispatch, stops: waiting_stops, others: waiting_others })
    }

    /// Stores a batch and hands it to the dispatcher. Stores nothing if the caller drops this future before the
    /// transaction begins.
    pub async fn store(&self, new: PreparedBatch, admission: Admission) -> Result<(), Error> {
        const STOPPING: Error = Error::Busy("The server stops. Send the request again when it has started.");
        let (reply, stored) = oneshot::channel();
        let queue = if new.batch.spec.command.stops_printers() { &self.stops } else { &self.others };
        queue.send(Pending { since: Instant::now(), new, admission, reply }).await.map_err(|_| STOPPING)?;
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
                    self.stops.close();
                    self.others.close();
                    continue;
                }
                Some(first) = self.stops.recv() => group(first, &mut self.stops),
                Some(first) = self.others.recv() => group(first, &mut self.others),
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

    async fn write(&self, group: Vec<Pending>) {
        let (mut news, mut others) = (Vec::new(), Vec::new());
        for Pending { new, admission, reply, .. } in group {
            news.push(new);
            others.push((admission, reply));
        }
        match batches::create(&self.db, &news).await {
            Ok(()) => news.into_iter().zip(others).for_each(|(new, (admission, reply))| {
                self.hand_over(new, admission);
                // The request may have ended.
                let _ = reply.send(Ok(()));
            }),
            // One batch may have caused the error, and nothing was committed. So each batch is stored separately.
            Err(error) if news.len() > 1 && is_of_one(&error) => {
                for (new, (admission, reply)) in news.into_iter().zip(others) {
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
                    let _ = reply.send(Err(error.for_another()));
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
        self.dispatch.created(batch, rows);
    }
}

/// Returns the batches of one transaction: the first, and those that wait behind it.
fn group(first: Pending, queue: &mut mpsc::Receiver<Pending>) -> Vec<Pending> {
    let mut rows = first.new.rows.len();
    let mut group = vec![first];
    while group.len() < GROUP
        && rows < ROWS
        && let Ok(next) = queue.try_recv()
    {
        rows += next.new.rows.len();
        group.push(next);
    }
    group
}

/// Returns whether one batch of a group may have caused the error, so that the others can be stored without it.
fn is_of_one(error: &storage::Error) -> bool {
    match error {
        storage::Error::KeyTaken | storage::Error::Database(_) | storage::Error::Broken { .. } => true,
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
            audit::{Action, ActorKind, Entry},
            batch::{Batch, BatchSpec, BatchState},
            command::{Command, CommandRow},
        },
        fleet::Fleet,
        service::dispatch::Dispatcher,
        storage::events,
    };

    /// A writer whose task does not run yet, with its database.
    struct Desk {
        db: Db,
        dispatch: Dispatch,
        writer: BatchWriter,
        task: Option<BatchWriterTask>,
        _dir: TempDir,
    }

    impl Desk {
        async fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let db =
                Db::connect(&format!("sqlite:{}", dir.path().join("test.db").display())).await.expect("a database");
            let (fleet, inbox) = Fleet::new(Settings::default(), TaskTracker::new(), CancellationToken::new());
            let dispatch = Dispatcher::new(db.clone(), fleet, inbox.ledger, None).handle();
            let (writer, task) = BatchWriter::new(db.clone(), dispatch.clone());
            Self { db, dispatch, writer, task: Some(task), _dir: dir }
        }

        /// Returns a request that waits until its batch is stored.
        fn request(&self, new: PreparedBatch) -> impl Future<Output = Result<(), Error>> + use<> {
            let admission = self.dispatch.admit(&new.batch).expect("admitted");
            let writer = self.writer.clone();
            async move { writer.store(new, admission).await }
        }

        async fn until_waiting(&self, requests: usize) {
            let task = self.task.as_ref().expect("not run yet");
            while task.stops.len() + task.others.len() < requests {
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
            let page = events::page(&self.db, 0, None, 100).await.expect("the feed");
            page.events.into_iter().filter_map(|event| event.subject).collect()
        }
    }

    fn prepared(command: Command) -> PreparedBatch {
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
        let row = CommandRow::queued(clock::new_id(), batch.id, clock::new_id(), String::new(), command);
        let entry =
            Entry { subject: Some(batch.id), ..Entry::unasked(ActorKind::Scheduler, Action::BatchCreated, now) };
        PreparedBatch { rows: vec![row], entry, batch }
    }

    #[tokio::test]
    async fn stops_are_stored_before_the_batches_that_wait() {
        let mut desk = Desk::new().await;
        let commands = [Command::Start, Command::Resume, Command::Cancel, Command::Restart, Command::Pause];
        let new: Vec<PreparedBatch> = commands.into_iter().map(prepared).collect();
        let ids: Vec<Uuid> = new.iter().map(|new| new.batch.id).collect();
        let requests: Vec<_> = new.into_iter().map(|new| tokio::spawn(desk.request(new))).collect();
        desk.until_waiting(commands.len()).await;
        desk.run().await;
        for request in requests {
            request.await.expect("no panic").expect("stored");
        }
        assert_eq!(desk.stored().await, [2, 4, 0, 1, 3].map(|position| ids[position]));
        let refused = desk.request(prepared(Command::Cancel)).await;
        assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_batch_whose_request_is_gone_is_not_stored() {
        let mut desk = Desk::new().await;
        let (kept, dropped) = (prepared(Command::Start), prepared(Command::Start));
        let id = kept.batch.id;
        let (kept, dropped) = (tokio::spawn(desk.request(kept)), tokio::spawn(desk.request(dropped)));
        desk.until_waiting(2).await;
        dropped.abort();
        assert!(dropped.await.is_err_and(|error| error.is_cancelled()));
        desk.run().await;
        kept.await.expect("no panic").expect("stored");
        assert_eq!(desk.stored().await, [id]);
    }
}
