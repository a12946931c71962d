//! Users who log in by name and password, and their sessions.

pub(super) mod me;
pub(super) mod tokens;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    list::{
        export::{self, CsvRow},
        page::{self, Page},
    },
    middleware::authentication::Admin,
    problem::{Problem, ProblemBody},
    request::extract::{JsonBody, MergePatch, NoQuery, PathId, PathParams, QueryParams, check_if_match},
};
use crate::{
    domain::{
        access::{Role, Session},
        user::{User, UserDetails},
    },
    service::{Services, users::UserPatch},
};

const LIST: &str = "users";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_users, create_user))
        .routes(routes!(get_user, update_user))
        .routes(routes!(list_user_sessions))
        .routes(routes!(delete_user_session))
}

/// A user to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser, example = json!({"name": "ann", "password": "several words in a row", "role": "operator", "tags": ["hall-a"]}))]
struct NewUserBody {
    /// Unique, ignoring case.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// Absent: the user cannot log in by password until one is set.
    #[schema(min_length = 15, max_length = 256)]
    password: Option<String>,
    role: Role,
    /// Only printers with any of these tags; empty = all. Must be empty for an admin.
    tags: Option<Vec<String>>,
    enabled: Option<bool>,
}

/// A change of a user. Absent fields are kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserPatch, example = json!({"enabled": false}))]
struct UserPatchBody {
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
    /// Ends all sessions of the user.
    #[schema(min_length = 15, max_length = 256)]
    password: Option<String>,
    role: Option<Role>,
    tags: Option<Vec<String>>,
    /// False ends all sessions of the user.
    enabled: Option<bool>,
}

/// A user. The password is never returned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
struct UserBody {
    id: Uuid,
    name: String,
    role: Role,
    tags: Vec<String>,
    enabled: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
}

/// A session: a browser in which the user is logged in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionBody {
    id: Uuid,
    created_at: DateTime<Utc>,
    /// Accurate to the minute.
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    address: Option<String>,
    /// `User-Agent` of the browser.
    agent: String,
}

impl CsvRow for UserBody {
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "role", "tags", "enabled", "created_at", "updated_at", "last_login_at"];
}

/// The sessions of one user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sessions)]
struct SessionsBody {
    items: Vec<SessionBody>,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            name: user.details.name,
            role: user.details.role,
            tags: user.details.tags,
            enabled: user.details.enabled,
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_login_at: user.last_login_at,
        }
    }
}

impl From<Session> for SessionBody {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            address: session.address,
            agent: session.agent,
        }
    }
}

/// Lists users, newest first.
///
/// The list includes disabled users.
#[utoipa::path(get, path = "/users", tag = "access", params(super::openapi::Paging),
    responses((status = OK, content(
    (Page<UserBody> = "application/json"), (UserBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_users(
    who: Admin,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let request = params.list_request::<Uuid>(LIST);
    params.finish()?;
    let page = move |after, limit| {
        let (services, who) = (services.clone(), who.0.clone());
        async move {
            let found = services.list_users(&who, after, page::limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, |user| user.id, UserBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Creates a user.
///
/// A user without a password can log in by single sign-on only, until a password is set.
#[utoipa::path(post, path = "/users", tag = "access", request_body = NewUserBody, responses(
    (status = CREATED, body = UserBody, headers(
        ("Location", description = "Path of the user."), ("ETag", description = "The version, for `If-Match`."),
    )),
    (status = CONFLICT, description = "`name_taken`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn create_user(
    who: Admin,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(body): JsonBody<NewUserBody>,
) -> Result<Response, Problem> {
    let details = UserDetails {
        name: body.name,
        role: body.role,
        tags: body.tags.unwrap_or_default(),
        enabled: body.enabled.unwrap_or(true),
    };
    let user = services.create_user(&who.0, details, body.password.as_deref()).await?;
    let location = [(header::LOCATION, format!("/api/v1/users/{}", user.id))];
    Ok((StatusCode::CREATED, location, respond_with_user(user)).into_response())
}

/// Reads a user.
///
/// The password is never returned, not even as a hash.
#[utoipa::path(get, path = "/users/{id}", tag = "access", params(("id" = Uuid, Path)), responses(
    (status = OK, body = UserBody, headers(("ETag", description = "The version, for `If-Match`."))),
))]
async fn get_user(
    who: Admin,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    Ok(respond_with_user(services.user(&who.0, id).await?))
}

/// Changes a user by a JSON merge patch.
///
/// A new password ends all sessions of the user at once, and so does disabling the user. A role with fewer rights takes
/// effect at once. The last admin must keep that role.
#[utoipa::path(patch, path = "/users/{id}", tag = "access", params(
    ("id" = Uuid, Path),
    ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to change, or `*`."),
), request_body(content = UserPatchBody, content_type = "application/merge-patch+json"), responses(
    (status = OK, body = UserBody, headers(("ETag", description = "The new version."))),
    (status = CONFLICT, description = "`name_taken`, `last_admin`", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = PRECONDITION_FAILED, description = "`stale`: it was changed in the meantime", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn update_user(
    who: Admin,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
    MergePatch(body): MergePatch<UserPatchBody>,
) -> Result<Response, Problem> {
    let if_match = check_if_match(&headers, async { Ok(services.user(&who.0, id).await?.version) }).await?;
    let patch =
        UserPatch { name: body.name, role: body.role, tags: body.tags, enabled: body.enabled, password: body.password };
    Ok(respond_with_user(services.patch_user(&who.0, id, if_match, patch).await?))
}

/// Lists the browsers in which a user is logged in.
///
/// Each login creates a session. A session that is not used expires.
#[utoipa::path(get, path = "/users/{id}/sessions", tag = "access", params(("id" = Uuid, Path)),
    responses((status = OK, body = SessionsBody)))]
async fn list_user_sessions(
    who: Admin,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<SessionsBody>, Problem> {
    services.user(&who.0, id).await?;
    let sessions = services.list_sessions(&who.0, id).await?;
    Ok(Json(SessionsBody { items: sessions.into_iter().map(SessionBody::from).collect() }))
}

/// Ends a session.
///
/// The session ends at once: the next request of the browser is refused.
#[utoipa::path(delete, path = "/users/{id}/sessions/{session_id}", tag = "access",
    params(("id" = Uuid, Path), ("session_id" = Uuid, Path)), responses((status = NO_CONTENT)))]
async fn delete_user_session(
    who: Admin,
    _: NoQuery,
    path: PathParams,
    State(services): State<Services>,
) -> Result<StatusCode, Problem> {
    let session = Uuid::try_parse(path.get("session_id")).map_err(|_| Problem::not_found("id"))?;
    services.end_session(&who.0, path.id()?, session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Responds with a user and its version as `ETag`.
fn respond_with_user(user: User) -> Response {
    let etag = format!("\"v{}\"", user.version);
    let mut response = Json(UserBody::from(user)).into_response();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
