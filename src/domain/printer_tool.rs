//! A tool of a printer: its nozzle and the loaded filament.

use serde::{Deserialize, Serialize};

/// A tool of a printer, with the filament that is loaded. Absent fields are unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrinterTool {
    /// Number of the tool, as in `T0`. The flat fields of a printer are tool 0.
    pub tool: u32,
    pub nozzle_mm: Option<f64>,
    pub material: Option<String>,
    /// `#rrggbb`.
    pub color: Option<String>,
}
