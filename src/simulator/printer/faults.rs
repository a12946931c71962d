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
        } else if listener.is_none() && !self.0.context.stop.is_cancelled() {
            *listener = self.reopen_listener();
            // The accepting task polled before the listener existed. This wakes it.
            self.0.fault.send_modify(|_| ());
        }
    }

    /// Applies a fault to the next command only (not to the next read). Several faults form a queue. For faults of one
    /// request: `Slow`, `Reset`, `ResetAfterActing`, `Garbage`, `Status`, `StatusAfterActing`, `WrongKey`.
    pub fn queue_command_fault(&self, fault: Fault) {
        self.with_inner(|inner, _| inner.command_faults.push_back(fault));
    }

    /// Removes the faults of [`SimulatedPrinter::queue_command_fault`] that no command has met yet.
    pub fn clear_command_faults(&self) {
        self.with_inner(|inner, _| inner.command_faults.clear());
    }

    /// Returns the number of connections that the printer stopped reading ([`Fault::StopReading`]) since its start.
    pub fn stopped_reading_count(&self) -> usize {
        self.0.stopped_reading.load(Ordering::Relaxed)
    }

    pub(in crate::simulator) fn count_stopped_reading(&self) {
        self.0.stopped_reading.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::simulator) fn fault(&self) -> Option<Fault> {
        self.0.fault.borrow().clone()
    }

    /// Returns the fault of reads and logins at this path.
    pub(in crate::simulator) fn fault_for_read(&self, path: &str) -> Option<Fault> {
        self.0.fault.borrow().as_ref().and_then(|fault| fault.for_read(path)).cloned()
    }

    pub(in crate::simulator) fn has_fault(&self, fault: &Fault) -> bool {
        self.0.fault.borrow().as_ref() == Some(fault)
    }

    pub(in crate::simulator) fn watch_fault(&self) -> watch::Receiver<Option<Fault>> {
        self.0.fault.subscribe()
    }

    /// Takes the next fault for one command, if there is one.
    pub(in crate::simulator) fn take_command_fault(&self) -> Option<Fault> {
        self.with_inner(|inner, _| inner.command_faults.pop_front())
    }
}
