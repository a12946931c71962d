//! Faults of a simulated printer: a test sets them, the server applies them.

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
            // The accepting task polled before the listener existed. This wakes it.
            self.0.fault.send_modify(|_| ());
        }
    }

    /// Applies a fault to the next command only (not to the next read). Several faults form a queue. For faults of one
    /// request: `Slow`, `Reset`, `ResetAfterActing`, `Garbage`, `Status`, `StatusAfterActing`, `WrongKey`.
    pub fn fault_next_command(&self, fault: Fault) {
        self.with(|inner, _| inner.once.push_back(fault));
    }

    /// Removes the faults of [`SimulatedPrinter::fault_next_command`] that no command has met yet.
    pub fn forget_command_faults(&self) {
        self.with(|inner, _| inner.once.clear());
    }

    /// Returns the number of connections that the printer stopped reading ([`Fault::StopReading`]) since its start.
    pub fn stopped_reading(&self) -> usize {
        self.0.stopped_reading.load(Ordering::Relaxed)
    }

    pub(in crate::simulator) fn note_stopped_reading(&self) {
        self.0.stopped_reading.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::simulator) fn fault(&self) -> Option<Fault> {
        self.0.fault.borrow().clone()
    }

    /// Returns the fault of reads and logins at this path.
    pub(in crate::simulator) fn fault_of_reading(&self, path: &str) -> Option<Fault> {
        self.0.fault.borrow().as_ref().and_then(|fault| fault.of_reading(path)).cloned()
    }

    pub(in crate::simulator) fn has_fault(&self, fault: &Fault) -> bool {
        self.0.fault.borrow().as_ref() == Some(fault)
    }

    pub(in crate::simulator) fn watch_fault(&self) -> watch::Receiver<Option<Fault>> {
        self.0.fault.subscribe()
    }

    /// Takes the next fault for one command, if there is one.
    pub(in crate::simulator) fn take_fault_for_command(&self) -> Option<Fault> {
        self.with(|inner, _| inner.once.pop_front())
    }
}
