//! Sentences for audit entries: who did what to what.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use super::{
    language::{counted, fill, t},
    words,
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
        Action::PrinterRegistered => "Printer added",
        Action::PrinterChanged => "Printer changed",
        Action::PrinterRemoved => "Printer removed",
        Action::FileUploaded => "File uploaded",
        Action::FileSelected => "File selected",
        Action::FileDeleted => "File deleted",
        Action::PlateCleared => "Plate cleared",
        Action::BatchCreated => "Command given",
        Action::BatchStopped => "Batch stopped",
        Action::BatchFinished => "Batch ended",
        Action::PrintStarted => "Print begun at a printer",
        Action::PrintPaused => "Print paused at a printer",
        Action::PrintResumed => "Print resumed at a printer",
        Action::PrintEnded => "Print broken off at a printer",
        Action::TokenCreated => "Token made",
        Action::TokenRotated => "Token replaced",
        Action::TokenRevoked => "Token revoked",
        Action::UserCreated => "Person added",
        Action::UserChanged => "Person changed",
        Action::SessionOpened => "Login",
        Action::SessionEnded => "Logout",
        Action::SecretsRotated => "Key changed",
        Action::WebhookCreated => "Webhook added",
        Action::WebhookChanged => "Webhook changed",
        Action::WebhookRemoved => "Webhook removed",
        Action::WebhookTested => "Webhook tested",
        Action::WebhookRotated => "Webhook's secret changed",
        Action::WebhookRedelivered => "Sent to a webhook again",
        Action::WebhookDisabled => "Webhook switched off",
        Action::AuditPruned => "Audit entries removed",
    })
}

/// Returns the actor's name. Adds the kind of actor if it is not a user who logged in.
pub(super) fn who(actor: &Actor) -> (String, &'static str) {
    let own = |kind| (actor.name.clone(), kind);
    match actor.kind {
        ActorKind::User => own(""),
        ActorKind::Token => own(t("token")),
        ActorKind::AdminToken => own(t("the server's own token")),
        ActorKind::Terminal => (t("Somebody").to_owned(), t("at the server's terminal")),
        ActorKind::Scheduler => (t("The server").to_owned(), ""),
        ActorKind::Printer => (t("The printer").to_owned(), t("or somebody at it")),
        ActorKind::Setup => (t("Somebody").to_owned(), t("with the link of the set-up")),
    }
}

/// Returns the action as a phrase to follow the name.
pub(super) fn sentence(entry: &Entry, names: &Names) -> String {
    let printers = printers(entry, names);
    let told = |field: &str| entry.changes.get(field).map(plain).unwrap_or_default();
    match entry.action {
        Action::PrinterRegistered => fill(t("added {printers}"), &[("printers", &printers)]),
        Action::PrinterChanged => fill(t("changed {printers}"), &[("printers", &printers)]),
        Action::PrinterRemoved => fill(t("removed {printers}"), &[("printers", &printers)]),
        Action::FileUploaded => {
            fill(t("sent the file {path} to {printers}"), &[("path", &told("path")), ("printers", &printers)])
        }
        Action::FileSelected => {
            fill(t("selected the file {path} on {printers}"), &[("path", &told("path")), ("printers", &printers)])
        }
        Action::FileDeleted => {
            fill(t("deleted the file {path} from {printers}"), &[("path", &told("path")), ("printers", &printers)])
        }
        Action::PlateCleared => fill(t("marked the plate of {printers} as clear"), &[("printers", &printers)]),
        Action::BatchCreated => {
            let command = Command::parse(&told("command"));
            match (command, entry.printer_ids.len()) {
                (Some(command), 1) => fill(
                    t("gave a command: {verb}, on {printers}"),
                    &[("verb", &words::verb(command)), ("printers", &printers)],
                ),
                (Some(command), n) => fill(t("gave a command: {what}"), &[("what", &words::verb_for(command, n))]),
                (None, _) => fill(t("gave a command to {printers}"), &[("printers", &printers)]),
            }
        }
        Action::BatchStopped if entry.actor.kind == ActorKind::Scheduler => {
            t("stopped a batch after a failure").to_owned()
        }
        Action::BatchStopped => t("stopped a batch").to_owned(),
        Action::BatchFinished => match told("result").as_str() {
            "ok" => t("saw a batch end: all done").to_owned(),
            "failed" => fill(t("saw a batch end: nothing was done, on {printers}"), &[("printers", &printers)]),
            "uncertain" => {
                fill(t("saw a batch end: not certain, or not done, on {printers}"), &[("printers", &printers)])
            }
            _ => fill(t("saw a batch end: not done on {printers}"), &[("printers", &printers)]),
        },
        Action::PrintStarted => {
            fill(t("began to print {file}on {printers}"), &[("file", &of_file(entry)), ("printers", &printers)])
        }
        Action::PrintPaused => {
            fill(t("paused {prints} on {printers}"), &[("prints", &prints(entry)), ("printers", &printers)])
        }
        Action::PrintResumed => {
            fill(t("resumed {prints} on {printers}"), &[("prints", &prints(entry)), ("printers", &printers)])
        }
        Action::PrintEnded => {
            fill(t("broke off {prints} on {printers}"), &[("prints", &prints(entry)), ("printers", &printers)])
        }
        Action::TokenCreated => fill(t("made the token {name}"), &[("name", &told("name"))]),
        Action::TokenRotated => t("put another token in the place of one").to_owned(),
        Action::TokenRevoked => t("revoked a token").to_owned(),
        Action::UserCreated => fill(t("added {name}, as {role}"), &[("name", &told("name")), ("role", &told("role"))]),
        Action::UserChanged => {
            let user = entry.subject.and_then(|id| names.users.get(&id));
            let own = entry.subject.is_some() && entry.subject == entry.actor.id;
            match user {
                _ if own && entry.changes.contains_key("password") => t("changed their own password").to_owned(),
                Some(name) => fill(t("changed the account of {name}"), &[("name", &name)]),
                None => t("changed an account").to_owned(),
            }
        }
        Action::SessionOpened => t("logged in").to_owned(),
        Action::SessionEnded => t("logged out, or ended a login").to_owned(),
        Action::SecretsRotated => t("changed the key that seals the printers' API keys").to_owned(),
        Action::WebhookCreated => fill(t("added the webhook {url}"), &[("url", &told("url"))]),
        Action::WebhookChanged => t("changed a webhook").to_owned(),
        Action::WebhookRemoved => fill(t("removed the webhook {url}"), &[("url", &told("url"))]),
        Action::WebhookTested => fill(t("tested the webhook {url}"), &[("url", &told("url"))]),
        Action::WebhookRotated => fill(t("changed the secret of the webhook {url}"), &[("url", &told("url"))]),
        Action::WebhookRedelivered => fill(t("sent an event to the webhook {url} again"), &[("url", &told("url"))]),
        Action::WebhookDisabled => fill(t("switched the webhook {url} off"), &[("url", &told("url"))]),
        Action::AuditPruned => {
            let (first, last) = (told("first_seq"), told("last_seq"));
            fill(t("removed the old audit entries {first} to {last}"), &[("first", &first), ("last", &last)])
        }
    }
}

/// Names a single printer, and counts several.
fn printers(entry: &Entry, names: &Names) -> String {
    match entry.printer_ids.as_slice() {
        [] => t("no printer").to_owned(),
        [id] => match names.printers.get(id) {
            Some(name) => name.clone(),
            // For a removed printer, its last entry has the name.
            None => {
                entry.changes.get("name").and_then(Value::as_str).unwrap_or(t("a printer that was removed")).to_owned()
            }
        },
        many => counted(many.len(), "{n} printer", "{n} printers"),
    }
}

fn prints(entry: &Entry) -> String {
    match entry.changes.get("prints").and_then(Value::as_array).map_or(0, Vec::len) {
        0 | 1 => t("a print").to_owned(),
        n => counted(n, "{n} print", "{n} prints"),
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
                    details.push((printer.map_or_else(|| t("print").to_owned(), |id| called(&id)), parts.join(", ")));
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
            list.push(fill(t("and {n} more"), &[("n", &(entry.printer_ids.len() - NAMED))]));
        }
        details.push((t("printers").to_owned(), list.join(", ")));
    }
    if let Some(id) = &entry.request_id {
        details.push((t("request").to_owned(), id.clone()));
    }
    details.retain(|(_, value)| !value.is_empty());
    details
}

/// Returns the label of a field. A rare field keeps its name in the API.
fn field(name: &str) -> String {
    let word = match name {
        "name" => t("name"),
        "url" => t("address"),
        "tags" => t("tags"),
        "tags_added" => t("tags put on"),
        "tags_removed" => t("tags taken off"),
        "enabled" => t("in use"),
        "model" => t("model"),
        "material" => t("material"),
        "color" => t("color"),
        "nozzle_mm" => t("nozzle in mm"),
        "bed_mm" => t("bed in mm"),
        "power_group" => t("electrical circuit"),
        "notes" => t("notes"),
        "api_key" => t("API key"),
        "command" => t("command"),
        "reason" => t("reason"),
        "external_ref" => t("reference"),
        "state" => t("state"),
        "result" => t("result"),
        "counts" => t("outcomes"),
        "role" => t("role"),
        "expires_at" => t("expires"),
        "password" => t("password"),
        "path" => t("path"),
        "types" => t("types"),
        "description" => t("description"),
        other => return other.replace('_', " "),
    };
    word.to_owned()
}

/// Formats a value for people.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => t("nothing").to_owned(),
        Value::String(text) if text.is_empty() => t("nothing").to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => t("yes").to_owned(),
        Value::Bool(false) => t("no").to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(list) if list.is_empty() => t("none").to_owned(),
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
        let told = details(&changed, &names);
        assert_eq!(told, [("notes".into(), "nothing → belt".into()), ("tags".into(), "a → none".into())]);
        let made = entry(ActorKind::User, Action::TokenCreated, &[], json!({"tags": ["a", "b"]}));
        assert_eq!(details(&made, &names), [("tags".into(), "a, b".into())], "two tags are no before and after");
    }
}
