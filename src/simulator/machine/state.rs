//! OctoPrint's states, with the words and flags it has for them.

use serde_json::{Value, json};

/// What OctoPrint says its printer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
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
    /// A file goes to the SD card. OctoPrint's flags say that it prints.
    Transferring,
}

impl State {
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

    /// `state_id` of `PrinterStateChanged`, which calls every closed connection `OFFLINE`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Offline | Self::OfflineAfterError => "OFFLINE",
            Self::Opening => "OPEN_SERIAL",
            Self::Connecting => "CONNECTING",
            Self::Operational => "OPERATIONAL",
            Self::Starting => "STARTING",
            // Measured: the id does not distinguish them, the text does.
            Self::Printing | Self::Transferring => "PRINTING",
            Self::Pausing => "PAUSING",
            Self::Paused => "PAUSED",
            Self::Resuming => "RESUMING",
            Self::Cancelling => "CANCELLING",
            Self::Finishing => "FINISHING",
        }
    }

    /// The printer answers its OctoPrint.
    pub fn is_operational(self) -> bool {
        !matches!(self, Self::Offline | Self::OfflineAfterError | Self::Opening | Self::Connecting)
    }

    /// OctoPrint's `is_printing`: true in every state of a job but `Paused`, and while a file goes to the SD card.
    pub fn is_printing(self) -> bool {
        self.is_operational() && !matches!(self, Self::Operational | Self::Paused)
    }

    /// A job is there.
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
