//! The snapshot of the fleet, for pages and metrics that follow all printers.

use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

use super::Services;
use crate::fleet::view::{Changes, LivePrinter};

impl Services {
    /// Returns the live state of all printers, in no order. It checks no rights: the caller must do so.
    pub fn live_printers(&self) -> Vec<Arc<LivePrinter>> {
        self.fleet.view().printers()
    }

    /// Returns the changes of all printers since a version of the snapshot; since 0, all printers. It checks no rights:
    /// the caller must check each printer with [`Principal::may_see`](super::access::Principal::may_see).
    pub fn live_changes_since(&self, version: u64) -> Changes {
        self.fleet.view().changes_since(version)
    }

    /// Returns a receiver of the versions of the snapshot. A slow receiver gets only the newest.
    pub fn subscribe_live_versions(&self) -> watch::Receiver<u64> {
        self.fleet.view().subscribe()
    }

    /// Reads a printer more often for the next 10 s, because a page shows it.
    pub fn mark_viewed(&self, printer_id: Uuid) {
        self.fleet.mark_viewed(printer_id);
    }
}
