//! What the words of the API mean, in the document: an enum there is a list of words and nothing more.

use std::fmt::Write;

use utoipa::openapi::{OpenApi, RefOr, schema::Schema};

use crate::domain::{
    batch::BatchResult,
    command::{Effect, Outcome, Reason},
    plate::ClearResult,
    state::Reachability,
};

/// Adds the meaning of each word to the description of its vocabulary.
pub fn add(document: &mut OpenApi) {
    describe(document, "Outcome", Outcome::ALL, Outcome::as_str, outcome);
    describe(document, "Effect", Effect::ALL, Effect::as_str, effect);
    describe(document, "BatchResult", BatchResult::ALL, BatchResult::as_str, result);
    describe(document, "Reason", Reason::ALL, Reason::as_str, Reason::sentence);
    describe(document, "ClearResult", ClearResult::ALL, ClearResult::as_str, cleared);
    describe(document, "Reachability", &Reachability::ALL, Reachability::as_str, reachability);
}

fn describe<T: Copy>(
    document: &mut OpenApi,
    name: &str,
    all: &[T],
    word: impl Fn(T) -> &'static str,
    meaning: impl Fn(T) -> &'static str,
) {
    let schemas = document.components.as_mut().map(|components| &mut components.schemas);
    let Some(RefOr::T(Schema::Object(schema))) = schemas.and_then(|schemas| schemas.get_mut(name)) else { return };
    let mut text = schema.description.take().unwrap_or_default();
    text.push('\n');
    for value in all {
        // Writing into a string cannot fail.
        let _ = write!(text, "\n* `{}`: {}", word(*value), meaning(*value));
    }
    schema.description = Some(text);
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Queued => "Not final: it waits for its turn.",
        Outcome::Sent => "Not final: it was committed to be sent, and no answer has come yet.",
        Outcome::Accepted => "Not final: OctoPrint took it, and its effect has not shown yet.",
        Outcome::Confirmed => "The effect was seen.",
        Outcome::Unchanged => "It was so already.",
        Outcome::Rejected => "Refused, for `reason`; nothing was done.",
        Outcome::Unreachable => "No byte of the command was written to the printer.",
        Outcome::Unauthorized => "The printer refused the key.",
        Outcome::Unconfirmed => "Accepted, but the effect did not show: look at the printer.",
        Outcome::Unknown => "Sent, no answer, and reading the printer did not settle it: look at the printer.",
        Outcome::Expired => "Its time passed before it could be sent.",
        Outcome::Skipped => "The batch was stopped, or a cancel overtook it.",
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Done => "The printer does what was asked.",
        Effect::None => "Nothing was done; it may be asked again.",
        Effect::Maybe => "Somebody has to look.",
    }
}

fn result(result: BatchResult) -> &'static str {
    match result {
        BatchResult::Ok => "Every effect is done.",
        BatchResult::Partial => "Some effects are done, the others surely not.",
        BatchResult::Failed => "No effect is done.",
        BatchResult::Uncertain => "At least one effect is a maybe: somebody has to look.",
    }
}

fn cleared(result: ClearResult) -> &'static str {
    match result {
        ClearResult::Cleared => "The plate counts as clear now.",
        ClearResult::AlreadyClear => "It did so before.",
        ClearResult::Printing => "Nothing was changed: it prints.",
        ClearResult::PlateChanged => "Nothing was changed: another print lies there than the one that was meant.",
        ClearResult::NotFound => "There is no such printer.",
        ClearResult::Forbidden => "The printer is outside what you may control.",
    }
}

fn reachability(reachability: Reachability) -> &'static str {
    match reachability {
        Reachability::Online => "OctoPrint answers.",
        Reachability::Unreachable => "No connection, or no answer.",
        Reachability::Unauthorized => "OctoPrint answers, and refuses the key.",
        Reachability::Incompatible => "Something answers, but not as an OctoPrint does.",
        Reachability::Unknown => "Not tried yet, or the printer is disabled.",
    }
}
