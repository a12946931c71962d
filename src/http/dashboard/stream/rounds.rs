//! Rounds: moments at which all open pages read the farm, and the parts that they share.
//!
//! The first change after a quiet time starts a round at once. During many changes, a round starts every 100 ms.

use std::{collections::HashMap, sync::Arc, time::Duration};

use askama::Template;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{messages::Language, wall::Wall},
    DATABASE_TIMEOUT,
    live_page::LivePage,
    old, render_changed_tiles,
    sse::EventPiece,
};
use crate::http::dashboard::farm::FarmFilter;

/// Shortest time between two rounds.
pub(super) const ROUND_INTERVAL: Duration = Duration::from_millis(100);

/// Pages that get the same data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct PageKind {
    /// The tag limit of the user.
    pub tags: Vec<String>,
    pub language: Language,
    pub filter: FarmFilter,
}

/// A part that a page gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PagePart {
    /// The changes since a version, in a round.
    Changes {
        version: u64,
        round: u64,
    },
    Heartbeat,
    Wall {
        round: u64,
    },
}

/// A rendered part, and the version that the page has after it. Without a change there is no piece.
#[derive(Clone)]
pub(super) struct RenderedPart {
    rendered_at: Instant,
    pub version: u64,
    pub piece: Option<Arc<EventPiece>>,
    /// The summary strip, for pages that show an older one.
    pub strip: Option<Arc<EventPiece>>,
}

impl RenderedPart {
    /// Creates a part without a strip.
    pub fn new(version: u64, piece: Option<Arc<EventPiece>>) -> Self {
        Self { rendered_at: Instant::now(), version, piece, strip: None }
    }
}

/// Renders parts once for all pages of a kind. These pages read at the same moments, so they stay at the same versions.
pub(in super::super) struct Rounds {
    started_at: Instant,
    /// The farm's version at the start of the last round.
    round: watch::Sender<u64>,
    rendered: Mutex<HashMap<(PageKind, PagePart), RenderedPart>>,
}

impl Rounds {
    /// Starts the rounds of a farm. `farm` publishes its versions.
    pub fn start(farm: watch::Receiver<u64>, stop: CancellationToken) -> Self {
        let round = watch::Sender::new(0);
        tokio::spawn(
            stop.run_until_cancelled_owned(begin_rounds(farm, round.clone(), async || sleep(ROUND_INTERVAL).await)),
        );
        Self { started_at: Instant::now(), round, rendered: Mutex::default() }
    }

    /// Publishes the farm's version at the start of each round. A page that was busy in the meantime gets only the
    /// newest.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.round.subscribe()
    }

    /// Returns an interval whose ticks are the same for all pages.
    pub(super) fn heartbeat_interval(&self, period: Duration) -> Interval {
        let ticks = self.started_at.elapsed().as_millis() / period.as_millis();
        let next = self.started_at + period * u32::try_from(ticks + 1).unwrap_or(u32::MAX);
        let mut interval = interval_at(next, period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        interval
    }

    /// Returns a part for a page. None: the database failed or did not respond in time.
    pub(super) async fn get_part(&self, page: &LivePage, kind: &PageKind, part: PagePart) -> Option<RenderedPart> {
        timeout(DATABASE_TIMEOUT, self.render_part(page, kind, part)).await.ok()?
    }

    async fn render_part(&self, page: &LivePage, kind: &PageKind, part: PagePart) -> Option<RenderedPart> {
        let key = (kind.clone(), part);
        // Held while the part is rendered, so other pages of the kind wait instead of rendering it, too.
        let mut rendered = self.rendered.lock().await;
        rendered.retain(|_, made| made.rendered_at.elapsed() < ROUND_INTERVAL);
        if let Some(shared) = rendered.get(&key) {
            return Some(shared.clone());
        }
        let fresh = match part {
            PagePart::Changes { version, round } => render_changed_tiles(page, kind, version, round).await?,
            PagePart::Heartbeat => RenderedPart::new(0, Some(EventPiece::from_event("heartbeat", &old(page).await?))),
            PagePart::Wall { .. } => {
                let (version, entries) = page.dashboard.tile_cache.list_visible(&page.who).await.ok()?;
                RenderedPart::new(
                    version,
                    Some(EventPiece::from_event("wall", &Wall::from_entries(&entries, &kind.filter).render().ok()?)),
                )
            }
        };
        rendered.insert(key, fresh.clone());
        Some(fresh)
    }
}

/// Starts a round at the first change, then pauses. The last change of a burst gets a round, too.
async fn begin_rounds(mut farm: watch::Receiver<u64>, round: watch::Sender<u64>, pause: impl AsyncFn()) {
    // Counts the versions from before this task.
    farm.mark_changed();
    while farm.changed().await.is_ok() {
        round.send_replace(*farm.borrow_and_update());
        pause().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    /// Rounds of a farm whose pauses end when the test ends them.
    struct RoundsTest {
        version: watch::Sender<u64>,
        round: watch::Receiver<u64>,
        end_of_pause: Arc<Notify>,
    }

    impl RoundsTest {
        fn start() -> Self {
            let (version, versions) = watch::channel(0);
            let (begun, round) = watch::channel(0);
            let end_of_pause = Arc::new(Notify::new());
            let end = end_of_pause.clone();
            tokio::spawn(begin_rounds(versions, begun, async move || end.notified().await));
            Self { version, round, end_of_pause }
        }

        async fn next_round(&mut self) -> u64 {
            self.round.changed().await.expect("a round");
            *self.round.borrow_and_update()
        }

        /// Lets the other task run until it waits.
        async fn has_no_round(&self) -> bool {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            !self.round.has_changed().expect("rounds")
        }
    }

    #[tokio::test]
    async fn the_first_change_after_quiet_begins_a_round_at_once() {
        let mut farm = RoundsTest::start();
        assert_eq!(farm.next_round().await, 0, "what was published before");
        for version in [1, 2] {
            farm.end_of_pause.notify_one();
            assert!(farm.has_no_round().await, "no round without a change");
            farm.version.send_replace(version);
            assert_eq!(farm.next_round().await, version, "while its pause has not ended");
        }
    }

    #[tokio::test]
    async fn changes_during_a_pause_are_one_round_and_the_last_one_is_not_lost() {
        let mut farm = RoundsTest::start();
        farm.next_round().await;
        for last in [10, 20] {
            for version in last - 9..=last {
                farm.version.send_replace(version);
                assert!(farm.has_no_round().await, "a round within the pause");
            }
            farm.end_of_pause.notify_one();
            assert_eq!(farm.next_round().await, last);
        }
        farm.end_of_pause.notify_one();
        assert!(farm.has_no_round().await, "a round without a change");
    }
}
