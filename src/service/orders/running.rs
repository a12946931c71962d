//! Cancels the running copies of orders that have ended.

use crate::{
    clock,
    domain::{
        audit::{Action, AuditEntry},
        batch::{BatchSpec, Selector, Target},
        command::{Command, ExpectedJob},
        copy::{Copy, CopyFilter, CopyState},
        order::Order,
    },
    service::{Services, access::Principal, batches::NewBatch, copies::CopyStep, error::Error},
    storage,
};

/// Running copies of one order: at most one for each printer.
const MAX_RUNNING: i64 = 5_000;

impl Services {
    /// Stops the copies of an order that still run. A print is cancelled by its identity. A start that was not sent is
    /// withdrawn, and its copy is released. A start that was sent stays: its copy can be cancelled when it prints.
    pub async fn cancel_running_copies(&self, who: &Principal, order: &Order) -> Result<(), Error> {
        // The key of the request belongs to the order.
        let who = &Principal { idempotency_key: None, ..who.clone() };
        let filter = CopyFilter { order_id: Some(order.id), ..CopyFilter::default() };
        let copies = storage::copies::list_page(&self.db, &filter, None, MAX_RUNNING).await?;
        let mut targets = Vec::new();
        for copy in copies.iter().filter(|copy| copy.state.is_active()) {
            match (copy.state, copy.print_id) {
                (CopyState::Printing, Some(print_id)) => {
                    let expected_job = Some(ExpectedJob { path: None, print_id: Some(print_id) });
                    targets.push(Target { id: copy.printer_id, expected_job, file: None });
                }
                _ => self.withdraw_start(who, copy).await?,
            }
        }
        if targets.is_empty() {
            return Ok(());
        }
        let spec = BatchSpec { external_ref: order.external_ref.clone(), ..BatchSpec::new(Command::Cancel) };
        let selector = Selector::Printers(targets);
        let new = NewBatch { spec, file: None, selector, expect_total: None, dry_run: false };
        self.create_batch(who, new).await.map(drop)
    }

    /// Stops the batch of a start. If the start was not sent, its copy is released.
    pub(in crate::service) async fn withdraw_start(&self, who: &Principal, copy: &Copy) -> Result<(), Error> {
        let entry = AuditEntry {
            subject: Some(copy.batch_id),
            ..who.audit_entry(Action::BatchStopped, serde_json::Map::new())
        };
        let Some(stopped) = storage::batches::stop(&self.db, copy.batch_id, clock::now(), &entry).await? else {
            return Ok(());
        };
        let is_unsent = stopped.skipped.contains(&copy.command_id);
        self.dispatcher.signal_ended(stopped.skipped).await;
        self.transfers.wake();
        if is_unsent {
            self.advance_copy(copy.id, CopyStep::to(CopyState::Released)).await?;
        }
        Ok(())
    }
}
