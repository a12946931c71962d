//! Actions on an order: hold, release, cancel, short-close, adjust.

use axum::{extract::State, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{body::OrderBody, respond_with_order};
use crate::{
    domain::order::{Adjustment, OrderEnd, RunningCopies},
    http::api::{
        middleware::authentication::Operator,
        problem::{Problem, ProblemBody},
        request::extract::{JsonBody, NoQuery, OptionalJsonBody, PathId},
    },
    service::Services,
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(hold_order))
        .routes(routes!(release_order))
        .routes(routes!(cancel_order))
        .routes(routes!(short_close_order))
        .routes(routes!(adjust_order))
}

/// What happens to the copies that run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EndOrder, example = json!({"running": "finish"}))]
struct EndOrderBody {
    /// Absent: `finish`.
    running: Option<RunningCopies>,
}

impl EndOrderBody {
    fn running(&self) -> RunningCopies {
        self.running.unwrap_or(RunningCopies::Finish)
    }
}

/// Parts that were counted by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AdjustOrder, example = json!({"good": -2, "scrap": 2, "reason": "found broken at packing"}))]
struct AdjustOrderBody {
    /// Added to the good parts. Absent: 0.
    #[serde(default)]
    good: i32,
    /// Added to the scrap. Absent: 0.
    #[serde(default)]
    scrap: i32,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Puts an order on hold.
///
/// No further copy is assigned. Running copies continue.
#[utoipa::path(post, path = "/orders/{id}/hold", tag = "orders", params(("id" = Uuid, Path)), responses(
    (status = OK, body = OrderBody),
    (status = CONFLICT, description = "`order_ended`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn hold_order(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    Ok(respond_with_order(services.hold_order(&who.0, id).await?))
}

/// Releases an order that is on hold.
///
/// Failed copies get new attempts.
#[utoipa::path(post, path = "/orders/{id}/release", tag = "orders", params(("id" = Uuid, Path)), responses(
    (status = OK, body = OrderBody),
    (status = CONFLICT, description = "`order_ended`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn release_order(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    Ok(respond_with_order(services.release_order(&who.0, id).await?))
}

/// Cancels an order.
///
/// No further copy is assigned. With `running: cancel`, its prints are cancelled, and starts that were not sent are
/// withdrawn. Send the request again with `cancel` to cancel what still runs.
#[utoipa::path(post, path = "/orders/{id}/cancel", tag = "orders", params(("id" = Uuid, Path)),
    request_body = EndOrderBody, responses(
    (status = OK, body = OrderBody),
    (status = CONFLICT, description = "`order_ended`: it was completed or short-closed", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn cancel_order(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    OptionalJsonBody(body): OptionalJsonBody<EndOrderBody>,
) -> Result<Response, Problem> {
    Ok(respond_with_order(services.end_order(&who.0, id, OrderEnd::Cancelled, body.running()).await?))
}

/// Completes an order with fewer parts than ordered.
///
/// No further copy is assigned. `running` is as for `cancel`.
#[utoipa::path(post, path = "/orders/{id}/short-close", tag = "orders", params(("id" = Uuid, Path)),
    request_body = EndOrderBody, responses(
    (status = OK, body = OrderBody),
    (status = CONFLICT, description = "`order_ended`: it was completed or cancelled", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn short_close_order(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    OptionalJsonBody(body): OptionalJsonBody<EndOrderBody>,
) -> Result<Response, Problem> {
    Ok(respond_with_order(services.end_order(&who.0, id, OrderEnd::ShortClosed, body.running()).await?))
}

/// Adds parts that were counted by hand, or takes parts off.
///
/// Too few good parts reopen a completed order.
#[utoipa::path(post, path = "/orders/{id}/adjust", tag = "orders", params(("id" = Uuid, Path)),
    request_body = AdjustOrderBody, responses((status = OK, body = OrderBody)))]
async fn adjust_order(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    JsonBody(body): JsonBody<AdjustOrderBody>,
) -> Result<Response, Problem> {
    let AdjustOrderBody { good, scrap, reason } = body;
    Ok(respond_with_order(services.adjust_order(&who.0, id, Adjustment { good, scrap, reason }).await?))
}
