//! Time and commands in flight, as input of the print tracker.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::command::FileRef;

/// Longest time from the send of a start to the beginning of its print: the timeout of a request, and some reserve.
const MAX_START_DELAY: TimeDelta = TimeDelta::seconds(15);

/// A start that was sent and whose effect is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct SentStart {
    pub command_id: Uuid,
    /// The file that it is to print.
    pub file: Option<FileRef>,
    pub sent_at: Option<DateTime<Utc>>,
    /// The previous run of the server sent it.
    pub by_previous_run: bool,
    /// The id that the previous run gave to its print, if the print itself was not recorded.
    pub print_id: Option<Uuid>,
}

/// Input of the tracker for one moment: the time, fresh ids, and the commands that are sent and not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackerContext {
    pub at: DateTime<Utc>,
    /// Ids for prints that begin. At most two prints can be found at the same time.
    pub fresh_ids: [Uuid; 2],
    /// The event socket is open. So the events of everything that a reading shows will arrive, too.
    pub pushed: bool,
    pub starting: Option<SentStart>,
    pub pausing: Option<Uuid>,
    pub resuming: Option<Uuid>,
    pub cancelling: Option<Uuid>,
}

impl SentStart {
    /// Returns whether a print fits this start. `began` is the latest time at which the print began. It must not be
    /// before the send. Unless `allow_late` is set, it must be within the time that a start takes.
    pub(super) fn fits_print(&self, began: DateTime<Utc>, allow_late: bool) -> bool {
        let Some(sent_at) = self.sent_at else { return allow_late };
        began >= sent_at && (allow_late || began - sent_at <= MAX_START_DELAY)
    }

    /// Returns whether the print of this start may begin after `last_observed_at`. If it had not begun in time,
    /// a later print belongs to another start.
    pub(super) fn may_begin_after(&self, last_observed_at: Option<DateTime<Utc>>) -> bool {
        let (Some(sent_at), Some(moment)) = (self.sent_at, last_observed_at) else { return true };
        moment - sent_at <= MAX_START_DELAY
    }
}

impl TrackerContext {
    /// Returns the command that may end a print now.
    pub(super) fn ending_command(&self) -> Option<Uuid> {
        self.cancelling.or_else(|| self.starting.as_ref().map(|start| start.command_id))
    }
}
