//! How many printers can make an order.

use crate::{
    domain::{
        order::{CountedOrder, OpenOrder, Order, OrderSums},
        planner::{Feasibility, PlanInput, PlanPrinter, Planner},
        printer::Printer,
    },
    service::{
        Services,
        error::Error,
        planner::{plan_order, plan_printer},
    },
    storage,
};

impl Services {
    /// Returns how many printers can make an order, after the last plan: pages ask again and again.
    pub async fn feasibility(&self, order: &Order) -> Result<Feasibility, Error> {
        match self.planner.latest() {
            Some(view) => self.find_feasibility(order, view.input.printers.clone()).await,
            None => self.feasibility_among(order, &storage::printers::list_printers(&self.db).await?).await,
        }
    }

    /// Returns how many of these printers can make an order, whether they are free or not, and why the others cannot.
    pub(super) async fn feasibility_among(&self, order: &Order, printers: &[Printer]) -> Result<Feasibility, Error> {
        self.find_feasibility(order, printers.iter().map(plan_printer).collect()).await
    }

    async fn find_feasibility(&self, order: &Order, printers: Vec<PlanPrinter>) -> Result<Feasibility, Error> {
        let files = self.plan_files(order).await?;
        let counted = CountedOrder { order: order.clone(), sums: OrderSums::default() };
        let open = OpenOrder { counted, failed: Vec::new(), printers: Vec::new() };
        let wanted = plan_order(&open, &files);
        let input = PlanInput { printers, files: files.files, ..PlanInput::default() };
        Ok(Planner::default().feasibility(&input, &wanted))
    }
}
