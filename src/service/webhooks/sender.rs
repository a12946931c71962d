//! The sender of one webhook: a task and a bound of its own, so that its receiver delays nobody else's.
//!
//! Of the 64 requests that go out at once each webhook has at most 4, one that is failing only 1, and more than 1 only while
//! half of the places are free. Whoever waits for a first place is served in turn. So a few receivers that hang cannot hold
//! all places.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::attempt;
use crate::{
    clock,
    domain::webhook::{Delivery, Webhook},
    service::{Services, error::Error},
    storage,
};

/// Requests to one receiver at once.
const AT_ONCE: usize = 4;
/// Deliveries may come due, and webhooks may change, without a signal from other nodes.
const EVERY: Duration = Duration::from_secs(30);
/// After a failure of the ledger.
const AGAIN: Duration = Duration::from_secs(2);
/// At the end of the server, what is on its way gets this long to be written down.
const GRACE: Duration = Duration::from_secs(3);

/// Sends what is due to one webhook until `stop` falls.
pub(super) async fn run(services: Services, id: Uuid, wake: Arc<Notify>, stop: CancellationToken) {
    let mut under_way = JoinSet::new();
    loop {
        let begun = tokio::select! {
            () = stop.cancelled() => break,
            begun = begin(&services, id, &mut under_way) => begun,
        };
        let pause = match begun {
            Ok(due) => due.map_or(EVERY, |at| (at - clock::now()).to_std().unwrap_or_default().min(EVERY)),
            Err(error) => {
                tracing::error!(?error, webhook.id = %id, "what is due to a webhook could not be read");
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = wake.notified() => {}
            Some(_) = under_way.join_next() => while under_way.try_join_next().is_some() {},
            () = tokio::time::sleep(pause) => {}
        }
    }
    // What is not written down by then is sent again when its lease is over.
    let _ = tokio::time::timeout(GRACE, async { while under_way.join_next().await.is_some() {} }).await;
}

/// Begins what is due, as far as there is room. Returns when to look again; none: after an end, or a signal.
async fn begin(services: &Services, id: Uuid, under_way: &mut JoinSet<()>) -> Result<Option<DateTime<Utc>>, Error> {
    let Some(webhook) = storage::webhooks::get(&services.db, id).await? else { return Ok(None) };
    let ordered = webhook.details.ordered;
    let most = if ordered || webhook.failing_since.is_some() { 1 } else { AT_ONCE };
    while under_way.len() < most {
        let due = storage::webhooks::next_due(&services.db, id, ordered).await?;
        if due.is_none_or(|at| at > clock::now()) {
            return Ok(due);
        }
        let mut permits = Vec::new();
        if under_way.is_empty() {
            permits.extend(services.webhooks.slots.clone().acquire_owned().await);
        }
        while under_way.len() + permits.len() < most
            && let Some(permit) = one_more(&services.webhooks.slots)
        {
            permits.push(permit);
        }
        if permits.is_empty() {
            // Until one of its own has ended.
            return Ok(None);
        }
        let now = clock::now();
        let lost_at = now + TimeDelta::from_std(services.settings.webhooks.lease()).unwrap_or(TimeDelta::minutes(1));
        let limit = i64::try_from(permits.len()).unwrap_or(1);
        let claimed = storage::webhooks::claim(&services.db, id, ordered, limit, now, lost_at).await?;
        if claimed.is_empty() {
            // Another node was faster, or it was switched off.
            return Ok(Some(now + TimeDelta::seconds(1)));
        }
        for (delivery, permit) in claimed.into_iter().zip(permits) {
            under_way.spawn(one(services.clone(), webhook.clone(), delivery, permit));
        }
    }
    Ok(None)
}

/// A place beside one that a webhook has already, as long as half of them are free: the rest is for those that have none.
fn one_more(slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if slots.available_permits() > super::AT_ONCE / 2 { slots.clone().try_acquire_owned().ok() } else { None }
}

async fn one(services: Services, webhook: Webhook, delivery: Delivery, _permit: OwnedSemaphorePermit) {
    if let Err(error) = attempt::deliver(&services, &webhook, &delivery).await {
        tracing::error!(?error, delivery.id = %delivery.id, "a delivery could not be made; it is due again soon");
    }
}
