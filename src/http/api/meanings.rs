//! Descriptions of the enum values in the OpenAPI document. OpenAPI enums list values without descriptions.

use std::fmt::Write;

use utoipa::openapi::{OpenApi, RefOr, schema::Schema};

use crate::domain::{
    batch::BatchResult,
    command::{Effect, Outcome, Reason},
    plate::ClearResult,
    state::Reachability,
};

/// Appends the meaning of each value to the description of its enum.
pub fn add(document: &mut OpenApi) {
    describe(document, "Outcome", Outcome::ALL, Outcome::as_str, outcome);
    describe(document, "Effect", Effect::ALL, Effect::as_str, effect);
    describe(document, "BatchResult", BatchResult::ALL, BatchResult::as_str, result);
    describe(document, "Reason", Reason::ALL, Reason::as_str, Reason::sentence);
    describe(document, "ClearResult", ClearResult::ALL, ClearResult::as_str, cleared);
    describe(document, "Reachability", &Reachability::ALL, Reachability::as_str, reachability);
    for (name, words) in PLAIN {
        describe(document, name, words, |(word, _)| word, |(_, meaning)| meaning);
    }
}

/// Enums whose values need only a short explanation.
const PLAIN: [(&str, &[(&str, &str)]); 17] = [
    (
        "ActorKind",
        &[
            ("command", "A command of Printyard's: `command_id` says which."),
            ("printer", "Somebody at the printer, or another program."),
            ("unknown", "It began while nobody watched."),
        ],
    ),
    (
        "AuditActorKind",
        &[
            ("user", "A person who was logged in."),
            ("token", "A program, by its token."),
            ("admin_token", "Whoever holds the token that the operator of the server has set."),
            ("terminal", "Somebody at the server's own command line."),
            ("scheduler", "The server itself, as it was told to before."),
            ("printer", "Somebody at the printer, or another program."),
            ("setup", "Whoever set the server up by its first link."),
        ],
    ),
    (
        "BatchState",
        &[
            ("scheduled", "Nothing is sent before `not_before`."),
            ("running", "Not every command has ended."),
            ("finished", "Every command has ended."),
            ("stopped", "Nothing more is sent; what was sent may still have to end."),
            ("dry_run", "Nothing was made: this is what would happen."),
        ],
    ),
    (
        "Command",
        &[
            ("start", "Prints the selected file, or `file`."),
            ("pause", "Pauses the print."),
            ("resume", "Goes on with a paused print."),
            ("toggle", "Pauses what prints and resumes what is paused; resolved once."),
            ("cancel", "Ends the print for good."),
            ("restart", "Ends the print and begins it again."),
            ("connect", "Connects OctoPrint with its printer."),
            ("disconnect", "Takes OctoPrint's connection to its printer away."),
        ],
    ),
    (
        "OnFailure",
        &[("continue", "A command that fails stops no other."), ("stop", "The first one that fails stops the batch.")],
    ),
    (
        "PlatePolicy",
        &[
            ("check", "A plate that is not known to be clear is not printed on."),
            ("assume_clear", "Somebody has looked, and says so in `reason`."),
        ],
    ),
    (
        "PlateState",
        &[("clear", "A print may begin."), ("occupied", "A print lies there until somebody says that it does not.")],
    ),
    (
        "PrintResult",
        &[
            ("done", "It was printed to its end."),
            ("failed", "It ended by an error."),
            ("cancelled", "Somebody ended it."),
            ("unknown", "It ended while nobody watched."),
        ],
    ),
    (
        "PrinterState",
        &[
            ("operational", "Connected, and without a job."),
            ("starting", "A print begins: it heats, or runs its first lines."),
            ("printing", "A print is under way."),
            ("pausing", "It will be paused in a moment."),
            ("paused", "A print waits to be resumed."),
            ("resuming", "It will print in a moment."),
            ("finishing", "The last lines of a print are under way."),
            ("cancelling", "A print is being ended."),
            ("transferring", "A file goes to the SD card. It is no print."),
            ("offline", "OctoPrint has no connection to its printer."),
            ("connecting", "OctoPrint is connecting to its printer."),
            ("error", "OctoPrint reports an error of the printer."),
            ("unknown", "Not seen, or a state that Printyard does not know."),
        ],
    ),
    (
        "ChannelFailure",
        &[
            ("login_refused", "OctoPrint refuses the login for events, or has ended the session."),
            ("login_failed", "The login for events fails, or its reply has no session."),
            ("login_not_confirmed", "The event socket is open, and OctoPrint does not confirm the login."),
            ("socket_refused", "The event socket is refused, by a proxy for example."),
            ("socket_lost", "The event socket was closed, or does not reply."),
        ],
    ),
    (
        "DeliveryState",
        &[
            ("pending", "To be sent, or sent again."),
            ("delivered", "Its receiver took it (2xx)."),
            ("failed", "It is not sent again: its receiver is gone, or the event cannot be told any more."),
            ("abandoned", "Every attempt has failed."),
        ],
    ),
    ("DisabledReason", &[("gone", "Its receiver answered 410."), ("failing", "Nothing has got through for days.")]),
    (
        "EventType",
        &[
            ("printer.registered", "It was added to the register."),
            ("printer.updated", "Something of it was changed in the register."),
            ("printer.removed", "It was taken out of the register."),
            ("printer.online", "It answers."),
            ("printer.offline", "It does not answer, refuses its key, or is no OctoPrint."),
            ("printer.state_changed", "It is in another state; those that pass within a second are left out."),
            (
                "printer.noisy",
                "Its prints came faster than they could be stored: the oldest finished ones were merged into this event.",
            ),
            ("print.started", "A print began, whoever began it."),
            ("print.paused", "It was paused."),
            ("print.resumed", "It goes on."),
            ("print.stalled", "It says that it prints, and its file stands still: a warning, nothing was done."),
            ("print.finished", "It was done to its end."),
            ("print.failed", "It failed."),
            ("print.cancelled", "It was cancelled."),
            ("print.unknown", "It ended while nobody watched: how is not known."),
            ("batch.created", "A command was given to printers."),
            ("batch.finished", "The last command of a batch has ended."),
            ("command.finished", "One printer's command has its final outcome."),
            ("command.settled", "The effect of a command that ended as a maybe came to light."),
            ("plate.clear_needed", "A print has ended and lies on the plate until somebody says that it is clear."),
            ("plate.cleared", "Somebody said that the plate is clear."),
        ],
    ),
    (
        "Role",
        &[
            ("viewer", "May look."),
            ("operator", "May command printers, too."),
            ("manager", "May change the register, too."),
            ("admin", "May do everything, users and tokens included."),
        ],
    ),
    (
        "Step",
        &[
            ("start", "The print was begun."),
            ("pause", "It was told to pause."),
            ("resume", "It was told to resume."),
            ("cancel", "It was told to cancel."),
            ("connect", "It was told to connect."),
            ("disconnect", "It was told to disconnect."),
        ],
    ),
    (
        "WhenUnreachable",
        &[
            ("fail", "It is tried once, and ends as `unreachable`."),
            ("wait", "It waits for the printer until its time is over."),
        ],
    ),
    (
        "Would",
        &[
            ("send", "It would be sent."),
            ("wait", "The printer is in a passing state: it would wait for its end."),
            ("unchanged", "It is so already."),
            ("reject", "It would be refused, for `reason`."),
        ],
    ),
];

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
        // Writing to a `String` cannot fail.
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
        Outcome::Unauthorized => "The printer refused the key, or a web server before it the login.",
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
        Reachability::Unauthorized => "OctoPrint refuses the key, or a web server before it the login.",
        Reachability::Incompatible => "Something answers, but not as an OctoPrint does.",
        Reachability::Unknown => "Not tried yet, or the printer is disabled.",
    }
}
