//! Request and response bodies for webhooks and deliveries. A secret is returned only once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        event::EventType,
        validation::ValidationErrors,
        webhook::{Delivery, DeliveryState, DisabledReason, WebhookDetails},
    },
    http::{
        api::{
            list::export::CsvRow,
            request::merge_patch::{deserialize_nullable, reject_null},
        },
        messages::text_of,
    },
    service::webhooks::{WebhookPatch, WebhookView},
};

/// A webhook to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook, example = json!({"url": "https://erp.example.com/printyard", "types": ["batch.finished"]}))]
pub struct NewWebhookBody {
    /// http or https, without a user or a password.
    url: String,
    /// Event types to send. Absent or empty: all.
    types: Option<Vec<EventType>>,
    /// Default true.
    enabled: Option<bool>,
    /// Sends one request at a time, in feed order. An event that the receiver does not accept delays the events after
    /// it. Default false.
    ordered: Option<bool>,
    description: Option<String>,
}

impl NewWebhookBody {
    /// Converts to the input of the use case.
    pub fn into_details(self) -> WebhookDetails {
        WebhookDetails {
            url: self.url,
            description: self.description.unwrap_or_default(),
            types: self.types.unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
            ordered: self.ordered.unwrap_or(false),
        }
    }
}

/// A change of a webhook. Absent fields are kept.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookPatch, example = json!({"enabled": true}))]
pub struct WebhookPatchBody {
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>)]
    url: Option<Option<String>>,
    /// Null: all.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<Vec<EventType>>)]
    types: Option<Option<Vec<EventType>>>,
    /// True: the webhook continues where it stopped, if the feed still has those events. Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<bool>)]
    enabled: Option<Option<bool>>,
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<bool>)]
    ordered: Option<Option<bool>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
}

impl WebhookPatchBody {
    /// Converts to the input of the use case. Fails if null would clear a required field.
    pub fn into_patch(self) -> Result<WebhookPatch, ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        let mut refuse = |field: &str| invalid.add(format!("/{field}"), "null", "rule-no-null");
        let url = reject_null(self.url, || refuse("url"));
        let enabled = reject_null(self.enabled, || refuse("enabled"));
        let ordered = reject_null(self.ordered, || refuse("ordered"));
        invalid.into_result(WebhookPatch {
            url,
            description: self.description.map(Option::unwrap_or_default),
            types: self.types.map(Option::unwrap_or_default),
            enabled,
            ordered,
        })
    }
}

/// A webhook: a receiver of events, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookBody {
    pub id: Uuid,
    url: String,
    /// Event types to send. Empty: all.
    types: Vec<EventType>,
    enabled: bool,
    ordered: bool,
    description: String,
    /// Why the server disabled the webhook. Null if it did not.
    disabled_reason: Option<DisabledReason>,
    /// The webhook gets events of printers with any of these tags, because its creator may see no others. Empty: all
    /// printers.
    tags: Vec<String>,
    created_by: String,
    /// Deliveries that are not finished yet.
    pending: i64,
    /// All attempts have failed since this time.
    failing_since: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    /// Error of the last attempt, in one sentence.
    last_error: Option<String>,
    /// Until this time, the previous secret signs, too.
    secret_overlap_until: Option<DateTime<Utc>>,
    /// Version number. `ETag` and `If-Match` contain it as `"v3"`.
    pub version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<WebhookView> for WebhookBody {
    fn from(view: WebhookView) -> Self {
        let WebhookView { webhook, pending, overlap_until } = view;
        let details = webhook.details;
        Self {
            id: webhook.id,
            url: details.url,
            types: details.types,
            enabled: details.enabled,
            ordered: details.ordered,
            description: details.description,
            disabled_reason: webhook.disabled_reason,
            tags: webhook.tags,
            created_by: webhook.created_by,
            pending,
            failing_since: webhook.failing_since,
            last_success_at: webhook.last_success_at,
            last_error: webhook.last_error.as_ref().map(text_of),
            secret_overlap_until: overlap_until,
            version: webhook.version,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// A webhook with its new secret.
// No Debug: it holds a secret.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
pub struct WebhookWithSecretBody {
    /// Verifies the signatures (Standard Webhooks). Shown only once. Absent on a replay.
    #[schema(example = "whsec_…", required = false)]
    pub secret: String,
    #[serde(flatten)]
    pub rest: WebhookBody,
}

/// How to replace a secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateSecret, example = json!({"overlap_s": 86400}))]
pub struct RotateSecretBody {
    /// Seconds that the previous secret still signs, at most 30 days; 0 ends it at once.
    pub overlap_s: u32,
}

/// The result of a test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookTestReport)]
pub struct WebhookTestReportBody {
    /// The receiver responded with 2xx.
    pub delivered: bool,
    /// The HTTP status. Null if there was no response.
    pub status: Option<u16>,
    pub latency_ms: i64,
    /// The error in one sentence.
    pub error: Option<String>,
    /// What to do about the error.
    pub advice: Option<String>,
}

/// The delivery of one event to one receiver.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryBody {
    id: Uuid,
    webhook_id: Uuid,
    /// Id of the event, sent as `webhook-id` with each attempt.
    event_id: Uuid,
    #[serde(rename = "type")]
    kind: EventType,
    state: DeliveryState,
    attempts: i64,
    /// Time of the next attempt. Null if the delivery has ended.
    next_at: Option<DateTime<Utc>>,
    /// The HTTP status of the last response.
    status: Option<u16>,
    /// Error of the last attempt, in one sentence.
    error: Option<String>,
    /// The beginning of the last response, at most 1 KB.
    response: Option<String>,
    latency_ms: Option<i64>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            webhook_id: delivery.webhook_id,
            event_id: delivery.event_id,
            kind: delivery.kind,
            state: delivery.state,
            attempts: delivery.attempts,
            next_at: delivery.next_at,
            status: delivery.status,
            error: delivery.error.as_ref().map(text_of),
            response: delivery.response,
            latency_ms: delivery.latency_ms,
            created_at: delivery.created_at,
            finished_at: delivery.finished_at,
        }
    }
}

impl CsvRow for WebhookBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "url",
        "types",
        "enabled",
        "ordered",
        "description",
        "disabled_reason",
        "tags",
        "created_by",
        "pending",
        "failing_since",
        "last_success_at",
        "last_error",
        "created_at",
        "updated_at",
    ];
}

impl CsvRow for DeliveryBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "webhook_id",
        "event_id",
        "type",
        "state",
        "attempts",
        "next_at",
        "status",
        "error",
        "response",
        "latency_ms",
        "created_at",
        "finished_at",
    ];
}
