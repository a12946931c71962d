//! The page of the user's own account: the password, and the sessions in browsers.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    Dashboard, filters,
    form::Form,
    messages::{t, t_with},
    page::{Failure, Frame, Id, Visitor, html},
    time::Moment,
};
use crate::{
    domain::user::SHORTEST_PASSWORD,
    service::{Error, access::Principal},
};

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    tags: String,
    /// The login belongs to a user, which has a password and sessions.
    is_user: bool,
    /// The identity provider that has the password, if there is one.
    issuer: Option<String>,
    sessions: Vec<SessionLine>,
    problems: Vec<String>,
    changed: bool,
    shortest: usize,
}

struct SessionLine {
    id: Uuid,
    is_this: bool,
    agent: String,
    address: String,
    since: Moment,
    seen: Moment,
}

pub(super) async fn show(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Response, Failure> {
    page(&dashboard, &who, Vec::new(), false).await
}

async fn page(
    dashboard: &Dashboard,
    who: &Principal,
    problems: Vec<String>,
    changed: bool,
) -> Result<Response, Failure> {
    let sessions = match who.user_id {
        Some(id) => dashboard.services.sessions_of(who, id).await?,
        None => Vec::new(),
    };
    let sessions = sessions.into_iter().map(|session| SessionLine {
        id: session.id,
        is_this: who.session_id == Some(session.id),
        agent: browser(&session.agent),
        address: session.address.unwrap_or_default(),
        since: Moment::day(session.created_at),
        seen: Moment::day(session.last_seen_at),
    });
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = AccountPage {
        frame: Frame::of(who, "account"),
        tags: who.tags.join(", "),
        is_user: who.user_id.is_some(),
        issuer: dashboard.services.signs_on_at(who).await?,
        sessions: sessions.collect(),
        problems,
        changed,
        shortest: SHORTEST_PASSWORD,
    };
    Ok((status, html(&page)?).into_response())
}

pub(super) async fn change_password(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: Form,
) -> Result<Response, Failure> {
    let new = form.secret("password");
    if new != form.secret("again") {
        return page(&dashboard, &who, vec![t("account-two-passwords-differ").to_owned()], false).await;
    }
    match dashboard.services.change_password(&who, form.secret("old_password"), new).await {
        Ok(()) => page(&dashboard, &who, Vec::new(), true).await,
        Err(Error::Invalid(invalid)) => {
            let problems = Failure::from(Error::Invalid(invalid)).details;
            page(&dashboard, &who, problems, false).await
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn end_session(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Response, Failure> {
    let user_id = who.user_id.ok_or(Failure::from(Error::NotFound("session")))?;
    dashboard.services.end_session(&who, user_id, id).await?;
    Ok(Redirect::to("/account").into_response())
}

/// Returns browser and system from a `User-Agent`. Browsers imitate each other, so the most specific name counts.
fn browser(agent: &str) -> String {
    let among =
        |names: &[(&str, &'static str)]| names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name);
    let program = among(&[
        ("Edg", "Edge"),
        ("OPR", "Opera"),
        ("Firefox", "Firefox"),
        ("Chrom", "Chrome"),
        ("Safari", "Safari"),
        ("curl", "curl"),
    ]);
    let system = among(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => t_with("account-on", &[("program", &program), ("system", &system)]),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => t("account-browser-does-not-say").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_told_by_its_most_particular_name() {
        let edge = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/120 Safari/537.36 Edg/120";
        assert_eq!(browser(edge), "Edge on Windows");
        assert_eq!(browser("Mozilla/5.0 (Linux; Android 14) Chrome/120 Mobile Safari/537.36"), "Chrome on Android");
        assert_eq!(browser(""), "A browser that does not say what it is");
    }
}
