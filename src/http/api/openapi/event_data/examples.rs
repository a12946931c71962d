//! Example `data` of events.

use serde_json::{Value, json};

use super::orders;
use crate::domain::{
    audit::object_fields,
    batch::{BatchCounts, OutcomeCounts},
    command::Outcome,
    event::EventType,
    print::PrintResult,
    printer_profile::PrinterProfile,
    production::Production,
};

/// Returns example `data` of an event.
pub fn example_data(kind: EventType) -> Value {
    orders::example_data(kind).unwrap_or_else(|| printer_example(kind))
}

fn printer_example(kind: EventType) -> Value {
    let (printer, print) = ("0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11", "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f406");
    let mut data = match kind {
        EventType::PrinterRegistered | EventType::PrinterRemoved => {
            let profile = PrinterProfile {
                model: Some("MK4".to_owned()),
                material: Some("PETG".to_owned()),
                nozzle_mm: Some(0.4),
                ..PrinterProfile::default()
            };
            let mut example = object_fields(&profile);
            example.extend(object_fields(&json!({
                "name": "MK4-017", "url": "http://10.0.3.17", "tags": ["hall-a"], "enabled": true,
                "production": Production::default(),
            })));
            Value::Object(example)
        }
        EventType::PrinterUpdated => json!({"changes": {"material": ["PETG", "PLA"]}}),
        EventType::PrinterOnline => json!({"reachability": "online", "before": "unreachable"}),
        EventType::PrinterOffline => json!({"reachability": "unreachable", "before": "online"}),
        EventType::PrinterStateChanged => json!({"state": "printing", "before": "operational"}),
        EventType::PrinterNoisy => {
            json!({"prints": 12, "changes": 0, "from": "2026-12-03T15:50:00Z", "until": "2026-12-03T15:58:30Z"})
        }
        EventType::PrinterAttention | EventType::PrinterAttentionCleared => {
            json!({"reason": "failed_twice", "since": "2026-12-03T15:58:30Z"})
        }
        EventType::PrintStarted => json!({
            "print_id": print, "file": {"path": "bracket.gcode", "origin": "local"},
            "by": {"kind": "command", "command_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f407"},
        }),
        EventType::PrintPaused | EventType::PrintResumed => {
            json!({"print_id": print, "by": {"kind": "printer", "command_id": null}})
        }
        EventType::PrintStalled => json!({"print_id": print, "stalled_since": "2026-12-03T15:55:00Z"}),
        EventType::PrintFinished => print_ended_example(print, PrintResult::Done, None),
        EventType::PrintFailed => print_ended_example(print, PrintResult::Failed, Some("Thermal runaway")),
        EventType::PrintCancelled => print_ended_example(print, PrintResult::Cancelled, None),
        EventType::PrintUnknown => print_ended_example(print, PrintResult::Unknown, None),
        EventType::BatchCreated => {
            return json!({
                "batch_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f405", "command": "pause", "total": 12, "reason": "shift end",
                "external_ref": "PP-100234",
            });
        }
        EventType::BatchFinished => {
            let counts = OutcomeCounts::from_pairs([(Outcome::Confirmed, 11), (Outcome::Unreachable, 1)]);
            return json!({
                "batch_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f405", "state": "finished", "result": "partial",
                "counts": BatchCounts::from(&counts),
            });
        }
        EventType::CommandFinished | EventType::CommandSettled => {
            let settled = json!({"effect": "done", "state": "paused", "at": "2026-12-03T16:05:00Z"});
            let is_late = kind == EventType::CommandSettled;
            json!({
                "command_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f407",
                "batch_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f405", "command": "pause", "resolved_command": null,
                "outcome": if is_late { "unconfirmed" } else { "confirmed" }, "final": true,
                "effect": if is_late { "maybe" } else { "done" },
                "reason": is_late.then_some("still_pausing"), "detail": null, "print_id": print,
                "state_before": "printing", "state_after": if is_late { "pausing" } else { "paused" }, "attempts": 1,
                "sent_at": "2026-12-03T16:00:00.012Z", "accepted_at": "2026-12-03T16:00:00.063Z",
                "finished_at": "2026-12-03T16:00:00.094Z", "latency_ms": 51,
                "settled": if is_late { settled } else { Value::Null },
            })
        }
        EventType::PlateClearNeeded | EventType::PlateCleared => json!({"print_id": print}),
        EventType::PlanStopped | EventType::PlanResumed => return json!({"reason": "fire alarm"}),
        // `orders::example_data` has the examples of these events.
        EventType::PartUpdated
        | EventType::PartRemoved
        | EventType::OrderCreated
        | EventType::OrderUpdated
        | EventType::OrderStarted
        | EventType::OrderHeld
        | EventType::OrderReleased
        | EventType::OrderCompleted
        | EventType::OrderReopened
        | EventType::OrderCancelled
        | EventType::OrderShortClosed
        | EventType::CopyStarted
        | EventType::CopyFinished
        | EventType::CopyFailed
        | EventType::CopyCancelled
        | EventType::CopyLost
        | EventType::CopyReleased
        | EventType::CopyJudged => return Value::Null,
        EventType::FileAdded | EventType::FileRemoved => {
            return json!({
                "file_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f408", "name": "bracket.gcode", "folder": "parts",
                "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "size": 1_048_576,
            });
        }
    };
    if kind.is_about_print() {
        data["command_id"] = json!("0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f407");
        data["batch_id"] = json!("0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f405");
        data["external_ref"] = json!("PP-100234");
    }
    data["printer_id"] = json!(printer);
    data["printer_name"] = json!("MK4-017");
    data
}

fn print_ended_example(print: &str, result: PrintResult, reason: Option<&str>) -> Value {
    json!({"print_id": print, "result": result, "reason": reason, "by": {"kind": "printer", "command_id": null}})
}
