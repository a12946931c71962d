//! Events of the feed and of webhooks: facts of the past, in one order.

mod orders;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    audit::{Action, AuditActor, AuditEntry},
    command::{CommandRow, string_enum},
    merged_facts::MergedFacts,
    print::{PrintFact, PrintOrigin, PrintResult},
};

/// Audit fields that contain access data of a printer. Events leave them out.
const SECRET_FIELDS: [&str; 7] =
    ["api_key", "proxy_user", "proxy_password", "header_names", "headers", "ca_certificate", "camera_url"];

string_enum! {
    /// The type of an event. New types may be added: ignore types that you do not know.
    EventType {
        PrinterRegistered = "printer.registered",
        PrinterUpdated = "printer.updated",
        PrinterRemoved = "printer.removed",
        /// The printer replies again.
        PrinterOnline = "printer.online",
        /// The printer does not reply, refuses the API key, or is not an OctoPrint.
        PrinterOffline = "printer.offline",
        /// States that last less than a second are left out.
        PrinterStateChanged = "printer.state_changed",
        /// Prints were reported faster than they could be stored. The oldest were merged into this event.
        PrinterNoisy = "printer.noisy",
        /// The planner starts nothing on the printer until a person has looked at it.
        PrinterAttention = "printer.attention",
        PrinterAttentionCleared = "printer.attention_cleared",
        /// The planner assigns nothing to any printer.
        PlanStopped = "plan.stopped",
        PlanResumed = "plan.resumed",
        PrintStarted = "print.started",
        PrintPaused = "print.paused",
        PrintResumed = "print.resumed",
        /// The printer reports that it prints, but its file position does not change. This is a warning only: no
        /// command was sent.
        PrintStalled = "print.stalled",
        /// The file was printed to its end.
        PrintFinished = "print.finished",
        PrintFailed = "print.failed",
        PrintCancelled = "print.cancelled",
        /// The end of the print was not observed, so its result is unknown.
        PrintUnknown = "print.unknown",
        BatchCreated = "batch.created",
        /// The last command of the batch has ended.
        BatchFinished = "batch.finished",
        /// The command has its final outcome, which does not change.
        CommandFinished = "command.finished",
        /// The effect of a command that ended with an unknown effect was observed later.
        CommandSettled = "command.settled",
        /// A print has ended. It occupies the plate until a person marks the plate as clear.
        PlateClearNeeded = "plate.clear_needed",
        PlateCleared = "plate.cleared",
        /// A file of the library got a new content, or is new.
        FileAdded = "file.added",
        FileRemoved = "file.removed",
        /// A part was created or changed.
        PartUpdated = "part.updated",
        PartRemoved = "part.removed",
        OrderCreated = "order.created",
        /// A client changed the order, or counted parts by hand.
        OrderUpdated = "order.updated",
        /// The first copy of the order is printing.
        OrderStarted = "order.started",
        OrderHeld = "order.held",
        OrderReleased = "order.released",
        OrderCompleted = "order.completed",
        /// A completed order has too few good parts again.
        OrderReopened = "order.reopened",
        OrderCancelled = "order.cancelled",
        OrderShortClosed = "order.short_closed",
        /// The print of a copy began.
        CopyStarted = "copy.started",
        CopyFinished = "copy.finished",
        CopyFailed = "copy.failed",
        CopyCancelled = "copy.cancelled",
        CopyLost = "copy.lost",
        /// The copy was never started.
        CopyReleased = "copy.released",
        CopyJudged = "copy.judged",
    }
}

impl EventType {
    /// Returns whether the event is about a command. Its data is the row of the command log.
    pub fn is_about_command(self) -> bool {
        matches!(self, Self::CommandFinished | Self::CommandSettled)
    }

    /// Returns whether a print began, ended or changed.
    pub fn is_about_print(self) -> bool {
        matches!(
            self,
            Self::PrintStarted
                | Self::PrintPaused
                | Self::PrintResumed
                | Self::PrintStalled
                | Self::PrintFinished
                | Self::PrintFailed
                | Self::PrintCancelled
                | Self::PrintUnknown
        )
    }
}

/// An event that is to be published. The storage adds the printer's name and the batch's reference.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub kind: EventType,
    pub at: DateTime<Utc>,
    pub actor: Option<AuditActor>,
    pub printer_id: Option<Uuid>,
    /// The printer's name, if the printer registry may no longer have it.
    pub printer_name: Option<String>,
    /// The id of the batch, the command, the print or the order.
    pub subject: Option<Uuid>,
    /// The reference of the order. Other events have the reference of their batch.
    pub external_ref: Option<String>,
    /// The batch of the event. It has the reference that the client set.
    pub batch_id: Option<Uuid>,
    /// The command that caused the event, if the batch is not known here.
    pub command_id: Option<Uuid>,
    /// `None` for commands: their data is read from the command log.
    pub data: Option<Map<String, Value>>,
}

/// A published event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Numbered from 1 without gaps.
    pub seq: i64,
    pub id: Uuid,
    pub kind: EventType,
    pub at: DateTime<Utc>,
    pub actor: Option<AuditActor>,
    pub printer_id: Option<Uuid>,
    pub subject: Option<Uuid>,
    /// The client's reference for the batch or the order.
    pub external_ref: Option<String>,
    pub data: Map<String, Value>,
}

/// A position in the feed: after the event with this number. `id_part` identifies that event. After a restore from
/// a backup, other events get the same numbers, so an old cursor can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    pub seq: i64,
    /// Part of the event's id; 0 if the event is not known.
    pub id_part: u64,
}

impl Cursor {
    /// Returns the position after an event.
    pub fn after(seq: i64, event_id: Option<Uuid>) -> Self {
        Self { seq, id_part: event_id.map_or(0, |id| id.as_u64_pair().1) }
    }

    /// Parses the output of [`std::fmt::Display`].
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let number = u128::from_be_bytes(bytes);
        let [seq, id_part] = [number >> 64, number & u128::from(u64::MAX)];
        Some(Self { seq: i64::try_from(seq).ok()?, id_part: u64::try_from(id_part).ok()? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = u128::from(self.seq.unsigned_abs()) << 64 | u128::from(self.id_part);
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(number.to_be_bytes()))
    }
}

impl Event {
    /// Returns the position after this event.
    pub fn cursor(&self) -> Cursor {
        Cursor::after(self.seq, Some(self.id))
    }
}

impl NewEvent {
    /// Returns an event without an actor.
    pub fn new(kind: EventType, at: DateTime<Utc>) -> Self {
        Self {
            kind,
            at,
            actor: None,
            printer_id: None,
            printer_name: None,
            subject: None,
            external_ref: None,
            batch_id: None,
            command_id: None,
            data: None,
        }
    }

    /// Returns an event that a command has ended, or that its effect was observed later.
    pub fn for_command(kind: EventType, at: DateTime<Utc>, command_id: Uuid, batch_id: Uuid, printer_id: Uuid) -> Self {
        let (printer_id, subject, batch_id) = (Some(printer_id), Some(command_id), Some(batch_id));
        Self { printer_id, subject, batch_id, ..Self::new(kind, at) }
    }

    /// Returns the events of an audit entry, one event for each of its printers.
    pub fn from_audit_entry(entry: &AuditEntry) -> Vec<Self> {
        let kind = match entry.action {
            Action::PrinterRegistered => EventType::PrinterRegistered,
            Action::PrinterChanged => EventType::PrinterUpdated,
            Action::PrinterRemoved => EventType::PrinterRemoved,
            Action::AttentionCleared => EventType::PrinterAttentionCleared,
            Action::PlateCleared => EventType::PlateCleared,
            Action::BatchCreated => EventType::BatchCreated,
            Action::BatchFinished => EventType::BatchFinished,
            Action::FileAdded => EventType::FileAdded,
            Action::FileRemoved => EventType::FileRemoved,
            Action::PartSaved => EventType::PartUpdated,
            Action::PartRemoved => EventType::PartRemoved,
            Action::PlanStopped => EventType::PlanStopped,
            Action::PlanResumed => EventType::PlanResumed,
            // [`NewEvent::from_print_fact`] publishes the events of all prints. The other actions are not published.
            Action::PrintStarted
            | Action::PrintPaused
            | Action::PrintResumed
            | Action::PrintEnded
            | Action::BatchStopped
            // [`NewEvent::for_order`] publishes the events of orders and copies.
            | Action::OrderCreated
            | Action::OrderChanged
            | Action::OrderHeld
            | Action::OrderReleased
            | Action::OrderCancelled
            | Action::OrderShortClosed
            | Action::OrderAdjusted
            | Action::CopyJudged
            | Action::CopyLost
            | Action::FileUploaded
            | Action::FileSelected
            | Action::FileDeleted
            | Action::FileChanged
            | Action::TokenCreated
            | Action::TokenRotated
            | Action::TokenRevoked
            | Action::UserCreated
            | Action::UserChanged
            | Action::SessionOpened
            | Action::SessionEnded
            | Action::SecretsRotated
            | Action::WebhookCreated
            | Action::WebhookChanged
            | Action::WebhookRemoved
            | Action::WebhookTested
            | Action::WebhookRotated
            | Action::WebhookRedelivered
            | Action::WebhookDisabled
            | Action::AuditPruned => return Vec::new(),
        };
        let event = Self { actor: Some(entry.actor.clone()), ..Self::new(kind, entry.at) };
        match kind {
            EventType::BatchCreated => {
                let mut data = entry.changes.clone();
                data.insert("total".to_owned(), json!(entry.printer_ids.len()));
                // These fields are for the server only.
                for inner in ["token_id", "root_token_id", "user_id", "named"] {
                    data.remove(inner);
                }
                vec![Self { subject: entry.subject, batch_id: entry.subject, data: Some(data), ..event }]
            }
            EventType::BatchFinished => {
                vec![Self {
                    subject: entry.subject,
                    batch_id: entry.subject,
                    data: Some(entry.changes.clone()),
                    ..event
                }]
            }
            EventType::FileAdded | EventType::FileRemoved => {
                let mut data = entry.changes.clone();
                data.insert("file_id".to_owned(), json!(entry.subject));
                vec![Self { subject: entry.subject, data: Some(data), ..event }]
            }
            EventType::PartUpdated | EventType::PartRemoved | EventType::PlanStopped | EventType::PlanResumed => {
                vec![Self { data: Some(entry.changes.clone()), ..event }]
            }
            _ => {
                let mut data = match kind {
                    EventType::PrinterUpdated => Map::from_iter([("changes".to_owned(), json!(entry.changes))]),
                    _ => entry.changes.clone(),
                };
                // Access data of the printer is for the audit log only.
                data.retain(|name, _| !SECRET_FIELDS.contains(&name.as_str()));
                let name = entry.changes.get("name").and_then(Value::as_str).map(str::to_owned);
                let for_printer = |id: &Uuid| Self {
                    printer_id: Some(*id),
                    printer_name: name.clone(),
                    data: Some(data.clone()),
                    ..event.clone()
                };
                entry.printer_ids.iter().map(for_printer).collect()
            }
        }
    }

    /// Returns an event that facts about prints of a printer were merged.
    pub fn from_merged_facts(printer_id: Uuid, merged: &MergedFacts) -> Self {
        let MergedFacts { prints, changes, from, until } = *merged;
        let data = json!({"prints": prints, "changes": changes, "from": from, "until": until});
        let data = data.as_object().cloned();
        Self { printer_id: Some(printer_id), data, ..Self::new(EventType::PrinterNoisy, until) }
    }

    /// Returns the events of a print. `origin` is the command that started the print. The events name its batch even if
    /// another actor changed the print later.
    pub fn from_print_fact(printer_id: Uuid, fact: &PrintFact, origin: &PrintOrigin, now: DateTime<Utc>) -> Vec<Self> {
        let (kind, at, by, data) = match fact {
            PrintFact::Began { file, at, by, .. } => (EventType::PrintStarted, *at, Some(by), json!({"file": file})),
            PrintFact::Paused { by, .. } => (EventType::PrintPaused, now, Some(by), json!({})),
            PrintFact::PauseCredited { .. } => return Vec::new(),
            PrintFact::Resumed { by, .. } => (EventType::PrintResumed, now, Some(by), json!({})),
            PrintFact::Stalled { since, .. } => (EventType::PrintStalled, now, None, json!({"stalled_since": since})),
            PrintFact::Ended { at, result, reason, by, .. } => {
                let kind = match result {
                    PrintResult::Done => EventType::PrintFinished,
                    PrintResult::Failed => EventType::PrintFailed,
                    PrintResult::Cancelled => EventType::PrintCancelled,
                    PrintResult::Unknown => EventType::PrintUnknown,
                };
                (kind, *at, Some(by), json!({"result": result, "reason": reason}))
            }
        };
        let mut data = data.as_object().cloned().unwrap_or_default();
        data.insert("print_id".to_owned(), json!(fact.id()));
        data.insert("command_id".to_owned(), json!(origin.command_id));
        data.insert("batch_id".to_owned(), json!(origin.batch_id));
        data.insert("external_ref".to_owned(), json!(origin.external_ref));
        if let Some(by) = by {
            data.insert("by".to_owned(), json!(by));
        }
        let event = Self {
            printer_id: Some(printer_id),
            subject: Some(fact.id()),
            batch_id: origin.batch_id,
            data: Some(data),
            ..Self::new(kind, at)
        };
        let mut events = vec![event];
        if matches!(fact, PrintFact::Ended { .. }) {
            let data = Map::from_iter([("print_id".to_owned(), json!(fact.id()))]);
            events.push(Self { kind: EventType::PlateClearNeeded, data: Some(data), ..events[0].clone() });
        }
        events
    }
}

/// Returns the event data of a command: its current row.
pub fn command_event_data(row: &CommandRow) -> Map<String, Value> {
    let latency = row.sent_at.zip(row.accepted_at).map(|(sent, accepted)| (accepted - sent).num_milliseconds());
    let data = json!({
        "command_id": row.id, "batch_id": row.batch_id, "printer_id": row.printer_id, "printer_name": row.printer_name,
        "command": row.command, "resolved_command": row.resolved_command, "outcome": row.outcome,
        "final": row.outcome.is_final(), "effect": row.outcome.effect(), "reason": row.reason, "detail": row.explanation(),
        "print_id": row.print_id, "state_before": row.state_before, "state_after": row.state_after,
        "attempts": row.attempts, "sent_at": row.sent_at, "accepted_at": row.accepted_at,
        "finished_at": row.finished_at, "latency_ms": latency, "settled": row.settled,
    });
    data.as_object().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_parses_back_and_other_texts_are_refused() {
        for cursor in [Cursor::default(), Cursor { seq: 1, id_part: u64::MAX }, Cursor { seq: i64::MAX, id_part: 7 }] {
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
        for text in ["", "now", "AAAA", "_____________________w", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
