//! Unfinished batches in memory: which rows may be released now, and when to check again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::wait_reasons::{BatchWaits, WaitReason};
use crate::domain::{batch::Batch, command::CommandRow};

/// A batch with commands that are not final.
#[derive(Debug)]
pub struct ActiveBatch {
    pub batch: Batch,
    /// Rows that are not released yet, in the order of their release.
    pub queued: VecDeque<CommandRow>,
    /// Released rows without a final outcome: command id to printer id.
    pub open: HashMap<Uuid, Uuid>,
    next_release: Option<Instant>,
    /// The batch is due, and the checks at that time have passed.
    pub checked: bool,
    /// What the unreleased rows wait for.
    pub waits: BatchWaits,
    /// A command failed under `on_failure: stop`, and the stop is not in the command log yet. Nothing is released
    /// meanwhile.
    pub stopping: bool,
}

/// Result of [`ActiveBatch::release_rows`].
#[derive(Debug, Default)]
pub struct ReleaseResult {
    pub rows: Vec<CommandRow>,
    /// No more rows can be released before this time, unless a command ends earlier.
    pub check_at: Option<Instant>,
    /// Rows that end unsent, because the window is over.
    pub expired: Vec<CommandRow>,
}

impl ActiveBatch {
    /// Creates an active batch from the rows that are not released.
    pub fn new(batch: Batch, queued: VecDeque<CommandRow>) -> Self {
        Self {
            batch,
            queued,
            open: HashMap::new(),
            next_release: None,
            checked: false,
            stopping: false,
            waits: BatchWaits::default(),
        }
    }

    /// Returns whether every row is final.
    pub fn is_over(&self) -> bool {
        self.queued.is_empty() && self.open.is_empty()
    }

    /// Returns the end of the window. Rows that are not released before it end unsent.
    pub fn closes_at(&self) -> DateTime<Utc> {
        self.batch.due_at() + TimeDelta::seconds(i64::from(self.batch.spec.window_s))
    }

    /// Takes the rows that may be released now. `may_heat` returns whether one more printer in the power group of the
    /// given printer may heat. Its second argument contains the printers that this call has released already.
    pub fn release_rows(
        &mut self,
        now: Instant,
        wall: DateTime<Utc>,
        mut may_heat: impl FnMut(Uuid, &HashSet<Uuid>) -> bool,
    ) -> ReleaseResult {
        let mut release = ReleaseResult::default();
        self.waits = BatchWaits::default();
        if self.queued.is_empty() {
            return release;
        }
        if wall < self.batch.due_at() {
            self.waits.others = Some(WaitReason::DueTime);
            let wait = (self.batch.due_at() - wall).to_std().unwrap_or_default();
            // A wall clock can be set, so a long wait is checked again before its end.
            release.check_at = Some(now + wait.min(Duration::from_secs(60)));
            return release;
        }
        if wall >= self.closes_at() {
            release.expired = self.queued.drain(..).collect();
            return release;
        }
        let spec = &self.batch.spec;
        let limits_heating = spec.max_heating > 0 && spec.command.heats();
        let max_in_flight = usize::try_from(spec.max_in_flight).unwrap_or(usize::MAX);
        let mut just_released = HashSet::new();
        let mut index = 0;
        while index < self.queued.len() {
            if self.queued[index].awaited_content().is_some() {
                // Its transfer has its own queue, and takes no part in the limits.
                self.waits.transfers.insert(self.queued[index].printer_id);
                index += 1;
                continue;
            }
            if max_in_flight > 0 && self.open.len() >= max_in_flight {
                self.waits.others = Some(WaitReason::InFlightLimit);
                break;
            }
            if let Some(next) = self.next_release.filter(|next| *next > now) {
                self.waits.others = Some(WaitReason::Interval);
                release.check_at = Some(next);
                break;
            }
            if limits_heating && !may_heat(self.queued[index].printer_id, &just_released) {
                // Another power group may have capacity.
                self.waits.heating.insert(self.queued[index].printer_id);
                index += 1;
                release.check_at = Some(now + Duration::from_secs(1));
                continue;
            }
            let Some(row) = self.queued.remove(index) else { break };
            self.open.insert(row.id, row.printer_id);
            just_released.insert(row.printer_id);
            release.rows.push(row);
            if spec.interval_ms > 0 {
                self.next_release = Some(now + Duration::from_millis(u64::from(spec.interval_ms)));
            }
        }
        if release.check_at.is_none() && !self.queued.is_empty() {
            // Check again soon enough to notice the end of the window.
            release.check_at = Some(now + Duration::from_secs(1));
        }
        release
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        batch::{BatchSpec, BatchState},
        command::Command,
    };

    fn active_batch(rows: u128, change: impl FnOnce(&mut BatchSpec)) -> (ActiveBatch, DateTime<Utc>) {
        let wall = DateTime::UNIX_EPOCH;
        let mut spec = BatchSpec::new(Command::Start);
        change(&mut spec);
        let batch = Batch {
            id: Uuid::nil(),
            spec,
            state: BatchState::Running,
            created_at: wall,
            finished_at: None,
            created_by: String::new(),
            retry_of: None,
        };
        let row = |n| {
            let id = Uuid::from_u128(100 + n);
            CommandRow::queued(id, Uuid::nil(), Uuid::from_u128(n), String::new(), Command::Start)
        };
        (ActiveBatch::new(batch, (1..=rows).map(row).collect()), wall)
    }

    fn released(release: &ReleaseResult) -> Vec<u128> {
        release.rows.iter().map(|row| row.printer_id.as_u128()).collect()
    }

    #[test]
    fn without_limits_all_rows_are_released_at_once() {
        let (mut active, wall) = active_batch(3, |_| {});
        assert_eq!(released(&active.release_rows(Instant::now(), wall, |_, _| false)), [1, 2, 3]);
    }

    #[test]
    fn max_in_flight_counts_rows_released_and_not_final() {
        let (mut active, wall) = active_batch(3, |spec| spec.max_in_flight = 2);
        let now = Instant::now();
        assert_eq!(released(&active.release_rows(now, wall, |_, _| true)), [1, 2]);
        assert!(active.release_rows(now, wall, |_, _| true).rows.is_empty());
        active.open.remove(&Uuid::from_u128(101));
        assert_eq!(released(&active.release_rows(now, wall, |_, _| true)), [3]);
    }

    #[test]
    fn an_interval_spaces_releases() {
        let (mut active, wall) = active_batch(2, |spec| spec.interval_ms = 500);
        let now = Instant::now();
        let first = active.release_rows(now, wall, |_, _| true);
        assert_eq!((released(&first), first.check_at), (vec![1], Some(now + Duration::from_millis(500))));
        let later = now + Duration::from_millis(500);
        assert_eq!(released(&active.release_rows(later, wall, |_, _| true)), [2]);
    }

    #[test]
    fn a_full_power_group_does_not_hold_up_another() {
        let (mut active, wall) = active_batch(3, |spec| spec.max_heating = 1);
        let release = active.release_rows(Instant::now(), wall, |printer, just_released| {
            printer.as_u128() != 2 && just_released.is_empty()
        });
        assert_eq!(released(&release), [1]);
        assert!(release.check_at.is_some());
    }

    #[test]
    fn rows_not_released_within_the_window_expire() {
        let (mut active, wall) = active_batch(2, |spec| spec.window_s = 10);
        let release = active.release_rows(Instant::now(), wall + TimeDelta::seconds(10), |_, _| true);
        assert_eq!((release.rows.len(), release.expired.len()), (0, 2));
    }

    #[test]
    fn nothing_is_released_before_it_is_due() {
        let (mut active, wall) =
            active_batch(1, |spec| spec.not_before = Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(5)));
        assert!(active.release_rows(Instant::now(), wall, |_, _| true).rows.is_empty());
        assert_eq!(active.release_rows(Instant::now(), wall + TimeDelta::seconds(5), |_, _| true).rows.len(), 1);
    }
}
