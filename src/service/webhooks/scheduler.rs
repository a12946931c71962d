//! Reconciler of webhooks: creates deliveries from the event feed, and keeps a sender for each enabled webhook. It is a
//! periodic task of `background.rs`, which also runs after each change of a webhook and each new event.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::{sync::DropGuard, task::TaskTracker};
use uuid::Uuid;

use super::{delivery::creator, sender};
use crate::{
    clock,
    domain::webhook::Webhook,
    service::{
        Services,
        background::{PeriodicTask, RunResult},
        error::Error,
    },
    storage::{
        self,
        events::FeedPage,
        webhooks::{NewDelivery, PositionAdvance},
    },
};

/// Period of the task. Other nodes change webhooks without a signal.
const PERIOD: Duration = Duration::from_secs(10);
/// Number of events that one step reads.
const PAGE_SIZE: i64 = 500;
/// Maximum number of pending deliveries of one webhook. Further events wait in the feed.
const MAX_PENDING: i64 = 10_000;
/// A position that moved over this many unwanted events is stored, even if there is nothing to send.
const MAX_UNSTORED: i64 = 1_000;
/// Time between two counts of pending deliveries. A count is more expensive than a round.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// State from one round to the next. Correctness does not depend on it.
struct WebhookScheduler {
    services: Services,
    tasks: TaskTracker,
    senders: HashMap<Uuid, (Arc<Notify>, DropGuard)>,
    /// The position up to which the feed has nothing to send, by webhook.
    read_up_to: HashMap<Uuid, i64>,
    pending: HashMap<Uuid, i64>,
    counted_at: Option<Instant>,
    feed: Option<watch::Receiver<i64>>,
}

impl Services {
    /// Starts the task that creates deliveries. The senders are tasks of `tasks`.
    pub(in crate::service) fn start_webhooks(&self, tasks: TaskTracker) {
        let scheduler = WebhookScheduler {
            services: self.clone(),
            tasks,
            senders: HashMap::new(),
            read_up_to: HashMap::new(),
            pending: HashMap::new(),
            counted_at: None,
            feed: None,
        };
        self.background.add("webhooks", PERIOD, scheduler);
    }
}

impl PeriodicTask for WebhookScheduler {
    async fn run(&mut self) -> RunResult {
        while self.advance_webhooks().await? {}
        Ok(None)
    }

    /// Waits for a change of a webhook, or for a new event if there are enabled webhooks.
    async fn wait_for_work(&mut self) {
        let Self { services, feed, counted_at, .. } = self;
        tokio::select! {
            () = services.webhooks.changed.notified() => *counted_at = None,
            () = next_event(feed) => {}
        }
    }
}

async fn next_event(feed: &mut Option<watch::Receiver<i64>>) {
    let has_grown = match feed {
        Some(feed) => feed.changed().await.is_ok(),
        None => false,
    };
    if !has_grown {
        std::future::pending().await
    }
}

impl WebhookScheduler {
    /// Moves every webhook one step through the feed. True: there is more to read.
    async fn advance_webhooks(&mut self) -> Result<bool, Error> {
        let mut webhooks = storage::webhooks::list_webhooks(&self.services.db).await?;
        webhooks.retain(|webhook| webhook.details.enabled);
        self.keep_senders(&webhooks);
        if webhooks.is_empty() {
            self.feed = None;
            return Ok(false);
        }
        if self.feed.is_none() {
            self.feed = Some(self.services.feed_notifier.subscribe());
        }
        if let Some(feed) = &mut self.feed {
            feed.mark_unchanged();
        }
        self.count_pending().await?;
        let (steps, more) = self.plan_steps(&webhooks).await?;
        let moved = storage::webhooks::advance_positions(&self.services.db, &steps, clock::now()).await?;
        for step in steps.iter().filter(|step| moved.contains(&step.webhook_id) && !step.deliveries.is_empty()) {
            *self.pending.entry(step.webhook_id).or_default() += i64::try_from(step.deliveries.len()).unwrap_or(0);
            if let Some((wake, _)) = self.senders.get(&step.webhook_id) {
                wake.notify_one();
            }
        }
        // If another node was faster, it may not have read as far.
        Ok(more || moved.len() < steps.len())
    }

    /// Returns the next deliveries of each webhook. True: a webhook has more to read.
    async fn plan_steps(&mut self, webhooks: &[Webhook]) -> Result<(Vec<PositionAdvance>, bool), Error> {
        // If a webhook was disabled for long, the feed may no longer have its position.
        let start = self.services.feed_start().await?.seq;
        // Most webhooks have the same position and share a page.
        let mut pages: HashMap<i64, FeedPage> = HashMap::new();
        let (mut steps, mut more) = (Vec::new(), false);
        for webhook in webhooks {
            if self.pending.get(&webhook.id).is_some_and(|pending| *pending >= MAX_PENDING) {
                continue;
            }
            let seen = self.read_up_to.get(&webhook.id).copied().unwrap_or_default();
            let from = webhook.position.max(seen).max(start);
            let page = match pages.entry(from) {
                Entry::Occupied(page) => page.into_mut(),
                Entry::Vacant(vacant) => {
                    vacant.insert(storage::events::list_page(&self.services.db, from, None, PAGE_SIZE).await?)
                }
            };
            more |= page.has_more;
            let to = page.searched_to.seq.max(from);
            let wanted: Vec<_> =
                page.events.iter().filter(|event| webhook.details.subscribes_to(event.kind)).cloned().collect();
            let wanted = self.services.visible_events(&creator(webhook), wanted).await?;
            let to_delivery = |event: &crate::domain::event::Event| NewDelivery {
                id: clock::new_id(),
                event_seq: event.seq,
                event_id: event.id,
                kind: event.kind,
            };
            let deliveries: Vec<NewDelivery> = wanted.iter().map(to_delivery).collect();
            if !deliveries.is_empty() || to - webhook.position >= MAX_UNSTORED {
                steps.push(PositionAdvance { webhook_id: webhook.id, from: webhook.position, to, deliveries });
                // If another node was faster, the next step starts from the position of that node.
                self.read_up_to.remove(&webhook.id);
            } else {
                self.read_up_to.insert(webhook.id, to);
            }
        }
        Ok((steps, more))
    }

    async fn count_pending(&mut self) -> Result<(), Error> {
        if self.counted_at.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            self.pending = storage::webhooks::count_pending(&self.services.db).await?.into_iter().collect();
            self.counted_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Keeps a sender for each webhook, and ends the others. Wakes the senders after a change, which may make a
    /// delivery due.
    fn keep_senders(&mut self, webhooks: &[Webhook]) {
        self.senders.retain(|id, _| webhooks.iter().any(|webhook| webhook.id == *id));
        self.read_up_to.retain(|id, _| webhooks.iter().any(|webhook| webhook.id == *id));
        for webhook in webhooks {
            if let Some((wake, _)) = self.senders.get(&webhook.id) {
                if self.counted_at.is_none() {
                    wake.notify_one();
                }
                continue;
            }
            let (wake, stop) = (Arc::new(Notify::new()), self.services.stop.child_token());
            self.tasks.spawn(sender::run(self.services.clone(), webhook.id, wake.clone(), stop.clone()));
            self.senders.insert(webhook.id, (wake, stop.drop_guard()));
        }
    }
}
