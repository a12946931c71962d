//! Production by itself: whether the planner may start prints on a printer, what it does next, and why it gets no work. One
//! printer on its page, or a selection.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::find_entry;
use crate::{
    domain::{
        access::Role,
        planner::{Assignment, IdleReason},
    },
    http::dashboard::{
        Dashboard,
        batches::form,
        farm::tile_cache::PrinterEntry,
        filters,
        form::FormData,
        messages::{t, t_with},
        orders::order_path,
        outlook::{attention_id, idle_text},
        page::{Failure, PageFrame, PathUuid, Visitor, render_html},
        time::TimeElement,
    },
    service::{Error, access::Principal, planner::PlanView},
};

/// Number of printer names that are shown.
const MAX_NAMES: usize = 40;

/// A reason why the printer gets no work, and when it is expected to end.
struct ReasonLine {
    text: String,
    until: Option<TimeElement>,
}

impl From<&IdleReason> for ReasonLine {
    fn from(reason: &IdleReason) -> Self {
        Self { text: idle_text(reason.code, reason.orders), until: reason.until.map(TimeElement::date_and_time) }
    }
}

/// The copy that a printer takes next.
struct NextLine {
    label: String,
    /// `None`: the user may not see the order.
    href: Option<String>,
    parts: u32,
    at: TimeElement,
}

/// The part of the printer's page. The script loads it again when the printer changes.
#[derive(Template)]
#[template(path = "printers/_production.html")]
pub(super) struct ProductionSection {
    frame: PageFrame,
    id: Uuid,
    is_auto: bool,
    attention: Option<(&'static str, TimeElement)>,
    reasons: Vec<ReasonLine>,
    next: Option<NextLine>,
    /// Orders that it could not take next, by reason. Only if there is no next copy.
    refused: Vec<ReasonLine>,
}

impl ProductionSection {
    /// Returns the section for a user.
    pub async fn load(dashboard: &Dashboard, who: &Principal, entry: &PrinterEntry) -> Result<Self, Failure> {
        let printer = &entry.view.printer;
        let attention = printer
            .attention
            .map(|attention| (t(attention_id(attention.reason)), TimeElement::date_and_time(attention.since)));
        let mut section = Self {
            frame: PageFrame::new(who, "farm"),
            id: printer.id,
            is_auto: printer.details.production.auto,
            attention,
            reasons: Vec::new(),
            next: None,
            refused: Vec::new(),
        };
        if let Some(view) = dashboard.services.latest_plan().filter(|_| section.is_auto) {
            section.add_plan(dashboard, who, &view).await?;
        }
        Ok(section)
    }

    async fn add_plan(&mut self, dashboard: &Dashboard, who: &Principal, view: &PlanView) -> Result<(), Failure> {
        self.reasons = view.plan.idle_reasons(self.id).iter().map(ReasonLine::from).collect();
        let Some(next) = dashboard.services.plan_next(view, self.id) else { return Ok(()) };
        match &next.takes {
            Some(takes) => {
                self.next = Some(next_line(dashboard, who, takes, TimeElement::date_and_time(next.at)).await?)
            }
            None => self.refused = next.refused.iter().map(ReasonLine::from).collect(),
        }
        Ok(())
    }
}

async fn next_line(
    dashboard: &Dashboard,
    who: &Principal,
    takes: &Assignment,
    at: TimeElement,
) -> Result<NextLine, Failure> {
    let (label, href) = match dashboard.services.order(who, takes.order).await {
        Ok(one) => (one.counted.order.label(), Some(order_path(one.counted.order.id))),
        Err(Error::NotFound(_)) => (t("production-other-order").to_owned(), None),
        Err(error) => return Err(error.into()),
    };
    Ok(NextLine { label, href, parts: takes.parts, at })
}

/// Shows the section of a printer, for a page that is open.
pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Html<String>, Failure> {
    let (_, entry) = find_entry(&dashboard, &who, id).await?;
    render_html(&ProductionSection::load(&dashboard, &who, &entry).await?)
}

/// Opts the printer in or out.
pub(in crate::http::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    dashboard.services.set_auto(&who, &[id], parse_auto(&form)?).await?;
    Ok(Redirect::to(&format!("/printers/{id}")).into_response())
}

/// Asks whether the selected printers are to be opted in or out.
#[derive(Template)]
#[template(path = "printers/production.html")]
struct ProductionPage {
    frame: PageFrame,
    auto: bool,
    title: String,
    ids: Vec<Uuid>,
    names: Vec<String>,
    more_names: usize,
    back_path: String,
}

/// Opts the selected printers in or out. The page explains the effect first.
pub(in crate::http::dashboard) async fn change_selected(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let ids = form::target_ids(&dashboard, &who, &form).await?;
    if ids.is_empty() {
        let text = t("failure-nothing-selected");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
    }
    let auto = parse_auto(&form)?;
    if form.is_set("act") {
        dashboard.services.set_auto(&who, &ids, auto).await?;
        return Ok(Redirect::to(form.back_path()).into_response());
    }
    let mut printers = dashboard.services.registered_printers(&ids).await?;
    printers.retain(|printer| who.may_see(printer));
    if printers.is_empty() {
        return Err(Error::NotFound("printer").into());
    }
    let title = if auto { "production-turn-on-count" } else { "production-turn-off-count" };
    let page = ProductionPage {
        frame: PageFrame::new(&who, "farm"),
        auto,
        title: t_with(title, &[("n", &printers.len())]),
        ids: printers.iter().map(|printer| printer.id).collect(),
        names: printers.iter().take(MAX_NAMES).map(|printer| printer.details.name.clone()).collect(),
        more_names: printers.len().saturating_sub(MAX_NAMES),
        back_path: form.back_path().to_owned(),
    };
    Ok(render_html(&page)?.into_response())
}

fn parse_auto(form: &FormData) -> Result<bool, Failure> {
    match form.text("auto") {
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        _ => Err(Failure::invalid_form()),
    }
}
