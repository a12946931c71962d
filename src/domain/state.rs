//! States of a printer, mapped from OctoPrint's texts, state ids and flags.
//!
//! OctoPrint reports its state as a text for people (`Offline after error`, `Printing from SD`). This module maps the
//! text to a state. A text with the word "error" is an error, and a file transfer is not a print. If a body has flags,
//! they decide a state that the text leaves unknown. An unknown text stays unknown and is kept, so that people can read
//! it.

use serde::{Deserialize, Serialize};

/// What a printer was seen doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrinterState {
    Operational,
    Starting,
    Printing,
    Pausing,
    Paused,
    Resuming,
    Finishing,
    Cancelling,
    /// OctoPrint transfers a file to the SD card. It is not a print.
    Transferring,
    /// OctoPrint replies, but is not connected to its printer.
    Offline,
    Connecting,
    Error,
    /// Not observed yet, not reachable now, or a text that this version does not know.
    Unknown,
}

/// OctoPrint's state flags (`state.flags` of `GET /api/printer`, 1.9 to 2.x). Only flags that decide a state are
/// included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StateFlags {
    pub operational: bool,
    pub printing: bool,
    pub pausing: bool,
    pub paused: bool,
    pub resuming: bool,
    pub cancelling: bool,
    pub finishing: bool,
    pub error: bool,
    #[serde(rename = "closedOrError")]
    pub closed_or_error: bool,
}

impl PrinterState {
    /// All states, for tests and tables.
    pub const ALL: [PrinterState; 13] = [
        Self::Operational,
        Self::Starting,
        Self::Printing,
        Self::Pausing,
        Self::Paused,
        Self::Resuming,
        Self::Finishing,
        Self::Cancelling,
        Self::Transferring,
        Self::Offline,
        Self::Connecting,
        Self::Error,
        Self::Unknown,
    ];

    /// Parses OctoPrint's text (`state` of `GET /api/job`, `state.text` of `GET /api/printer`).
    pub fn from_text(text: &str) -> Self {
        const BEGINNINGS: [(&str, PrinterState); 13] = [
            ("offline", PrinterState::Offline),
            ("closed", PrinterState::Offline),
            ("opening", PrinterState::Connecting),
            ("detecting", PrinterState::Connecting),
            ("connecting", PrinterState::Connecting),
            ("starting", PrinterState::Starting),
            ("printing", PrinterState::Printing),
            ("pausing", PrinterState::Pausing),
            ("paused", PrinterState::Paused),
            ("resuming", PrinterState::Resuming),
            ("finishing", PrinterState::Finishing),
            ("cancelling", PrinterState::Cancelling),
            ("operational", PrinterState::Operational),
        ];
        let text = text.trim().to_lowercase();
        let has_word = |word| text.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
        if has_word("error") {
            return Self::Error;
        }
        // "Sending file to SD", "Starting to send file to SD", "Transferring file to SD".
        if text.starts_with("transfer") || (has_word("file") && (has_word("sending") || has_word("send"))) {
            return Self::Transferring;
        }
        BEGINNINGS.iter().find(|(beginning, _)| text.starts_with(beginning)).map_or(Self::Unknown, |(_, state)| *state)
    }

    /// Parses `state_id` of the event `PrinterStateChanged`. `CLOSED_WITH_ERROR` and `ERROR` are errors. OctoPrint
    /// sends `OFFLINE` for every closed connection, also after an error, so the text of a later reading may refine it.
    pub fn from_state_id(state_id: &str) -> Self {
        match state_id {
            "OPERATIONAL" => Self::Operational,
            "STARTING" => Self::Starting,
            "PRINTING" => Self::Printing,
            "TRANSFERING_FILE" | "TRANSFERRING_FILE" => Self::Transferring,
            "PAUSING" => Self::Pausing,
            "PAUSED" => Self::Paused,
            "RESUMING" => Self::Resuming,
            "FINISHING" => Self::Finishing,
            "CANCELLING" => Self::Cancelling,
            "NONE" | "OFFLINE" | "CLOSED" => Self::Offline,
            "OPEN_SERIAL" | "DETECT_SERIAL" | "DETECT_BAUDRATE" | "CONNECTING" => Self::Connecting,
            "ERROR" | "CLOSED_WITH_ERROR" => Self::Error,
            _ => Self::Unknown,
        }
    }

    /// Returns the state by flags if the text left it unknown. Transient flags are checked first: while pausing,
    /// `printing` is set, too.
    pub fn or_from_flags(self, flags: StateFlags) -> Self {
        if self != Self::Unknown {
            return self;
        }
        let by_flag = [
            (flags.error, Self::Error),
            (flags.closed_or_error, Self::Offline),
            (flags.cancelling, Self::Cancelling),
            (flags.finishing, Self::Finishing),
            (flags.pausing, Self::Pausing),
            (flags.resuming, Self::Resuming),
            (flags.paused, Self::Paused),
            (flags.printing, Self::Printing),
            (flags.operational, Self::Operational),
        ];
        by_flag.into_iter().find_map(|(set, state)| set.then_some(state)).unwrap_or(Self::Unknown)
    }

    /// Returns whether a print is active, so that it can be cancelled.
    pub fn is_active(self) -> bool {
        matches!(
            self,
            Self::Starting
                | Self::Printing
                | Self::Pausing
                | Self::Paused
                | Self::Resuming
                | Self::Finishing
                | Self::Cancelling
        )
    }

    /// Returns whether no print is active. An earlier print has ended.
    pub fn is_idle(self) -> bool {
        matches!(self, Self::Operational | Self::Transferring | Self::Offline | Self::Error)
    }

    /// Returns whether OctoPrint is connected to its printer, which is idle or busy.
    pub fn is_operational(self) -> bool {
        matches!(self, Self::Operational | Self::Transferring) || self.is_active()
    }

    /// Returns whether a printer leaves this state by itself.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Pausing | Self::Resuming | Self::Cancelling | Self::Finishing | Self::Connecting
        )
    }

    /// Returns the value that the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::Starting => "starting",
            Self::Printing => "printing",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Resuming => "resuming",
            Self::Finishing => "finishing",
            Self::Cancelling => "cancelling",
            Self::Transferring => "transferring",
            Self::Offline => "offline",
            Self::Connecting => "connecting",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    /// Parses a value of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// Whether a printer's OctoPrint can be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reachability {
    Online,
    /// No connection, or no reply.
    Unreachable,
    /// OctoPrint replies, but refuses the API key.
    Unauthorized,
    /// A server replies, but not as OctoPrint does.
    Incompatible,
    /// Not tried yet, or the printer is disabled.
    Unknown,
}

impl Reachability {
    /// All values, for filters.
    pub const ALL: [Reachability; 5] =
        [Self::Online, Self::Unreachable, Self::Unauthorized, Self::Incompatible, Self::Unknown];

    /// Returns the value that the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::Incompatible => "incompatible",
            Self::Unknown => "unknown",
        }
    }

    /// Parses a value of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_mapped_by_their_meaning() {
        for (text, state) in [
            ("Offline after error", PrinterState::Error),
            ("Offline", PrinterState::Offline),
            ("Closed", PrinterState::Offline),
            ("Opening serial connection", PrinterState::Connecting),
            ("Printing from SD", PrinterState::Printing),
            ("Starting print from SD", PrinterState::Starting),
            ("Sending file to SD", PrinterState::Transferring),
            ("Starting to send file to SD", PrinterState::Transferring),
            ("Transferring file to SD", PrinterState::Transferring),
            ("Error: Thermal Runaway", PrinterState::Error),
            ("Offline (Error: Heating failed, system stopped!)", PrinterState::Error),
            ("Closed: error", PrinterState::Error),
            ("Operational", PrinterState::Operational),
            ("Dreaming", PrinterState::Unknown),
        ] {
            assert_eq!(PrinterState::from_text(text), state, "{text}");
        }
    }

    #[test]
    fn flags_decide_only_an_unknown_state() {
        let pausing = StateFlags { operational: true, printing: true, pausing: true, ..StateFlags::default() };
        assert_eq!(PrinterState::Unknown.or_from_flags(pausing), PrinterState::Pausing);
        assert_eq!(PrinterState::Paused.or_from_flags(pausing), PrinterState::Paused);
    }

    #[test]
    fn every_value_parses_back() {
        for state in PrinterState::ALL {
            assert_eq!(PrinterState::parse(state.as_str()), Some(state));
        }
    }
}
