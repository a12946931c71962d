//! What a start would do with the chosen file: a dry run, grouped for the start sheet.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::preview::PreviewGroups;
use crate::{
    domain::{
        batch::{BatchSpec, FitPolicy, PlatePolicy, Selector, Target},
        command::{Command, ExpectedJob, FileSelector, ResultClass},
    },
    http::dashboard::{Dashboard, messages::t_with, page::Failure, time::format_size},
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

/// Result of the dry run.
#[derive(Default)]
pub(super) struct StartPreview {
    pub groups: PreviewGroups,
    /// Of the printers that would print, those that must get the file first.
    pub transfers: usize,
    /// Size of all these transfers, for users.
    pub transfer_size: String,
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
        let transfers = rows.iter().filter(|row| row.expected_class() == ResultClass::Done);
        let transfers = transfers.filter_map(|row| row.transfer.filter(|transfer| transfer.is_needed));
        let sizes: Vec<u64> = transfers.map(|transfer| transfer.size).collect();
        let groups = PreviewGroups::from_rows(Command::Start, rows);
        Ok(StartPreview {
            plates_not_clear: groups.plates_not_clear,
            unfit: groups.unfit,
            transfers: sizes.len(),
            transfer_size: format_size(sizes.iter().sum()),
            groups,
        })
    }
}

impl StartPreview {
    /// Returns the number of printers that would print.
    pub fn starting(&self) -> usize {
        self.groups.acting.len()
    }

    /// Returns which printers must get the file first: "12 printers get the file first (80 MB)".
    pub fn transfer_text(&self) -> Option<String> {
        let arguments: &[(&'static str, &dyn std::fmt::Display)] =
            &[("n", &self.transfers), ("size", &self.transfer_size)];
        (self.transfers > 0).then(|| t_with("start-transfers", arguments))
    }
}
