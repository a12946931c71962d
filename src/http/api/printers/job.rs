//! The job of one printer: reads it from the printer, and sends commands as a batch of one.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::body::{JobBody, live_job};
use crate::{
    domain::{reading::JobReading, state::PrinterState},
    http::api::{
        batches::{batch_path, missing_row_error, request_body::JobCommandBody, response_body::CommandBody},
        middleware::authentication::{Operator, Viewer},
        problem::{Problem, ProblemBody},
        request::{
            extract::{JsonBody, NoQuery, PathId},
            prefer::WaitPreference,
        },
    },
    service::{
        Services,
        batches::{BatchView, CreateBatchResult},
        printers::PrinterView,
    },
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_printer_job, command_printer_job))
}

/// The current state and job, read from the printer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobReading)]
struct JobReadingBody {
    state: PrinterState,
    /// State text as OctoPrint reports it.
    state_text: String,
    error: Option<String>,
    job: Option<JobBody>,
}

/// Reads the job from the printer now.
///
/// This request contacts the printer, so use it sparingly. `GET /printers/{id}` returns the last observation.
#[utoipa::path(get, path = "/printers/{id}/job", tag = "job", params(("id" = Uuid, Path)), responses(
    (status = OK, body = JobReadingBody), crate::http::api::openapi::PrinterErrors,
))]
async fn get_printer_job(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<JobReadingBody>, Problem> {
    let (view, reading) = services.read_job(&who.0, id).await?;
    Ok(Json(JobReadingBody {
        state: reading.state,
        state_text: reading.state_text.clone(),
        error: reading.error.clone(),
        job: merge_live_job(&view, reading),
    }))
}

/// Returns the job that was read. Adds the print's id and its origin, which OctoPrint does not know.
fn merge_live_job(view: &PrinterView, reading: JobReading) -> Option<JobBody> {
    if reading.file.is_none() && !reading.state.is_active() {
        return None;
    }
    let path = |file: &Option<crate::domain::reading::JobFile>| file.as_ref().map(|file| file.path.clone());
    let known = live_job(view).filter(|job| reading.state.is_active() && path(&job.file) == path(&reading.file));
    let mut job = JobBody {
        print_id: None,
        file: reading.file,
        user: reading.user,
        estimated_print_time_s: reading.estimated_print_time_s,
        started_by: None,
        paused_by: None,
        stalled_since: None,
        progress: reading.progress,
    };
    if let Some(known) = known {
        job.print_id = known.print_id;
        job.started_by = known.started_by;
        job.paused_by = known.paused_by;
        job.stalled_since = known.stalled_since;
    }
    Some(job)
}

/// Sends a command to one printer.
///
/// The command is a batch of one, and the response is its only row. The status is 200 if the command has ended, else
/// 202 with the path of its batch. `Prefer: wait=n` waits until the command ends.
#[utoipa::path(post, path = "/printers/{id}/job", tag = "job", params(("id" = Uuid, Path), crate::http::api::openapi::PreferWait),
    request_body = JobCommandBody, responses(
    (status = OK, description = "The command has ended, or it was a dry run", body = CommandBody),
    (status = ACCEPTED, description = "The command is stored, and has not ended", body = CommandBody, headers(
        ("Location", description = "Path of the batch."), ("Retry-After", description = "Seconds."),
    )),
    (status = CONFLICT, description = "`selection_changed`", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = SERVICE_UNAVAILABLE, description = "`busy`: too many batches have not ended"),
))]
async fn command_printer_job(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<JobCommandBody>,
) -> Result<Response, Problem> {
    // A batch reports a missing printer as a row with `not_found`. Here the resource itself is missing, so the response
    // is 404.
    services.check_printer(&who.0, id).await?;
    let wait = WaitPreference::from_headers(&headers);
    let mut view = match services.create_batch(&who.0, body.into_new_batch(id)).await? {
        CreateBatchResult::DryRun { spec, rows } => {
            let row = rows.into_iter().next().ok_or_else(missing_row_error)?;
            return Ok(Json(CommandBody::from_dry_run(spec.command, row)).into_response());
        }
        CreateBatchResult::Batch(view) => view,
    };
    if let Some(wait) = wait {
        view = services.await_batch(&who.0, view.batch.id, wait.duration()).await?;
    }
    let ended = view.is_final();
    respond_with_command(view, ended, wait)
}

/// Returns the response to a command to one printer, its only row: 200 if `ended`, else 202.
pub fn respond_with_command(view: BatchView, ended: bool, wait: Option<WaitPreference>) -> Result<Response, Problem> {
    let location = batch_path(&view);
    let row = CommandBody::from(view.commands.into_iter().next().ok_or_else(missing_row_error)?);
    let mut response = if ended {
        Json(row).into_response()
    } else {
        let headers = [(header::LOCATION, location), (header::RETRY_AFTER, "1".to_owned())];
        (StatusCode::ACCEPTED, headers, Json(row)).into_response()
    };
    if let Some(wait) = wait {
        wait.write_applied(response.headers_mut());
    }
    Ok(response)
}
