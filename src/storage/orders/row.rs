//! Layout of an order's row, and of the sums that are read with it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::{
        copy::CopyState,
        order::{CountedOrder, HoldReason, Order, OrderDetails, OrderEnd, OrderSums, RunningCopies},
        part::Judgement,
    },
    storage::{
        Error,
        error::{RowRef, unreadable},
    },
};

/// Columns of [`CountedRow`] from the table `orders`.
const COLUMNS: &str = "id, source, external_ref, line, part, part_revision, files, title, quantity, requirements, priority, \
     not_before, due_at, max_printers, max_surplus, on_failure, judgement, metadata, hold, ended_as, running, tag_limit, version, \
     created_at, updated_at, started_at, completed_at, attempts_since, created_by";

/// Returns the states of active copies as a list of SQL. The partial index has exactly the same text.
pub(in crate::storage) fn active_states() -> String {
    let active = CopyState::ALL.iter().filter(|state| state.is_active());
    active.map(|state| format!("'{state}'")).collect::<Vec<_>>().join(", ")
}

/// Returns the statement that reads orders with their sums. `picked` selects rows of `orders`, with an order and a limit
/// where the result is a page; `order_by` sorts the result.
pub(in crate::storage) fn counted_sql(picked: &str, order_by: &str) -> String {
    let active = active_states();
    format!(
        "with picked as (select {COLUMNS} from orders o {picked})
         select p.*, cast(coalesce(c.good, 0) + coalesce(a.good, 0) as bigint) as good,
             cast(coalesce(c.scrap, 0) + coalesce(a.scrap, 0) as bigint) as scrap,
             cast(coalesce(c.unjudged, 0) as bigint) as unjudged, cast(coalesce(c.printing, 0) as bigint) as printing,
             cast(coalesce(c.active, 0) as bigint) as active,
             cast(coalesce(c.begun, 0) as bigint) as begun
         from picked p
         left join (select order_id,
                        sum(case when state = 'finished' then good else 0 end) as good,
                        sum(case when state = 'finished' then scrap else 0 end) as scrap,
                        sum(case when state = 'finished' and quality = 'unjudged' then parts else 0 end) as unjudged,
                        sum(case when state in ({active}) then parts else 0 end) as printing,
                        sum(case when state in ({active}) then 1 else 0 end) as active,
                        sum(case when started_at is not null or state = 'finished' then 1 else 0 end) as begun
                    from copies where order_id in (select id from picked) group by order_id) c on c.order_id = p.id
         left join (select order_id, sum(good) as good, sum(scrap) as scrap
                    from order_adjustments where order_id in (select id from picked) group by order_id) a
             on a.order_id = p.id
         {order_by}"
    )
}

/// An order with its sums.
#[derive(sqlx::FromRow)]
pub(in crate::storage) struct CountedRow {
    id: Uuid,
    source: String,
    external_ref: Option<String>,
    line: String,
    part: Option<String>,
    part_revision: Option<String>,
    files: Json<Value>,
    title: String,
    quantity: i64,
    requirements: Json<Value>,
    priority: i64,
    not_before: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    max_printers: Option<i64>,
    max_surplus: Option<i64>,
    on_failure: Json<Value>,
    judgement: String,
    metadata: Json<Value>,
    hold: Option<String>,
    ended_as: Option<String>,
    running: Option<String>,
    tag_limit: Json<Vec<String>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
    attempts_since: Option<DateTime<Utc>>,
    created_by: String,
    good: i64,
    scrap: i64,
    unjudged: i64,
    printing: i64,
    active: i64,
    begun: i64,
}

impl CountedRow {
    pub(in crate::storage) fn into_counted(self) -> Result<CountedOrder, Error> {
        let row_ref = RowRef { table: "orders", row: self.id };
        let number = |column, value: i64| u32::try_from(value).map_err(|_| unreadable("orders", column, self.id));
        let optional = |column, value: Option<i64>| value.map(|value| number(column, value)).transpose();
        let sums = OrderSums {
            good: self.good,
            scrap: self.scrap,
            unjudged: self.unjudged,
            printing: self.printing,
            active: self.active,
            begun: self.begun,
        };
        let details = OrderDetails {
            quantity: number("quantity", self.quantity)?,
            priority: number("priority", self.priority)?,
            max_printers: optional("max_printers", self.max_printers)?,
            max_surplus: optional("max_surplus", self.max_surplus)?,
            title: self.title,
            requirements: row_ref.parse_json("requirements", self.requirements.0)?,
            not_before: self.not_before,
            due_at: self.due_at,
            on_failure: row_ref.parse_json("on_failure", self.on_failure.0)?,
            judgement: row_ref.parse("judgement", &self.judgement, Judgement::parse)?,
            metadata: row_ref.parse_json("metadata", self.metadata.0)?,
        };
        let order = Order {
            id: self.id,
            source: self.source,
            external_ref: self.external_ref,
            line: self.line,
            part: self.part,
            part_revision: self.part_revision,
            files: row_ref.parse_json("files", self.files.0)?,
            details,
            hold: row_ref.parse_optional("hold", self.hold.as_deref(), HoldReason::parse)?,
            ended_as: row_ref.parse_optional("ended_as", self.ended_as.as_deref(), OrderEnd::parse)?,
            running: row_ref.parse_optional("running", self.running.as_deref(), RunningCopies::parse)?,
            tag_limit: self.tag_limit.0,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            started_at: self.started_at,
            completed_at: self.completed_at,
            attempts_since: self.attempts_since,
            created_by: self.created_by,
        };
        Ok(CountedOrder { order, sums })
    }
}
