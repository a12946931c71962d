//! The plan: why orders wait, why printers are idle, the switch, and what people have to do.

use std::collections::HashSet;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    middleware::authentication::{Operator, Viewer},
    problem::Problem,
    request::extract::{NoQuery, OptionalJsonBody, PathId},
};
use crate::{
    domain::{
        attention::AttentionReason,
        copy::{Copy, CopyState},
        planner::{Assignment, IdleReason, NextCopy, PlanSwitch, WaitingReason, Why},
    },
    service::{
        Services,
        tasks::{Task, TaskKind},
    },
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(get_plan))
        .routes(routes!(get_printer_plan))
        .routes(routes!(stop_plan))
        .routes(routes!(resume_plan))
        .routes(routes!(get_plan_state))
        .routes(routes!(list_tasks))
}

/// The switch of the planner.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanState, example = json!({"state": "running", "reason": null, "since": null, "by": null}))]
struct PlanStateBody {
    state: PlanStateName,
    reason: Option<String>,
    since: Option<DateTime<Utc>>,
    by: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PlanStateName {
    /// Copies are assigned.
    Running,
    /// Nothing is assigned.
    Stopped,
}

impl From<PlanSwitch> for PlanStateBody {
    fn from(switch: PlanSwitch) -> Self {
        let PlanSwitch { is_stopped, reason, since, by } = switch;
        Self { state: if is_stopped { PlanStateName::Stopped } else { PlanStateName::Running }, reason, since, by }
    }
}

/// Why the switch is used.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanSwitchRequest, example = json!({"reason": "fire alarm"}))]
struct PlanSwitchBody {
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// A copy that a printer makes now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlannedCopy)]
struct PlannedCopyBody {
    copy_id: Uuid,
    order_id: Uuid,
    printer_id: Uuid,
    state: CopyState,
    parts: u32,
}

impl From<Copy> for PlannedCopyBody {
    fn from(copy: Copy) -> Self {
        let Copy { id, order_id, printer_id, state, parts, .. } = copy;
        Self { copy_id: id, order_id, printer_id, state, parts }
    }
}

/// An order that waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitingOrder)]
struct WaitingOrderBody {
    order_id: Uuid,
    reasons: Vec<WaitingReason>,
}

/// A printer that gets no copy now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdlePrinter)]
struct IdlePrinterBody {
    printer_id: Uuid,
    reasons: Vec<IdleReason>,
}

/// The plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan, example = json!({
    "made_at": "2026-12-02T10:15:00Z", "switch": {"state": "running", "reason": null, "since": null, "by": null},
    "assignments": [{"copy_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f410", "order_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f409", "printer_id": "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11", "state": "printing", "parts": 4}],
    "waiting": [{"order_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f409", "reasons": [{"code": "busy", "printers": 12, "detail": null, "until": null}]}],
    "why_idle": [{"printer_id": "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11", "reasons": [{"code": "plate_not_clear", "orders": 0, "until": null}]}],
}))]
struct PlanBody {
    /// When the plan was made. Null: not yet since the start of the server.
    made_at: Option<DateTime<Utc>>,
    switch: PlanStateBody,
    /// Copies that are assigned, uploading, starting or printing.
    assignments: Vec<PlannedCopyBody>,
    waiting: Vec<WaitingOrderBody>,
    why_idle: Vec<IdlePrinterBody>,
}

/// A copy that a printer takes next.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NextCopy)]
struct NextCopyBody {
    order_id: Uuid,
    parts: u32,
    /// When the printer is expected to be ready.
    at: DateTime<Utc>,
    why: Why,
}

/// The plan of one printer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PrinterPlan, example = json!({
    "printer_id": "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11", "current": null, "reasons": [{"code": "plate_not_clear", "orders": 0, "until": null}],
    "next": {"order_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f409", "parts": 4, "at": "2026-12-02T10:15:00Z", "why": {"rule": "highest_score", "due_at": "2026-12-03T16:00:00Z", "is_due_assumed": false, "score": -8.4, "weight": 1.0, "print_time_s": 3723, "is_print_time_known": true, "plate_time_s": 4323, "slack_s": 86400, "mean_print_time_s": 5400, "beaten": [{"order_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f411", "score": -9.1}]}},
    "could_take": 3, "refused": [{"code": "material", "orders": 2, "until": null}],
}))]
struct PrinterPlanBody {
    printer_id: Uuid,
    /// The copy that it makes now.
    current: Option<PlannedCopyBody>,
    /// Why it gets no copy now.
    reasons: Vec<IdleReason>,
    /// What it takes next, if nothing changes until then.
    next: Option<NextCopyBody>,
    /// Waiting orders that it could take next.
    could_take: u32,
    /// Waiting orders that it could not take, by reason.
    refused: Vec<IdleReason>,
}

impl NextCopyBody {
    fn new(next: &NextCopy, takes: &Assignment) -> Self {
        Self { order_id: takes.order, parts: takes.parts, at: next.at, why: takes.why.clone() }
    }
}

/// Something that a person has to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
struct TaskBody {
    kind: TaskKind,
    printer_id: Option<Uuid>,
    printer_name: Option<String>,
    order_id: Option<Uuid>,
    /// Title or reference of the order.
    order: Option<String>,
    /// The copy to be judged.
    copy_id: Option<Uuid>,
    /// The print on the plate.
    print_id: Option<Uuid>,
    /// The material or the colour to be loaded.
    material: Option<String>,
    reason: Option<AttentionReason>,
    since: Option<DateTime<Utc>>,
}

impl From<Task> for TaskBody {
    fn from(task: Task) -> Self {
        Self {
            kind: task.kind,
            printer_id: task.printer_id,
            printer_name: task.printer_name,
            order_id: task.order_id,
            order: task.order_label,
            copy_id: task.copy_id,
            print_id: task.print_id,
            material: task.detail,
            reason: task.attention,
            since: task.since,
        }
    }
}

/// Tasks, the most urgent first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tasks, example = json!({"items": [{
    "kind": "clear_plate", "printer_id": "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11", "printer_name": "MK4-017", "order_id": null, "order": null, "copy_id": null,
    "print_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f406", "material": null, "reason": null, "since": "2026-12-02T10:15:00Z",
}]}))]
struct TasksBody {
    items: Vec<TaskBody>,
}

/// Returns the plan.
///
/// The copies that run, why orders wait, and why printers are idle. A principal with a tag limit sees its printers and orders.
#[utoipa::path(get, path = "/plan", tag = "production", responses((status = OK, body = PlanBody)))]
async fn get_plan(who: Viewer, _: NoQuery, State(services): State<Services>) -> Result<Json<PlanBody>, Problem> {
    let switch = services.plan_switch().await?.into();
    let assignments = services.active_copies(&who.0).await?.into_iter().map(PlannedCopyBody::from).collect();
    let Some(view) = services.latest_plan() else {
        let (waiting, why_idle) = (Vec::new(), Vec::new());
        return Ok(Json(PlanBody { made_at: None, switch, assignments, waiting, why_idle }));
    };
    let printers: HashSet<Uuid> = services.all_printers(&who.0).await?.iter().map(|one| one.printer.id).collect();
    let orders = services.visible_orders(&who.0, view.plan.waiting.iter().map(|one| one.order)).await?;
    let waiting = view.plan.waiting.iter().filter(|one| orders.contains(&one.order));
    let idle = view.plan.idle.iter().filter(|one| printers.contains(&one.printer));
    Ok(Json(PlanBody {
        made_at: Some(view.made_at),
        switch,
        assignments,
        waiting: waiting.map(|one| WaitingOrderBody { order_id: one.order, reasons: one.reasons.to_vec() }).collect(),
        why_idle: idle.map(|one| IdlePrinterBody { printer_id: one.printer, reasons: one.reasons.clone() }).collect(),
    }))
}

/// Returns the plan of one printer.
///
/// Why it waits, what it could take, and what it takes next.
#[utoipa::path(get, path = "/plan/printers/{id}", tag = "production", params(("id" = Uuid, Path)),
    responses((status = OK, body = PrinterPlanBody)))]
async fn get_printer_plan(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<PrinterPlanBody>, Problem> {
    services.printer(&who.0, id).await?;
    let active = services.active_copies(&who.0).await?;
    let current = active.into_iter().find(|copy| copy.printer_id == id).map(PlannedCopyBody::from);
    let Some(view) = services.latest_plan() else {
        let (reasons, refused) = (Vec::new(), Vec::new());
        return Ok(Json(PrinterPlanBody { printer_id: id, current, reasons, next: None, could_take: 0, refused }));
    };
    let next = services.plan_next(&view, id);
    let taken = next.as_ref().and_then(|next| Some((next, next.takes.as_ref()?)));
    let visible = services.visible_orders(&who.0, taken.iter().map(|(_, takes)| takes.order)).await?;
    let next_body = taken.filter(|(_, takes)| visible.contains(&takes.order));
    Ok(Json(PrinterPlanBody {
        printer_id: id,
        current,
        reasons: view.plan.idle_reasons(id).to_vec(),
        next: next_body.map(|(next, takes)| NextCopyBody::new(next, takes)),
        could_take: next.as_ref().map_or(0, |next| next.could_take),
        refused: next.map_or_else(Vec::new, |next| next.refused),
    }))
}

/// Stops assigning for the whole farm.
///
/// Prints go on. Starts that were not sent are withdrawn. A principal with a tag limit is refused.
#[utoipa::path(post, path = "/plan/stop", tag = "production", request_body = PlanSwitchBody,
    responses((status = OK, body = PlanStateBody)))]
async fn stop_plan(
    who: Operator,
    _: NoQuery,
    State(services): State<Services>,
    OptionalJsonBody(body): OptionalJsonBody<PlanSwitchBody>,
) -> Result<Json<PlanStateBody>, Problem> {
    Ok(Json(services.set_plan_switch(&who.0, true, body.reason).await?.into()))
}

/// Resumes assigning.
///
/// A principal with a tag limit is refused.
#[utoipa::path(post, path = "/plan/go", tag = "production", request_body = PlanSwitchBody,
    responses((status = OK, body = PlanStateBody)))]
async fn resume_plan(
    who: Operator,
    _: NoQuery,
    State(services): State<Services>,
    OptionalJsonBody(body): OptionalJsonBody<PlanSwitchBody>,
) -> Result<Json<PlanStateBody>, Problem> {
    Ok(Json(services.set_plan_switch(&who.0, false, body.reason).await?.into()))
}

/// Returns the switch of the planner.
///
/// Whether copies are assigned, and who used the switch last.
#[utoipa::path(get, path = "/plan/state", tag = "production", responses((status = OK, body = PlanStateBody)))]
async fn get_plan_state(
    _: Viewer,
    _: NoQuery,
    State(services): State<Services>,
) -> Result<Json<PlanStateBody>, Problem> {
    Ok(Json(services.plan_switch().await?.into()))
}

/// Lists what people have to do, the most urgent first.
///
/// Printers to look at, plates to clear, material to load, and prints to judge.
#[utoipa::path(get, path = "/tasks", tag = "production", responses((status = OK, body = TasksBody)))]
async fn list_tasks(who: Viewer, _: NoQuery, State(services): State<Services>) -> Result<Json<TasksBody>, Problem> {
    let items = services.list_tasks(&who.0).await?.into_iter().map(TaskBody::from).collect();
    Ok(Json(TasksBody { items }))
}
