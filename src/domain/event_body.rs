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

/// An event. Its webhook has the same `id`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    pub id: Uuid,
    /// The position after this event: `after=` this cursor continues with the next event.
    pub cursor: String,
    #[serde(rename = "type")]
    pub kind: EventType,
    pub at: DateTime<Utc>,
    /// The user or token that caused it; null where neither did.
    pub actor: Option<Actor>,
    /// The caller's own reference, set when the batch was created.
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
