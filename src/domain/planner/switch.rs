//! The switch of the farm.

use chrono::{DateTime, Utc};

/// Whether the planner may assign copies.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct PlanSwitch {
    /// Nothing is assigned. Prints go on.
    pub is_stopped: bool,
    pub reason: Option<String>,
    /// When the switch was used last.
    pub since: Option<DateTime<Utc>>,
    /// The user or token that used it last.
    pub by: Option<String>,
}
