//! The statistics page: prints, success rate and utilisation in a period, as charts, tables and a file.

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

use super::{
    Dashboard,
    chart::{Bars, grouped, hours, percent, strip},
    filters, list_filters,
    messages::{t, t_with},
    page::{Failure, Frame, Visitor, html},
    prints::Known,
};
use crate::{
    clock,
    domain::print_stats::day_of,
    http::csv,
    service::statistics::{Course, Statistics, Use, Wanted},
};

/// The longest period, in days.
const LONGEST: i64 = 366;
/// Number of days per database read for the file.
const DAYS_AT_ONCE: i64 = 7;
/// Number of printers on the page; the file has all.
const LISTED: usize = 100;
/// The periods with a button, in days.
const CHOICES: [i64; 3] = [7, 30, 90];
const USUAL: i64 = 30;

/// Query parameters of the page. If one is invalid, the page reports it and shows the default period.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    days: String,
    from: String,
    to: String,
    printer: String,
    tag: String,
}

impl Asked {
    /// Returns a URL with these days and the same printers.
    fn href(&self, path: &str, days: &str) -> String {
        let named = days.is_empty();
        let (from, to) = if named { (self.from.as_str(), self.to.as_str()) } else { ("", "") };
        let fields = [("days", days), ("from", from), ("to", to), ("printer", &self.printer), ("tag", &self.tag)];
        list_filters::href(path, &fields)
    }

    /// Returns a URL with the same period, for one printer or one tag.
    fn narrowed(&self, printer: &str, tag: &str) -> String {
        Self { printer: printer.to_owned(), tag: tag.to_owned(), ..self.clone() }.href("/statistics", &self.days)
    }

    fn of_printer(&self, name: &str) -> String {
        self.narrowed(name, "")
    }

    fn of_tag(&self, tag: &str) -> String {
        self.narrowed("", tag)
    }

    fn csv(&self) -> String {
        self.href("/statistics.csv", &self.days)
    }

    /// Returns the URL of the prints of these printers that started within these days.
    fn prints(&self, first: &str, last: &str, result: &str) -> String {
        let fields =
            [("printer", &*self.printer), ("tag", &self.tag), ("result", result), ("from", first), ("to", last)];
        list_filters::href("/prints", &fields)
    }

    fn is_narrow(&self) -> bool {
        list_filters::given(&self.printer).is_some() || list_filters::given(&self.tag).is_some()
    }

    /// Returns the days of the period; the end is exclusive.
    fn period(&self, today: i64, problems: &mut Vec<String>) -> Range<i64> {
        let (from, to) = (list_filters::day(&self.from, problems), list_filters::day(&self.to, problems));
        let last = to.map_or(today, |day| number_of(day).min(today));
        let days =
            list_filters::given(&self.days).and_then(|days| days.parse().ok()).filter(|days| CHOICES.contains(days));
        let usual = last + 1 - days.unwrap_or(USUAL);
        let first = from.map_or(usual, number_of);
        if first > last {
            problems.push(t("statistics-time-ends-before-begins").to_owned());
        } else if last - first >= LONGEST {
            problems.push(t_with("statistics-too-many-days", &[("n", &LONGEST)]));
        } else {
            return first..last + 1;
        }
        today + 1 - USUAL..today + 1
    }
}

fn number_of(day: NaiveDate) -> i64 {
    (day - NaiveDate::default()).num_days()
}

fn name_of(day: i64) -> String {
    let day = TimeDelta::try_days(day).and_then(|days| NaiveDate::default().checked_add_signed(days));
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// Returns the number of days per bar. A chart has at most 31 bars.
fn step_of(days: &Range<i64>) -> i64 {
    match days.end - days.start {
        ..=31 => 1,
        32..=217 => 7,
        _ => 14,
    }
}

/// A row of a table.
struct Line {
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
    strip: String,
}

impl Line {
    fn of(name: String, whole: &Use, steps: &[Use]) -> Self {
        let tally = &whole.tally;
        Self {
            name,
            is_removed: false,
            prints: grouped(tally.prints()),
            done: grouped(tally.done),
            failed: grouped(tally.failed),
            cancelled: grouped(tally.cancelled),
            unknown: grouped(tally.unknown),
            success: percent(tally.success()),
            hours: hours(tally.printed_s),
            utilisation: percent(whole.utilisation()),
            strip: strip(steps),
        }
    }

    fn of_course(name: String, course: &Course) -> Self {
        Self::of(name, &course.total, &course.steps)
    }
}

#[derive(Template)]
#[template(path = "statistics/show.html")]
struct ShowPage {
    frame: Frame,
    asked: Asked,
    first: String,
    last: String,
    /// The periods with a button, each with its URL and whether it is shown.
    choices: Vec<(i64, String, bool)>,
    /// Number of days per bar.
    step: i64,
    all: Line,
    prints: Bars,
    used: Bars,
    steps: Vec<Line>,
    printers: Vec<Line>,
    more_printers: usize,
    tags: Vec<Line>,
    /// The printer that is shown, if it is only one.
    printer_id: Option<Uuid>,
    names: Vec<String>,
    known_tags: BTreeSet<String>,
    problems: Vec<String>,
    is_behind: bool,
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Failure> {
    let known = Known::to(&dashboard, &who).await?;
    let (wanted, problems) = wanted(&asked, &known);
    let statistics = dashboard.services.statistics(&who, &wanted).await?;
    let Wanted { days, step, printer_id, .. } = wanted;
    let labels: Vec<String> = days.clone().step_by(usize::try_from(step).unwrap_or(1)).map(name_of).collect();
    let all = &statistics.all;
    let (printers, more_printers) = printer_lines(&statistics);
    let steps = labels.iter().zip(&all.steps).map(|(label, step)| Line::of(label.clone(), step, &[]));
    html(&ShowPage {
        frame: Frame::of(&who, "statistics"),
        choices: CHOICES
            .iter()
            .map(|n| {
                let is_shown = days.end - days.start == *n && days.end == day_of(clock::now()) + 1;
                (*n, asked.href("/statistics", &n.to_string()), is_shown)
            })
            .collect(),
        first: name_of(days.start),
        last: name_of(days.end - 1),
        step,
        all: Line::of_course(String::new(), all),
        prints: Bars::of_prints(&labels, &all.steps),
        used: Bars::of_utilisation(&labels, &all.steps),
        steps: steps.collect(),
        printers,
        more_printers,
        tags: statistics.tags.iter().map(|(tag, course)| Line::of_course(tag.clone(), course)).collect(),
        printer_id: printer_id.filter(|id| known.printers.contains_key(id)),
        names: known.names(),
        known_tags: known.tags,
        problems,
        is_behind: statistics.is_behind,
        asked,
    })
}

/// Returns the request, and the errors of invalid parameters.
fn wanted(asked: &Asked, known: &Known) -> (Wanted, Vec<String>) {
    let mut problems = Vec::new();
    let days = asked.period(day_of(clock::now()), &mut problems);
    let names = known.printers.iter().map(|(id, name)| (*id, name.as_str()));
    let printer_id = list_filters::printer(&asked.printer, names, &mut problems);
    let tag = list_filters::given(&asked.tag).map(str::to_owned);
    (Wanted { step: step_of(&days), days, printer_id, tag }, problems)
}

/// Returns the most used printers, and the number of further ones.
fn printer_lines(statistics: &Statistics) -> (Vec<Line>, usize) {
    let mut used: Vec<_> = statistics.printers.iter().collect();
    // The sort is stable: equally used printers stay in the order of their names.
    used.sort_by_key(|(_, course)| std::cmp::Reverse(course.total.used_s));
    let more = used.len().saturating_sub(LISTED);
    let lines = used.into_iter().take(LISTED);
    let mut lines: Vec<Line> =
        lines.map(|(printer, course)| Line::of_course(printer.details.name.clone(), course)).collect();
    if !statistics.removed.is_empty() {
        let mut removed = Use::default();
        statistics.removed.iter().for_each(|(_, course)| removed += course.total);
        let name = super::messages::t_with("statistics-removed", &[("n", &statistics.removed.len())]);
        lines.push(Line { is_removed: true, ..Line::of(name, &removed, &[]) });
    }
    (lines, more)
}

/// Returns the same data as a file: a row for each printer and day, read while it is sent.
pub(super) async fn file(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let (wanted, problems) = wanted(&asked, &Known::to(&dashboard, &who).await?);
    if let Some(problem) = problems.into_iter().next() {
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-does-not-fit", problem + "."));
    }
    let first = wanted.days.start..wanted.days.start + 1;
    if dashboard.services.statistics(&who, &Wanted { days: first, step: 1, ..wanted.clone() }).await?.is_behind {
        let text = t("statistics-old-prints-still-being-counted");
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "statistics-not-yet", text));
    }
    let name = format!("printyard-{}-{}.csv", name_of(wanted.days.start), name_of(wanted.days.end - 1));
    let services = dashboard.services.clone();
    let rest = stream::try_unfold(wanted.days.start, move |first| {
        let (services, who, wanted) = (services.clone(), who.clone(), wanted.clone());
        async move {
            if first >= wanted.days.end {
                return Ok(None);
            }
            let days = first..(first + DAYS_AT_ONCE).min(wanted.days.end);
            let end = days.end;
            let part = services.statistics(&who, &Wanted { days, step: 1, ..wanted }).await?;
            Ok::<_, crate::service::Error>(Some((lines(first, &part), end)))
        }
    });
    let head = csv::line(&[
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

fn lines(first: i64, statistics: &Statistics) -> String {
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
            let Some(step) = course.steps.get(i).filter(|step| **step != Use::default()) else { continue };
            let tally = &step.tally;
            let counts = [tally.done, tally.failed, tally.cancelled, tally.unknown].map(|n| n.to_string());
            let times = [tally.printed_s, step.registered_s].map(decimal_hours);
            let named = [name_of(day), (*name).to_owned(), id.to_string(), tags.clone()];
            text.push_str(&csv::line(&[&named[..], &counts, &times].concat()));
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
    fn the_time_is_what_was_asked_for_or_the_usual_and_the_reason() {
        let day = |text: &str| number_of(text.parse().expect("a day"));
        let today = day("2026-06-15");
        let period = |days: &str, from: &str, to: &str| {
            let asked = Asked { days: days.into(), from: from.into(), to: to.into(), ..Asked::default() };
            let mut problems = Vec::new();
            let days = asked.period(today, &mut problems);
            (name_of(days.start), name_of(days.end - 1), problems.len())
        };
        let told = |first: &str, last: &str, problems| (first.to_owned(), last.to_owned(), problems);
        assert_eq!(period("", "", ""), told("2026-05-17", "2026-06-15", 0));
        assert_eq!(period("7", "", ""), told("2026-06-09", "2026-06-15", 0));
        assert_eq!(period("8", "", ""), told("2026-05-17", "2026-06-15", 0), "no such choice");
        assert_eq!(period("7", "2026-01-01", "2026-01-31"), told("2026-01-01", "2026-01-31", 0));
        assert_eq!(period("", "2026-06-01", "2027-01-01"), told("2026-06-01", "2026-06-15", 0), "not the future");
        assert_eq!(period("", "2026-06-02", "2026-06-01"), told("2026-05-17", "2026-06-15", 1));
        assert_eq!(period("", "2025-06-14", ""), told("2026-05-17", "2026-06-15", 1), "too long");
        assert_eq!(period("", "2025-06-15", ""), told("2025-06-15", "2026-06-15", 0));
        assert_eq!(period("", "nonsense", ""), told("2026-05-17", "2026-06-15", 1));
    }

    #[test]
    fn a_picture_has_31_bars_at_most() {
        for days in 1..=LONGEST {
            assert!((days + step_of(&(0..days)) - 1) / step_of(&(0..days)) <= 31, "{days}");
        }
    }

    #[test]
    fn the_file_tells_of_idle_printers_and_not_of_days_before_they_came() {
        let details = PrinterDetails::new("a,b", "http://x.test");
        let at = chrono::DateTime::UNIX_EPOCH;
        let printer = Printer { id: Uuid::nil(), details, version: 1, created_at: at, updated_at: at };
        let steps = vec![Use::default(), Use { registered_s: 1_800, ..Use::default() }];
        let course = Course { total: Use::default(), steps };
        let statistics = Statistics { all: course.clone(), printers: vec![(printer, course)], ..Statistics::default() };
        let line = format!("1970-01-03,\"a,b\",{},,0,0,0,0,0.000,0.500\r\n", Uuid::nil());
        assert_eq!(lines(1, &statistics), line);
    }

    #[test]
    fn hours_have_a_point_and_three_digits() {
        assert_eq!(
            (decimal_hours(5_400), decimal_hours(36), decimal_hours(0)),
            ("1.500".into(), "0.010".into(), "0.000".into())
        );
    }
}
