//! Limits of unfinished batches, per principal (user or token) and for the whole server.
//!
//! Starts of the planner have no limit here: a printer has at most one. The other batches are of
//! four classes, which are counted separately, so that none uses up the limit of another. They are scheduled batches, running
//! batches, running batches that stop printers (`cancel`, `pause`), and emergency stops. The last two classes have no limit
//! for the whole server: the load of one principal never refuses the stop of another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    clock,
    domain::{
        batch::{Batch, BatchOrigin},
        command::Command,
    },
};

/// Maximum number of scheduled batches of one principal.
const SCHEDULED_EACH: usize = 100;
/// Maximum number of running batches of one principal. Batches that stop printers have a second limit of this size, and
/// emergency stops a third one.
const RUNNING_EACH: usize = 500;
/// Maximum number of scheduled batches of all principals; running batches have a second limit of this size.
const MAX_ALL: usize = 1_000;
/// Batches of each principal and class that are admitted even if [`MAX_ALL`] is reached.
const RESERVED_EACH: usize = 10;

/// Why a batch is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionError {
    /// The principal has too many scheduled batches.
    TooManyScheduled,
    /// The principal has too many running batches.
    TooManyRunning,
    /// All principals together have too many batches of this class.
    ServerFull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BatchClass {
    Scheduled,
    Running,
    Stopping,
    EmergencyStop,
    /// The start of a copy. It counts for no user or token.
    Planner,
}

#[derive(Debug)]
struct OpenBatch {
    owner: Option<Uuid>,
    due_at: DateTime<Utc>,
    command: Command,
    origin: BatchOrigin,
    /// Closed when the entry is removed. Requests wait for that.
    end: watch::Sender<()>,
}

impl OpenBatch {
    fn new(batch: &Batch) -> Self {
        Self {
            owner: batch.spec.owner(),
            due_at: batch.due_at(),
            command: batch.spec.command,
            origin: batch.spec.origin,
            end: watch::Sender::default(),
        }
    }

    /// Returns the class at a time. A scheduled batch counts as running as soon as it is due.
    fn class(&self, now: DateTime<Utc>) -> BatchClass {
        match self.command {
            _ if self.origin == BatchOrigin::Planner => BatchClass::Planner,
            _ if self.due_at > now => BatchClass::Scheduled,
            Command::EmergencyStop => BatchClass::EmergencyStop,
            command if command.stops_printers() => BatchClass::Stopping,
            _ => BatchClass::Running,
        }
    }
}

/// The unfinished batches of all principals. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenBatches(Arc<Mutex<HashMap<Uuid, OpenBatch>>>);

/// Counts a batch while it is being stored. If it is dropped without [`Admission::keep`], the batch is no longer counted.
#[derive(Debug)]
pub struct Admission {
    open: OpenBatches,
    batch_id: Option<Uuid>,
}

impl Admission {
    /// Keeps the count of a stored batch until the dispatcher removes the finished batch.
    pub fn keep(mut self) {
        self.batch_id = None;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(id) = self.batch_id {
            self.open.remove(&[id]);
        }
    }
}

impl OpenBatches {
    /// Checks the limits and counts a batch that is about to be stored, in one step.
    pub fn admit(&self, batch: &Batch) -> Result<Admission, AdmissionError> {
        let now = clock::now();
        let new = OpenBatch::new(batch);
        let class = new.class(now);
        let mut open = self.lock();
        let same_class = open.values().filter(|other| other.class(now) == class);
        let (own, all) =
            same_class.fold((0, 0), |(own, all), other| (own + usize::from(other.owner == new.owner), all + 1));
        match class {
            BatchClass::Scheduled if own >= SCHEDULED_EACH => return Err(AdmissionError::TooManyScheduled),
            BatchClass::Running | BatchClass::Stopping | BatchClass::EmergencyStop if own >= RUNNING_EACH => {
                return Err(AdmissionError::TooManyRunning);
            }
            BatchClass::Scheduled | BatchClass::Running if all >= MAX_ALL && own >= RESERVED_EACH => {
                return Err(AdmissionError::ServerFull);
            }
            BatchClass::Scheduled
            | BatchClass::Running
            | BatchClass::Stopping
            | BatchClass::EmergencyStop
            | BatchClass::Planner => {}
        }
        open.insert(batch.id, new);
        Ok(Admission { open: self.clone(), batch_id: Some(batch.id) })
    }

    /// Counts a batch of the command log without a check of the limits. Returns its id.
    pub fn add(&self, batch: &Batch) -> Uuid {
        self.lock().entry(batch.id).or_insert_with(|| OpenBatch::new(batch));
        batch.id
    }

    /// Waits until a batch is no longer counted.
    pub async fn wait_until_removed(&self, id: Uuid) {
        let end = self.lock().get(&id).map(|batch| batch.end.subscribe());
        if let Some(mut end) = end {
            while end.changed().await.is_ok() {}
        }
    }

    /// Stops counting batches: they have ended, or were not stored.
    pub fn remove(&self, ids: &[Uuid]) {
        let mut open = self.lock();
        for id in ids {
            open.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, OpenBatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::batch::{BatchSpec, BatchState};

    fn batch(owner: u128, command: Command, is_scheduled: bool) -> Batch {
        let now = clock::now();
        let mut spec = BatchSpec::new(command);
        spec.user_id = Some(Uuid::from_u128(owner));
        spec.not_before = is_scheduled.then(|| now + TimeDelta::days(300));
        Batch {
            id: clock::new_id(),
            spec,
            state: BatchState::Running,
            created_at: now,
            finished_at: None,
            created_by: String::new(),
            retry_of: None,
        }
    }

    fn admit_many(open: &OpenBatches, owner: u128, command: Command, is_scheduled: bool, n: usize) -> usize {
        let admitted = (0..n).filter_map(|_| open.admit(&batch(owner, command, is_scheduled)).ok());
        admitted.map(Admission::keep).count()
    }

    #[test]
    fn a_principal_at_its_limit_of_scheduled_batches_can_still_run_and_stop() {
        let open = OpenBatches::default();
        assert_eq!(admit_many(&open, 1, Command::Start, true, 150), SCHEDULED_EACH);
        let refused = open.admit(&batch(1, Command::Start, true)).map(drop);
        assert_eq!(refused, Err(AdmissionError::TooManyScheduled));
        assert_eq!(admit_many(&open, 1, Command::Start, false, 1), 1, "running batches are counted separately");
        assert_eq!(admit_many(&open, 2, Command::Start, true, 1), 1, "another principal has its own limit");
    }

    #[test]
    fn the_load_of_others_refuses_neither_a_stop_nor_the_reserved_share() {
        let open = OpenBatches::default();
        for owner in 1..=2 {
            assert_eq!(admit_many(&open, owner, Command::Start, false, 1_000), RUNNING_EACH);
            assert_eq!(open.admit(&batch(owner, Command::Start, false)).map(drop), Err(AdmissionError::TooManyRunning));
            assert_eq!(admit_many(&open, owner, Command::Cancel, false, 10), 10, "starts do not refuse cancels");
        }
        assert_eq!(admit_many(&open, 3, Command::Start, false, 50), RESERVED_EACH);
        assert_eq!(open.admit(&batch(3, Command::Start, false)).map(drop), Err(AdmissionError::ServerFull));
        assert_eq!(admit_many(&open, 3, Command::Cancel, false, 300), 300);
        assert_eq!(admit_many(&open, 4, Command::Pause, false, 300), 300);
    }

    #[test]
    fn the_own_stops_of_a_principal_refuse_no_emergency_stop() {
        let open = OpenBatches::default();
        assert_eq!(admit_many(&open, 1, Command::Pause, false, 1_000), RUNNING_EACH);
        assert_eq!(admit_many(&open, 1, Command::EmergencyStop, false, 10), 10);
    }

    #[test]
    fn batches_that_ended_or_were_not_stored_count_no_longer() {
        let open = OpenBatches::default();
        assert_eq!(admit_many(&open, 1, Command::Start, true, SCHEDULED_EACH - 1), SCHEDULED_EACH - 1);
        let last = batch(1, Command::Start, true);
        drop(open.admit(&last));
        open.admit(&last).map(Admission::keep).expect("the dropped admission is no longer counted");
        assert!(open.admit(&batch(1, Command::Start, true)).is_err());
        open.remove(&[last.id]);
        assert!(open.admit(&batch(1, Command::Start, true)).is_ok());
    }
}
