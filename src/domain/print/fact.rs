//! Recorded facts about a print.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{JobMark, PrintActor, PrintResult};
use crate::domain::command::FileRef;

/// A change of a print.
#[derive(Debug, Clone, PartialEq)]
pub enum PrintFact {
    Began {
        id: Uuid,
        file: Option<FileRef>,
        at: DateTime<Utc>,
        by: PrintActor,
    },
    Paused {
        id: Uuid,
        by: PrintActor,
    },
    /// A command caused the pause that was recorded before. No event is published for it.
    PauseCredited {
        id: Uuid,
        by: PrintActor,
    },
    Resumed {
        id: Uuid,
        by: PrintActor,
    },
    /// The file position has not changed since that time.
    Stalled {
        id: Uuid,
        since: DateTime<Utc>,
    },
    Ended {
        id: Uuid,
        at: DateTime<Utc>,
        result: PrintResult,
        reason: Option<String>,
        by: PrintActor,
        /// The mark that an idle printer shows after the print. It is stored with the end, so that the server does not
        /// record it as another print after a restart.
        mark_after: JobMark,
    },
}

impl PrintFact {
    /// Returns the id of the print.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Began { id, .. }
            | Self::Paused { id, .. }
            | Self::PauseCredited { id, .. }
            | Self::Resumed { id, .. }
            | Self::Stalled { id, .. }
            | Self::Ended { id, .. } => *id,
        }
    }

    /// Returns the end of a print that is no longer observed.
    pub fn unobserved_end(id: Uuid, at: DateTime<Utc>) -> Self {
        let (result, by) = (PrintResult::Unknown, PrintActor::unknown());
        Self::Ended { id, at, result, reason: None, by, mark_after: JobMark::default() }
    }

    /// Returns the mark that is stored with the fact, and its time.
    pub fn mark(&self) -> Option<(JobMark, DateTime<Utc>)> {
        match self {
            Self::Began { id, file, at, by } => {
                Some((JobMark { started_by: by.command_id, ..JobMark::for_new_print(*id, file.clone()) }, *at))
            }
            Self::Ended { at, mark_after: left, .. } => Some((left.clone(), *at)),
            Self::Paused { .. } | Self::PauseCredited { .. } | Self::Resumed { .. } | Self::Stalled { .. } => None,
        }
    }
}
