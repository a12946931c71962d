//! How many printers can make an order.

use crate::{
    domain::{
        order::{CountedOrder, OpenOrder, Order, OrderSums},
        planner::{Feasibility, PlanInput, Planner},
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
    /// Returns how many printers can make an order.
    pub async fn feasibility(&self, order: &Order) -> Result<Feasibility, Error> {
        let printers = storage::printers::list_printers(&self.db).await?;
        self.feasibility_among(order, &printers).await
    }

    /// Returns how many of these printers can make an order, whether they are free or not, and why the others cannot.
    pub(super) async fn feasibility_among(&self, order: &Order, printers: &[Printer]) -> Result<Feasibility, Error> {
        let files = self.plan_files(order).await?;
        let counted = CountedOrder { order: order.clone(), sums: OrderSums::default() };
        let open = OpenOrder { counted, failed: Vec::new(), printers: Vec::new() };
        let wanted = plan_order(&open, &files);
        let input = PlanInput {
            printers: printers.iter().map(plan_printer).collect(),
            files: files.files,
            ..PlanInput::default()
        };
        Ok(Planner::default().feasibility(&input, &wanted))
    }
}
