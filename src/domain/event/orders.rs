//! Events of orders and copies.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{EventType, NewEvent};
use crate::domain::{copy::Copy, order::CountedOrder};

impl EventType {
    /// Returns whether the event is about an order or a copy. Its subject is the order.
    pub fn is_about_order(self) -> bool {
        matches!(
            self,
            Self::OrderCreated
                | Self::OrderUpdated
                | Self::OrderStarted
                | Self::OrderHeld
                | Self::OrderReleased
                | Self::OrderCompleted
                | Self::OrderReopened
                | Self::OrderCancelled
                | Self::OrderShortClosed
                | Self::CopyStarted
                | Self::CopyFinished
                | Self::CopyFailed
                | Self::CopyCancelled
                | Self::CopyLost
                | Self::CopyReleased
                | Self::CopyJudged
        )
    }
}

impl NewEvent {
    /// Returns an event of an order or a copy, with the quantities of the order after it. `data` has what is special about
    /// the event.
    pub fn for_order(kind: EventType, at: DateTime<Utc>, counted: &CountedOrder, mut data: Map<String, Value>) -> Self {
        let order = &counted.order;
        let shared = json!({
            "order_id": order.id, "source": order.source, "external_ref": order.external_ref, "line": order.line,
            "part": order.part, "state": counted.state(), "quantities": counted.quantities(),
        });
        data.extend(shared.as_object().cloned().unwrap_or_default());
        let (subject, external_ref) = (Some(order.id), order.external_ref.clone());
        Self { subject, external_ref, data: Some(data), ..Self::new(kind, at) }
    }

    /// Returns an event of a copy. `data` has what is special about the event.
    pub fn for_copy(
        kind: EventType,
        at: DateTime<Utc>,
        counted: &CountedOrder,
        copy: &Copy,
        data: Map<String, Value>,
    ) -> Self {
        let shared = json!({
            "copy_id": copy.id, "attempt": copy.attempt, "replaces": copy.replaces, "file_id": copy.file_id,
            "command_id": copy.command_id, "print_id": copy.print_id, "parts": copy.parts, "quality": copy.quality,
            "good": copy.good, "scrap": copy.scrap, "reason": copy.reason, "result": copy.result,
        });
        let mut all = shared.as_object().cloned().unwrap_or_default();
        all.extend(data);
        Self { printer_id: Some(copy.printer_id), ..Self::for_order(kind, at, counted, all) }
    }
}
