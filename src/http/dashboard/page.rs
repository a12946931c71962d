//! Shared parts of all pages: the user, the frame, rendering, and error pages.

use askama::Template;
use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
};

use uuid::Uuid;

use super::{
    Dashboard, filters,
    form::own_path,
    labels,
    language::said,
    messages::{t, t_with},
};
use crate::{
    domain::access::Role,
    http::{api::problem::Problem, auth},
    service::{Error, Services, access::Principal, error::StorageError},
};

/// The user of a session. A request without one is redirected to the login.
pub(super) struct Visitor(pub Principal);

impl FromRequestParts<Dashboard> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, dashboard: &Dashboard) -> Result<Self, Response> {
        match auth::by_session(&dashboard.services, &parts.headers).await {
            Ok(Some(principal)) => Ok(Self(Principal { origin: auth::origin_of(&parts.extensions), ..principal })),
            Ok(None) => {
                let here = parts.uri.path_and_query().map(|path| path.as_str()).filter(|_| parts.method.is_safe());
                Err(to_login(here))
            }
            Err(error) => Err(Failure::from(error).into_response()),
        }
    }
}

/// An id in a path. A path with anything else gets the page for unknown addresses (404).
pub(super) struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let id = Path::<Uuid>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|_| Failure::no_page())
    }
}

/// Redirects to the login. After the login, the browser returns to the requested page.
fn to_login(next: Option<&str>) -> Response {
    let next = own_path(next).filter(|path| *path != "/" && !path.contains("/stream"));
    let query = next.map(|path| {
        let pairs = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
        format!("?{pairs}")
    });
    Redirect::to(&format!("/login{}", query.unwrap_or_default())).into_response()
}

/// The user and the menu entry that the frame of a page shows.
pub(super) struct Frame {
    pub name: String,
    pub role: Role,
    /// The current menu entry.
    pub here: &'static str,
}

impl Frame {
    /// Returns the frame of a page for a user.
    pub fn of(who: &Principal, here: &'static str) -> Self {
        Self { name: who.name.clone(), role: who.role, here }
    }

    /// Returns the translated name of the user's role.
    pub fn role_name(&self) -> &'static str {
        labels::role(self.role)
    }

    /// Returns whether the user may command printers.
    pub fn operates(&self) -> bool {
        self.role >= Role::Operator
    }

    /// Returns whether the user may change the printer registry.
    pub fn manages(&self) -> bool {
        self.role >= Role::Manager
    }

    /// Returns whether the user may create users.
    pub fn administers(&self) -> bool {
        self.role >= Role::Admin
    }
}

/// Renders a template. An error is logged, and the user gets the page of an internal error.
pub(super) fn html(template: &impl Template) -> Result<Html<String>, Failure> {
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
    failure: &'a Failure,
}

impl Failure {
    /// Returns a failure. `title` is the message id of its title.
    pub fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self { status, title: t(title).to_owned(), text: text.into(), details: Vec::new() }
    }

    /// The body of the request is not a form of these pages.
    pub fn broken_form() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "failure-form-did-not-arrive", t("failure-nothing-done-go-back"))
    }

    /// The form is larger than any form of these pages.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "failure-form-too-large", t("failure-nothing-done-send-less"))
    }

    /// The request exceeded the time limit of a page.
    pub fn too_late() -> Self {
        let text = t("failure-may-been-done-nevertheless");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-took-too-long", text)
    }

    /// The database failed or did not answer. The notice on the page gives the cause as soon as it is known.
    pub fn database_away() -> Self {
        let text = t("failure-database-did-not-answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-database-not-available", text)
    }

    /// No page has this address.
    pub fn no_page() -> Self {
        let text = t("failure-address-may-mistyped-page");
        Self::new(StatusCode::NOT_FOUND, "failure-there-no-such-page", text)
    }

    /// Returns the failure for a problem of the API.
    pub fn of_problem(problem: Problem) -> Self {
        let (status, detail, errors) = problem.words();
        let details = errors.map(said).collect();
        Self { details, ..Self::new(status, "failure-file-not-taken", said(detail)) }
    }

    /// An internal error. The log has its cause.
    pub fn internal() -> Self {
        let text = t("failure-nothing-more-known-page");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failure-something-went-wrong-here", text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = said(&error.to_string());
        match error {
            Error::Invalid(invalid) => {
                let details = invalid.0.into_iter().map(|field| {
                    let name = field.pointer.trim_start_matches('/');
                    // A field whose name has no translation is shown with its own name.
                    let name =
                        Some(said(name)).filter(|known| known != name).unwrap_or_else(|| name.replace(['/', '_'], " "));
                    format!("{name} {}", said(&field.detail)).trim().to_owned()
                });
                let details = details.collect();
                let failure =
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-does-not-fit", t("failure-nothing-done"));
                Self { details, ..failure }
            }
            Error::Unprocessable { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text),
            Error::NotFound(what) => Self {
                status: StatusCode::NOT_FOUND,
                title: t_with("failure-there-no-such", &[("what", &said(what))]),
                text: t("failure-may-been-removed-outside").to_owned(),
                details: Vec::new(),
            },
            Error::Conflict { .. } => Self::new(StatusCode::CONFLICT, "failure-not-now", text),
            Error::SelectionChanged { .. } | Error::Stale | Error::CursorExpired { .. } => Self::new(
                StatusCode::CONFLICT,
                "failure-changed-meantime",
                t_with("failure-look-again", &[("what", &text)]),
            ),
            Error::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "failure-your-role-does-not", text),
            Error::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "failure-too-large", text),
            Error::Busy(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "failure-too-much-under-way", text),
            Error::TooManyAttempts(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, "failure-too-many-attempts", text),
            Error::Printer(cause) => Self::new(
                StatusCode::BAD_GATEWAY,
                "failure-printer-did-not-do",
                t_with("failure-printer", &[("what", &said(&cause.to_string()))]),
            ),
            Error::Storage(cause) => {
                tracing::error!(error = %cause, "a page could not use the database");
                match cause {
                    StorageError::Unavailable(_) => Self::database_away(),
                    StorageError::Superseded => Self::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "failure-another-server-taken-over",
                        t("failure-nothing-done-open-address"),
                    ),
                    StorageError::NameTaken
                    | StorageError::UrlTaken
                    | StorageError::KeyTaken
                    | StorageError::Broken { .. }
                    | StorageError::Setup(_)
                    | StorageError::Database(_) => Self::internal(),
                }
            }
            Error::Internal(cause) => {
                tracing::error!(error = %cause, "a page failed with an internal error");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // If the error page itself cannot be rendered, the response is one line of text.
        match (FailurePage { failure: &self }).render() {
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
    match auth::by_session(&services, &headers).await {
        Ok(Some(_)) => Failure::no_page().into_response(),
        Ok(None) => to_login(None),
        Err(error) => Failure::from(error).into_response(),
    }
}
