//! Changes the tags of many printers at once: adds some and removes some, on all of the printers or on none.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use super::{Services, access::Principal, error::Error, printers::within_limit};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, Entry},
        invalid::Invalid,
        printer::{MAX_TAGS, Printer, check_tag},
    },
    storage,
};

/// Maximum number of printers in one change: as many as a batch may have.
const MOST: usize = 5_000;
/// Maximum number of rule violations that are reported.
const TOLD: usize = 20;
/// Number of attempts. Another request may change a printer in between, and a change of tags can be repeated.
const ATTEMPTS: usize = 3;

/// A change of tags.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retag {
    pub add: Vec<String>,
    pub remove: Vec<String>,
}

impl Services {
    /// Adds tags to printers and removes others. Returns the ids of the changed printers; the others had these tags
    /// already.
    pub async fn retag_printers(&self, who: &Principal, ids: &[Uuid], retag: &Retag) -> Result<Vec<Uuid>, Error> {
        who.require(Role::Manager)?;
        checked(ids, retag)?;
        for _ in 0..ATTEMPTS {
            let found = storage::printers::get_many(&self.db, ids).await?;
            let visible: Vec<Printer> = found.into_iter().filter(|printer| who.may_see(printer)).collect();
            if visible.len() != ids.iter().collect::<BTreeSet<_>>().len() {
                return Err(Error::NotFound("printer"));
            }
            let changed = retagged(who, visible, retag)?;
            if changed.is_empty() {
                return Ok(Vec::new());
            }
            let told = json!({"tags_added": retag.add, "tags_removed": retag.remove});
            let told = told.as_object().cloned().unwrap_or_default();
            let ids: Vec<Uuid> = changed.iter().map(|printer| printer.id).collect();
            let entry = Entry { printer_ids: ids.clone(), ..who.entry(Action::PrinterChanged, told) };
            let retag = storage::printers::retag(&self.db, &changed, &entry);
            if self.change_registry(async { retag.await.map_err(Error::from) }).await? {
                let versions: Vec<_> = changed.iter().map(|printer| (printer.id, Some(printer.version))).collect();
                self.apply_to_fleet(&versions).await;
                tracing::info!(printers = ids.len(), by = %who.name, "tags of printers changed");
                return Ok(ids);
            }
        }
        Err(Error::Stale)
    }
}

fn checked(ids: &[Uuid], retag: &Retag) -> Result<(), Invalid> {
    let mut invalid = Invalid::default();
    if ids.is_empty() || ids.len() > MOST {
        invalid.add("/printer_ids", "count", format!("must be 1 to {MOST} printers"));
    }
    if retag.add.is_empty() && retag.remove.is_empty() {
        invalid.add("/tags", "empty", "must be named: some to put on, or some to take off");
    }
    for (i, tag) in retag.add.iter().enumerate() {
        check_tag(&mut invalid, &format!("/tags/{i}"), tag);
        if retag.remove.contains(tag) {
            invalid.add(format!("/tags/{i}"), "both", "must not be added and taken off at once");
        }
    }
    invalid.or_ok(())
}

/// Returns the printers whose tags change, with the new tags and the next version.
fn retagged(who: &Principal, printers: Vec<Printer>, retag: &Retag) -> Result<Vec<Printer>, Invalid> {
    let mut invalid = Invalid::default();
    let mut changed = Vec::new();
    for mut printer in printers {
        let mut tags: BTreeSet<String> = printer.details.tags.iter().cloned().collect();
        tags.retain(|tag| !retag.remove.contains(tag));
        tags.extend(retag.add.iter().cloned());
        if tags.iter().eq(&printer.details.tags) {
            continue;
        }
        if invalid.0.len() >= TOLD {
            break;
        }
        if tags.len() > MAX_TAGS {
            let (name, n) = (&printer.details.name, tags.len());
            let rule = format!("must be at most {MAX_TAGS}, and {name} would have {n}");
            invalid.add("/tags", "too_many", rule);
            continue;
        }
        printer.details.tags = tags.into_iter().collect();
        printer.version += 1;
        printer.updated_at = clock::now();
        if let Err(outside) = within_limit(who, &printer) {
            invalid.0.extend(outside.0.into_iter().filter(|error| !invalid.0.contains(error)).collect::<Vec<_>>());
        }
        changed.push(printer);
    }
    invalid.or_ok(changed)
}
