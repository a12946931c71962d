//! The OpenAPI document, generated from the handlers, and the page that shows it.

pub(super) mod common_responses;
pub(super) mod enum_docs;
pub(super) mod event_data;
pub(super) mod printer_profile;
pub(super) mod webhook_requests;

use axum::{
    Router,
    body::Bytes,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use utoipa::{
    IntoParams, IntoResponses,
    openapi::{
        self, ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, RefOr,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use self::common_responses::problem_response;
use super::problem::ProblemBody;

const INTRODUCTION: &str = "Sends commands to many OctoPrint printers and returns the verified result for each printer.\n\n\
    Errors are `application/problem+json` with a stable `code`. Unknown fields and query parameters are errors (422). \
    New fields, outcomes, reasons and states may appear within v1: ignore what you do not know, and act on `final`, \
    `effect` and `result`, whose vocabularies are closed. Times are RFC 3339 UTC.";
const SECURITY_SCHEME: &str = "token";
/// The page that shows the document with Swagger UI.
const DOCS_PAGE: &str = include_str!("../../../../templates/api/docs.html");
/// Content security policy of the page. Swagger UI uses `data:` images for some icons.
const DOCS_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// Query parameters of paged lists.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters for the document; `Params` reads them")]
pub struct Paging {
    /// Items of a page.
    #[param(default = 50, minimum = 1, maximum = 500)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Header that makes a response wait until all commands have ended.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header for the document; `Wait` reads it")]
pub struct PreferWait {
    /// `wait=n`: answer when every command has ended, or after n seconds (at most 30).
    #[param(rename = "Prefer", example = "wait=10")]
    prefer: Option<String>,
}

/// Error responses of operations that send a request to a printer.
pub struct PrinterErrors;

impl IntoResponses for PrinterErrors {
    fn responses() -> std::collections::BTreeMap<String, RefOr<openapi::Response>> {
        [
            (
                "502",
                "`printer_unauthorized`, `printer_protocol`: the printer refused, or did not answer as OctoPrint does",
            ),
            ("504", "`printer_unreachable`: no connection, or no answer in time"),
        ]
        .map(|(status, description)| (status.to_owned(), problem_response(description).into()))
        .into()
    }
}

/// Returns the names of all values, for the text of a validation error.
pub fn value_names<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().copied().map(word).collect()
}

/// Returns the document without paths.
pub fn base_document() -> OpenApi {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of `POST /tokens`, or the one of `PRINTYARD_ADMIN_TOKEN`."))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme(SECURITY_SCHEME, SecurityScheme::Http(scheme))
        .schema_from::<ProblemBody>()
        .schema_from::<super::problem::ProblemError>()
        .build();
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Printyard").version("1").description(Some(INTRODUCTION)).build())
        .components(Some(components))
        .security(Some([SecurityRequirement::new(SECURITY_SCHEME, Vec::<String>::new())]))
        .build()
}

/// Routes of the document and of the page that shows it.
pub fn router<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    // The document's own types always serialize. An empty document would fail its snapshot test.
    let json = Bytes::from(document.to_pretty_json().unwrap_or_default());
    let page = || async { ([(header::CONTENT_SECURITY_POLICY, DOCS_POLICY)], Html(DOCS_PAGE)) };
    Router::new()
        .route(
            "/api/openapi.json",
            get(async move || ([(header::CONTENT_TYPE, "application/json")], json.clone()).into_response()),
        )
        .route("/api/docs", get(page))
        .route("/api/docs/", get(page))
}
