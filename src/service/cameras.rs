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
use crate::{
    clock,
    domain::{camera::CameraPicture, message::Message},
};

/// A picture is reused for this time.
const REUSE_FOR: Duration = Duration::from_secs(2);
/// Pause before a failed camera is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(15);
/// A picture that is not requested for this time is dropped.
const RETENTION: Duration = Duration::from_secs(30);
/// Maximum number of concurrent fetches in the whole farm.
const MAX_FETCHES: usize = 16;
/// Maximum number of pictures that are kept. The largest is 8 MB; cameras send about 100 KB.
const MAX_PICTURES: usize = 200;

/// A picture, with the time at which it was fetched.
#[derive(Debug)]
pub struct CachedPicture {
    pub picture: CameraPicture,
    pub at: DateTime<Utc>,
}

/// A picture, or why the camera has none.
type PictureResult = Result<Arc<CachedPicture>, Message>;
/// State of one camera. It is locked during a fetch.
type CameraSlot = Arc<AsyncMutex<Option<(Instant, PictureResult)>>>;

/// Recent pictures and errors of cameras.
pub struct Cameras {
    slots: Mutex<HashMap<Uuid, (Instant, CameraSlot)>>,
    fetches: Semaphore,
}

impl Default for Cameras {
    fn default() -> Self {
        Self { slots: Mutex::default(), fetches: Semaphore::new(MAX_FETCHES) }
    }
}

impl Cameras {
    /// Returns the slot of a camera. Makes room by dropping slots that are not requested any more.
    fn slot(&self, id: Uuid, now: Instant) -> CameraSlot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|other, (requested_at, _)| *other == id || now.duration_since(*requested_at) < RETENTION);
        while slots.len() >= MAX_PICTURES && !slots.contains_key(&id) {
            let Some(oldest) = slots.iter().min_by_key(|(_, (requested_at, _))| *requested_at).map(|(id, _)| *id)
            else {
                break;
            };
            slots.remove(&oldest);
        }
        let (requested_at, slot) = slots.entry(id).or_insert_with(|| (now, CameraSlot::default()));
        *requested_at = now;
        slot.clone()
    }

    /// Returns the stored picture or error of a camera if it is recent enough, else the result of `fetch`.
    async fn get_picture(&self, id: Uuid, now: Instant, fetch: impl AsyncFnOnce() -> PictureResult) -> PictureResult {
        let slot = self.slot(id, now);
        let mut known = slot.lock().await;
        if let Some((at, result)) = known.as_ref()
            && now.saturating_duration_since(*at) < if result.is_ok() { REUSE_FOR } else { RETRY_AFTER }
        {
            return result.clone();
        }
        // The semaphore is never closed, so this cannot fail.
        let _turn = self.fetches.acquire().await;
        let result = fetch().await;
        *known = Some((now, result.clone()));
        result
    }
}

impl Services {
    /// Returns the current picture of a printer's camera, at most two seconds old. Fails with `NotFound` if there is no
    /// such printer.
    pub async fn camera_picture(&self, who: &Principal, id: Uuid) -> Result<PictureResult, Error> {
        self.printer(who, id).await?;
        let fetch = async || match self.snapshot(who, id).await {
            Ok(picture) => Ok(Arc::new(CachedPicture { picture, at: clock::now() })),
            Err(Error::NotFound(_)) => Err(Message::new("refusal-no-camera")),
            Err(error) => Err(Message::new("refusal-no-picture").with_message("cause", error.message())),
        };
        Ok(self.cameras.get_picture(id, Instant::now(), fetch).await)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn fetched_picture() -> PictureResult {
        let picture = CameraPicture { content_type: "image/png".to_owned(), bytes: Default::default() };
        Ok(Arc::new(CachedPicture { picture, at: DateTime::UNIX_EPOCH }))
    }

    #[tokio::test]
    async fn concurrent_requests_share_one_fetch() {
        let (cameras, fetched) = (Cameras::default(), AtomicUsize::new(0));
        let now = Instant::now();
        let get = |now| {
            cameras.get_picture(Uuid::from_u128(1), now, async || {
                fetched.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                fetched_picture()
            })
        };
        let results = futures_util::future::join_all((0..50).map(|_| get(now))).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
        assert!(get(now + REUSE_FOR).await.is_ok());
        assert_eq!(fetched.load(Ordering::SeqCst), 2, "an old picture is fetched again");
    }

    #[tokio::test]
    async fn a_failed_camera_is_not_asked_again_for_a_while() {
        let (cameras, fetched) = (Cameras::default(), AtomicUsize::new(0));
        let now = Instant::now();
        let get = |now| {
            cameras.get_picture(Uuid::from_u128(1), now, async || {
                fetched.fetch_add(1, Ordering::SeqCst);
                Err("broken".into())
            })
        };
        for _ in 0..5 {
            assert!(get(now + REUSE_FOR).await.is_err());
        }
        assert_eq!(fetched.load(Ordering::SeqCst), 1);
        assert!(get(now + REUSE_FOR + RETRY_AFTER).await.is_err());
        assert_eq!(fetched.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_camera_that_hangs_does_not_delay_another() {
        let (cameras, now) = (Cameras::default(), Instant::now());
        let hangs = cameras.get_picture(Uuid::from_u128(1), now, async || std::future::pending().await);
        let works = cameras.get_picture(Uuid::from_u128(2), now, async || fetched_picture());
        tokio::select! {
            biased;
            _ = hangs => panic!("the fetch hangs"),
            result = works => assert!(result.is_ok()),
        }
    }

    #[tokio::test]
    async fn the_number_of_kept_pictures_is_bounded() {
        let (cameras, now) = (Cameras::default(), Instant::now());
        let count = || cameras.slots.lock().expect("the lock is not poisoned").len();
        for n in 0..MAX_PICTURES + 50 {
            assert!(cameras.get_picture(Uuid::from_u128(n as u128), now, async || fetched_picture()).await.is_ok());
        }
        assert_eq!(count(), MAX_PICTURES);
        assert!(cameras.get_picture(Uuid::from_u128(1), now + RETENTION, async || fetched_picture()).await.is_ok());
        assert_eq!(count(), 1, "the other pictures are not requested any more");
    }
}
