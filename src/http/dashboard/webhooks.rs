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
    form::FormData,
    messages::{t, text_of},
    page::{Failure, PageFrame, PathUuid, Visitor, render_html},
    time::TimeElement,
};
use crate::{
    domain::{
        access::Role,
        event::EventType,
        webhook::{Delivery, DeliveryFilter, DeliveryState, DisabledReason, WebhookDetails},
    },
    service::{
        Error,
        access::Principal,
        webhooks::{WebhookPatch, WebhookReport, WebhookView},
    },
};

/// Number of deliveries shown per webhook.
const DELIVERIES_SHOWN: i64 = 5;
/// How long the previous secret signs in addition to the new one.
const OVERLAP: TimeDelta = TimeDelta::days(1);

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct WebhookListPage {
    frame: PageFrame,
    webhooks: Vec<WebhookRow>,
    event_types: Vec<&'static str>,
    feedback: FormFeedback,
}

/// The result of a form.
#[derive(Default)]
struct FormFeedback {
    problems: Vec<String>,
    /// A new secret, shown only once, and the address that it is for.
    secret: Option<(String, String)>,
    test_result: Option<WebhookTestResult>,
}

/// The result of a test.
struct WebhookTestResult {
    url: String,
    latency_ms: i64,
    /// The problem and the next step.
    failure: Option<(String, String)>,
}

struct WebhookRow {
    id: Uuid,
    url: String,
    description: String,
    /// Empty: all.
    types: String,
    ordered: bool,
    enabled: bool,
    tags: String,
    /// Why it is disabled, in a sentence. Empty if it is enabled.
    disabled_text: &'static str,
    pending: i64,
    failing_since: Option<TimeElement>,
    last_success: Option<TimeElement>,
    last_error: Option<String>,
    overlap_until: Option<TimeElement>,
    deliveries: Vec<DeliveryRow>,
}

struct DeliveryRow {
    id: Uuid,
    at: TimeElement,
    event_type: &'static str,
    state: &'static str,
    is_bad: bool,
    attempts: i64,
    next_attempt: Option<TimeElement>,
    detail: String,
}

impl WebhookRow {
    fn from_view(view: WebhookView, deliveries: Vec<Delivery>) -> Self {
        let WebhookView { webhook, pending, overlap_until } = view;
        let details = webhook.details;
        let disabled_text = t(match webhook.disabled_reason {
            _ if details.enabled => "",
            Some(DisabledReason::Gone) => "webhook-disabled-gone",
            Some(DisabledReason::Failing) => "webhook-disabled-failing",
            None => "webhook-disabled",
        });
        Self {
            id: webhook.id,
            url: details.url,
            description: details.description,
            types: details.types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", "),
            ordered: details.ordered,
            enabled: details.enabled,
            tags: webhook.tags.join(", "),
            disabled_text,
            pending,
            failing_since: webhook.failing_since.map(TimeElement::date_and_time),
            last_success: webhook.last_success_at.map(TimeElement::date_and_time),
            last_error: webhook.last_error.as_ref().map(text_of),
            overlap_until: overlap_until.map(TimeElement::date_and_time),
            deliveries: deliveries.into_iter().map(DeliveryRow::from_delivery).collect(),
        }
    }
}

impl DeliveryRow {
    fn from_delivery(delivery: Delivery) -> Self {
        let state = t(match delivery.state {
            DeliveryState::Pending if delivery.attempts == 0 => "webhook-state-pending",
            DeliveryState::Pending => "webhook-state-retrying",
            DeliveryState::Delivered => "webhook-state-delivered",
            DeliveryState::Failed => "webhook-state-failed",
            DeliveryState::Abandoned => "webhook-state-abandoned",
        });
        Self {
            id: delivery.id,
            at: TimeElement::date_and_time(delivery.created_at),
            event_type: delivery.kind.as_str(),
            state,
            is_bad: matches!(delivery.state, DeliveryState::Failed | DeliveryState::Abandoned),
            attempts: delivery.attempts,
            next_attempt: delivery.next_at.filter(|_| delivery.attempts > 0).map(TimeElement::date_and_time),
            detail: delivery.error.as_ref().map(text_of).unwrap_or_default(),
        }
    }
}

pub(super) async fn list(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Response, Failure> {
    render_page(&dashboard, &who, FormFeedback::default()).await
}

async fn render_page(dashboard: &Dashboard, who: &Principal, feedback: FormFeedback) -> Result<Response, Failure> {
    let services = &dashboard.services;
    let mut webhooks = Vec::new();
    for view in services.list_webhooks(who).await? {
        let filter = DeliveryFilter::default();
        let deliveries = services.list_deliveries(who, view.webhook.id, &filter, None, DELIVERIES_SHOWN).await?;
        webhooks.push(WebhookRow::from_view(view, deliveries));
    }
    let status = if feedback.problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let event_types = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
    let page = WebhookListPage { frame: PageFrame::new(who, "settings"), webhooks, event_types, feedback };
    Ok((status, render_html(&page)?).into_response())
}

pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let details = WebhookDetails {
        url: form.text("url").unwrap_or_default().to_owned(),
        description: form.text("description").unwrap_or_default().to_owned(),
        types: form.values("types").filter_map(EventType::parse).collect(),
        enabled: true,
        ordered: form.is_set("ordered"),
    };
    match dashboard.services.create_webhook(&who, details).await {
        Ok((view, secret)) => render_secret(&dashboard, &who, view, secret).await,
        Err(error) => render_errors(&dashboard, &who, error).await,
    }
}

/// Performs the action of the pressed button.
pub(super) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let services = &dashboard.services;
    let switch = |on: bool| WebhookPatch { enabled: Some(on), ..WebhookPatch::default() };
    let result = match form.text("act") {
        Some("test") => {
            let url = services.webhook(&who, id).await?.webhook.details.url;
            match services.test_webhook(&who, id).await {
                Ok(report) => return render_page(&dashboard, &who, test_feedback(url, report)).await,
                Err(error) => Err(error),
            }
        }
        Some("rotate") => match services.rotate_webhook(&who, id, OVERLAP).await {
            Ok((view, secret)) => return render_secret(&dashboard, &who, view, secret).await,
            Err(error) => Err(error),
        },
        Some("enable") => services.patch_webhook(&who, id, None, switch(true)).await.map(drop),
        Some("disable") => services.patch_webhook(&who, id, None, switch(false)).await.map(drop),
        Some("redeliver") => {
            let delivery = form.ids("delivery").first().copied().ok_or_else(Failure::invalid_form)?;
            services.redeliver(&who, id, delivery).await.map(drop)
        }
        _ => return Err(Failure::invalid_form()),
    };
    match result {
        Ok(()) => Ok(Redirect::to("/webhooks").into_response()),
        Err(error) => render_errors(&dashboard, &who, error).await,
    }
}

pub(super) async fn remove(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Response, Failure> {
    dashboard.services.remove_webhook(&who, id).await?;
    Ok(Redirect::to("/webhooks").into_response())
}

fn test_feedback(url: String, report: WebhookReport) -> FormFeedback {
    let failure = report.failure.map(|failure| (text_of(&failure.problem), text_of(&failure.next_step)));
    FormFeedback {
        test_result: Some(WebhookTestResult { url, latency_ms: report.latency_ms, failure }),
        ..FormFeedback::default()
    }
}

async fn render_secret(
    dashboard: &Dashboard,
    who: &Principal,
    view: WebhookView,
    secret: String,
) -> Result<Response, Failure> {
    let feedback = FormFeedback { secret: Some((secret, view.webhook.details.url)), ..FormFeedback::default() };
    render_page(dashboard, who, feedback).await
}

/// Shows the page again, with the errors of the request.
async fn render_errors(dashboard: &Dashboard, who: &Principal, error: Error) -> Result<Response, Failure> {
    let problems = match error {
        Error::Invalid(invalid) => Failure::from(Error::Invalid(invalid)).details,
        Error::Conflict { detail, .. } => vec![text_of(&detail)],
        other => return Err(other.into()),
    };
    render_page(dashboard, who, FormFeedback { problems, ..FormFeedback::default() }).await
}
