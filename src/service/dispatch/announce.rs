//! Batches that are announced while they are being written down.
//!
//! Writing a thousand rows takes about as long as a thousand printers take to decide, and neither needs the other: so
//! they do it at the same time. What keeps the promise is that **whoever writes of a row goes through
//! [`Dispatcher::ledger`]**, which waits until the batches that were announced are in it. So no send is committed, and
//! nothing is withdrawn for a cancel, before the batch that asks for it is on the disk; and one that could not be written
//! is forgotten as if it had never been.

use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Dispatch, Dispatcher};
use crate::{
    domain::{batch::Batch, command::CommandRow},
    storage::Db,
};

/// A batch that takes longer to be written is not waited for. Should it come about after all, it is read from the ledger.
const PATIENCE: Duration = Duration::from_secs(10);

/// A batch that the dispatcher has not taken up, with its open rows.
pub(super) struct Coming {
    batch: Batch,
    rows: Vec<CommandRow>,
    written: oneshot::Receiver<()>,
}

/// A batch that is being written. To drop it says that it did not come about.
#[must_use = "a batch that nobody says is written is forgotten"]
pub struct Announced(oneshot::Sender<()>);

impl Announced {
    /// The ledger has it.
    pub fn written(self) {
        // The dispatcher has read it from the ledger already, or is gone.
        let _ = self.0.send(());
    }
}

impl Dispatch {
    /// A batch is about to be written, with these open rows.
    pub fn announce(&self, batch: Batch, rows: Vec<CommandRow>) -> Announced {
        let (announced, written) = oneshot::channel();
        self.coming().push(Coming { batch, rows, written });
        self.wake.notify_one();
        Announced(announced)
    }
}

impl Dispatcher {
    /// Takes up batches that were announced as they are now. Whatever changes later, the ledger refuses a send of.
    pub(super) async fn take_up_announced(&mut self) {
        let coming = std::mem::take(&mut *self.handle.coming());
        for Coming { batch, rows, written } in coming {
            if batch.finished_at.is_none() && !self.runs.contains_key(&batch.id) {
                self.learn_power_groups(std::slice::from_ref(&batch)).await;
                self.unwritten.push((batch.id, written));
                self.take_up(batch, rows).await;
            }
        }
    }

    /// The ledger, in which stands every batch that was taken up.
    pub(super) async fn ledger(&mut self) -> Db {
        while let Some((batch_id, written)) = self.unwritten.pop() {
            if !matches!(tokio::time::timeout(PATIENCE, written).await, Ok(Ok(()))) {
                self.unmake(batch_id);
            }
        }
        self.db.clone()
    }

    /// Forgets a batch that did not come about. Nothing of it was sent.
    fn unmake(&mut self, batch_id: Uuid) {
        let Some(run) = self.runs.remove(&batch_id) else { return };
        tracing::warn!(batch.id = %batch_id, "a batch could not be written down, and nothing of it is sent");
        let ids: Vec<Uuid> = run.open.keys().copied().collect();
        self.drop_orders(&ids);
        for (id, printer_id) in run.open {
            self.rows.remove(&id);
            let next = self.lanes.end(printer_id, id);
            // Handed over with what is tried again: whoever wants the ledger is in the middle of something.
            self.unposted.extend(next.map(|ticket| ticket.command_id));
        }
    }
}

#[cfg(test)]
mod tests;
