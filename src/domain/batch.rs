//! A batch: one command for many printers, with limits on how fast it is sent.

mod counts;
mod selected_by;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    command::{Command, ExpectedJob, FileSelector, Outcome, StartFile, string_enum},
    message::Message,
    state::PrinterState,
    validation::{ValidationErrors, check_line, check_text},
};
pub use counts::{BatchCounts, OutcomeCounts, ResultSummary};
pub use selected_by::SelectedBy;

/// The highest number of printers in one batch.
pub const MAX_TARGETS: usize = 5_000;

string_enum! {
    /// Where a batch is.
    BatchState {
        Scheduled = "scheduled",
        Running = "running",
        Finished = "finished",
        /// No more commands are sent. Commands that were sent continue until they end.
        Stopped = "stopped",
        /// Never stored: the response to a dry run.
        DryRun = "dry_run",
    }
}

string_enum! {
    /// The result of a batch. A closed vocabulary.
    BatchResult {
        /// Every effect is done.
        Ok = "ok",
        Partial = "partial",
        /// No effect is done.
        Failed = "failed",
        /// At least one effect is unknown, so a person must check the printer.
        Uncertain = "uncertain",
    }
}

string_enum! {
    /// Whether a start may go onto a plate that nobody has cleared.
    PlatePolicy { Check = "check", AssumeClear = "assume_clear", }
}

string_enum! {
    /// What to do about a printer that does not answer.
    WhenUnreachable { Fail = "fail", Wait = "wait", }
}

string_enum! {
    /// What a failure means for the rest of the batch.
    OnFailure { Continue = "continue", Stop = "stop", }
}

string_enum! {
    /// What created a batch.
    BatchOrigin {
        /// A user or an API client.
        Client = "client",
        /// The planner: the start of a copy.
        Planner = "planner",
    }
}

string_enum! {
    /// Whether a start is refused if its file does not fit the printer.
    FitPolicy {
        /// Refused if a known model, nozzle or bed contradicts.
        Check = "check",
        Ignore = "ignore",
    }
}

/// One named printer of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub id: Uuid,
    pub expected_job: Option<ExpectedJob>,
    /// The file for this printer. `None`: the file of the batch.
    pub file: Option<FileSelector>,
}

/// Selects the printers of a batch. It is resolved once, when the batch is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    Printers(Vec<Target>),
    /// Conditions are combined by AND. `states` is compared with the last observed state.
    Filter {
        tags_all: Vec<String>,
        tags_any: Vec<String>,
        states: Vec<PrinterState>,
    },
    /// The printers of an earlier batch whose commands have one of these outcomes.
    Batch {
        batch_id: Uuid,
        outcomes: Vec<Outcome>,
    },
    All,
}

impl Selector {
    /// Returns whether the client named each printer by its id.
    pub fn names_printers(&self) -> bool {
        matches!(self, Self::Printers(_))
    }
}

/// The command of a batch and its limits. A retry inherits all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchSpec {
    pub command: Command,
    pub file: Option<StartFile>,
    #[serde(default = "check_fit", skip_serializing_if = "is_check_fit")]
    pub fit: FitPolicy,
    pub expected_job: Option<ExpectedJob>,
    pub plate: PlatePolicy,
    /// Commands that are released and not final; 0 = no limit.
    pub max_in_flight: u32,
    /// Milliseconds between releases.
    pub interval_ms: u32,
    /// Printers of one power group that may heat at the same time; 0 = no limit.
    pub max_heating: u32,
    pub not_before: Option<DateTime<Utc>>,
    /// Seconds after its release during which a command may be sent.
    pub expires_in_s: u32,
    /// Seconds within which all commands of the batch must be released.
    pub window_s: u32,
    /// Seconds after acceptance. If the effect is not observed by then, the command is reported as unconfirmed.
    pub confirm_within_s: u32,
    pub when_unreachable: WhenUnreachable,
    pub on_failure: OnFailure,
    /// `disconnect` even while a job is active.
    pub force: bool,
    /// The client named the printers by id. A print that was paused at the printer may then be resumed.
    pub named: bool,
    /// The states of the selector. They are checked again when a scheduled batch is due.
    pub states: Vec<PrinterState>,
    /// The token that created the batch. Its rights are checked again when a scheduled batch is due.
    pub token_id: Option<Uuid>,
    /// The user who created the batch. The user's rights are checked again, too.
    #[serde(default)]
    pub user_id: Option<Uuid>,
    /// The first token in the chain of rotations that led to this token.
    #[serde(default, alias = "token_line")]
    pub root_token_id: Option<Uuid>,
    pub reason: Option<String>,
    pub external_ref: Option<String>,
    /// Shown to people only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_by: Option<SelectedBy>,
    #[serde(default = "client_origin", skip_serializing_if = "is_client_origin")]
    pub origin: BatchOrigin,
}

impl BatchSpec {
    /// Returns the principal whose limits count: a user, or a token with its successors. `None`: the server's own admin
    /// token.
    pub fn owner(&self) -> Option<Uuid> {
        self.user_id.or(self.root_token_id).or(self.token_id)
    }

    /// Returns a specification with the defaults of the API contract.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            file: None,
            fit: FitPolicy::Check,
            expected_job: None,
            plate: PlatePolicy::Check,
            max_in_flight: 0,
            interval_ms: 0,
            max_heating: 0,
            not_before: None,
            expires_in_s: 60,
            window_s: 14_400,
            confirm_within_s: 60,
            when_unreachable: WhenUnreachable::Fail,
            on_failure: OnFailure::Continue,
            force: false,
            named: false,
            states: Vec::new(),
            token_id: None,
            user_id: None,
            root_token_id: None,
            reason: None,
            external_ref: None,
            selected_by: None,
            origin: BatchOrigin::Client,
        }
    }

    /// Checks the fields against the rules of the API contract. Pointers refer to the body of `POST /batches`.
    pub fn check(&self, invalid: &mut ValidationErrors) {
        let mut range = |pointer: &str, value: u32, min: u32, max: u32| {
            if value < min || value > max {
                let rule = Message::new("rule-range").with("min", min).with("max", max).with("value", value);
                invalid.add(pointer, "range", rule);
            }
        };
        range("/max_in_flight", self.max_in_flight, 0, 5_000);
        range("/interval_ms", self.interval_ms, 0, 3_600_000);
        range("/max_heating", self.max_heating, 0, 5_000);
        range("/expires_in_s", self.expires_in_s, 1, 86_400);
        range("/window_s", self.window_s, 1, 604_800);
        range("/confirm_within_s", self.confirm_within_s, 1, 900);
        if let Some(file) = &self.file {
            if self.command != Command::Start {
                let rule = Message::new("rule-only-with").with("other", Command::Start.as_str());
                invalid.add("/file", "not_for_this_command", rule);
            }
            if let StartFile::OnPrinter(file) = file {
                file.check(invalid, "/file");
            }
        }
        if self.fit == FitPolicy::Ignore && self.command != Command::Start {
            let rule = Message::new("rule-only-with").with("other", Command::Start.as_str());
            invalid.add("/fit", "not_for_this_command", rule);
        }
        if let Some(expected) = &self.expected_job {
            check_expected_job(invalid, "/expected_job", expected);
        }
        let value_only_with = |value: &'static str, other: &'static str| {
            Message::new("rule-value-only-with").with("value", value).with("other", other)
        };
        if self.plate == PlatePolicy::AssumeClear {
            let assume_clear = PlatePolicy::AssumeClear.as_str();
            if !matches!(self.command, Command::Start | Command::Restart) {
                let rule = value_only_with(assume_clear, "start, restart");
                invalid.add("/plate", "not_for_this_command", rule);
            }
            if !self.named {
                let rule = value_only_with(assume_clear, "select.printer_ids");
                invalid.add("/plate", "needs_printer_ids", rule);
            }
            if self.reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
                invalid.add("/reason", "required", Message::new("rule-given-with").with("other", assume_clear));
            }
        }
        if self.when_unreachable == WhenUnreachable::Wait && !matches!(self.command, Command::Pause | Command::Cancel) {
            let rule = value_only_with(WhenUnreachable::Wait.as_str(), "pause, cancel");
            invalid.add("/when_unreachable", "not_for_this_command", rule);
        }
        if self.force && self.command != Command::Disconnect {
            let rule = Message::new("rule-only-with").with("other", Command::Disconnect.as_str());
            invalid.add("/force", "not_for_this_command", rule);
        }
        if let Some(reason) = &self.reason {
            check_text(invalid, "/reason", reason, 0, 500);
        }
        if let Some(external_ref) = &self.external_ref {
            check_line(invalid, "/external_ref", external_ref, 0, 500);
        }
    }
}

/// The value of batches that were stored before the field existed.
fn check_fit() -> FitPolicy {
    FitPolicy::Check
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_check_fit(fit: &FitPolicy) -> bool {
    *fit == FitPolicy::Check
}

/// The value of batches that were stored before the field existed.
fn client_origin() -> BatchOrigin {
    BatchOrigin::Client
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_client_origin(origin: &BatchOrigin) -> bool {
    *origin == BatchOrigin::Client
}

/// Checks that an expected job names a path, a print, or both.
pub fn check_expected_job(invalid: &mut ValidationErrors, pointer: &str, expected: &ExpectedJob) {
    match (&expected.path, expected.print_id) {
        (None, None) => invalid.add(pointer, "required", "rule-expected-job"),
        (Some(path), _) => check_line(invalid, &format!("{pointer}/path"), path, 1, 1_000),
        (None, Some(_)) => {}
    }
}

/// A stored batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub id: Uuid,
    pub spec: BatchSpec,
    pub state: BatchState,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The name of the user or token that created it.
    pub created_by: String,
    pub retry_of: Option<Uuid>,
}

impl Batch {
    /// Returns whether every command may be released when the batch is created: no schedule, spacing or limit applies.
    pub fn releases_immediately(&self) -> bool {
        let spec = &self.spec;
        spec.not_before.is_none_or(|at| at <= self.created_at)
            && spec.max_in_flight == 0
            && spec.interval_ms == 0
            && (spec.max_heating == 0 || !spec.command.heats())
    }

    /// Returns when the batch becomes due.
    pub fn due_at(&self) -> DateTime<Utc> {
        self.spec.not_before.unwrap_or(self.created_at)
    }
}

/// Filter for a page of batches. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchFilter {
    pub state: Option<BatchState>,
    pub command: Option<Command>,
    /// `None`: only the batches of clients.
    pub origin: Option<BatchOrigin>,
    pub external_ref: Option<String>,
    /// The name of the user or token that created it, in any case.
    pub created_by: Option<String>,
    /// Created at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Tags that the caller may see. Only batches with a row on a registered printer with any of them.
    pub visible_tags: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assume_clear_needs_named_printers_and_a_reason() {
        let mut spec = BatchSpec::new(Command::Start);
        spec.plate = PlatePolicy::AssumeClear;
        let mut invalid = ValidationErrors::default();
        spec.check(&mut invalid);
        assert_eq!(invalid.0.len(), 2);
    }
}
