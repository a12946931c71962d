//! Sentences for audit entries: who did what to what.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use super::{
    labels,
    messages::{t, t_with},
};
use crate::domain::{
    audit::{Action, Actor, ActorKind, Entry},
    command::Command,
};

/// Number of printers that one row names.
const NAMED: usize = 40;

/// Current names by id.
pub(super) struct Names {
    pub printers: HashMap<Uuid, String>,
    pub users: HashMap<Uuid, String>,
}

/// Returns the label of an action in the filter.
pub(super) fn label(action: Action) -> &'static str {
    t(match action {
        Action::PrinterRegistered => "audit-printer-added",
        Action::PrinterChanged => "audit-printer-changed",
        Action::PrinterRemoved => "audit-printer-removed",
        Action::FileUploaded => "audit-file-uploaded",
        Action::FileSelected => "audit-file-selected",
        Action::FileDeleted => "audit-file-deleted",
        Action::PlateCleared => "audit-plate-cleared",
        Action::BatchCreated => "audit-command-given",
        Action::BatchStopped => "audit-batch-stopped",
        Action::BatchFinished => "audit-batch-ended",
        Action::PrintStarted => "audit-print-begun-printer",
        Action::PrintPaused => "audit-print-paused-printer",
        Action::PrintResumed => "audit-print-resumed-printer",
        Action::PrintEnded => "audit-print-broken-off-printer",
        Action::TokenCreated => "audit-token-made",
        Action::TokenRotated => "audit-token-replaced",
        Action::TokenRevoked => "audit-token-revoked",
        Action::UserCreated => "audit-person-added",
        Action::UserChanged => "audit-person-changed",
        Action::SessionOpened => "audit-login",
        Action::SessionEnded => "audit-logout",
        Action::SecretsRotated => "audit-key-changed",
        Action::WebhookCreated => "audit-webhook-added",
        Action::WebhookChanged => "audit-webhook-changed",
        Action::WebhookRemoved => "audit-webhook-removed",
        Action::WebhookTested => "audit-webhook-tested",
        Action::WebhookRotated => "audit-webhooks-secret-changed",
        Action::WebhookRedelivered => "audit-sent-webhook-again",
        Action::WebhookDisabled => "audit-webhook-switched-off",
        Action::AuditPruned => "audit-audit-entries-removed",
    })
}

/// Returns the actor's name. Adds the kind of actor if it is not a user who logged in.
pub(super) fn who(actor: &Actor) -> (String, &'static str) {
    let own = |kind| (actor.name.clone(), kind);
    match actor.kind {
        ActorKind::User => own(""),
        ActorKind::Token => own(t("audit-token")),
        ActorKind::AdminToken => own(t("audit-servers-own-token")),
        ActorKind::Terminal => (t("audit-unknown-person").to_owned(), t("audit-servers-terminal")),
        ActorKind::Scheduler => (t("audit-server").to_owned(), ""),
        ActorKind::Printer => (t("audit-printer").to_owned(), t("audit-or-person-at-printer")),
        ActorKind::Setup => (t("audit-unknown-person").to_owned(), t("audit-link-set-up")),
    }
}

/// Returns the action as a phrase to follow the name.
pub(super) fn sentence(entry: &Entry, names: &Names) -> String {
    let printers = printers(entry, names);
    let value_of = |field: &str| entry.changes.get(field).map(plain).unwrap_or_default();
    match entry.action {
        Action::PrinterRegistered => t_with("audit-added-2", &[("printers", &printers)]),
        Action::PrinterChanged => t_with("audit-changed", &[("printers", &printers)]),
        Action::PrinterRemoved => t_with("audit-removed", &[("printers", &printers)]),
        Action::FileUploaded => t_with("audit-sent-file", &[("path", &value_of("path")), ("printers", &printers)]),
        Action::FileSelected => t_with("audit-selected-file", &[("path", &value_of("path")), ("printers", &printers)]),
        Action::FileDeleted => t_with("audit-deleted-file", &[("path", &value_of("path")), ("printers", &printers)]),
        Action::PlateCleared => t_with("audit-marked-plate-clear", &[("printers", &printers)]),
        Action::BatchCreated => {
            let command = Command::parse(&value_of("command"));
            match (command, entry.printer_ids.len()) {
                (Some(command), 1) => {
                    t_with("audit-gave-command-2", &[("verb", &labels::verb(command)), ("printers", &printers)])
                }
                (Some(command), n) => t_with("audit-gave-command-3", &[("what", &labels::verb_for(command, n))]),
                (None, _) => t_with("audit-gave-command", &[("printers", &printers)]),
            }
        }
        Action::BatchStopped if entry.actor.kind == ActorKind::Scheduler => {
            t("audit-stopped-batch-after-failure").to_owned()
        }
        Action::BatchStopped => t("audit-stopped-batch").to_owned(),
        Action::BatchFinished => match value_of("result").as_str() {
            "ok" => t("audit-saw-batch-end-all").to_owned(),
            "failed" => t_with("audit-saw-batch-end-nothing", &[("printers", &printers)]),
            "uncertain" => t_with("audit-saw-batch-end-not", &[("printers", &printers)]),
            _ => t_with("audit-saw-batch-end-not-done", &[("printers", &printers)]),
        },
        Action::PrintStarted => t_with("audit-began-print", &[("file", &of_file(entry)), ("printers", &printers)]),
        Action::PrintPaused => t_with("audit-paused", &[("prints", &prints(entry)), ("printers", &printers)]),
        Action::PrintResumed => t_with("audit-resumed", &[("prints", &prints(entry)), ("printers", &printers)]),
        Action::PrintEnded => t_with("audit-broke-off", &[("prints", &prints(entry)), ("printers", &printers)]),
        Action::TokenCreated => t_with("audit-made-token", &[("name", &value_of("name"))]),
        Action::TokenRotated => t("audit-put-another-token-place").to_owned(),
        Action::TokenRevoked => t("audit-revoked-token").to_owned(),
        Action::UserCreated => t_with("audit-added", &[("name", &value_of("name")), ("role", &value_of("role"))]),
        Action::UserChanged => {
            let user = entry.subject.and_then(|id| names.users.get(&id));
            let own = entry.subject.is_some() && entry.subject == entry.actor.id;
            match user {
                _ if own && entry.changes.contains_key("password") => t("audit-changed-their-own-password").to_owned(),
                Some(name) => t_with("audit-changed-account-2", &[("name", &name)]),
                None => t("audit-changed-account").to_owned(),
            }
        }
        Action::SessionOpened => t("audit-logged").to_owned(),
        Action::SessionEnded => t("audit-logged-out-ended-login").to_owned(),
        Action::SecretsRotated => t("audit-changed-key-seals-printers").to_owned(),
        Action::WebhookCreated => t_with("audit-added-webhook", &[("url", &value_of("url"))]),
        Action::WebhookChanged => t("audit-changed-webhook").to_owned(),
        Action::WebhookRemoved => t_with("audit-removed-webhook", &[("url", &value_of("url"))]),
        Action::WebhookTested => t_with("audit-tested-webhook", &[("url", &value_of("url"))]),
        Action::WebhookRotated => t_with("audit-changed-secret-webhook", &[("url", &value_of("url"))]),
        Action::WebhookRedelivered => t_with("audit-sent-event-webhook-again", &[("url", &value_of("url"))]),
        Action::WebhookDisabled => t_with("audit-switched-webhook-off", &[("url", &value_of("url"))]),
        Action::AuditPruned => {
            let (first, last) = (value_of("first_seq"), value_of("last_seq"));
            t_with("audit-removed-old-audit-entries", &[("first", &first), ("last", &last)])
        }
    }
}

/// Names a single printer, and counts several.
fn printers(entry: &Entry, names: &Names) -> String {
    match entry.printer_ids.as_slice() {
        [] => t("audit-no-printer").to_owned(),
        [id] => match names.printers.get(id) {
            Some(name) => name.clone(),
            // For a removed printer, its last entry has the name.
            None => {
                entry.changes.get("name").and_then(Value::as_str).unwrap_or(t("audit-printer-removed-2")).to_owned()
            }
        },
        many => t_with("word-printer-2", &[("n", &many.len())]),
    }
}

fn prints(entry: &Entry) -> String {
    match entry.changes.get("prints").and_then(Value::as_array).map_or(0, Vec::len) {
        0 | 1 => t("audit-print").to_owned(),
        n => t_with("audit-print-3", &[("n", &n)]),
    }
}

fn of_file(entry: &Entry) -> String {
    let prints = entry.changes.get("prints").and_then(Value::as_array);
    let only = prints.filter(|prints| prints.len() == 1).and_then(|prints| prints[0]["file"].as_str());
    only.map(|file| format!("{file} ")).unwrap_or_default()
}

/// Returns all other known details as name and value. The page shows them folded.
pub(super) fn details(entry: &Entry, names: &Names) -> Vec<(String, String)> {
    let changed = matches!(entry.action, Action::PrinterChanged | Action::UserChanged | Action::WebhookChanged);
    let called = |id: &Uuid| names.printers.get(id).cloned().unwrap_or_else(|| id.to_string());
    let mut details = Vec::new();
    for (name, value) in &entry.changes {
        let name = field(name);
        match value.as_array().map(Vec::as_slice) {
            Some([before, after]) if changed => details.push((name, format!("{} → {}", plain(before), plain(after)))),
            Some(list) if name == "prints" => {
                for print in list.iter().take(NAMED) {
                    let printer = print["printer_id"].as_str().and_then(|id| id.parse().ok());
                    let parts: Vec<String> =
                        ["file", "result", "reason"].iter().filter_map(|field| print.get(*field).map(plain)).collect();
                    details.push((
                        printer.map_or_else(|| t("audit-print-2").to_owned(), |id| called(&id)),
                        parts.join(", "),
                    ));
                }
            }
            // Empty values of something new are not shown.
            _ if value.is_null() || value == "" => {}
            _ => details.push((name, plain(value))),
        }
    }
    if entry.printer_ids.len() > 1 && !entry.changes.contains_key("prints") {
        let mut list: Vec<String> = entry.printer_ids.iter().take(NAMED).map(called).collect();
        if entry.printer_ids.len() > NAMED {
            list.push(t_with("word-more", &[("n", &(entry.printer_ids.len() - NAMED))]));
        }
        details.push((t("audit-printers").to_owned(), list.join(", ")));
    }
    if let Some(id) = &entry.request_id {
        details.push((t("audit-request").to_owned(), id.clone()));
    }
    details.retain(|(_, value)| !value.is_empty());
    details
}

/// Returns the label of a field. A rare field keeps its name in the API.
fn field(name: &str) -> String {
    let word = match name {
        "name" => t("audit-field-name"),
        "url" => t("audit-address"),
        "tags" => t("audit-field-tags"),
        "tags_added" => t("audit-tags-put"),
        "tags_removed" => t("audit-tags-taken-off"),
        "enabled" => t("audit-use"),
        "model" => t("audit-field-model"),
        "material" => t("audit-field-material"),
        "color" => t("audit-field-color"),
        "nozzle_mm" => t("audit-nozzle-mm"),
        "bed_mm" => t("audit-bed-mm"),
        "power_group" => t("audit-electrical-circuit"),
        "notes" => t("audit-field-notes"),
        "api_key" => t("printer-api-key"),
        "command" => t("audit-command"),
        "reason" => t("audit-field-reason"),
        "external_ref" => t("audit-reference"),
        "state" => t("audit-state"),
        "result" => t("audit-result"),
        "counts" => t("audit-outcomes"),
        "role" => t("audit-field-role"),
        "expires_at" => t("audit-expires"),
        "password" => t("audit-field-password"),
        "path" => t("audit-field-path"),
        "types" => t("audit-types"),
        "description" => t("audit-description"),
        other => return other.replace('_', " "),
    };
    word.to_owned()
}

/// Formats a value for people.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => t("audit-nothing").to_owned(),
        Value::String(text) if text.is_empty() => t("audit-nothing").to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => t("audit-yes").to_owned(),
        Value::Bool(false) => t("audit-no").to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(list) if list.is_empty() => t("script-none").to_owned(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    fn entry(kind: ActorKind, action: Action, printers: &[u128], changes: Value) -> Entry {
        Entry {
            printer_ids: printers.iter().copied().map(Uuid::from_u128).collect(),
            changes: crate::domain::audit::fields(&changes),
            ..Entry::unasked(kind, action, DateTime::UNIX_EPOCH)
        }
    }

    #[test]
    fn a_row_reads_as_a_sentence_and_tells_before_and_after() {
        let names = Names { printers: [(Uuid::from_u128(1), "MK4-001".to_owned())].into(), users: HashMap::new() };
        let say =
            |action, printers: &[u128], changes| sentence(&entry(ActorKind::User, action, printers, changes), &names);
        assert_eq!(
            say(Action::BatchCreated, &[1], json!({"command": "cancel"})),
            "gave a command: Cancel print, on MK4-001"
        );
        assert_eq!(say(Action::BatchCreated, &[1, 2], json!({"command": "pause"})), "gave a command: Pause 2 printers");
        assert_eq!(say(Action::PrinterRemoved, &[9], json!({"name": "old"})), "removed old");
        assert_eq!(
            say(Action::PrintStarted, &[1], json!({"prints": [{"file": "a.gcode"}]})),
            "began to print a.gcode on MK4-001"
        );
        for action in Action::ALL {
            assert!(!say(*action, &[], json!({})).is_empty() && !label(*action).is_empty());
        }
        let changed =
            entry(ActorKind::User, Action::PrinterChanged, &[1], json!({"notes": ["", "belt"], "tags": [["a"], []]}));
        let shown = details(&changed, &names);
        assert_eq!(shown, [("notes".into(), "nothing → belt".into()), ("tags".into(), "a → none".into())]);
        let made = entry(ActorKind::User, Action::TokenCreated, &[], json!({"tags": ["a", "b"]}));
        assert_eq!(details(&made, &names), [("tags".into(), "a, b".into())], "two tags are no before and after");
    }
}
