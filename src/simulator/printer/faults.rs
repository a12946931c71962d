//! Faults of a simulated printer: set by a test, looked up by its server.

use std::sync::{PoisonError, atomic::Ordering};

use tokio::sync::watch;

use super::SimulatedPrinter;
use crate::simulator::config::Fault;

impl SimulatedPrinter {
    /// Sets or clears a fault. `Refuse` takes effect before this returns.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let refuse = fault == Some(Fault::Refuse);
        self.0.fault.send_replace(fault);
        let mut listener = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if refuse {
            *listener = None;
            self.cut_connections();
        } else if listener.is_none() && !self.0.common.stop.is_cancelled() {
            *listener = self.listen_again();
            // The task at the door has looked before the listener was there.
            self.0.fault.send_modify(|_| ());
        }
    }

    /// The next command (not: the next reading) meets this fault, and only that one. For those that work on a request:
    /// `Slow`, `Reset`, `ResetAfterActing`, `Garbage`, `Status`, `StatusAfterActing`, `WrongKey`. Several queue up.
    pub fn fault_next_command(&self, fault: Fault) {
        self.with(|inner, _| inner.once.push_back(fault));
    }

    /// Forgets the faults of [`SimulatedPrinter::fault_next_command`] that no command has met.
    pub fn forget_command_faults(&self) {
        self.with(|inner, _| inner.once.clear());
    }

    /// Of how many connections it stopped reading ([`Fault::StopReading`]), since it runs.
    pub fn stopped_reading(&self) -> usize {
        self.0.stopped_reading.load(Ordering::Relaxed)
    }

    pub(in crate::simulator) fn note_stopped_reading(&self) {
        self.0.stopped_reading.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::simulator) fn fault(&self) -> Option<Fault> {
        self.0.fault.borrow().clone()
    }

    /// The fault of requests that read, or log in, at this path.
    pub(in crate::simulator) fn fault_of_reading(&self, path: &str) -> Option<Fault> {
        self.0.fault.borrow().as_ref().and_then(|fault| fault.of_reading(path)).cloned()
    }

    pub(in crate::simulator) fn has_fault(&self, fault: &Fault) -> bool {
        self.0.fault.borrow().as_ref() == Some(fault)
    }

    pub(in crate::simulator) fn watch_fault(&self) -> watch::Receiver<Option<Fault>> {
        self.0.fault.subscribe()
    }

    /// The fault of one command, if one waits.
    pub(in crate::simulator) fn take_fault_for_command(&self) -> Option<Fault> {
        self.with(|inner, _| inner.once.pop_front())
    }
}
