//! Shared parts of all pages: the user, the frame, rendering, and error pages.

use std::cell::RefCell;

use askama::Template;
use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
};

use uuid::Uuid;

use super::{
    Dashboard, filters, labels,
    messages::{find_text, t, text_of},
};
use crate::{
    domain::{access::Role, validation::FieldError},
    http::{api::problem::Problem, auth},
    service::{Error, Services, access::Principal, error::StorageFailure},
};

/// The user of a session. A request without one is redirected to the login.
pub(super) struct Visitor(pub Principal);

impl FromRequestParts<Dashboard> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Response> {
        match auth::authenticate_session(&dashboard.services, &parts.headers).await {
            Ok(Some(principal)) => {
                remember_user(&principal);
                Ok(Self(Principal { origin: auth::request_origin(&parts.extensions), ..principal }))
            }
            Ok(None) => {
                let requested_path =
                    parts.uri.path_and_query().map(|path| path.as_str()).filter(|_| parts.method.is_safe());
                Err(redirect_to_login(requested_path))
            }
            Err(error) => Err(Failure::from(error).into_response()),
        }
    }
}

/// An id in a path. A path with anything else gets the page for unknown addresses (404).
pub(super) struct PathUuid(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathUuid {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let id = Path::<Uuid>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|_| Failure::page_not_found())
    }
}

/// Redirects to the login. After the login, the browser returns to the requested page.
fn redirect_to_login(next: Option<&str>) -> Response {
    let next = local_path(next).filter(|path| *path != "/" && !path.contains("/stream"));
    let query = next.map(|path| {
        let pairs = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
        format!("?{pairs}")
    });
    Redirect::to(&format!("/login{}", query.unwrap_or_default())).into_response()
}

/// The user and the menu entry that the frame of a page shows.
#[derive(Clone)]
pub(super) struct PageFrame {
    pub name: String,
    pub role: Role,
    /// Whether the user sees only the printers of some tags.
    pub is_limited: bool,
    /// The current menu entry.
    pub menu_entry: &'static str,
}

impl PageFrame {
    /// Returns the frame of a page for a user.
    pub fn new(who: &Principal, menu_entry: &'static str) -> Self {
        Self { name: who.name.clone(), role: who.role, is_limited: !who.tags.is_empty(), menu_entry }
    }

    /// Returns the translated name of the user's role.
    pub fn role_name(&self) -> &'static str {
        labels::role_label(self.role)
    }

    /// Returns whether the user may command printers.
    pub fn can_operate(&self) -> bool {
        self.role >= Role::Operator
    }

    /// Returns whether the user may change the printer registry.
    pub fn can_manage(&self) -> bool {
        self.role >= Role::Manager
    }

    /// Returns whether the user may create users.
    pub fn can_administer(&self) -> bool {
        self.role >= Role::Admin
    }
}

tokio::task_local! {
    /// The user of the current request, so that an error page has the menu, too.
    static CURRENT_USER: RefCell<Option<PageFrame>>;
}

/// Handles a request. Its error page gets the menu of its user.
pub(super) async fn remember_user_of<F: Future>(request: F) -> F::Output {
    CURRENT_USER.scope(RefCell::default(), request).await
}

fn remember_user(who: &Principal) {
    // Outside a request of a page there is nothing to remember.
    let _ = CURRENT_USER.try_with(|user| user.replace(Some(PageFrame::new(who, ""))));
}

/// Renders a template. An error is logged, and the user gets the page of an internal error.
pub(super) fn render_html(template: &impl Template) -> Result<Html<String>, Failure> {
    template.render().map(Html).map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        Failure::internal()
    })
}

/// Content of an error page: what failed, why, and what the user can do.
#[derive(Debug)]
pub(super) struct Failure {
    pub status: StatusCode,
    pub title: String,
    pub text: String,
    pub details: Vec<String>,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    frame: PageFrame,
    failure: &'a Failure,
}

/// The page of a failure without a known user.
#[derive(Template)]
#[template(path = "failure_bare.html")]
struct BareFailurePage<'a> {
    failure: &'a Failure,
}

impl Failure {
    /// Returns a failure. `title` is the message id of its title.
    pub fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self { status, title: t(title).to_owned(), text: text.into(), details: Vec::new() }
    }

    /// The body of the request is not a form of these pages.
    pub fn invalid_form() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "failure-broken-form", t("failure-broken-form-text"))
    }

    /// The form is larger than any form of these pages.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "failure-form-too-large", t("failure-form-too-large-text"))
    }

    /// The request exceeded the time limit of a page.
    pub fn timed_out() -> Self {
        let text = t("failure-timeout-text");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-timeout", text)
    }

    /// The database failed or did not answer. The notice on the page gives the cause as soon as it is known.
    pub fn database_unavailable() -> Self {
        let text = t("failure-database-text");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-database", text)
    }

    /// No page has this address.
    pub fn page_not_found() -> Self {
        let text = t("failure-no-such-page-text");
        Self::new(StatusCode::NOT_FOUND, "failure-no-such-page", text)
    }

    /// Returns the failure for a problem of the API.
    pub fn from_problem(problem: Problem) -> Self {
        let (status, detail, errors) = problem.page_texts();
        let details = errors.map(str::to_owned).collect();
        Self { details, ..Self::new(status, "failure-upload", detail) }
    }

    /// An internal error. The log has its cause.
    pub fn internal() -> Self {
        let text = t("failure-internal-text");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failure-internal", text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = text_of(&error.message());
        match error {
            Error::Invalid(invalid) => {
                let details = invalid.0.iter().map(broken_rule).collect();
                let failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-invalid", t("failure-invalid-text"));
                Self { details, ..failure }
            }
            Error::Unprocessable { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text),
            Error::NotFound(_) => Self {
                status: StatusCode::NOT_FOUND,
                title: text,
                text: t("failure-not-found-text").to_owned(),
                details: Vec::new(),
            },
            Error::Conflict { .. } | Error::OrderConflict { .. } => {
                Self::new(StatusCode::CONFLICT, "failure-conflict", text)
            }
            Error::SelectionChanged { .. } | Error::Stale | Error::CursorExpired { .. } => {
                Self::new(StatusCode::CONFLICT, "failure-changed-meantime", text)
            }
            Error::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "failure-forbidden", text),
            Error::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "failure-too-large", text),
            Error::UnknownFormat(_) => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "failure-upload", text),
            Error::NoSpace { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, "failure-upload", text),
            Error::ContentMissing(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-content-missing", text),
            Error::Busy(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-busy", text),
            Error::TooManyAttempts(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, "failure-too-many-attempts", text),
            Error::Printer { .. } => Self::new(StatusCode::BAD_GATEWAY, "failure-printer", text),
            Error::Storage { failure, cause } => {
                tracing::error!(error = %cause, "a page could not use the database");
                match failure {
                    StorageFailure::Unavailable => Self::database_unavailable(),
                    StorageFailure::Superseded => {
                        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-superseded", t("failure-superseded-text"))
                    }
                    StorageFailure::Unreadable | StorageFailure::Internal => Self::internal(),
                }
            }
            Error::Internal(cause) => {
                tracing::error!(error = %cause, "a page failed with an internal error");
                Self::internal()
            }
        }
    }
}

/// Returns a path on this site. Rejects everything that a browser could resolve to another site.
pub(super) fn local_path(path: Option<&str>) -> Option<&str> {
    path.filter(|path| {
        let second = path.as_bytes().get(1);
        path.starts_with('/')
            && second.is_none_or(|byte| !matches!(byte, b'/' | b'\\'))
            && path.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// Returns errors that the user can correct in the form. Any other error gets its own page.
pub(super) fn form_errors(error: Error) -> Result<Vec<String>, Failure> {
    match error {
        Error::Conflict { detail, .. } => Ok(vec![text_of(&detail)]),
        error @ Error::Invalid(_) => Ok(Failure::from(error).details),
        other => Err(other.into()),
    }
}

/// Returns the label of a field, as pages show it.
pub(super) fn field_label(name: &str) -> String {
    find_text(&format!("field-{}", name.replace('/', "-"))).map_or_else(|| name.replace(['/', '_'], " "), str::to_owned)
}

/// Returns a sentence about a broken rule, which begins with the label of the field.
pub(super) fn broken_rule(error: &FieldError) -> String {
    let label = field_label(error.pointer.trim_start_matches('/'));
    format!("{label} {}", text_of(&error.detail)).trim().to_owned()
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // If the error page itself cannot be rendered, the response is one line of text.
        let user = CURRENT_USER.try_with(|user| user.borrow().clone()).ok().flatten();
        let page = match user {
            Some(frame) => FailurePage { frame, failure: &self }.render(),
            None => BareFailurePage { failure: &self }.render(),
        };
        match page {
            Ok(page) => (self.status, Html(page)).into_response(),
            Err(_) => (self.status, self.title).into_response(),
        }
    }
}

/// Responds to requests for unknown paths.
pub(super) async fn not_found(
    axum::extract::State(services): axum::extract::State<Services>,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("json") && !accept.contains("text/html") {
        let body = r#"{"type":"about:blank","title":"Not Found","status":404}"#;
        return (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
    }
    match auth::authenticate_session(&services, &headers).await {
        Ok(Some(principal)) => {
            remember_user(&principal);
            Failure::page_not_found().into_response()
        }
        Ok(None) => redirect_to_login(None),
        Err(error) => Failure::from(error).into_response(),
    }
}
