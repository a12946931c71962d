//! What an order requires of a printer.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a printer must have to make the parts of an order. Absent fields require nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    /// Material loaded in the tools that the file uses. Compared without case.
    pub material: Option<String>,
    /// `#rrggbb`.
    pub color: Option<String>,
    pub nozzle_mm: Option<f64>,
    /// Every one of these tags.
    pub tags_all: Vec<String>,
    /// At least one of these tags.
    pub tags_any: Vec<String>,
    /// One of these printers.
    pub printer_ids: Vec<Uuid>,
}
