//! OctoPrint's states, with their texts and flags.

use serde_json::{Value, json};

/// State of the printer, as OctoPrint reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineState {
    Offline,
    OfflineAfterError,
    Opening,
    Connecting,
    Operational,
    Starting,
    Printing,
    Pausing,
    Paused,
    Resuming,
    Cancelling,
    Finishing,
    /// A file is sent to the SD card. OctoPrint's flags report this as printing.
    Transferring,
}

impl MachineState {
    /// `state` of `GET /api/job`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Offline => "Offline",
            Self::OfflineAfterError => "Offline after error",
            Self::Opening => "Opening serial connection",
            Self::Connecting => "Connecting",
            Self::Operational => "Operational",
            Self::Starting => "Starting",
            Self::Printing => "Printing",
            Self::Pausing => "Pausing",
            Self::Paused => "Paused",
            Self::Resuming => "Resuming",
            Self::Cancelling => "Cancelling",
            Self::Finishing => "Finishing",
            Self::Transferring => "Sending file to SD",
        }
    }

    /// `state_id` of `PrinterStateChanged`. It is `OFFLINE` for every closed connection.
    pub fn id(self) -> &'static str {
        match self {
            Self::Offline | Self::OfflineAfterError => "OFFLINE",
            Self::Opening => "OPEN_SERIAL",
            Self::Connecting => "CONNECTING",
            Self::Operational => "OPERATIONAL",
            Self::Starting => "STARTING",
            // Measured: both have the same id, and only their texts differ.
            Self::Printing | Self::Transferring => "PRINTING",
            Self::Pausing => "PAUSING",
            Self::Paused => "PAUSED",
            Self::Resuming => "RESUMING",
            Self::Cancelling => "CANCELLING",
            Self::Finishing => "FINISHING",
        }
    }

    /// Whether the printer replies to its OctoPrint.
    pub fn is_operational(self) -> bool {
        !matches!(self, Self::Offline | Self::OfflineAfterError | Self::Opening | Self::Connecting)
    }

    /// OctoPrint's `is_printing`: true in every state of a job except `Paused`, and during a transfer to the SD card.
    pub fn is_printing(self) -> bool {
        self.is_operational() && !matches!(self, Self::Operational | Self::Paused)
    }

    /// Whether there is a job.
    pub fn is_busy(self) -> bool {
        self.is_printing() || self == Self::Paused
    }

    /// `state.flags` of `GET /api/printer`.
    pub fn flags(self) -> Value {
        let closed = matches!(self, Self::Offline | Self::OfflineAfterError);
        json!({
            "cancelling": self == Self::Cancelling,
            "closedOrError": closed,
            "error": self == Self::OfflineAfterError,
            "finishing": self == Self::Finishing,
            "operational": self.is_operational(),
            "paused": self == Self::Paused,
            "pausing": self == Self::Pausing,
            "printing": self.is_printing(),
            "ready": self == Self::Operational,
            "resuming": self == Self::Resuming,
            "sdReady": self.is_operational(),
        })
    }
}
