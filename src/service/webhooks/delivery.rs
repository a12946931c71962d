//! One request to a webhook receiver: signed, sent once, evaluated by its status, and recorded.

use std::{sync::atomic::Ordering, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, timeout_at};
use url::Url;
use uuid::Uuid;

use super::failure::DeliveryFailure;
use crate::{
    clock,
    domain::{
        audit::{Action, ActorKind, AuditEntry},
        event::Event,
        event_body::EventBody,
        message::Message,
        webhook::{Delivery, DeliveryState, DisabledReason, RESPONSE_EXCERPT_BYTES, Webhook},
    },
    outbound::Response,
    secrets,
    service::{Services, access::Principal, error::Error},
    storage::{self, webhooks::AttemptResult},
};

/// Maximum wait for the body of a successful response.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// Result of a request to a receiver.
pub(super) struct SendResult {
    pub status: Option<u16>,
    pub latency_ms: i64,
    /// The beginning of the response body.
    pub response: Option<String>,
    /// The delay that the receiver requests (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// None: the receiver accepted the event.
    pub failure: Option<DeliveryFailure>,
}

/// Sends a body once. Fails only if the request could not be built or signed.
pub(super) async fn send_once(
    services: &Services,
    webhook: &Webhook,
    event_id: Uuid,
    body: &str,
) -> Result<SendResult, Error> {
    let now = clock::now();
    let mut keys = Vec::new();
    for secret in storage::webhooks::list_secrets(&services.db, webhook.id, now).await? {
        keys.push(services.vault.open(secret.id, &secret.sealed)?);
    }
    let (id, timestamp) = (event_id.to_string(), now.timestamp());
    let signature = secrets::sign_webhook(&keys, &id, timestamp, body)?;
    let url = Url::parse(&webhook.details.url)
        .map_err(|error| Error::Internal(format!("a stored address is broken: {error}")))?;
    let timeout = services.settings.webhook_schedule.timeout;
    let outbound = &services.webhooks.outbound;
    let request = outbound
        .http_client()
        .post(url.clone())
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature)
        .body(body.to_owned())
        .build()
        .map_err(|error| Error::Internal(format!("a request to a receiver cannot be made: {}", error.without_url())))?;
    let (begun, deadline) = (Instant::now(), Instant::now() + timeout);
    let result = timeout_at(deadline, outbound.execute(request)).await;
    let latency_ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    let failed =
        |failure| SendResult { status: None, latency_ms, response: None, retry_after: None, failure: Some(failure) };
    Ok(match result {
        Err(_) => failed(DeliveryFailure::timeout(&url, timeout)),
        Ok(Err(error)) => failed(DeliveryFailure::from_error(&error, &url)),
        Ok(Ok(response)) => {
            let status = response.status();
            let retry_after = parse_retry_after(&response, now);
            let until = if status.is_success() { deadline.min(Instant::now() + BODY_TIMEOUT) } else { deadline };
            let failure = DeliveryFailure::from_status(status.as_u16(), &url);
            let response = read_excerpt(response, until).await;
            SendResult { status: Some(status.as_u16()), latency_ms, response, retry_after, failure }
        }
    })
}

/// Returns the first bytes of a response, as text.
async fn read_excerpt(mut response: Response, until: Instant) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.len() < RESPONSE_EXCERPT_BYTES
        && let Ok(Ok(Some(chunk))) = timeout_at(until, response.chunk()).await
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(RESPONSE_EXCERPT_BYTES - bytes.len())]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // Replacements for invalid UTF-8 are longer, so the text is shortened again.
    let text: String = text
        .chars()
        .scan(0, |length, char| {
            *length += char.len_utf8();
            (*length <= RESPONSE_EXCERPT_BYTES).then_some(char)
        })
        .collect();
    (!text.is_empty()).then_some(text)
}

/// Returns the `Retry-After` of a response with status 429 or 503: seconds, or a date.
fn parse_retry_after(response: &Response, now: DateTime<Utc>) -> Option<Duration> {
    if !matches!(response.status().as_u16(), 429 | 503) {
        return None;
    }
    let text = response.headers().get("retry-after")?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now).to_std().ok(),
    }
}

/// Sends a claimed delivery, and records the result.
pub(super) async fn deliver(services: &Services, webhook: &Webhook, delivery: &Delivery) -> Result<(), Error> {
    let counts = &services.webhooks.counts;
    let mut attempt = AttemptResult {
        id: delivery.id,
        webhook_id: webhook.id,
        number: delivery.attempts,
        state: DeliveryState::Failed,
        is_about_receiver: false,
        next_at: None,
        status: None,
        error: None,
        response: None,
        latency_ms: None,
        at: clock::now(),
    };
    let Some(event) = visible_event(services, webhook, delivery.event_seq).await? else {
        attempt.error = Some(Message::new("refusal-event-not-visible"));
        storage::webhooks::store_attempt(&services.db, &attempt).await?;
        return Ok(());
    };
    let event_id = event.id;
    let body = serde_json::to_string(&EventBody::new(event, services.text_of))
        .map_err(|error| Error::Internal(format!("an event cannot be written: {error}")))?;
    let sent = send_once(services, webhook, event_id, &body).await?;
    attempt.at = clock::now();
    attempt.is_about_receiver = true;
    attempt.latency_ms = Some(sent.latency_ms);
    attempt.status = sent.status;
    attempt.response = sent.response;
    attempt.error = sent.failure.as_ref().map(|failure| failure.problem.clone());
    let schedule = services.settings.webhook_schedule;
    let is_gone = sent.status == Some(410);
    (attempt.state, attempt.next_at) = if sent.failure.is_none() {
        counts.delivered.fetch_add(1, Ordering::Relaxed);
        (DeliveryState::Delivered, None)
    } else if is_gone {
        counts.failed.fetch_add(1, Ordering::Relaxed);
        (DeliveryState::Failed, None)
    } else if let Some(pause) = schedule.pause(delivery.attempts, sent.retry_after, rand::random()) {
        counts.failed.fetch_add(1, Ordering::Relaxed);
        let pause = TimeDelta::from_std(pause).unwrap_or(TimeDelta::days(1));
        (DeliveryState::Pending, Some(attempt.at + pause))
    } else {
        counts.abandoned.fetch_add(1, Ordering::Relaxed);
        (DeliveryState::Abandoned, None)
    };
    let failing_since = storage::webhooks::store_attempt(&services.db, &attempt).await?;
    let failing_for = failing_since.and_then(|since| (attempt.at - since).to_std().ok());
    if is_gone {
        disable_webhook(services, webhook, DisabledReason::Gone).await?;
    } else if failing_for.is_some_and(|length| length >= schedule.failing_for) {
        disable_webhook(services, webhook, DisabledReason::Failing).await?;
    }
    Ok(())
}

/// Returns the event, if the creator of the webhook may see it, as the creator may see it.
async fn visible_event(services: &Services, webhook: &Webhook, seq: i64) -> Result<Option<Event>, Error> {
    let Some(event) = storage::events::get(&services.db, seq).await? else { return Ok(None) };
    Ok(services.visible_events(&creator(webhook), vec![event]).await?.into_iter().next())
}

/// Returns a principal with the tag limit of the webhook's creator.
pub(super) fn creator(webhook: &Webhook) -> Principal {
    Principal { tags: webhook.tags.clone(), ..Principal::server_admin(ActorKind::Scheduler) }
}

async fn disable_webhook(services: &Services, webhook: &Webhook, reason: DisabledReason) -> Result<(), Error> {
    let now = clock::now();
    let mut changes = super::url_field(webhook);
    changes.insert("reason".to_owned(), reason.as_str().into());
    let subject = Some(webhook.id);
    let entry = AuditEntry {
        subject,
        changes,
        ..AuditEntry::without_request(ActorKind::Scheduler, Action::WebhookDisabled, now)
    };
    if storage::webhooks::disable(&services.db, webhook.id, reason, now, &entry).await? {
        tracing::warn!(webhook.id = %webhook.id, %reason, "webhook disabled");
    }
    Ok(())
}
