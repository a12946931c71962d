//! The state of a build plate: clear, or occupied until a person marks it as clear.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::string_enum;

string_enum! {
    /// What is known of a plate.
    PlateState { Clear = "clear", Occupied = "occupied", }
}

string_enum! {
    /// The result of a request to mark a plate as clear.
    ClearResult {
        Cleared = "cleared",
        AlreadyClear = "already_clear",
        /// The printer is printing, so its plate cannot be cleared.
        Printing = "printing",
        /// The plate has a different print from the one in the request.
        PlateChanged = "plate_changed",
        NotFound = "not_found",
        Forbidden = "forbidden",
    }
}

/// A print that was removed from its plate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearedPlate {
    /// `None`: the print has no id.
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
    /// Returns a plate on which no print was observed.
    pub fn clear() -> Self {
        Self { state: PlateState::Clear, print_id: None, since: None, cleared_by: None }
    }

    /// Returns the plate after the print was removed from it. `None`: this print is not on the plate.
    pub fn after_clear(&self, cleared: &ClearedPlate) -> Option<Self> {
        let is_on_plate = self.state == PlateState::Occupied && self.print_id == cleared.print_id;
        let (since, cleared_by) = (Some(cleared.at), Some(cleared.by.clone()));
        is_on_plate.then_some(Self { state: PlateState::Clear, print_id: None, since, cleared_by })
    }

    /// Returns a plate with a print on it.
    pub fn occupied(print_id: Uuid, since: DateTime<Utc>) -> Self {
        Self { state: PlateState::Occupied, print_id: Some(print_id), since: Some(since), cleared_by: None }
    }
}
