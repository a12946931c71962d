//! Stores new batches: those that come while one transaction is under way share the next one.

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

/// Batches that wait to be stored.
const QUEUE: usize = 512;
/// Batches of one transaction.
const GROUP: usize = 128;
/// Rows of one transaction, beyond the last batch: a single command does not wait for many large batches.
const ROWS: usize = 5_000;

/// A batch that waited this long for the database is refused, as every statement is.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A batch that waits to be stored.
struct Pending {
    since: Instant,
    new: PreparedBatch,
    admission: Admission,
    reply: oneshot::Sender<Result<(), storage::Error>>,
}

/// The way to the task that stores new batches. Cheap to clone.
#[derive(Clone)]
pub struct BatchWriter(mpsc::Sender<Pending>);

/// The task that stores new batches.
pub struct BatchWriterTask {
    db: Db,
    dispatch: Dispatch,
    pending: mpsc::Receiver<Pending>,
}

impl BatchWriter {
    /// A writer, and the task that it needs.
    pub fn new(db: Db, dispatch: Dispatch) -> (Self, BatchWriterTask) {
        let (sender, pending) = mpsc::channel(QUEUE);
        (Self(sender), BatchWriterTask { db, dispatch, pending })
    }

    /// Stores a batch and hands it to the dispatcher. Where the caller stops waiting before the transaction begins, nothing
    /// is stored.
    pub async fn store(&self, new: PreparedBatch, admission: Admission) -> Result<(), Error> {
        const STOPPING: Error = Error::Busy("The server stops. Send the request again when it has started.");
        let (reply, stored) = oneshot::channel();
        self.0.send(Pending { since: Instant::now(), new, admission, reply }).await.map_err(|_| STOPPING)?;
        Ok(stored.await.map_err(|_| STOPPING)??)
    }
}

impl BatchWriterTask {
    /// Runs until `stop` is cancelled and what has come by then is stored.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            tokio::select! {
                () = stop.cancelled(), if !self.pending.is_closed() => self.pending.close(),
                count = self.pending.recv_many(&mut group, GROUP) => if count == 0 { return },
            }
            // Most of a group come while the one before is written: a slow database must not let them wait without end.
            for pending in group.extract_if(.., |pending| pending.since.elapsed() >= LONGEST_WAIT) {
                let _ = pending.reply.send(Err(storage::Error::timed_out()));
            }
            group.retain(|pending| !pending.reply.is_closed());
            while !group.is_empty() {
                let rest = group.split_off(first_rows(&group));
                self.write(std::mem::replace(&mut group, rest)).await;
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
                // The request may be gone.
                let _ = reply.send(Ok(()));
            }),
            // One of them is at fault, and the transaction was not committed.
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

/// How many of the first batches of a group one transaction takes.
fn first_rows(group: &[Pending]) -> usize {
    let mut rows = 0;
    let fits = group.iter().take_while(|pending| {
        rows += pending.new.rows.len();
        rows <= ROWS
    });
    fits.count().max(1)
}

/// Whether one batch of a group is at fault, and the others can be stored without it.
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
