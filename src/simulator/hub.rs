//! Listeners of a printer's event socket, and the events that each one receives.
//!
//! An event is serialised once, and only if a listener wants it. So a farm without listeners has no cost.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use super::machine::Event;

/// Frames that wait for a slow listener. A listener with more frames is disconnected.
const QUEUE: usize = 128;

/// Which events a listener receives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wanted {
    #[default]
    All,
    Nothing,
    Only(Vec<String>),
}

impl Wanted {
    /// Returns whether this kind of event is wanted.
    pub fn includes(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Only(kinds) => kinds.iter().any(|wanted| wanted == kind),
        }
    }
}

/// The listeners of one printer.
#[derive(Debug, Default)]
pub struct Hub {
    next_id: u64,
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    id: u64,
    wanted: Arc<Wanted>,
    frames: mpsc::Sender<Utf8Bytes>,
}

impl Hub {
    /// Adds a listener. Returns its number and its frames. The listener is removed after the receiver is dropped.
    pub fn listen(&mut self, wanted: Wanted) -> (u64, mpsc::Receiver<Utf8Bytes>) {
        let (frames, receiver) = mpsc::channel(QUEUE);
        self.next_id += 1;
        self.listeners.retain(|listener| !listener.frames.is_closed());
        self.listeners.push(Listener { id: self.next_id, wanted: Arc::new(wanted), frames });
        (self.next_id, receiver)
    }

    /// Changes which events a listener receives.
    pub fn set_wanted(&mut self, id: u64, wanted: Wanted) {
        if let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == id) {
            listener.wanted = Arc::new(wanted);
        }
    }

    /// Sends an event to every listener that wants it.
    pub fn publish(&mut self, event: &Event) {
        let mut text: Option<Utf8Bytes> = None;
        self.listeners.retain(|listener| {
            if !listener.wanted.includes(event.kind) {
                return true;
            }
            let text = text.get_or_insert_with(|| frame(event));
            listener.frames.try_send(text.clone()).is_ok()
        });
    }

    /// Returns the number of listeners.
    pub fn len(&self) -> usize {
        self.listeners.iter().filter(|listener| !listener.frames.is_closed()).count()
    }
}

/// Serialises an event as a frame.
pub fn frame(event: &Event) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Frame<'a> {
        event: &'a Event,
    }
    serde_json::to_string(&Frame { event }).unwrap_or_default().into()
}
