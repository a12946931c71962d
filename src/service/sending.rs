//! One sending server per farm: claims the lock and the epoch at a start, and keeps them.
//!
//! While the lock is lost, nothing is sent. If no other server has taken the epoch in the meantime, this server locks
//! again and takes the next epoch. Its actors and its dispatcher continue, because no other server has sent. A server
//! that was overtaken never takes its epoch back: it ends, or waits as a standby.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    domain::epoch::EpochHolder,
    storage::{
        self, Db, SchemaState,
        lock::{self, FarmLock},
    },
};

/// Time between two checks of the lock. PostgreSQL ends its session after 10 s of silence.
const CHECK_EVERY: Duration = Duration::from_secs(3);
/// Time between attempts to lock again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a start waits for the lock. After that, another server counts as running.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(100);
/// How long a server that may still run can send after another has taken over. This is the maximum age of a permit (5
/// s) plus the timeout of a send (10 s).
const LAST_SENDS: Duration = Duration::from_secs(15);

/// Whether this server is the one that sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendingStatus {
    /// False while the lock is lost.
    pub ok: bool,
    pub epoch: i64,
    /// This process, as host and process id.
    pub holder: String,
    /// When it took the epoch.
    pub since: DateTime<Utc>,
}

/// Result of an attempt to become the sending server.
#[derive(Debug)]
pub enum ClaimResult {
    Won(Box<ClaimedFarm>),
    /// Another server holds the lock. None: its name is not stored yet, or cannot be read.
    Held(Option<EpochHolder>),
    /// There is no database or an empty one, and none may be created.
    Missing,
}

/// The farm as claimed by this process. Its database is open and up to date.
#[derive(Debug)]
pub struct ClaimedFarm {
    pub db: Db,
    pub keeper: LockKeeper,
    /// Until this time, the previous holder may still send. None: it has certainly ended.
    pub others_send_until: Option<Instant>,
}

/// Takes the lock, opens the database, brings its tables up to date, and takes the next epoch. Errors:
/// [`storage::Error::Setup`] with a sentence for the operator.
pub async fn claim_farm(url: &str, may_create: bool) -> Result<ClaimResult, storage::Error> {
    let Some(lock) = acquire_lock(url).await? else { return Ok(ClaimResult::Held(read_holder(url).await)) };
    let is_missing = match Db::open(url).await {
        Ok(db) => {
            let schema = db.schema_state().await;
            db.close().await;
            match schema? {
                SchemaState::Newer => return Err(newer_schema_error()),
                SchemaState::Empty => true,
                SchemaState::Older | SchemaState::Current => false,
            }
        }
        Err(error) if Db::exists(url)? => return Err(error),
        Err(_) => true,
    };
    if is_missing && !may_create {
        return Ok(ClaimResult::Missing);
    }
    let db = Db::connect(url).await?;
    let (host, pid) = this_process();
    let Some(taken) = lock::take_over(&db, None, (&host, pid), clock::now()).await? else {
        return Ok(ClaimResult::Held(read_holder(url).await));
    };
    // The lock on a file ends with its process. The lock of a session may end while its process only hangs.
    let may_still_send = db.is_shared() && taken.previous.epoch > 0 && taken.previous.released_at.is_none();
    let since = clock::now();
    let keeper = LockKeeper {
        url: url.to_owned(),
        db: db.clone(),
        lock: Some(lock),
        state: watch::Sender::new(SendingStatus {
            ok: true,
            epoch: taken.epoch,
            holder: format!("{host} pid {pid}"),
            since,
        }),
    };
    let others_send_until = may_still_send.then(|| Instant::now() + LAST_SENDS);
    Ok(ClaimResult::Won(Box::new(ClaimedFarm { db, keeper, others_send_until })))
}

/// Takes the lock, and waits briefly for it: after a server was killed, its lock ends together with its process.
async fn acquire_lock(url: &str) -> Result<Option<FarmLock>, storage::Error> {
    let begun = Instant::now();
    loop {
        match FarmLock::try_acquire(url).await? {
            None if begun.elapsed() < LOCK_WAIT => tokio::time::sleep(LOCK_RETRY).await,
            acquired => return Ok(acquired),
        }
    }
}

/// Returns the error for a database that a later version has changed.
pub fn newer_schema_error() -> storage::Error {
    let sentence = "the database was changed by a newer version of Printyard: run that version";
    storage::Error::Setup(sentence.to_owned())
}

/// Returns the holder of the farm, if it can be read.
pub async fn read_holder(url: &str) -> Option<EpochHolder> {
    let db = Db::open(url).await.ok()?;
    let holder = lock::read_holder(&db).await.ok();
    db.close().await;
    holder.filter(|holder| holder.epoch > 0)
}

/// Returns the host name and the process id.
fn this_process() -> (String, i64) {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .filter(|name| !name.is_empty());
    (host.unwrap_or_else(|| "unknown host".to_owned()), i64::from(std::process::id()))
}

/// Keeps the lock and the epoch of this process.
#[derive(Debug)]
pub struct LockKeeper {
    url: String,
    db: Db,
    lock: Option<FarmLock>,
    state: watch::Sender<SendingStatus>,
}

/// Result of a check of the farm's row.
enum EpochCheck {
    Current,
    Overtaken,
    Unknown,
}

impl LockKeeper {
    /// Returns a receiver that shows whether this server sends.
    pub fn subscribe(&self) -> watch::Receiver<SendingStatus> {
        self.state.subscribe()
    }

    /// Keeps the lock until `end` is cancelled, then releases it. Cancels `overtaken` if another server has taken over.
    pub async fn run(mut self, end: CancellationToken, overtaken: CancellationToken) {
        while let Some(is_ours) = end.run_until_cancelled(self.check_lock()).await {
            if !is_ours {
                overtaken.cancel();
                end.cancelled().await;
                return;
            }
        }
        let epoch = self.state.borrow().epoch;
        if self.lock.is_some()
            && let Err(error) = lock::record_release(&self.db, epoch, clock::now()).await
        {
            tracing::warn!(
                ?error,
                "the end of this server could not be stored; the next one waits for its last requests"
            );
        }
        if let Some(lock) = self.lock.take() {
            lock.release().await;
        }
    }

    /// Checks the lock and the epoch once. Returns false if another server has taken over.
    async fn check_lock(&mut self) -> bool {
        tokio::time::sleep(if self.lock.is_some() { CHECK_EVERY } else { RETRY }).await;
        let is_held = match &mut self.lock {
            Some(lock) => lock.is_held().await,
            None => false,
        };
        // An unreadable row does not prove that another server has taken over: this server still has the lock.
        if is_held && !matches!(self.check_epoch().await, EpochCheck::Overtaken) {
            return true;
        }
        if self.lock.take().is_some() {
            self.db.fence().pause();
            self.state.send_modify(|state| state.ok = false);
            tracing::error!("the lock of the farm is lost: nothing is sent until it is held again");
        }
        if matches!(self.check_epoch().await, EpochCheck::Overtaken) {
            tracing::error!("another server has taken over the farm");
            return false;
        }
        self.lock_again().await
    }

    async fn lock_again(&mut self) -> bool {
        let lock = match FarmLock::try_acquire(&self.url).await {
            Ok(Some(lock)) => lock,
            // The holder of the lock is about to take the epoch, or only checks the database.
            Ok(None) => return true,
            Err(error) => {
                tracing::warn!(?error, "the lock of the farm cannot be taken at the moment");
                return true;
            }
        };
        let (host, pid) = this_process();
        let (epoch, since) = (self.state.borrow().epoch, clock::now());
        match lock::take_over(&self.db, Some(epoch), (&host, pid), since).await {
            Ok(Some(taken)) => {
                self.lock = Some(lock);
                self.state.send_modify(|state| (state.ok, state.epoch, state.since) = (true, taken.epoch, since));
                tracing::warn!(epoch = taken.epoch, "the lock of the farm is held again");
                true
            }
            Ok(None) => {
                lock.release().await;
                false
            }
            Err(error) => {
                tracing::warn!(?error, "the epoch of the farm cannot be taken at the moment");
                lock.release().await;
                true
            }
        }
    }

    async fn check_epoch(&self) -> EpochCheck {
        match tokio::time::timeout(CHECK_EVERY, lock::read_holder(&self.db)).await {
            Ok(Ok(holder)) if holder.epoch == self.state.borrow().epoch => EpochCheck::Current,
            Ok(Ok(_)) => EpochCheck::Overtaken,
            Ok(Err(_)) | Err(_) => EpochCheck::Unknown,
        }
    }
}
