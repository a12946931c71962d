//! Marks files that Printyard put on printers and that nothing needs any more. The reconciler deletes them.

use chrono::TimeDelta;

use crate::{
    clock,
    service::{Services, background::RunResult},
    storage,
};

/// A file stays on its printer for this long after its last use, so that it can be printed again at once.
const KEPT_ON_PRINTERS: TimeDelta = TimeDelta::days(14);

impl Services {
    pub(super) async fn mark_unneeded_contents(&self) -> RunResult {
        let views = self.fleet.view().printers();
        // A selected file stays: the next start without a file prints it.
        let selected: Vec<String> =
            views.iter().filter_map(|live| Some(live.job.as_ref()?.file.as_ref()?.path.clone())).collect();
        let now = clock::now();
        let marked = storage::printer_contents::mark_unneeded(&self.db, &selected, now - KEPT_ON_PRINTERS, now).await?;
        if marked > 0 {
            tracing::info!(files = marked, "files on printers are no longer needed");
            self.transfers.wake();
        }
        Ok(Some(0))
    }
}
