//! Whether the server lives and works, for whoever restarts it or draws curves of it.

use std::{collections::BTreeMap, fmt::Write};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    caller::Viewer,
    problem::{Problem, ProblemBody},
};
use crate::service::{Services, background::TaskStatus};

/// Routes that are open to everybody.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_health)).routes(routes!(get_readiness))
}

/// The route that needs a token.
pub fn metrics() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_metrics))
}

/// All is well.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthBody {
    status: &'static str,
}

/// Says that the process lives.
///
/// It asks nothing else: use it to decide on a restart.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses((status = OK, body = HealthBody)))]
async fn get_health() -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// Says whether the database and the dispatcher work.
///
/// Use it to decide whether requests are to be sent here.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()), responses(
    (status = OK, body = HealthBody),
    (status = SERVICE_UNAVAILABLE, description = "`not_ready`", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn get_readiness(State(services): State<Services>) -> Result<Json<HealthBody>, Problem> {
    match services.ready().await {
        Ok(()) => Ok(Json(HealthBody { status: "ready" })),
        Err(what) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", format!("Not ready: {what}."))),
    }
}

/// Gauges and counters for Prometheus.
///
/// They are of the whole farm, so a token that is limited by tags is refused.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = OK, description = "Prometheus text format", content_type = "text/plain", body = String),
))]
async fn get_metrics(who: Viewer, State(services): State<Services>) -> Result<Response, Problem> {
    who.0.require_whole_farm()?;
    let mut reachability: BTreeMap<&str, usize> = BTreeMap::new();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for live in services.fleet().view().all() {
        *reachability.entry(live.reachability.as_str()).or_default() += 1;
        *states.entry(live.state.as_str()).or_default() += 1;
    }
    let mut text = String::new();
    gauge(&mut text, "printyard_printers", "Printers by reachability.", "reachability", &reachability);
    gauge(&mut text, "printyard_printer_states", "Printers by state.", "state", &states);
    let open = services.dispatch().open_batches();
    let silence = services.dispatch().silent_for().as_secs_f64();
    let hashed = services.passwords_hashed();
    let attempts = services
        .webhook_attempts()
        .map(|(result, count)| format!("printyard_webhook_attempts_total{{result=\"{result}\"}} {count}\n"));
    let attempts = attempts.concat();
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "# HELP printyard_open_batches Batches that have not ended.\n# TYPE printyard_open_batches gauge\n\
         printyard_open_batches {open}\n\
         # HELP printyard_dispatcher_silence_seconds Since the dispatcher looked around last.\n\
         # TYPE printyard_dispatcher_silence_seconds gauge\nprintyard_dispatcher_silence_seconds {silence}\n\
         # HELP printyard_password_hashings_total Passwords hashed or verified since the start.\n\
         # TYPE printyard_password_hashings_total counter\nprintyard_password_hashings_total {hashed}\n\
         # HELP printyard_webhook_attempts_total Attempts to deliver to webhooks since the start, by result.\n\
         # TYPE printyard_webhook_attempts_total counter\n{attempts}"
    );
    background(&mut text, &services.background().status());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn gauge(text: &mut String, name: &str, help: &str, label: &str, values: &BTreeMap<&str, usize>) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (value, count) in values {
        let _ = writeln!(text, "{name}{{{label}=\"{value}\"}} {count}");
    }
}

/// The periodic tasks. A task that has not succeeded yet, or that counts nothing, has no line.
fn background(text: &mut String, tasks: &[TaskStatus]) {
    let success = |task: &TaskStatus| task.last_success_at.map(|at| at.timestamp().to_string());
    let failures = |task: &TaskStatus| Some(task.failures.to_string());
    let behind = |task: &TaskStatus| task.behind.map(|behind| behind.to_string());
    per_task(text, "last_success_timestamp_seconds", "When a periodic task succeeded last.", tasks, success);
    per_task(text, "failures", "Runs of a periodic task that failed since it succeeded last.", tasks, failures);
    per_task(text, "behind", "Items that wait for a periodic task.", tasks, behind);
}

fn per_task(
    text: &mut String,
    name: &str,
    help: &str,
    tasks: &[TaskStatus],
    value: impl Fn(&TaskStatus) -> Option<String>,
) {
    let name = format!("printyard_background_{name}");
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for task in tasks {
        if let Some(value) = value(task) {
            let _ = writeln!(text, "{name}{{task=\"{}\"}} {value}", task.name);
        }
    }
}
