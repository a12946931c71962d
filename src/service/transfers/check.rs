//! Decides a start by the state of its printer, before its file is transferred. The start is decided again afterwards.

use std::time::{Duration, Instant};

use chrono::DateTime;
use uuid::Uuid;

use crate::{
    domain::{
        batch::BatchSpec,
        command::{CommandRow, Outcome, Reason, StartFile},
        effect::Decision,
        state::{PrinterState, Reachability},
    },
    fleet::view::LivePrinter,
    service::{Services, dispatch::FileRefusal, selection::SelectedPrinter},
    storage::printer_contents::AwaitedContent,
};

/// Longest wait for an observation of the printer that is newer than the command.
const OBSERVATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the first observation of the printer since the start of the server.
const FIRST_OBSERVATION_TIMEOUT: Duration = Duration::from_secs(15);

/// Result of a check.
#[derive(Debug)]
pub(super) enum Check {
    /// The file may be transferred.
    Passed,
    /// The printer has not been observed since the command was created, or its state is transitional.
    Later,
    Refused(FileRefusal),
}

impl Services {
    /// Returns whether the state of a printer allows a transfer: it does not print.
    pub(super) fn may_transfer_to(&self, printer_id: Uuid) -> bool {
        let Some(live) = self.fleet.view().get(printer_id) else { return false };
        self.settings.transfer_while_printing || !(live.state.is_active() || live.state == PrinterState::Transferring)
    }

    /// Returns whether a transfer may begin: the printer replies, does not print, and has no command in flight.
    pub(super) fn may_begin_transfer(&self, printer_id: Uuid) -> bool {
        let live = self.fleet.view().get(printer_id);
        live.is_some_and(|live| live.reachability == Reachability::Online && live.in_flight.is_none())
            && self.may_transfer_to(printer_id)
    }

    /// Checks a start whose file is not on the printer yet. `since` is when the check was first tried.
    pub(super) fn check_before_transfer(
        &self,
        awaited: &AwaitedContent,
        row: &CommandRow,
        spec: &BatchSpec,
        since: Instant,
    ) -> Check {
        let selected = SelectedPrinter {
            printer_id: awaited.printer_id,
            printer_name: row.printer_name.clone(),
            expected_job: row.expected_job.clone(),
            requested_file: None,
            file: Some(StartFile::InLibrary(awaited.content.clone())),
            refused: None,
            refusal_detail: None,
        };
        let row = self.dry_run(spec, selected);
        let reason = match row.decision {
            Decision::Send(_) | Decision::Unchanged => return Check::Passed,
            Decision::Wait => return Check::Later,
            Decision::Reject(reason) => reason,
        };
        let refuse = |outcome| {
            let detail = row.selected.refusal_detail.clone();
            Check::Refused(FileRefusal { command_id: awaited.command_id, outcome, reason, detail })
        };
        if reason == Reason::OutOfService {
            return refuse(Outcome::Rejected);
        }
        let live = self.fleet.view().get(awaited.printer_id);
        // An event may have been lost: a refusal needs a newer observation.
        let is_known = live.as_ref().is_some_and(|live| live.reachability != Reachability::Unknown);
        let limit = if is_known { OBSERVATION_TIMEOUT } else { FIRST_OBSERVATION_TIMEOUT };
        if !live.is_some_and(|live| is_observed_since(&live, awaited.command_id)) && since.elapsed() < limit {
            self.fleet.request_reading(awaited.printer_id);
            return Check::Later;
        }
        refuse(match reason {
            Reason::PrinterUnreachable => Outcome::Unreachable,
            Reason::PrinterUnauthorized => Outcome::Unauthorized,
            _ => Outcome::Rejected,
        })
    }
}

/// Returns whether a printer was observed after a command was created. The id of the command contains its time.
fn is_observed_since(live: &LivePrinter, command_id: Uuid) -> bool {
    let created = command_id.get_timestamp().and_then(|time| {
        let (seconds, nanoseconds) = time.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    });
    live.reachability == Reachability::Online
        && live.observed_at().zip(created).is_some_and(|(seen, created)| seen >= created)
}
