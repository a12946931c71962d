//! The queue: open orders first, the most urgent first.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    rank::Rank,
    summary::{OrderSummary, find_thumbnails},
    switch::SentSwitch,
    text::order_state_label,
};
use crate::{
    domain::order::OrderState,
    http::dashboard::{
        Dashboard, filters,
        form::FormData,
        list_filters,
        page::{Failure, PageFrame, Visitor, render_html},
    },
    service::{access::Principal, orders::OrderView},
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

    /// Returns the parameters that a form of the page sends along.
    pub(super) fn from_form(form: &FormData) -> Self {
        let text = |name| form.text(name).unwrap_or_default().to_owned();
        Self { state: text("state"), page: text("page") }
    }

    /// Returns the address of the page.
    pub(super) fn current_href(&self) -> String {
        self.href(self.number())
    }

    fn number(&self) -> u32 {
        self.page.parse().unwrap_or(1).clamp(1, MAX_PAGES)
    }
}

/// What the page says of a form that was sent and has errors.
#[derive(Default)]
pub(super) struct QueueNotes {
    pub switch: SentSwitch,
    /// Why an order was not moved.
    pub moved: Option<String>,
}

/// An order in the queue.
struct QueueRow {
    summary: OrderSummary,
    /// `None`: the order has ended, or the user may not move it.
    rank: Option<Rank>,
}

#[derive(Template)]
#[template(path = "orders/list.html")]
struct QueuePage {
    frame: PageFrame,
    rows: Vec<QueueRow>,
    /// Whether more than one order can be moved.
    can_move: bool,
    states: Vec<(&'static str, &'static str)>,
    notes: QueueNotes,
    first_href: Option<String>,
    next_href: Option<String>,
    params: QueueParams,
}

pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<QueueParams>,
) -> Result<Response, Failure> {
    render_queue(&dashboard, &who, params, QueueNotes::default()).await
}

/// Renders the queue, with the errors of a form.
pub(super) async fn render_queue(
    dashboard: &Dashboard,
    who: &Principal,
    params: QueueParams,
    notes: QueueNotes,
) -> Result<Response, Failure> {
    let number = params.number();
    // One order before the page and one after it, whose priorities the ranks need.
    let more_before = u32::from(number > 1);
    let skipped = i64::from((number - 1) * ROWS_PER_PAGE - more_before);
    let limit = i64::from(ROWS_PER_PAGE + more_before + 1);
    let state = OrderState::parse(&params.state);
    let mut views = dashboard.services.list_queue(who, state, skipped, limit).await?;
    let above = (number > 1 && !views.is_empty()).then(|| views.remove(0));
    let shown = usize::try_from(ROWS_PER_PAGE).unwrap_or(usize::MAX);
    let below = (views.len() > shown).then(|| views.remove(shown));
    views.truncate(shown);
    let thumbnails = find_thumbnails(dashboard, who, &views).await?;
    let frame = PageFrame::new(who, "queue");
    let open_priority = |view: &Option<OrderView>| {
        let order = view.as_ref().map(|view| &view.counted.order)?;
        order.ended_as.is_none().then_some(order.details.priority)
    };
    let mut ranks = Vec::new();
    if frame.can_operate() {
        ranks = Rank::of_rows(&views, open_priority(&above), open_priority(&below));
    }
    let can_move = ranks.len() > 1;
    let mut ranks = ranks.into_iter();
    let rows = views.iter().map(|view| QueueRow { summary: OrderSummary::new(view, &thumbnails), rank: ranks.next() });
    let page = QueuePage {
        frame,
        rows: rows.collect(),
        can_move,
        states: OrderState::ALL.iter().map(|state| (state.as_str(), order_state_label(*state))).collect(),
        notes,
        first_href: (number > 1).then(|| params.href(1)),
        next_href: below.is_some().then(|| params.href(number + 1)),
        params,
    };
    Ok(render_html(&page)?.into_response())
}
