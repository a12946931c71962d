//! The event feed: read from a position, and followed for new events.

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        batch::BatchCounts,
        event::{Cursor, Event, EventType},
    },
    storage::{self, Db, commands::RowVisibility},
};

/// How often the end of the feed is read while a request follows it. Other nodes also append events, but send no
/// signal.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A page of the feed, with the events that the principal may see.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    pub events: Vec<Event>,
    /// Position from which to continue.
    pub next: Cursor,
    /// There were more events when this page was read.
    pub more: bool,
}

/// Notifies requests that follow the feed about new events.
#[derive(Clone)]
pub(crate) struct FeedNotifier {
    head: watch::Sender<i64>,
    wake: Arc<Notify>,
}

impl Default for FeedNotifier {
    fn default() -> Self {
        Self { head: watch::Sender::new(0), wake: Arc::default() }
    }
}

impl FeedNotifier {
    /// Returns a receiver for the number of the last event. It changes when events are appended.
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        let receiver = self.head.subscribe();
        self.wake.notify_one();
        receiver
    }

    /// Reads the end of the feed while there are receivers. Runs until `stop` is cancelled.
    pub async fn run(self, db: Db, stop: CancellationToken) {
        loop {
            if self.head.receiver_count() == 0 {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.wake.notified() => {}
                }
            }
            match storage::events::head_cursor(&db).await {
                Ok(head) => {
                    self.head.send_if_modified(|seq| std::mem::replace(seq, head.seq) != head.seq);
                }
                Err(error) => tracing::error!(?error, "the end of the feed could not be read"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }
}

impl Services {
    /// Returns the end of the feed. A client that reads a list after this, and follows the feed from here, misses
    /// nothing.
    pub async fn feed_end(&self) -> Result<Cursor, Error> {
        Ok(storage::events::head_cursor(&self.db).await?)
    }

    /// Returns the position before the oldest event that is kept.
    pub async fn feed_start(&self) -> Result<Cursor, Error> {
        let seq = storage::events::stored_range(&self.db, 0).await?.start_position();
        Ok(Cursor { seq, id_part: 0 })
    }

    /// Returns the position before the first event at or after `at`, in the order of the feed. Without such an event,
    /// returns the end of the feed.
    pub async fn feed_at(&self, at: DateTime<Utc>) -> Result<Cursor, Error> {
        Ok(storage::events::cursor_before(&self.db, at).await?)
    }

    /// Checks that the feed can continue at a position. Fails with [`Error::CursorExpired`] if the next events are no
    /// longer kept. Also fails if the feed was restored to an older state: then the position has another event than the
    /// client read.
    pub async fn check_cursor(&self, cursor: Cursor) -> Result<(), Error> {
        let kept = storage::events::stored_range(&self.db, cursor.seq).await?;
        let is_good = match kept.id_at_position {
            Some(id) => cursor.id_part == 0 || Cursor::after(cursor.seq, Some(id)) == cursor,
            // Just before the oldest event, or at the end of an empty feed: no event is missing.
            None => cursor.seq == kept.start_position(),
        };
        if is_good {
            Ok(())
        } else {
            Err(Error::CursorExpired { restart: Cursor { seq: kept.start_position(), id_part: 0 } })
        }
    }

    /// Returns at most `limit` events after a position. Waits up to `timeout` for the first one.
    pub async fn events(
        &self,
        who: &Principal,
        after: Cursor,
        kinds: Option<&[EventType]>,
        limit: i64,
        timeout: Duration,
    ) -> Result<EventPage, Error> {
        let until = Instant::now() + timeout;
        let mut feed = (!timeout.is_zero()).then(|| self.feed_notifier.subscribe());
        let mut after = after;
        loop {
            let page = storage::events::list_page(&self.db, after.seq, kinds, limit).await?;
            let next = if page.searched_to.seq == after.seq { after } else { page.searched_to };
            let events = self.visible_events(who, page.events).await?;
            let Some(feed) = feed.as_mut().filter(|_| events.is_empty()) else {
                return Ok(EventPage { events, next, more: page.has_more });
            };
            after = next;
            if page.has_more {
                continue;
            }
            let awaited = feed.wait_for(|head| *head > after.seq);
            // The time is over, or the server shuts down.
            if !matches!(timeout_at(until, awaited).await, Ok(Ok(_))) || self.stop.is_cancelled() {
                return Ok(EventPage { events, next, more: false });
            }
        }
    }

    /// Removes the events that a principal with a tag limit may not see. These are events of other printers, and
    /// batches without a visible printer. In the remaining batches, only visible printers are counted.
    pub(super) async fn visible_events(&self, who: &Principal, events: Vec<Event>) -> Result<Vec<Event>, Error> {
        let Some(tags) = who.visible_tags() else { return Ok(events) };
        let ids: Vec<Uuid> =
            events.iter().filter_map(|event| event.printer_id).collect::<HashSet<_>>().into_iter().collect();
        let printers = storage::printers::get_many(&self.db, &ids).await?;
        let printers: HashSet<Uuid> =
            printers.iter().filter(|printer| who.may_see(printer)).map(|printer| printer.id).collect();
        let is_batch = |event: &Event| matches!(event.kind, EventType::BatchCreated | EventType::BatchFinished);
        let batches: Vec<Uuid> =
            events.iter().filter(|event| is_batch(event)).filter_map(|event| event.subject).collect();
        let about_orders = events.iter().filter(|event| event.kind.is_about_order());
        let orders = self.visible_orders(who, about_orders.filter_map(|event| event.subject)).await?;
        let visible = RowVisibility { tags: Some(tags), is_batch_creator: false };
        let counts = storage::batches::count_outcomes(&self.db, &batches, &visible).await?;
        let remaining = events.into_iter().filter_map(|mut event| {
            if is_batch(&event) {
                let counts = counts.get(&event.subject?)?;
                event.data.insert("total".to_owned(), json!(counts.total()));
                if event.data.contains_key("counts") {
                    event.data.insert("counts".to_owned(), json!(BatchCounts::from(counts)));
                    event.data.insert("result".to_owned(), json!(counts.result()));
                }
                return Some(event);
            }
            if event.kind.is_about_order() {
                return event.subject.is_some_and(|id| orders.contains(&id)).then_some(event);
            }
            let old_tags = event.data.get("tags").and_then(Value::as_array).into_iter().flatten();
            let was_visible = event.kind == EventType::PrinterRemoved
                && old_tags.filter_map(Value::as_str).any(|tag| who.tags.iter().any(|own| own == tag));
            (was_visible || event.printer_id.is_some_and(|id| printers.contains(&id))).then_some(event)
        });
        Ok(remaining.collect())
    }
}
