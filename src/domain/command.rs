//! A command to one printer, with its outcome, reason and effect.

mod result_class;
mod start_file;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{message::Message, printer_content::TransferProgress, state::PrinterState};
pub use result_class::{ResultClass, ResultCounts};
pub use start_file::{FileRef, FileSelector, LibraryContent, StartFile, is_file_path};

/// Declares an enum of string values. The API, the database and the pages use the same values.
macro_rules! string_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, utoipa::ToSchema)]
        $(#[$meta])*
        pub enum $name { $($(#[$doc])* #[schema(rename = $word)] $variant,)+ }

        impl $name {
            /// All values, in the order of the API contract.
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            /// Returns the value that the API and the database use.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// Parses a value of the API or the database.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const WORDS: &[&str] = &[$($word,)+];
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&word).ok_or_else(|| serde::de::Error::unknown_variant(&word, WORDS))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}
pub(crate) use string_enum;

string_enum! {
    /// A command for printers.
    Command {
        Start = "start",
        Pause = "pause",
        Resume = "resume",
        /// Pauses a printer that prints, resumes a paused one. It is resolved once, on the first reading.
        Toggle = "toggle",
        Cancel = "cancel",
        /// Cancels the print, waits until the printer is free, and starts the same file.
        Restart = "restart",
        /// Connects OctoPrint to its printer. It does not concern the connection from Printyard to OctoPrint.
        Connect = "connect",
        Disconnect = "disconnect",
        /// `M112`: stops motors and heaters at once. OctoPrint then closes the connection to its printer.
        EmergencyStop = "emergency_stop",
    }
}

string_enum! {
    /// Where a command is. The vocabulary may grow; `final` and `effect` are what clients act on.
    Outcome {
        Queued = "queued",
        Sent = "sent",
        Accepted = "accepted",
        /// The effect was observed.
        Confirmed = "confirmed",
        /// The printer already was in the requested state.
        Unchanged = "unchanged",
        /// A guard, the decision table or the printer refused the command. It had no effect.
        Rejected = "rejected",
        /// No byte of the command was written to the printer.
        Unreachable = "unreachable",
        /// The printer refused the API key.
        Unauthorized = "unauthorized",
        /// The printer accepted the command, but the effect was not observed.
        Unconfirmed = "unconfirmed",
        /// The command was sent and no reply arrived. Reading the printer did not show the result.
        Unknown = "unknown",
        /// The command expired before it could be sent.
        Expired = "expired",
        /// The batch was stopped, or a cancel or an emergency stop for the same printer was executed first.
        Skipped = "skipped",
    }
}

string_enum! {
    /// What a client may conclude. A closed vocabulary.
    Effect { Done = "done", None = "none", Maybe = "maybe", }
}

string_enum! {
    /// Why a command ended as it did. New reasons may appear within v1.
    Reason {
        NoFileSelected = "no_file_selected",
        FileNotFound = "file_not_found",
        NotOperational = "not_operational",
        AlreadyPrinting = "already_printing",
        NotActive = "not_active",
        JobActive = "job_active",
        JobChanged = "job_changed",
        StateChanged = "state_changed",
        PlateNotClear = "plate_not_clear",
        CommandInFlight = "command_in_flight",
        PausedAtPrinter = "paused_at_printer",
        PrinterDisabled = "printer_disabled",
        PrinterRemoved = "printer_removed",
        NotFound = "not_found",
        Forbidden = "forbidden",
        BatchStopped = "batch_stopped",
        OvertakenByCancel = "overtaken_by_cancel",
        OvertakenByEmergencyStop = "overtaken_by_emergency_stop",
        PrinterRefused = "printer_refused",
        PrinterProtocol = "printer_protocol",
        PrinterUnreachable = "printer_unreachable",
        PrinterUnauthorized = "printer_unauthorized",
        UnknownState = "unknown_state",
        WaitedTooLong = "waited_too_long",
        WindowOver = "window_over",
        NoEffect = "no_effect",
        StillStarting = "still_starting",
        StillPausing = "still_pausing",
        StillResuming = "still_resuming",
        StillCancelling = "still_cancelling",
        CancelledNotStarted = "cancelled_not_started",
        NoAnswer = "no_answer",
        NotRecorded = "not_recorded",
        UploadFailed = "upload_failed",
        FileDoesNotFit = "file_does_not_fit",
        OutOfService = "out_of_service",
    }
}

string_enum! {
    /// One request that changes a printer. A restart is two of them; every other command is one.
    Step {
        Start = "start",
        Pause = "pause",
        Resume = "resume",
        Cancel = "cancel",
        Connect = "connect",
        Disconnect = "disconnect",
        EmergencyStop = "emergency_stop",
    }
}

impl Outcome {
    /// Returns whether the outcome does not change any more. Only `settled` may still be added.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sent | Self::Accepted)
    }

    /// Returns the effect for the client; `None` until the command has ended.
    pub fn effect(self) -> Option<Effect> {
        match self {
            Self::Queued | Self::Sent | Self::Accepted => None,
            Self::Confirmed | Self::Unchanged => Some(Effect::Done),
            Self::Rejected | Self::Unreachable | Self::Unauthorized | Self::Expired | Self::Skipped => {
                Some(Effect::None)
            }
            Self::Unconfirmed | Self::Unknown => Some(Effect::Maybe),
        }
    }
}

impl Command {
    /// Returns whether the command stops printers. Other commands never delay or refuse such a command.
    pub fn stops_printers(self) -> bool {
        matches!(self, Self::Cancel | Self::Pause | Self::EmergencyStop)
    }

    /// Returns whether the command overtakes this other command of the same printer. An emergency stop overtakes every other
    /// command, and a cancel every other command except an emergency stop.
    pub fn overtakes(self, other: Self) -> bool {
        match self {
            Self::EmergencyStop => other != Self::EmergencyStop,
            command => command == Self::Cancel && !matches!(other, Self::Cancel | Self::EmergencyStop),
        }
    }

    /// Returns whether the command withdraws this other command of the same printer if that is unsent. An emergency stop
    /// withdraws every other command, and a cancel those that would print.
    pub fn withdraws(self, other: Self) -> bool {
        match self {
            Self::EmergencyStop => other != Self::EmergencyStop,
            command => command == Self::Cancel && other.heats(),
        }
    }

    /// Returns whether the command makes a print run. A printer that is out of service refuses such a command. A
    /// `toggle` must be resolved first.
    pub fn runs_print(self) -> bool {
        matches!(self, Self::Start | Self::Restart | Self::Resume)
    }

    /// Returns whether the command makes heaters draw current. `max_heating` counts these commands.
    pub fn heats(self) -> bool {
        matches!(self, Self::Start | Self::Restart | Self::Resume)
    }
}

impl Step {
    /// Returns whether a second send does no harm, because the printer ignores or refuses it (measured on 1.11.8). A
    /// second start does harm.
    pub fn may_be_repeated(self) -> bool {
        matches!(self, Self::Pause | Self::Resume | Self::Cancel)
    }
}

impl Step {
    /// Returns whether the step makes a print run.
    pub fn runs_print(self) -> bool {
        matches!(self, Self::Start | Self::Resume)
    }
}

impl Reason {
    /// Returns the text that says what happened and what to do next.
    pub fn message(self) -> Message {
        Message::from_code("reason", self.as_str())
    }
}

/// Which job a command means. Another one on the printer is `job_changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedJob {
    /// The file's path on the printer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The print, as `GET /prints` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub print_id: Option<Uuid>,
}

/// An effect that was observed after the command had ended: of one whose effect was unknown, or of a pause or resume that
/// was undone within 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Settled)]
pub struct SettledEffect {
    pub effect: Effect,
    pub state: PrinterState,
    pub at: DateTime<Utc>,
}

/// One row of the command log: a command to one printer.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRow {
    pub id: Uuid,
    pub batch_id: Uuid,
    /// Position within the batch, in the order of the request.
    pub position: i64,
    pub printer_id: Uuid,
    /// The name is stored, so that the row stays readable after the printer is removed.
    pub printer_name: String,
    pub command: Command,
    /// The command to which `toggle` was resolved.
    pub resolved_command: Option<Command>,
    pub expected_job: Option<ExpectedJob>,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    /// More than the reason says, or why the command waits. Pages and the API show the text of the reason otherwise.
    pub detail: Option<Message>,
    pub step: Option<Step>,
    pub print_id: Option<Uuid>,
    /// The file that a start names. `None`: the selected file. Rows of earlier versions have the file of their batch.
    pub file: Option<StartFile>,
    /// The file that a start or a restart is to print, as the printer names it. It is stored before the send. For a file of
    /// the library: when the printer has it.
    pub file_path: Option<String>,
    pub state_before: Option<PrinterState>,
    pub state_after: Option<PrinterState>,
    /// Number of requests sent. It is incremented before each send.
    pub attempts: i64,
    pub released_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub settled: Option<SettledEffect>,
    /// Progress of the transfer of a library file. It is not stored: the services set it when the row is read.
    pub transfer: Option<TransferProgress>,
}

impl CommandRow {
    /// Returns the text for users: the detail, or else the text of the reason.
    pub fn explanation(&self) -> Option<Message> {
        self.detail.clone().or_else(|| self.reason.map(Reason::message))
    }

    /// Returns the content that the printer must have before this command is released.
    pub fn awaited_content(&self) -> Option<&LibraryContent> {
        self.file.as_ref().and_then(StartFile::content).filter(|_| self.file_path.is_none())
    }

    /// Returns a new row in the outcome `queued`.
    pub fn queued(id: Uuid, batch_id: Uuid, printer_id: Uuid, printer_name: String, command: Command) -> Self {
        Self {
            id,
            batch_id,
            position: 0,
            printer_id,
            printer_name,
            command,
            resolved_command: None,
            expected_job: None,
            outcome: Outcome::Queued,
            reason: None,
            detail: None,
            step: None,
            print_id: None,
            file: None,
            file_path: None,
            state_before: None,
            state_after: None,
            attempts: 0,
            released_at: None,
            expires_at: None,
            sent_at: None,
            accepted_at: None,
            finished_at: None,
            settled: None,
            transfer: None,
        }
    }
}

/// A command, with its requester and the time of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedCommand {
    pub row: CommandRow,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_final_outcome_has_an_effect_and_no_other_has() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.is_final(), outcome.effect().is_some(), "{outcome}");
        }
    }

    #[test]
    fn values_are_the_same_in_json_and_in_the_database() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).ok(), Some(serde_json::Value::from(reason.as_str())));
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).ok(), Some(serde_json::Value::from(outcome.as_str())));
        }
    }
}
