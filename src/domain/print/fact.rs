//! What happens to a print, as it is recorded.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{By, Mark, PrintResult};
use crate::domain::command::FileRef;

/// What happened to a print.
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
    /// A command caused the pause that was recorded before. It is no event of its own.
    PauseCredited {
        id: Uuid,
        by: By,
    },
    Resumed {
        id: Uuid,
        by: By,
    },
    /// Its file stands still, since that time.
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
        /// What an idle printer shows after it. It is stored with the end, so that no restart takes it for another print.
        left: Mark,
    },
}

impl PrintFact {
    /// The print that it is about.
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

    /// The end of a print that nobody observes any more.
    pub fn unobserved(id: Uuid, at: DateTime<Utc>) -> Self {
        let (result, by) = (PrintResult::Unknown, By::unknown());
        Self::Ended { id, at, result, reason: None, by, left: Mark::default() }
    }

    /// The mark that is to be stored with it, and its time.
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
