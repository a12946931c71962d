//! Dry run of a batch: predicts its effect from the known state. Nothing is stored, and no printer gets a request.

use super::{Services, selection::SelectedPrinter};
use crate::{
    domain::{
        batch::{BatchSpec, PlatePolicy},
        command::{Command, FileRef, Reason},
        effect::{self, Decision, Guards, Observation},
        plate::PlateState,
        print::ActorKind,
        state::{PrinterState, Reachability},
    },
    fleet::view::LivePrinter,
};

/// Predicted effect of a batch on one printer.
#[derive(Debug, Clone)]
pub struct DryRunRow {
    pub selected: SelectedPrinter,
    pub decision: Decision,
    pub state: PrinterState,
    pub resolved: Option<Command>,
}

impl Services {
    /// Predicts the effect of a command from the known state, without a request to the printer.
    pub(super) fn dry_run(&self, spec: &BatchSpec, selected: SelectedPrinter) -> DryRunRow {
        let live = self.fleet.view().get(selected.printer_id);
        let state = live.as_ref().map_or(PrinterState::Unknown, |live| live.last_state);
        if let Some(reason) = selected.refused {
            return DryRunRow { selected, decision: Decision::Reject(reason), state, resolved: None };
        }
        let out_of_reach = match live.as_ref().map_or(Reachability::Unknown, |live| live.reachability) {
            Reachability::Online => None,
            Reachability::Unauthorized => Some(Reason::PrinterUnauthorized),
            Reachability::Incompatible => Some(Reason::PrinterProtocol),
            Reachability::Unreachable | Reachability::Unknown => Some(Reason::PrinterUnreachable),
        };
        if let Some(reason) = out_of_reach {
            return DryRunRow { selected, decision: Decision::Reject(reason), state, resolved: None };
        }
        // The same rules as in the printer queues: the same command waits, a cancel overtakes, any other command is
        // refused.
        let in_flight = live.as_ref().and_then(|live| live.in_flight).filter(|_| spec.command != Command::Cancel);
        if let Some(in_flight) = in_flight {
            let decision =
                if in_flight == spec.command { Decision::Wait } else { Decision::Reject(Reason::CommandInFlight) };
            return DryRunRow { selected, decision, state, resolved: None };
        }
        let observation = live.as_deref().map_or_else(unknown_observation, to_observation);
        let plate_clear = !self.settings.plate_gate
            || spec.plate == PlatePolicy::AssumeClear
            || live.is_some_and(|live| live.plate.state == PlateState::Clear);
        let guards = Guards {
            enabled: true,
            plate_clear,
            expected_job: selected.expected_job.clone().or_else(|| spec.expected_job.clone()),
            file: spec.file.clone(),
            named: spec.named,
            force: spec.force,
        };
        let resolved =
            (spec.command == Command::Toggle).then(|| effect::resolve_toggle(observation.state).ok()).flatten();
        let decision = effect::decide(resolved.unwrap_or(spec.command), &observation, &guards);
        DryRunRow { selected, decision, state, resolved }
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
