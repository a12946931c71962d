//! Descriptions of the enum values in the OpenAPI document. OpenAPI enums list values without descriptions.

mod order_docs;

use std::fmt::{Display, Write};

use utoipa::openapi::{OpenApi, RefOr, schema::Schema};

use crate::{
    domain::{
        batch::BatchResult,
        command::{Effect, Outcome, Reason},
        plate::ClearResult,
        state::Reachability,
    },
    http::messages::english,
};

/// Appends the meaning of each value to the description of its enum.
pub fn add_enum_docs(document: &mut OpenApi) {
    describe_enum(document, "Outcome", Outcome::ALL, Outcome::as_str, describe_outcome);
    describe_enum(document, "Effect", Effect::ALL, Effect::as_str, describe_effect);
    describe_enum(document, "BatchResult", BatchResult::ALL, BatchResult::as_str, describe_batch_result);
    describe_enum(document, "Reason", Reason::ALL, Reason::as_str, |reason| english(&reason.message()));
    describe_enum(document, "ClearResult", ClearResult::ALL, ClearResult::as_str, describe_clear_result);
    describe_enum(document, "Reachability", &Reachability::ALL, Reachability::as_str, describe_reachability);
    for (name, words) in ENUM_DOCS.iter().chain(&order_docs::ORDER_ENUM_DOCS) {
        describe_enum(document, name, words, |(word, _)| word, |(_, meaning)| meaning);
    }
}

const COMMANDS: [(&str, &str); 9] = [
    ("start", "Prints the selected file, or `file`."),
    ("pause", "Pauses the print."),
    ("resume", "Resumes a paused print."),
    ("toggle", "Pauses a printer that prints and resumes a paused one. Resolved once."),
    ("cancel", "Cancels the print."),
    ("restart", "Cancels the print and starts it again."),
    ("connect", "Connects OctoPrint to its printer."),
    ("disconnect", "Disconnects OctoPrint from its printer."),
    ("emergency_stop", "Stops motors and heaters at once (`M112`). Only `POST /emergency-stop` creates it."),
];

/// All commands except the emergency stop.
const BATCH_COMMANDS: &[(&str, &str)] = COMMANDS.split_at(COMMANDS.len() - 1).0;

/// Enums whose values need only a short explanation.
const ENUM_DOCS: [(&str, &[(&str, &str)]); 24] = [
    (
        "ActorKind",
        &[
            ("command", "A command of Printyard. `command_id` is its id."),
            ("printer", "A person at the printer, or another program."),
            ("unknown", "Not known: Printyard did not observe the printer at that time."),
        ],
    ),
    (
        "AuditActorKind",
        &[
            ("user", "A user who was logged in."),
            ("token", "A program, by its token."),
            ("admin_token", "The holder of the token in the server's settings."),
            ("terminal", "A person at the command line of the server."),
            ("scheduler", "The server itself, for example by a schedule."),
            ("planner", "The planner, which starts the copies of orders."),
            ("printer", "A person at the printer, or another program."),
            ("setup", "The person who opened the set-up link."),
        ],
    ),
    (
        "BatchState",
        &[
            ("scheduled", "Nothing is sent before `not_before`."),
            ("running", "Some commands have not ended."),
            ("finished", "Every command has ended."),
            ("stopped", "Nothing more is sent. Commands that were sent may still have to end."),
            ("dry_run", "Nothing was created. This is what would happen."),
        ],
    ),
    ("Command", &COMMANDS),
    ("BatchCommand", BATCH_COMMANDS),
    (
        "AnalysisState",
        &[
            ("pending", "The file is being read."),
            ("done", "The file was read."),
            ("failed", "The file could not be read. It can be printed all the same."),
        ],
    ),
    (
        "FileFormat",
        &[
            ("gcode", "G-code as text."),
            ("bgcode", "Binary G-code. Printers get it as text."),
            ("gcode_3mf", "A sliced 3MF project with one plate. Printers get the G-code of the plate."),
        ],
    ),
    (
        "FitPolicy",
        &[
            ("check", "The command is rejected if a known model, nozzle or bed contradicts the file."),
            ("ignore", "The file is printed in any case."),
        ],
    ),
    (
        "TransferState",
        &[
            ("queued", "The printer does not have the file yet."),
            ("running", "The file is being sent to the printer."),
            ("done", "The printer has the file."),
            ("failed", "The file could not be sent."),
        ],
    ),
    (
        "OnFailure",
        &[("continue", "A failed command does not stop the others."), ("stop", "The first failure stops the batch.")],
    ),
    (
        "PlatePolicy",
        &[
            ("check", "No print starts on a plate that is not known to be clear."),
            ("assume_clear", "A person has checked the plates and says so in `reason`."),
        ],
    ),
    (
        "PlateState",
        &[("clear", "A print may start."), ("occupied", "A print is on the plate until a person marks it as clear.")],
    ),
    (
        "PrintResult",
        &[
            ("done", "The print was completed."),
            ("failed", "An error ended the print."),
            ("cancelled", "The print was cancelled."),
            ("unknown", "The print ended while the printer was not observed."),
        ],
    ),
    (
        "PrinterState",
        &[
            ("operational", "Connected, and without a job."),
            ("starting", "A print starts: it heats, or runs its first lines."),
            ("printing", "A print is under way."),
            ("pausing", "The print is about to be paused."),
            ("paused", "A print waits to be resumed."),
            ("resuming", "The print is about to continue."),
            ("finishing", "The last lines of a print are being executed."),
            ("cancelling", "A print is being cancelled."),
            ("transferring", "A file is being copied to the SD card. This is not a print."),
            ("offline", "OctoPrint has no connection to its printer."),
            ("connecting", "OctoPrint is connecting to its printer."),
            ("error", "OctoPrint reports an error of the printer."),
            ("unknown", "Not observed, or a state that Printyard does not know."),
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
            ("pending", "Waits to be sent, or sent again."),
            ("delivered", "The receiver accepted it (2xx)."),
            ("failed", "It is not sent again: the receiver was removed, or the event is no longer available."),
            ("abandoned", "Every attempt has failed."),
        ],
    ),
    (
        "DisabledReason",
        &[("gone", "The receiver responded with 410."), ("failing", "No delivery has succeeded for days.")],
    ),
    (
        "EventType",
        &[
            ("printer.registered", "A printer was added."),
            ("printer.updated", "The settings of a printer were changed."),
            ("printer.removed", "A printer was removed."),
            ("printer.online", "A printer responds."),
            ("printer.offline", "A printer does not respond, refuses its key, or is not an OctoPrint."),
            ("printer.state_changed", "The state of a printer changed. States of less than a second are left out."),
            (
                "printer.noisy",
                "Prints arrived too fast to be stored. The oldest finished ones were merged into this event.",
            ),
            ("printer.attention", "The planner starts nothing on a printer until a person has looked at it."),
            ("printer.attention_cleared", "A person has looked at a printer that needed attention."),
            ("plan.stopped", "The planner was stopped: nothing is assigned."),
            ("plan.resumed", "The planner assigns again."),
            ("print.started", "A print started, by Printyard or otherwise."),
            ("print.paused", "A print was paused."),
            ("print.resumed", "A print was resumed."),
            ("print.stalled", "The printer reports a print, but the file position does not advance. A warning only."),
            ("print.finished", "A print was completed."),
            ("print.failed", "A print failed."),
            ("print.cancelled", "A print was cancelled."),
            ("print.unknown", "A print ended while the printer was not observed. Its result is not known."),
            ("batch.created", "A batch was created."),
            ("batch.finished", "The last command of a batch has ended."),
            ("command.finished", "One printer's command has its final outcome."),
            ("command.settled", "The effect of a command that had ended with an unknown effect was observed later."),
            ("plate.clear_needed", "A print has ended. It is on the plate until a person marks the plate as clear."),
            ("plate.cleared", "A plate was marked as clear."),
            ("file.added", "A file of the library is new, or has a new content."),
            ("file.removed", "A file was removed from the library."),
            ("part.updated", "A part was created or changed."),
            ("part.removed", "A part was removed."),
            ("order.created", "An order was made."),
            ("order.updated", "A client changed the order, or counted parts by hand."),
            ("order.started", "The first copy of an order is printing."),
            ("order.held", "An order was put on hold: by a client, or because a copy used up its attempts."),
            ("order.released", "A client released an order, which grants new attempts."),
            ("order.completed", "An order has enough good parts, and nothing is printing or unjudged."),
            ("order.reopened", "A completed order has too few good parts again."),
            ("order.cancelled", "A client cancelled an order."),
            ("order.short_closed", "A client ended an order with fewer parts than ordered."),
            ("copy.started", "The print of a copy began."),
            ("copy.finished", "A copy was printed to its end."),
            ("copy.failed", "The print or the start of a copy failed. Another copy replaces it."),
            ("copy.cancelled", "The print of a copy was cancelled. Another copy replaces it."),
            ("copy.lost", "A copy was given up. Another copy replaces it."),
            ("copy.released", "A copy was never started. Its printer is free for another one."),
            ("copy.judged", "The parts of a copy were judged, or judged again."),
        ],
    ),
    (
        "BatchOrigin",
        &[
            ("client", "A user or an API client created the batch."),
            ("planner", "The planner starts a copy of an order."),
        ],
    ),
    (
        "Role",
        &[
            ("viewer", "May read."),
            ("operator", "May also command printers."),
            ("manager", "May also change the printer registry."),
            ("admin", "May do everything, including users and tokens."),
        ],
    ),
    (
        "ServiceState",
        &[
            ("in_service", "The printer takes every command."),
            (
                "draining",
                "The printer finishes its print, and gets no new work automatically. Commands are not refused.",
            ),
            ("out_of_service", "`start`, `restart` and `resume` are rejected. Every other command is sent."),
        ],
    ),
    (
        "Step",
        &[
            ("start", "The request to start the print was sent."),
            ("pause", "The request to pause was sent."),
            ("resume", "The request to resume was sent."),
            ("cancel", "The request to cancel was sent."),
            ("connect", "The request to connect was sent."),
            ("disconnect", "The request to disconnect was sent."),
            ("emergency_stop", "`M112` was sent."),
        ],
    ),
    (
        "WhenUnreachable",
        &[
            ("fail", "One attempt. The command ends as `unreachable` if it fails."),
            ("wait", "The command waits for the printer until it expires."),
        ],
    ),
    (
        "Would",
        &[
            ("send", "The command would be sent."),
            ("wait", "The printer is in a transitional state. The command would wait until that state ends."),
            ("unchanged", "The printer is already in the requested state."),
            ("reject", "The command would be rejected, for `reason`."),
        ],
    ),
];

fn describe_enum<T: Copy, Text: Display>(
    document: &mut OpenApi,
    name: &str,
    all: &[T],
    word: impl Fn(T) -> &'static str,
    meaning: impl Fn(T) -> Text,
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

fn describe_outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Queued => "Not final: the command waits for its turn.",
        Outcome::Sent => "Not final: the command was committed to be sent, and no reply was received yet.",
        Outcome::Accepted => "Not final: OctoPrint accepted the command, and its effect was not observed yet.",
        Outcome::Confirmed => "The effect was observed.",
        Outcome::Unchanged => "The printer was already in the requested state.",
        Outcome::Rejected => "Rejected, for `reason`. Nothing was done.",
        Outcome::Unreachable => "No byte of the command was written to the printer.",
        Outcome::Unauthorized => "OctoPrint refused the key, or a proxy in front of it refused the login.",
        Outcome::Unconfirmed => "Accepted, but the effect was not observed. Check the printer.",
        Outcome::Unknown => "Sent without a reply, and reading the printer did not show the effect. Check the printer.",
        Outcome::Expired => "The command expired before it could be sent.",
        Outcome::Skipped => "The batch was stopped, or a cancel or an emergency stop overtook the command.",
    }
}

fn describe_effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Done => "The printer did what was asked.",
        Effect::None => "Nothing was done. The command may be sent again.",
        Effect::Maybe => "Not known. A person must check the printer.",
    }
}

fn describe_batch_result(result: BatchResult) -> &'static str {
    match result {
        BatchResult::Ok => "Every effect is done.",
        BatchResult::Partial => "Some effects are done. The others are certainly not done.",
        BatchResult::Failed => "No effect is done.",
        BatchResult::Uncertain => "At least one effect is not known. A person must check the printer.",
    }
}

fn describe_clear_result(result: ClearResult) -> &'static str {
    match result {
        ClearResult::Cleared => "The plate counts as clear now.",
        ClearResult::AlreadyClear => "The plate was already clear.",
        ClearResult::Printing => "Nothing was changed: the printer prints.",
        ClearResult::PlateChanged => "Nothing was changed: a different print is on the plate.",
        ClearResult::NotFound => "There is no such printer.",
        ClearResult::Forbidden => "The token may not control this printer.",
    }
}

fn describe_reachability(reachability: Reachability) -> &'static str {
    match reachability {
        Reachability::Online => "OctoPrint responds.",
        Reachability::Unreachable => "No connection, or no response.",
        Reachability::Unauthorized => "OctoPrint refuses the key, or a proxy in front of it refuses the login.",
        Reachability::Incompatible => "A server responds, but not like OctoPrint.",
        Reachability::Unknown => "Not contacted yet, or the printer is disabled.",
    }
}
