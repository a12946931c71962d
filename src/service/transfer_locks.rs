//! Serialises transfers: one of a kind at a time for each printer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use uuid::Uuid;

/// The transfers of one kind. A printer that hangs delays only its own transfers.
#[derive(Debug, Default)]
pub(crate) struct TransferLocks(Mutex<HashMap<Uuid, Arc<AsyncMutex<()>>>>);

impl TransferLocks {
    /// Waits until no other transfer with this printer is in progress.
    pub async fn lock(&self, printer_id: Uuid) -> OwnedMutexGuard<()> {
        let turn = {
            let mut printers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            printers.retain(|_, turn| Arc::strong_count(turn) > 1);
            printers.entry(printer_id).or_default().clone()
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use crate::service::transfer_locks::*;

    #[test]
    fn a_transfer_with_a_printer_that_hangs_holds_up_no_other_printer() {
        let locks = TransferLocks::default();
        let (hanging, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let held = locks.lock(hanging).now_or_never();
        assert!(held.is_some() && locks.lock(hanging).now_or_never().is_none());
        assert!(locks.lock(other).now_or_never().is_some());
        drop(held);
        assert!(locks.lock(hanging).now_or_never().is_some());
    }
}
