//! Orders: made by clients, followed, changed and ended.

mod actions;
mod create;
mod feasibility;
mod running;
mod upload;

use std::collections::HashSet;

use uuid::Uuid;

pub use self::{create::CreatedOrder, upload::PrintTarget};
use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        order::{CountedOrder, OrderFilter, OrderState},
        planner::{WaitingOrder, WaitingReason},
    },
    storage,
};

/// Maximum number of orders in one request.
pub const MAX_ORDERS: usize = 500;

/// An order with the reasons why it waits.
#[derive(Debug, Clone)]
pub struct OrderView {
    pub counted: CountedOrder,
    pub waiting_reasons: Vec<WaitingReason>,
}

/// Filter of a list of orders.
#[derive(Debug, Clone, Default)]
pub struct OrderQuery {
    pub filter: OrderFilter,
    /// The code of a reason for which an order waits.
    pub waiting_reason: Option<String>,
}

impl Services {
    /// Returns one order. An order of printers that the principal may not see does not exist for it.
    pub async fn order(&self, who: &Principal, id: Uuid) -> Result<OrderView, Error> {
        let found = storage::orders::get(&self.db, id).await?.filter(|one| one.order.is_visible_to(&who.tags));
        Ok(self.view_order(found.ok_or(Error::NotFound("order"))?))
    }

    /// Returns a page of orders, newest first, older than `after`.
    pub async fn list_orders(
        &self,
        who: &Principal,
        query: &OrderQuery,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<OrderView>, Error> {
        let mut filter = OrderFilter { visible_tags: who.visible_tags(), ..query.filter.clone() };
        if let Some(code) = &query.waiting_reason {
            let latest = self.planner.latest();
            let waiting = latest.iter().flat_map(|view| &view.plan.waiting);
            let has_reason = |one: &&WaitingOrder| one.reasons.iter().any(|reason| reason.code.as_str() == code);
            filter.ids = Some(waiting.filter(has_reason).map(|one| one.order).collect());
        }
        let orders = storage::orders::list_page(&self.db, &filter, after, limit).await?;
        Ok(orders.into_iter().map(|counted| self.view_order(counted)).collect())
    }

    /// Returns those of these orders that a principal may see.
    pub async fn visible_orders(
        &self,
        who: &Principal,
        ids: impl Iterator<Item = Uuid>,
    ) -> Result<HashSet<Uuid>, Error> {
        let ids: HashSet<Uuid> = ids.collect();
        if who.tags.is_empty() {
            return Ok(ids);
        }
        let listed: Vec<Uuid> = ids.into_iter().collect();
        let orders = storage::orders::get_many(&self.db, &listed).await?;
        Ok(orders.iter().filter(|one| one.order.is_visible_to(&who.tags)).map(|one| one.order.id).collect())
    }

    /// Returns a page of orders without the first `skipped`: open orders first, the most urgent first, then those that ended
    /// last.
    pub async fn list_queue(
        &self,
        who: &Principal,
        state: Option<OrderState>,
        skipped: i64,
        limit: i64,
    ) -> Result<Vec<OrderView>, Error> {
        let filter = OrderFilter { state, visible_tags: who.visible_tags(), ..OrderFilter::default() };
        let orders = storage::orders::list_by_urgency(&self.db, &filter, skipped, limit).await?;
        Ok(orders.into_iter().map(|counted| self.view_order(counted)).collect())
    }

    fn view_order(&self, counted: CountedOrder) -> OrderView {
        let latest = self.planner.latest();
        let waiting_reasons = latest.map_or_else(Vec::new, |view| view.plan.waiting_reasons(counted.order.id).to_vec());
        OrderView { counted, waiting_reasons }
    }
}
