//! The audit log page for admins: who changed what, from where. Filters by user, action, printer and time.

mod action_labels;
pub(super) mod text;

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{Html, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use self::text::AuditNames;
use super::{
    Dashboard, filters, list_filters,
    messages::{t, t_with},
    page::{Failure, PageFrame, Visitor, render_html},
    time::TimeElement,
};
use crate::{
    domain::{
        access::Role,
        audit::{Action, AuditFilter, CheckedRecord},
        calendar::Calendar,
    },
    http::api::audit,
    service::access::Principal,
};

/// Number of rows per page.
const ROWS_PER_PAGE: usize = 50;
/// Maximum number of users whose names are resolved.
const MAX_USERS: i64 = 500;

/// Query parameters of the page. If one is invalid, the page reports it and lists nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuditParams {
    who: String,
    what: String,
    /// The name of a printer, or the id of a removed one.
    printer: String,
    from: String,
    to: String,
    before: String,
}

#[derive(Template)]
#[template(path = "audit/list.html")]
struct AuditPage {
    frame: PageFrame,
    rows: Vec<AuditListRow>,
    params: AuditParams,
    actions: Vec<(&'static str, &'static str)>,
    printers: Vec<String>,
    problems: Vec<String>,
    older_href: Option<String>,
}

struct AuditListRow {
    seq: i64,
    at: Option<TimeElement>,
    actor: String,
    /// The kind of actor, if it is not a user.
    actor_kind: &'static str,
    text: String,
    batch_id: Option<Uuid>,
    address: String,
    details: Vec<(String, String)>,
    is_damaged: bool,
}

impl AuditParams {
    fn is_filtered(&self) -> bool {
        [&self.who, &self.what, &self.printer, &self.from, &self.to].iter().any(|text| !text.trim().is_empty())
    }

    /// Returns a URL with the same filter.
    fn href(&self, path: &str, before: Option<i64>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let fields = [("who", &*self.who), ("what", &self.what), ("printer", &self.printer), ("from", &self.from)];
        list_filters::href(path, &[&fields[..], &[("to", &*self.to), ("before", &before)]].concat())
    }

    fn csv_href(&self) -> String {
        self.href("/audit.csv", None)
    }

    /// Returns the filter, and the errors of invalid parameters.
    fn to_filter(&self, printers: &HashMap<Uuid, String>, calendar: Calendar) -> (AuditFilter, Vec<String>) {
        let mut problems = Vec::new();
        let since = list_filters::parse_day(&self.from, &mut problems).map(|day| calendar.day_start(day));
        let until = list_filters::parse_day(&self.to, &mut problems).map(|day| calendar.day_start(day + 1));
        let known = printers.iter().map(|(id, name)| (*id, name.as_str()));
        let printer_id = list_filters::find_printer(&self.printer, known, &mut problems);
        let actor = list_filters::non_empty(&self.who).map(str::to_owned);
        (AuditFilter { since, until, actor, action: Action::parse(&self.what), printer_id }, problems)
    }
}

pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<AuditParams>,
) -> Result<Html<String>, Failure> {
    who.require(Role::Admin)?;
    let names = load_names(&dashboard, &who).await?;
    let (filter, problems) = params.to_filter(&names.printers, dashboard.services.calendar());
    let limit = i64::try_from(ROWS_PER_PAGE + 1).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    // Without the invalid part of the filter, the list would be too long and look correct.
    if problems.is_empty() {
        found = dashboard.services.list_audit(&who, &filter, params.before.parse().ok(), limit).await?;
    }
    let has_more = found.len() > ROWS_PER_PAGE;
    found.truncate(ROWS_PER_PAGE);
    let older_href = found.last().filter(|_| has_more).map(|last| params.href("/audit", Some(last.seq())));
    let mut printers: Vec<String> = names.printers.values().cloned().collect();
    printers.sort_unstable();
    render_html(&AuditPage {
        frame: PageFrame::new(&who, "settings"),
        rows: found.into_iter().map(|found| audit_row(found, &names)).collect(),
        actions: Action::ALL.iter().map(|action| (action.as_str(), action_labels::action_label(*action))).collect(),
        printers,
        problems,
        older_href,
        params,
    })
}

/// Returns the same rows as a file, read while it is sent.
pub(super) async fn download_csv(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<AuditParams>,
) -> Result<Response, Failure> {
    who.require(Role::Admin)?;
    let (filter, problems) =
        params.to_filter(&load_names(&dashboard, &who).await?.printers, dashboard.services.calendar());
    if let Some(problem) = problems.into_iter().next() {
        return Err(Failure::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "failure-invalid", problem + "."));
    }
    Ok(audit::export_audit(dashboard.services.clone(), who, filter).await?)
}

async fn load_names(dashboard: &Dashboard, who: &Principal) -> Result<AuditNames, Failure> {
    let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
    let printers = entries.iter().map(|entry| (entry.id(), entry.view.printer.details.name.clone()));
    let users = dashboard.services.list_users(who, None, MAX_USERS).await?;
    Ok(AuditNames {
        printers: printers.collect(),
        users: users.into_iter().map(|user| (user.id, user.details.name)).collect(),
    })
}

fn audit_row(found: CheckedRecord, names: &AuditNames) -> AuditListRow {
    match found {
        CheckedRecord::Intact(record) => {
            let (actor, actor_kind) = text::actor_label(&record.entry.actor);
            AuditListRow {
                seq: record.seq,
                at: Some(TimeElement::date_and_time(record.entry.at)),
                actor,
                actor_kind,
                text: text::describe_entry(&record.entry, names),
                batch_id: record.entry.subject.filter(|_| record.entry.action.as_str().starts_with("batch.")),
                address: record.entry.address.clone().unwrap_or_default(),
                details: text::list_details(&record.entry, names),
                is_damaged: false,
            }
        }
        CheckedRecord::Damaged { seq, at, action } => AuditListRow {
            seq,
            at: at.map(TimeElement::date_and_time),
            actor: String::new(),
            actor_kind: "",
            text: t_with("audit-row-damaged", &[("seq", &seq)]),
            batch_id: None,
            address: String::new(),
            details: action.map(|action| (t("audit-action").to_owned(), action)).into_iter().collect(),
            is_damaged: true,
        },
    }
}
