//! What all pages share: who looks at them, how they are made, and what they say when something fails.

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
    language::{fill, said, t},
    words,
};
use crate::{
    domain::access::Role,
    http::{api::problem::Problem, auth},
    service::{Error, Services, access::Principal, error::StorageError},
};

/// Somebody with a session. Everybody else is sent to the login.
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

/// An id in an address. What is none leads nowhere, with a page that says so.
pub(super) struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let id = Path::<Uuid>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|_| Failure::no_page())
    }
}

/// To the login, and back to where somebody wanted to go.
fn to_login(next: Option<&str>) -> Response {
    let next = own_path(next).filter(|path| *path != "/" && !path.contains("/stream"));
    let query = next.map(|path| {
        let pairs = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
        format!("?{pairs}")
    });
    Redirect::to(&format!("/login{}", query.unwrap_or_default())).into_response()
}

/// Who is logged in, as the frame of a page shows it.
pub(super) struct Frame {
    pub name: String,
    pub role: Role,
    /// Which entry of the menu is current.
    pub here: &'static str,
}

impl Frame {
    /// The frame of a page for somebody.
    pub fn of(who: &Principal, here: &'static str) -> Self {
        Self { name: who.name.clone(), role: who.role, here }
    }

    /// What their role is called.
    pub fn role_name(&self) -> &'static str {
        words::role(self.role)
    }

    /// May command printers.
    pub fn operates(&self) -> bool {
        self.role >= Role::Operator
    }

    /// May change the register.
    pub fn manages(&self) -> bool {
        self.role >= Role::Manager
    }

    /// May make users.
    pub fn administers(&self) -> bool {
        self.role >= Role::Admin
    }
}

/// A page, or what is wrong with its template.
pub(super) fn html(template: &impl Template) -> Result<Html<String>, Failure> {
    template.render().map(Html).map_err(|error| {
        tracing::error!(%error, "a page could not be made");
        Failure::internal()
    })
}

/// Why there is no page, in people's words, with a way out.
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
    /// A failure in people's words; said in the reader's language where that is known.
    pub fn new(status: StatusCode, title: &str, text: impl AsRef<str>) -> Self {
        Self { status, title: t(title).to_owned(), text: said(text.as_ref()), details: Vec::new() }
    }

    /// What was sent is no form of ours.
    pub fn broken_form() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The form did not arrive", "Nothing was done. Go back and send it again.")
    }

    /// A form that is larger than any of ours.
    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large", "Nothing was done. Send less of it at once.")
    }

    /// No answer came within the time that a page may take.
    pub fn too_late() -> Self {
        let text = t("It may have been done nevertheless: look before you send it again.");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "That took too long", text)
    }

    /// The database failed or did not answer. The notice on the page says more once it is known.
    pub fn database_away() -> Self {
        let text = t(
            "The database did not answer, so this page cannot be shown. If you were changing something, check \
                      whether it was done before you repeat it. Try again in a few seconds; if this lasts, tell the person \
                      who runs the server.",
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The database is not available", text)
    }

    /// An address that leads nowhere.
    pub fn no_page() -> Self {
        let text = t("The address may be mistyped, or the page may have moved.");
        Self::new(StatusCode::NOT_FOUND, "There is no such page", text)
    }

    /// What the API would say of it.
    pub fn of_problem(problem: Problem) -> Self {
        let (status, detail, errors) = problem.words();
        let details = errors.map(said).collect();
        Self { details, ..Self::new(status, "The file was not taken", detail) }
    }

    /// A defect of ours; its cause is in the log.
    pub fn internal() -> Self {
        let text = t("Nothing more is known on this page; the server's log says what happened.");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here", text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Invalid(invalid) => {
                let details = invalid.0.into_iter().map(|field| {
                    let name = field.pointer.trim_start_matches('/');
                    // A field without a translation shows its own name.
                    let name = Some(t(name))
                        .filter(|known| *known != name)
                        .map_or_else(|| name.replace(['/', '_'], " "), str::to_owned);
                    format!("{name} {}", said(&field.detail)).trim().to_owned()
                });
                let details = details.collect();
                let failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "That does not fit", "Nothing was done.");
                Self { details, ..failure }
            }
            Error::Unprocessable { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was done", text),
            Error::NotFound(what) => Self::new(
                StatusCode::NOT_FOUND,
                &fill(t("There is no such {what}"), &[("what", &t(what))]),
                "It may have been removed, or it is outside what you may see.",
            ),
            Error::Conflict { .. } => Self::new(StatusCode::CONFLICT, "Not now", text),
            Error::SelectionChanged { .. } | Error::Stale | Error::CursorExpired { .. } => Self::new(
                StatusCode::CONFLICT,
                "It changed in the meantime",
                fill(t("{what}. Look at it again."), &[("what", &said(&text))]),
            ),
            Error::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "Your role does not allow this", text),
            Error::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", text),
            Error::Busy(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Too much is under way", text),
            Error::TooManyAttempts(_) => Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", text),
            Error::Printer(cause) => Self::new(
                StatusCode::BAD_GATEWAY,
                "The printer did not do its part",
                fill(t("The printer {what}."), &[("what", &said(&cause.to_string()))]),
            ),
            Error::Storage(cause) => {
                tracing::error!(error = %cause, "a page could not use the database");
                match cause {
                    StorageError::Unavailable(_) => Self::database_away(),
                    StorageError::Superseded => Self::new(
                        StatusCode::SERVICE_UNAVAILABLE,
                        "Another server has taken over the farm",
                        "Nothing was done. Open the address of that server.",
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
                tracing::error!(error = %cause, "a page could not be made");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // An error page that fails itself is a line of text: no page about a page about a page.
        match (FailurePage { failure: &self }).render() {
            Ok(page) => (self.status, Html(page)).into_response(),
            Err(_) => (self.status, self.title).into_response(),
        }
    }
}

/// A path that leads nowhere.
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
