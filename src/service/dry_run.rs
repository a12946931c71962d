//! Dry run of a batch: predicts its effect from the known state. Nothing is stored, and no printer gets a request.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Services, error::Error, selection::SelectedPrinter};
use crate::{
    domain::{
        batch::{BatchSpec, PlatePolicy},
        command::{Command, FileRef, Reason, ResultClass, StartFile},
        effect::{self, Decision, Guards, Observation},
        message::Message,
        plate::PlateState,
        print::ActorKind,
        reading::LOCAL_ORIGIN,
        state::{PrinterState, Reachability},
    },
    fleet::view::LivePrinter,
    storage,
};

/// Predicted effect of a batch on one printer.
#[derive(Debug, Clone)]
pub struct DryRunRow {
    pub selected: SelectedPrinter,
    pub decision: Decision,
    /// The decision after the wait, if the command must wait. Otherwise the same decision.
    pub expected: Decision,
    pub state: PrinterState,
    pub resolved: Option<Command>,
    /// The transfer of a library file.
    pub transfer: Option<PlannedTransfer>,
}

impl DryRunRow {
    fn rejected(selected: SelectedPrinter, reason: Reason, state: PrinterState) -> Self {
        let decision = Decision::Reject(reason);
        Self { selected, decision, expected: decision, state, resolved: None, transfer: None }
    }

    /// Returns what the result is expected to mean to the user.
    pub fn expected_class(&self) -> ResultClass {
        ResultClass::expected_from(self.expected)
    }
}

/// Transfer of a library file that a start would need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedTransfer {
    /// According to the last transfer, the printer does not have the file.
    pub is_needed: bool,
    /// Bytes of the file on the printer.
    pub size: u64,
}

/// Returns the transfer of a printer's file. `present` has the contents of the printers.
pub(super) fn planned_transfer(
    selected: &SelectedPrinter,
    present: &HashSet<(Uuid, String)>,
) -> Option<PlannedTransfer> {
    let content = selected.file.as_ref()?.content().filter(|_| selected.refused.is_none())?;
    let is_needed = !present.contains(&(selected.printer_id, content.sha256.clone()));
    Some(PlannedTransfer { is_needed, size: content.print_size })
}

impl Services {
    /// Returns which of the printers have which of their library contents, according to the last transfers.
    pub(super) async fn contents_on_printers(
        &self,
        selected: &[SelectedPrinter],
    ) -> Result<HashSet<(Uuid, String)>, Error> {
        let contents = selected.iter().filter_map(|one| Some(one.file.as_ref()?.content()?.sha256.clone()));
        let contents: HashSet<String> = contents.collect();
        if contents.is_empty() {
            return Ok(HashSet::new());
        }
        let contents: Vec<String> = contents.into_iter().collect();
        Ok(storage::printer_contents::list_present(&self.db, &contents).await?.into_iter().collect())
    }

    /// Predicts the effect of a command from the known state, without a request to the printer.
    pub(super) fn dry_run(&self, spec: &BatchSpec, selected: SelectedPrinter) -> DryRunRow {
        let live = self.fleet.view().get(selected.printer_id);
        let out_of_service = self.fleet.out_of_service(selected.printer_id);
        let state = live.as_ref().map_or(PrinterState::Unknown, |live| live.last_state);
        if let Some(reason) = selected.refused {
            return DryRunRow::rejected(selected, reason, state);
        }
        // The actor refuses without a reading, so the printer may be out of reach.
        let is_busy = live.as_ref().and_then(|live| live.in_flight).is_some_and(|command| command != spec.command);
        if spec.command.runs_print()
            && !is_busy
            && let Some(refusal) = out_of_service
        {
            return refuse_out_of_service(selected, state, None, refusal);
        }
        let out_of_reach = match live.as_ref().map_or(Reachability::Unknown, |live| live.reachability) {
            Reachability::Online => None,
            Reachability::Unauthorized => Some(Reason::PrinterUnauthorized),
            Reachability::Incompatible => Some(Reason::PrinterProtocol),
            Reachability::Unreachable | Reachability::Unknown => Some(Reason::PrinterUnreachable),
        };
        if let Some(reason) = out_of_reach {
            return DryRunRow::rejected(selected, reason, state);
        }
        // The same rules as in the printer queues: the same command waits, a cancel overtakes, any other command is
        // refused.
        let in_flight = live.as_ref().and_then(|live| live.in_flight).filter(|_| spec.command != Command::Cancel);
        if in_flight.is_some_and(|in_flight| in_flight != spec.command) {
            return DryRunRow::rejected(selected, Reason::CommandInFlight, state);
        }
        let observation = live.as_deref().map_or_else(unknown_observation, to_observation);
        let plate_clear = !self.settings.plate_gate
            || spec.plate == PlatePolicy::AssumeClear
            || live.is_some_and(|live| live.plate.state == PlateState::Clear);
        let guards = Guards {
            enabled: true,
            out_of_service: out_of_service.is_some(),
            plate_clear,
            expected_job: selected.expected_job.clone().or_else(|| spec.expected_job.clone()),
            file: start_file_guard(&selected, spec),
            named: spec.named,
            force: spec.force,
        };
        let resolved =
            (spec.command == Command::Toggle).then(|| effect::resolve_toggle(observation.state).ok()).flatten();
        if in_flight.is_some() {
            let expected = effect::predict(spec.command, in_flight, &observation, &guards);
            return DryRunRow { selected, decision: Decision::Wait, expected, state, resolved: None, transfer: None };
        }
        let command = resolved.unwrap_or(spec.command);
        let decision = effect::decide(command, &observation, &guards);
        if decision == Decision::Reject(Reason::OutOfService)
            && let Some(refusal) = out_of_service
        {
            return refuse_out_of_service(selected, state, resolved, refusal);
        }
        let expected = effect::predict(command, None, &observation, &guards);
        DryRunRow { selected, decision, expected, state, resolved, transfer: None }
    }
}

/// Returns the row of a printer that is out of service.
fn refuse_out_of_service(
    mut selected: SelectedPrinter,
    state: PrinterState,
    resolved: Option<Command>,
    refusal: Message,
) -> DryRunRow {
    selected.refusal_detail = Some(refusal);
    DryRunRow { resolved, ..DryRunRow::rejected(selected, Reason::OutOfService, state) }
}

/// Returns the file that a start names. A file of the library has no path on the printer yet.
pub(super) fn start_file_guard(selected: &SelectedPrinter, spec: &BatchSpec) -> Option<FileRef> {
    match selected.file.as_ref().or(spec.file.as_ref())? {
        StartFile::OnPrinter(file) => Some(file.clone()),
        StartFile::InLibrary(content) => Some(FileRef { path: content.name.clone(), origin: LOCAL_ORIGIN.to_owned() }),
    }
}

fn unknown_observation() -> Observation {
    Observation { state: PrinterState::Unknown, file: None, print_id: None, paused_by_printyard: false }
}

fn to_observation(live: &LivePrinter) -> Observation {
    let job = live.job.as_ref();
    let file = job
        .and_then(|job| job.file.as_ref())
        .map(|file| FileRef { path: file.path.clone(), origin: file.origin.clone() });
    Observation {
        state: live.state,
        file,
        print_id: job.and_then(|job| job.print_id),
        paused_by_printyard: job.and_then(|job| job.paused_by).is_some_and(|by| by.kind == ActorKind::Command),
    }
}
