//! What the tracker must know of the commands to a printer.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::command::FileRef;

/// A sent start that has an effect has begun its print by then: the limit of a request, and some seconds to spare.
const STARTS_WITHIN: TimeDelta = TimeDelta::seconds(15);

/// A start that was sent and whose effect is open.
#[derive(Debug, Clone, PartialEq)]
pub struct StartSent {
    pub command_id: Uuid,
    /// What it is to print.
    pub file: Option<FileRef>,
    pub sent_at: Option<DateTime<Utc>>,
    /// The previous run of the server sent it.
    pub by_previous_run: bool,
    /// The id that its print was given there, where the print itself was not recorded.
    pub print_id: Option<Uuid>,
}

/// What the tracker must know of a moment: the time, a fresh id, and which commands are sent and not settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    pub at: DateTime<Utc>,
    /// Used if prints begin: more than two cannot be found at once.
    pub fresh_ids: [Uuid; 2],
    /// The event socket is open: whatever a reading shows, its events come too.
    pub pushed: bool,
    pub starting: Option<StartSent>,
    pub pausing: Option<Uuid>,
    pub resuming: Option<Uuid>,
    pub cancelling: Option<Uuid>,
}

impl StartSent {
    /// Whether a print that began then, at the latest, fits: not before the send, and, unless `late` is good too, as soon as
    /// OctoPrint starts one.
    pub(super) fn is_followed_by(&self, began: DateTime<Utc>, late: bool) -> bool {
        let Some(sent_at) = self.sent_at else { return late };
        began >= sent_at && (late || began - sent_at <= STARTS_WITHIN)
    }

    /// Whether its print may begin after that: one that was not there yet when the time was up is of another start.
    pub(super) fn may_begin_after(&self, moment: Option<DateTime<Utc>>) -> bool {
        let (Some(sent_at), Some(moment)) = (self.sent_at, moment) else { return true };
        moment - sent_at <= STARTS_WITHIN
    }
}

impl Moment {
    /// The command that may end a print now.
    pub(super) fn ending_command(&self) -> Option<Uuid> {
        self.cancelling.or_else(|| self.starting.as_ref().map(|start| start.command_id))
    }
}
