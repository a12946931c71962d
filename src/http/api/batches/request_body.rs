//! Request bodies that create a batch.

use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        batch::{BatchSpec, FitPolicy, OnFailure, PlatePolicy, Selector, Target, WhenUnreachable},
        command::{Command, ExpectedJob, FileRef, FileSelector, Outcome},
        message::Message,
        reading::LOCAL_ORIGIN,
        state::PrinterState,
        validation::ValidationErrors,
    },
    http::api::request::{extract::parse_time, json::JsonObject},
    service::batches::{NewBatch, RetryRequest},
};

/// Declares a request body with the fields of every batch, after the fields of its own. (`flatten` would accept unknown
/// fields.)
macro_rules! batch_request {
    ($(#[$meta:meta])* $name:ident { $($(#[$own_meta:meta])* $own:ident: $kind:ty,)* }) => {
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub struct $name {
            #[schema(value_type = BatchCommand)]
            command: Command,
            $($(#[$own_meta])* $own: $kind,)*
            /// For start only: select and print this file. Absent: print the selected file. A file of the library is sent to
            /// the printers that do not have it.
            #[schema(value_type = Option<StartFileFields>)]
            file: Option<JsonObject<StartFileBody>>,
            /// For start only: whether the command is rejected, as `file_does_not_fit`, if a known model, nozzle or bed of the
            /// printer contradicts the library file. Default `check`.
            fit: Option<FitPolicy>,
            /// Act only if the printer has this job. Otherwise the command is rejected as `job_changed`.
            #[schema(value_type = Option<ExpectedJob>)]
            expected_job: Option<JsonObject<ExpectedJob>>,
            /// `assume_clear` is for start and restart. It needs named printers and a reason, and it is logged.
            plate: Option<PlatePolicy>,
            /// Maximum number of commands under way at once; 0 = no limit.
            #[schema(maximum = 5_000)]
            max_in_flight: Option<u32>,
            /// Delay between two commands, in milliseconds.
            #[schema(maximum = 3_600_000)]
            interval_ms: Option<u32>,
            /// Maximum number of printers of one power group that heat at once; 0 = no limit.
            #[schema(maximum = 5_000)]
            max_heating: Option<u32>,
            /// Send nothing before this time. The printers are selected now.
            #[serde(default, deserialize_with = "deserialize_time")]
            not_before: Option<DateTime<Utc>>,
            /// Seconds that a command may wait for its printer once its turn has come; default 60.
            #[schema(minimum = 1, maximum = 86_400)]
            expires_in_s: Option<u32>,
            /// Seconds within which the turn of every command must come; default 14400.
            #[schema(minimum = 1, maximum = 604_800)]
            window_s: Option<u32>,
            /// Seconds within which the effect of an accepted command must be observed; default 60.
            #[schema(minimum = 1, maximum = 900)]
            confirm_within_s: Option<u32>,
            /// `wait` is for pause and cancel: the command waits for the printer until it expires.
            when_unreachable: Option<WhenUnreachable>,
            on_failure: Option<OnFailure>,
            /// Lets `disconnect` run while a job is active. That job is then lost.
            force: Option<bool>,
            /// Create nothing unless exactly this many printers are selected.
            expect_total: Option<u32>,
            /// Return what would happen, and do nothing.
            dry_run: Option<bool>,
            /// A note for people and for the log.
            #[schema(max_length = 500)]
            reason: Option<String>,
            /// Your own reference for this batch. `GET /batches?external_ref=` finds it.
            #[schema(max_length = 500)]
            external_ref: Option<String>,
        }

        impl $name {
            fn with_selector(self, selector: Selector) -> NewBatch {
                let defaults = BatchSpec::new(self.command);
                let spec = BatchSpec {
                    fit: self.fit.unwrap_or(defaults.fit),
                    expected_job: self.expected_job.map(|expected| expected.0),
                    plate: self.plate.unwrap_or(defaults.plate),
                    max_in_flight: self.max_in_flight.unwrap_or(defaults.max_in_flight),
                    interval_ms: self.interval_ms.unwrap_or(defaults.interval_ms),
                    max_heating: self.max_heating.unwrap_or(defaults.max_heating),
                    not_before: self.not_before,
                    expires_in_s: self.expires_in_s.unwrap_or(defaults.expires_in_s),
                    window_s: self.window_s.unwrap_or(defaults.window_s),
                    confirm_within_s: self.confirm_within_s.unwrap_or(defaults.confirm_within_s),
                    when_unreachable: self.when_unreachable.unwrap_or(defaults.when_unreachable),
                    on_failure: self.on_failure.unwrap_or(defaults.on_failure),
                    force: self.force.unwrap_or(defaults.force),
                    reason: self.reason,
                    external_ref: self.external_ref,
                    ..defaults
                };
                let expect_total = self.expect_total.map(|total| usize::try_from(total).unwrap_or(usize::MAX));
                NewBatch {
                    spec,
                    file: self.file.map(|file| file.0.0),
                    selector,
                    expect_total,
                    dry_run: self.dry_run.unwrap_or(false),
                }
            }
        }
    };
}

batch_request! {
    /// One command to many printers.
    #[schema(as = NewBatch, example = json!({
        "command": "pause", "select": {"tags_all": ["hall-a"], "states": ["printing"]}, "max_in_flight": 50,
        "reason": "shift end", "external_ref": "PP-100234"
    }))]
    NewBatchBody {
        #[schema(value_type = SelectorBody)]
        select: JsonObject<SelectorBody>,
    }
}

batch_request! {
    /// One command to the printer in the path. Has the fields of a batch, except `select`.
    #[schema(as = NewJobCommand, example = json!({"command": "start", "expected_job": {"path": "bracket.gcode"}}))]
    JobCommandBody {}
}

/// A command that batches accept. An emergency stop has a request of its own, `POST /emergency-stop`.
#[derive(ToSchema)]
#[schema(as = BatchCommand, rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes the values for the document; `Command` reads them")]
enum BatchCommand {
    Start,
    Pause,
    Resume,
    Toggle,
    Cancel,
    Restart,
    Connect,
    Disconnect,
}

impl NewBatchBody {
    /// Returns the batch to create. Fails if the selector is empty or contradicts itself.
    pub fn into_new_batch(mut self) -> Result<NewBatch, ValidationErrors> {
        let selector = std::mem::replace(&mut self.select, JsonObject(SelectorBody::default())).0.into_selector()?;
        Ok(self.with_selector(selector))
    }
}

impl JobCommandBody {
    /// Returns the batch to create, with one printer.
    pub fn into_new_batch(self, printer_id: Uuid) -> NewBatch {
        self.with_selector(Selector::Printers(vec![Target { id: printer_id, expected_job: None, file: None }]))
    }
}

/// Selects the printers: by `printer_ids`, by tags and states (combined by AND), by the result of an earlier batch, or
/// `all`. Use exactly one of these ways. An empty selection is an error.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Selector, example = json!({"tags_all": ["hall-a"], "states": ["printing"]}))]
pub struct SelectorBody {
    /// At most 5,000 printers, each at most once. The order is the order of the commands.
    #[schema(value_type = Option<Vec<TargetSchema>>, min_items = 1, max_items = 5_000)]
    printer_ids: Option<Vec<TargetBody>>,
    /// Printers with every one of these tags.
    tags_all: Option<Vec<String>>,
    /// Printers with any of these tags.
    tags_any: Option<Vec<String>>,
    /// Printers whose last observed state is one of these.
    states: Option<Vec<PrinterState>>,
    /// The printers of this batch.
    batch_id: Option<Uuid>,
    /// With `batch_id`: only printers whose command ended with one of these outcomes. Absent: all of them.
    outcomes: Option<Vec<Outcome>>,
    /// Selects every printer. Must be `true` if present.
    all: Option<bool>,
}

impl SelectorBody {
    /// Returns the selector. Fails if it is empty or contradicts itself.
    pub fn into_selector(self) -> Result<Selector, ValidationErrors> {
        let fields = [
            ("printer_ids", self.printer_ids.is_some(), 1),
            ("tags_all", self.tags_all.is_some(), 2),
            ("tags_any", self.tags_any.is_some(), 2),
            ("states", self.states.is_some(), 2),
            ("batch_id", self.batch_id.is_some(), 3),
            ("outcomes", self.outcomes.is_some(), 3),
            ("all", self.all.is_some(), 4),
        ];
        let mut ways = fields.iter().filter(|(_, given, _)| *given);
        let Some((first, _, way)) = ways.next() else {
            return Err(ValidationErrors::single("/select", "empty_selector", "rule-select"));
        };
        let mut invalid = ValidationErrors::default();
        for (other, _, _) in ways.filter(|(_, _, other)| other != way) {
            let rule = Message::new("rule-not-with").with("other", first);
            invalid.add(format!("/select/{other}"), "mixed_selector", rule);
        }
        // An empty list is ambiguous: it could mean all printers or none.
        let empty = [
            ("tags_all", self.tags_all.as_ref().is_some_and(Vec::is_empty)),
            ("tags_any", self.tags_any.as_ref().is_some_and(Vec::is_empty)),
            ("states", self.states.as_ref().is_some_and(Vec::is_empty)),
            ("outcomes", self.outcomes.as_ref().is_some_and(Vec::is_empty)),
        ];
        for (field, _) in empty.iter().filter(|(_, empty)| *empty) {
            invalid.add(format!("/select/{field}"), "empty_selector", "rule-not-empty");
        }
        if self.all == Some(false) {
            invalid.add("/select/all", "empty_selector", "rule-true");
        }
        if self.outcomes.is_some() && self.batch_id.is_none() {
            invalid.add("/select/batch_id", "required", Message::new("rule-given-with").with("other", "outcomes"));
        }
        invalid.into_result(())?;
        Ok(match (self.printer_ids, self.batch_id, self.all) {
            (Some(targets), _, _) => Selector::Printers(targets.into_iter().map(|target| target.0).collect()),
            (None, Some(batch_id), _) => {
                let outcomes = self.outcomes.unwrap_or_else(|| Outcome::ALL.to_vec());
                Selector::Batch { batch_id, outcomes }
            }
            (None, None, Some(_)) => Selector::All,
            (None, None, None) => Selector::Filter {
                tags_all: self.tags_all.unwrap_or_default(),
                tags_any: self.tags_any.unwrap_or_default(),
                states: self.states.unwrap_or_default(),
            },
        })
    }
}

/// A printer id, alone or with the expected job of that printer.
#[derive(Debug)]
struct TargetBody(Target);

/// A printer with its expected job and its file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TargetWithJob)]
struct TargetWithJob {
    #[serde(deserialize_with = "deserialize_id")]
    id: Uuid,
    #[schema(value_type = Option<ExpectedJob>)]
    expected_job: Option<JsonObject<ExpectedJob>>,
    /// For start only: the file for this printer, instead of the file of the batch.
    #[schema(value_type = Option<StartFileFields>)]
    file: Option<JsonObject<StartFileBody>>,
}

/// The file of a start.
#[derive(Debug)]
pub struct StartFileBody(FileSelector);

/// The file of a start: either `path` and `origin` of a file on the printer, or `file_id`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StartFile, example = json!({"file_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f408"}))]
pub struct StartFileFields {
    /// Path on the printer.
    path: Option<String>,
    /// Default: `local`.
    origin: Option<String>,
    /// Id of a file of the library. It is sent to the printers that do not have it.
    #[serde(default, deserialize_with = "deserialize_optional_id")]
    file_id: Option<Uuid>,
}

impl<'de> Deserialize<'de> for StartFileBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StartFileFields { path, origin, file_id } = StartFileFields::deserialize(deserializer)?;
        match (path, file_id) {
            (Some(path), None) => {
                let origin = origin.unwrap_or_else(|| LOCAL_ORIGIN.to_owned());
                Ok(Self(FileSelector::OnPrinter(FileRef { path, origin })))
            }
            (None, Some(id)) if origin.is_none() => Ok(Self(FileSelector::InLibrary(id))),
            // `request/json.rs` reads the id of the rule from the error.
            _ => Err(de::Error::custom("rule-start-file")),
        }
    }
}

/// A printer id, alone or with the expected job of that printer.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = Target)]
#[expect(dead_code, reason = "it describes the two forms for the document; `TargetBody` reads them")]
enum TargetSchema {
    Id(Uuid),
    WithJob(TargetWithJob),
}

struct TargetVisitor;

impl<'de> Deserialize<'de> for TargetBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = TargetBody;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a printer's UUID, or an object with id and expected_job")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TargetBody, E> {
        Ok(TargetBody(Target { id: parse_uuid(text)?, expected_job: None, file: None }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TargetBody, A::Error> {
        let target = TargetWithJob::deserialize(MapAccessDeserializer::new(map))?;
        Ok(TargetBody(Target {
            id: target.id,
            expected_job: target.expected_job.map(|expected| expected.0),
            file: target.file.map(|file| file.0.0),
        }))
    }
}

fn parse_uuid<E: de::Error>(text: &str) -> Result<Uuid, E> {
    Uuid::try_parse(text).map_err(E::custom)
}

fn deserialize_optional_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(|text| parse_uuid(&text)).transpose()
}

fn deserialize_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    parse_uuid(&String::deserialize(deserializer)?)
}

/// Reads an RFC 3339 time. The parser of chrono would also accept years that no database can store.
pub fn deserialize_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    // `request/json.rs` reads the id of the rule from the error.
    parse_time(&text).map(Some).ok_or_else(|| de::Error::custom("rule-time"))
}

/// Selects the commands of a finished batch to retry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryBatch, example = json!({"outcomes": ["unreachable", "expired"]}))]
pub struct RetryBatchBody {
    #[schema(min_items = 1)]
    outcomes: Vec<Outcome>,
    /// The operator has checked the printers. Required to retry starts, restarts and emergency stops that ended as
    /// `unknown` or `unconfirmed`.
    operator_checked: Option<bool>,
}

impl From<RetryBatchBody> for RetryRequest {
    fn from(body: RetryBatchBody) -> Self {
        Self { outcomes: body.outcomes, printers: None, operator_checked: body.operator_checked.unwrap_or(false) }
    }
}
