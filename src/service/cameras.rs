//! Cameras as people look at them: each picture fetched once, however many browsers ask for it.
//!
//! Whoever asks while a picture is on its way waits for that one. A camera that hangs or fails is left alone for a
//! while, so that a wall of dead cameras costs the living ones nothing.

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

/// A picture is shown for so long before another one is fetched.
const FRESH: Duration = Duration::from_secs(2);
/// A camera that gave none is asked again after this.
const AGAIN: Duration = Duration::from_secs(15);
/// A picture that nobody has asked for this long is let go.
const KEPT: Duration = Duration::from_secs(30);
/// Pictures that are fetched at once, of the whole farm.
const FETCHES: usize = 16;
/// Pictures that are kept. The largest is 8 MB; cameras send some 100 KB.
const PICTURES: usize = 200;

/// A picture, and when it was taken.
#[derive(Debug)]
pub struct Shot {
    pub picture: Picture,
    pub at: DateTime<Utc>,
}

/// Why a camera has no picture, in a sentence for people.
pub type NoPicture = Arc<str>;

type Seen = Result<Arc<Shot>, NoPicture>;
/// One camera: locked while it is asked.
type Slot = Arc<AsyncMutex<Option<(Instant, Seen)>>>;

/// What cameras have shown lately.
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
    /// The place of a camera. Makes room by letting those go that nobody looks at.
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

    /// What a camera shows at this time: what is known, where that is new enough, or what `fetch` brings.
    async fn look(&self, id: Uuid, now: Instant, fetch: impl AsyncFnOnce() -> Seen) -> Seen {
        let slot = self.slot(id, now);
        let mut known = slot.lock().await;
        if let Some((at, seen)) = known.as_ref()
            && now.saturating_duration_since(*at) < if seen.is_ok() { FRESH } else { AGAIN }
        {
            return seen.clone();
        }
        // Closed by nobody: an error would leave the camera for the next time.
        let _turn = self.fetches.acquire().await;
        let seen = fetch().await;
        *known = Some((now, seen.clone()));
        seen
    }
}

impl Services {
    /// What a printer's camera shows now, two seconds old at most. Fails with `NotFound` where there is no such printer.
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
        assert_eq!(fetched.load(Ordering::SeqCst), 2, "another one when the first is old");
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
            _ = hangs => panic!("it hangs"),
            seen = works => assert!(seen.is_ok()),
        }
    }

    #[tokio::test]
    async fn what_is_kept_has_an_end() {
        let (cameras, now) = (Cameras::default(), Instant::now());
        let count = || cameras.slots.lock().expect("no panic").len();
        for n in 0..PICTURES + 50 {
            assert!(cameras.look(Uuid::from_u128(n as u128), now, async || shot()).await.is_ok());
        }
        assert_eq!(count(), PICTURES);
        assert!(cameras.look(Uuid::from_u128(1), now + KEPT, async || shot()).await.is_ok());
        assert_eq!(count(), 1, "nobody looks at the others any more");
    }
}
