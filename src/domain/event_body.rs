//! The published form of an event, used by the feed, its stream and webhooks.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    audit::AuditActor,
    event::{Event, EventType},
    message::{Message, TextOf},
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
    pub actor: Option<AuditActor>,
    /// The caller's own reference, set when the batch was created.
    pub external_ref: Option<String>,
    /// By type: the schemas whose names end in `EventData`.
    pub data: Map<String, Value>,
}

impl EventBody {
    /// Creates the published form. `text_of` returns the English text of a message in the data.
    pub fn new(event: Event, text_of: TextOf) -> Self {
        let (cursor, mut data) = (event.cursor().to_string(), event.data);
        if let Some(detail) = data.get_mut("detail")
            && let Ok(message) = serde_json::from_value::<Message>(detail.clone())
        {
            *detail = Value::String(text_of(&message));
        }
        Self {
            cursor,
            id: event.id,
            kind: event.kind,
            at: event.at,
            actor: event.actor,
            external_ref: event.external_ref,
            data,
        }
    }
}
