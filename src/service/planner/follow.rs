//! Follows the active copies: their start commands, then their prints.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::PlannerTask;
use crate::{
    domain::{
        attention::AttentionReason,
        audit::ActorKind,
        command::{CommandRow, Outcome},
        copy::{Copy, CopyFilter, CopyObservation, CopyState},
        planner::PlanSwitch,
        print::{Print, PrintFilter},
        printer::Printer,
    },
    service::{access::Principal, copies::CopyStep, error::Error},
    storage,
};

/// Ended copies of a printer that are read to find two failures in a row.
const LAST_COPIES: i64 = 20;

/// An active copy with its start command.
pub(super) struct ActiveCopy {
    pub copy: Copy,
    pub command: Option<CommandRow>,
}

impl PlannerTask {
    /// Stores what happened to the active copies. Returns those that are still active.
    pub(super) async fn follow_copies(&mut self, switch: &PlanSwitch) -> Result<HashMap<Uuid, ActiveCopy>, Error> {
        let copies = storage::copies::list_active(&self.services.db).await?;
        let ended = storage::prints::list_ended_of_active_copies(&self.services.db).await?;
        let ended: HashSet<Uuid> = ended.into_iter().collect();
        let ids: HashSet<Uuid> = copies.iter().map(|copy| copy.id).collect();
        self.kept.retain(|id| ids.contains(id));
        self.keep_positions(&copies);
        let is_printing = |copy: &Copy| {
            copy.state == CopyState::Printing && copy.print_id.is_some_and(|print| !ended.contains(&print))
        };
        let (printing, others): (Vec<Copy>, Vec<Copy>) = copies.into_iter().partition(is_printing);
        let mut active = self.follow_changing(others, switch).await?;
        for copy in printing {
            self.cancel_unwanted(&copy).await?;
            active.insert(copy.printer_id, ActiveCopy { copy, command: None });
        }
        Ok(active)
    }

    /// Stores what happened to copies whose print has not begun, or has ended. Returns those that are still active.
    async fn follow_changing(
        &mut self,
        copies: Vec<Copy>,
        switch: &PlanSwitch,
    ) -> Result<HashMap<Uuid, ActiveCopy>, Error> {
        let ids: Vec<Uuid> = copies.iter().map(|copy| copy.command_id).collect();
        let commands = storage::commands::get_many(&self.services.db, &ids).await?;
        let mut commands: HashMap<Uuid, CommandRow> = commands.into_iter().map(|row| (row.id, row)).collect();
        let printer_ids: Vec<Uuid> = copies.iter().map(|copy| copy.printer_id).collect();
        let printers = storage::printers::get_many(&self.services.db, &printer_ids).await?;
        let printers: HashMap<Uuid, Printer> = printers.into_iter().map(|printer| (printer.id, printer)).collect();
        let mut active = HashMap::new();
        for copy in copies {
            let command = commands.remove(&copy.command_id);
            let may_start = !switch.is_stopped
                && printers.get(&copy.printer_id).is_some_and(|printer| printer.details.production.auto);
            if !may_start && command.as_ref().is_some_and(|command| command.outcome == Outcome::Queued) {
                let planner = Principal::server_admin(ActorKind::Planner);
                self.services.withdraw_start(&planner, &copy).await?;
            }
            let print = self.find_print(&copy, command.as_ref()).await?;
            let observed = CopyObservation::new(command.as_ref(), print.as_ref());
            let copy = self.follow_copy(copy, observed).await?;
            if copy.state.is_active() {
                self.cancel_unwanted(&copy).await?;
                active.insert(copy.printer_id, ActiveCopy { copy, command });
            }
        }
        Ok(active)
    }

    /// Cancels the print of a copy whose order has ended and does not keep its running copies. Its start may have been sent
    /// before the order ended.
    async fn cancel_unwanted(&mut self, copy: &Copy) -> Result<(), Error> {
        if copy.state != CopyState::Printing || self.kept.contains(&copy.id) {
            return Ok(());
        }
        let order = storage::orders::get(&self.services.db, copy.order_id).await?;
        if let Some(order) = order.filter(|one| one.order.cancels_running()) {
            let planner = Principal::server_admin(ActorKind::Planner);
            self.services.cancel_running_copies(&planner, &order.order).await?;
        }
        // Once for each copy: a request that ends an order cancels the copies that print already.
        self.kept.insert(copy.id);
        Ok(())
    }

    /// Returns the print of a copy. A print that began before a crash may be found by its command only.
    async fn find_print(&self, copy: &Copy, command: Option<&CommandRow>) -> Result<Option<Print>, Error> {
        let db = &self.services.db;
        if let Some(id) = copy.print_id.or(command.and_then(|command| command.print_id))
            && let Some(print) = storage::prints::get(db, id).await?
        {
            return Ok(Some(print));
        }
        if command.is_some_and(|command| command.sent_at.is_none()) {
            return Ok(None);
        }
        let filter = PrintFilter { batch_id: Some(copy.batch_id), ..PrintFilter::default() };
        Ok(storage::prints::list_page(db, &filter, None, 1).await?.pop())
    }

    async fn follow_copy(&mut self, copy: Copy, observed: CopyObservation) -> Result<Copy, Error> {
        let CopyObservation { state, print_id, result, reason, attention } = observed;
        if let Some(reason) = attention {
            self.services.set_attention(copy.printer_id, reason).await?;
        }
        let began = print_id.is_some() && copy.state != CopyState::Printing;
        let mut copy = copy;
        if began {
            copy =
                self.services.advance_copy(copy.id, CopyStep { print_id, ..CopyStep::to(CopyState::Printing) }).await?;
        }
        if copy.state == state {
            return Ok(copy);
        }
        let before = copy.state;
        let result = match result {
            Some(result) => Some(self.add_filament(&copy, state, result).await?),
            None => None,
        };
        let copy = self.services.advance_copy(copy.id, CopyStep { to: state, print_id, result, reason }).await?;
        if copy.state == before {
            return Ok(copy);
        }
        match copy.state {
            CopyState::Failed => self.check_failures(copy.printer_id).await?,
            CopyState::Released => self.pause_printer(copy.printer_id),
            CopyState::Finished => drop(self.pauses.remove(&copy.printer_id)),
            CopyState::Assigned
            | CopyState::Uploading
            | CopyState::Starting
            | CopyState::Printing
            | CopyState::Cancelled
            | CopyState::Lost => {}
        }
        Ok(copy)
    }

    /// Puts a printer under attention if its last two prints of copies failed.
    async fn check_failures(&self, printer_id: Uuid) -> Result<(), Error> {
        let filter = CopyFilter { printer_id: Some(printer_id), ..CopyFilter::default() };
        let copies = storage::copies::list_page(&self.services.db, &filter, None, LAST_COPIES).await?;
        let mut ended = copies.iter().filter(|copy| matches!(copy.state, CopyState::Finished | CopyState::Failed));
        if ended.by_ref().take(2).filter(|copy| copy.state == CopyState::Failed).count() == 2 {
            self.services.set_attention(printer_id, AttentionReason::FailedTwice).await?;
        }
        Ok(())
    }
}
