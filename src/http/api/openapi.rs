//! The OpenAPI document, made from the handlers, and the page that shows it.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::{
    IntoParams, IntoResponses,
    openapi::{
        self, ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, RefOr,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    finish::problem,
    problem::{Problem, ProblemBody},
};

const INTRODUCTION: &str = "One command to many OctoPrint printers, and the truth about each.\n\n\
    Errors are `application/problem+json` with a stable `code`. Unknown fields and query parameters are errors (422). \
    New fields, outcomes, reasons and states may appear within v1: ignore what you do not know, and act on `final`, \
    `effect` and `result`, whose vocabularies are closed. Times are RFC 3339 UTC.";
const SCHEME: &str = "token";
/// Nothing from elsewhere, nothing inline but the one style that is inside of Swagger's own logo. The page makes some of
/// its signs as `data:` pictures.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; \
    style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; object-src 'none'; base-uri 'self'; \
    form-action 'none'; frame-ancestors 'none'";

/// How lists are paged.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes parameters for the document; `Params` reads them")]
pub struct Paging {
    /// Items of a page.
    #[param(default = 50, minimum = 1, maximum = 500)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// How long an answer may wait for the end.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes a header for the document; `Wait` reads it")]
pub struct PreferWait {
    /// `wait=n`: answer when every command has ended, or after n seconds (at most 30).
    #[param(rename = "Prefer", example = "wait=10")]
    prefer: Option<String>,
}

/// What can go wrong where a printer is asked.
pub struct FromPrinter;

impl IntoResponses for FromPrinter {
    fn responses() -> std::collections::BTreeMap<String, RefOr<openapi::Response>> {
        [
            (
                "502",
                "`printer_unauthorized`, `printer_protocol`: the printer refused, or did not answer as OctoPrint does",
            ),
            ("504", "`printer_unreachable`: no connection, or no answer in time"),
        ]
        .map(|(status, description)| (status.to_owned(), problem(description).into()))
        .into()
    }
}

/// The words of a vocabulary, for the text of a rule.
pub fn words_of<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().copied().map(word).collect()
}

/// The document before its paths are in it.
pub fn frame() -> OpenApi {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of `POST /tokens`, or the one of `PRINTYARD_ADMIN_TOKEN`."))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme(SCHEME, SecurityScheme::Http(scheme))
        .schema_from::<ProblemBody>()
        .schema_from::<super::problem::ProblemError>()
        .build();
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Printyard").version("1").description(Some(INTRODUCTION)).build())
        .components(Some(components))
        .security(Some([SecurityRequirement::new(SCHEME, Vec::<String>::new())]))
        .build()
}

/// The document, and a page to read it.
pub fn router<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    // Infallible: a document of our own types. An empty one would show at once in its snapshot.
    let json = Bytes::from(document.to_pretty_json().unwrap_or_default());
    let config = Arc::new(utoipa_swagger_ui::Config::from("/api/openapi.json"));
    let page = move |tail: String| asset(&tail, config.clone());
    let (index, slashed) = (page.clone(), page.clone());
    Router::new()
        .route(
            "/api/openapi.json",
            get(async move || ([(header::CONTENT_TYPE, "application/json")], json.clone()).into_response()),
        )
        .route("/api/docs", get(async move || index(String::new())))
        .route("/api/docs/", get(async move || slashed(String::new())))
        .route("/api/docs/{*rest}", get(async move |Path(rest): Path<String>| page(rest)))
}

fn asset(tail: &str, config: Arc<utoipa_swagger_ui::Config<'static>>) -> Response {
    let file = match utoipa_swagger_ui::serve(tail, config) {
        Ok(Some(file)) => file,
        Ok(None) => return Problem::not_found("page").into_response(),
        Err(error) => {
            let cause = error.to_string();
            tracing::error!(cause, "the page of the API cannot be made");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut bytes = file.bytes.into_owned();
    if file.content_type.starts_with("text/html") {
        // Its paths are relative to a folder, and the page is served without the slash, too.
        let based = "<head>\n    <base href=\"/api/docs/\">";
        bytes = String::from_utf8_lossy(&bytes).replacen("<head>", based, 1).into_bytes();
    }
    let content_type = HeaderValue::from_str(&file.content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let policy = HeaderValue::from_static(POLICY);
    let mut response =
        ([(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, policy)], bytes).into_response();
    if file.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
