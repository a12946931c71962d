//! The page of API tokens for admins: list, create, revoke. The secret of a new token is shown only once.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    Dashboard, filters,
    form::FormData,
    messages::{t, t_with},
    page::{Failure, PageFrame, PathUuid, Visitor, form_errors, render_html},
    time::TimeElement,
};
use crate::{
    clock,
    domain::{
        access::{Role, Token},
        printer::parse_tags,
    },
    service::{access::Principal, tokens::NewToken},
};

/// Number of tokens on the page.
const MAX_LISTED: i64 = 500;
/// The offered lifetimes of a token, in days.
const OFFERED_DAYS: [i64; 4] = [7, 30, 90, 365];

#[derive(Template)]
#[template(path = "tokens/list.html")]
struct TokenListPage {
    frame: PageFrame,
    tokens: Vec<TokenRow>,
    /// Older tokens are not shown.
    has_more: bool,
    roles: &'static [Role],
    fields: TokenFields,
    problems: Vec<String>,
    /// The name of a new token, and its secret.
    created: Option<(String, String)>,
}

/// The values of the form for a new token.
struct TokenFields {
    name: String,
    role: Role,
    tags: String,
    /// Values, labels, and which one is selected.
    lifetimes: Vec<(String, String, bool)>,
    requires_key: bool,
}

struct TokenRow {
    id: Uuid,
    name: String,
    role: Role,
    tags: String,
    requires_key: bool,
    created_at: TimeElement,
    created_by: Option<String>,
    last_used: Option<TimeElement>,
    expires: Option<TimeElement>,
    has_expired: bool,
}

impl From<Token> for TokenRow {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            tags: token.tags.join(", "),
            requires_key: token.requires_key,
            created_at: TimeElement::date_and_time(token.created_at),
            created_by: token.created_by,
            last_used: token.last_used_at.map(TimeElement::date_and_time),
            expires: token.expires_at.map(TimeElement::date_and_time),
            has_expired: token.expires_at.is_some_and(|at| at <= clock::now()),
        }
    }
}

impl TokenFields {
    /// Returns the values of a submitted form, or those of an empty one.
    fn from_form(form: Option<&FormData>) -> Self {
        let text = |name| form.and_then(|form| form.text(name)).unwrap_or_default().to_owned();
        let days = text("days");
        let never = (String::new(), t("token-never-expires").to_owned(), days.is_empty());
        let offered = OFFERED_DAYS.map(|offered| {
            let value = offered.to_string();
            let is_selected = value == days;
            (value, t_with("token-days", &[("n", &offered)]), is_selected)
        });
        Self {
            name: text("name"),
            role: Role::parse(&text("role")).unwrap_or(Role::Viewer),
            tags: text("tags"),
            lifetimes: std::iter::once(never).chain(offered).collect(),
            requires_key: form.is_some_and(|form| form.is_set("requires_key")),
        }
    }
}

pub(super) async fn list(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Response, Failure> {
    render_page(&dashboard, &who, TokenFields::from_form(None), Vec::new(), None).await
}

async fn render_page(
    dashboard: &Dashboard,
    who: &Principal,
    fields: TokenFields,
    problems: Vec<String>,
    created: Option<(String, String)>,
) -> Result<Response, Failure> {
    let mut tokens = dashboard.services.list_tokens(who, None, MAX_LISTED + 1).await?;
    let shown = usize::try_from(MAX_LISTED).unwrap_or(usize::MAX);
    let has_more = tokens.len() > shown;
    tokens.truncate(shown);
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = TokenListPage {
        frame: PageFrame::new(who, "settings"),
        tokens: tokens.into_iter().map(TokenRow::from).collect(),
        has_more,
        roles: Role::ALL,
        fields,
        problems,
        created,
    };
    Ok((status, render_html(&page)?).into_response())
}

/// Creates a token and shows its secret. The response is neither compressed nor stored by the browser.
pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Admin)?;
    let lifetime = form.number("days").map(|days| TimeDelta::days(i64::from(days)));
    let new = NewToken {
        name: form.text("name").unwrap_or_default().to_owned(),
        role: form.text("role").and_then(Role::parse).unwrap_or(Role::Viewer),
        tags: parse_tags(form.text("tags").unwrap_or_default()),
        expires_at: lifetime.and_then(|lifetime| clock::now().checked_add_signed(lifetime)),
        requires_key: form.is_set("requires_key"),
    };
    match dashboard.services.create_token(&who, new).await {
        Ok((token, secret)) => {
            let created = Some((token.name, secret));
            render_page(&dashboard, &who, TokenFields::from_form(None), Vec::new(), created).await
        }
        Err(error) => {
            let problems = form_errors(error)?;
            render_page(&dashboard, &who, TokenFields::from_form(Some(&form)), problems, None).await
        }
    }
}

/// Revokes a token that the user confirmed.
pub(super) async fn revoke(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    let token = dashboard.services.token(&who, id).await?;
    if !form.is_set("sure") {
        let text = t_with("token-revoke-unconfirmed", &[("name", &token.name)]);
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-unconfirmed", text));
    }
    dashboard.services.revoke_token(&who, id).await?;
    Ok(Redirect::to("/tokens").into_response())
}
