//! What is written down of a change: who did what, to which printers, from where, and what was there before and after.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{command::words, idempotency::KeyUse};

words! {
    /// What was done.
    Action {
        PrinterRegistered = "printer.registered",
        PrinterChanged = "printer.changed",
        PrinterRemoved = "printer.removed",
        FileUploaded = "file.uploaded",
        FileSelected = "file.selected",
        FileDeleted = "file.deleted",
        PlateCleared = "plate.cleared",
        BatchCreated = "batch.created",
        BatchStopped = "batch.stopped",
        /// Its last command has ended. The printers are those on which what was asked for is not done.
        BatchFinished = "batch.finished",
        /// These four without a command of ours: somebody at the printer did it, or another program, or itself.
        PrintStarted = "print.started",
        PrintPaused = "print.paused",
        PrintResumed = "print.resumed",
        /// Otherwise than by being done.
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
        /// By the server: its receiver is gone, or nothing got through for days.
        WebhookDisabled = "webhook.disabled",
        /// By the server: rows of the audit that are too old were removed. Its changes have their range and number.
        AuditPruned = "audit.pruned",
    }
}

words! {
    /// Who did it.
    #[schema(as = AuditActorKind)]
    ActorKind {
        User = "user",
        Token = "token",
        /// The token of the server's own settings.
        AdminToken = "admin_token",
        /// The person at the server's terminal.
        Terminal = "terminal",
        /// The server itself, by a rule that somebody gave it.
        Scheduler = "scheduler",
        /// A printer, or somebody at it.
        Printer = "printer",
        /// Whoever holds the link for the set-up.
        Setup = "setup",
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AuditActor)]
pub struct Actor {
    pub kind: ActorKind,
    /// A user's or a token's.
    pub id: Option<Uuid>,
    pub name: String,
}

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub request_id: Option<String>,
    pub address: Option<String>,
}

/// One change, as it is to be written down. Secrets are never part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: DateTime<Utc>,
    pub actor: Actor,
    pub action: Action,
    pub printer_ids: Vec<Uuid>,
    /// What else it was done to: a batch's, a token's, a user's id.
    pub subject: Option<Uuid>,
    pub request_id: Option<String>,
    pub address: Option<String>,
    /// Field by field `[before, after]`; of something new or gone, its fields.
    pub changes: Map<String, Value>,
    /// The key of the request that did it. It is no part of what is written down.
    #[serde(skip)]
    pub key: Option<Arc<KeyUse>>,
}

impl Entry {
    /// Of something that nobody asked for at this moment: what the server does by a rule, or what a printer does.
    pub fn unasked(kind: ActorKind, action: Action, at: DateTime<Utc>) -> Self {
        Self {
            at,
            actor: Actor { kind, id: None, name: kind.as_str().to_owned() },
            action,
            printer_ids: Vec::new(),
            subject: None,
            request_id: None,
            address: None,
            changes: Map::new(),
            key: None,
        }
    }

    /// The path in the API of what was made or changed, where there is one.
    pub fn location(&self) -> Option<String> {
        let (list, id) = match self.action {
            Action::BatchCreated | Action::BatchStopped => ("batches", self.subject?),
            Action::PrinterRegistered | Action::PrinterChanged => ("printers", *self.printer_ids.first()?),
            Action::TokenCreated | Action::TokenRotated => ("tokens", self.subject?),
            Action::UserCreated | Action::UserChanged => ("users", self.subject?),
            Action::WebhookCreated | Action::WebhookChanged | Action::WebhookRotated => ("webhooks", self.subject?),
            Action::PrinterRemoved
            | Action::FileUploaded
            | Action::FileSelected
            | Action::FileDeleted
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

/// A change that was written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 1 without gaps.
    pub seq: i64,
    #[serde(flatten)]
    pub entry: Entry,
}

/// A row of the audit, as it was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Whole(Record),
    /// What stands there cannot be read, or its parts contradict each other: somebody, or the disk, has altered it.
    Damaged {
        seq: i64,
        /// What can still be read.
        at: Option<DateTime<Utc>>,
        action: Option<String>,
    },
}

impl Found {
    /// Its place in the chain.
    pub fn seq(&self) -> i64 {
        match self {
            Self::Whole(record) => record.seq,
            Self::Damaged { seq, .. } => *seq,
        }
    }
}

/// What differs between two states of a thing, field by field `[before, after]`. Both are objects.
pub fn differences(before: &Value, after: &Value) -> Map<String, Value> {
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

/// The fields of something that is new or gone.
pub fn fields(of: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let changes = differences(&json!({"a": 1, "b": 2, "gone": 3}), &json!({"a": 1, "b": 4, "new": null}));
        assert_eq!(Value::Object(changes), json!({"b": [2, 4], "gone": [3, null]}));
    }
}
