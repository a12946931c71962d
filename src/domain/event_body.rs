//! The published form of an event, used by the feed, its stream and webhooks.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    audit::Actor,
    event::{Event, EventType},
};

/// Something that happened. Its `id` is that of the webhook that tells of it, too.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    pub id: Uuid,
    /// The place behind it: `after=` this, and it is not told again.
    pub cursor: String,
    #[serde(rename = "type")]
    pub kind: EventType,
    pub at: DateTime<Utc>,
    /// Who did it; null where nobody of ours did.
    pub actor: Option<Actor>,
    /// What whoever made the batch calls it.
    pub external_ref: Option<String>,
    /// By type: the schemas whose names end in `EventData`.
    pub data: Map<String, Value>,
}

impl From<Event> for EventBody {
    fn from(event: Event) -> Self {
        Self {
            cursor: event.cursor().to_string(),
            id: event.id,
            kind: event.kind,
            at: event.at,
            actor: event.actor,
            external_ref: event.external_ref,
            data: event.data,
        }
    }
}
