//! Printers that get no work from the planner until a person has looked at them.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::command::string_enum;

string_enum! {
    /// Why a printer needs attention.
    AttentionReason {
        /// Two copies in a row failed.
        FailedTwice = "failed_twice",
        /// The effect of a start stays unknown.
        StartUnknown = "start_unknown",
        /// A file could not be sent to the printer.
        UploadFailed = "upload_failed",
    }
}

/// A printer needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Attention {
    pub reason: AttentionReason,
    pub since: DateTime<Utc>,
}
