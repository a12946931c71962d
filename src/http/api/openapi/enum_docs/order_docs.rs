//! Descriptions of the enum values of parts, orders and copies.

/// Enums whose values need only a short explanation.
pub(super) const ORDER_ENUM_DOCS: [(&str, &[(&str, &str)]); 10] = [
    (
        "AttentionReason",
        &[
            ("failed_twice", "Two copies in a row failed."),
            ("start_unknown", "The effect of a start stays unknown."),
            ("upload_failed", "A file could not be sent to the printer."),
        ],
    ),
    (
        "CopyState",
        &[
            ("assigned", "The planner chose the printer. Nothing was sent."),
            ("uploading", "The file is being sent to the printer."),
            ("starting", "The start was sent, and its effect was not observed yet."),
            ("printing", "The copy is being printed."),
            ("finished", "Printed to the end."),
            ("failed", "The print or its start failed."),
            ("cancelled", "The print was cancelled, by Printyard or at the printer."),
            ("lost", "The result is not known, or a person gave the copy up."),
            ("released", "The copy was never started."),
        ],
    ),
    (
        "Judgement",
        &[
            ("auto", "Every part of a finished copy counts as good."),
            ("manual", "A person judges every finished copy."),
        ],
    ),
    (
        "OrderState",
        &[
            ("queued", "No copy is active."),
            ("running", "A copy is assigned, uploading, starting or printing."),
            ("on_hold", "No further copy is assigned until the order is released."),
            ("completed", "There are enough good parts, and nothing is printing or unjudged."),
            ("short_closed", "Ended with fewer parts than ordered."),
            ("cancelled", "Ended by a client."),
        ],
    ),
    (
        "PlanReason",
        &[
            ("production_stopped", "The switch of the planner is at stop."),
            ("on_hold", "A person or a client put the order on hold."),
            ("attempts_used_up", "A copy failed as often as the order permits. A release grants new attempts."),
            ("not_before", "The order begins later."),
            ("no_printer_can", "No printer matches the requirements, is enabled and opted in."),
            ("surplus_limit", "A copy would make more parts than `max_surplus` allows."),
            ("plate_not_clear", "A print lies on the plate."),
            ("plate_never_cleared", "No person cleared the plate since the opt-in."),
            ("attention", "A person must look at the printer first."),
            ("start_unknown", "The effect of a start is unknown."),
            ("behind_others", "The printer takes a copy of another order now."),
            ("max_printers", "As many printers as the order permits work on it."),
            ("failed_here", "The printer failed the copy, and another one can make it."),
            ("starting", "An assigned copy is being started."),
            ("uploading", "The file of an assigned copy is being sent."),
            ("transferring", "A file is being sent for something else."),
            ("busy", "The printer prints, or paused after a start that was not made."),
            ("offline", "The printer does not answer or is not connected."),
            ("file_missing", "The library no longer has the content."),
            ("color", "Another colour is loaded."),
            ("material", "Another material is loaded, or none is known."),
            ("nozzle", "Another nozzle is mounted, or none is known."),
            ("bed_size", "The print is larger than the bed."),
            ("not_opted_in", "The planner may not use the printer."),
            ("draining", "The printer gets no new work."),
            ("out_of_service", "The printer is out of service."),
            ("disabled", "The printer is disabled."),
            ("model", "The file is for another model."),
            ("tags", "The printer lacks a required tag."),
            ("printer_ids", "The order names other printers."),
            ("no_orders", "No order waits."),
        ],
    ),
    (
        "PlanRule",
        &[
            ("highest_score", "The order had the highest score of those that the printer could take."),
            ("only_order", "The printer could take no other order."),
        ],
    ),
    ("PlanStateName", &[("running", "Copies are assigned."), ("stopped", "Nothing is assigned. Prints go on.")]),
    ("Quality", &[("unjudged", "The parts were not judged."), ("judged", "`good` and `scrap` are the judgement.")]),
    (
        "RunningCopies",
        &[
            ("finish", "Running copies are printed to their end, and their parts count."),
            ("cancel", "Running copies are cancelled."),
        ],
    ),
    (
        "TaskKind",
        &[
            ("attention", "Look at a printer that gets no work until then."),
            ("clear_plate", "Remove a print, and mark its plate as clear."),
            ("load_material", "Load a material or a colour that an order waits for."),
            ("judge", "Judge the parts of a finished copy."),
        ],
    ),
];
