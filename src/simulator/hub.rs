//! Who listens to a printer's event socket, and to what.
//!
//! An event is turned into text once, and only if somebody asked for it: a farm without listeners pays nothing.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use super::machine::Event;

/// Frames that wait for a slow listener; one that lets more pile up is cut off.
const QUEUE: usize = 128;

/// Which events a listener gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wanted {
    #[default]
    All,
    Nothing,
    Only(Vec<String>),
}

impl Wanted {
    /// Whether this kind of event is asked for.
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
    /// A new listener: its number and its frames. It is forgotten when the receiver is dropped.
    pub fn listen(&mut self, wanted: Wanted) -> (u64, mpsc::Receiver<Utf8Bytes>) {
        let (frames, receiver) = mpsc::channel(QUEUE);
        self.next_id += 1;
        self.listeners.retain(|listener| !listener.frames.is_closed());
        self.listeners.push(Listener { id: self.next_id, wanted: Arc::new(wanted), frames });
        (self.next_id, receiver)
    }

    /// A listener changes its mind.
    pub fn set_wanted(&mut self, id: u64, wanted: Wanted) {
        if let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == id) {
            listener.wanted = Arc::new(wanted);
        }
    }

    /// Tells everybody who asked for it.
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

    /// How many listen.
    pub fn len(&self) -> usize {
        self.listeners.iter().filter(|listener| !listener.frames.is_closed()).count()
    }
}

/// An event as its frame.
pub fn frame(event: &Event) -> Utf8Bytes {
    #[derive(Serialize)]
    struct Frame<'a> {
        event: &'a Event,
    }
    serde_json::to_string(&Frame { event }).unwrap_or_default().into()
}
