//! Labels of orders and copies, and sentences for the reasons why an order waits.

use crate::{
    domain::{
        copy::CopyState,
        order::OrderState,
        planner::{PlanReason, WaitingReason},
    },
    http::dashboard::{
        messages::{t, t_with},
        time::TimeElement,
    },
};

/// A reason why an order waits, as a sentence.
pub(super) struct ReasonText {
    pub text: String,
    /// When it is expected to end.
    pub until: Option<TimeElement>,
}

impl From<&WaitingReason> for ReasonText {
    fn from(reason: &WaitingReason) -> Self {
        let value = reason.detail.as_deref().unwrap_or_default();
        Self {
            text: t_with(reason_id(reason.code), &[("n", &reason.printers), ("value", &value)]),
            until: reason.until.map(TimeElement::date_and_time),
        }
    }
}

fn reason_id(code: PlanReason) -> &'static str {
    match code {
        PlanReason::ProductionStopped => "order-waits-production-stopped",
        PlanReason::OnHold => "order-waits-on-hold",
        PlanReason::AttemptsUsedUp => "order-waits-attempts-used-up",
        PlanReason::NotBefore => "order-waits-not-before",
        PlanReason::NoPrinterCan => "order-waits-no-printer-can",
        PlanReason::SurplusLimit => "order-waits-surplus-limit",
        PlanReason::PlateNotClear => "order-waits-plate-not-clear",
        PlanReason::PlateNeverCleared => "order-waits-plate-never-cleared",
        PlanReason::Attention => "order-waits-attention",
        PlanReason::StartUnknown => "order-waits-start-unknown",
        PlanReason::BehindOthers => "order-waits-behind-others",
        PlanReason::MaxPrinters => "order-waits-max-printers",
        PlanReason::FailedHere => "order-waits-failed-here",
        PlanReason::Starting => "order-waits-starting",
        PlanReason::Uploading => "order-waits-uploading",
        PlanReason::Transferring => "order-waits-transferring",
        PlanReason::Busy => "order-waits-busy",
        PlanReason::Offline => "order-waits-offline",
        PlanReason::FileMissing => "order-waits-file-missing",
        PlanReason::Color => "order-waits-color",
        PlanReason::Material => "order-waits-material",
        PlanReason::Nozzle => "order-waits-nozzle",
        PlanReason::BedSize => "order-waits-bed-size",
        PlanReason::NotOptedIn => "order-waits-not-opted-in",
        PlanReason::Draining => "order-waits-draining",
        PlanReason::OutOfService => "order-waits-out-of-service",
        PlanReason::Disabled => "order-waits-disabled",
        PlanReason::Model => "order-waits-model",
        PlanReason::Tags => "order-waits-tags",
        PlanReason::PrinterIds => "order-waits-printer-ids",
        PlanReason::NoOrders => "order-waits-no-orders",
    }
}

/// Returns the label of an order's state.
pub(super) fn order_state_label(state: OrderState) -> &'static str {
    t(match state {
        OrderState::Queued => "order-state-queued",
        OrderState::Running => "order-state-running",
        OrderState::OnHold => "order-state-on-hold",
        OrderState::Completed => "order-state-completed",
        OrderState::ShortClosed => "order-state-short-closed",
        OrderState::Cancelled => "order-state-cancelled",
    })
}

/// Returns the CSS class of an order's state: amber if a person has to do something.
pub(super) fn order_state_class(state: OrderState) -> &'static str {
    match state {
        OrderState::OnHold => "maybe",
        OrderState::Completed => "good",
        OrderState::Queued | OrderState::Running | OrderState::ShortClosed | OrderState::Cancelled => "quiet",
    }
}

/// Returns the label of a copy's state, and its CSS class.
pub(super) fn copy_state_label(state: CopyState) -> (&'static str, &'static str) {
    match state {
        CopyState::Assigned => (t("order-copy-assigned"), "quiet"),
        CopyState::Uploading => (t("order-copy-uploading"), "quiet"),
        CopyState::Starting => (t("order-copy-starting"), "quiet"),
        CopyState::Printing => (t("word-printing"), "quiet"),
        CopyState::Finished => (t("order-copy-finished"), "good"),
        CopyState::Failed => (t("word-failed"), "bad"),
        CopyState::Cancelled => (t("word-cancelled"), "quiet"),
        CopyState::Lost => (t("order-copy-lost"), "bad"),
        CopyState::Released => (t("order-copy-released"), "quiet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::messages::{Language, has_message};

    #[test]
    fn every_reason_has_a_sentence_in_every_language() {
        for code in PlanReason::ALL {
            for language in Language::ALL {
                assert!(has_message(language, reason_id(*code)), "{code} in {language:?}");
            }
        }
    }
}
