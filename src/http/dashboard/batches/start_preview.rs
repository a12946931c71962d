//! What a start would do with the chosen file: a dry run, grouped for the start sheet.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    domain::{
        batch::{BatchSpec, FitPolicy, PlatePolicy, Selector, Target},
        command::{Command, ExpectedJob, FileSelector, Reason},
        effect::Decision,
    },
    http::dashboard::{
        Dashboard, labels,
        messages::{t_with, text_of},
        page::Failure,
        time::format_size,
    },
    service::{
        access::Principal,
        batches::{CreateBatchResult, NewBatch},
    },
};

/// A start, as the sheet describes it.
pub(super) struct StartPlan {
    pub ids: Vec<Uuid>,
    /// The file on the printer that each printer must have selected. Only without a library file.
    pub selected_paths: BTreeMap<Uuid, String>,
    /// The library file.
    pub file_id: Option<Uuid>,
    pub spec: BatchSpec,
}

/// Printers that would not print, by reason.
pub(super) struct RefusedGroup {
    pub label: String,
    pub names: Vec<String>,
}

/// Result of the dry run.
#[derive(Default)]
pub(super) struct StartPreview {
    /// Number of printers that would print.
    pub starting: usize,
    /// Of these, the printers that must get the file first.
    pub transfers: usize,
    /// Size of all these transfers, for users.
    pub transfer_size: String,
    pub refused: Vec<RefusedGroup>,
    /// Number of printers that are held back only by their plates.
    pub plates_not_clear: usize,
    /// Number of printers that the file does not fit.
    pub unfit: usize,
}

impl StartPlan {
    /// Returns the batch to create.
    pub fn to_new_batch(&self, dry_run: bool) -> NewBatch {
        let target = |id: &Uuid| {
            // Another file on the printer would be a surprise.
            let path = self.selected_paths.get(id).filter(|_| self.file_id.is_none()).cloned();
            let expected_job = path.map(|path| ExpectedJob { path: Some(path), print_id: None });
            Target { id: *id, expected_job, file: None }
        };
        NewBatch {
            spec: self.spec.clone(),
            file: self.file_id.map(FileSelector::InLibrary),
            selector: Selector::Printers(self.ids.iter().map(target).collect()),
            expect_total: None,
            dry_run,
        }
    }

    /// Previews the start. Plates and the fit are counted as if the user had not overridden their checks.
    pub async fn preview(&self, dashboard: &Dashboard, who: &Principal) -> Result<StartPreview, Failure> {
        let (plate, fit) = (self.spec.plate, self.spec.fit);
        let mut preview = self.preview_with(dashboard, who, plate, fit).await?;
        if plate == PlatePolicy::AssumeClear {
            preview.plates_not_clear =
                self.preview_with(dashboard, who, PlatePolicy::Check, fit).await?.plates_not_clear;
        }
        if fit == FitPolicy::Ignore {
            preview.unfit = self.preview_with(dashboard, who, plate, FitPolicy::Check).await?.unfit;
        }
        Ok(preview)
    }

    async fn preview_with(
        &self,
        dashboard: &Dashboard,
        who: &Principal,
        plate: PlatePolicy,
        fit: FitPolicy,
    ) -> Result<StartPreview, Failure> {
        let mut new = self.to_new_batch(true);
        (new.spec.plate, new.spec.fit) = (plate, fit);
        // The dry run stores nothing. Its rule asks for a reason, which the user may still be typing.
        new.spec.reason = Some("preview".to_owned());
        let CreateBatchResult::DryRun { rows, .. } = dashboard.services.create_batch(who, new).await? else {
            return Err(Failure::internal());
        };
        let mut preview = StartPreview::default();
        let mut bytes = 0;
        let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in rows {
            let label = match row.decision {
                Decision::Send(_) | Decision::Wait => {
                    preview.starting += 1;
                    if let Some(transfer) = row.transfer.filter(|transfer| transfer.is_needed) {
                        preview.transfers += 1;
                        bytes += transfer.size;
                    }
                    continue;
                }
                Decision::Unchanged => labels::unchanged_label(Command::Start).to_owned(),
                Decision::Reject(reason) => {
                    preview.plates_not_clear += usize::from(reason == Reason::PlateNotClear);
                    preview.unfit += usize::from(reason == Reason::FileDoesNotFit);
                    match row.selected.refusal_detail.as_ref() {
                        Some(why) => text_of(why),
                        None => labels::refusal_label(reason).to_owned(),
                    }
                }
            };
            refused.entry(label).or_default().push(row.selected.printer_name);
        }
        preview.transfer_size = format_size(bytes);
        preview.refused = refused.into_iter().map(|(label, names)| RefusedGroup { label, names }).collect();
        preview.refused.sort_by_key(|group| std::cmp::Reverse(group.names.len()));
        Ok(preview)
    }
}

impl StartPreview {
    /// Returns the number of printers that would not print.
    pub fn refused_total(&self) -> usize {
        self.refused.iter().map(|group| group.names.len()).sum()
    }

    /// Returns which printers must get the file first: "12 printers get the file first (80 MB)".
    pub fn transfer_text(&self) -> Option<String> {
        let arguments: &[(&'static str, &dyn std::fmt::Display)] =
            &[("n", &self.transfers), ("size", &self.transfer_size)];
        (self.transfers > 0).then(|| t_with("start-transfers", arguments))
    }
}
