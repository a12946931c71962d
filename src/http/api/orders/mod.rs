//! Orders in the API.

pub(in crate::http) mod actions;
mod body;
mod bulk;
mod patch;
pub(super) mod plate_file;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{
    body::{NewOrderBody, OrderBody},
    patch::OrderPatchBody,
};
use super::{
    list::{
        export,
        page::{self, Page, limit_plus_one},
    },
    middleware::authentication::{Operator, Viewer},
    openapi::{Paging, value_names},
    problem::{Problem, ProblemBody},
    request::{
        extract::{JsonBody, MergePatch, NoQuery, PathId, QueryParams},
        if_match::require_if_match,
    },
};
use crate::{
    domain::order::{OrderFilter, OrderState},
    service::{
        Services,
        orders::{CreatedOrder, OrderQuery, OrderView},
    },
};

const LIST: &str = "orders";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_orders, create_order))
        .routes(routes!(bulk::create_orders))
        .routes(routes!(get_order, update_order))
        .merge(actions::routes())
}

/// Makes an order.
///
/// `source`, `external_ref` and `line` are its business key. A repeated request with the same key and the same content
/// makes no second order: it returns the first one with 200. The content is compared with the first request, not with
/// later changes. Without `external_ref` there is no key: use an `Idempotency-Key`.
///
/// The order keeps the files, the contents and the requirements that its part had. `feasible` counts the printers that can
/// make it, whether they are free or not.
#[utoipa::path(post, path = "/orders", tag = "orders", request_body = NewOrderBody, responses(
    (status = CREATED, description = "The order is new", body = OrderBody, headers(
        ("Location", description = "Path of the order."), ("ETag", description = "The version, for `If-Match`."),
    )),
    (status = OK, description = "An earlier request with this business key and content made the order", body = OrderBody),
    (status = CONFLICT, description = "`order_conflict`, with `existing_id`: the business key belongs to an order with other content",
        body = ProblemBody, content_type = "application/problem+json"),
    (status = UNPROCESSABLE_ENTITY, description = "`models_required`: a file names no model; `no_printer_can`, with `require_feasible`"),
))]
async fn create_order(
    who: Operator,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(body): JsonBody<NewOrderBody>,
) -> Result<Response, Problem> {
    let (request, require_feasible) = body.into_request();
    let created = services.create_order(&who.0, &request, require_feasible).await?;
    let status = if created.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, order_path(created.view.counted.order.id))];
    Ok((status, location, respond_with_body(OrderBody::from(created))).into_response())
}

/// Lists orders, newest first.
///
/// Quantities are counted when the list is read. To follow changes, ask for those with `updated_since`, or use the event
/// feed.
#[utoipa::path(get, path = "/orders", tag = "orders", params(
    ("source" = Option<String>, Query, description = "Only orders of this source."),
    ("external_ref" = Option<String>, Query, description = "Only orders with this reference."),
    ("line" = Option<String>, Query, description = "Only orders with this line."),
    ("state" = Option<OrderState>, Query, description = "Only orders in this state."),
    ("updated_since" = Option<DateTime<Utc>>, Query, description = "Only orders whose details, state or quantities changed at this time or later."),
    ("due_before" = Option<DateTime<Utc>>, Query, description = "Only orders that are due before this time."),
    ("waiting_reason" = Option<String>, Query, description = "Only orders that wait for this reason."),
    Paging,
), responses((status = OK, content(
    (Page<OrderBody> = "application/json"), (OrderBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_orders(
    who: Viewer,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let request = params.list_request::<Uuid>(LIST);
    let query = OrderQuery {
        filter: OrderFilter {
            source: params.text("source"),
            external_ref: params.client_reference("external_ref"),
            line: params.text("line"),
            state: params.enum_value("state", OrderState::parse, &value_names(OrderState::ALL, OrderState::as_str)),
            updated_since: params.time("updated_since"),
            due_before: params.time("due_before"),
            ids: None,
            visible_tags: None,
        },
        waiting_reason: params.text("waiting_reason"),
    };
    params.finish()?;
    let page = move |after, limit| {
        let (services, who, query) = (services.clone(), who.0.clone(), query.clone());
        async move {
            let found = services.list_orders(&who, &query, after, limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, |view: &OrderView| view.counted.order.id, OrderBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Reads an order.
///
/// Its quantities are counted when it is read.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = Uuid, Path)), responses(
    (status = OK, body = OrderBody, headers(("ETag", description = "The version, for `If-Match`."))),
))]
async fn get_order(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    Ok(respond_with_order(services.order(&who.0, id).await?))
}

/// Changes an order by a JSON merge patch. `application/json` is accepted, too.
///
/// A smaller quantity never stops a print. A larger one reopens a completed order. `part_revision` must be the current
/// revision of the order's part: the order then takes the files and requirements that the part has now.
#[utoipa::path(patch, path = "/orders/{id}", tag = "orders", params(
    ("id" = Uuid, Path),
    ("If-Match" = String, Header, description = "The `ETag` of the version to change, or `*`."),
), request_body(content = OrderPatchBody, content_type = "application/merge-patch+json"), responses(
    (status = OK, body = OrderBody, headers(("ETag", description = "The new version."))),
    (status = CONFLICT, description = "`order_ended`: the order was cancelled or short-closed", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = PRECONDITION_FAILED, description = "`stale`: it was changed in the meantime", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = PRECONDITION_REQUIRED, description = "`precondition_required`: `If-Match` is missing", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn update_order(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
    MergePatch(body): MergePatch<OrderPatchBody>,
) -> Result<Response, Problem> {
    let before = services.order(&who.0, id).await?.counted.order;
    let version = require_if_match(&headers, Some(before.version))?;
    let patch = body.into_patch(&before.details)?;
    Ok(respond_with_order(services.patch_order(&who.0, id, version, patch).await?))
}

/// Responds with an order and its version.
pub(super) fn respond_with_order(view: OrderView) -> Response {
    respond_with_body(OrderBody::from(view))
}

fn respond_with_body(body: OrderBody) -> Response {
    ([(header::ETAG, body.etag())], Json(body)).into_response()
}

fn order_path(id: Uuid) -> String {
    format!("/api/v1/orders/{id}")
}

impl From<CreatedOrder> for OrderBody {
    fn from(created: CreatedOrder) -> Self {
        Self::from(created.view).with_feasibility(created.feasibility)
    }
}
