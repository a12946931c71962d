//! Changes the tags of many printers at once: adds some and removes some, on all of the printers or on none.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use super::{Services, access::Principal, error::Error, printers::check_within_limit};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry},
        message::Message,
        printer::{MAX_TAGS, Printer, check_tag},
        validation::ValidationErrors,
    },
    storage,
};

/// Maximum number of printers in one change: as many as a batch may have.
const MAX_PRINTERS: usize = 5_000;
/// Maximum number of rule violations that are reported.
const MAX_REPORTED: usize = 20;
/// Number of attempts. Another request may change a printer in between, and a change of tags can be repeated.
const ATTEMPTS: usize = 3;

/// A change of tags.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagChange {
    pub add: Vec<String>,
    pub remove: Vec<String>,
}

impl Services {
    /// Adds tags to printers and removes others. Returns the ids of the changed printers; the others had these tags
    /// already.
    pub async fn retag_printers(&self, who: &Principal, ids: &[Uuid], change: &TagChange) -> Result<Vec<Uuid>, Error> {
        who.require(Role::Manager)?;
        check_tag_change(ids, change)?;
        for _ in 0..ATTEMPTS {
            let found = storage::printers::get_many(&self.db, ids).await?;
            let visible: Vec<Printer> = found.into_iter().filter(|printer| who.may_see(printer)).collect();
            if visible.len() != ids.iter().collect::<BTreeSet<_>>().len() {
                return Err(Error::NotFound("printer"));
            }
            let changed = apply_tag_change(who, visible, change)?;
            if changed.is_empty() {
                return Ok(Vec::new());
            }
            let changes = json!({"tags_added": change.add, "tags_removed": change.remove});
            let changes = changes.as_object().cloned().unwrap_or_default();
            let ids: Vec<Uuid> = changed.iter().map(|printer| printer.id).collect();
            let entry = AuditEntry { printer_ids: ids.clone(), ..who.audit_entry(Action::PrinterChanged, changes) };
            let update = storage::printers::retag(&self.db, &changed, &entry);
            if self.change_registry(async { update.await.map_err(Error::from) }).await? {
                let versions: Vec<_> = changed.iter().map(|printer| (printer.id, Some(printer.version))).collect();
                self.apply_to_fleet(&versions).await;
                tracing::info!(printers = ids.len(), by = %who.name, "tags of printers changed");
                return Ok(ids);
            }
        }
        Err(Error::Stale)
    }
}

fn check_tag_change(ids: &[Uuid], change: &TagChange) -> Result<(), ValidationErrors> {
    let mut invalid = ValidationErrors::default();
    if ids.is_empty() || ids.len() > MAX_PRINTERS {
        invalid.add("/printer_ids", "count", Message::new("rule-printer-count").with("max", MAX_PRINTERS));
    }
    if change.add.is_empty() && change.remove.is_empty() {
        invalid.add("/tags", "empty", "rule-no-tag-change");
    }
    for (i, tag) in change.add.iter().enumerate() {
        check_tag(&mut invalid, &format!("/tags/{i}"), tag);
        if change.remove.contains(tag) {
            invalid.add(format!("/tags/{i}"), "both", "rule-tag-both");
        }
    }
    invalid.into_result(())
}

/// Returns the printers whose tags change, with the new tags and the next version.
fn apply_tag_change(
    who: &Principal,
    printers: Vec<Printer>,
    change: &TagChange,
) -> Result<Vec<Printer>, ValidationErrors> {
    let mut invalid = ValidationErrors::default();
    let mut changed = Vec::new();
    for mut printer in printers {
        let mut tags: BTreeSet<String> = printer.details.tags.iter().cloned().collect();
        tags.retain(|tag| !change.remove.contains(tag));
        tags.extend(change.add.iter().cloned());
        if tags.iter().eq(&printer.details.tags) {
            continue;
        }
        if invalid.0.len() >= MAX_REPORTED {
            break;
        }
        if tags.len() > MAX_TAGS {
            let rule = Message::new("rule-max-tags-of-printer").with("max", MAX_TAGS);
            let rule = rule.with("printer", &printer.details.name).with("count", tags.len());
            invalid.add("/tags", "too_many", rule);
            continue;
        }
        printer.details.tags = tags.into_iter().collect();
        printer.version += 1;
        printer.updated_at = clock::now();
        if let Err(outside) = check_within_limit(who, &printer) {
            invalid.0.extend(outside.0.into_iter().filter(|error| !invalid.0.contains(error)).collect::<Vec<_>>());
        }
        changed.push(printer);
    }
    invalid.into_result(changed)
}
