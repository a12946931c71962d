//! The build plate: what lies on it until a person says that it is clear.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::words;

words! {
    /// What is known of a plate.
    PlateState { Clear = "clear", Occupied = "occupied", }
}

words! {
    /// What became of the wish to mark a plate as clear.
    ClearResult {
        Cleared = "cleared",
        AlreadyClear = "already_clear",
        /// Nothing is cleared while it prints.
        Printing = "printing",
        /// Another print lies there than the one that was meant.
        PlateChanged = "plate_changed",
        NotFound = "not_found",
        Forbidden = "forbidden",
    }
}

/// A print that was removed from its plate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearedPlate {
    /// None: a print without identity.
    pub print_id: Option<Uuid>,
    pub by: String,
    pub at: DateTime<Utc>,
}

/// A printer's plate. Occupied from the first moment that a print is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plate {
    pub state: PlateState,
    pub print_id: Option<Uuid>,
    pub since: Option<DateTime<Utc>>,
    pub cleared_by: Option<String>,
}

impl Plate {
    /// A plate on which no print has been seen.
    pub fn clear() -> Self {
        Self { state: PlateState::Clear, print_id: None, since: None, cleared_by: None }
    }

    /// The plate after a print was removed from it. None: this print is not on it.
    pub fn without(&self, cleared: &ClearedPlate) -> Option<Self> {
        let is_on_it = self.state == PlateState::Occupied && self.print_id == cleared.print_id;
        let (since, cleared_by) = (Some(cleared.at), Some(cleared.by.clone()));
        is_on_it.then_some(Self { state: PlateState::Clear, print_id: None, since, cleared_by })
    }

    /// A plate with a print on it.
    pub fn occupied(print_id: Uuid, since: DateTime<Utc>) -> Self {
        Self { state: PlateState::Occupied, print_id: Some(print_id), since: Some(since), cleared_by: None }
    }
}
