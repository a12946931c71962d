//! Retention: removes rows of limited lifetime, and updates data derived from stored rows. Each is a separate periodic
//! task.
//!
//! Rows are removed by position (`storage/retention.rs`). Removal stops while the clock cannot be trusted
//! (`domain/clock_check.rs`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use tokio::sync::Mutex;

use super::{Services, access::SESSION_IDLE, background::TaskFailure};
use crate::{
    clock,
    domain::clock_check::{ClockCheck, StoredClock},
    storage::{self, Db},
};

/// Batches and their commands are kept this long.
const BATCHES_KEPT: TimeDelta = TimeDelta::days(400);
/// Number of finished deliveries that are kept for one webhook.
const DELIVERIES_KEPT: i64 = 10_000;
/// Events and their deliveries are kept this long.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(30);
/// Orders are kept this long after their end, with their copies.
const ORDERS_KEPT: TimeDelta = TimeDelta::days(400);
/// Tokens are kept this long after they were revoked or expired, because a batch can be scheduled so far ahead.
const TOKENS_KEPT: TimeDelta = TimeDelta::days(400);

const HOUR: Duration = Duration::from_secs(3_600);
/// Period of audit removals. It is long, because every removal of audit rows adds an audit row.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The clock for the removal of rows.
struct RemovalClock {
    db: Db,
    started: Instant,
    check: Mutex<Option<ClockCheck>>,
}

impl RemovalClock {
    /// Returns the current time. Fails while the clock cannot be trusted.
    async fn now(&self) -> Result<DateTime<Utc>, TaskFailure> {
        let mut check = self.check.lock().await;
        let check = match &mut *check {
            Some(check) => check,
            none => none.insert(ClockCheck::new(storage::retention::stored_clock(&self.db).await?)),
        };
        let now = clock::now();
        let trusted = check.observe(now, self.started.elapsed());
        let stored = StoredClock { newest: now, steady: check.steady() };
        storage::retention::store_clock(&self.db, stored).await?;
        trusted.map(|()| now).map_err(|until| {
            let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
            TaskFailure::new(format!("clock_jumped: The clock jumped. Nothing is removed before {until}."))
        })
    }
}

impl Services {
    /// Starts the tasks for retention and for derived data.
    pub(super) fn start_retention(&self) {
        let (audit_kept, prints_kept) = (self.settings.audit_retention, self.settings.print_retention);
        let clock = Arc::new(RemovalClock { db: self.db.clone(), started: Instant::now(), check: Mutex::default() });
        self.add_removal("batch_retention", HOUR, &clock, |db, now| async move {
            storage::batches::delete_older_than(&db, now - BATCHES_KEPT, now).await
        });
        self.add_removal("order_retention", HOUR, &clock, |db, now| async move {
            storage::orders::delete_older_than(&db, now - ORDERS_KEPT, now).await
        });
        self.add_removal("event_retention", HOUR, &clock, |db, now| async move {
            storage::events::delete_older_than(&db, now - EVENTS_KEPT, now).await
        });
        self.add_removal("delivery_retention", HOUR, &clock, |db, _| async move {
            storage::webhooks::delete_old_deliveries(&db, DELIVERIES_KEPT).await
        });
        self.add_removal("audit_retention", DAY, &clock, move |db, now| async move {
            storage::audit::delete_older_than(&db, now - audit_kept, now).await
        });
        self.add_removal("print_retention", HOUR, &clock, move |db, now| async move {
            storage::prints::delete_older_than(&db, now - prints_kept, now).await
        });
        self.add_removal("token_retention", HOUR, &clock, |db, now| async move {
            storage::tokens::delete_ended(&db, now - TOKENS_KEPT).await
        });
        self.add_removal("session_expiry", HOUR, &clock, |db, now| async move {
            storage::sessions::delete_expired(&db, now, now - SESSION_IDLE).await
        });
        self.add_removal("idempotency_key_expiry", HOUR, &clock, |db, now| async move {
            storage::idempotency::delete_outdated(&db, now).await
        });
        self.add_catch_up("audit_index", |db| async move { storage::audit::index_new_rows(&db).await });
        let calendar = self.settings.calendar;
        self.add_catch_up("print_statistics", move |db| async move {
            storage::print_days::count_ended_prints(&db, calendar).await
        });
    }

    /// Adds a task that removes rows. `remove` returns their number.
    fn add_removal<Running>(
        &self,
        name: &'static str,
        period: Duration,
        clock: &Arc<RemovalClock>,
        remove: impl Fn(Db, DateTime<Utc>) -> Running + Clone + Send + 'static,
    ) where
        Running: Future<Output = Result<u64, storage::Error>> + Send + 'static,
    {
        let (db, clock) = (self.db.clone(), clock.clone());
        self.background.add(name, period, move || {
            let (db, clock, remove) = (db.clone(), clock.clone(), remove.clone());
            async move {
                let now = clock.now().await?;
                let removed = remove(db, now).await?;
                if removed > 0 {
                    tracing::info!(task = name, removed, "rows removed");
                }
                Ok(None)
            }
        });
    }

    /// Adds a task that updates derived data until no row waits.
    fn add_catch_up<Running>(&self, name: &'static str, catch_up: impl Fn(Db) -> Running + Send + 'static)
    where
        Running: Future<Output = Result<u64, storage::Error>> + Send + 'static,
    {
        let db = self.db.clone();
        self.background.add(name, HOUR, move || {
            let running = catch_up(db.clone());
            async move {
                running.await?;
                Ok(Some(0))
            }
        });
    }
}
