//! The printer registry in the API.

pub(super) mod access_body;
pub(super) mod attention;
pub(super) mod body;
pub(super) mod bulk;
pub(super) mod files;
pub(super) mod job;
pub(super) mod plates;
pub(super) mod production;
pub(super) mod profile;
pub(super) mod snapshot;
mod tools;
pub mod upload;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{
    access_body::{PrinterHeaders, ProxyAuthBody},
    body::{NewPrinterBody, PrinterBody, PrinterPatchBody},
    profile::WithProfile,
};
use super::{
    list::{
        export,
        page::{self, Page},
    },
    middleware::authentication::{Manager, Operator, Viewer},
    openapi::value_names,
    problem::{Problem, ProblemBody},
    request::{
        extract::{JsonBody, MergePatch, NoQuery, PathId, QueryParams, check_if_match},
        json::JsonObject,
    },
};
use crate::{
    domain::{
        printer_access::PrinterAccess,
        state::{PrinterState, Reachability},
    },
    http::diagnosis,
    service::{
        Services,
        printers::{PrinterQuery, PrinterView},
    },
};

const LIST: &str = "printers";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(list_printers, create_printer))
        .routes(routes!(get_printer, update_printer, delete_printer))
        .routes(routes!(test_printer))
}

/// Lists printers by name, each with its last observation.
///
/// The request contacts no printer. `status.observed_at` is the time of the observation.
#[utoipa::path(get, path = "/printers", tag = "printers", params(
    ("tag" = Option<String>, Query, description = "Only printers with this tag."),
    ("state" = Option<PrinterState>, Query, description = "Only printers with this last observed state."),
    ("reachability" = Option<Reachability>, Query, description = "Only printers with this reachability."),
    ("q" = Option<String>, Query, description = "Part of the name, address, model or notes."),
    super::openapi::Paging,
), responses((status = OK, content(
    (Page<PrinterBody> = "application/json"), (PrinterBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_printers(
    who: Viewer,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let list = PrinterQuery {
        tag: params.text("tag"),
        q: params.text("q"),
        state: params.enum_value("state", PrinterState::parse, &value_names(&PrinterState::ALL, PrinterState::as_str)),
        reachability: params.enum_value(
            "reachability",
            Reachability::parse,
            &value_names(&Reachability::ALL, Reachability::as_str),
        ),
    };
    let request = params.list_request::<(String, Uuid)>(LIST);
    params.finish()?;
    let page = move |after, limit| {
        let (services, who, list) = (services.clone(), who.0.clone(), list.clone());
        async move {
            let found = services.list_printers(&who, &list, after, limit).await?;
            let position = |view: &PrinterView| (view.printer.details.name.clone(), view.printer.id);
            Ok(page::cut_page(found, limit, position, PrinterBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Registers a printer.
///
/// The printer need not be online. Its name and its normalised address must be unique. `POST /printers/test` tests an
/// address first. The response waits until the change is applied, for at most 2 s. If it takes longer, the change is
/// stored and applied later.
#[utoipa::path(post, path = "/printers", tag = "printers", request_body = NewPrinterBody, responses(
    (status = CREATED, body = PrinterBody, headers(
        ("Location", description = "Path of the printer."), ("ETag", description = "The version, for `If-Match`."),
    )),
    (status = CONFLICT, description = "`name_taken`, `url_taken`", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn create_printer(
    who: Manager,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(WithProfile { body, profile }): JsonBody<WithProfile<NewPrinterBody>>,
) -> Result<Response, Problem> {
    let (details, access) = body.into_parts(profile)?;
    let view = services.register_printer(&who.0, details, access).await?;
    let location = [(header::LOCATION, format!("/api/v1/printers/{}", view.printer.id))];
    Ok((StatusCode::CREATED, location, respond_with_printer(view)).into_response())
}

/// Reads a printer with its last observation.
///
/// The request does not contact the printer. `GET /printers/{id}/job` does.
#[utoipa::path(get, path = "/printers/{id}", tag = "printers", params(("id" = Uuid, Path)), responses(
    (status = OK, body = PrinterBody, headers(("ETag", description = "The version, for `If-Match`."))),
))]
async fn get_printer(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    Ok(respond_with_printer(services.printer(&who.0, id).await?))
}

/// Changes a printer by a JSON merge patch.
///
/// Absent fields are kept, null clears a field. `application/json` is accepted, too. The change takes effect at once. A
/// new address or key takes effect after the command in flight has ended. With `If-Match`, a change fails if another
/// client changed the printer in the meantime.
///
/// A change of `production` only needs the role `operator`, any other change the role `manager`. The response waits
/// until the change is applied, for at most 2 s. From then on, a printer that is `out_of_service` gets no `start`,
/// `restart` or `resume`: they end as `rejected`, `out_of_service`, also those that wait. A print in progress continues.
#[utoipa::path(patch, path = "/printers/{id}", tag = "printers", params(
    ("id" = Uuid, Path),
    ("If-Match" = Option<String>, Header, description = "The `ETag` of the version to change, or `*`."),
), request_body(content = PrinterPatchBody, content_type = "application/merge-patch+json"), responses(
    (status = OK, body = PrinterBody, headers(("ETag", description = "The new version."))),
    (status = CONFLICT, description = "`name_taken`, `url_taken`", body = ProblemBody,
        content_type = "application/problem+json"),
    (status = PRECONDITION_FAILED, description = "`stale`: it was changed in the meantime", body = ProblemBody,
        content_type = "application/problem+json"),
))]
async fn update_printer(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
    headers: HeaderMap,
    MergePatch(WithProfile { body, profile }): MergePatch<WithProfile<PrinterPatchBody>>,
) -> Result<Response, Problem> {
    let patch = body.into_patch(profile)?;
    let if_match = check_if_match(&headers, async { Ok(services.printer(&who.0, id).await?.printer.version) }).await?;
    Ok(respond_with_printer(services.patch_printer(&who.0, id, if_match, patch).await?))
}

/// Removes a printer.
///
/// Commands that were not sent to the printer end as `skipped`. The rows of past batches keep its name.
#[utoipa::path(delete, path = "/printers/{id}", tag = "printers", params(("id" = Uuid, Path)), responses(
    (status = NO_CONTENT),
))]
async fn delete_printer(
    who: Manager,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<StatusCode, Problem> {
    services.remove_printer(&who.0, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An address to test, with the key, the proxy settings and the certificates of `POST /printers`.
// No Debug: it may hold secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PrinterTest, example = json!({"url": "http://10.0.3.17", "api_key": "3F2504E04F8911D39A0C0305E82C3301"}))]
struct PrinterTestBody {
    url: String,
    api_key: Option<String>,
    #[schema(value_type = Option<ProxyAuthBody>)]
    proxy_auth: Option<JsonObject<ProxyAuthBody>>,
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    headers: Option<PrinterHeaders>,
    #[schema(max_length = 64_000)]
    ca_certificate: Option<String>,
}

/// The result of a connection test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PrinterTestReport)]
struct PrinterTestReportBody {
    /// The address, the key and its permissions are sufficient.
    ok: bool,
    reachability: Reachability,
    octoprint_version: Option<String>,
    /// The OctoPrint user that the key belongs to.
    user: Option<String>,
    missing_permissions: Vec<String>,
    /// A stable code for the error. Null without an error.
    code: Option<&'static str>,
    /// The error in one sentence.
    detail: Option<String>,
    /// What to do about the error.
    advice: Option<String>,
    /// The address that the tested one redirects to. Use it instead.
    suggested_url: Option<String>,
}

/// Tests an address and a key without registering a printer.
///
/// The test distinguishes errors of names, ports, timeouts, certificates, proxies in front of OctoPrint, keys and
/// permissions, and servers other than OctoPrint. `code` is for programs, `detail` and `advice` are for people.
#[utoipa::path(post, path = "/printers/test", tag = "printers", request_body = PrinterTestBody, responses(
    (status = OK, body = PrinterTestReportBody),
))]
async fn test_printer(
    who: Manager,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(body): JsonBody<PrinterTestBody>,
) -> Result<Json<PrinterTestReportBody>, Problem> {
    let access = PrinterAccess {
        api_key: body.api_key,
        proxy_auth: body.proxy_auth.map(|JsonObject(auth)| auth.into_auth()),
        headers: body.headers.unwrap_or_default(),
        ca_certificate: body.ca_certificate,
        camera_url: None,
    };
    let report = services.test_printer(&who.0, &body.url, access).await?;
    let diagnosis = report.diagnosis.as_ref();
    Ok(Json(PrinterTestReportBody {
        ok: report.reachability == Reachability::Online && report.missing_permissions.is_empty(),
        reachability: report.reachability,
        octoprint_version: report.octoprint_version,
        user: report.user,
        missing_permissions: report.missing_permissions,
        code: diagnosis.map(|diagnosis| diagnosis.code.as_str()),
        detail: diagnosis.map(diagnosis::problem_text),
        advice: diagnosis.map(diagnosis::next_step_text),
        suggested_url: diagnosis.and_then(|diagnosis| diagnosis.suggested_url()).map(str::to_owned),
    }))
}

fn respond_with_printer(view: PrinterView) -> Response {
    let etag = format!("\"v{}\"", view.printer.version);
    let mut response = Json(PrinterBody::from(view)).into_response();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
