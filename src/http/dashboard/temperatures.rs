//! Temperatures of one printer: a table, and the data for the chart that the script draws.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    Dashboard,
    language::said,
    messages::{t, t_with},
    tile_cache::Entry,
};
use crate::{
    clock,
    domain::{
        reading::{Temperature, Temperatures},
        state::Reachability,
    },
    service::{Error, access::Principal, printers::PrinterView, temperatures::Moment},
};

/// Longest wait for the temperature history of a printer.
const WITHIN: Duration = Duration::from_secs(3);
/// Maximum number of heaters. A printer that reports more sends invalid data.
const MOST: usize = 8;
/// Number of line colours in the style sheet.
const COLOURS: usize = 4;

/// The contents of the section.
pub(super) struct Heat {
    /// Data for the script, as JSON.
    pub chart: String,
    pub lines: Vec<Line>,
    /// Why there are no temperatures, or no history.
    pub why: Option<String>,
}

/// One heater in the table.
pub(super) struct Line {
    pub name: String,
    pub label: String,
    pub now: String,
    pub target: String,
    /// The lowest and the highest temperature of the period shown.
    pub range: String,
    pub colour: usize,
}

/// Data of the chart. Times are seconds since 1970.
#[derive(Serialize)]
struct Chart {
    t: Vec<i64>,
    heaters: Vec<Series>,
}

#[derive(Serialize)]
struct Series {
    name: String,
    label: String,
    actual: Vec<Option<f64>>,
    target: Vec<Option<f64>>,
}

impl Heat {
    /// Returns the current and recent temperatures of a printer.
    pub async fn of(dashboard: &Dashboard, who: &Principal, entry: &Entry) -> Self {
        let live = &entry.view.live;
        if live.reachability != Reachability::Online {
            let why = t("temperature-temperatures-can-read-when").to_owned();
            return Self { chart: String::new(), lines: Vec::new(), why: Some(why) };
        }
        let past = tokio::time::timeout(WITHIN, dashboard.services.past_temperatures(who, entry.id())).await;
        let (past, why) = match past {
            Ok(Ok(past)) => (past, None),
            Ok(Err(Error::Printer(error))) => {
                let why = t_with("temperature-past-nothing-known-printer", &[("what", &said(&error.to_string()))]);
                (Vec::new(), Some(why))
            }
            Ok(Err(_)) => (Vec::new(), Some(t("temperature-past-nothing-could-read").to_owned())),
            Err(_) => (Vec::new(), Some(t("temperature-printer-did-not-tell").to_owned())),
        };
        let past = if past.is_empty() { vec![moment(&entry.view, clock::now())] } else { past };
        Self::made(&past, why)
    }

    fn made(moments: &[Moment], why: Option<String>) -> Self {
        let chart = Chart::of(moments);
        let lines: Vec<Line> = chart.heaters.iter().enumerate().map(|(i, series)| Line::of(series, i)).collect();
        let nothing = t("temperature-there-no-temperatures-octoprint");
        Self {
            why: if lines.is_empty() { why.or_else(|| Some(nothing.to_owned())) } else { why },
            chart: serde_json::to_string(&chart).unwrap_or_default(),
            lines,
        }
    }
}

fn moment(view: &PrinterView, at: DateTime<Utc>) -> Moment {
    Moment { at, temperatures: Temperatures::clone(&view.live.temperatures) }
}

/// Returns the event for a live page: one more moment.
pub(super) fn news(view: &PrinterView, at: DateTime<Utc>) -> Option<String> {
    let chart = Chart::of(&[moment(view, at)]);
    (!chart.heaters.is_empty()).then(|| serde_json::to_string(&chart).unwrap_or_default())
}

impl Chart {
    /// Orders nozzles first, then the bed and the other heaters.
    fn of(moments: &[Moment]) -> Self {
        let mut names: Vec<&String> = moments.iter().flat_map(|moment| moment.temperatures.keys()).collect();
        names.sort_by_key(|name| (!name.starts_with("tool"), name.as_str()));
        names.dedup();
        names.truncate(MOST);
        let several = names.iter().filter(|name| name.starts_with("tool")).count() > 1;
        let series = |name: &String| {
            let of = |read: fn(&Temperature) -> Option<f64>| -> Vec<Option<f64>> {
                moments.iter().map(|moment| moment.temperatures.get(name).and_then(read).and_then(tenths)).collect()
            };
            Series {
                name: name.clone(),
                label: label(name, several),
                actual: of(|t| t.actual),
                target: of(|t| t.target),
            }
        };
        Self {
            t: moments.iter().map(|moment| moment.at.timestamp()).collect(),
            heaters: names.into_iter().map(series).collect(),
        }
    }
}

impl Line {
    fn of(series: &Series, i: usize) -> Self {
        let known = series.actual.iter().copied().flatten();
        let (low, high) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), t| (low.min(t), high.max(t)));
        Self {
            name: series.name.clone(),
            label: series.label.clone(),
            now: series.actual.last().copied().flatten().map(degrees).unwrap_or_default(),
            target: match series.target.last().copied().flatten() {
                None => String::new(),
                Some(target) if target <= 0.0 => t("temperature-off").to_owned(),
                Some(target) => degrees(target),
            },
            range: if low <= high { format!("{low:.1} – {}", degrees(high)) } else { String::new() },
            colour: i % COLOURS,
        }
    }
}

fn tenths(degrees: f64) -> Option<f64> {
    degrees.is_finite().then(|| (degrees * 10.0).round() / 10.0)
}

fn degrees(value: f64) -> String {
    format!("{value:.1} °C")
}

/// Returns a readable name for a heater of OctoPrint.
fn label(name: &str, several: bool) -> String {
    match (name, name.strip_prefix("tool").and_then(|n| n.parse::<u32>().ok())) {
        ("bed", _) => t("temperature-bed").to_owned(),
        ("chamber", _) => t("temperature-chamber").to_owned(),
        (_, Some(n)) if several => t_with("temperature-nozzle", &[("n", &n.saturating_add(1))]),
        (_, Some(_)) => t("printer-nozzle").to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: i64, heaters: &[(&str, f64, f64)]) -> Moment {
        let temperature = |actual, target| Temperature { actual: Some(actual), target: Some(target) };
        let temperatures =
            heaters.iter().map(|(name, actual, target)| ((*name).to_owned(), temperature(*actual, *target)));
        Moment { at: DateTime::from_timestamp(seconds, 0).expect("a time"), temperatures: temperatures.collect() }
    }

    #[test]
    fn the_table_says_what_the_chart_shows() {
        let past = vec![
            moment(10, &[("bed", 21.3, 0.0), ("tool0", 21.34, 215.0)]),
            moment(20, &[("tool0", 214.96, 215.0), ("x", 1.0, f64::NAN)]),
        ];
        let heat = Heat::made(&past, None);
        let told: Vec<_> = heat
            .lines
            .iter()
            .map(|line| (line.label.as_str(), line.now.as_str(), line.target.as_str(), line.range.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("Nozzle", "215.0 °C", "215.0 °C", "21.3 – 215.0 °C"),
                ("Bed", "", "", "21.3 – 21.3 °C"),
                ("x", "1.0 °C", "", "1.0 – 1.0 °C"),
            ]
        );
        let chart: serde_json::Value = serde_json::from_str(&heat.chart).expect("JSON");
        assert_eq!(chart["t"], serde_json::json!([10, 20]));
        assert_eq!(chart["heaters"][1]["actual"], serde_json::json!([21.3, null]));
        assert_eq!(heat.why, None);
        let nothing = Heat::made(&[moment(0, &[])], None);
        assert!(nothing.lines.is_empty() && nothing.why.is_some_and(|why| why.contains("not connected")));
    }

    #[test]
    fn nozzles_are_counted_where_there_are_several_and_their_number_has_an_end() {
        let many: Vec<String> = (0..20).map(|n| format!("tool{n}")).collect();
        let heaters: Vec<(&str, f64, f64)> = many.iter().map(|name| (name.as_str(), 20.0, 0.0)).collect();
        let chart = Chart::of(&[moment(1, &heaters)]);
        assert_eq!((chart.heaters.len(), chart.heaters[0].label.as_str()), (MOST, "Nozzle 1"));
    }
}
