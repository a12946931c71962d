//! Deletes contents that nothing names, and reports contents whose bytes are missing.

use std::time::Duration;

use chrono::TimeDelta;

use super::incoming::panicked;
use crate::{
    clock,
    service::{
        Services,
        background::{RunResult, TaskFailure},
        error::Error,
    },
    storage,
};

/// Contents that are younger are never deleted. Their row may follow.
const KEPT: Duration = Duration::from_secs(3_600);
const PERIOD: Duration = Duration::from_secs(600);

impl Services {
    pub(in crate::service) fn start_file_clean_up(&self) {
        let services = self.clone();
        self.background.add("files", PERIOD, move || {
            let services = services.clone();
            async move { services.clean_up_files().await }
        });
    }

    /// Deletes unused contents, first their rows and then their bytes. Fails if bytes of a content with a row are
    /// missing: they may be on the disk of another server, so no row is deleted.
    async fn clean_up_files(&self) -> RunResult {
        let kept = TimeDelta::from_std(KEPT).unwrap_or_default();
        storage::files::delete_unused_contents(&self.db, clock::now() - kept).await?;
        let store = self.contents.clone();
        let old = tokio::task::spawn_blocking(move || store.list_older_than(KEPT)).await.map_err(panicked)?;
        let old = old.map_err(|error| TaskFailure::new(format!("folder_unreadable: {error}")))?;
        let known = storage::files::known_contents(&self.db, &old).await?;
        for sha256 in old.into_iter().filter(|sha256| !known.contains(sha256)) {
            self.delete_unknown_content(sha256).await?;
        }
        let missing = self.count_missing_contents().await?;
        if missing > 0 {
            let text = format!("content_missing: the data folder lacks {missing} contents of the library");
            return Err(TaskFailure { behind: Some(missing), ..TaskFailure::new(text) });
        }
        Ok(Some(0))
    }

    /// Deletes the bytes of a content, if it still has no row. An upload may have given it one.
    async fn delete_unknown_content(&self, sha256: String) -> Result<(), Error> {
        let _names = self.contents.lock_names().await;
        if !storage::files::known_contents(&self.db, std::slice::from_ref(&sha256)).await?.is_empty() {
            return Ok(());
        }
        let (store, name) = (self.contents.clone(), sha256.clone());
        let deleted =
            tokio::task::spawn_blocking(move || store.delete_older_than(&name, KEPT)).await.map_err(panicked)?;
        match deleted {
            Ok(true) => tracing::info!(file.sha256 = sha256, "content deleted, because no file names it"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, file.sha256 = sha256, "a content cannot be deleted"),
        }
        Ok(())
    }

    async fn count_missing_contents(&self) -> Result<u64, Error> {
        let stored = storage::files::list_contents(&self.db).await?;
        let store = self.contents.clone();
        let count = move || stored.iter().filter(|sha256| !store.exists(sha256)).count();
        Ok(tokio::task::spawn_blocking(count).await.map_err(panicked)? as u64)
    }
}
