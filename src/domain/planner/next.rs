//! What a printer takes next: after its print, or once its plate is clear.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    context::{BestCandidates, Candidate, PlanContext},
    gate::OrderProgress,
    idle::count_refused,
    input::{Activity, PlanPlate},
    plan::{Assignment, Plan},
    reason::IdleReason,
};

/// What a printer takes next, if nothing changes until then.
#[derive(Debug, Clone, PartialEq)]
pub struct NextCopy {
    pub printer: Uuid,
    /// When the printer is expected to be ready.
    pub at: DateTime<Utc>,
    /// The copy, with the orders that it beats. `None`: no order that waits fits.
    pub takes: Option<Assignment>,
    /// Waiting orders that the printer could take.
    pub could_take: u32,
    /// Waiting orders that it could not take, by reason. Each is counted by one reason.
    pub refused: Vec<IdleReason>,
}

/// Returns what these printers take after a plan, the first to be ready first. Each copy is promised once.
pub(super) fn find_next(
    context: &PlanContext<'_>,
    progress: &mut [OrderProgress],
    plan: &Plan,
    printers: &[Uuid],
) -> Vec<NextCopy> {
    let positions = printers.iter().filter_map(|id| context.index.position(*id));
    let mut positions: Vec<(DateTime<Utc>, Uuid, usize)> = positions
        .map(|printer| (find_ready_time(context, plan, printer), context.input.printers[printer].id, printer))
        .collect();
    positions.sort_unstable();
    positions.into_iter().map(|(at, _, printer)| find_next_copy(context, progress, plan, printer, at)).collect()
}

fn find_next_copy(
    context: &PlanContext<'_>,
    progress: &mut [OrderProgress],
    plan: &Plan,
    position: usize,
    at: DateTime<Utc>,
) -> NextCopy {
    let printer = &context.input.printers[position];
    let current = plan.assignments.iter().find(|assignment| assignment.printer == printer.id);
    if let Some(current) = current.map(|assignment| assignment.order).or(printer.active_order)
        && let Some(order) = context.input.orders.iter().position(|order| order.id == current)
    {
        progress[order].ended += 1;
    }
    let refused = count_refused(context, progress, position, at);
    let staff = context.staff(position);
    let rank = context.rank_context(staff, at);
    let (mut best, mut could_take) = (BestCandidates::default(), 0);
    for index in (0..context.input.orders.len()).filter(|index| context.is_open(*index, progress, at)) {
        if !context.class(index).matching.contains(position) {
            continue;
        }
        let Ok(file) = context.gate(index, progress).check(position, printer.id) else { continue };
        let order = &context.input.orders[index];
        could_take += 1;
        let value = rank.score(order, context.print_time_s(order, file)).value;
        best.add(Candidate { value, order: index, file }, &context.input.orders);
    }
    let takes = context.take(position, &best.into_inner(), at, progress);
    NextCopy { printer: printer.id, at, takes, could_take, refused }
}

/// Returns when a printer is expected to be ready for another copy. States without an expected end are over now.
fn find_ready_time(context: &PlanContext<'_>, plan: &Plan, position: usize) -> DateTime<Utc> {
    let printer = &context.input.printers[position];
    if let Some(assignment) = plan.assignments.iter().find(|assignment| assignment.printer == printer.id) {
        let plate_s = i64::try_from(assignment.why.plate_time_s).unwrap_or(i64::MAX);
        return add_seconds(context.now, plate_s);
    }
    let rank = context.rank_context(context.staff(position), context.now);
    let mean_s = i64::try_from(rank.mean_print_time_s).unwrap_or(i64::MAX);
    let end = match printer.activity {
        Activity::Busy { until: Some(until) } => until.max(context.now),
        Activity::Busy { until: None } | Activity::Starting | Activity::Uploading => add_seconds(context.now, mean_s),
        Activity::Idle { .. } | Activity::Transferring | Activity::StartUnknown => {
            if printer.plate == PlanPlate::Clear {
                return context.now;
            }
            context.now
        }
    };
    DateTime::from_timestamp(rank.plate_free_at(end.timestamp()), 0).unwrap_or(end)
}

fn add_seconds(at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    TimeDelta::try_seconds(seconds).and_then(|delta| at.checked_add_signed(delta)).unwrap_or(at)
}
