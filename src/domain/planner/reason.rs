//! The closed list of reasons why an order waits, or why a printer is idle.

use chrono::{DateTime, Utc};

use crate::domain::command::string_enum;

string_enum! {
    /// Why an order waits, or why a printer is idle. In the order of a list of reasons: what a person can change soon
    /// comes first. Clients must accept new values.
    PlanReason {
        /// The farm's switch is at stop.
        ProductionStopped = "production_stopped",
        OnHold = "on_hold",
        AttemptsUsedUp = "attempts_used_up",
        NotBefore = "not_before",
        /// No printer matches the requirements, is enabled and opted in.
        NoPrinterCan = "no_printer_can",
        /// A copy would make more parts than `max_surplus` allows.
        SurplusLimit = "surplus_limit",
        PlateNotClear = "plate_not_clear",
        /// The plate was not cleared since the opt-in.
        PlateNeverCleared = "plate_never_cleared",
        Attention = "attention",
        StartUnknown = "start_unknown",
        /// The printer takes a copy of another order now.
        BehindOthers = "behind_others",
        MaxPrinters = "max_printers",
        /// The printer failed the copy, and another one can make it.
        FailedHere = "failed_here",
        Starting = "starting",
        Uploading = "uploading",
        Transferring = "transferring",
        Busy = "busy",
        Offline = "offline",
        /// The library no longer has the file's content.
        FileMissing = "file_missing",
        Color = "color",
        Material = "material",
        Nozzle = "nozzle",
        BedSize = "bed_size",
        NotOptedIn = "not_opted_in",
        Draining = "draining",
        OutOfService = "out_of_service",
        Disabled = "disabled",
        Model = "model",
        Tags = "tags",
        /// The order names other printers.
        PrinterIds = "printer_ids",
        /// No order waits.
        NoOrders = "no_orders",
    }
}

/// A reason why an order waits. Each printer is counted by one reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct WaitingReason {
    pub code: PlanReason,
    /// Printers to which the reason applies. 0 if it concerns the order itself.
    pub printers: u32,
    /// The required value, such as a material or a model.
    pub detail: Option<String>,
    /// When the reason is expected to end: for `busy`, the first of the prints.
    pub until: Option<DateTime<Utc>>,
}

/// A reason why a printer is idle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct IdleReason {
    pub code: PlanReason,
    /// Waiting orders that the printer does not take for this reason. 0 if it concerns the printer itself. Each waiting
    /// order is counted by one reason.
    pub orders: u32,
    pub until: Option<DateTime<Utc>>,
}

impl WaitingReason {
    /// A reason that concerns the order itself.
    pub(super) fn of_order(code: PlanReason, until: Option<DateTime<Utc>>) -> Self {
        Self { code, printers: 0, detail: None, until }
    }
}

impl IdleReason {
    /// A reason that concerns the printer itself.
    pub(super) fn of_printer(code: PlanReason, until: Option<DateTime<Utc>>) -> Self {
        Self { code, orders: 0, until }
    }
}
