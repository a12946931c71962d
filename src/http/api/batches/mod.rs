//! Batches in the API: one command to many printers.

pub(super) mod emergency_stop;
pub(super) mod request_body;
pub(super) mod response_body;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{
    request_body::{NewBatchBody, RetryBatchBody},
    response_body::{BatchBody, BatchSummaryBody, COMMANDS_LIST, CommandBody},
};
use super::{
    list::{
        export,
        page::{self, Page, RawPage},
    },
    middleware::authentication::{Operator, Viewer},
    openapi::value_names,
    problem::{Problem, ProblemBody},
    request::{
        extract::{JsonBody, NoQuery, PathId, QueryParams},
        prefer::WaitPreference,
    },
};
use crate::{
    domain::{
        batch::{BatchFilter, BatchOrigin, BatchState},
        command::{Command, Effect, Outcome},
    },
    service::{
        Error, Services,
        batches::{BatchView, CreateBatchResult},
    },
};

const LIST: &str = "batches";
/// `Retry-After`, in seconds, while a batch has not ended.
const RETRY_AFTER_S: u32 = 1;

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_batches, create_batch))
        .routes(routes!(get_batch))
        .routes(routes!(list_batch_commands))
        .routes(routes!(stop_batch))
        .routes(routes!(retry_batch))
}

/// Sends one command to many printers.
///
/// The printers are selected once. Nothing is sent before the batch is stored. Without `Prefer` the response is sent at
/// once. With `Prefer: wait=n` it is sent when every command has ended, or after n seconds (at most 30).
#[utoipa::path(post, path = "/batches", tag = "batches", params(super::openapi::PreferWait),
    request_body = NewBatchBody, responses(
    (status = OK, description = "The result of a dry run", body = BatchBody),
    (status = ACCEPTED, description = "The batch is stored, and not every command has ended", body = BatchBody, headers(
        ("Location", description = "Path of the batch."), ("Retry-After", description = "Seconds."),
    )),
    (status = MULTI_STATUS, description = "Every command has ended: each row has its own outcome", body = BatchBody),
    (status = CONFLICT, description = "`selection_changed`, with `total`; `too_many_scheduled`: a user or token may have 100 scheduled batches", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = UNPROCESSABLE_ENTITY, description = "`nothing_selected`, `duplicate_target`"),
    (status = SERVICE_UNAVAILABLE, description = "`busy`: too many batches have not ended"),
))]
async fn create_batch(
    who: Operator,
    _: NoQuery,
    State(services): State<Services>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<NewBatchBody>,
) -> Result<Response, Problem> {
    let wait = WaitPreference::from_headers(&headers);
    match services.create_batch(&who.0, body.into_new_batch()?).await? {
        CreateBatchResult::DryRun { spec, rows } => {
            Ok(Json(BatchBody::from_dry_run(who.0.name, spec, rows)).into_response())
        }
        CreateBatchResult::Batch(view) => {
            let view = match wait {
                None => view,
                Some(wait) => services.await_batch(&who.0, view.batch.id, wait.duration()).await?,
            };
            let ended = wait.is_some() && view.is_final();
            Ok(respond_with_batch(view, ended, wait))
        }
    }
}

/// Lists batches, newest first, without their commands.
///
/// `GET /batches/{id}` returns the commands of a batch.
#[utoipa::path(get, path = "/batches", tag = "batches", params(
    ("state" = Option<BatchState>, Query, description = "Only batches in this state."),
    ("command" = Option<Command>, Query, description = "Only batches of this command."),
    ("origin" = inline(Option<BatchOrigin>), Query, description = "`planner`: only starts of copies, which the list leaves out otherwise."),
    ("external_ref" = Option<String>, Query, description = "Only batches with this reference."),
    ("since" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Only batches created at this time or later."),
    super::openapi::Paging,
), responses((status = OK, content(
    (Page<BatchSummaryBody> = "application/json"), (BatchSummaryBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_batches(
    who: Viewer,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let filter = BatchFilter {
        state: params.enum_value("state", BatchState::parse, &value_names(BatchState::ALL, BatchState::as_str)),
        command: params.enum_value("command", Command::parse, &value_names(Command::ALL, Command::as_str)),
        external_ref: params.client_reference("external_ref"),
        origin: params.enum_value("origin", BatchOrigin::parse, &value_names(BatchOrigin::ALL, BatchOrigin::as_str)),
        created_by: None,
        since: params.time("since"),
        visible_tags: None,
    };
    let request = params.list_request::<Uuid>(LIST);
    params.finish()?;
    let page = move |after, limit| {
        let (services, who, filter) = (services.clone(), who.0.clone(), filter.clone());
        async move {
            let found = services.list_batches(&who, filter, after, page::limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, |(batch, _)| batch.id, BatchSummaryBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Reads a batch with its first 500 commands.
///
/// `Prefer: wait=n` waits until the batch ends, or for n seconds (at most 30). Poll until `finished_at` is set. Then
/// `result` summarises the batch in one word.
#[utoipa::path(get, path = "/batches/{id}", tag = "batches", params(("id" = Uuid, Path), super::openapi::PreferWait),
    responses((status = OK, body = BatchBody)))]
async fn get_batch(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(wait) = WaitPreference::from_headers(&headers) else {
        return Ok(Json(BatchBody::from(services.batch(&who.0, id).await?)).into_response());
    };
    services.batch(&who.0, id).await?;
    let view = services.await_batch(&who.0, id, wait.duration()).await?;
    let mut response = Json(BatchBody::from(view)).into_response();
    wait.write_applied(response.headers_mut());
    Ok(response)
}

/// Lists the commands of a batch, in the order of the batch.
///
/// The list has exactly one row per printer. `final` is true when the outcome does not change any more. `effect` says
/// whether the printer did what the command asked.
#[utoipa::path(get, path = "/batches/{id}/commands", tag = "batches", params(
    ("id" = Uuid, Path),
    ("outcome" = Option<String>, Query, description = "Only commands with one of these outcomes, separated by commas."),
    ("effect" = Option<String>, Query, description = "Only commands with one of these effects (`done`, `none`, `maybe`), separated by commas."),
    super::openapi::Paging,
), responses((status = OK, content(
    (Page<CommandBody> = "application/json"), (CommandBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_batch_commands(
    who: Viewer,
    mut params: QueryParams,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let outcomes = params.enum_values("outcome", Outcome::parse, &value_names(Outcome::ALL, Outcome::as_str));
    let effects = params.enum_values("effect", Effect::parse, &value_names(Effect::ALL, Effect::as_str));
    let request = params.list_request::<i64>(COMMANDS_LIST);
    params.finish()?;
    let outcomes = combine_filters(outcomes, effects);
    let page = move |after, limit| {
        let (services, who, outcomes) = (services.clone(), who.0.clone(), outcomes.clone());
        async move {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let (rows, next) = services.list_batch_commands(&who, id, after, limit, outcomes.as_deref()).await?;
            Ok(RawPage { items: rows.into_iter().map(CommandBody::from).collect(), next })
        }
    };
    export::respond_with_list(COMMANDS_LIST, request, page).await
}

/// Returns the outcomes that pass both filters, or `None` without a filter.
fn combine_filters(outcomes: Option<Vec<Outcome>>, effects: Option<Vec<Effect>>) -> Option<Vec<Outcome>> {
    if outcomes.is_none() && effects.is_none() {
        return None;
    }
    let mut all = outcomes.unwrap_or_else(|| Outcome::ALL.to_vec());
    if let Some(effects) = effects {
        all.retain(|outcome| outcome.effect().is_some_and(|effect| effects.contains(&effect)));
    }
    Some(all)
}

/// Stops a batch.
///
/// Commands that were not sent are skipped at once. Commands that were sent run to their end, so `finished_at` may be
/// set later.
#[utoipa::path(post, path = "/batches/{id}/stop", tag = "batches", params(("id" = Uuid, Path)),
    responses((status = OK, body = BatchBody)))]
async fn stop_batch(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<BatchBody>, Problem> {
    Ok(Json(services.stop_batch(&who.0, id).await?.into()))
}

/// Retries the commands of a finished batch that ended with the given outcomes.
///
/// Creates a new batch with the limits and guards of the old one. A toggle is retried as the command that it was
/// resolved to. To retry starts, restarts and emergency stops with an unknown effect, check the printers and set
/// `operator_checked`.
#[utoipa::path(post, path = "/batches/{id}/retry", tag = "batches",
    params(("id" = Uuid, Path), super::openapi::PreferWait), request_body = RetryBatchBody, responses(
    (status = ACCEPTED, description = "The batch is stored, and not every command has ended", body = BatchBody, headers(
        ("Location", description = "Path of the new batch."), ("Retry-After", description = "Seconds."),
    )),
    (status = MULTI_STATUS, description = "Every command has ended", body = BatchBody),
    (status = CONFLICT, description = "`batch_not_finished`, `needs_operator_check`", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = UNPROCESSABLE_ENTITY, description = "`nothing_selected`: no command has one of these outcomes"),
    (status = SERVICE_UNAVAILABLE, description = "`busy`: too many batches have not ended"),
))]
async fn retry_batch(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<RetryBatchBody>,
) -> Result<Response, Problem> {
    let wait = WaitPreference::from_headers(&headers);
    let mut view = services.retry_batch(&who.0, id, body.into()).await?;
    if let Some(wait) = wait {
        view = services.await_batch(&who.0, view.batch.id, wait.duration()).await?;
    }
    let ended = wait.is_some() && view.is_final();
    Ok(respond_with_batch(view, ended, wait))
}

/// Returns the response to a request that created a batch: 207 if `ended`, else 202.
pub fn respond_with_batch(view: BatchView, ended: bool, wait: Option<WaitPreference>) -> Response {
    let location = batch_path(&view);
    let body = Json(BatchBody::from(view));
    let mut response = if ended {
        (StatusCode::MULTI_STATUS, [(header::LOCATION, location)], body).into_response()
    } else {
        let headers = [(header::LOCATION, location), (header::RETRY_AFTER, RETRY_AFTER_S.to_string())];
        (StatusCode::ACCEPTED, headers, body).into_response()
    };
    if let Some(wait) = wait {
        wait.write_applied(response.headers_mut());
    }
    response
}

/// Returns the URL path of a batch.
pub fn batch_path(view: &BatchView) -> String {
    format!("/api/v1/batches/{}", view.batch.id)
}

/// Returns the error for a batch of one printer that has no row. Only a defect can cause it.
pub fn missing_row_error() -> Problem {
    Error::Internal("a batch of one printer has no row".to_owned()).into()
}
