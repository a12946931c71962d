//! Webhooks, their deliveries, and the schedule of repeated attempts.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use super::{
    command::string_enum,
    event::EventType,
    message::Message,
    validation::{ValidationErrors, check_text},
};

/// The highest number of webhooks.
pub const MAX_WEBHOOKS: usize = 100;

/// The highest number of characters in the address of a receiver.
const MAX_URL: usize = 2_000;

/// Event type of a test delivery. The feed contains no such event.
pub const TEST_EVENT_TYPE: &str = "webhook.test";

/// Number of bytes that are stored of a response.
pub const RESPONSE_EXCERPT_BYTES: usize = 1_024;

string_enum! {
    /// Why the server switched a webhook off.
    DisabledReason {
        /// The receiver replied with 410.
        Gone = "gone",
        /// No delivery has succeeded for days.
        Failing = "failing",
    }
}

string_enum! {
    /// How far a delivery has come.
    DeliveryState {
        /// It is due for the first attempt, or for another one.
        Pending = "pending",
        /// The receiver accepted it (2xx).
        Delivered = "delivered",
        /// It is not sent again: the receiver is gone, or the event is no longer available.
        Failed = "failed",
        /// Every attempt has failed.
        Abandoned = "abandoned",
    }
}

/// The settings of a webhook that a client can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookDetails {
    pub url: String,
    pub description: String,
    /// Event types that are sent; empty = all.
    pub types: Vec<EventType>,
    pub enabled: bool,
    /// Sends one delivery at a time, in the order of the feed.
    pub ordered: bool,
}

impl WebhookDetails {
    /// Checks the fields, and sorts the types without duplicates.
    pub fn validate(mut self) -> Result<Self, ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        self.url = self.url.trim().to_owned();
        match normalise_receiver_url(&self.url) {
            Ok(url) => self.url = url,
            Err(rule) => invalid.add("/url", "url", rule),
        }
        check_text(&mut invalid, "/description", &self.description, 0, 1_000);
        self.types.sort();
        self.types.dedup();
        invalid.into_result(self)
    }

    /// Returns whether events of this type are sent.
    pub fn subscribes_to(&self, kind: EventType) -> bool {
        self.types.is_empty() || self.types.contains(&kind)
    }
}

/// Checks and normalises the address of a receiver. Unlike a printer's address, it may have a query. The error is the
/// broken rule.
fn normalise_receiver_url(text: &str) -> Result<String, Message> {
    if text.len() > MAX_URL {
        return Err(Message::new("rule-max-length").with("max", MAX_URL));
    }
    let url = Url::parse(text).map_err(|_| Message::new("rule-receiver-example"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Message::new("rule-url-scheme"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Message::new("rule-url-host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Message::new("rule-url-user"));
    }
    if url.fragment().is_some() {
        return Err(Message::new("rule-url-fragment"));
    }
    if url.port() == Some(0) {
        return Err(Message::new("rule-url-port"));
    }
    Ok(url.into())
}

/// A receiver of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    pub id: Uuid,
    pub details: WebhookDetails,
    /// Tag limit of the user or token that created the webhook. Only events of these printers are sent. Empty = all
    /// events.
    pub tags: Vec<String>,
    pub created_by: String,
    /// The number of the last event for which deliveries were created.
    pub position: i64,
    pub disabled_reason: Option<DisabledReason>,
    /// The time since which no delivery has succeeded.
    pub failing_since: Option<DateTime<Utc>>,
    pub last_success_at: Option<DateTime<Utc>>,
    pub last_error: Option<Message>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The delivery of one event to one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub event_seq: i64,
    pub event_id: Uuid,
    pub kind: EventType,
    pub state: DeliveryState,
    pub attempts: i64,
    /// When the next attempt is due. For a delivery in flight: when it counts as lost.
    pub next_at: Option<DateTime<Utc>>,
    /// The HTTP status of the last response.
    pub status: Option<u16>,
    /// The error of the last attempt.
    pub error: Option<Message>,
    /// The beginning of the last response.
    pub response: Option<String>,
    pub latency_ms: Option<i64>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// Filter for a list of deliveries. Absent fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub kind: Option<EventType>,
}

/// Pauses between attempts, and timeouts.
#[derive(Debug, Clone, Copy)]
pub struct RetrySchedule {
    /// The pause after each failed attempt. After the last pause there is one more attempt.
    pub pauses: [Duration; 9],
    /// An attempt without a response within this time has failed.
    pub timeout: Duration,
    /// A webhook is disabled if no delivery has succeeded for this time.
    pub failing_for: Duration,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let pauses = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
        Self {
            pauses: pauses.map(Duration::from_secs),
            timeout: Duration::from_secs(15),
            failing_for: Duration::from_secs(5 * 24 * HOUR),
        }
    }
}

impl RetrySchedule {
    /// Returns the pause after failed attempt number `attempts` (from 1). `None`: it was the last attempt. `jitter` is
    /// 0 to 1 and extends the pause by up to a fifth, so that deliveries that failed together are not repeated
    /// together. A receiver can request a longer pause, at most the longest of the schedule.
    pub fn pause(&self, attempts: i64, requested: Option<Duration>, jitter: f64) -> Option<Duration> {
        let index = usize::try_from(attempts.max(1) - 1).ok()?;
        let pause = self.pauses.get(index)?;
        let longest = self.pauses.iter().max().copied().unwrap_or_default();
        Some(pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 5.0).max(requested.unwrap_or_default().min(longest)))
    }

    /// Time after which a delivery in flight counts as lost, because the process that sent it has ended.
    pub fn lease(&self) -> Duration {
        self.timeout + Duration::from_secs(15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_ten_times_over_three_days_and_no_more() {
        let schedule = RetrySchedule::default();
        let pauses: Vec<u64> =
            (1..=9).filter_map(|n| schedule.pause(n, None, 0.0)).map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
        assert_eq!(schedule.pause(10, None, 0.0), None);
        assert_eq!(schedule.pause(1, None, 1.0), Some(Duration::from_secs(6)), "jitter makes it longer, never shorter");
    }

    #[test]
    fn a_receiver_can_request_a_longer_pause_within_limits() {
        let schedule = RetrySchedule::default();
        let pause_after_request =
            |seconds| schedule.pause(1, Some(Duration::from_secs(seconds)), 0.0).map(|pause| pause.as_secs());
        assert_eq!(
            (pause_after_request(1), pause_after_request(60), pause_after_request(1 << 40)),
            (Some(5), Some(60), Some(86_400))
        );
    }

    #[test]
    fn an_address_of_a_receiver_has_a_host_and_no_password() {
        let details = |url: &str| WebhookDetails {
            url: url.to_owned(),
            description: String::new(),
            types: Vec::new(),
            enabled: true,
            ordered: false,
        };
        for good in ["http://erp.example/hook?key=1", " https://10.0.0.1:8443/a ", "http://[::1]/"] {
            assert!(details(good).validate().is_ok(), "{good}");
        }
        for bad in ["", "erp", "ftp://erp/", "http://u:p@erp/", "http://erp/#a", "http://erp:0/", "file:///etc/passwd"]
        {
            let error = details(bad).validate().expect_err(bad);
            assert_eq!((error.0[0].pointer.as_str(), error.0[0].code), ("/url", "url"), "{bad}");
        }
    }
}
