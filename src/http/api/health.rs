//! Liveness, readiness by part, and metrics.

use std::{collections::BTreeMap, fmt::Write};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    health_parts::HealthParts,
    middleware::authentication::Viewer,
    problem::{Problem, ProblemBody},
};
use crate::{
    http::dashboard::notice::notice_text,
    service::{Services, background::TaskStatus},
};

/// Routes that need no token.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_health)).routes(routes!(get_readiness))
}

/// The route that needs a token.
pub fn metrics_routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_metrics))
}

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthBody {
    status: &'static str,
}

/// Reports that the process is alive.
///
/// It checks nothing else. Use it to decide whether to restart the server.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses((status = OK, body = HealthBody)))]
async fn get_health() -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// All parts of the server work.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadinessBody {
    status: &'static str,
    parts: HealthParts,
}

/// Reports whether all parts of the server work.
///
/// Use it to decide whether to route requests to this server. It does not query the database, so it responds at once
/// even if the database does not.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()), responses(
    (status = OK, body = ReadinessBody),
    (status = SERVICE_UNAVAILABLE, description = "`not_ready`, with `parts`", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn get_readiness(State(services): State<Services>) -> Result<Json<ReadinessBody>, Problem> {
    let health = services.health();
    let notice = health.notice();
    let parts = HealthParts::from(health);
    match notice {
        None => Ok(Json(ReadinessBody { status: "ready", parts })),
        Some(notice) => Err(Problem::not_ready(notice_text(notice), parts)),
    }
}

/// Returns gauges and counters for Prometheus.
///
/// The metrics cover the whole farm, so a token that is limited by tags is refused.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = OK, description = "Prometheus text format", content_type = "text/plain", body = String),
))]
async fn get_metrics(who: Viewer, State(services): State<Services>) -> Result<Response, Problem> {
    who.0.require_whole_farm()?;
    let mut reachability: BTreeMap<&str, usize> = BTreeMap::new();
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for live in services.live_printers() {
        *reachability.entry(live.reachability.as_str()).or_default() += 1;
        *states.entry(live.state.as_str()).or_default() += 1;
    }
    let mut text = String::new();
    write_gauge(&mut text, "printyard_printers", "Printers by reachability.", "reachability", &reachability);
    write_gauge(&mut text, "printyard_printer_states", "Printers by state.", "state", &states);
    let health = services.health();
    let write_age = health.database.write_age.as_secs_f64();
    let health = HealthParts::from(health);
    let ready = health.part_statuses().map(|(part, ok)| (part, usize::from(ok))).into();
    write_gauge(&mut text, "printyard_ready", "Whether each part of the server works.", "part", &ready);
    let (behind, epoch) = (health.recorder.behind, health.sending.epoch);
    let open = services.dispatcher().open_batches();
    let unrecorded = services.dispatcher().unrecorded();
    let tick_age = services.dispatcher().silent_for().as_secs_f64();
    let hashed = services.passwords_hashed();
    let attempts = services
        .webhook_attempts()
        .map(|(result, count)| format!("printyard_webhook_attempts_total{{result=\"{result}\"}} {count}\n"));
    let attempts = attempts.concat();
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        "# HELP printyard_database_write_age_seconds Since the last successful write of the row that readiness reports.\n\
         # TYPE printyard_database_write_age_seconds gauge\nprintyard_database_write_age_seconds {write_age}\n\
         # HELP printyard_recorder_behind Observations of prints that are not stored yet.\n\
         # TYPE printyard_recorder_behind gauge\nprintyard_recorder_behind {behind}\n\
         # HELP printyard_epoch Counts the servers that have taken over the farm.\n\
         # TYPE printyard_epoch gauge\nprintyard_epoch {epoch}\n\
         # HELP printyard_open_batches Batches that have not ended.\n# TYPE printyard_open_batches gauge\n\
         printyard_open_batches {open}\n\
         # HELP printyard_unrecorded_commands Commands whose end the database refuses to record.\n\
         # TYPE printyard_unrecorded_commands gauge\nprintyard_unrecorded_commands {unrecorded}\n\
         # HELP printyard_dispatcher_tick_age_seconds Seconds since the last tick of the dispatcher.\n\
         # TYPE printyard_dispatcher_tick_age_seconds gauge\nprintyard_dispatcher_tick_age_seconds {tick_age}\n\
         # HELP printyard_password_hashings_total Passwords hashed or verified since the start.\n\
         # TYPE printyard_password_hashings_total counter\nprintyard_password_hashings_total {hashed}\n\
         # HELP printyard_webhook_attempts_total Attempts to deliver to webhooks since the start, by result.\n\
         # TYPE printyard_webhook_attempts_total counter\n{attempts}"
    );
    write_task_metrics(&mut text, &services.background().status());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn write_gauge(text: &mut String, name: &str, help: &str, label: &str, values: &BTreeMap<&str, usize>) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (value, count) in values {
        let _ = writeln!(text, "{name}{{{label}=\"{value}\"}} {count}");
    }
}

/// Writes the metrics of the periodic tasks. A task without a success or without a count has no line for it.
fn write_task_metrics(text: &mut String, tasks: &[TaskStatus]) {
    let success = |task: &TaskStatus| task.last_success_at.map(|at| at.timestamp().to_string());
    let failures = |task: &TaskStatus| Some(task.failures.to_string());
    let behind = |task: &TaskStatus| task.behind.map(|behind| behind.to_string());
    write_task_gauge(text, "last_success_timestamp_seconds", "When a periodic task succeeded last.", tasks, success);
    write_task_gauge(text, "failures", "Runs of a periodic task that failed since it succeeded last.", tasks, failures);
    write_task_gauge(text, "behind", "Items that wait for a periodic task.", tasks, behind);
}

fn write_task_gauge(
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
