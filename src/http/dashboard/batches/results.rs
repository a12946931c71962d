//! Labels for the result of one command.

use crate::{
    domain::command::{CommandRow, Effect, Outcome, Reason, ResultClass},
    http::dashboard::{
        labels,
        messages::{t, text_of},
    },
};

/// The result of one command.
pub(in crate::http::dashboard) struct ResultLabels {
    pub label: &'static str,
    /// The reason, if there is one.
    pub reason: String,
    /// The outcome as in the API, for the tooltip.
    pub code: &'static str,
    pub class: &'static str,
    pub late_result: Option<&'static str>,
}

/// Returns the labels for a row of the command log, in any state.
pub(in crate::http::dashboard) fn result_labels(row: &CommandRow) -> ResultLabels {
    let command = row.resolved_command.unwrap_or(row.command);
    let class = row.result_class();
    let refused_by_printer = matches!(row.reason, None | Some(Reason::PrinterRefused | Reason::PrinterProtocol));
    let (label, default_reason) = match row.outcome {
        Outcome::Queued => (t("batch-queued"), ""),
        Outcome::Sent => (t("batch-sent"), ""),
        Outcome::Accepted => (t("batch-accepted"), ""),
        Outcome::Confirmed => (labels::effect_label(command), ""),
        Outcome::Unchanged => (t("batch-left-alone"), labels::unchanged_label(command)),
        Outcome::Unreachable => (t("word-no-answer"), t("batch-unreachable-why")),
        Outcome::Unauthorized => (t("word-access-denied"), t("batch-unauthorized-why")),
        Outcome::Expired => (t("batch-expired"), t("batch-expired-why")),
        Outcome::Rejected | Outcome::Skipped if class == ResultClass::LeftAlone => (t("batch-left-alone"), ""),
        Outcome::Skipped => (t("batch-skipped"), t("batch-skipped-why")),
        Outcome::Unconfirmed => (t("batch-unconfirmed"), t("batch-check-printer")),
        Outcome::Unknown => (t("batch-unknown"), t("batch-check-printer")),
        Outcome::Rejected if refused_by_printer => (t("batch-rejected"), t("batch-rejected-why")),
        Outcome::Rejected => (t("word-failed"), ""),
    };
    let reason = row.explanation().map(|message| text_of(&message));
    ResultLabels {
        label,
        reason: reason.unwrap_or_else(|| default_reason.to_owned()),
        code: row.reason.map_or(row.outcome.as_str(), Reason::as_str),
        class: match class {
            ResultClass::Working | ResultClass::LeftAlone | ResultClass::NotSent => "quiet",
            ResultClass::Done => "good",
            ResultClass::Failed => "bad",
            ResultClass::Unknown => "maybe",
        },
        late_result: row.settled.map(|settled| match settled.effect {
            Effect::Done => t("batch-later-done"),
            Effect::None => t("batch-later-not-done"),
            Effect::Maybe => t("batch-later-unknown"),
        }),
    }
}
