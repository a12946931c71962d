//! What is loaded in a tool of a printer.

use serde::{Deserialize, Serialize};

/// A tool of a printer, with its nozzle and the loaded material. Null: not known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrinterTool {
    /// Number of the tool, from 0.
    pub tool: u32,
    pub nozzle_mm: Option<f64>,
    pub material: Option<String>,
    /// `#rrggbb`.
    pub color: Option<String>,
}
