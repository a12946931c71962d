//! The users page for admins: create, change, disable.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    Dashboard, filters,
    form::FormData,
    messages::text_of,
    page::{Failure, PageFrame, PathUuid, Visitor, render_html},
    time::TimeElement,
};
use crate::{
    domain::{
        access::Role,
        user::{MIN_PASSWORD_LENGTH, UserDetails},
    },
    service::{Error, access::Principal, users::UserPatch},
};

/// Number of users on the page.
const MAX_LISTED: i64 = 500;

#[derive(Template)]
#[template(path = "users/list.html")]
struct UserListPage {
    frame: PageFrame,
    users: Vec<UserRow>,
    roles: &'static [Role],
    problems: Vec<String>,
    min_password_length: usize,
}

struct UserRow {
    id: Uuid,
    name: String,
    role: Role,
    tags: String,
    enabled: bool,
    last_login: Option<TimeElement>,
    /// The identity provider of the user, if any.
    issuer: Option<String>,
}

pub(super) async fn list(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Response, Failure> {
    render_page(&dashboard, &who, Vec::new()).await
}

async fn render_page(dashboard: &Dashboard, who: &Principal, problems: Vec<String>) -> Result<Response, Failure> {
    let users = dashboard.services.list_users(who, None, MAX_LISTED).await?;
    let mut issuers = dashboard.services.sign_on_issuers(who).await?;
    let users = users.into_iter().map(|user| UserRow {
        id: user.id,
        issuer: issuers.remove(&user.id),
        name: user.details.name,
        role: user.details.role,
        tags: user.details.tags.join(", "),
        enabled: user.details.enabled,
        last_login: user.last_login_at.map(TimeElement::date_and_time),
    });
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = UserListPage {
        frame: PageFrame::new(who, "settings"),
        users: users.collect(),
        roles: Role::ALL,
        problems,
        min_password_length: MIN_PASSWORD_LENGTH,
    };
    Ok((status, render_html(&page)?).into_response())
}

pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Admin)?;
    let details = UserDetails {
        name: form.text("name").unwrap_or_default().to_owned(),
        role: form.text("role").and_then(Role::parse).unwrap_or(Role::Viewer),
        tags: parse_tags(&form),
        enabled: true,
    };
    match dashboard.services.create_user(&who, details, Some(form.secret("password"))).await {
        Ok(_) => Ok(Redirect::to("/users").into_response()),
        Err(error) => render_errors(&dashboard, &who, error).await,
    }
}

/// Changes what the form names.
pub(super) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Admin)?;
    let password = Some(form.secret("password")).filter(|password| !password.is_empty());
    let patch = UserPatch {
        name: None,
        role: form.text("role").and_then(Role::parse),
        tags: form.is_set("role").then(|| parse_tags(&form)),
        enabled: match form.text("enabled") {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        },
        password: password.map(str::to_owned),
    };
    match dashboard.services.patch_user(&who, id, None, patch).await {
        Ok(_) => Ok(Redirect::to("/users").into_response()),
        Err(error) => render_errors(&dashboard, &who, error).await,
    }
}

/// Shows the page again, with the errors of the request.
async fn render_errors(dashboard: &Dashboard, who: &Principal, error: Error) -> Result<Response, Failure> {
    let problems = match error {
        Error::Invalid(invalid) => Failure::from(Error::Invalid(invalid)).details,
        Error::Conflict { detail, .. } => vec![text_of(&detail)],
        other => return Err(other.into()),
    };
    render_page(dashboard, who, problems).await
}

fn parse_tags(form: &FormData) -> Vec<String> {
    let tags = form.text("tags").unwrap_or_default().split([',', ' ']).map(str::trim);
    tags.filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}
