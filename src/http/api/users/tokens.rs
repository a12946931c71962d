//! API tokens. A secret is shown only once, when the token is created.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::access::{Role, Token},
    http::api::{
        batches::request_body::deserialize_time,
        list::{
            export::{self, CsvRow},
            page::{self, Page},
        },
        middleware::authentication::Admin,
        problem::Problem,
        request::extract::{JsonBody, NoQuery, PathId, QueryParams},
    },
    service::{Services, tokens::NewToken},
};

const LIST: &str = "tokens";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(get_token, delete_token))
        .routes(routes!(rotate_token))
}

/// A token to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken, example = json!({"name": "erp", "role": "operator", "tags": ["hall-a"], "expires_at": null}))]
struct NewTokenBody {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    role: Role,
    /// Only printers with any of these tags; empty = all.
    tags: Option<Vec<String>>,
    /// Null or absent: the token does not expire.
    #[serde(default, deserialize_with = "deserialize_time")]
    expires_at: Option<DateTime<Utc>>,
    /// Every POST with an effect must have an `Idempotency-Key`. Otherwise it fails with 400
    /// `idempotency_key_required`.
    #[serde(default)]
    require_idempotency_key: bool,
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenBody {
    id: Uuid,
    name: String,
    role: Role,
    tags: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    /// Accurate to the minute.
    last_used_at: Option<DateTime<Utc>>,
    /// Name of the user or token that created it. Null for tokens of earlier versions.
    created_by: Option<String>,
    require_idempotency_key: bool,
}

impl CsvRow for TokenBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "role",
        "tags",
        "created_at",
        "expires_at",
        "last_used_at",
        "created_by",
        "require_idempotency_key",
    ];
}

/// A new token, with its secret.
// No Debug: it holds a token.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenCreated)]
struct TokenCreatedBody {
    /// The secret, shown only once. Absent on a replay.
    #[schema(example = "pyd_…", required = false)]
    token: String,
    #[serde(flatten)]
    rest: TokenBody,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            tags: token.tags,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            created_by: token.created_by,
            require_idempotency_key: token.requires_key,
        }
    }
}

/// Creates a token.
///
/// Only this response contains the secret. The role limits what the token may do, and the tags limit it to some
/// printers.
#[utoipa::path(post, path = "/tokens", tag = "access", request_body = NewTokenBody, responses(
    (status = CREATED, body = TokenCreatedBody, headers(("Location", description = "Path of the token."))),
))]
async fn create_token(
    who: Admin,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(body): JsonBody<NewTokenBody>,
) -> Result<Response, Problem> {
    let new = NewToken {
        name: body.name,
        role: body.role,
        tags: body.tags.unwrap_or_default(),
        expires_at: body.expires_at,
        requires_key: body.require_idempotency_key,
    };
    let (token, secret) = services.create_token(&who.0, new).await?;
    Ok(respond_with_new_token(token, secret))
}

/// Returns the response with a new token and its secret, which is shown only once.
fn respond_with_new_token(token: Token, secret: String) -> Response {
    let location = [(header::LOCATION, format!("/api/v1/tokens/{}", token.id))];
    (StatusCode::CREATED, location, Json(TokenCreatedBody { token: secret, rest: token.into() })).into_response()
}

/// How to replace a token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateToken, example = json!({"overlap_s": 86400}))]
struct RotateTokenBody {
    /// Seconds that the old token stays valid, at most 30 days; 0 ends it at once.
    #[schema(maximum = 2_592_000)]
    overlap_s: u32,
}

/// Replaces a token by a new one with the same rights.
///
/// The old token stays valid for `overlap_s` seconds, so that its clients can switch.
#[utoipa::path(post, path = "/tokens/{id}/rotate", tag = "access", params(("id" = Uuid, Path)),
    request_body = RotateTokenBody, responses(
    (status = CREATED, body = TokenCreatedBody, headers(("Location", description = "Path of the new token."))),
))]
async fn rotate_token(
    who: Admin,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    JsonBody(body): JsonBody<RotateTokenBody>,
) -> Result<Response, Problem> {
    let overlap = TimeDelta::seconds(i64::from(body.overlap_s));
    let (token, secret) = services.rotate_token(&who.0, id, overlap).await?;
    Ok(respond_with_new_token(token, secret))
}

/// Lists tokens, newest first.
///
/// The list does not contain their secrets. The server stores only hashes.
#[utoipa::path(get, path = "/tokens", tag = "access", params(crate::http::api::openapi::Paging),
    responses((status = OK, content(
    (Page<TokenBody> = "application/json"), (TokenBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_tokens(
    who: Admin,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let request = params.list_request::<Uuid>(LIST);
    params.finish()?;
    let page = move |after, limit| {
        let (services, who) = (services.clone(), who.0.clone());
        async move {
            let found = services.list_tokens(&who, after, page::limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, |token| token.id, TokenBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Reads a token.
///
/// The response does not contain its secret. The server stores only a hash.
#[utoipa::path(get, path = "/tokens/{id}", tag = "access", params(("id" = Uuid, Path)),
    responses((status = OK, body = TokenBody)))]
async fn get_token(
    who: Admin,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<TokenBody>, Problem> {
    Ok(Json(services.token(&who.0, id).await?.into()))
}

/// Revokes a token.
///
/// The token becomes invalid at once and permanently. Sessions that were opened with it end.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "access", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT)))]
async fn delete_token(
    who: Admin,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<StatusCode, Problem> {
    services.revoke_token(&who.0, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
