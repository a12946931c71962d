//! Descriptions of the enum values of parts, orders and copies.

/// Enums whose values need only a short explanation.
pub(super) const ORDER_ENUM_DOCS: [(&str, &[(&str, &str)]); 6] = [
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
    ("Quality", &[("unjudged", "The parts were not judged."), ("judged", "`good` and `scrap` are the judgement.")]),
    (
        "RunningCopies",
        &[
            ("finish", "Running copies are printed to their end, and their parts count."),
            ("cancel", "Running copies are cancelled."),
        ],
    ),
];
