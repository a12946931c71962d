//! The queue: open orders first, the most urgent first.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    summary::{OrderSummary, find_thumbnails},
    switch::SentSwitch,
    text::order_state_label,
};
use crate::{
    domain::order::OrderState,
    http::dashboard::{
        Dashboard, filters, list_filters,
        page::{Failure, PageFrame, Visitor, render_html},
    },
    service::access::Principal,
};

/// Number of orders per page.
const ROWS_PER_PAGE: u32 = 50;
/// Limits the rows that a request for a far page skips.
const MAX_PAGES: u32 = 10_000;

/// Query parameters of the page. Invalid ones do not restrict.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct QueueParams {
    state: String,
    /// Number of the page. Absent: the first one.
    page: String,
}

impl QueueParams {
    fn href(&self, page: u32) -> String {
        let page = if page > 1 { page.to_string() } else { String::new() };
        list_filters::href("/queue", &[("state", &self.state), ("page", &page)])
    }

    fn number(&self) -> u32 {
        self.page.parse().unwrap_or(1).clamp(1, MAX_PAGES)
    }
}

#[derive(Template)]
#[template(path = "orders/list.html")]
struct QueuePage {
    frame: PageFrame,
    rows: Vec<OrderSummary>,
    states: Vec<(&'static str, &'static str)>,
    switch: SentSwitch,
    first_href: Option<String>,
    next_href: Option<String>,
    params: QueueParams,
}

pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<QueueParams>,
) -> Result<Response, Failure> {
    render_queue(&dashboard, &who, params, SentSwitch::default()).await
}

/// Renders the queue, with the form of the switch if it has errors.
pub(super) async fn render_queue(
    dashboard: &Dashboard,
    who: &Principal,
    params: QueueParams,
    switch: SentSwitch,
) -> Result<Response, Failure> {
    let number = params.number();
    let skipped = i64::from((number - 1) * ROWS_PER_PAGE);
    let one_more = i64::from(ROWS_PER_PAGE) + 1;
    let state = OrderState::parse(&params.state);
    let mut views = dashboard.services.list_queue(who, state, skipped, one_more).await?;
    let shown = usize::try_from(ROWS_PER_PAGE).unwrap_or(usize::MAX);
    let has_more = views.len() > shown;
    views.truncate(shown);
    let thumbnails = find_thumbnails(dashboard, who, &views).await?;
    let page = QueuePage {
        frame: PageFrame::new(who, "queue"),
        rows: views.iter().map(|view| OrderSummary::new(view, &thumbnails)).collect(),
        states: OrderState::ALL.iter().map(|state| (state.as_str(), order_state_label(*state))).collect(),
        switch,
        first_href: (number > 1).then(|| params.href(1)),
        next_href: has_more.then(|| params.href(number + 1)),
        params,
    };
    Ok(render_html(&page)?.into_response())
}
