//! The queue of one actor for its messages to the dispatcher. The actor never waits for room in the dispatcher's queue.

use std::collections::VecDeque;

use tokio::sync::mpsc::{self, error::TrySendError};

use super::{message::ActorEvent, settings::OUTBOX};

/// Keeps the messages for which the dispatcher's queue has no room, in order.
pub(super) struct Outbox {
    dispatcher: mpsc::Sender<ActorEvent>,
    waiting: VecDeque<ActorEvent>,
}

impl Outbox {
    /// Creates an empty outbox for the dispatcher's queue.
    pub fn new(dispatcher: mpsc::Sender<ActorEvent>) -> Self {
        Self { dispatcher, waiting: VecDeque::new() }
    }

    /// Sends a message, or keeps it until [`Outbox::flush`] sends it.
    pub fn send(&mut self, message: ActorEvent) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(message);
            return;
        }
        match self.dispatcher.try_send(message) {
            // Without a dispatcher the server is shutting down, and the next process reads the command log.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(message)) => self.waiting.push_back(message),
        }
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the actor may accept new messages. Each new message, the command in flight and the unsettled commands send only
    /// a few messages each. That limits the outbox.
    pub fn has_capacity(&self) -> bool {
        self.waiting.len() < OUTBOX
    }

    /// Sends the waiting messages as room becomes free. Cancel safe: a message is either in the outbox or sent.
    pub async fn flush(&mut self) {
        while !self.waiting.is_empty() {
            let Ok(slot) = self.dispatcher.reserve().await else {
                self.waiting.clear();
                return;
            };
            if let Some(message) = self.waiting.pop_front() {
                slot.send(message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn message(id: u128) -> ActorEvent {
        ActorEvent::Restarted { printer_id: Uuid::from_u128(id) }
    }

    fn received(queue: &mut mpsc::Receiver<ActorEvent>) -> Option<u128> {
        match queue.try_recv() {
            Ok(ActorEvent::Restarted { printer_id }) => Some(printer_id.as_u128()),
            Ok(ActorEvent::SendRequest(_) | ActorEvent::Report(_) | ActorEvent::Settled { .. }) | Err(_) => None,
        }
    }

    #[test]
    fn a_full_queue_delays_messages_keeps_their_order_and_refuses_new_ones() {
        let (sender, mut queue) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        let all: Vec<u128> = (1..=OUTBOX as u128 + 1).collect();
        for id in &all {
            assert!(outbox.has_capacity(), "before message {id}");
            outbox.send(message(*id));
        }
        assert!(!outbox.has_capacity());
        assert_eq!(outbox.flush().now_or_never(), None, "there is no room yet");
        let mut got = Vec::new();
        while let Some(id) = received(&mut queue) {
            got.push(id);
            // A new message must not overtake the waiting ones.
            if id == 1 {
                outbox.send(message(1_000));
            }
            let _ = outbox.flush().now_or_never();
        }
        assert_eq!(got, [all, vec![1_000]].concat());
        assert!(outbox.is_empty() && outbox.has_capacity());
    }

    #[test]
    fn messages_are_dropped_without_a_dispatcher() {
        let (sender, mut queue) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        outbox.send(message(1));
        outbox.send(message(2));
        assert_eq!(received(&mut queue), Some(1));
        drop(queue);
        assert_eq!(outbox.flush().now_or_never(), Some(()));
        outbox.send(message(3));
        assert!(outbox.is_empty());
    }
}
