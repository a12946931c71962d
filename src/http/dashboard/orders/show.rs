//! The page of an order: its sums, why it waits, its copies, and forms to change it.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{
    copies::{CopyRow, list_copies},
    errors::FormErrors,
    fields::local_time,
    summary::{OrderSummary, find_thumbnails},
    text::ReasonText,
};
use crate::{
    domain::{
        order::{Order, OrderFile, OrderState},
        part::Judgement,
        planner::Feasibility,
    },
    http::dashboard::{
        Dashboard, filters,
        form::FormData,
        messages::t,
        page::{Failure, PageFrame, PathUuid, Visitor, render_html},
        parts::part_path,
        time::TimeElement,
    },
    service::access::Principal,
};

/// A form that was sent and has errors.
#[derive(Default)]
pub(super) struct SentForm {
    /// Name of the form: its `act`, or the form of a copy.
    pub name: String,
    pub errors: FormErrors,
    pub typed: Option<FormData>,
}

/// The printers that can make the order.
struct FeasibilitySection {
    printers: u32,
    /// Why the others cannot.
    reasons: Vec<ReasonText>,
}

impl From<Feasibility> for FeasibilitySection {
    fn from(found: Feasibility) -> Self {
        Self { printers: found.printers, reasons: found.reasons.iter().map(ReasonText::from).collect() }
    }
}

/// The values that the form for changes begins with.
struct StoredFields {
    version: i64,
    quantity: u32,
    title: String,
    due_at: String,
    priority: u32,
}

#[derive(Template)]
#[template(path = "orders/show.html")]
struct OrderPage {
    frame: PageFrame,
    summary: OrderSummary,
    is_open: bool,
    is_on_hold: bool,
    /// Whether details can be changed: the order was neither cancelled nor short-closed.
    can_change: bool,
    has_running: bool,
    waiting: Vec<ReasonText>,
    /// `None`: the order has ended.
    feasibility: Option<FeasibilitySection>,
    /// Number of the part, and the path of its page.
    part: Option<(String, String)>,
    files: Vec<OrderFile>,
    judgement: &'static str,
    created_at: TimeElement,
    created_by: String,
    ended_at: Option<TimeElement>,
    copies: Vec<CopyRow>,
    has_more_copies: bool,
    stored: StoredFields,
    zone: &'static str,
    sent: SentForm,
    no_errors: FormErrors,
}

impl OrderPage {
    /// Returns the errors of a form.
    fn errors_in(&self, form: &str) -> &FormErrors {
        if self.sent.name == form { &self.sent.errors } else { &self.no_errors }
    }

    /// Returns whether a form was sent and has errors.
    fn is_sent(&self, form: &str) -> bool {
        self.sent.name == form
    }

    /// Returns what was typed into a form, or else the stored value.
    fn value(&self, form: &str, field: &str, stored: impl std::fmt::Display) -> String {
        match self.sent.typed.as_ref().filter(|_| self.is_sent(form)) {
            Some(typed) => typed.text(field).unwrap_or_default().to_owned(),
            None => stored.to_string(),
        }
    }
}

pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Response, Failure> {
    render_order(&dashboard, &who, id, SentForm::default()).await
}

/// Renders the page of an order, with the errors of a form.
pub(super) async fn render_order(
    dashboard: &Dashboard,
    who: &Principal,
    id: Uuid,
    sent: SentForm,
) -> Result<Response, Failure> {
    let view = dashboard.services.order(who, id).await?;
    let calendar = dashboard.services.calendar();
    let order = &view.counted.order;
    let is_open = order.ended_as.is_none();
    let feasibility = if is_open { Some(dashboard.services.feasibility(order).await?.into()) } else { None };
    let thumbnails = find_thumbnails(dashboard, who, std::slice::from_ref(&view)).await?;
    let (copies, has_more_copies) = list_copies(dashboard, who, id).await?;
    let state = view.counted.state();
    let status = if sent.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = OrderPage {
        frame: PageFrame::new(who, "queue"),
        summary: OrderSummary::new(&view, &thumbnails),
        is_open,
        is_on_hold: state == OrderState::OnHold,
        can_change: is_open || state == OrderState::Completed,
        has_running: view.counted.sums.active > 0,
        waiting: view.waiting_reasons.iter().filter(|_| is_open).map(ReasonText::from).collect(),
        feasibility,
        part: order.part.clone().map(|number| (part_path(&number), number)).map(|(path, number)| (number, path)),
        files: order.files.clone(),
        judgement: judgement_label(order.details.judgement),
        created_at: TimeElement::date_and_time(order.created_at),
        created_by: order.created_by.clone(),
        ended_at: order.completed_at.map(TimeElement::date_and_time),
        copies,
        has_more_copies,
        stored: StoredFields::new(order, |at| local_time(at, calendar)),
        zone: calendar.name(),
        sent,
        no_errors: FormErrors::default(),
    };
    Ok((status, render_html(&page)?).into_response())
}

impl StoredFields {
    fn new(order: &Order, format: impl Fn(chrono::DateTime<chrono::Utc>) -> String) -> Self {
        let details = &order.details;
        Self {
            version: order.version,
            quantity: details.quantity,
            title: details.title.clone(),
            due_at: details.due_at.map(format).unwrap_or_default(),
            priority: details.priority,
        }
    }
}

/// Returns the label of a judgement.
pub(in crate::http::dashboard) fn judgement_label(judgement: Judgement) -> &'static str {
    t(match judgement {
        Judgement::Auto => "order-judgement-auto",
        Judgement::Manual => "order-judgement-manual",
    })
}
