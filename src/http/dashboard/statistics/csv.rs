//! The statistics as a file: a row for each printer and day.

use axum::{
    body::Body,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::{StatisticsParams, day_name, parse_params};
use crate::{
    http::{
        csv,
        dashboard::{
            Dashboard,
            messages::t,
            page::{Failure, Visitor},
            prints::FilterChoices,
        },
    },
    service::statistics::{Statistics, StatisticsQuery, Usage},
};

/// Number of days per database read.
const DAYS_PER_READ: i64 = 7;

/// Returns the same data as a file: a row for each printer and day, read while it is sent.
pub(in crate::http::dashboard) async fn download_csv(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<StatisticsParams>,
) -> Result<Response, Failure> {
    let (request, problems) =
        parse_params(&params, &FilterChoices::load(&dashboard, &who).await?, dashboard.services.calendar());
    if let Some(problem) = problems.into_iter().next() {
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-invalid", problem + "."));
    }
    let first = request.days.start..request.days.start + 1;
    let head = StatisticsQuery { days: first, step: 1, ..request.clone() };
    if dashboard.services.statistics(&who, &head).await?.is_behind {
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
            Ok::<_, crate::service::Error>(Some((csv_rows(first, &part, services.calendar().name()), end)))
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
        "time_zone",
    ]);
    let body = Body::from_stream(futures_util::StreamExt::chain(stream::once(async { Ok(head) }), rest));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, body).into_response())
}

/// `time_zone` is that of the days.
fn csv_rows(first: i64, statistics: &Statistics, time_zone: &str) -> String {
    let registered = statistics
        .printers
        .iter()
        .map(|(printer, course)| (printer.id, printer.details.name.as_str(), printer.details.tags.join(" "), course));
    let removed = statistics.removed.iter().map(|(id, course)| (*id, "", String::new(), course));
    let all: Vec<_> = registered.chain(removed).collect();
    let mut text = String::new();
    let is_in_zone = |day: i64| statistics.kept_until.is_none_or(|kept| day > kept);
    for (i, day) in (first..).take(statistics.all.steps.len()).enumerate() {
        for (id, name, tags, course) in &all {
            // A printer has no data before its registration.
            let Some(step) = course.steps.get(i).filter(|step| **step != Usage::default()) else { continue };
            let tally = &step.prints;
            let counts = [tally.done, tally.failed, tally.cancelled, tally.unknown].map(|n| n.to_string());
            let times = [tally.printed_s, step.registered_s].map(decimal_hours);
            // Sums of deleted prints may have days of an earlier zone.
            let zone = [if is_in_zone(day) { time_zone.to_owned() } else { String::new() }];
            let named = [day_name(day), (*name).to_owned(), id.to_string(), tags.clone()];
            text.push_str(&csv::format_row(&[&named[..], &counts, &times, &zone].concat()));
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
    use crate::{
        domain::printer::{Printer, PrinterDetails},
        service::statistics::UsageSeries,
    };
    use uuid::Uuid;

    #[test]
    fn the_csv_lists_idle_printers_but_no_days_before_their_registration() {
        let details = PrinterDetails::new("a,b", "http://x.test");
        let at = chrono::DateTime::UNIX_EPOCH;
        let printer = Printer { id: Uuid::nil(), details, attention: None, version: 1, created_at: at, updated_at: at };
        let steps = vec![Usage::default(), Usage { registered_s: 1_800, ..Usage::default() }];
        let course = UsageSeries { total: Usage::default(), steps };
        let statistics = Statistics { all: course.clone(), printers: vec![(printer, course)], ..Statistics::default() };
        let line = format!("1970-01-03,\"a,b\",{},,0,0,0,0,0.000,0.500,Europe/Berlin\r\n", Uuid::nil());
        assert_eq!(csv_rows(1, &statistics, "Europe/Berlin"), line);
        let statistics = Statistics { kept_until: Some(2), ..statistics };
        assert!(csv_rows(1, &statistics, "Europe/Berlin").ends_with("0.500,\r\n"), "a day of an earlier zone");
    }

    #[test]
    fn hours_have_a_point_and_three_digits() {
        assert_eq!(
            (decimal_hours(5_400), decimal_hours(36), decimal_hours(0)),
            ("1.500".into(), "0.010".into(), "0.000".into())
        );
    }
}
