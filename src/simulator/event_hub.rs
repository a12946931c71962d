//! Listeners of a printer's event socket, and the events that each one receives.
//!
//! An event is serialised once, and only if a listener wants it. So a farm without listeners has no cost.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use super::machine::PushEvent;

/// Frames that wait for a slow listener. A listener with more frames is disconnected.
const LISTENER_QUEUE_LEN: usize = 128;

/// Which events a listener receives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EventFilter {
    #[default]
    All,
    Nothing,
    Only(Vec<String>),
}

impl EventFilter {
    /// Returns whether this kind of event is wanted.
    pub fn includes(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Only(kinds) => kinds.iter().any(|wanted_kind| wanted_kind == kind),
        }
    }
}

/// The listeners of one printer.
#[derive(Debug, Default)]
pub struct EventHub {
    next_id: u64,
    listeners: Vec<EventListener>,
}

#[derive(Debug)]
struct EventListener {
    id: u64,
    filter: Arc<EventFilter>,
    frames: mpsc::Sender<Utf8Bytes>,
}

impl EventHub {
    /// Adds a listener. Returns its number and its frames. The listener is removed after the receiver is dropped.
    pub fn add_listener(&mut self, filter: EventFilter) -> (u64, mpsc::Receiver<Utf8Bytes>) {
        let (frames, receiver) = mpsc::channel(LISTENER_QUEUE_LEN);
        self.next_id += 1;
        self.listeners.retain(|listener| !listener.frames.is_closed());
        self.listeners.push(EventListener { id: self.next_id, filter: Arc::new(filter), frames });
        (self.next_id, receiver)
    }

    /// Changes which events a listener receives.
    pub fn set_filter(&mut self, id: u64, filter: EventFilter) {
        if let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == id) {
            listener.filter = Arc::new(filter);
        }
    }

    /// Sends an event to every listener that wants it.
    pub fn publish(&mut self, event: &PushEvent) {
        let mut text: Option<Utf8Bytes> = None;
        self.listeners.retain(|listener| {
            if !listener.filter.includes(event.kind) {
                return true;
            }
            let text = text.get_or_insert_with(|| encode_frame(event));
            listener.frames.try_send(text.clone()).is_ok()
        });
    }

    /// Returns the number of listeners.
    pub fn len(&self) -> usize {
        self.listeners.iter().filter(|listener| !listener.frames.is_closed()).count()
    }
}

/// Serialises an event as a frame.
pub fn encode_frame(event: &PushEvent) -> Utf8Bytes {
    #[derive(Serialize)]
    struct EventFrame<'a> {
        event: &'a PushEvent,
    }
    serde_json::to_string(&EventFrame { event }).unwrap_or_default().into()
}
