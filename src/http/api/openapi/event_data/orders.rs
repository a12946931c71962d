//! Event `data` of parts, orders and copies.

#![expect(dead_code, reason = "they describe the `data` that `domain/event/orders.rs` builds; no code constructs them")]

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{
    copy::{CopyResult, CopyVerdict, Quality},
    event::EventType,
    order::{OrderState, Quantities},
    part::{Judgement, PlateFile},
    requirements::Requirements,
};

/// A part that was created, changed or removed.
#[derive(ToSchema)]
pub(super) struct PartEventData {
    number: String,
    revision: String,
    title: String,
    requirements: Requirements,
    judgement: Judgement,
    files: Vec<PlateFile>,
}

/// An order, after the event.
#[derive(ToSchema)]
pub(super) struct OrderEventData {
    order_id: Uuid,
    source: String,
    external_ref: Option<String>,
    line: String,
    /// Number of the part. Null: the order names files.
    part: Option<String>,
    state: OrderState,
    quantities: Quantities,
    /// With `order.updated`: changed fields by name, each as `[before, after]`, or the counted parts.
    #[schema(required = false)]
    changes: Map<String, Value>,
    /// With `order.held`: why.
    #[schema(required = false)]
    reason: Option<String>,
    /// With `order.held`: the copy that used up its attempts.
    #[schema(required = false)]
    copy_id: Option<Uuid>,
}

/// A copy, with its order after the event.
#[derive(ToSchema)]
pub(super) struct CopyEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    order_id: Uuid,
    source: String,
    external_ref: Option<String>,
    line: String,
    /// Number of the part. Null: the order names files.
    part: Option<String>,
    /// State of the order.
    state: OrderState,
    quantities: Quantities,
    copy_id: Uuid,
    attempt: u32,
    /// The copy that this one replaces.
    replaces: Option<Uuid>,
    file_id: Uuid,
    command_id: Uuid,
    print_id: Option<Uuid>,
    /// Number of parts on the plate.
    parts: u32,
    quality: Quality,
    good: u32,
    scrap: u32,
    reason: Option<String>,
    result: Option<CopyResult>,
    /// With `copy.judged`: the judgement before.
    #[schema(required = false)]
    before: CopyVerdict,
}

/// Returns example `data` of an event. `None`: the event is not about a part, an order or a copy.
pub(super) fn example_data(kind: EventType) -> Option<Value> {
    if matches!(kind, EventType::PartUpdated | EventType::PartRemoved) {
        return Some(json!({
            "number": "BRKT-7", "revision": "C", "title": "Bracket", "requirements": Requirements::default(),
            "judgement": "manual", "files": [{
                "file_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f408", "models": ["MK4"], "parts_per_plate": 4,
                "estimated_print_time_s": null,
            }],
        }));
    }
    if !kind.is_about_order() {
        return None;
    }
    let mut data = json!({
        "order_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f409", "source": "odoo", "external_ref": "MO/00412", "line": "10",
        "part": "BRKT-7", "state": "running", "quantities": {
            "ordered": 120, "good": 76, "scrap": 1, "unjudged": 3, "printing": 4, "queued": 37, "remaining": 44, "surplus": 0,
        },
    });
    if kind == EventType::OrderUpdated {
        data["changes"] = json!({"quantity": [100, 120]});
    } else if kind == EventType::OrderHeld {
        data["reason"] = json!("attempts_used_up");
    }
    if kind.as_str().starts_with("copy.") {
        let copy = json!({
            "printer_id": "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11", "printer_name": "MK4-017",
            "copy_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f410", "attempt": 1, "replaces": null,
            "file_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f408", "command_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f407",
            "print_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f406", "parts": 4, "quality": "judged", "good": 3, "scrap": 1,
            "reason": "warped", "result": null,
        });
        let (Some(all), Some(copy)) = (data.as_object_mut(), copy.as_object()) else { return None };
        all.extend(copy.clone());
        if kind == EventType::CopyJudged {
            data["before"] = json!({"quality": "unjudged", "good": 0, "scrap": 0});
        }
    }
    Some(data)
}
