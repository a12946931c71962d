//! Sender of one webhook: a separate task with its own limit, so its receiver delays no other.
//!
//! At most 64 requests run at once. Each webhook has at most 4 of them, a failing one only 1, and more than 1 only
//! while half of the slots are free. Webhooks that wait for a first slot are served in turn. So a few receivers that
//! hang cannot take all slots.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::delivery;
use crate::{
    clock,
    domain::webhook::{Delivery, Webhook},
    service::{Services, error::Error},
    storage,
};

/// Maximum number of concurrent requests to one receiver.
const MAX_REQUESTS_EACH: usize = 4;
/// Time between two checks. On other nodes, deliveries come due and webhooks change without a signal.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// Pause after a database error.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// At a shutdown, requests in progress have this time to be recorded.
const GRACE: Duration = Duration::from_secs(3);

/// Sends the due deliveries of one webhook until `stop` is cancelled.
pub(super) async fn run(services: Services, id: Uuid, wake: Arc<Notify>, stop: CancellationToken) {
    let mut in_flight = JoinSet::new();
    loop {
        let begun = tokio::select! {
            () = stop.cancelled() => break,
            begun = start_due(&services, id, &mut in_flight) => begun,
        };
        let pause = match begun {
            Ok(due) => {
                due.map_or(CHECK_INTERVAL, |at| (at - clock::now()).to_std().unwrap_or_default().min(CHECK_INTERVAL))
            }
            Err(error) => {
                tracing::error!(?error, webhook.id = %id, "the due deliveries of a webhook could not be read");
                RETRY_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = wake.notified() => {}
            Some(_) = in_flight.join_next() => while in_flight.try_join_next().is_some() {},
            () = tokio::time::sleep(pause) => {}
        }
    }
    // A delivery that is not recorded by then is sent again when its lease is over.
    let _ = tokio::time::timeout(GRACE, async { while in_flight.join_next().await.is_some() {} }).await;
}

/// Starts due deliveries while there is room. Returns the time of the next check. None: after a request ends, or a
/// signal.
async fn start_due(services: &Services, id: Uuid, in_flight: &mut JoinSet<()>) -> Result<Option<DateTime<Utc>>, Error> {
    let Some(webhook) = storage::webhooks::get(&services.db, id).await? else { return Ok(None) };
    let ordered = webhook.details.ordered;
    let most = if ordered || webhook.failing_since.is_some() { 1 } else { MAX_REQUESTS_EACH };
    while in_flight.len() < most {
        let due = storage::webhooks::next_due(&services.db, id, ordered).await?;
        if due.is_none_or(|at| at > clock::now()) {
            return Ok(due);
        }
        let mut permits = Vec::new();
        if in_flight.is_empty() {
            permits.extend(services.webhooks.slots.clone().acquire_owned().await);
        }
        while in_flight.len() + permits.len() < most
            && let Some(permit) = try_extra_slot(&services.webhooks.slots)
        {
            permits.push(permit);
        }
        if permits.is_empty() {
            // No slot is free. The next check follows when a request of this webhook has ended.
            return Ok(None);
        }
        let now = clock::now();
        let lost_at =
            now + TimeDelta::from_std(services.settings.webhook_schedule.lease()).unwrap_or(TimeDelta::minutes(1));
        let limit = i64::try_from(permits.len()).unwrap_or(1);
        let claimed = storage::webhooks::claim_due(&services.db, id, ordered, limit, now, lost_at).await?;
        if claimed.is_empty() {
            // Another node was faster, or the webhook was disabled.
            return Ok(Some(now + TimeDelta::seconds(1)));
        }
        for (delivery, permit) in claimed.into_iter().zip(permits) {
            in_flight.spawn(deliver_one(services.clone(), webhook.clone(), delivery, permit));
        }
    }
    Ok(None)
}

/// Returns a further slot for a webhook, while half of the slots are free. The rest is for webhooks without a slot.
fn try_extra_slot(slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if slots.available_permits() > super::MAX_REQUESTS / 2 { slots.clone().try_acquire_owned().ok() } else { None }
}

async fn deliver_one(services: Services, webhook: Webhook, delivery: Delivery, _permit: OwnedSemaphorePermit) {
    if let Err(error) = delivery::deliver(&services, &webhook, &delivery).await {
        tracing::error!(?error, delivery.id = %delivery.id, "a delivery could not be made; it is due again soon");
    }
}
