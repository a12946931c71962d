//! Recorded facts about a print.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{By, Mark, PrintResult};
use crate::domain::command::FileRef;

/// A change of a print.
#[derive(Debug, Clone, PartialEq)]
pub enum PrintFact {
    Began {
        id: Uuid,
        file: Option<FileRef>,
        at: DateTime<Utc>,
        by: By,
    },
    Paused {
        id: Uuid,
        by: By,
    },
    /// A command caused the pause that was recorded before. No event is published for it.
    PauseCredited {
        id: Uuid,
        by: By,
    },
    Resumed {
        id: Uuid,
        by: By,
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
        by: By,
        /// The mark that an idle printer shows after the print. It is stored with the end, so that the server does not
        /// record it as another print after a restart.
        left: Mark,
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
    pub fn unobserved(id: Uuid, at: DateTime<Utc>) -> Self {
        let (result, by) = (PrintResult::Unknown, By::unknown());
        Self::Ended { id, at, result, reason: None, by, left: Mark::default() }
    }

    /// Returns the mark that is stored with the fact, and its time.
    pub fn mark(&self) -> Option<(Mark, DateTime<Utc>)> {
        match self {
            Self::Began { id, file, at, by } => {
                Some((Mark { started_by: by.command_id, ..Mark::of_begun(*id, file.clone()) }, *at))
            }
            Self::Ended { at, left, .. } => Some((left.clone(), *at)),
            Self::Paused { .. } | Self::PauseCredited { .. } | Self::Resumed { .. } | Self::Stalled { .. } => None,
        }
    }
}
