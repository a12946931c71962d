//! Printers of a batch with the same result, with the action that helps them.

use std::collections::HashMap;

use uuid::Uuid;

use super::{results::result_labels, verdict::class_name};
use crate::{
    domain::{
        batch::Batch,
        command::{Command, CommandRow, Outcome, Reason, ResultClass, StartFile},
    },
    http::dashboard::{
        labels,
        messages::{t, t_with},
    },
};

/// Maximum number of printers that a group lists.
const MAX_MEMBERS: usize = 500;
/// A group with more printers than this is folded.
const MAX_UNFOLDED: usize = 8;

/// A printer of a group.
pub(super) struct GroupMember {
    pub printer_id: Uuid,
    pub name: String,
    /// The explanation, if the printers of the group differ.
    pub reason: String,
    pub late_result: Option<&'static str>,
}

impl GroupMember {
    /// Returns the name of the printer. A printer that the batch could not find has none.
    pub fn shown_name(&self) -> &str {
        if self.name.is_empty() { t("batch-unknown-printer") } else { &self.name }
    }
}

/// Printers with the same outcome and reason.
pub(super) struct ResultGroup {
    /// Stable between updates of the page, and the value that a retry sends.
    pub key: String,
    pub class: ResultClass,
    pub label: &'static str,
    /// What the printers have in common, to follow their number: "not printing".
    pub count_label: &'static str,
    pub n: usize,
    /// The explanation that all printers share.
    pub reason: String,
    pub members: Vec<GroupMember>,
    pub action: Option<GroupAction>,
    /// The API key of each printer must be entered again.
    pub needs_key: bool,
    outcome: Outcome,
    reason_code: Option<Reason>,
}

/// What a user can do about all printers of a group.
pub(super) enum GroupAction {
    /// Sends the command again. Some commands may have had an effect, so a person must check the printers first.
    Retry {
        label: String,
        needs_check: bool,
    },
    /// Marks these plates as clear: the printer, and the print that is seen on its plate.
    ClearPlates {
        plates: Vec<(Uuid, Option<Uuid>)>,
    },
    /// Opens the start sheet, with the file of the batch in the library.
    ChooseFile {
        ids: Vec<Uuid>,
        file_id: Option<Uuid>,
    },
    Connect {
        ids: Vec<Uuid>,
    },
}

/// The plates of a farm that are occupied now, with the print on each.
pub(super) type OccupiedPlates = HashMap<Uuid, Option<Uuid>>;

/// Returns the key of a row's group.
pub(super) fn group_key(row: &CommandRow) -> String {
    match row.reason {
        Some(reason) => format!("{}-{reason}", row.outcome),
        None => row.outcome.to_string(),
    }
}

impl ResultGroup {
    /// Groups rows, in their order. The largest groups of each class come first.
    pub fn from_rows<'a>(rows: impl Iterator<Item = &'a CommandRow>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        for row in rows {
            let key = group_key(row);
            let position = *positions.entry(key.clone()).or_insert_with(|| {
                groups.push(Self::new(key, row));
                groups.len() - 1
            });
            groups[position].add(row);
        }
        for group in &mut groups {
            group.share_reason();
        }
        groups.sort_by_key(|group| (severity(group.class), std::cmp::Reverse(group.n)));
        groups
    }

    fn new(key: String, row: &CommandRow) -> Self {
        Self {
            key,
            class: row.result_class(),
            label: result_labels(row).label,
            count_label: count_label(row),
            n: 0,
            reason: String::new(),
            members: Vec::new(),
            action: None,
            needs_key: row.outcome == Outcome::Unauthorized,
            outcome: row.outcome,
            reason_code: row.reason,
        }
    }

    fn add(&mut self, row: &CommandRow) {
        self.n += 1;
        if self.members.len() < MAX_MEMBERS {
            let result = result_labels(row);
            self.members.push(GroupMember {
                printer_id: row.printer_id,
                name: row.printer_name.clone(),
                reason: result.reason,
                late_result: result.late_result,
            });
        }
    }

    /// Moves the explanation from the printers to the group, if it is the same for all.
    fn share_reason(&mut self) {
        let Some(first) = self.members.first().map(|member| member.reason.clone()) else { return };
        if self.members.iter().all(|member| member.reason == first) {
            self.reason = first;
            for member in &mut self.members {
                member.reason.clear();
            }
        }
    }

    /// Sets the action for an operator. `rows` are all rows of the batch.
    pub fn with_action(mut self, batch: &Batch, rows: &[CommandRow], plates: &OccupiedPlates) -> Self {
        let ids = || -> Vec<Uuid> {
            rows.iter().filter(|row| group_key(row) == self.key).map(|row| row.printer_id).collect()
        };
        let command = batch.spec.command;
        let retry = |label: String| {
            let needs_check = matches!(command, Command::Start | Command::Restart | Command::EmergencyStop);
            GroupAction::Retry { label, needs_check: self.class == ResultClass::Unknown && needs_check }
        };
        self.action = match (self.class, self.reason_code) {
            (ResultClass::LeftAlone, Some(Reason::PlateNotClear)) => {
                let ids = ids();
                let occupied = ids.iter().filter_map(|id| Some((*id, *plates.get(id)?)));
                let occupied: Vec<(Uuid, Option<Uuid>)> = occupied.collect();
                Some(if occupied.is_empty() {
                    retry(labels::command_title(command, self.n))
                } else {
                    GroupAction::ClearPlates { plates: occupied }
                })
            }
            (ResultClass::LeftAlone, Some(Reason::NotOperational)) => Some(GroupAction::Connect { ids: ids() }),
            (ResultClass::LeftAlone, Some(Reason::NoFileSelected))
            | (ResultClass::Failed, Some(Reason::FileNotFound)) => {
                let content = batch.spec.file.as_ref().and_then(StartFile::content);
                Some(GroupAction::ChooseFile { ids: ids(), file_id: content.map(|content| content.file_id) })
            }
            (class, _) if class.is_retryable() => Some(retry(t_with("batch-retry-these", &[("n", &self.n)]))),
            _ => None,
        };
        self
    }

    /// Returns the CSS class.
    pub fn class_name(&self) -> &'static str {
        class_name(self.class)
    }

    /// Returns the icon.
    pub fn icon(&self) -> &'static str {
        match self.class {
            ResultClass::Failed => "alert",
            ResultClass::Unknown => "question",
            ResultClass::NotSent => "stop",
            ResultClass::Working | ResultClass::Done | ResultClass::LeftAlone => "off",
        }
    }

    /// Returns the outcome or the reason as in the API, for the tooltip.
    pub fn code(&self) -> &'static str {
        self.reason_code.map_or(self.outcome.as_str(), Reason::as_str)
    }

    /// Returns whether the list of printers is folded at first.
    pub fn is_folded(&self) -> bool {
        self.n > MAX_UNFOLDED
    }
}

/// Returns what all printers with this result have in common. A preview uses the same words.
fn count_label(row: &CommandRow) -> &'static str {
    let command = row.resolved_command.unwrap_or(row.command);
    match row.outcome {
        Outcome::Queued => t("batch-count-queued"),
        Outcome::Sent => t("batch-count-sent"),
        Outcome::Accepted => t("batch-count-accepted"),
        Outcome::Confirmed => labels::effect_label(command),
        Outcome::Unchanged => labels::unchanged_label(command),
        Outcome::Unreachable => t("batch-count-unreachable"),
        Outcome::Unauthorized => t("batch-count-unauthorized"),
        Outcome::Expired => t("batch-count-expired"),
        Outcome::Unconfirmed => t("batch-count-unconfirmed"),
        Outcome::Unknown => t("batch-count-unknown"),
        Outcome::Rejected => row.reason.map_or(t("batch-count-rejected"), labels::refusal_label),
        Outcome::Skipped => row.reason.map_or(t("batch-count-skipped"), labels::refusal_label),
    }
}

fn severity(class: ResultClass) -> usize {
    match class {
        ResultClass::Failed => 0,
        ResultClass::Unknown => 1,
        ResultClass::NotSent => 2,
        ResultClass::LeftAlone => 3,
        ResultClass::Working => 4,
        ResultClass::Done => 5,
    }
}
