//! Removes what is kept for a limited time, and updates what is derived from stored rows. Each is a periodic task of its own.

use std::time::Duration;

use chrono::TimeDelta;
use chrono::{DateTime, Utc};

use super::{Services, access::SESSION_IDLE};
use crate::{
    clock,
    storage::{self, Db},
};

/// Batches and their commands are kept this long.
const BATCHES_KEPT: TimeDelta = TimeDelta::days(400);
/// Finished deliveries that are kept of one webhook.
const DELIVERIES_KEPT: i64 = 10_000;
/// Events and their deliveries are kept this long.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(30);

/// Period of every task here.
const PERIOD: Duration = Duration::from_secs(3_600);

impl Services {
    /// Starts the tasks.
    pub(super) fn start_retention(&self) {
        let audit_kept = self.settings.audit_kept;
        self.add_removal("batch_retention", |db, now| async move {
            storage::batches::delete_older_than(&db, now - BATCHES_KEPT).await
        });
        self.add_removal("event_retention", |db, now| async move {
            storage::events::delete_older_than(&db, now - EVENTS_KEPT).await
        });
        self.add_removal("delivery_retention", |db, now| async move {
            storage::webhooks::delete_older_than(&db, now - EVENTS_KEPT, DELIVERIES_KEPT).await
        });
        self.add_removal("audit_retention", move |db, now| async move {
            storage::audit::delete_older_than(&db, now - audit_kept).await
        });
        self.add_removal("session_expiry", |db, now| async move {
            storage::sessions::delete_expired(&db, now, now - SESSION_IDLE).await
        });
        self.add_removal("idempotency_key_expiry", |db, now| async move {
            storage::idempotency::delete_outdated(&db, now).await
        });
        self.add_catch_up("audit_index", |db| async move { storage::audit::catch_up(&db).await });
        self.add_catch_up("print_statistics", |db| async move { storage::print_days::catch_up(&db).await });
    }

    /// Adds a task that removes rows, and returns how many.
    fn add_removal<Running>(
        &self,
        name: &'static str,
        remove: impl Fn(Db, DateTime<Utc>) -> Running + Send + Sync + 'static,
    ) where
        Running: Future<Output = Result<u64, storage::Error>> + Send + 'static,
    {
        let db = self.db.clone();
        self.background.add(name, PERIOD, move || {
            let removing = remove(db.clone(), clock::now());
            async move {
                let removed = removing.await?;
                if removed > 0 {
                    tracing::info!(task = name, removed, "rows removed");
                }
                Ok(None)
            }
        });
    }

    /// Adds a task that works until nothing waits.
    fn add_catch_up<Running>(&self, name: &'static str, catch_up: impl Fn(Db) -> Running + Send + 'static)
    where
        Running: Future<Output = Result<u64, storage::Error>> + Send + 'static,
    {
        let db = self.db.clone();
        self.background.add(name, PERIOD, move || {
            let running = catch_up(db.clone());
            async move {
                running.await?;
                Ok(Some(0))
            }
        });
    }
}
