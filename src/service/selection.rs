//! Resolves the selector of a batch into printers. This happens once, and every target appears exactly once.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        batch::{Batch, BatchSpec, MAX_TARGETS, Selector, Target, check_expected_job},
        command::{ExpectedJob, FileSelector, Reason, StartFile},
        message::Message,
        printer::check_tag,
        validation::ValidationErrors,
    },
    storage::{
        self,
        commands::RowVisibility,
        printers::{NamedPrinter, PrinterSelection},
    },
};

/// One printer of a batch.
#[derive(Debug, Clone)]
pub struct SelectedPrinter {
    pub printer_id: Uuid,
    /// Empty if there is no such printer, or the principal may not see it.
    pub printer_name: String,
    pub expected_job: Option<ExpectedJob>,
    /// The file that the client named for this printer.
    pub requested_file: Option<FileSelector>,
    /// The file of this printer's command: a file of the library, or one that the client named for this printer.
    pub file: Option<StartFile>,
    /// The printer was named but cannot be commanded. Its row ends at once with this reason.
    pub refused: Option<Reason>,
    /// More than the reason says.
    pub refusal_detail: Option<Message>,
}

impl Services {
    /// Resolves a selector for a principal. Named printers come in the given order, others by name. A disabled or
    /// invisible printer is a refused row if it was named, and is left out otherwise.
    pub async fn select_printers(&self, who: &Principal, selector: &Selector) -> Result<Vec<SelectedPrinter>, Error> {
        check_selector(selector)?;
        let selected = match selector {
            Selector::Printers(targets) => self.select_named(who, targets).await?,
            Selector::Filter { tags_all, tags_any, states } => {
                let selection = PrinterSelection {
                    tags_all: tags_all.clone(),
                    tags_any: tags_any.clone(),
                    visible_tags: who.visible_tags(),
                };
                let mut printers = storage::printers::select_printers(&self.db, &selection).await?;
                if !states.is_empty() {
                    let view = self.fleet.view();
                    printers.retain(|(id, _)| view.get(*id).is_some_and(|live| states.contains(&live.last_state)));
                }
                printers.into_iter().map(selected_printer).collect()
            }
            Selector::Batch { batch_id, outcomes } => self.select_from_batch(who, *batch_id, outcomes).await?,
            Selector::All => {
                let selection = PrinterSelection { visible_tags: who.visible_tags(), ..PrinterSelection::default() };
                storage::printers::select_printers(&self.db, &selection)
                    .await?
                    .into_iter()
                    .map(selected_printer)
                    .collect()
            }
        };
        if selected.is_empty() {
            let detail = Message::new("refusal-nothing-selected");
            return Err(Error::Unprocessable { code: "nothing_selected", detail });
        }
        Ok(selected)
    }

    async fn select_named(&self, who: &Principal, targets: &[Target]) -> Result<Vec<SelectedPrinter>, Error> {
        let ids: Vec<Uuid> = targets.iter().map(|target| target.id).collect();
        let found = storage::printers::get_named(&self.db, &ids, who.visible_tags().as_deref()).await?;
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
            SelectedPrinter {
                printer_id: target.id,
                printer_name: visible.map(|printer| printer.name.clone()).unwrap_or_default(),
                expected_job: target.expected_job.clone(),
                requested_file: target.file.clone(),
                file: None,
                refused,
                refusal_detail: None,
            }
        };
        Ok(targets.iter().map(select).collect())
    }

    async fn select_from_batch(
        &self,
        who: &Principal,
        batch_id: Uuid,
        outcomes: &[crate::domain::command::Outcome],
    ) -> Result<Vec<SelectedPrinter>, Error> {
        let no_such = || Error::from(ValidationErrors::single("/select/batch_id", "not_found", "rule-batch-id"));
        let batch = storage::batches::get(&self.db, batch_id).await?.ok_or_else(no_such)?;
        let visible = visible_rows(who, &batch);
        if visible.tags.is_some() && storage::batches::count_outcomes(&self.db, &[batch_id], &visible).await?.is_empty()
        {
            return Err(no_such());
        }
        let rows = storage::commands::list_by_outcome(&self.db, batch_id, outcomes, &visible).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.printer_id).collect();
        let printers = storage::printers::get_many(&self.db, &ids).await?;
        let visible = printers.into_iter().filter(|printer| printer.details.enabled && who.may_see(printer));
        Ok(visible.map(|printer| selected_printer((printer.id, printer.details.name))).collect())
    }
}

fn selected_printer((printer_id, printer_name): (Uuid, String)) -> SelectedPrinter {
    SelectedPrinter {
        printer_id,
        printer_name,
        expected_job: None,
        requested_file: None,
        file: None,
        refused: None,
        refusal_detail: None,
    }
}

fn check_selector(selector: &Selector) -> Result<(), ValidationErrors> {
    let mut invalid = ValidationErrors::default();
    match selector {
        Selector::Printers(targets) => {
            if targets.len() > MAX_TARGETS {
                let rule = Message::new("rule-max-printers").with("max", MAX_TARGETS);
                invalid.add("/select/printer_ids", "too_many", rule);
            }
            let mut seen = HashSet::new();
            for (i, target) in targets.iter().enumerate().take(MAX_TARGETS) {
                if !seen.insert(target.id) {
                    invalid.add(format!("/select/printer_ids/{i}"), "duplicate_target", "rule-printer-once");
                }
                if let Some(expected) = &target.expected_job {
                    check_expected_job(&mut invalid, &format!("/select/printer_ids/{i}/expected_job"), expected);
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
    invalid.into_result(())
}

/// Returns which rows of a batch the principal may see.
pub(super) fn visible_rows(who: &Principal, batch: &Batch) -> RowVisibility {
    RowVisibility { tags: who.visible_tags(), is_batch_creator: is_own(who, &batch.spec) }
}

/// Returns whether the principal created the batch.
fn is_own(who: &Principal, spec: &BatchSpec) -> bool {
    (who.user_id.is_some() && spec.user_id == who.user_id)
        || (who.user_id.is_none() && who.token_id.is_some() && spec.token_id == who.token_id)
}
