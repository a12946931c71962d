//! What production does with a printer next, and why it gets no work, in words.

use super::messages::{t, t_with};
use crate::{
    domain::{attention::AttentionReason, planner::PlanReason},
    service::planner::Outlook,
};

/// Returns what a printer prints next, or why nothing.
pub(super) fn outlook_text(outlook: &Outlook) -> String {
    match outlook {
        Outlook::Prints { file } => t_with("outlook-next", &[("file", file)]),
        Outlook::Waits { code, orders } => idle_text(*code, *orders),
    }
}

/// Returns why a printer gets no copy, with the number of orders that it does not take for this reason.
pub(super) fn idle_text(code: PlanReason, orders: u32) -> String {
    let why = t(idle_id(code));
    if orders == 0 { why.to_owned() } else { t_with("outlook-orders-wait", &[("n", &orders), ("why", &why)]) }
}

/// Returns the message for the reason why a printer gets no copy.
fn idle_id(code: PlanReason) -> &'static str {
    match code {
        PlanReason::ProductionStopped => "order-waits-production-stopped",
        PlanReason::OnHold => "outlook-on-hold",
        PlanReason::AttemptsUsedUp => "outlook-attempts-used-up",
        PlanReason::NotBefore => "outlook-not-before",
        PlanReason::NoPrinterCan => "outlook-no-printer-can",
        PlanReason::SurplusLimit => "outlook-surplus-limit",
        PlanReason::PlateNotClear => "outlook-plate-not-clear",
        PlanReason::PlateNeverCleared => "outlook-plate-never-cleared",
        PlanReason::Attention => "outlook-attention",
        PlanReason::StartUnknown => "outlook-start-unknown",
        PlanReason::BehindOthers => "outlook-behind-others",
        PlanReason::MaxPrinters => "outlook-max-printers",
        PlanReason::FailedHere => "outlook-failed-here",
        PlanReason::Starting => "outlook-starting",
        PlanReason::Uploading => "outlook-uploading",
        PlanReason::Transferring => "outlook-transferring",
        PlanReason::Busy => "outlook-busy",
        PlanReason::Offline => "outlook-offline",
        PlanReason::FileMissing => "outlook-file-missing",
        PlanReason::Color => "outlook-color",
        PlanReason::Material => "outlook-material",
        PlanReason::Nozzle => "outlook-nozzle",
        PlanReason::BedSize => "outlook-bed-size",
        PlanReason::NotOptedIn => "outlook-not-opted-in",
        PlanReason::Draining => "outlook-draining",
        PlanReason::OutOfService => "outlook-out-of-service",
        PlanReason::Disabled => "outlook-disabled",
        PlanReason::Model => "outlook-model",
        PlanReason::Tags => "outlook-tags",
        PlanReason::PrinterIds => "outlook-printer-ids",
        PlanReason::NoOrders => "order-waits-no-orders",
    }
}

/// Returns the message for the reason why a printer is under attention.
pub(super) fn attention_id(reason: AttentionReason) -> &'static str {
    match reason {
        AttentionReason::FailedTwice => "task-failed-twice",
        AttentionReason::StartUnknown => "task-start-unknown",
        AttentionReason::UploadFailed => "task-upload-failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::messages::{Language, has_message};

    #[test]
    fn every_reason_has_words_in_every_language() {
        for language in Language::ALL {
            for code in PlanReason::ALL {
                assert!(has_message(language, idle_id(*code)), "{code} in {language:?}");
            }
            for reason in AttentionReason::ALL {
                assert!(has_message(language, attention_id(*reason)), "{reason} in {language:?}");
            }
        }
    }
}
