//! The print history page: all observed prints, filtered by printer, tag, result and time.

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Dashboard, filters,
    history::PrintLine,
    labels, list_filters,
    page::{Failure, Frame, Visitor, html},
};
use crate::{
    domain::print::PrintResult,
    service::{
        access::Principal,
        prints::{PrintFilter, PrintState},
    },
};

/// Number of prints per page.
const LISTED: usize = 50;

/// Query parameters of the page. If one is invalid, the page reports it and lists nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    printer: String,
    tag: String,
    result: String,
    from: String,
    to: String,
    before: String,
}

impl Asked {
    fn is_narrow(&self) -> bool {
        self.href("") != "/prints"
    }

    /// Returns a URL with the same filter.
    fn href(&self, before: &str) -> String {
        let fields = [("printer", &*self.printer), ("tag", &self.tag), ("result", &self.result), ("from", &self.from)];
        list_filters::href("/prints", &[&fields[..], &[("to", &*self.to), ("before", before)]].concat())
    }

    fn newest(&self) -> String {
        self.href("")
    }

    fn filter(&self, known: &Known) -> (PrintFilter, Vec<String>) {
        let mut problems = Vec::new();
        let since = list_filters::day(&self.from, &mut problems).and_then(|day| list_filters::begin(day, 0));
        let until = list_filters::day(&self.to, &mut problems).and_then(|day| list_filters::begin(day, 1));
        let names = known.printers.iter().map(|(id, name)| (*id, name.as_str()));
        let printer_id = list_filters::printer(&self.printer, names, &mut problems);
        let state = match self.result.as_str() {
            "open" => Some(PrintState::Open),
            word => PrintResult::parse(word).map(PrintState::Ended),
        };
        let tag = list_filters::given(&self.tag).map(str::to_owned);
        (PrintFilter { printer_id, state, since, until, tag, ..PrintFilter::default() }, problems)
    }
}

/// The printers and tags that the user may see.
pub(super) struct Known {
    pub printers: HashMap<Uuid, String>,
    pub tags: BTreeSet<String>,
}

impl Known {
    /// Returns those of the farm now.
    pub async fn to(dashboard: &Dashboard, who: &Principal) -> Result<Self, Failure> {
        let (_, entries) = dashboard.board.all(who).await?;
        let details = || entries.iter().map(|entry| (entry.id(), &entry.view.printer.details));
        let tags = details().flat_map(|(_, details)| details.tags.iter().cloned());
        // The user may see the other tags of these printers, too: the page of a printer shows them.
        Ok(Self { printers: details().map(|(id, details)| (id, details.name.clone())).collect(), tags: tags.collect() })
    }

    /// Returns the names in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.printers.values().cloned().collect();
        names.sort_unstable();
        names
    }
}

#[derive(Template)]
#[template(path = "prints/list.html")]
struct ListPage {
    frame: Frame,
    /// The printer's id and name, if it is registered.
    lines: Vec<(Option<(Uuid, String)>, PrintLine)>,
    asked: Asked,
    names: Vec<String>,
    tags: BTreeSet<String>,
    results: Vec<(&'static str, &'static str)>,
    problems: Vec<String>,
    older: Option<String>,
}

pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Failure> {
    let known = Known::to(&dashboard, &who).await?;
    let (filter, problems) = asked.filter(&known);
    let mut prints = Vec::new();
    if problems.is_empty() {
        let one_more = i64::try_from(LISTED + 1).unwrap_or(i64::MAX);
        prints = dashboard.services.list_prints(&who, filter, asked.before.parse().ok(), one_more).await?;
    }
    let more = prints.len() > LISTED;
    prints.truncate(LISTED);
    let older = prints.last().filter(|_| more).map(|last| asked.href(&last.id.to_string()));
    let lines = prints.into_iter().map(|print| {
        let name = known.printers.get(&print.printer_id).cloned();
        (name.map(|name| (print.printer_id, name)), PrintLine::from(print))
    });
    let ended = PrintResult::ALL.iter().map(|result| (result.as_str(), labels::print(Some(*result)).0));
    html(&ListPage {
        frame: Frame::of(&who, "statistics"),
        lines: lines.collect(),
        names: known.names(),
        results: std::iter::once(("open", labels::print(None).0)).chain(ended).collect(),
        tags: known.tags,
        problems,
        older,
        asked,
    })
}
