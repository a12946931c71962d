//! OpenAPI schemas and examples of event `data`, by event type.

#![expect(dead_code, reason = "they describe the `data` that `domain/event.rs` builds; no code constructs them")]

mod examples;
mod orders;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Components, RefOr, schema::Schema},
};
use uuid::Uuid;

pub use self::examples::example_data;
use crate::domain::{
    attention::AttentionReason,
    batch::{BatchCounts, BatchResult, BatchState},
    command::{Command, Effect, FileRef, Outcome, Reason, SettledEffect},
    event::EventType,
    print::{PrintActor, PrintResult},
    printer_tool::PrinterTool,
    production::Production,
    state::{PrinterState, Reachability},
};

/// A printer that was registered or removed.
// `openapi::printer_profile` adds the fields of the profile.
#[derive(ToSchema)]
struct PrinterEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    name: String,
    url: String,
    tags: Vec<String>,
    enabled: bool,
    /// Absent in events of earlier versions.
    #[schema(required = false)]
    production: Production,
    /// Tools beside tool 0.
    #[schema(required = false)]
    other_tools: Vec<PrinterTool>,
}

/// A printer that was changed.
#[derive(ToSchema)]
struct PrinterUpdatedEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    /// Changed fields by name, each as `[before, after]`. A bulk change has `tags_added` and `tags_removed`. Never
    /// contains a key.
    changes: Map<String, Value>,
}

/// A change of a printer's reachability.
#[derive(ToSchema)]
struct ReachEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    reachability: Reachability,
    /// Null: the printer was not contacted before.
    before: Option<Reachability>,
}

/// A change of a printer's state.
#[derive(ToSchema)]
struct StateEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    state: PrinterState,
    /// Null: no state was observed before.
    before: Option<PrinterState>,
}

/// Printer facts that arrived faster than they could be stored, and were merged. The `print.*` events and rows of these
/// prints are missing. The last print of a printer is never merged.
#[derive(ToSchema)]
struct PrinterNoisyEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    /// Finished prints that were merged.
    prints: u64,
    /// Pauses, resumes and stall warnings of other prints that were merged.
    changes: u64,
    /// When the first merged fact was observed.
    from: DateTime<Utc>,
    /// When the last merged fact was observed.
    until: DateTime<Utc>,
}

/// A printer that needs attention, or does not need it any more.
#[derive(ToSchema)]
struct AttentionEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    reason: AttentionReason,
    since: DateTime<Utc>,
}

/// A print that was started, by Printyard or otherwise.
#[derive(ToSchema)]
struct PrintStartedEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    print_id: Uuid,
    /// The command that started the print. Null if no command did.
    command_id: Option<Uuid>,
    /// The batch of that command.
    batch_id: Option<Uuid>,
    /// The reference of that batch.
    external_ref: Option<String>,
    file: Option<FileRef>,
    /// What started the print: a command, or an action at the printer.
    by: PrintActor,
}

/// A print that was paused or resumed.
#[derive(ToSchema)]
struct PrintHeldEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    print_id: Uuid,
    /// The command that started the print. Null if no command did.
    command_id: Option<Uuid>,
    /// The batch of that command.
    batch_id: Option<Uuid>,
    /// The reference of that batch.
    external_ref: Option<String>,
    /// What paused or resumed the print: a command, or an action at the printer.
    by: PrintActor,
}

/// A print whose file position does not advance.
#[derive(ToSchema)]
struct PrintStalledEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    print_id: Uuid,
    /// The command that started the print. Null if no command did.
    command_id: Option<Uuid>,
    /// The batch of that command.
    batch_id: Option<Uuid>,
    /// The reference of that batch.
    external_ref: Option<String>,
    stalled_since: DateTime<Utc>,
}

/// A print that has ended.
#[derive(ToSchema)]
struct PrintEndedEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    print_id: Uuid,
    /// The command that started the print. Null if no command did.
    command_id: Option<Uuid>,
    /// The batch of that command.
    batch_id: Option<Uuid>,
    /// The reference of that batch.
    external_ref: Option<String>,
    result: PrintResult,
    /// Reason as the printer reported it, if it did.
    reason: Option<String>,
    /// What ended the print: a command, or an action at the printer.
    by: PrintActor,
}

/// A batch that was created. Optional fields that were not set are absent.
#[derive(ToSchema)]
struct BatchCreatedEventData {
    batch_id: Uuid,
    command: Command,
    /// Number of printers that the reader may see.
    total: i64,
    #[schema(required = false)]
    reason: Option<String>,
    #[schema(required = false)]
    external_ref: Option<String>,
}

/// A batch whose last command has ended.
#[derive(ToSchema)]
struct BatchFinishedEventData {
    batch_id: Uuid,
    /// `finished` or `stopped`.
    state: BatchState,
    result: BatchResult,
    /// The same counts as in the batch.
    counts: BatchCounts,
    /// Number of printers. Present only if the reader may see just some of them.
    #[schema(required = false)]
    total: Option<i64>,
}

/// A command that has ended, as in its row of the batch.
#[derive(ToSchema)]
struct CommandEventData {
    command_id: Uuid,
    batch_id: Uuid,
    printer_id: Uuid,
    printer_name: String,
    command: Command,
    resolved_command: Option<Command>,
    outcome: Outcome,
    r#final: bool,
    effect: Effect,
    reason: Option<Reason>,
    detail: Option<String>,
    print_id: Option<Uuid>,
    state_before: Option<PrinterState>,
    state_after: Option<PrinterState>,
    attempts: i64,
    sent_at: Option<DateTime<Utc>>,
    accepted_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    latency_ms: Option<i64>,
    /// With `command.settled`: the effect that was observed later.
    settled: Option<SettledEffect>,
}

/// A plate that needs clearing, or was cleared.
#[derive(ToSchema)]
struct PlateEventData {
    printer_id: Uuid,
    printer_name: Option<String>,
    /// The print on the plate. Absent if the plate was cleared without naming a print.
    #[schema(required = false)]
    print_id: Option<Uuid>,
}

/// A file of the library that got a content, or was removed.
#[derive(ToSchema)]
struct FileEventData {
    file_id: Uuid,
    name: String,
    folder: String,
    sha256: String,
    /// Bytes.
    size: u64,
}

/// The switch of the planner was used.
#[derive(ToSchema)]
struct PlanEventData {
    reason: Option<String>,
}

/// Returns the schema name of an event's `data`.
pub fn schema_name(kind: EventType) -> &'static str {
    match kind {
        EventType::PrinterRegistered | EventType::PrinterRemoved => "PrinterEventData",
        EventType::PrinterUpdated => "PrinterUpdatedEventData",
        EventType::PrinterOnline | EventType::PrinterOffline => "ReachEventData",
        EventType::PrinterStateChanged => "StateEventData",
        EventType::PrinterNoisy => "PrinterNoisyEventData",
        EventType::PrinterAttention | EventType::PrinterAttentionCleared => "AttentionEventData",
        EventType::PlanStopped | EventType::PlanResumed => "PlanEventData",
        EventType::PrintStarted => "PrintStartedEventData",
        EventType::PrintPaused | EventType::PrintResumed => "PrintHeldEventData",
        EventType::PrintStalled => "PrintStalledEventData",
        EventType::PrintFinished | EventType::PrintFailed | EventType::PrintCancelled | EventType::PrintUnknown => {
            "PrintEndedEventData"
        }
        EventType::BatchCreated => "BatchCreatedEventData",
        EventType::BatchFinished => "BatchFinishedEventData",
        EventType::CommandFinished | EventType::CommandSettled => "CommandEventData",
        EventType::PlateClearNeeded | EventType::PlateCleared => "PlateEventData",
        EventType::FileAdded | EventType::FileRemoved => "FileEventData",
        EventType::PartUpdated | EventType::PartRemoved => "PartEventData",
        EventType::OrderCreated
        | EventType::OrderUpdated
        | EventType::OrderStarted
        | EventType::OrderHeld
        | EventType::OrderReleased
        | EventType::OrderCompleted
        | EventType::OrderReopened
        | EventType::OrderCancelled
        | EventType::OrderShortClosed => "OrderEventData",
        EventType::CopyStarted
        | EventType::CopyFinished
        | EventType::CopyFailed
        | EventType::CopyCancelled
        | EventType::CopyLost
        | EventType::CopyReleased
        | EventType::CopyJudged => "CopyEventData",
    }
}

/// Adds the schemas of event `data`, and the schemas that they reference.
pub fn add_schemas(components: &mut Components) {
    add_schema::<PrinterEventData>(components, EventType::PrinterRegistered);
    add_schema::<PrinterUpdatedEventData>(components, EventType::PrinterUpdated);
    add_schema::<ReachEventData>(components, EventType::PrinterOffline);
    add_schema::<StateEventData>(components, EventType::PrinterStateChanged);
    add_schema::<PrinterNoisyEventData>(components, EventType::PrinterNoisy);
    add_schema::<AttentionEventData>(components, EventType::PrinterAttention);
    add_schema::<PlanEventData>(components, EventType::PlanStopped);
    add_schema::<PrintStartedEventData>(components, EventType::PrintStarted);
    add_schema::<PrintHeldEventData>(components, EventType::PrintPaused);
    add_schema::<PrintStalledEventData>(components, EventType::PrintStalled);
    add_schema::<PrintEndedEventData>(components, EventType::PrintFailed);
    add_schema::<BatchCreatedEventData>(components, EventType::BatchCreated);
    add_schema::<BatchFinishedEventData>(components, EventType::BatchFinished);
    add_schema::<CommandEventData>(components, EventType::CommandFinished);
    add_schema::<PlateEventData>(components, EventType::PlateClearNeeded);
    add_schema::<FileEventData>(components, EventType::FileAdded);
    add_schema::<orders::PartEventData>(components, EventType::PartUpdated);
    add_schema::<orders::OrderEventData>(components, EventType::OrderUpdated);
    add_schema::<orders::CopyEventData>(components, EventType::CopyJudged);
}

fn add_schema<T: ToSchema + PartialSchema>(components: &mut Components, kind: EventType) {
    let mut referenced = Vec::new();
    T::schemas(&mut referenced);
    for (name, schema) in referenced {
        components.schemas.entry(name).or_insert(schema);
    }
    let mut schema = T::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.examples = vec![example_data(kind)];
        let types: Vec<&str> = EventType::ALL
            .iter()
            .filter(|one| schema_name(**one) == schema_name(kind))
            .map(|one| one.as_str())
            .collect();
        let description = object.description.take().unwrap_or_default();
        object.description = Some(format!("`data` of {}: {description}", types.join(", ")));
    }
    components.schemas.insert(schema_name(kind).to_owned(), schema);
}
