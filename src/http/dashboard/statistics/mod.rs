//! The statistics page: prints, success rate and utilisation in a period, as charts, tables and a file.

mod change;
pub(super) mod chart;
mod csv;

use std::{collections::BTreeSet, ops::Range};

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono::{NaiveDate, TimeDelta};
use serde::Deserialize;
use uuid::Uuid;

pub(super) use self::csv::download_csv;

use self::{
    change::{Change, compare_counts, compare_shares},
    chart::{BarChart, format_hours, format_number, format_percent, sparkline},
};
use super::{
    Dashboard, filters, labels, list_filters,
    messages::{t, t_with},
    page::{Failure, PageFrame, Visitor, render_html},
    prints::FilterChoices,
};
use crate::{
    clock,
    domain::{calendar::Calendar, print::PrintResult, print_reasons::ReasonCount},
    service::statistics::{Statistics, StatisticsQuery, Usage, UsageSeries},
};

/// The longest period, in days.
const MAX_PERIOD_DAYS: i64 = 366;
/// Number of printers on the page; the file has all.
const MAX_LISTED: usize = 100;
/// Number of reasons of failures, and of printers with failures.
const MAX_FAILURES: usize = 10;
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

    /// Returns the URL of the prints of one printer that started within these days and failed.
    fn failed_prints_href(&self, name: &str, first: &str, last: &str) -> String {
        Self { printer: name.to_owned(), tag: String::new(), ..self.clone() }.prints_href(first, last, "failed")
    }

    fn is_filtered(&self) -> bool {
        list_filters::non_empty(&self.printer).is_some() || list_filters::non_empty(&self.tag).is_some()
    }

    /// Returns the days of the period; the end is exclusive.
    fn period(&self, today: i64, problems: &mut Vec<String>) -> Range<i64> {
        let (from, to) = (list_filters::parse_day(&self.from, problems), list_filters::parse_day(&self.to, problems));
        let last = to.map_or(today, |day| day.min(today));
        let days = list_filters::non_empty(&self.days)
            .and_then(|days| days.parse().ok())
            .filter(|days| PERIOD_CHOICES.contains(days));
        let default_first = last + 1 - days.unwrap_or(DEFAULT_PERIOD_DAYS);
        let first = from.unwrap_or(default_first);
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

/// The changes of the totals against the period before.
struct Changes {
    prints: Change,
    success: Change,
    print_time: Change,
    utilisation: Change,
}

impl Changes {
    /// Both periods have `days` days.
    fn new(now: &Usage, before: &Usage, days: i64) -> Self {
        let (tally, earlier) = (&now.prints, &before.prints);
        Self {
            prints: compare_counts(tally.prints(), earlier.prints(), days),
            success: compare_shares(tally.success_rate(), earlier.success_rate(), days)
                .with_judgement(tally.prints().min(earlier.prints())),
            print_time: compare_counts(tally.printed_s, earlier.printed_s, days),
            utilisation: compare_shares(now.utilisation(), before.utilisation(), days),
        }
    }
}

/// Prints that did not succeed for the same reason.
struct ReasonRow {
    result: PrintResult,
    label: &'static str,
    reason: String,
    count: String,
}

impl ReasonRow {
    fn new(one: ReasonCount) -> Self {
        let (label, _) = labels::print_result_label(Some(one.result));
        let reason = match (one.reason, one.result) {
            (Some(reason), _) => reason,
            (None, PrintResult::Failed) => t("statistics-no-reason").to_owned(),
            (None, PrintResult::Done | PrintResult::Cancelled | PrintResult::Unknown) => label.to_owned(),
        };
        Self { result: one.result, label, reason, count: format_number(one.count) }
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
    changes: Changes,
    /// The time zone of the days.
    time_zone: &'static str,
    /// The last day of the period with sums by days of an earlier time zone.
    kept_until: Option<String>,
    reason_rows: Vec<ReasonRow>,
    more_reasons: usize,
    failure_rows: Vec<StatisticsRow>,
    more_failures: usize,
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
    let calendar = dashboard.services.calendar();
    let filter_choices = FilterChoices::load(&dashboard, &who).await?;
    let (request, problems) = parse_params(&params, &filter_choices, calendar);
    let statistics = dashboard.services.statistics(&who, &request).await?;
    let length = request.days.end - request.days.start;
    let before =
        StatisticsQuery { days: request.days.start - length..request.days.start, step: length, ..request.clone() };
    let before = dashboard.services.statistics(&who, &before).await?.all.total;
    let reasons = dashboard.services.failure_reasons(&who, &request).await?;
    let StatisticsQuery { days, step, printer_id, .. } = request;
    let labels: Vec<String> = days.clone().step_by(usize::try_from(step).unwrap_or(1)).map(day_name).collect();
    let all = &statistics.all;
    let (printer_rows, more_printers) = printer_rows(&statistics);
    let (failure_rows, more_failures) = failure_rows(&statistics);
    let kept_until =
        statistics.kept_until.filter(|kept| *kept >= days.start).map(|kept| day_name(kept.min(days.end - 1)));
    let step_rows = labels.iter().zip(&all.steps).map(|(label, step)| StatisticsRow::new(label.clone(), step, &[]));
    render_html(&StatisticsPage {
        frame: PageFrame::new(&who, "statistics"),
        choices: PERIOD_CHOICES
            .iter()
            .map(|n| {
                let is_shown = days.end - days.start == *n && days.end == calendar.day_number(clock::now()) + 1;
                (*n, params.href("/statistics", &n.to_string()), is_shown)
            })
            .collect(),
        first: day_name(days.start),
        last: day_name(days.end - 1),
        days_per_bar: step,
        total: StatisticsRow::from_series(String::new(), all),
        changes: Changes::new(&all.total, &before, length),
        time_zone: calendar.name(),
        kept_until,
        more_reasons: reasons.len().saturating_sub(MAX_FAILURES),
        reason_rows: reasons.into_iter().take(MAX_FAILURES).map(ReasonRow::new).collect(),
        failure_rows,
        more_failures,
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
fn parse_params(
    params: &StatisticsParams,
    choices: &FilterChoices,
    calendar: Calendar,
) -> (StatisticsQuery, Vec<String>) {
    let mut problems = Vec::new();
    let days = params.period(calendar.day_number(clock::now()), &mut problems);
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

/// Returns the printers with the most failures, and the number of further ones.
fn failure_rows(statistics: &Statistics) -> (Vec<StatisticsRow>, usize) {
    let without_success = |course: &UsageSeries| course.total.prints.prints() - course.total.prints.done;
    let mut failing: Vec<_> = statistics.printers.iter().filter(|(_, course)| without_success(course) > 0).collect();
    failing.sort_by_key(|(_, course)| std::cmp::Reverse((course.total.prints.failed, without_success(course))));
    let more = failing.len().saturating_sub(MAX_FAILURES);
    let listed = failing.into_iter().take(MAX_FAILURES);
    let rows = listed.map(|(printer, course)| StatisticsRow::from_series(printer.details.name.clone(), course));
    (rows.collect(), more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_period_is_reported_and_replaced_by_the_default() {
        let day = |text: &str| list_filters::epoch_day(text.parse().expect("a day"));
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
}
