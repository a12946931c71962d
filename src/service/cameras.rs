//! Camera pictures for the dashboard: each picture is fetched once, however many browsers request it.
//!
//! A request during a fetch waits for that fetch. After a camera hangs or fails, it is not asked again for a while, so
//! broken cameras do not slow down the working ones.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{clock, octoprint::Picture};

/// A picture is reused for this time.
const FRESH: Duration = Duration::from_secs(2);
/// Pause before a failed camera is asked again.
const AGAIN: Duration = Duration::from_secs(15);
/// A picture that is not requested for this time is dropped.
const KEPT: Duration = Duration::from_secs(30);
/// Maximum number of concurrent fetches in the whole farm.
const FETCHES: usize = 16;
/// Maximum number of pictures that are kept. The largest is 8 MB; cameras send about 100 KB.
const PICTURES: usize = 200;

/// A picture, with the time at which it was fetched.
#[derive(Debug)]
pub struct Shot {
    pub picture: Picture,
    pub at: DateTime<Utc>,
}

/// Why a camera has no picture, as a sentence for users.
pub type NoPicture = Arc<str>;

type Seen = Result<Arc<Shot>, NoPicture>;
/// State of one camera. It is locked during a fetch.
type Slot = Arc<AsyncMutex<Option<(Instant, Seen)>>>;

/// Recent pictures and errors of cameras.
pub struct Cameras {
    slots: Mutex<HashMap<Uuid, (Instant, Slot)>>,
    fetches: Semaphore,
}

impl Default for Cameras {
    fn default() -> Self {
        Self { slots: Mutex::default(), fetches: Semaphore::new(FETCHES) }
    }
}

impl Cameras {
    /// Returns the slot of a camera. Makes room by dropping slots that are not requested any more.
    fn slot(&self, id: Uuid, now: Instant) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|other, (asked, _)| *other == id || now.duration_since(*asked) < KEPT);
        while slots.len() >= PICTURES && !slots.contains_key(&id) {
            let Some(oldest) = slots.iter().min_by_key(|(_, (asked, _))| *asked).map(|(id, _)| *id) else { break };
            slots.remove(&oldest);
        }
        let (asked, slot) = slots.entry(id).or_insert_with(|| (now, Slot::default()));
        *asked = now;
        slot.clone()
    }

    /// Returns the stored picture or error of a camera if it is recent enough, else the result of `fetch`.
    async fn look(&self, id: Uuid, now: Instant, fetch: impl AsyncFnOnce() -> Seen) -> Seen {
        let slot = self.slot(id, now);
        let mut known = slot.lock().await;
        if let Some((at, seen)) = known.as_ref()
            && now.saturating_duration_since(*at) < if seen.is_ok() { FRESH } else { AGAIN }
        {
            return seen.clone();
        }
        // The semaphore is never closed, so this cannot fail.
        let _turn = self.fetches.acquire().await;
        let seen = fetch().await;
        *known = Some((now, seen.clone()));
        seen
    }
}

impl Services {
    /// Returns the current picture of a printer's camera, at most two seconds old. Fails with `NotFound` if there is no
    /// such printer.
    pub async fn look_at(&self, who: &Principal, id: Uuid) -> Result<Seen, Error> {
        self.printer(who, id).await?;
        let fetch = async || match self.snapshot(who, id).await {
            Ok(picture) => Ok(Arc::new(Shot { picture, at: clock::now() })),
            Err(Error::NotFound(_)) => Err("This printer has no camera.".into()),
            Err(error) => Err(format!("No picture: {error}").into()),
        };
        Ok(self.cameras.look(id, Instant::now(), fetch).await)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn shot() -> Seen {
        let picture = Picture { content_type: "image/png".to_owned(), bytes: Default::default() };
        Ok(Arc::new(Shot { picture, at: DateTime::UNIX_EPOCH }))
    }

    #[tokio::test]
    async fn many_who_look_at_once_cost_one_fetch() {
        let (cameras, fetched) = (Cameras::default(), AtomicUsize::new(0));
        let now = Instant::now();
        let look = |now| {
            cameras.look(Uuid::from_u128(1), now, async || {
                fetched.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                shot()
            })
        };
        let seen = futures_util::future::join_all((0..50).map(|_| look(now))).await;
        assert!(seen.iter().all(Result::is_ok));
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
        assert!(look(now + FRESH).await.is_ok());
        assert_eq!(fetched.load(Ordering::SeqCst), 2, "an old picture is fetched again");
    }

    #[tokio::test]
    async fn a_camera_that_fails_is_left_alone_for_a_while() {
        let (cameras, fetched) = (Cameras::default(), AtomicUsize::new(0));
        let now = Instant::now();
        let look = |now| {
            cameras.look(Uuid::from_u128(1), now, async || {
                fetched.fetch_add(1, Ordering::SeqCst);
                Err("broken".into())
            })
        };
        for _ in 0..5 {
            assert!(look(now + FRESH).await.is_err());
        }
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
        assert!(look(now + FRESH + AGAIN).await.is_err());
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn one_that_hangs_keeps_nobody_from_another() {
        let (cameras, now) = (Cameras::default(), Instant::now());
        let hangs = cameras.look(Uuid::from_u128(1), now, async || std::future::pending().await);
        let works = cameras.look(Uuid::from_u128(2), now, async || shot());
        tokio::select! {
            biased;
            _ = hangs => panic!("the fetch hangs"),
            seen = works => assert!(seen.is_ok()),
        }
    }

    #[tokio::test]
    async fn what_is_kept_has_an_end() {
        let (cameras, now) = (Cameras::default(), Instant::now());
        let count = || cameras.slots.lock().expect("the lock is not poisoned").len();
        for n in 0..PICTURES + 50 {
            assert!(cameras.look(Uuid::from_u128(n as u128), now, async || shot()).await.is_ok());
        }
        assert_eq!(count(), PICTURES);
        assert!(cameras.look(Uuid::from_u128(1), now + KEPT, async || shot()).await.is_ok());
        assert_eq!(count(), 1, "the other pictures are not requested any more");
    }
}
