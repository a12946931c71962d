//! The feed of what happened: read from a place on, and followed.

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
    storage::{self, Db, commands::Visible},
};

/// How often the end of the feed is looked at while somebody follows it. Other nodes append, too: they send no signal.
const PACE: Duration = Duration::from_millis(100);

/// A part of the feed, as far as the asker may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    pub events: Vec<Event>,
    /// Go on here.
    pub next: Cursor,
    /// There was more when this was read.
    pub more: bool,
}

/// Tells of new events, in a feed that somebody follows.
#[derive(Clone)]
pub(crate) struct News {
    head: watch::Sender<i64>,
    wanted: Arc<Notify>,
}

impl Default for News {
    fn default() -> Self {
        Self { head: watch::Sender::new(0), wanted: Arc::default() }
    }
}

impl News {
    /// Hears the number of the last event when it has grown.
    pub fn listen(&self) -> watch::Receiver<i64> {
        let receiver = self.head.subscribe();
        self.wanted.notify_one();
        receiver
    }

    /// Looks at the end of the feed while somebody listens. Runs until `stop` falls.
    pub async fn run(self, db: Db, stop: CancellationToken) {
        loop {
            if self.head.receiver_count() == 0 {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.wanted.notified() => {}
                }
            }
            match storage::events::head(&db).await {
                Ok(head) => {
                    self.head.send_if_modified(|seq| std::mem::replace(seq, head.seq) != head.seq);
                }
                Err(error) => tracing::error!(?error, "the end of the feed could not be read"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }
}

impl Services {
    /// The end of the feed: who reads a list after this, and follows from here, misses nothing.
    pub async fn feed_end(&self) -> Result<Cursor, Error> {
        Ok(storage::events::head(&self.db).await?)
    }

    /// Before the oldest event that is kept.
    pub async fn feed_start(&self) -> Result<Cursor, Error> {
        let seq = storage::events::kept(&self.db, 0).await?.start();
        Ok(Cursor { seq, mark: 0 })
    }

    /// The place before the first event at or after `at`, in the order of the feed; its end where there is no such event.
    pub async fn feed_at(&self, at: DateTime<Utc>) -> Result<Cursor, Error> {
        Ok(storage::events::before_time(&self.db, at).await?)
    }

    /// Fails with [`Error::CursorExpired`] where what follows a place is not kept any more, or is not what its holder
    /// has read: the feed was taken back to an older state.
    pub async fn check_cursor(&self, cursor: Cursor) -> Result<(), Error> {
        let kept = storage::events::kept(&self.db, cursor.seq).await?;
        let is_good = match kept.there {
            Some(id) => cursor.mark == 0 || Cursor::behind(cursor.seq, Some(id)) == cursor,
            // Just before the oldest, or at the end of an empty feed: nothing is missing.
            None => cursor.seq == kept.start(),
        };
        if is_good { Ok(()) } else { Err(Error::CursorExpired { restart: Cursor { seq: kept.start(), mark: 0 } }) }
    }

    /// The events behind a place, at most `limit`. Waits up to `patience` for the first one.
    pub async fn events(
        &self,
        who: &Principal,
        after: Cursor,
        kinds: Option<&[EventType]>,
        limit: i64,
        patience: Duration,
    ) -> Result<EventPage, Error> {
        let until = Instant::now() + patience;
        let mut news = (!patience.is_zero()).then(|| self.news.listen());
        let mut after = after;
        loop {
            let page = storage::events::page(&self.db, after.seq, kinds, limit).await?;
            let next = if page.upto.seq == after.seq { after } else { page.upto };
            let events = self.visible_events(who, page.events).await?;
            let Some(news) = news.as_mut().filter(|_| events.is_empty()) else {
                return Ok(EventPage { events, next, more: page.more });
            };
            after = next;
            if page.more {
                continue;
            }
            let awaited = news.wait_for(|head| *head > after.seq);
            // Out of patience, or the server is going.
            if !matches!(timeout_at(until, awaited).await, Ok(Ok(_))) || self.stop.is_cancelled() {
                return Ok(EventPage { events, next, more: false });
            }
        }
    }

    /// Leaves out what somebody may not see who may see some printers only: events of other printers, and batches without
    /// one of theirs; of the rest they see the counts of their own.
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
        let visible = Visible { tags: Some(tags), own: false };
        let counts = storage::batches::counts(&self.db, &batches, &visible).await?;
        let seen = events.into_iter().filter_map(|mut event| {
            if is_batch(&event) {
                let counts = counts.get(&event.subject?)?;
                event.data.insert("total".to_owned(), json!(counts.total()));
                if event.data.contains_key("counts") {
                    event.data.insert("counts".to_owned(), json!(BatchCounts::from(counts)));
                    event.data.insert("result".to_owned(), json!(counts.result()));
                }
                return Some(event);
            }
            let had = event.data.get("tags").and_then(Value::as_array).into_iter().flatten();
            let was_seen = event.kind == EventType::PrinterRemoved
                && had.filter_map(Value::as_str).any(|tag| who.tags.iter().any(|own| own == tag));
            (was_seen || event.printer_id.is_some_and(|id| printers.contains(&id))).then_some(event)
        });
        Ok(seen.collect())
    }
}
