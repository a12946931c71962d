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
    Dashboard, filters, labels, list_filters,
    page::{Failure, PageFrame, Visitor, render_html},
    printers::history::PrintRow,
};
use crate::{
    domain::calendar::Calendar,
    domain::print::{PrintFilter, PrintResult, PrintState},
    service::access::Principal,
};

/// Number of prints per page.
const ROWS_PER_PAGE: usize = 50;

/// Query parameters of the page. If one is invalid, the page reports it and lists nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PrintsParams {
    printer: String,
    tag: String,
    result: String,
    from: String,
    to: String,
    before: String,
}

impl PrintsParams {
    fn is_filtered(&self) -> bool {
        self.href("") != "/prints"
    }

    /// Returns a URL with the same filter.
    fn href(&self, before: &str) -> String {
        let fields = [("printer", &*self.printer), ("tag", &self.tag), ("result", &self.result), ("from", &self.from)];
        list_filters::href("/prints", &[&fields[..], &[("to", &*self.to), ("before", before)]].concat())
    }

    fn newest_href(&self) -> String {
        self.href("")
    }

    fn to_filter(&self, choices: &FilterChoices, calendar: Calendar) -> (PrintFilter, Vec<String>) {
        let mut problems = Vec::new();
        let since = list_filters::parse_day(&self.from, &mut problems);
        let until = list_filters::parse_day(&self.to, &mut problems).map(|day| day + 1);
        let (since, until) = (since.map(|day| calendar.day_start(day)), until.map(|day| calendar.day_start(day)));
        let names = choices.printers.iter().map(|(id, name)| (*id, name.as_str()));
        let printer_id = list_filters::find_printer(&self.printer, names, &mut problems);
        let state = match self.result.as_str() {
            "open" => Some(PrintState::Open),
            word => PrintResult::parse(word).map(PrintState::Ended),
        };
        let tag = list_filters::non_empty(&self.tag).map(str::to_owned);
        (PrintFilter { printer_id, state, since, until, tag, ..PrintFilter::default() }, problems)
    }
}

/// The printers and tags that the user may see.
pub(super) struct FilterChoices {
    pub printers: HashMap<Uuid, String>,
    pub tags: BTreeSet<String>,
}

impl FilterChoices {
    /// Returns those of the farm now.
    pub async fn load(dashboard: &Dashboard, who: &Principal) -> Result<Self, Failure> {
        let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
        let details = || entries.iter().map(|entry| (entry.id(), &entry.view.printer.details));
        let tags = details().flat_map(|(_, details)| details.tags.iter().cloned());
        // The user may see the other tags of these printers, too: the page of a printer shows them.
        Ok(Self { printers: details().map(|(id, details)| (id, details.name.clone())).collect(), tags: tags.collect() })
    }

    /// Returns the names in order.
    pub fn printer_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.printers.values().cloned().collect();
        names.sort_unstable();
        names
    }
}

#[derive(Template)]
#[template(path = "prints/list.html")]
struct PrintListPage {
    frame: PageFrame,
    /// The printer's id and name, if it is registered.
    rows: Vec<(Option<(Uuid, String)>, PrintRow)>,
    params: PrintsParams,
    printer_names: Vec<String>,
    tags: BTreeSet<String>,
    results: Vec<(&'static str, &'static str)>,
    problems: Vec<String>,
    older_href: Option<String>,
}

pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<PrintsParams>,
) -> Result<Html<String>, Failure> {
    let choices = FilterChoices::load(&dashboard, &who).await?;
    let (filter, problems) = params.to_filter(&choices, dashboard.services.calendar());
    let mut prints = Vec::new();
    if problems.is_empty() {
        let one_more = i64::try_from(ROWS_PER_PAGE + 1).unwrap_or(i64::MAX);
        prints = dashboard.services.list_prints(&who, filter, params.before.parse().ok(), one_more).await?;
    }
    let has_more = prints.len() > ROWS_PER_PAGE;
    prints.truncate(ROWS_PER_PAGE);
    let older_href = prints.last().filter(|_| has_more).map(|last| params.href(&last.id.to_string()));
    let rows = prints.into_iter().map(|print| {
        let name = choices.printers.get(&print.printer_id).cloned();
        (name.map(|name| (print.printer_id, name)), PrintRow::from(print))
    });
    let ended = PrintResult::ALL.iter().map(|result| (result.as_str(), labels::print_result_label(Some(*result)).0));
    render_html(&PrintListPage {
        frame: PageFrame::new(&who, "statistics"),
        rows: rows.collect(),
        printer_names: choices.printer_names(),
        results: std::iter::once(("open", labels::print_result_label(None).0)).chain(ended).collect(),
        tags: choices.tags,
        problems,
        older_href,
        params,
    })
}
