//! Changes of orders by clients.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::OrderView;
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry, changed_fields},
        event::EventType,
        message::Message,
        order::{Adjustment, CountedOrder, HoldReason, Order, OrderEnd, OrderPatch, RunningCopies, check_adjustment},
        validation::ValidationErrors,
    },
    service::{Services, access::Principal, error::Error},
    storage::{
        self,
        orders::{Decision, OrderChange},
    },
};

impl Services {
    /// Changes an order that has the expected version. A smaller quantity never stops a print. Fails with `Stale`,
    /// `Invalid` and `order_ended`.
    pub async fn patch_order(
        &self,
        who: &Principal,
        id: Uuid,
        expected: i64,
        patch: OrderPatch,
    ) -> Result<OrderView, Error> {
        who.require(Role::Operator)?;
        let before = self.order(who, id).await?.counted.order;
        let mut after = before.clone();
        if let Some(revision) = &patch.part_revision {
            let part = self.part_of_revision(&before, revision).await?;
            after.files = self.resolve_plates(&part.details.files).await?;
            after.part_revision = Some(part.details.revision);
            after.details.requirements = part.details.requirements;
        }
        patch.apply(&mut after.details);
        let mut invalid = ValidationErrors::default();
        after.details.check(&mut invalid);
        invalid.into_result(())?;
        self.check_required_printers(who, &after.details.requirements).await?;
        let changes = changed_fields(&patched_fields(&before), &patched_fields(&after));
        self.change_order(who, id, |counted| {
            let order = &counted.order;
            if order.version != expected || order.version != before.version {
                return Err(Error::Stale);
            }
            if changes.is_empty() {
                return Ok(None);
            }
            if matches!(order.ended_as, Some(OrderEnd::Cancelled | OrderEnd::ShortClosed)) {
                return Err(order_ended());
            }
            let order = Order {
                files: after.files,
                part_revision: after.part_revision,
                details: after.details,
                version: expected + 1,
                ..order.clone()
            };
            let data = Map::from_iter([("changes".to_owned(), Value::Object(changes.clone()))]);
            Ok(Some(decide(who, order, Action::OrderChanged, EventType::OrderUpdated, changes, data)))
        })
        .await
    }

    /// Puts an order on hold: no further copy is assigned. Running copies continue.
    pub async fn hold_order(&self, who: &Principal, id: Uuid) -> Result<OrderView, Error> {
        self.change_order(who, id, |counted| {
            let mut order = open_order(counted)?;
            if order.hold.is_some() {
                return Ok(None);
            }
            order.hold = Some(HoldReason::OnHold);
            let data = Map::from_iter([("reason".to_owned(), json!(HoldReason::OnHold))]);
            Ok(Some(decide(who, order, Action::OrderHeld, EventType::OrderHeld, Map::new(), data)))
        })
        .await
    }

    /// Releases an order that is on hold, and grants new attempts.
    pub async fn release_order(&self, who: &Principal, id: Uuid) -> Result<OrderView, Error> {
        self.change_order(who, id, |counted| {
            let mut order = open_order(counted)?;
            if order.hold.is_none() {
                return Ok(None);
            }
            (order.hold, order.attempts_since) = (None, Some(clock::now()));
            Ok(Some(decide(who, order, Action::OrderReleased, EventType::OrderReleased, Map::new(), Map::new())))
        })
        .await
    }

    /// Ends an order: cancels it, or completes it with fewer parts. The end may be repeated to cancel copies that still
    /// run. Fails with `order_ended` if the order has ended otherwise.
    pub async fn end_order(
        &self,
        who: &Principal,
        id: Uuid,
        end: OrderEnd,
        running: RunningCopies,
    ) -> Result<OrderView, Error> {
        let view = self
            .change_order(who, id, |counted| {
                let mut order = counted.order.clone();
                if order.ended_as.is_some_and(|ended| ended != end) {
                    return Err(order_ended());
                }
                let is_known = order.ended_as == Some(end);
                if is_known && (order.running == Some(running) || running == RunningCopies::Finish) {
                    return Ok(None);
                }
                if !is_known {
                    (order.ended_as, order.completed_at) = (Some(end), Some(clock::now()));
                }
                order.running = Some(running);
                let (action, event) = match end {
                    OrderEnd::Cancelled => (Action::OrderCancelled, EventType::OrderCancelled),
                    OrderEnd::ShortClosed | OrderEnd::Completed => {
                        (Action::OrderShortClosed, EventType::OrderShortClosed)
                    }
                };
                let changes = Map::from_iter([("running".to_owned(), json!(running))]);
                Ok(Some(decide(who, order, action, event, changes, Map::new())))
            })
            .await?;
        if view.counted.order.cancels_running() {
            self.cancel_running_copies(who, &view.counted.order).await?;
            return self.order(who, id).await;
        }
        Ok(view)
    }

    /// Adds parts that were counted by hand, or takes parts off.
    pub async fn adjust_order(&self, who: &Principal, id: Uuid, adjustment: Adjustment) -> Result<OrderView, Error> {
        who.require(Role::Operator)?;
        let mut invalid = ValidationErrors::default();
        check_adjustment(&mut invalid, &adjustment);
        invalid.into_result(())?;
        self.change_order(who, id, |counted| {
            let mut invalid = ValidationErrors::default();
            for (name, stored, value) in
                [("good", counted.sums.good, adjustment.good), ("scrap", counted.sums.scrap, adjustment.scrap)]
            {
                if stored + i64::from(value) < 0 {
                    let rule = Message::new("rule-adjustment-range").with("count", stored);
                    invalid.add(format!("/{name}"), "range", rule);
                }
            }
            invalid.into_result(())?;
            let Adjustment { good, scrap, reason } = &adjustment;
            let changes = json!({"good": good, "scrap": scrap, "reason": reason});
            let changes = changes.as_object().cloned().unwrap_or_default();
            let data = Map::from_iter([("changes".to_owned(), Value::Object(changes.clone()))]);
            let order = counted.order.clone();
            let decision = decide(who, order, Action::OrderAdjusted, EventType::OrderUpdated, changes, data);
            Ok(Some(Decision { adjustment: Some(adjustment), ..decision }))
        })
        .await
    }

    /// Changes an order that the principal may see.
    async fn change_order(
        &self,
        who: &Principal,
        id: Uuid,
        decide: impl FnOnce(&CountedOrder) -> Result<Option<Decision>, Error>,
    ) -> Result<OrderView, Error> {
        who.require(Role::Operator)?;
        let at: DateTime<Utc> = clock::now();
        let changed = storage::orders::change(&self.db, id, at, |counted| {
            if !counted.order.is_visible_to(&who.tags) {
                return Err(Error::NotFound("order"));
            }
            decide(counted)
        })
        .await?;
        match changed {
            OrderChange::Changed(counted) => {
                let order = &counted.order;
                tracing::info!(order.id = %id, order.state = %counted.state(), by = %who.name, version = order.version, "order changed");
                Ok(self.view_order(counted))
            }
            OrderChange::Unchanged(counted) => Ok(self.view_order(counted)),
            OrderChange::Refused(error) => Err(error),
            OrderChange::NotFound => Err(Error::NotFound("order")),
        }
    }
}

/// Returns the order if it is open.
fn open_order(counted: &CountedOrder) -> Result<Order, Error> {
    if counted.order.ended_as.is_some() { Err(order_ended()) } else { Ok(counted.order.clone()) }
}

fn order_ended() -> Error {
    Error::Conflict { code: "order_ended", detail: Message::new("refusal-order-ended") }
}

fn decide(
    who: &Principal,
    order: Order,
    action: Action,
    event: EventType,
    mut changes: Map<String, Value>,
    data: Map<String, Value>,
) -> Decision {
    changes.insert("order".to_owned(), order.label().into());
    let entry = AuditEntry { subject: Some(order.id), ..who.audit_entry(action, changes) };
    Decision { order, event, data, entry, adjustment: None }
}

/// Returns the fields that a patch can change.
fn patched_fields(order: &Order) -> Value {
    let mut fields = json!(order.details);
    fields["part_revision"] = json!(order.part_revision);
    fields["files"] = json!(order.files);
    fields
}
