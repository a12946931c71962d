//! Webhooks: which receivers get which events, and the deliveries.
//!
//! The event feed is the outbox. `scheduler.rs` reads it from each webhook's position, and creates deliveries in the
//! transaction that moves the position. `sender.rs` is one task per webhook with its own limit, so a receiver that
//! hangs delays no other. `delivery.rs` is one request. A delivery in progress is a database lease: after a crash
//! it is due again. So a receiver gets an event at least once. It gets the event twice, with the same `webhook-id`, if
//! the server ends between the response and its commit.

mod delivery;
mod failure;
mod scheduler;
mod sender;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
pub use failure::DeliveryFailure;
use serde_json::{Map, json};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry, changed_fields, object_fields},
        event::EventType,
        message::Message,
        validation::ValidationErrors,
        webhook::{Delivery, DeliveryFilter, MAX_WEBHOOKS, TEST_EVENT_TYPE, Webhook, WebhookDetails},
    },
    outbound::Outbound,
    secrets,
    storage::{self, webhooks::SigningSecret},
};

/// Maximum number of concurrent requests to all receivers.
const MAX_REQUESTS: usize = 64;

/// Longest overlap of two secrets. Two valid secrets must not become permanent.
const LONGEST_OVERLAP: TimeDelta = TimeDelta::days(30);

/// Shared state of the delivery of webhooks.
#[derive(Clone)]
pub(crate) struct Webhooks {
    /// Connections to receivers, which have their own allowed networks.
    outbound: Outbound,
    /// Signals that a webhook has changed, or that a delivery is requested.
    changed: Arc<Notify>,
    slots: Arc<Semaphore>,
    counts: Arc<AttemptCounts>,
}

impl Webhooks {
    /// Creates the state. Nothing is sent before [`Services::start_webhooks`] runs.
    pub fn new(outbound: Outbound) -> Self {
        Self {
            outbound,
            changed: Arc::default(),
            slots: Arc::new(Semaphore::new(MAX_REQUESTS)),
            counts: Arc::default(),
        }
    }
}

/// Attempts since the start, by result.
#[derive(Default)]
struct AttemptCounts {
    delivered: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
}

/// A webhook, with the number of its pending deliveries.
#[derive(Debug, Clone)]
pub struct WebhookView {
    pub webhook: Webhook,
    pub pending: i64,
    /// Until this time, a former secret also signs.
    pub overlap_until: Option<DateTime<Utc>>,
}

/// A change of a webhook: `None` keeps a value.
#[derive(Debug, Clone, Default)]
pub struct WebhookPatch {
    pub url: Option<String>,
    pub description: Option<String>,
    pub types: Option<Vec<EventType>>,
    pub enabled: Option<bool>,
    pub ordered: Option<bool>,
}

/// Result of a test of a webhook.
#[derive(Debug, Clone)]
pub struct WebhookReport {
    pub delivered: bool,
    pub status: Option<u16>,
    pub latency_ms: i64,
    /// None: the receiver accepted the event.
    pub failure: Option<DeliveryFailure>,
}

/// Returns whether the principal may see a webhook. With a tag limit, the webhook's limit must be within it.
fn may_see(who: &Principal, webhook: &Webhook) -> bool {
    who.tags.is_empty() || (!webhook.tags.is_empty() && webhook.tags.iter().all(|tag| who.tags.contains(tag)))
}

/// Returns an audit entry about a webhook.
fn webhook_entry(who: &Principal, action: Action, id: Uuid, changes: Map<String, serde_json::Value>) -> AuditEntry {
    AuditEntry { subject: Some(id), ..who.audit_entry(action, changes) }
}

fn url_field(webhook: &Webhook) -> Map<String, serde_json::Value> {
    object_fields(&json!({"url": webhook.details.url}))
}

impl Services {
    /// Creates a webhook. It gets all later events that its creator may see. The secret is returned only here. Fails
    /// with `Invalid`, `too_many_webhooks`.
    pub async fn create_webhook(
        &self,
        who: &Principal,
        details: WebhookDetails,
    ) -> Result<(WebhookView, String), Error> {
        who.require(Role::Manager)?;
        let details = details.validate()?;
        let now = clock::now();
        let webhook = Webhook {
            id: clock::new_id(),
            details,
            tags: who.tags.clone(),
            created_by: who.name.clone(),
            position: 0,
            disabled_reason: None,
            failing_since: None,
            last_success_at: None,
            last_error: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let (secret, plain) = self.new_secret()?;
        let entry = webhook_entry(who, Action::WebhookCreated, webhook.id, object_fields(&webhook.details));
        let most = i64::try_from(MAX_WEBHOOKS).unwrap_or(i64::MAX);
        if !storage::webhooks::insert(&self.db, &webhook, &secret, most, &entry).await? {
            let detail = Message::new("refusal-too-many-webhooks").with("limit", MAX_WEBHOOKS);
            return Err(Error::Conflict { code: "too_many_webhooks", detail });
        }
        self.webhooks.changed.notify_one();
        tracing::info!(webhook.id = %webhook.id, by = %who.name, "webhook created");
        Ok((self.webhook(who, webhook.id).await?, plain))
    }

    /// Returns a new secret: sealed, and in plain text.
    fn new_secret(&self) -> Result<(SigningSecret, String), Error> {
        let (id, plain) = (clock::new_id(), secrets::new_signing_secret()?);
        Ok((SigningSecret { id, sealed: self.vault.seal(id, &plain)?, until: None }, plain))
    }

    /// Returns the webhooks that the principal may see, oldest first.
    pub async fn list_webhooks(&self, who: &Principal) -> Result<Vec<WebhookView>, Error> {
        who.require(Role::Manager)?;
        let pending = storage::webhooks::count_pending(&self.db).await?;
        let mut views = Vec::new();
        for webhook in storage::webhooks::list_webhooks(&self.db).await? {
            if may_see(who, &webhook) {
                let count = pending.iter().find(|(id, _)| *id == webhook.id).map_or(0, |(_, count)| *count);
                views.push(self.view_of_webhook(webhook, count).await?);
            }
        }
        Ok(views)
    }

    /// Returns one webhook. A webhook that the principal may not see does not exist.
    pub async fn webhook(&self, who: &Principal, id: Uuid) -> Result<WebhookView, Error> {
        let webhook = self.visible_webhook(who, id).await?;
        let pending = storage::webhooks::count_pending(&self.db).await?;
        let count = pending.iter().find(|(webhook_id, _)| *webhook_id == id).map_or(0, |(_, count)| *count);
        self.view_of_webhook(webhook, count).await
    }

    async fn visible_webhook(&self, who: &Principal, id: Uuid) -> Result<Webhook, Error> {
        who.require(Role::Manager)?;
        let webhook = storage::webhooks::get(&self.db, id).await?.filter(|webhook| may_see(who, webhook));
        webhook.ok_or(Error::NotFound("webhook"))
    }

    async fn view_of_webhook(&self, webhook: Webhook, pending: i64) -> Result<WebhookView, Error> {
        let secrets = storage::webhooks::list_secrets(&self.db, webhook.id, clock::now()).await?;
        Ok(WebhookView { webhook, pending, overlap_until: secrets.iter().filter_map(|secret| secret.until).max() })
    }

    /// Changes a webhook. A webhook that is enabled again continues at its position, as far as the feed still has the
    /// events. Fails with `Stale`.
    pub async fn patch_webhook(
        &self,
        who: &Principal,
        id: Uuid,
        if_match: Option<i64>,
        patch: WebhookPatch,
    ) -> Result<WebhookView, Error> {
        let before = self.visible_webhook(who, id).await?;
        if if_match.is_some_and(|version| version != before.version) {
            return Err(Error::Stale);
        }
        let was = before.details.clone();
        let details = WebhookDetails {
            url: patch.url.unwrap_or(was.url),
            description: patch.description.unwrap_or(was.description),
            types: patch.types.unwrap_or(was.types),
            enabled: patch.enabled.unwrap_or(was.enabled),
            ordered: patch.ordered.unwrap_or(was.ordered),
        };
        let webhook = Webhook {
            details: details.validate()?,
            version: before.version + 1,
            updated_at: clock::now(),
            ..before.clone()
        };
        let changes = changed_fields(&json!(before.details), &json!(webhook.details));
        let entry = webhook_entry(who, Action::WebhookChanged, id, changes);
        if !storage::webhooks::update(&self.db, &webhook, before.version, &entry).await? {
            return Err(Error::Stale);
        }
        self.webhooks.changed.notify_one();
        tracing::info!(webhook.id = %id, by = %who.name, "webhook changed");
        self.webhook(who, id).await
    }

    /// Removes a webhook and its pending deliveries.
    pub async fn remove_webhook(&self, who: &Principal, id: Uuid) -> Result<(), Error> {
        let webhook = self.visible_webhook(who, id).await?;
        let entry = webhook_entry(who, Action::WebhookRemoved, id, object_fields(&webhook.details));
        if !storage::webhooks::remove(&self.db, id, &entry).await? {
            return Err(Error::NotFound("webhook"));
        }
        self.webhooks.changed.notify_one();
        tracing::info!(webhook.id = %id, by = %who.name, "webhook removed");
        Ok(())
    }

    /// Gives a webhook a new secret, which is returned only here. The former secret also signs during `overlap`.
    pub async fn rotate_webhook(
        &self,
        who: &Principal,
        id: Uuid,
        overlap: TimeDelta,
    ) -> Result<(WebhookView, String), Error> {
        let webhook = self.visible_webhook(who, id).await?;
        if overlap < TimeDelta::zero() || overlap > LONGEST_OVERLAP {
            let rule = Message::new("rule-range-seconds").with("min", 0).with("max", LONGEST_OVERLAP.num_seconds());
            return Err(ValidationErrors::single("/overlap_s", "range", rule).into());
        }
        let until = clock::now() + overlap;
        let (secret, plain) = self.new_secret()?;
        let changes = object_fields(&json!({"url": webhook.details.url, "former_until": until}));
        let entry = webhook_entry(who, Action::WebhookRotated, id, changes);
        if !storage::webhooks::rotate_secret(&self.db, id, &secret, until, &entry).await? {
            return Err(Error::NotFound("webhook"));
        }
        tracing::info!(webhook.id = %id, by = %who.name, "webhook's secret rotated");
        Ok((self.webhook(who, id).await?, plain))
    }

    /// Sends an event of the type `webhook.test` now, even if the webhook is disabled, and returns the result.
    pub async fn test_webhook(&self, who: &Principal, id: Uuid) -> Result<WebhookReport, Error> {
        let webhook = self.visible_webhook(who, id).await?;
        let busy = |_| Error::Busy(Message::new("refusal-too-many-deliveries"));
        let _slot = self.webhooks.slots.try_acquire().map_err(busy)?;
        let entry = webhook_entry(who, Action::WebhookTested, id, url_field(&webhook));
        storage::audit::append_single(&self.db, &entry).await?;
        let event_id = clock::new_id();
        let body = json!({
            "id": event_id, "cursor": self.feed_end().await?.to_string(), "type": TEST_EVENT_TYPE, "at": entry.at,
            "actor": entry.actor, "external_ref": null, "data": {"webhook_id": id},
        });
        let sent = delivery::send_once(self, &webhook, event_id, &body.to_string()).await?;
        Ok(WebhookReport {
            delivered: sent.failure.is_none(),
            status: sent.status,
            latency_ms: sent.latency_ms,
            failure: sent.failure,
        })
    }

    /// Returns a page of a webhook's deliveries, newest first.
    pub async fn list_deliveries(
        &self,
        who: &Principal,
        id: Uuid,
        filter: &DeliveryFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Delivery>, Error> {
        self.visible_webhook(who, id).await?;
        Ok(storage::webhooks::list_deliveries(&self.db, id, filter, after, limit).await?)
    }

    /// Sends the event of a delivery again, with the same id. Fails with `webhook_disabled`, `event_expired`.
    pub async fn redeliver(&self, who: &Principal, id: Uuid, delivery_id: Uuid) -> Result<Delivery, Error> {
        let webhook = self.visible_webhook(who, id).await?;
        let found =
            storage::webhooks::get_delivery(&self.db, id, delivery_id).await?.ok_or(Error::NotFound("delivery"))?;
        if !webhook.details.enabled {
            let detail = Message::new("refusal-webhook-disabled");
            return Err(Error::Conflict { code: "webhook_disabled", detail });
        }
        if storage::events::get(&self.db, found.event_seq).await?.is_none() {
            let detail = Message::new("refusal-event-expired");
            return Err(Error::Conflict { code: "event_expired", detail });
        }
        let mut changes = url_field(&webhook);
        changes.insert("event_id".to_owned(), json!(found.event_id));
        let entry = webhook_entry(who, Action::WebhookRedelivered, id, changes);
        let delivery = storage::webhooks::redeliver(&self.db, id, delivery_id, entry.at, &entry).await?;
        self.webhooks.changed.notify_one();
        delivery.ok_or(Error::NotFound("delivery"))
    }

    /// Returns the attempts to deliver since the start, by result.
    pub fn webhook_attempts(&self) -> [(&'static str, u64); 3] {
        let AttemptCounts { delivered, failed, abandoned } = &*self.webhooks.counts;
        [("delivered", delivered), ("failed", failed), ("abandoned", abandoned)]
            .map(|(result, count)| (result, count.load(Ordering::Relaxed)))
    }
}
