//! Parts in the API.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    list::{
        export::{self, CsvRow},
        page::{self, Page, limit_plus_one},
    },
    middleware::authentication::{Manager, Viewer},
    openapi::Paging,
    orders::plate_file::PlateFileBody,
    problem::{Problem, ProblemBody},
    request::{
        extract::{JsonBody, NoQuery, PathParams, QueryParams},
        if_match::require_if_match,
    },
};
use crate::{
    domain::{
        part::{Judgement, Part, PartDetails, PartFilter, PlateFile},
        requirements::Requirements,
    },
    service::{Error, Services},
};

const LIST: &str = "parts";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_parts)).routes(routes!(get_part, put_part, delete_part))
}

/// The fields of a part.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutPart, example = json!({
    "revision": "C", "title": "Bracket", "judgement": "manual", "requirements": {"material": "PETG"},
    "files": [{"file_id": "0193e1d2-4f6a-7d0b-b6a7-90c1d2e3f408", "models": ["MK4"], "parts_per_plate": 4}]
}))]
struct PutPartBody {
    #[schema(max_length = 100)]
    revision: Option<String>,
    #[schema(max_length = 200)]
    title: Option<String>,
    requirements: Option<Requirements>,
    /// Absent: `auto`.
    judgement: Option<Judgement>,
    #[schema(min_items = 1, max_items = 50)]
    files: Vec<PlateFileBody>,
}

impl From<PutPartBody> for PartDetails {
    fn from(body: PutPartBody) -> Self {
        Self {
            revision: body.revision.unwrap_or_default(),
            title: body.title.unwrap_or_default(),
            requirements: body.requirements.unwrap_or_default(),
            judgement: body.judgement.unwrap_or(Judgement::Auto),
            files: body.files.into_iter().map(PlateFile::from).collect(),
        }
    }
}

/// A part: an item number with the files that make it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Part)]
struct PartBody {
    /// The item number, as your ERP has it.
    number: String,
    revision: String,
    title: String,
    requirements: Requirements,
    judgement: Judgement,
    files: Vec<PlateFile>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i64,
}

impl From<Part> for PartBody {
    fn from(part: Part) -> Self {
        let PartDetails { revision, title, requirements, judgement, files } = part.details;
        Self {
            number: part.number,
            revision,
            title,
            requirements,
            judgement,
            files,
            created_at: part.created_at,
            updated_at: part.updated_at,
            version: part.version,
        }
    }
}

impl CsvRow for PartBody {
    const COLUMNS: &'static [&'static str] =
        &["number", "revision", "title", "requirements", "judgement", "files", "created_at", "updated_at", "version"];
}

/// Lists parts by number.
///
/// A part is an item number of your ERP, with the files that make it.
#[utoipa::path(get, path = "/parts", tag = "parts", params(
    ("q" = Option<String>, Query, description = "A part of the number or the title."), Paging,
), responses((status = OK, content(
    (Page<PartBody> = "application/json"), (PartBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_parts(
    who: Viewer,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let request = params.list_request::<String>(LIST);
    let filter = PartFilter { text: params.text("q") };
    params.finish()?;
    let page = move |after: Option<String>, limit| {
        let (services, who, filter) = (services.clone(), who.0.clone(), filter.clone());
        async move {
            let found = services.list_parts(&who, &filter, after.as_deref(), limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, |part: &Part| part.number.clone(), PartBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Reads a part.
///
/// Its orders may have the files of an earlier version.
#[utoipa::path(get, path = "/parts/{*number}", tag = "parts", params(
    ("number" = String, Path, description = "The item number, percent-encoded; slashes need no encoding."),
), responses((status = OK, body = PartBody, headers(("ETag", description = "The version, for `If-Match`."))),))]
async fn get_part(
    who: Viewer,
    _: NoQuery,
    params: PathParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    Ok(respond_with_part(services.part(&who.0, params.get("number")).await?))
}

/// Creates or replaces a part.
///
/// Orders keep the files and requirements that their part had when they were made.
#[utoipa::path(put, path = "/parts/{*number}", tag = "parts", params(
    ("number" = String, Path, description = "The item number, percent-encoded; slashes need no encoding."),
    ("If-Match" = Option<String>, Header, description = "Required if the part exists: the `ETag` of the version to replace, or `*`."),
), request_body = PutPartBody, responses(
    (status = OK, description = "The part was replaced", body = PartBody, headers(("ETag", description = "The new version."))),
    (status = CREATED, description = "The part is new", body = PartBody, headers(("ETag", description = "The version."))),
    (status = UNPROCESSABLE_ENTITY, description = "`models_required`: a file names no model"),
    (status = PRECONDITION_FAILED, description = "`stale`: it was changed in the meantime, or does not exist", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = PRECONDITION_REQUIRED, description = "`precondition_required`: the part exists, and `If-Match` is missing",
        body = ProblemBody, content_type = "application/problem+json"),
))]
async fn put_part(
    who: Manager,
    _: NoQuery,
    params: PathParams,
    State(services): State<Services>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PutPartBody>,
) -> Result<Response, Problem> {
    let number = params.get("number");
    let before = match services.part(&who.0, number).await {
        Ok(part) => Some(part.version),
        Err(Error::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let expected = match before {
        None if !headers.contains_key(header::IF_MATCH) => None,
        version => Some(require_if_match(&headers, version)?),
    };
    let stored = services.put_part(&who.0, number, expected, body.into()).await?;
    let status = if stored.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, respond_with_part(stored.part)).into_response())
}

/// Removes a part.
///
/// Its orders keep their files.
#[utoipa::path(delete, path = "/parts/{*number}", tag = "parts", params(
    ("number" = String, Path, description = "The item number, percent-encoded; slashes need no encoding."),
    ("If-Match" = String, Header, description = "The `ETag` of the version to remove, or `*`."),
), responses(
    (status = NO_CONTENT),
    (status = PRECONDITION_FAILED, description = "`stale`: it was changed in the meantime", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = PRECONDITION_REQUIRED, description = "`precondition_required`: `If-Match` is missing", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn delete_part(
    who: Manager,
    _: NoQuery,
    params: PathParams,
    State(services): State<Services>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let number = params.get("number");
    let version = services.part(&who.0, number).await?.version;
    let expected = require_if_match(&headers, Some(version))?;
    services.remove_part(&who.0, number, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn respond_with_part(part: Part) -> Response {
    let etag = format!("\"v{}\"", part.version);
    ([(header::ETAG, etag)], Json(PartBody::from(part))).into_response()
}
