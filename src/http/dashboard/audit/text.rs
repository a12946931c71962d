//! Sentences for audit entries: who did what to what.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        access::Role,
        audit::{Action, ActorKind, AuditActor, AuditEntry},
        command::Command,
        printer_profile::ProfileField,
        production::ServiceState,
    },
    http::dashboard::{
        labels,
        messages::{t, t_with},
        printers::profile_text,
    },
};

/// Number of printers that one row names.
const MAX_NAMES: usize = 40;

/// Current names by id.
pub(in crate::http::dashboard) struct AuditNames {
    pub printers: HashMap<Uuid, String>,
    pub users: HashMap<Uuid, String>,
}

/// Returns the actor's name. Adds the kind of actor if it is not a user who logged in.
pub(in crate::http::dashboard) fn actor_label(actor: &AuditActor) -> (String, &'static str) {
    let with_kind = |kind| (actor.name.clone(), kind);
    match actor.kind {
        ActorKind::User => with_kind(""),
        ActorKind::Token => with_kind(t("audit-actor-token")),
        ActorKind::AdminToken => with_kind(t("audit-actor-server-token")),
        ActorKind::Terminal => (t("audit-actor-unknown").to_owned(), t("audit-actor-terminal")),
        ActorKind::Scheduler => (t("audit-actor-server").to_owned(), ""),
        ActorKind::Planner => (t("audit-actor-planner").to_owned(), ""),
        ActorKind::Printer => (t("audit-actor-printer").to_owned(), t("audit-actor-at-printer")),
        ActorKind::Setup => (t("audit-actor-unknown").to_owned(), t("audit-actor-setup")),
    }
}

/// Returns the action as a phrase to follow the name.
pub(in crate::http::dashboard) fn describe_entry(entry: &AuditEntry, names: &AuditNames) -> String {
    let printers = describe_printers(entry, names);
    let value_of = |field: &str| entry.changes.get(field).map(format_value).unwrap_or_default();
    match entry.action {
        Action::PrinterRegistered => t_with("audit-entry-printer-added", &[("printers", &printers)]),
        Action::PrinterChanged => t_with(printer_change_id(entry), &[("printers", &printers)]),
        Action::PrinterRemoved => t_with("audit-entry-printer-removed", &[("printers", &printers)]),
        Action::AttentionCleared => t_with("audit-entry-attention-cleared", &[("printers", &printers)]),
        Action::PlanStopped => t("audit-entry-plan-stopped").to_owned(),
        Action::PlanResumed => t("audit-entry-plan-resumed").to_owned(),
        Action::FileUploaded => {
            t_with("audit-entry-file-uploaded", &[("path", &value_of("path")), ("printers", &printers)])
        }
        Action::FileSelected => {
            t_with("audit-entry-file-selected", &[("path", &value_of("path")), ("printers", &printers)])
        }
        Action::FileDeleted => {
            t_with("audit-entry-file-deleted", &[("path", &value_of("path")), ("printers", &printers)])
        }
        Action::FileAdded => t_with("audit-entry-file-added", &[("name", &value_of("name"))]),
        Action::FileChanged => t("audit-entry-file-changed").to_owned(),
        Action::FileRemoved => t_with("audit-entry-file-removed", &[("name", &value_of("name"))]),
        Action::PartSaved => t_with("audit-entry-part-saved", &[("part", &value_of("number"))]),
        Action::PartRemoved => t_with("audit-entry-part-removed", &[("part", &value_of("number"))]),
        Action::OrderCreated => t_with("audit-entry-order-created", &[("order", &value_of("order"))]),
        Action::OrderChanged => t_with("audit-entry-order-changed", &[("order", &value_of("order"))]),
        Action::OrderHeld => t_with("audit-entry-order-held", &[("order", &value_of("order"))]),
        Action::OrderReleased => t_with("audit-entry-order-released", &[("order", &value_of("order"))]),
        Action::OrderCancelled => t_with("audit-entry-order-cancelled", &[("order", &value_of("order"))]),
        Action::OrderShortClosed => t_with("audit-entry-order-short-closed", &[("order", &value_of("order"))]),
        Action::OrderAdjusted => t_with("audit-entry-order-adjusted", &[("order", &value_of("order"))]),
        Action::CopyJudged => t_with("audit-entry-copy-judged", &[("order", &value_of("order"))]),
        Action::CopyLost => t_with("audit-entry-copy-lost", &[("order", &value_of("order"))]),
        Action::PlateCleared => t_with("audit-entry-plate-cleared", &[("printers", &printers)]),
        Action::BatchCreated => {
            let id = Command::parse(&value_of("command")).map_or("audit-entry-command", command_entry_id);
            t_with(id, &[("printers", &printers)])
        }
        Action::BatchStopped if entry.actor.kind == ActorKind::Scheduler => {
            t("audit-entry-batch-stopped-by-failure").to_owned()
        }
        Action::BatchStopped => t("audit-entry-batch-stopped").to_owned(),
        Action::BatchFinished => match value_of("result").as_str() {
            "ok" => t("audit-entry-batch-finished-ok").to_owned(),
            "failed" => t_with("audit-entry-batch-finished-failed", &[("printers", &printers)]),
            "uncertain" => t_with("audit-entry-batch-finished-uncertain", &[("printers", &printers)]),
            _ => t_with("audit-entry-batch-finished-partial", &[("printers", &printers)]),
        },
        Action::PrintStarted => {
            t_with("audit-entry-print-started", &[("file", &file_prefix(entry)), ("printers", &printers)])
        }
        Action::PrintPaused => {
            t_with("audit-entry-print-paused", &[("prints", &describe_prints(entry)), ("printers", &printers)])
        }
        Action::PrintResumed => {
            t_with("audit-entry-print-resumed", &[("prints", &describe_prints(entry)), ("printers", &printers)])
        }
        Action::PrintEnded => {
            t_with("audit-entry-print-ended", &[("prints", &describe_prints(entry)), ("printers", &printers)])
        }
        Action::TokenCreated => t_with("audit-entry-token-created", &[("name", &value_of("name"))]),
        Action::TokenRotated => t("audit-entry-token-replaced").to_owned(),
        Action::TokenRevoked => t("audit-entry-token-revoked").to_owned(),
        Action::UserCreated => {
            let role = value_of("role");
            let role = Role::parse(&role).map_or(role, |role| labels::role_label(role).to_owned());
            t_with("audit-entry-user-added", &[("name", &value_of("name")), ("role", &role)])
        }
        Action::UserChanged => {
            let user = entry.subject.and_then(|id| names.users.get(&id));
            let is_own_account = entry.subject.is_some() && entry.subject == entry.actor.id;
            match user {
                _ if is_own_account && entry.changes.contains_key("password") => {
                    t("audit-entry-own-password-changed").to_owned()
                }
                Some(name) => t_with("audit-entry-user-changed", &[("name", &name)]),
                None => t("audit-entry-unknown-user-changed").to_owned(),
            }
        }
        Action::SessionOpened => t("audit-entry-login").to_owned(),
        Action::SessionEnded => t("audit-entry-logout").to_owned(),
        Action::SecretsRotated => t("audit-entry-secret-key-changed").to_owned(),
        Action::WebhookCreated => t_with("audit-entry-webhook-added", &[("url", &value_of("url"))]),
        Action::WebhookChanged => t("audit-entry-webhook-changed").to_owned(),
        Action::WebhookRemoved => t_with("audit-entry-webhook-removed", &[("url", &value_of("url"))]),
        Action::WebhookTested => t_with("audit-entry-webhook-tested", &[("url", &value_of("url"))]),
        Action::WebhookRotated => t_with("audit-entry-webhook-secret-changed", &[("url", &value_of("url"))]),
        Action::WebhookRedelivered => t_with("audit-entry-webhook-redelivered", &[("url", &value_of("url"))]),
        Action::WebhookDisabled => t_with("audit-entry-webhook-disabled", &[("url", &value_of("url"))]),
        Action::AuditPruned => {
            let (first, last) = (value_of("first_seq"), value_of("last_seq"));
            t_with("audit-entry-entries-removed", &[("first", &first), ("last", &last)])
        }
    }
}

/// Returns the message id of the phrase for a changed printer.
fn printer_change_id(entry: &AuditEntry) -> &'static str {
    let production = entry.changes.get("production").filter(|_| entry.changes.len() == 1);
    match production.map(|states| (states[0]["auto"].as_bool(), states[1]["auto"].as_bool())) {
        Some((Some(false), Some(true))) => return "audit-entry-printer-opted-in",
        Some((Some(true), Some(false))) => return "audit-entry-printer-opted-out",
        _ => {}
    }
    let service = production.map(|states| {
        let [before, after] = [0, 1].map(|at| ServiceState::parse(states[at]["service"].as_str().unwrap_or_default()));
        after.filter(|_| before != after)
    });
    match service.flatten() {
        Some(ServiceState::InService) => "audit-entry-printer-returned",
        Some(ServiceState::Draining) => "audit-entry-printer-drained",
        Some(ServiceState::OutOfService) => "audit-entry-printer-taken-out",
        None => "audit-entry-printer-changed",
    }
}

/// Formats a service state with its reason and its expected end.
fn format_production(value: &Value) -> String {
    let service = ServiceState::parse(value["service"].as_str().unwrap_or_default());
    let auto = value["auto"].as_bool().filter(|auto| *auto).map(|_| t("production-on"));
    let parts = [service.map(labels::service_label), auto, value["note"].as_str(), value["until"].as_str()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the message id of the phrase for a command.
fn command_entry_id(command: Command) -> &'static str {
    match command {
        Command::Start => "audit-entry-start",
        Command::Pause => "audit-entry-pause",
        Command::Resume => "audit-entry-resume",
        Command::Toggle => "audit-entry-toggle",
        Command::Cancel => "audit-entry-cancel",
        Command::Restart => "audit-entry-restart",
        Command::Connect => "audit-entry-connect",
        Command::Disconnect => "audit-entry-disconnect",
        Command::EmergencyStop => "audit-entry-emergency-stop",
    }
}

/// Names a single printer, and counts several.
fn describe_printers(entry: &AuditEntry, names: &AuditNames) -> String {
    match entry.printer_ids.as_slice() {
        [] => t("audit-value-no-printer").to_owned(),
        [id] => match names.printers.get(id) {
            Some(name) => name.clone(),
            // For a removed printer, its last entry has the name.
            None => {
                entry.changes.get("name").and_then(Value::as_str).unwrap_or(t("audit-value-removed-printer")).to_owned()
            }
        },
        many => t_with("word-printer-count", &[("n", &many.len())]),
    }
}

fn describe_prints(entry: &AuditEntry) -> String {
    match entry.changes.get("prints").and_then(Value::as_array).map_or(0, Vec::len) {
        0 | 1 => t("audit-value-print").to_owned(),
        n => t_with("audit-value-prints", &[("n", &n)]),
    }
}

fn file_prefix(entry: &AuditEntry) -> String {
    let prints = entry.changes.get("prints").and_then(Value::as_array);
    let only = prints.filter(|prints| prints.len() == 1).and_then(|prints| prints[0]["file"].as_str());
    only.map(|file| format!("{file} ")).unwrap_or_default()
}

/// Returns all other known details as name and value. The page shows them folded.
pub(in crate::http::dashboard) fn list_details(entry: &AuditEntry, names: &AuditNames) -> Vec<(String, String)> {
    let is_change = matches!(entry.action, Action::PrinterChanged | Action::UserChanged | Action::WebhookChanged);
    let printer_name = |id: &Uuid| names.printers.get(id).cloned().unwrap_or_else(|| id.to_string());
    let mut details = Vec::new();
    for (name, value) in &entry.changes {
        let is_production = name == "production";
        let name = field_label(name);
        match value.as_array().map(Vec::as_slice) {
            Some([before, after]) if is_production => {
                details.push((name, format!("{} → {}", format_production(before), format_production(after))));
            }
            None if is_production => details.push((name, format_production(value))),
            Some([before, after]) if is_change => {
                details.push((name, format!("{} → {}", format_value(before), format_value(after))))
            }
            Some(list) if name == "prints" => {
                for print in list.iter().take(MAX_NAMES) {
                    let printer = print["printer_id"].as_str().and_then(|id| id.parse().ok());
                    let parts: Vec<String> = ["file", "result", "reason"]
                        .iter()
                        .filter_map(|field| print.get(*field).map(format_value))
                        .collect();
                    details.push((
                        printer.map_or_else(|| t("audit-field-print").to_owned(), |id| printer_name(&id)),
                        parts.join(", "),
                    ));
                }
            }
            // Empty values of something new are not shown.
            _ if value.is_null() || value == "" => {}
            _ => details.push((name, format_value(value))),
        }
    }
    if entry.printer_ids.len() > 1 && !entry.changes.contains_key("prints") {
        let mut list: Vec<String> = entry.printer_ids.iter().take(MAX_NAMES).map(printer_name).collect();
        if entry.printer_ids.len() > MAX_NAMES {
            list.push(t_with("word-more", &[("n", &(entry.printer_ids.len() - MAX_NAMES))]));
        }
        details.push((t("audit-field-printers").to_owned(), list.join(", ")));
    }
    if let Some(id) = &entry.request_id {
        details.push((t("audit-field-request").to_owned(), id.clone()));
    }
    details.retain(|(_, value)| !value.is_empty());
    details
}

/// Returns the label of a field. A rare field keeps its name in the API.
fn field_label(name: &str) -> String {
    let word = match name {
        "name" => t("audit-field-name"),
        "url" => t("audit-field-address"),
        "tags" => t("audit-field-tags"),
        "tags_added" => t("audit-field-tags-added"),
        "tags_removed" => t("audit-field-tags-removed"),
        "enabled" => t("audit-field-enabled"),
        "production" => t("maintenance-title"),
        "api_key" => t("printer-api-key"),
        "command" => t("audit-field-command"),
        "reason" => t("audit-field-reason"),
        "external_ref" => t("audit-field-reference"),
        "state" => t("audit-field-state"),
        "result" => t("audit-field-result"),
        "counts" => t("audit-field-outcomes"),
        "role" => t("audit-field-role"),
        "expires_at" => t("audit-field-expires"),
        "password" => t("audit-field-password"),
        "path" => t("audit-field-path"),
        "types" => t("audit-field-types"),
        "description" => t("audit-field-description"),
        other => {
            return ProfileField::find(other).map_or_else(|| other.replace('_', " "), profile_text::inline_label);
        }
    };
    word.to_owned()
}

/// Formats a value for people.
fn format_value(value: &Value) -> String {
    match value {
        Value::Null => t("audit-value-empty").to_owned(),
        Value::String(text) if text.is_empty() => t("audit-value-empty").to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => t("audit-value-yes").to_owned(),
        Value::Bool(false) => t("audit-value-no").to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(list) if list.is_empty() => t("script-none").to_owned(),
        Value::Array(list) => list.iter().map(format_value).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), format_value(value)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use crate::http::dashboard::audit::text::*;

    fn entry(kind: ActorKind, action: Action, printers: &[u128], changes: Value) -> AuditEntry {
        AuditEntry {
            printer_ids: printers.iter().copied().map(Uuid::from_u128).collect(),
            changes: crate::domain::audit::object_fields(&changes),
            ..AuditEntry::without_request(kind, action, DateTime::UNIX_EPOCH)
        }
    }

    #[test]
    fn an_entry_becomes_a_sentence_with_values_before_and_after() {
        let names = AuditNames { printers: [(Uuid::from_u128(1), "MK4-001".to_owned())].into(), users: HashMap::new() };
        let describe = |action, printers: &[u128], changes| {
            describe_entry(&entry(ActorKind::User, action, printers, changes), &names)
        };
        assert_eq!(
            describe(Action::BatchCreated, &[1], json!({"command": "cancel"})),
            "cancelled the print on MK4-001"
        );
        assert_eq!(describe(Action::BatchCreated, &[1, 2], json!({"command": "pause"})), "paused 2 printers");
        assert_eq!(describe(Action::PrinterRemoved, &[9], json!({"name": "old"})), "removed old");
        assert_eq!(
            describe(Action::PrintStarted, &[1], json!({"prints": [{"file": "a.gcode"}]})),
            "started printing a.gcode on MK4-001"
        );
        for action in Action::ALL {
            assert!(
                !describe(*action, &[], json!({})).is_empty()
                    && !crate::http::dashboard::audit::action_labels::action_label(*action).is_empty()
            );
        }
        let changed =
            entry(ActorKind::User, Action::PrinterChanged, &[1], json!({"notes": ["", "belt"], "tags": [["a"], []]}));
        let shown = list_details(&changed, &names);
        assert_eq!(shown, [("notes".into(), "empty → belt".into()), ("tags".into(), "a → none".into())]);
        let created = entry(ActorKind::User, Action::TokenCreated, &[], json!({"tags": ["a", "b"]}));
        assert_eq!(
            list_details(&created, &names),
            [("tags".into(), "a, b".into())],
            "two tags are no before and after"
        );
    }
}
