//! Resolves the selector of a batch into printers. This happens once, and every target appears exactly once.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        batch::{MAX_TARGETS, Selector, Target, check_expected},
        command::{ExpectedJob, Reason},
        invalid::Invalid,
        printer::check_tag,
    },
    storage::{
        self,
        printers::{NamedPrinter, Selection},
    },
};

/// One printer of a batch.
#[derive(Debug, Clone)]
pub struct Selected {
    pub printer_id: Uuid,
    /// Empty if there is no such printer, or the principal may not see it.
    pub printer_name: String,
    pub expected_job: Option<ExpectedJob>,
    /// The printer was named but cannot be commanded. Its row ends at once with this reason.
    pub refused: Option<Reason>,
}

impl Services {
    /// Resolves a selector for a principal. Named printers come in the given order, others by name. A disabled or
    /// invisible printer is a refused row if it was named, and is left out otherwise.
    pub async fn select(&self, who: &Principal, selector: &Selector) -> Result<Vec<Selected>, Error> {
        check(selector)?;
        let selected = match selector {
            Selector::Printers(targets) => self.named(who, targets).await?,
            Selector::Filter { tags_all, tags_any, states } => {
                let selection = Selection {
                    tags_all: tags_all.clone(),
                    tags_any: tags_any.clone(),
                    visible_tags: who.visible_tags(),
                };
                let mut printers = storage::printers::select(&self.db, &selection).await?;
                if !states.is_empty() {
                    let view = self.fleet.view();
                    printers.retain(|(id, _)| view.get(*id).is_some_and(|live| states.contains(&live.last_state)));
                }
                printers.into_iter().map(plain).collect()
            }
            Selector::Batch { batch_id, outcomes } => self.of_batch(who, *batch_id, outcomes).await?,
            Selector::All => {
                let selection = Selection { visible_tags: who.visible_tags(), ..Selection::default() };
                storage::printers::select(&self.db, &selection).await?.into_iter().map(plain).collect()
            }
        };
        if selected.is_empty() {
            let detail = "The selection matches no printer.".to_owned();
            return Err(Error::Unprocessable { code: "nothing_selected", detail });
        }
        Ok(selected)
    }

    async fn named(&self, who: &Principal, targets: &[Target]) -> Result<Vec<Selected>, Error> {
        let ids: Vec<Uuid> = targets.iter().map(|target| target.id).collect();
        let found = storage::printers::named(&self.db, &ids, who.visible_tags().as_deref()).await?;
        let found: HashMap<Uuid, NamedPrinter> = found.into_iter().map(|printer| (printer.id, printer)).collect();
        let select = |target: &Target| {
            let printer = found.get(&target.id);
            let refused = match printer {
                None => Some(Reason::NotFound),
                Some(printer) if !printer.visible => Some(Reason::Forbidden),
                Some(printer) if !printer.enabled => Some(Reason::PrinterDisabled),
                Some(_) => None,
            };
            let visible = printer.filter(|_| refused != Some(Reason::Forbidden));
            Selected {
                printer_id: target.id,
                printer_name: visible.map(|printer| printer.name.clone()).unwrap_or_default(),
                expected_job: target.expected_job.clone(),
                refused,
            }
        };
        Ok(targets.iter().map(select).collect())
    }

    async fn of_batch(
        &self,
        who: &Principal,
        batch_id: Uuid,
        outcomes: &[crate::domain::command::Outcome],
    ) -> Result<Vec<Selected>, Error> {
        let no_such = || Error::from(Invalid::one("/select/batch_id", "not_found", "there is no such batch"));
        let batch = storage::batches::get(&self.db, batch_id).await?.ok_or_else(no_such)?;
        let visible = super::batches::visible(who, &batch);
        if visible.tags.is_some() && storage::batches::counts(&self.db, &[batch_id], &visible).await?.is_empty() {
            return Err(no_such());
        }
        let rows = storage::commands::outcomes_of(&self.db, batch_id, outcomes, &visible).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.printer_id).collect();
        let printers = storage::printers::get_many(&self.db, &ids).await?;
        let visible = printers.into_iter().filter(|printer| printer.details.enabled && who.may_see(printer));
        Ok(visible.map(|printer| plain((printer.id, printer.details.name))).collect())
    }
}

fn plain((printer_id, printer_name): (Uuid, String)) -> Selected {
    Selected { printer_id, printer_name, expected_job: None, refused: None }
}

fn check(selector: &Selector) -> Result<(), Invalid> {
    let mut invalid = Invalid::default();
    match selector {
        Selector::Printers(targets) => {
            if targets.len() > MAX_TARGETS {
                invalid.add("/select/printer_ids", "too_many", format!("at most {MAX_TARGETS} printers can be named"));
            }
            let mut seen = HashSet::new();
            for (i, target) in targets.iter().enumerate().take(MAX_TARGETS) {
                if !seen.insert(target.id) {
                    let pointer = format!("/select/printer_ids/{i}");
                    invalid.add(pointer, "duplicate_target", "a printer can be named only once");
                }
                if let Some(expected) = &target.expected_job {
                    check_expected(&mut invalid, &format!("/select/printer_ids/{i}/expected_job"), expected);
                }
            }
        }
        Selector::Filter { tags_all, tags_any, .. } => {
            for (field, tags) in [("tags_all", tags_all), ("tags_any", tags_any)] {
                for (i, tag) in tags.iter().enumerate() {
                    check_tag(&mut invalid, &format!("/select/{field}/{i}"), tag);
                }
            }
        }
        Selector::Batch { .. } | Selector::All => {}
    }
    invalid.or_ok(())
}
