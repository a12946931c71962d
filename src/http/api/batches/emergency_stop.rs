//! Emergency stops in the API: `M112` to one printer or to a selection.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{request_body::SelectorBody, respond_with_batch, response_body::BatchBody};
use crate::{
    domain::batch::{Selector, Target},
    http::api::{
        middleware::authentication::Operator,
        problem::Problem,
        request::{
            extract::{JsonBody, NoQuery, OptionalJsonBody, PathId},
            json::JsonObject,
            prefer::WaitPreference,
        },
    },
    service::{Services, batches::BatchView},
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(emergency_stop_printers)).routes(routes!(emergency_stop_printer))
}

/// An emergency stop of several printers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEmergencyStop, example = json!({"select": {"tags_all": ["hall-a"]}, "reason": "smoke"}))]
struct EmergencyStopBody {
    /// The printers. `expected_job` and `file` are not allowed.
    #[schema(value_type = SelectorBody)]
    select: JsonObject<SelectorBody>,
    /// A note for people and for the log.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// An emergency stop of one printer.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PrinterEmergencyStop, example = json!({"reason": "smoke"}))]
struct PrinterEmergencyStopBody {
    /// A note for people and for the log.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Stops motors and heaters of many printers at once (`M112`).
///
/// Prints cannot be continued, and each printer must be connected again (`connect`). The stop goes ahead of every other
/// command, also while another command is in flight. It withdraws the unsent commands of its printers. It checks neither
/// job nor plate, and it is never sent a second time. It is stored as a batch with the command `emergency_stop`.
///
/// `confirmed`: OctoPrint was connected to the printer and now reports an error or a closed connection. A printer that
/// is not connected is `rejected` as `not_operational`, because OctoPrint cannot reach it: **it may still heat**.
#[utoipa::path(post, path = "/emergency-stop", tag = "batches", params(crate::http::api::openapi::PreferWait),
    request_body = EmergencyStopBody, responses(
    (status = ACCEPTED, description = "The stop is stored, and not every command has ended", body = BatchBody, headers(
        ("Location", description = "Path of the batch."), ("Retry-After", description = "Seconds."),
    )),
    (status = MULTI_STATUS, description = "Every command has ended: each row has its own outcome", body = BatchBody),
    (status = UNPROCESSABLE_ENTITY, description = "`nothing_selected`, `duplicate_target`"),
    (status = SERVICE_UNAVAILABLE, description = "`busy`: this user or token has too many emergency stops that have not ended"),
))]
async fn emergency_stop_printers(
    who: Operator,
    _: NoQuery,
    State(services): State<Services>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<EmergencyStopBody>,
) -> Result<Response, Problem> {
    let selector = body.select.0.into_selector()?;
    let view = services.emergency_stop(&who.0, &selector, body.reason).await?;
    respond(&services, &who, view, &headers).await
}

/// Stops motors and heaters of one printer at once (`M112`).
///
/// As `POST /emergency-stop` with this printer alone. The body may be left out. The response is the batch.
#[utoipa::path(post, path = "/printers/{id}/emergency-stop", tag = "batches",
    params(("id" = Uuid, Path), crate::http::api::openapi::PreferWait),
    request_body = PrinterEmergencyStopBody, responses(
    (status = ACCEPTED, description = "The stop is stored, and has not ended", body = BatchBody, headers(
        ("Location", description = "Path of the batch."), ("Retry-After", description = "Seconds."),
    )),
    (status = MULTI_STATUS, description = "The command has ended", body = BatchBody),
    (status = SERVICE_UNAVAILABLE, description = "`busy`: this user or token has too many emergency stops that have not ended"),
))]
async fn emergency_stop_printer(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
    OptionalJsonBody(body): OptionalJsonBody<PrinterEmergencyStopBody>,
) -> Result<Response, Problem> {
    // Here the resource itself is missing, so the response is 404.
    services.check_printer(&who.0, id).await?;
    let selector = Selector::Printers(vec![Target { id, expected_job: None, file: None }]);
    let view = services.emergency_stop(&who.0, &selector, body.reason).await?;
    respond(&services, &who, view, &headers).await
}

async fn respond(
    services: &Services,
    who: &Operator,
    view: BatchView,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let wait = WaitPreference::from_headers(headers);
    let view = match wait {
        None => view,
        Some(wait) => services.await_batch(&who.0, view.batch.id, wait.duration()).await?,
    };
    let ended = wait.is_some() && view.is_final();
    Ok(respond_with_batch(view, ended, wait))
}
