//! Preview of a batch: a dry run, grouped and named like the results on the page of the batch.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::form::BatchPlan;
use crate::{
    domain::{
        batch::PlatePolicy,
        command::{Command, Reason, ResultClass},
        effect::Decision,
    },
    http::dashboard::{
        Dashboard, labels,
        messages::{t_with, text_of},
        page::Failure,
    },
    service::{access::Principal, batches::CreateBatchResult, dry_run::DryRunRow},
};

/// Printers with the same expected result.
pub(in crate::http::dashboard) struct PreviewGroup {
    /// What these printers have in common, to follow their number: "not printing".
    pub label: String,
    pub names: Vec<String>,
}

/// What a batch would do, from the last observations.
#[derive(Default)]
pub(in crate::http::dashboard) struct PreviewGroups {
    /// Printers that the command would act on.
    pub acting: Vec<Uuid>,
    /// Printers that would be left as they are.
    pub left: Vec<PreviewGroup>,
    /// Printers that would not answer, or would refuse access.
    pub failing: Vec<PreviewGroup>,
    /// Number of printers that are left as they are only for their plates.
    pub plates_not_clear: usize,
    /// Number of printers that are left as they are because the file does not fit.
    pub unfit: usize,
}

impl PreviewGroups {
    /// Groups the rows of a dry run.
    pub fn from_rows(command: Command, rows: Vec<DryRunRow>) -> Self {
        let mut groups = Self::default();
        let (mut left, mut failing) = (BTreeMap::<String, Vec<String>>::new(), BTreeMap::<String, Vec<String>>::new());
        for row in rows {
            let group = match row.expected_class() {
                ResultClass::LeftAlone => &mut left,
                ResultClass::Failed | ResultClass::Unknown | ResultClass::NotSent => &mut failing,
                ResultClass::Working | ResultClass::Done => {
                    groups.acting.push(row.selected.printer_id);
                    continue;
                }
            };
            groups.plates_not_clear += usize::from(row.expected == Decision::Reject(Reason::PlateNotClear));
            groups.unfit += usize::from(row.expected == Decision::Reject(Reason::FileDoesNotFit));
            group.entry(expected_label(command, &row)).or_default().push(row.selected.printer_name);
        }
        (groups.left, groups.failing) = (largest_first(left), largest_first(failing));
        groups
    }

    /// Returns the number of printers that would be left as they are.
    pub fn left_total(&self) -> usize {
        self.left.iter().map(|group| group.names.len()).sum()
    }

    /// Returns the printers that would not get the command, in short: "3 left as they are: not printing" and
    /// "2 without an answer".
    pub fn exceptions(&self) -> Vec<String> {
        let left = self.left.iter().map(|group| (group.names.len(), group.label.as_str())).collect::<Vec<_>>();
        let failing = self.failing.iter().map(|group| format!("{} {}", group.names.len(), group.label));
        left_summary(&left).into_iter().chain(failing).collect()
    }
}

/// Returns the printers that are left as they are in short. Only several reasons have their own numbers.
pub(super) fn left_summary(groups: &[(usize, &str)]) -> Option<String> {
    let total: usize = groups.iter().map(|(n, _)| n).sum();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, label) in groups {
        *counts.entry(label).or_default() += n;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let reasons = match counts.as_slice() {
        [] => return None,
        [(only, _)] => (*only).to_owned(),
        several => several.iter().map(|(label, n)| format!("{n} {label}")).collect::<Vec<_>>().join(", "),
    };
    Some(format!("{}: {reasons}", t_with("batch-left-count", &[("n", &total)])))
}

fn expected_label(command: Command, row: &DryRunRow) -> String {
    match (row.expected, row.selected.refusal_detail.as_ref()) {
        (Decision::Reject(_), Some(detail)) => text_of(detail),
        (Decision::Reject(reason), None) => labels::refusal_label(reason).to_owned(),
        (Decision::Send(_) | Decision::Wait | Decision::Unchanged, _) => {
            labels::unchanged_label(row.resolved.unwrap_or(command)).to_owned()
        }
    }
}

fn largest_first(groups: BTreeMap<String, Vec<String>>) -> Vec<PreviewGroup> {
    let mut groups: Vec<_> = groups.into_iter().map(|(label, names)| PreviewGroup { label, names }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.names.len()));
    groups
}

/// The preview of a command for the bar of the farm.
pub(super) struct CommandPreview {
    pub command: Command,
    pub groups: PreviewGroups,
}

impl CommandPreview {
    /// Returns the preview in one line: "Pause 17 printers · 3 left as they are: not printing".
    pub fn summary(&self) -> String {
        let mut parts = vec![labels::command_title(self.command, self.groups.acting.len())];
        parts.extend(self.groups.exceptions());
        parts.join(" · ")
    }
}

impl BatchPlan {
    /// Previews the batch by a dry run, with this check of the plates.
    pub(in crate::http::dashboard) async fn preview(
        &self,
        dashboard: &Dashboard,
        who: &Principal,
        plate: PlatePolicy,
    ) -> Result<PreviewGroups, Failure> {
        let mut new = self.to_new_batch(true);
        new.spec.plate = plate;
        // The dry run stores nothing. Its rule asks for a reason, which the user may still be typing.
        new.spec.reason = Some("preview".to_owned());
        let CreateBatchResult::DryRun { rows, .. } = dashboard.services.create_batch(who, new).await? else {
            return Err(Failure::internal());
        };
        Ok(PreviewGroups::from_rows(self.spec.command, rows))
    }
}
