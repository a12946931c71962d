//! Faults of the demo's simulated printers. A server that runs no demo has none of this.

use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::domain::{access::Role, command::string_enum, message::Message, state::Reachability};

string_enum! {
    /// A fault of a simulated printer, or the end of one.
    DemoFault {
        FirmwareError = "firmware_error",
        /// Filament runs out, and the printer pauses its print.
        FilamentRunsOut = "filament_runs_out",
        /// A person pauses the print at the printer.
        PausedAtPrinter = "paused_at_printer",
        /// The connection to the printer is cut, so its print fails.
        PrintFails = "print_fails",
        FinishPrint = "finish_print",
        StopsAnswering = "stops_answering",
        /// Replies take 2 s.
        Slow = "slow",
        LosesEventSocket = "loses_event_socket",
        /// Ends the three faults before.
        AnswersAgain = "answers_again",
        KeyRefused = "key_refused",
        KeyRestored = "key_restored",
    }
}

/// The simulated printers of a demo.
pub trait DemoFarm: Send + Sync {
    /// Whether faults also occur without a request.
    fn has_random_faults(&self) -> bool;

    /// Causes a fault at the printer with this address. Returns `false` if it needs a print and the printer does not
    /// print, or if there is no such simulated printer.
    fn cause(&self, url: &str, fault: DemoFault) -> bool;

    /// Ends all faults.
    fn reset(&self);
}

impl Services {
    /// Returns the farm of the demo. `None`: this server runs no demo.
    pub fn demo_farm(&self) -> Option<&dyn DemoFarm> {
        self.demo_farm.as_deref()
    }

    /// Causes a fault of a simulated printer. Returns the name of the printer.
    pub async fn cause_demo_fault(&self, who: &Principal, id: Uuid, fault: DemoFault) -> Result<String, Error> {
        who.require(Role::Operator)?;
        let farm = self.demo_farm().ok_or(Error::NotFound("printer"))?;
        let details = self.printer(who, id).await?.printer.details;
        if farm.cause(&details.url, fault) {
            self.fleet.request_reading(id);
            Ok(details.name)
        } else {
            Err(Error::Conflict { code: "not_printing", detail: Message::new("refusal-demo-not-printing") })
        }
    }

    /// Ends all faults of the simulated printers. Those that were unreachable are read at once, not after their backoff.
    pub fn end_demo_faults(&self, who: &Principal) -> Result<(), Error> {
        who.require(Role::Operator)?;
        self.demo_farm().ok_or(Error::NotFound("printer"))?.reset();
        for live in self.fleet.view().printers().iter().filter(|live| live.reachability != Reachability::Online) {
            self.fleet.request_reading(live.id);
        }
        Ok(())
    }
}
