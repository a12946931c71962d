//! Audit entries: who did what to which printers, from where, with the values before and after.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{command::string_enum, idempotency::KeyUse};

string_enum! {
    /// The action of an audit entry.
    Action {
        PrinterRegistered = "printer.registered",
        PrinterChanged = "printer.changed",
        PrinterRemoved = "printer.removed",
        /// A person has looked at a printer that needed attention.
        AttentionCleared = "printer.attention_cleared",
        PlanStopped = "plan.stopped",
        PlanResumed = "plan.resumed",
        FileUploaded = "file.uploaded",
        FileSelected = "file.selected",
        FileDeleted = "file.deleted",
        /// These three actions concern files of the library. The others concern files of a printer.
        FileAdded = "file.added",
        FileChanged = "file.changed",
        FileRemoved = "file.removed",
        /// A part was created or changed.
        PartSaved = "part.updated",
        PartRemoved = "part.removed",
        OrderCreated = "order.created",
        OrderChanged = "order.changed",
        OrderHeld = "order.held",
        OrderReleased = "order.released",
        OrderCancelled = "order.cancelled",
        OrderShortClosed = "order.short_closed",
        /// Parts that were counted by hand.
        OrderAdjusted = "order.adjusted",
        CopyJudged = "copy.judged",
        CopyLost = "copy.lost",
        PlateCleared = "plate.cleared",
        BatchCreated = "batch.created",
        BatchStopped = "batch.stopped",
        /// The last command of the batch has ended. The printers are those without the requested effect.
        BatchFinished = "batch.finished",
        /// These four actions were not caused by a command: a person at the printer, another program or the printer
        /// itself did them.
        PrintStarted = "print.started",
        PrintPaused = "print.paused",
        PrintResumed = "print.resumed",
        /// The print ended with another result than `done`.
        PrintEnded = "print.ended",
        TokenCreated = "token.created",
        TokenRotated = "token.rotated",
        TokenRevoked = "token.revoked",
        UserCreated = "user.created",
        UserChanged = "user.changed",
        SessionOpened = "session.opened",
        SessionEnded = "session.ended",
        SecretsRotated = "secrets.rotated",
        WebhookCreated = "webhook.created",
        WebhookChanged = "webhook.changed",
        WebhookRemoved = "webhook.removed",
        WebhookTested = "webhook.tested",
        WebhookRotated = "webhook.rotated",
        WebhookRedelivered = "webhook.redelivered",
        /// The server disabled the webhook: its receiver is gone, or no delivery succeeded for days.
        WebhookDisabled = "webhook.disabled",
        /// The server removed audit rows that are too old. `changes` contains their range and number.
        AuditPruned = "audit.pruned",
    }
}

string_enum! {
    /// Who did it.
    #[schema(as = AuditActorKind)]
    ActorKind {
        User = "user",
        Token = "token",
        /// The admin token of the server's settings.
        AdminToken = "admin_token",
        /// A person at the server's terminal.
        Terminal = "terminal",
        /// The server itself, by a configured rule.
        Scheduler = "scheduler",
        /// The planner, which starts the copies of orders.
        Planner = "planner",
        /// A printer, or a person at the printer.
        Printer = "printer",
        /// The person who opened the set-up link.
        Setup = "setup",
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AuditActor)]
pub struct AuditActor {
    pub kind: ActorKind,
    /// A user's or a token's.
    pub id: Option<Uuid>,
    pub name: String,
}

/// Id and client address of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestOrigin {
    pub request_id: Option<String>,
    pub address: Option<String>,
}

/// An audit entry that is to be stored. It never contains secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: DateTime<Utc>,
    pub actor: AuditActor,
    pub action: Action,
    pub printer_ids: Vec<Uuid>,
    /// Id of another object that was changed: a batch, a token or a user.
    pub subject: Option<Uuid>,
    pub request_id: Option<String>,
    pub address: Option<String>,
    /// Changed fields as `[before, after]`. For a created or removed object, its fields.
    pub changes: Map<String, Value>,
    /// The idempotency key of the request. It is not stored with the entry.
    #[serde(skip)]
    pub idempotency_key: Option<Arc<KeyUse>>,
}

impl AuditEntry {
    /// Returns an entry without a request: an action that the server takes by a rule, or that happened at a printer.
    pub fn without_request(kind: ActorKind, action: Action, at: DateTime<Utc>) -> Self {
        Self {
            at,
            actor: AuditActor { kind, id: None, name: kind.as_str().to_owned() },
            action,
            printer_ids: Vec::new(),
            subject: None,
            request_id: None,
            address: None,
            changes: Map::new(),
            idempotency_key: None,
        }
    }

    /// Returns the API path of the created or changed object, if it has one.
    pub fn location(&self) -> Option<String> {
        let (list, id) = match self.action {
            Action::BatchCreated | Action::BatchStopped => ("batches", self.subject?),
            Action::PrinterRegistered | Action::PrinterChanged | Action::AttentionCleared => {
                ("printers", *self.printer_ids.first()?)
            }
            Action::TokenCreated | Action::TokenRotated => ("tokens", self.subject?),
            Action::UserCreated | Action::UserChanged => ("users", self.subject?),
            Action::WebhookCreated | Action::WebhookChanged | Action::WebhookRotated => ("webhooks", self.subject?),
            Action::FileAdded | Action::FileChanged => ("files", self.subject?),
            Action::OrderCreated
            | Action::OrderChanged
            | Action::OrderHeld
            | Action::OrderReleased
            | Action::OrderCancelled
            | Action::OrderShortClosed
            | Action::OrderAdjusted => ("orders", self.subject?),
            Action::CopyJudged | Action::CopyLost => ("copies", self.subject?),
            Action::PlanStopped
            | Action::PlanResumed
            | Action::PrinterRemoved
            | Action::FileUploaded
            | Action::FileSelected
            | Action::FileDeleted
            | Action::FileRemoved
            | Action::PartSaved
            | Action::PartRemoved
            | Action::PlateCleared
            | Action::BatchFinished
            | Action::PrintStarted
            | Action::PrintPaused
            | Action::PrintResumed
            | Action::PrintEnded
            | Action::TokenRevoked
            | Action::SessionOpened
            | Action::SessionEnded
            | Action::SecretsRotated
            | Action::WebhookRemoved
            | Action::WebhookTested
            | Action::WebhookRedelivered
            | Action::WebhookDisabled
            | Action::AuditPruned => return None,
        };
        Some(format!("/api/v1/{list}/{id}"))
    }
}

/// A stored audit entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Numbered from 1 without gaps.
    pub seq: i64,
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// A row of the audit log, as it was read.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckedRecord {
    Intact(AuditRecord),
    /// The row cannot be read, or its parts contradict each other: it was altered by a person or by the disk.
    Damaged {
        seq: i64,
        /// The parts that can still be read.
        at: Option<DateTime<Utc>>,
        action: Option<String>,
    },
}

impl CheckedRecord {
    /// Returns the position in the chain.
    pub fn seq(&self) -> i64 {
        match self {
            Self::Intact(record) => record.seq,
            Self::Damaged { seq, .. } => *seq,
        }
    }
}

/// Filter for a page of records. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditFilter {
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// Exact name.
    pub actor: Option<String>,
    pub action: Option<Action>,
    pub printer_id: Option<Uuid>,
}

/// Returns the fields that differ between two objects, each as `[before, after]`.
pub fn changed_fields(before: &Value, after: &Value) -> Map<String, Value> {
    let empty = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let mut changes = Map::new();
    for name in before.keys().chain(after.keys()) {
        let (old, new) = (before.get(name).unwrap_or(&Value::Null), after.get(name).unwrap_or(&Value::Null));
        if old != new {
            changes.insert(name.clone(), Value::Array(vec![old.clone(), new.clone()]));
        }
    }
    changes
}

/// Returns the fields of a created or removed object.
pub fn object_fields(object: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(object) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_differing_fields_are_returned() {
        let changes = changed_fields(&json!({"a": 1, "b": 2, "gone": 3}), &json!({"a": 1, "b": 4, "new": null}));
        assert_eq!(Value::Object(changes), json!({"b": [2, 4], "gone": [3, null]}));
    }
}
