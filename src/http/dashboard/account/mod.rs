//! The page of the user's own account: the password, and the sessions in browsers.

pub(super) mod login;
pub(super) mod sign_on;

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
    messages::{t, t_with},
    page::{Failure, PageFrame, PathUuid, Visitor, render_html},
    time::TimeElement,
};
use crate::{
    domain::user::MIN_PASSWORD_LENGTH,
    service::{Error, access::Principal},
};

#[derive(Template)]
#[template(path = "account/show.html")]
struct AccountPage {
    frame: PageFrame,
    tags: String,
    /// The login belongs to a user, which has a password and sessions.
    is_user: bool,
    /// The identity provider that has the password, if there is one.
    issuer: Option<String>,
    session_rows: Vec<SessionRow>,
    problems: Vec<String>,
    changed: bool,
    min_password_length: usize,
}

struct SessionRow {
    id: Uuid,
    is_current: bool,
    agent: String,
    address: String,
    created_at: TimeElement,
    last_used_at: TimeElement,
}

pub(super) async fn show(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Response, Failure> {
    render_page(&dashboard, &who, Vec::new(), false).await
}

async fn render_page(
    dashboard: &Dashboard,
    who: &Principal,
    problems: Vec<String>,
    changed: bool,
) -> Result<Response, Failure> {
    let sessions = match who.user_id {
        Some(id) => dashboard.services.list_sessions(who, id).await?,
        None => Vec::new(),
    };
    let sessions = sessions.into_iter().map(|session| SessionRow {
        id: session.id,
        is_current: who.session_id == Some(session.id),
        agent: describe_browser(&session.agent),
        address: session.address.unwrap_or_default(),
        created_at: TimeElement::date_and_time(session.created_at),
        last_used_at: TimeElement::date_and_time(session.last_seen_at),
    });
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = AccountPage {
        frame: PageFrame::new(who, "settings"),
        tags: who.tags.join(", "),
        is_user: who.user_id.is_some(),
        issuer: dashboard.services.sign_on_issuer(who).await?,
        session_rows: sessions.collect(),
        problems,
        changed,
        min_password_length: MIN_PASSWORD_LENGTH,
    };
    Ok((status, render_html(&page)?).into_response())
}

pub(super) async fn change_password(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    let new = form.secret("password");
    if new != form.secret("again") {
        return render_page(&dashboard, &who, vec![t("account-passwords-differ").to_owned()], false).await;
    }
    match dashboard.services.change_password(&who, form.secret("old_password"), new).await {
        Ok(()) => render_page(&dashboard, &who, Vec::new(), true).await,
        Err(Error::Invalid(invalid)) => {
            let problems = Failure::from(Error::Invalid(invalid)).details;
            render_page(&dashboard, &who, problems, false).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn end_session(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Response, Failure> {
    let user_id = who.user_id.ok_or(Failure::from(Error::NotFound("session")))?;
    dashboard.services.end_session(&who, user_id, id).await?;
    Ok(Redirect::to("/account").into_response())
}

/// Returns browser and system from a `User-Agent`. Browsers imitate each other, so the most specific name counts.
fn describe_browser(agent: &str) -> String {
    let find_name =
        |names: &[(&str, &'static str)]| names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name);
    let program = find_name(&[
        ("Edg", "Edge"),
        ("OPR", "Opera"),
        ("Firefox", "Firefox"),
        ("Chrom", "Chrome"),
        ("Safari", "Safari"),
        ("curl", "curl"),
    ]);
    let system = find_name(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => {
            t_with("account-browser-on-system", &[("program", &program), ("system", &system)])
        }
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => t("account-browser-unknown").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_described_by_its_most_specific_name() {
        let edge = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/120 Safari/537.36 Edg/120";
        assert_eq!(describe_browser(edge), "Edge on Windows");
        assert_eq!(
            describe_browser("Mozilla/5.0 (Linux; Android 14) Chrome/120 Mobile Safari/537.36"),
            "Chrome on Android"
        );
        assert_eq!(describe_browser(""), "Unknown browser");
    }
}
