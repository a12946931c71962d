//! The last observed job data of a printer.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PrintResult;
use crate::domain::{command::FileRef, reading::JobReading, state::PrinterState};

/// The last observed job data of a printer. It is stored, so that the server continues from it after a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobMark {
    pub file: Option<FileRef>,
    /// 0 to 100.
    pub completion: Option<f64>,
    pub file_position: Option<u64>,
    pub print_time_s: Option<i64>,
    #[serde(alias = "of")]
    pub phase: MarkPhase,
    pub state: Option<PrinterState>,
    /// The command that started the last print. Its start is no longer open, even if its outcome is not final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Uuid>,
}

/// The moment that a mark belongs to. It decides which comparisons with a later reading are valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkPhase {
    /// Unknown, as in marks of earlier versions: a difference proves nothing.
    #[default]
    Unknown,
    /// This print was active.
    Print(Uuid),
    /// No print was active, and the mark was read from the printer.
    Idle,
    /// A print had just ended. The mark is derived from its events and was not read from the printer yet.
    Left,
}

impl JobMark {
    /// Returns the mark of a reading.
    pub(super) fn from_reading(reading: &JobReading) -> Self {
        Self {
            file: reading.file.as_ref().map(super::file_ref),
            // Measured: OctoPrint shows -100 after the print of an empty file.
            completion: reading.progress.completion.map(|completion| if completion < 0.0 { 100.0 } else { completion }),
            file_position: reading.progress.file_position,
            print_time_s: reading.progress.print_time_s,
            phase: MarkPhase::Unknown,
            state: Some(reading.state),
            started_by: None,
        }
    }

    /// Returns the mark of a print that begins now.
    pub fn for_new_print(id: Uuid, file: Option<FileRef>) -> Self {
        Self { file, phase: MarkPhase::Print(id), ..Self::default() }
    }

    /// Returns the mark that a print with this result leaves on an idle printer.
    pub(super) fn after_print(file: Option<FileRef>, result: PrintResult, time_s: Option<i64>) -> Self {
        let left = Self { file, phase: MarkPhase::Left, ..Self::default() };
        match (result, time_s) {
            (PrintResult::Done, Some(_)) => Self { completion: Some(100.0), print_time_s: time_s, ..left },
            (PrintResult::Cancelled | PrintResult::Failed, _) => left,
            (PrintResult::Done | PrintResult::Unknown, _) => Self { phase: MarkPhase::Unknown, ..left },
        }
    }

    /// Returns whether the file was printed to its end.
    pub(super) fn is_done(&self) -> bool {
        self.completion == Some(100.0)
    }

    /// Returns whether an idle printer may show `now` without another print since this mark.
    pub(super) fn explains(&self, now: &Self) -> bool {
        // OctoPrint computes the print time again within a second after `PrintDone` (read in its source code).
        let later_s = match self.phase {
            MarkPhase::Unknown | MarkPhase::Print(_) => return true,
            MarkPhase::Idle => 0,
            MarkPhase::Left => 2,
        };
        // OctoPrint was restarted, or its printer was connected again. The selection is lost, and no print can be seen.
        if now.file.is_none() {
            return true;
        }
        let same_time = match (self.print_time_s, now.print_time_s) {
            (Some(then), Some(now)) => (0..=later_s).contains(&(now - then)),
            (then, now) => then == now,
        };
        self.file == now.file && self.completion == now.completion && (same_time || !now.is_done())
    }
}
