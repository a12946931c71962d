//! The webhooks page for managers: receivers, their event types, errors, and the last deliveries.

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
    form::Form,
    language::said,
    messages::t,
    page::{Failure, Frame, Id, Visitor, html},
    time::Moment,
};
use crate::{
    domain::{
        access::Role,
        event::EventType,
        webhook::{Delivery, DeliveryState, DisabledReason, WebhookDetails},
    },
    service::{
        Error,
        access::Principal,
        webhooks::{DeliveryFilter, WebhookPatch, WebhookReport, WebhookView},
    },
};

/// Number of deliveries shown per webhook.
const LISTED: i64 = 5;
/// How long the previous secret signs in addition to the new one.
const OVERLAP: TimeDelta = TimeDelta::days(1);

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct ListPage {
    frame: Frame,
    webhooks: Vec<Line>,
    kinds: Vec<&'static str>,
    feedback: Feedback,
}

/// The result of a form.
#[derive(Default)]
struct Feedback {
    problems: Vec<String>,
    /// A new secret, shown only once, and the address that it is for.
    secret: Option<(String, String)>,
    tested: Option<Tested>,
}

/// The result of a test.
struct Tested {
    url: String,
    latency_ms: i64,
    /// The error, and what to do about it.
    trouble: Option<(String, String)>,
}

struct Line {
    id: Uuid,
    url: String,
    description: String,
    /// Empty: all.
    types: String,
    ordered: bool,
    enabled: bool,
    tags: String,
    /// Why it is disabled, in a sentence. Empty if it is enabled.
    off: &'static str,
    pending: i64,
    failing_since: Option<Moment>,
    last_success: Option<Moment>,
    last_error: Option<String>,
    overlap_until: Option<Moment>,
    deliveries: Vec<Sent>,
}

struct Sent {
    id: Uuid,
    at: Moment,
    kind: &'static str,
    state: &'static str,
    is_bad: bool,
    attempts: i64,
    next: Option<Moment>,
    detail: String,
}

impl Line {
    fn of(view: WebhookView, deliveries: Vec<Delivery>) -> Self {
        let WebhookView { webhook, pending, overlap_until } = view;
        let details = webhook.details;
        let off = t(match webhook.disabled_reason {
            _ if details.enabled => "",
            Some(DisabledReason::Gone) => "webhook-switched-off-receiver-said",
            Some(DisabledReason::Failing) => "webhook-switched-off-nothing-got",
            None => "webhook-switched-off",
        });
        Self {
            id: webhook.id,
            url: details.url,
            description: details.description,
            types: details.types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", "),
            ordered: details.ordered,
            enabled: details.enabled,
            tags: webhook.tags.join(", "),
            off,
            pending,
            failing_since: webhook.failing_since.map(Moment::day),
            last_success: webhook.last_success_at.map(Moment::day),
            last_error: webhook.last_error.as_deref().map(said),
            overlap_until: overlap_until.map(Moment::day),
            deliveries: deliveries.into_iter().map(Sent::of).collect(),
        }
    }
}

impl Sent {
    fn of(delivery: Delivery) -> Self {
        let state = t(match delivery.state {
            DeliveryState::Pending if delivery.attempts == 0 => "webhook-sent",
            DeliveryState::Pending => "webhook-sent-again",
            DeliveryState::Delivered => "webhook-taken",
            DeliveryState::Failed => "webhook-not-taken",
            DeliveryState::Abandoned => "webhook-given-up",
        });
        Self {
            id: delivery.id,
            at: Moment::day(delivery.created_at),
            kind: delivery.kind.as_str(),
            state,
            is_bad: matches!(delivery.state, DeliveryState::Failed | DeliveryState::Abandoned),
            attempts: delivery.attempts,
            next: delivery.next_at.filter(|_| delivery.attempts > 0).map(Moment::day),
            detail: delivery.error.as_deref().map(said).unwrap_or_default(),
        }
    }
}

pub(super) async fn list(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Response, Failure> {
    page(&dashboard, &who, Feedback::default()).await
}

async fn page(dashboard: &Dashboard, who: &Principal, feedback: Feedback) -> Result<Response, Failure> {
    let services = &dashboard.services;
    let mut webhooks = Vec::new();
    for view in services.list_webhooks(who).await? {
        let filter = DeliveryFilter::default();
        let deliveries = services.list_deliveries(who, view.webhook.id, &filter, None, LISTED).await?;
        webhooks.push(Line::of(view, deliveries));
    }
    let status = if feedback.problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let kinds = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    let page = ListPage { frame: Frame::of(who, "webhooks"), webhooks, kinds, feedback };
    Ok((status, html(&page)?).into_response())
}

pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let details = WebhookDetails {
        url: form.text("url").unwrap_or_default().to_owned(),
        description: form.text("description").unwrap_or_default().to_owned(),
        types: form.all("types").filter_map(EventType::parse).collect(),
        enabled: true,
        ordered: form.is_set("ordered"),
    };
    match dashboard.services.create_webhook(&who, details).await {
        Ok((view, secret)) => with_secret(&dashboard, &who, view, secret).await,
        Err(error) => again(&dashboard, &who, error).await,
    }
}

/// Performs the action of the pressed button.
pub(super) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let services = &dashboard.services;
    let switch = |on: bool| WebhookPatch { enabled: Some(on), ..WebhookPatch::default() };
    let done = match form.text("act") {
        Some("test") => {
            let url = services.webhook(&who, id).await?.webhook.details.url;
            match services.test_webhook(&who, id).await {
                Ok(report) => return page(&dashboard, &who, tested(url, report)).await,
                Err(error) => Err(error),
            }
        }
        Some("rotate") => match services.rotate_webhook(&who, id, OVERLAP).await {
            Ok((view, secret)) => return with_secret(&dashboard, &who, view, secret).await,
            Err(error) => Err(error),
        },
        Some("enable") => services.patch_webhook(&who, id, None, switch(true)).await.map(drop),
        Some("disable") => services.patch_webhook(&who, id, None, switch(false)).await.map(drop),
        Some("redeliver") => {
            let delivery = form.ids("delivery").first().copied().ok_or_else(Failure::broken_form)?;
            services.redeliver(&who, id, delivery).await.map(drop)
        }
        _ => return Err(Failure::broken_form()),
    };
    match done {
        Ok(()) => Ok(Redirect::to("/webhooks").into_response()),
        Err(error) => again(&dashboard, &who, error).await,
    }
}

pub(super) async fn remove(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Response, Failure> {
    dashboard.services.remove_webhook(&who, id).await?;
    Ok(Redirect::to("/webhooks").into_response())
}

fn tested(url: String, report: WebhookReport) -> Feedback {
    let trouble = report.trouble.map(|(what, todo)| (said(&what), said(&todo)));
    Feedback { tested: Some(Tested { url, latency_ms: report.latency_ms, trouble }), ..Feedback::default() }
}

async fn with_secret(
    dashboard: &Dashboard,
    who: &Principal,
    view: WebhookView,
    secret: String,
) -> Result<Response, Failure> {
    let feedback = Feedback { secret: Some((secret, view.webhook.details.url)), ..Feedback::default() };
    page(dashboard, who, feedback).await
}

/// Shows the page again, with the errors of the request.
async fn again(dashboard: &Dashboard, who: &Principal, error: Error) -> Result<Response, Failure> {
    let problems = match error {
        Error::Invalid(invalid) => Failure::from(Error::Invalid(invalid)).details,
        Error::Conflict { detail, .. } => vec![said(&detail)],
        other => return Err(other.into()),
    };
    page(dashboard, who, Feedback { problems, ..Feedback::default() }).await
}
