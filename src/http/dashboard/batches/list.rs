//! The list of batches, filtered by state, command, user, reference and time.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    batch_href,
    verdict::{OutcomeBar, batch_file, batch_title, selection_label, verdict, verdict_class},
};
use crate::{
    domain::{
        batch::{Batch, BatchFilter, BatchState, ResultSummary},
        calendar::Calendar,
        command::Command,
    },
    http::dashboard::{
        Dashboard, filters, labels, list_filters,
        messages::t,
        page::{Failure, PageFrame, Visitor, render_html},
        time::TimeElement,
    },
};

/// Number of batches per page.
const ROWS_PER_PAGE: usize = 50;

/// Query parameters of the page. If one is invalid, the page reports it and lists nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct BatchListParams {
    state: String,
    command: String,
    /// The name of the user or token.
    by: String,
    external_ref: String,
    /// A date.
    since: String,
    /// The last batch of the page before.
    after: String,
}

impl BatchListParams {
    /// Returns a URL with the same filter.
    fn href(&self, after: &str) -> String {
        let fields = [
            ("state", self.state.as_str()),
            ("command", &self.command),
            ("by", &self.by),
            ("external_ref", &self.external_ref),
            ("since", &self.since),
            ("after", after),
        ];
        list_filters::href("/batches", &fields)
    }

    /// Returns the filter, and the errors of invalid parameters.
    fn to_filter(&self, calendar: Calendar) -> (BatchFilter, Vec<String>) {
        let mut problems = Vec::new();
        let since = list_filters::parse_day(&self.since, &mut problems);
        let text = |text: &str| list_filters::non_empty(text).map(str::to_owned);
        let filter = BatchFilter {
            origin: None,
            state: BatchState::parse(&self.state),
            command: Command::parse(&self.command),
            external_ref: text(&self.external_ref),
            created_by: text(&self.by),
            since: since.map(|day| calendar.day_start(day)),
            visible_tags: None,
        };
        (filter, problems)
    }
}

/// A row of the list.
struct BatchListRow {
    href: String,
    title: String,
    /// Name of the file, if the batch names one.
    file: Option<String>,
    selection: String,
    verdict: String,
    class: &'static str,
    bar: OutcomeBar,
    by: String,
    at: TimeElement,
}

impl BatchListRow {
    fn from_summary(batch: &Batch, summary: &ResultSummary, list_href: &str) -> Self {
        let counts = &summary.counts;
        Self {
            href: batch_href(batch.id, list_href),
            title: batch_title(batch, counts),
            file: batch_file(batch).map(|(_, name)| name),
            selection: selection_label(batch, counts.total(), &summary.printer_name),
            verdict: verdict(batch.spec.command, batch.state, counts),
            class: verdict_class(counts),
            bar: OutcomeBar::from_counts(batch.spec.command, counts),
            by: batch.created_by.clone(),
            at: TimeElement::date_and_time(batch.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "batches/list.html")]
struct BatchListPage {
    frame: PageFrame,
    rows: Vec<BatchListRow>,
    is_filtered: bool,
    states: Vec<(&'static str, &'static str)>,
    commands: Vec<(&'static str, &'static str)>,
    problems: Vec<String>,
    newest_href: String,
    older_href: Option<String>,
    params: BatchListParams,
}

pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<BatchListParams>,
) -> Result<Html<String>, Failure> {
    let (filter, problems) = params.to_filter(dashboard.services.calendar());
    let mut found = Vec::new();
    // Without the invalid part of the filter, the list would be too long and look correct.
    if problems.is_empty() {
        let one_more = i64::try_from(ROWS_PER_PAGE + 1).unwrap_or(i64::MAX);
        let after: Option<Uuid> = params.after.parse().ok();
        found = dashboard.services.list_batch_summaries(&who, filter, after, one_more).await?;
    }
    let has_more = found.len() > ROWS_PER_PAGE;
    found.truncate(ROWS_PER_PAGE);
    let older_href = found.last().filter(|_| has_more).map(|(last, _)| params.href(&last.id.to_string()));
    let list_href = params.href(&params.after);
    let states = [
        (BatchState::Scheduled, t("batch-scheduled")),
        (BatchState::Running, t("batch-in-progress")),
        (BatchState::Finished, t("batch-finished")),
        (BatchState::Stopped, t("batch-stopped")),
    ];
    render_html(&BatchListPage {
        frame: PageFrame::new(&who, "batches"),
        rows: found.iter().map(|(batch, summary)| BatchListRow::from_summary(batch, summary, &list_href)).collect(),
        is_filtered: params.href("") != "/batches",
        states: states.map(|(state, label)| (state.as_str(), label)).into(),
        commands: Command::ALL.iter().map(|command| (command.as_str(), labels::command_label(*command))).collect(),
        problems,
        newest_href: params.href(""),
        older_href,
        params,
    })
}
