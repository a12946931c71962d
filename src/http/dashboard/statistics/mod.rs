//! The statistics page: prints, success rate and utilisation in a period, as charts, tables and a file.

pub(super) mod chart;

use std::{collections::BTreeSet, ops::Range};

use askama::Template;
use axum::{
    body::Body,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use chrono::{NaiveDate, TimeDelta};
use futures_util::stream;
use serde::Deserialize;
use uuid::Uuid;

use self::chart::{BarChart, format_hours, format_number, format_percent, sparkline};
use super::{
    Dashboard, filters, list_filters,
    messages::{t, t_with},
    page::{Failure, PageFrame, Visitor, render_html},
    prints::FilterChoices,
};
use crate::{
    clock,
    domain::print_stats::day_number,
    http::csv,
    service::statistics::{Statistics, StatisticsQuery, Usage, UsageSeries},
};

/// The longest period, in days.
const MAX_PERIOD_DAYS: i64 = 366;
/// Number of days per database read for the file.
const DAYS_PER_READ: i64 = 7;
/// Number of printers on the page; the file has all.
const MAX_LISTED: usize = 100;
/// The periods with a button, in days.
const PERIOD_CHOICES: [i64; 3] = [7, 30, 90];
const DEFAULT_PERIOD_DAYS: i64 = 30;

/// Query parameters of the page. If one is invalid, the page reports it and shows the default period.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatisticsParams {
    days: String,
    from: String,
    to: String,
    printer: String,
    tag: String,
}

impl StatisticsParams {
    /// Returns a URL with these days and the same printers.
    fn href(&self, path: &str, days: &str) -> String {
        let named = days.is_empty();
        let (from, to) = if named { (self.from.as_str(), self.to.as_str()) } else { ("", "") };
        let fields = [("days", days), ("from", from), ("to", to), ("printer", &self.printer), ("tag", &self.tag)];
        list_filters::href(path, &fields)
    }

    /// Returns a URL with the same period, for one printer or one tag.
    fn filtered_href(&self, printer: &str, tag: &str) -> String {
        Self { printer: printer.to_owned(), tag: tag.to_owned(), ..self.clone() }.href("/statistics", &self.days)
    }

    fn printer_href(&self, name: &str) -> String {
        self.filtered_href(name, "")
    }

    fn tag_href(&self, tag: &str) -> String {
        self.filtered_href("", tag)
    }

    fn csv_href(&self) -> String {
        self.href("/statistics.csv", &self.days)
    }

    /// Returns the URL of the prints of these printers that started within these days.
    fn prints_href(&self, first: &str, last: &str, result: &str) -> String {
        let fields =
            [("printer", &*self.printer), ("tag", &self.tag), ("result", result), ("from", first), ("to", last)];
        list_filters::href("/prints", &fields)
    }

    fn is_filtered(&self) -> bool {
        list_filters::non_empty(&self.printer).is_some() || list_filters::non_empty(&self.tag).is_some()
    }

    /// Returns the days of the period; the end is exclusive.
    fn period(&self, today: i64, problems: &mut Vec<String>) -> Range<i64> {
        let (from, to) = (list_filters::parse_day(&self.from, problems), list_filters::parse_day(&self.to, problems));
        let last = to.map_or(today, |day| epoch_day(day).min(today));
        let days = list_filters::non_empty(&self.days)
            .and_then(|days| days.parse().ok())
            .filter(|days| PERIOD_CHOICES.contains(days));
        let default_first = last + 1 - days.unwrap_or(DEFAULT_PERIOD_DAYS);
        let first = from.map_or(default_first, epoch_day);
        if first > last {
            problems.push(t("statistics-period-reversed").to_owned());
        } else if last - first >= MAX_PERIOD_DAYS {
            problems.push(t_with("statistics-period-too-long", &[("n", &MAX_PERIOD_DAYS)]));
        } else {
            return first..last + 1;
        }
        today + 1 - DEFAULT_PERIOD_DAYS..today + 1
    }
}

fn epoch_day(day: NaiveDate) -> i64 {
    (day - NaiveDate::default()).num_days()
}

fn day_name(day: i64) -> String {
    let day = TimeDelta::try_days(day).and_then(|days| NaiveDate::default().checked_add_signed(days));
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// Returns the number of days per bar. A chart has at most 31 bars.
fn days_per_bar(days: &Range<i64>) -> i64 {
    match days.end - days.start {
        ..=31 => 1,
        32..=217 => 7,
        _ => 14,
    }
}

/// A row of a table.
struct StatisticsRow {
    /// A printer, a tag or a period.
    name: String,
    /// A removed printer has no page.
    is_removed: bool,
    prints: String,
    done: String,
    failed: String,
    cancelled: String,
    unknown: String,
    success: String,
    hours: String,
    utilisation: String,
    sparkline: String,
}

impl StatisticsRow {
    fn new(name: String, total: &Usage, steps: &[Usage]) -> Self {
        let tally = &total.prints;
        Self {
            name,
            is_removed: false,
            prints: format_number(tally.prints()),
            done: format_number(tally.done),
            failed: format_number(tally.failed),
            cancelled: format_number(tally.cancelled),
            unknown: format_number(tally.unknown),
            success: format_percent(tally.success_rate()),
            hours: format_hours(tally.printed_s),
            utilisation: format_percent(total.utilisation()),
            sparkline: sparkline(steps),
        }
    }

    fn from_series(name: String, course: &UsageSeries) -> Self {
        Self::new(name, &course.total, &course.steps)
    }
}

#[derive(Template)]
#[template(path = "statistics/show.html")]
struct StatisticsPage {
    frame: PageFrame,
    params: StatisticsParams,
    first: String,
    last: String,
    /// The periods with a button, each with its URL and whether it is shown.
    choices: Vec<(i64, String, bool)>,
    /// Number of days per bar.
    days_per_bar: i64,
    total: StatisticsRow,
    prints: BarChart,
    utilisation: BarChart,
    step_rows: Vec<StatisticsRow>,
    printer_rows: Vec<StatisticsRow>,
    more_printers: usize,
    tag_rows: Vec<StatisticsRow>,
    /// The printer that is shown, if it is only one.
    printer_id: Option<Uuid>,
    printer_names: Vec<String>,
    known_tags: BTreeSet<String>,
    problems: Vec<String>,
    is_behind: bool,
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<StatisticsParams>,
) -> Result<Html<String>, Failure> {
    let filter_choices = FilterChoices::load(&dashboard, &who).await?;
    let (request, problems) = parse_params(&params, &filter_choices);
    let statistics = dashboard.services.statistics(&who, &request).await?;
    let StatisticsQuery { days, step, printer_id, .. } = request;
    let labels: Vec<String> = days.clone().step_by(usize::try_from(step).unwrap_or(1)).map(day_name).collect();
    let all = &statistics.all;
    let (printer_rows, more_printers) = printer_rows(&statistics);
    let step_rows = labels.iter().zip(&all.steps).map(|(label, step)| StatisticsRow::new(label.clone(), step, &[]));
    render_html(&StatisticsPage {
        frame: PageFrame::new(&who, "statistics"),
        choices: PERIOD_CHOICES
            .iter()
            .map(|n| {
                let is_shown = days.end - days.start == *n && days.end == day_number(clock::now()) + 1;
                (*n, params.href("/statistics", &n.to_string()), is_shown)
            })
            .collect(),
        first: day_name(days.start),
        last: day_name(days.end - 1),
        days_per_bar: step,
        total: StatisticsRow::from_series(String::new(), all),
        prints: BarChart::from_prints(&labels, &all.steps),
        utilisation: BarChart::from_utilisation(&labels, &all.steps),
        step_rows: step_rows.collect(),
        printer_rows,
        more_printers,
        tag_rows: statistics.tags.iter().map(|(tag, course)| StatisticsRow::from_series(tag.clone(), course)).collect(),
        printer_id: printer_id.filter(|id| filter_choices.printers.contains_key(id)),
        printer_names: filter_choices.printer_names(),
        known_tags: filter_choices.tags,
        problems,
        is_behind: statistics.is_behind,
        params,
    })
}

/// Returns the request, and the errors of invalid parameters.
fn parse_params(params: &StatisticsParams, choices: &FilterChoices) -> (StatisticsQuery, Vec<String>) {
    let mut problems = Vec::new();
    let days = params.period(day_number(clock::now()), &mut problems);
    let names = choices.printers.iter().map(|(id, name)| (*id, name.as_str()));
    let printer_id = list_filters::find_printer(&params.printer, names, &mut problems);
    let tag = list_filters::non_empty(&params.tag).map(str::to_owned);
    (StatisticsQuery { step: days_per_bar(&days), days, printer_id, tag }, problems)
}

/// Returns the most used printers, and the number of further ones.
fn printer_rows(statistics: &Statistics) -> (Vec<StatisticsRow>, usize) {
    let mut used: Vec<_> = statistics.printers.iter().collect();
    // The sort is stable: equally used printers stay in the order of their names.
    used.sort_by_key(|(_, course)| std::cmp::Reverse(course.total.used_s));
    let more = used.len().saturating_sub(MAX_LISTED);
    let listed = used.into_iter().take(MAX_LISTED);
    let mut rows: Vec<StatisticsRow> =
        listed.map(|(printer, course)| StatisticsRow::from_series(printer.details.name.clone(), course)).collect();
    if !statistics.removed.is_empty() {
        let mut removed = Usage::default();
        statistics.removed.iter().for_each(|(_, course)| removed += course.total);
        let name = super::messages::t_with("statistics-removed-printers", &[("n", &statistics.removed.len())]);
        rows.push(StatisticsRow { is_removed: true, ..StatisticsRow::new(name, &removed, &[]) });
    }
    (rows, more)
}

/// Returns the same data as a file: a row for each printer and day, read while it is sent.
pub(super) async fn download_csv(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<StatisticsParams>,
) -> Result<Response, Failure> {
    let (request, problems) = parse_params(&params, &FilterChoices::load(&dashboard, &who).await?);
    if let Some(problem) = problems.into_iter().next() {
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-invalid", problem + "."));
    }
    let first = request.days.start..request.days.start + 1;
    if dashboard
        .services
        .statistics(&who, &StatisticsQuery { days: first, step: 1, ..request.clone() })
        .await?
        .is_behind
    {
        let text = t("statistics-csv-not-ready-text");
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "statistics-csv-not-ready", text));
    }
    let name = format!("printyard-{}-{}.csv", day_name(request.days.start), day_name(request.days.end - 1));
    let services = dashboard.services.clone();
    let rest = stream::try_unfold(request.days.start, move |first| {
        let (services, who, request) = (services.clone(), who.clone(), request.clone());
        async move {
            if first >= request.days.end {
                return Ok(None);
            }
            let days = first..(first + DAYS_PER_READ).min(request.days.end);
            let end = days.end;
            let part = services.statistics(&who, &StatisticsQuery { days, step: 1, ..request }).await?;
            Ok::<_, crate::service::Error>(Some((csv_rows(first, &part), end)))
        }
    });
    let head = csv::format_row(&[
        "day",
        "printer",
        "printer_id",
        "tags",
        "done",
        "failed",
        "cancelled",
        "not_watched",
        "printed_h",
        "registered_h",
    ]);
    let body = Body::from_stream(futures_util::StreamExt::chain(stream::once(async { Ok(head) }), rest));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, body).into_response())
}

fn csv_rows(first: i64, statistics: &Statistics) -> String {
    let registered = statistics
        .printers
        .iter()
        .map(|(printer, course)| (printer.id, printer.details.name.as_str(), printer.details.tags.join(" "), course));
    let removed = statistics.removed.iter().map(|(id, course)| (*id, "", String::new(), course));
    let all: Vec<_> = registered.chain(removed).collect();
    let mut text = String::new();
    for (i, day) in (first..).take(statistics.all.steps.len()).enumerate() {
        for (id, name, tags, course) in &all {
            // A printer has no data before its registration.
            let Some(step) = course.steps.get(i).filter(|step| **step != Usage::default()) else { continue };
            let tally = &step.prints;
            let counts = [tally.done, tally.failed, tally.cancelled, tally.unknown].map(|n| n.to_string());
            let times = [tally.printed_s, step.registered_s].map(decimal_hours);
            let named = [day_name(day), (*name).to_owned(), id.to_string(), tags.clone()];
            text.push_str(&csv::format_row(&[&named[..], &counts, &times].concat()));
        }
    }
    text
}

/// Formats hours for spreadsheets.
fn decimal_hours(seconds: i64) -> String {
    format!("{}.{:03}", seconds / 3_600, seconds % 3_600 * 1_000 / 3_600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::printer::{Printer, PrinterDetails};

    #[test]
    fn an_invalid_period_is_reported_and_replaced_by_the_default() {
        let day = |text: &str| epoch_day(text.parse().expect("a day"));
        let today = day("2026-06-15");
        let period = |days: &str, from: &str, to: &str| {
            let params =
                StatisticsParams { days: days.into(), from: from.into(), to: to.into(), ..StatisticsParams::default() };
            let mut problems = Vec::new();
            let days = params.period(today, &mut problems);
            (day_name(days.start), day_name(days.end - 1), problems.len())
        };
        let expected = |first: &str, last: &str, problems| (first.to_owned(), last.to_owned(), problems);
        assert_eq!(period("", "", ""), expected("2026-05-17", "2026-06-15", 0));
        assert_eq!(period("7", "", ""), expected("2026-06-09", "2026-06-15", 0));
        assert_eq!(period("8", "", ""), expected("2026-05-17", "2026-06-15", 0), "no such choice");
        assert_eq!(period("7", "2026-01-01", "2026-01-31"), expected("2026-01-01", "2026-01-31", 0));
        assert_eq!(period("", "2026-06-01", "2027-01-01"), expected("2026-06-01", "2026-06-15", 0), "not the future");
        assert_eq!(period("", "2026-06-02", "2026-06-01"), expected("2026-05-17", "2026-06-15", 1));
        assert_eq!(period("", "2025-06-14", ""), expected("2026-05-17", "2026-06-15", 1), "too long");
        assert_eq!(period("", "2025-06-15", ""), expected("2025-06-15", "2026-06-15", 0));
        assert_eq!(period("", "nonsense", ""), expected("2026-05-17", "2026-06-15", 1));
    }

    #[test]
    fn a_chart_has_at_most_31_bars() {
        for days in 1..=MAX_PERIOD_DAYS {
            assert!((days + days_per_bar(&(0..days)) - 1) / days_per_bar(&(0..days)) <= 31, "{days}");
        }
    }

    #[test]
    fn the_csv_lists_idle_printers_but_no_days_before_their_registration() {
        let details = PrinterDetails::new("a,b", "http://x.test");
        let at = chrono::DateTime::UNIX_EPOCH;
        let printer = Printer { id: Uuid::nil(), details, version: 1, created_at: at, updated_at: at };
        let steps = vec![Usage::default(), Usage { registered_s: 1_800, ..Usage::default() }];
        let course = UsageSeries { total: Usage::default(), steps };
        let statistics = Statistics { all: course.clone(), printers: vec![(printer, course)], ..Statistics::default() };
        let line = format!("1970-01-03,\"a,b\",{},,0,0,0,0,0.000,0.500\r\n", Uuid::nil());
        assert_eq!(csv_rows(1, &statistics), line);
    }

    #[test]
    fn hours_have_a_point_and_three_digits() {
        assert_eq!(
            (decimal_hours(5_400), decimal_hours(36), decimal_hours(0)),
            ("1.500".into(), "0.010".into(), "0.000".into())
        );
    }
}
