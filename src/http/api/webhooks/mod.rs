//! Webhooks in the API: receivers of events, and the deliveries to them.

pub(super) mod body;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::body::{
    DeliveryBody, NewWebhookBody, RotateSecretBody, WebhookBody, WebhookPatchBody, WebhookTestReportBody,
    WebhookWithSecretBody,
};
use super::{
    list::{
        export,
        page::{self, Page},
    },
    middleware::authentication::Manager,
    openapi::value_names,
    problem::{Problem, ProblemBody},
    request::extract::{JsonBody, MergePatch, NoQuery, PathId, PathParams, QueryParams, check_if_match},
};
use crate::{
    domain::{
        event::EventType,
        webhook::{DeliveryFilter, DeliveryState},
    },
    http::messages::text_of,
    service::{Services, webhooks::WebhookView},
};

const LIST: &str = "webhooks";
const DELIVERIES: &str = "deliveries";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_webhooks, create_webhook))
        .routes(routes!(get_webhook, update_webhook, delete_webhook))
        .routes(routes!(test_webhook))
        .routes(routes!(rotate_secret))
        .routes(routes!(list_deliveries))
        .routes(routes!(redeliver))
}

/// Lists webhooks, oldest first.
///
/// Each webhook has its delivery status. Secrets are not returned.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", params(super::openapi::Paging),
    responses((status = OK, content(
    (Page<WebhookBody> = "application/json"), (WebhookBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_webhooks(
    who: Manager,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let request = params.list_request::<Uuid>(LIST);
    params.finish()?;
    let page = move |after: Option<Uuid>, limit| {
        let (services, who) = (services.clone(), who.0.clone());
        async move {
            // There are at most a hundred.
            let mut found = services.list_webhooks(&who).await?;
            found.retain(|view| after.is_none_or(|after| view.webhook.id > after));
            Ok(page::cut_page(found, limit, |view| view.webhook.id, WebhookBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Creates a webhook.
///
/// The webhook gets events from now on, none of the past. The secret is shown only once.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", request_body = NewWebhookBody, responses(
    (status = CREATED, body = WebhookWithSecretBody, headers(
        ("Location", description = "Path of the webhook."), ("ETag", description = "The version, for `If-Match`."),
    )),
    (status = CONFLICT, description = "`too_many_webhooks`: there are 100", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn create_webhook(
    who: Manager,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(body): JsonBody<NewWebhookBody>,
) -> Result<Response, Problem> {
    let (view, secret) = services.create_webhook(&who.0, body.into_details()).await?;
    let location = [(header::LOCATION, format!("/api/v1/webhooks/{}", view.webhook.id))];
    Ok((StatusCode::CREATED, location, respond_with_secret(view, secret)).into_response())
}

/// Reads a webhook.
///
/// The webhook has its delivery status. The secret is not returned.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)), responses(
    (status = OK, body = WebhookBody, headers(("ETag", description = "The version, for `If-Match`."))),
))]
async fn get_webhook(
    who: Manager,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    Ok(respond_with_webhook(services.webhook(&who.0, id).await?))
}

/// Changes a webhook by a JSON merge patch. `application/json` is accepted, too.
///
/// A webhook that is enabled again continues where it stopped, if the feed still has those events.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "webhooks", params(
    ("id" = Uuid, Path),
    ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to change, or `*`."),
), request_body(content = WebhookPatchBody, content_type = "application/merge-patch+json"), responses(
    (status = OK, body = WebhookBody, headers(("ETag", description = "The new version."))),
    (status = PRECONDITION_FAILED, description = "`stale`: it was changed in the meantime", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn update_webhook(
    who: Manager,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
    MergePatch(body): MergePatch<WebhookPatchBody>,
) -> Result<Response, Problem> {
    let patch = body.into_patch()?;
    let if_match = check_if_match(&headers, async { Ok(services.webhook(&who.0, id).await?.webhook.version) }).await?;
    Ok(respond_with_webhook(services.patch_webhook(&who.0, id, if_match, patch).await?))
}

/// Removes a webhook.
///
/// Its unfinished deliveries are removed, too.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT)))]
async fn delete_webhook(
    who: Manager,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<StatusCode, Problem> {
    services.remove_webhook(&who.0, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tests a webhook.
///
/// Sends an event of the type `webhook.test` now, even if the webhook is disabled, and returns the result.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = OK, body = WebhookTestReportBody)))]
async fn test_webhook(
    who: Manager,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<WebhookTestReportBody>, Problem> {
    let report = services.test_webhook(&who.0, id).await?;
    let texts = report.failure.map(|failure| (text_of(&failure.problem), text_of(&failure.next_step)));
    let (error, advice) = texts.unzip();
    Ok(Json(WebhookTestReportBody {
        delivered: report.delivered,
        status: report.status,
        latency_ms: report.latency_ms,
        error,
        advice,
    }))
}

/// Replaces the secret of a webhook.
///
/// For a while, both secrets sign, so that the receiver can switch to the new one.
#[utoipa::path(post, path = "/webhooks/{id}/rotate-secret", tag = "webhooks", params(("id" = Uuid, Path)),
    request_body = RotateSecretBody, responses((status = OK, body = WebhookWithSecretBody)))]
async fn rotate_secret(
    who: Manager,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    JsonBody(body): JsonBody<RotateSecretBody>,
) -> Result<Response, Problem> {
    let overlap = TimeDelta::seconds(i64::from(body.overlap_s));
    let (view, secret) = services.rotate_webhook(&who.0, id, overlap).await?;
    Ok(respond_with_secret(view, secret))
}

/// Lists deliveries, newest first.
///
/// Finished deliveries are kept for 30 days, at most 10,000 for each webhook.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks", params(
    ("id" = Uuid, Path),
    ("state" = Option<DeliveryState>, Query, description = "Only deliveries in this state."),
    ("type" = Option<EventType>, Query, description = "Only deliveries of events of this type."),
    super::openapi::Paging,
), responses((status = OK, content(
    (Page<DeliveryBody> = "application/json"), (DeliveryBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_deliveries(
    who: Manager,
    mut params: QueryParams,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let filter = DeliveryFilter {
        state: params.enum_value(
            "state",
            DeliveryState::parse,
            &value_names(DeliveryState::ALL, DeliveryState::as_str),
        ),
        kind: params.enum_value("type", EventType::parse, &value_names(EventType::ALL, EventType::as_str)),
    };
    let request = params.list_request::<Uuid>(DELIVERIES);
    params.finish()?;
    let page = move |after, limit| {
        let (services, who, filter) = (services.clone(), who.0.clone(), filter.clone());
        async move {
            let found = services.list_deliveries(&who, id, &filter, after, page::limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, |delivery| delivery.id, DeliveryBody::from))
        }
    };
    export::respond_with_list(DELIVERIES, request, page).await
}

/// Sends an event again.
///
/// The event is sent at once, with the same `webhook-id`.
#[utoipa::path(post, path = "/webhooks/{id}/deliveries/{delivery_id}/redeliver", tag = "webhooks", params(
    ("id" = Uuid, Path), ("delivery_id" = Uuid, Path),
), responses(
    (status = ACCEPTED, body = DeliveryBody),
    (status = CONFLICT, description = "`webhook_disabled`; `event_expired`: the feed no longer has the event",
        body = ProblemBody, content_type = "application/problem+json"),
))]
async fn redeliver(
    who: Manager,
    _: NoQuery,
    parts: PathParams,
    State(services): State<Services>,
) -> Result<(StatusCode, Json<DeliveryBody>), Problem> {
    let delivery_id = Uuid::try_parse(parts.get("delivery_id")).map_err(|_| Problem::not_found("delivery"))?;
    let delivery = services.redeliver(&who.0, parts.id()?, delivery_id).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}

fn respond_with_webhook(view: WebhookView) -> Response {
    let body = WebhookBody::from(view);
    respond_with_etag(body.version, body)
}

fn respond_with_secret(view: WebhookView, secret: String) -> Response {
    let rest = WebhookBody::from(view);
    respond_with_etag(rest.version, WebhookWithSecretBody { secret, rest })
}

fn respond_with_etag(version: i64, body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"v{version}\"")) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
