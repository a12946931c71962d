//! Copies of orders in the API.

use axum::{Json, extract::State, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    list::{
        export::{self, CsvRow},
        page::{self, Page, limit_plus_one},
    },
    middleware::authentication::{Operator, Viewer},
    openapi::{Paging, value_names},
    problem::{Problem, ProblemBody},
    request::extract::{JsonBody, NoQuery, PathId, QueryParams},
};
use crate::{
    domain::copy::{Copy, CopyFilter, CopyResult, CopyState, Quality},
    service::{Services, copies::Verdict},
};

const LIST: &str = "copies";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_copies))
        .routes(routes!(list_order_copies))
        .routes(routes!(get_copy))
        .routes(routes!(judge_copy))
        .routes(routes!(lose_copy))
}

/// A copy: one plate of an order on one printer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Copy)]
struct CopyBody {
    id: Uuid,
    order_id: Uuid,
    /// Number of the order's part.
    part: Option<String>,
    /// The copy that this one replaces.
    replaces: Option<Uuid>,
    /// 1 for a first copy, and one more for each replacement.
    attempt: u32,
    state: CopyState,
    printer_id: Uuid,
    file_id: Uuid,
    /// The start command.
    command_id: Uuid,
    /// The print, as `GET /prints` names it. Null until it began.
    print_id: Option<Uuid>,
    /// Number of parts on the plate.
    parts: u32,
    assigned_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    result: Option<CopyResult>,
    quality: Quality,
    good: u32,
    scrap: u32,
    /// Why it was judged so, failed or was given up.
    reason: Option<String>,
    /// Why the planner chose this printer.
    why: Map<String, Value>,
}

impl From<Copy> for CopyBody {
    fn from(copy: Copy) -> Self {
        Self {
            id: copy.id,
            order_id: copy.order_id,
            part: copy.part,
            replaces: copy.replaces,
            attempt: copy.attempt,
            state: copy.state,
            printer_id: copy.printer_id,
            file_id: copy.file_id,
            command_id: copy.command_id,
            print_id: copy.print_id,
            parts: copy.parts,
            assigned_at: copy.assigned_at,
            started_at: copy.started_at,
            finished_at: copy.finished_at,
            result: copy.result,
            quality: copy.quality,
            good: copy.good,
            scrap: copy.scrap,
            reason: copy.reason,
            why: copy.why,
        }
    }
}

impl CsvRow for CopyBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "order_id",
        "part",
        "replaces",
        "attempt",
        "state",
        "printer_id",
        "file_id",
        "command_id",
        "print_id",
        "parts",
        "assigned_at",
        "started_at",
        "finished_at",
        "result",
        "quality",
        "good",
        "scrap",
        "reason",
        "why",
    ];
}

/// The judgement of a finished copy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JudgeCopy, example = json!({"good": 3, "scrap": 1, "reason": "warped"}))]
struct JudgeCopyBody {
    /// Good parts. With `scrap`, they are all parts of the plate.
    good: u32,
    scrap: u32,
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

/// Why a copy is given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LoseCopy, example = json!({"reason": "the printer burnt down"}))]
struct LoseCopyBody {
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
}

/// Lists the copies of all orders, newest first.
///
/// A copy is one plate of an order on one printer.
#[utoipa::path(get, path = "/copies", tag = "orders", params(
    ("printer_id" = Option<Uuid>, Query, description = "Only copies on this printer."),
    ("state" = Option<CopyState>, Query, description = "Only copies in this state."),
    ("since" = Option<DateTime<Utc>>, Query, description = "Only copies that were assigned at this time or later."),
    Paging,
), responses((status = OK, content(
    (Page<CopyBody> = "application/json"), (CopyBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_copies(
    who: Viewer,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let filter = CopyFilter {
        order_id: None,
        printer_id: params.id("printer_id"),
        state: params.enum_value("state", CopyState::parse, &value_names(CopyState::ALL, CopyState::as_str)),
        quality: None,
        since: params.time("since"),
        visible_tags: None,
    };
    respond_with_copies(who, params, services, filter).await
}

/// Lists the copies of an order, newest first.
///
/// An order that waits has no copy yet: the number of parts on a plate depends on the printer.
#[utoipa::path(get, path = "/orders/{id}/copies", tag = "orders", params(("id" = Uuid, Path), Paging), responses(
    (status = OK, content(
        (Page<CopyBody> = "application/json"), (CopyBody = "application/x-ndjson"), (String = "text/csv"),
    )),
))]
async fn list_order_copies(
    who: Viewer,
    params: QueryParams,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    respond_with_copies(who, params, services, CopyFilter { order_id: Some(id), ..CopyFilter::default() }).await
}

async fn respond_with_copies(
    who: Viewer,
    mut params: QueryParams,
    services: Services,
    filter: CopyFilter,
) -> Result<Response, Problem> {
    let request = params.list_request::<Uuid>(LIST);
    params.finish()?;
    let page = move |after, limit| {
        let (services, who, filter) = (services.clone(), who.0.clone(), filter.clone());
        async move {
            let found = services.list_copies(&who, &filter, after, limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, |copy: &Copy| copy.id, CopyBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Reads a copy.
///
/// `why` has the numbers for which the planner chose the printer.
#[utoipa::path(get, path = "/copies/{id}", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = OK, body = CopyBody)))]
async fn get_copy(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<CopyBody>, Problem> {
    Ok(Json(services.copy(&who.0, id).await?.into()))
}

/// Judges the parts of a finished copy.
///
/// `good` and `scrap` are all parts of the plate. A second judgement corrects the first. Too few good parts reopen a
/// completed order.
#[utoipa::path(post, path = "/copies/{id}/judge", tag = "orders", params(("id" = Uuid, Path)),
    request_body = JudgeCopyBody, responses(
    (status = OK, body = CopyBody),
    (status = CONFLICT, description = "`copy_not_finished`", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn judge_copy(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    JsonBody(body): JsonBody<JudgeCopyBody>,
) -> Result<Json<CopyBody>, Problem> {
    let JudgeCopyBody { good, scrap, reason } = body;
    Ok(Json(services.judge_copy(&who.0, id, Verdict { good, scrap, reason }).await?.into()))
}

/// Gives a copy up as lost. Another copy replaces it.
///
/// A finished copy can be given up, and a copy whose printer does not reply, was removed, or whose start has an unknown
/// effect. Other copies end by a cancel of their print.
#[utoipa::path(post, path = "/copies/{id}/lost", tag = "orders", params(("id" = Uuid, Path)),
    request_body = LoseCopyBody, responses(
    (status = OK, body = CopyBody),
    (status = CONFLICT, description = "`copy_running`: the printer replies, so cancel the print; `copy_ended`: it needs no replacement",
        body = ProblemBody, content_type = "application/problem+json"),
))]
async fn lose_copy(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    JsonBody(body): JsonBody<LoseCopyBody>,
) -> Result<Json<CopyBody>, Problem> {
    Ok(Json(services.lose_copy(&who.0, id, body.reason).await?.into()))
}
