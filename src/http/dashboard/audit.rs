//! The audit log page for admins: who changed what, from where. Filters by user, action, printer and time.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{Html, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Dashboard,
    audit_text::{self, Names},
    filters, list_filters,
    messages::{t, t_with},
    page::{Failure, Frame, Visitor, html},
    time::Moment,
};
use crate::{
    domain::{
        access::Role,
        audit::{Action, Found},
    },
    http::api::audit,
    service::{access::Principal, audit::AuditFilter},
};

/// Number of rows per page.
const LISTED: usize = 50;
/// Maximum number of users whose names are resolved.
const USERS: i64 = 500;

/// Query parameters of the page. If one is invalid, the page reports it and lists nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
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
struct ListPage {
    frame: Frame,
    lines: Vec<Line>,
    asked: Asked,
    actions: Vec<(&'static str, &'static str)>,
    printers: Vec<String>,
    problems: Vec<String>,
    older: Option<String>,
}

struct Line {
    seq: i64,
    at: Option<Moment>,
    who: String,
    /// The kind of actor, if it is not a user.
    kind: &'static str,
    text: String,
    batch: Option<Uuid>,
    address: String,
    details: Vec<(String, String)>,
    is_damaged: bool,
}

impl Asked {
    fn is_narrow(&self) -> bool {
        [&self.who, &self.what, &self.printer, &self.from, &self.to].iter().any(|text| !text.trim().is_empty())
    }

    /// Returns a URL with the same filter.
    fn href(&self, path: &str, before: Option<i64>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let fields = [("who", &*self.who), ("what", &self.what), ("printer", &self.printer), ("from", &self.from)];
        list_filters::href(path, &[&fields[..], &[("to", &*self.to), ("before", &before)]].concat())
    }

    fn csv(&self) -> String {
        self.href("/audit.csv", None)
    }

    /// Returns the filter, and the errors of invalid parameters.
    fn filter(&self, printers: &HashMap<Uuid, String>) -> (AuditFilter, Vec<String>) {
        let mut problems = Vec::new();
        let since = list_filters::day(&self.from, &mut problems).and_then(|day| list_filters::begin(day, 0));
        let until = list_filters::day(&self.to, &mut problems).and_then(|day| list_filters::begin(day, 1));
        let known = printers.iter().map(|(id, name)| (*id, name.as_str()));
        let printer_id = list_filters::printer(&self.printer, known, &mut problems);
        let actor = list_filters::given(&self.who).map(str::to_owned);
        (AuditFilter { since, until, actor, action: Action::parse(&self.what), printer_id }, problems)
    }
}

pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Failure> {
    who.require(Role::Admin)?;
    let names = names(&dashboard, &who).await?;
    let (filter, problems) = asked.filter(&names.printers);
    let limit = i64::try_from(LISTED + 1).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    // Without the invalid part of the filter, the list would be too long and look correct.
    if problems.is_empty() {
        found = dashboard.services.list_audit(&who, &filter, asked.before.parse().ok(), limit).await?;
    }
    let more = found.len() > LISTED;
    found.truncate(LISTED);
    let older = found.last().filter(|_| more).map(|last| asked.href("/audit", Some(last.seq())));
    let mut printers: Vec<String> = names.printers.values().cloned().collect();
    printers.sort_unstable();
    html(&ListPage {
        frame: Frame::of(&who, "audit"),
        lines: found.into_iter().map(|found| line(found, &names)).collect(),
        actions: Action::ALL.iter().map(|action| (action.as_str(), audit_text::label(*action))).collect(),
        printers,
        problems,
        older,
        asked,
    })
}

/// Returns the same rows as a file, read while it is sent.
pub(super) async fn file(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    who.require(Role::Admin)?;
    let (filter, problems) = asked.filter(&names(&dashboard, &who).await?.printers);
    if let Some(problem) = problems.into_iter().next() {
        return Err(Failure::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "failure-does-not-fit", problem + "."));
    }
    Ok(audit::file(dashboard.services.clone(), who, filter).await?)
}

async fn names(dashboard: &Dashboard, who: &Principal) -> Result<Names, Failure> {
    let (_, entries) = dashboard.board.all(who).await?;
    let printers = entries.iter().map(|entry| (entry.id(), entry.view.printer.details.name.clone()));
    let users = dashboard.services.list_users(who, None, USERS).await?;
    Ok(Names {
        printers: printers.collect(),
        users: users.into_iter().map(|user| (user.id, user.details.name)).collect(),
    })
}

fn line(found: Found, names: &Names) -> Line {
    match found {
        Found::Whole(record) => {
            let (who, kind) = audit_text::who(&record.entry.actor);
            Line {
                seq: record.seq,
                at: Some(Moment::day(record.entry.at)),
                who,
                kind,
                text: audit_text::sentence(&record.entry, names),
                batch: record.entry.subject.filter(|_| record.entry.action.as_str().starts_with("batch.")),
                address: record.entry.address.clone().unwrap_or_default(),
                details: audit_text::details(&record.entry, names),
                is_damaged: false,
            }
        }
        Found::Damaged { seq, at, action } => Line {
            seq,
            at: at.map(Moment::day),
            who: String::new(),
            kind: "",
            text: t_with("audit-row-damaged-cannot-read", &[("seq", &seq)]),
            batch: None,
            address: String::new(),
            details: action.map(|action| (t("audit-action").to_owned(), action)).into_iter().collect(),
            is_damaged: true,
        },
    }
}
