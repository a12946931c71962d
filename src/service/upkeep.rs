//! What is kept for a time only is removed when that time is over, and what follows the ledger catches up with it.
//! Idempotent, without input, woken by a timer.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::access::SESSION_IDLE;
use crate::{
    clock,
    storage::{self, Db},
};

/// Batches and their commands are kept this long.
const BATCHES_KEPT: TimeDelta = TimeDelta::days(400);
/// Deliveries of one webhook that have ended are kept at most.
const DELIVERIES_KEPT: i64 = 10_000;
/// Events, and the deliveries that tell of them, are kept this long.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(30);
const EVERY: Duration = Duration::from_secs(3_600);

/// Runs until `stop` falls.
pub async fn run(db: Db, audit_kept: TimeDelta, stop: CancellationToken) {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = timer.tick() => {}
        }
        if let Err(error) = tidy(&db, audit_kept).await {
            tracing::error!(?error, "what is outdated could not be removed");
        }
    }
}

/// Removes what is outdated now.
pub async fn tidy(db: &Db, audit_kept: TimeDelta) -> Result<(), storage::Error> {
    let now = clock::now();
    let batches = storage::batches::delete_older_than(db, now - BATCHES_KEPT).await?;
    let sessions = storage::sessions::delete_expired(db, now, now - SESSION_IDLE).await?;
    let audit = storage::audit::delete_older_than(db, now - audit_kept).await?;
    let events = storage::events::delete_older_than(db, now - EVENTS_KEPT).await?;
    storage::idempotency::delete_outdated(db, now).await?;
    let deliveries = storage::webhooks::delete_older_than(db, now - EVENTS_KEPT, DELIVERIES_KEPT).await?;
    storage::audit::catch_up(db).await?;
    storage::print_days::catch_up(db).await?;
    if batches + sessions + audit + events + deliveries > 0 {
        tracing::info!(batches, sessions, audit, events, deliveries, "outdated rows removed");
    }
    Ok(())
}
