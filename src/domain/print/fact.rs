//! What happens to a print, as it is written down and told.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{By, PrintResult};
use crate::domain::command::FileRef;

/// What the tracker found out.
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
    },
}

impl PrintFact {
    /// The print that it is about.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Began { id, .. }
            | Self::Paused { id, .. }
            | Self::Resumed { id, .. }
            | Self::Stalled { id, .. }
            | Self::Ended { id, .. } => *id,
        }
    }
}
