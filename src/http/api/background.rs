//! Status of the periodic tasks.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{middleware::authentication::Viewer, problem::Problem, request::extract::NoQuery};
use crate::service::{Services, background::TaskStatus};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_background_tasks))
}

/// The periodic tasks of the server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackgroundTasks, example = json!({"items": [{
    "name": "event_retention", "period_s": 3600, "last_run_at": "2026-12-03T10:15:00Z",
    "last_success_at": "2026-12-03T09:15:00Z", "last_error": "database_unavailable", "failures": 1, "behind": null,
}]}))]
struct BackgroundTasksBody {
    items: Vec<BackgroundTaskBody>,
}

/// A periodic task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackgroundTask)]
struct BackgroundTaskBody {
    name: &'static str,
    /// Longest time between two runs.
    period_s: u64,
    /// Start of the last run.
    last_run_at: Option<DateTime<Utc>>,
    last_success_at: Option<DateTime<Utc>>,
    /// Why the last run failed: a code, or a code, a colon and a sentence. Null: the last run succeeded, or there was
    /// none.
    last_error: Option<String>,
    /// Runs that failed since the last success. Retries wait longer each time, five minutes at most.
    failures: u32,
    /// Items that wait for this task. Null: the task does not count them.
    behind: Option<u64>,
}

impl From<TaskStatus> for BackgroundTaskBody {
    fn from(status: TaskStatus) -> Self {
        Self {
            name: status.name,
            period_s: status.period.as_secs(),
            last_run_at: status.last_run_at,
            last_success_at: status.last_success_at,
            last_error: status.last_error,
            failures: status.failures,
            behind: status.behind,
        }
    }
}

/// Lists the periodic tasks of the server with their status.
///
/// The tasks concern the whole farm, so a token that is limited by tags is refused.
#[utoipa::path(get, path = "/background", tag = "operations", responses((status = OK, body = BackgroundTasksBody)))]
async fn list_background_tasks(
    who: Viewer,
    _: NoQuery,
    State(services): State<Services>,
) -> Result<Json<BackgroundTasksBody>, Problem> {
    who.0.require_whole_farm()?;
    let items = services.background().status().into_iter().map(BackgroundTaskBody::from).collect();
    Ok(Json(BackgroundTasksBody { items }))
}
