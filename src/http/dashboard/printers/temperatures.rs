//! Temperatures of one printer: a table, and the data for the chart that the script draws.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    clock,
    domain::{
        reading::{Temperature, Temperatures},
        state::Reachability,
    },
    http::dashboard::{
        Dashboard,
        farm::tile_cache::PrinterEntry,
        messages::{t, t_with, text_of},
        time::TimeElement,
    },
    service::{Error, access::Principal, printers::PrinterView, temperatures::TemperaturePoint},
};

/// Longest wait for the temperature history of a printer.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of heaters. A printer that reports more sends invalid data.
const MAX_HEATERS: usize = 8;
/// Number of line colours in the style sheet.
const COLOURS: usize = 4;

/// The contents of the section.
pub(in crate::http::dashboard) struct TemperatureSection {
    /// Data for the script, as JSON.
    pub chart_json: String,
    pub heaters: Vec<HeaterRow>,
    /// Why there are no temperatures, or no history.
    pub reason: Option<String>,
    /// When they were read.
    pub read_at: Option<TimeElement>,
}

/// One heater in the table.
pub(in crate::http::dashboard) struct HeaterRow {
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
struct TemperatureChart {
    t: Vec<i64>,
    heaters: Vec<HeaterSeries>,
}

#[derive(Serialize)]
struct HeaterSeries {
    name: String,
    label: String,
    actual: Vec<Option<f64>>,
    target: Vec<Option<f64>>,
}

impl TemperatureSection {
    /// Returns the current and recent temperatures of a printer.
    pub async fn load(dashboard: &Dashboard, who: &Principal, entry: &PrinterEntry) -> Self {
        let live = &entry.view.live;
        let unknown = |reason| Self {
            chart_json: String::new(),
            heaters: Vec::new(),
            reason: Some(t(reason).to_owned()),
            read_at: None,
        };
        if live.reachability != Reachability::Online {
            return unknown("temperature-no-answer");
        }
        // A halted or disconnected printer has no current values, only old ones.
        if !live.state.is_operational() {
            return unknown("temperature-none");
        }
        let past = tokio::time::timeout(HISTORY_TIMEOUT, dashboard.services.past_temperatures(who, entry.id())).await;
        let (past, reason) = match past {
            Ok(Ok(past)) => (past, None),
            Ok(Err(Error::Printer { message, .. })) => {
                let cause = text_of(&message);
                (Vec::new(), Some(t_with("temperature-history-unavailable", &[("cause", &cause)])))
            }
            Ok(Err(_)) => (Vec::new(), Some(t("temperature-history-failed").to_owned())),
            Err(_) => (Vec::new(), Some(t("temperature-history-late").to_owned())),
        };
        let past = if past.is_empty() { vec![current_point(&entry.view, clock::now())] } else { past };
        let read_at = live
            .heaters_read_at
            .and_then(|read| clock::now().checked_sub_signed(TimeDelta::from_std(read.elapsed()).ok()?));
        Self { read_at: read_at.map(TimeElement::time_of_day), ..Self::from_points(&past, reason) }
    }

    fn from_points(points: &[TemperaturePoint], reason: Option<String>) -> Self {
        let chart = TemperatureChart::from_points(points);
        let heaters: Vec<HeaterRow> =
            chart.heaters.iter().enumerate().map(|(i, series)| HeaterRow::from_series(series, i)).collect();
        let nothing = t("temperature-none");
        Self {
            reason: if heaters.is_empty() { reason.or_else(|| Some(nothing.to_owned())) } else { reason },
            chart_json: serde_json::to_string(&chart).unwrap_or_default(),
            heaters,
            read_at: None,
        }
    }
}

fn current_point(view: &PrinterView, at: DateTime<Utc>) -> TemperaturePoint {
    TemperaturePoint { at, temperatures: Temperatures::clone(&view.live.temperatures) }
}

/// Returns the event for a live page: one more moment.
pub(in crate::http::dashboard) fn chart_event(view: &PrinterView, at: DateTime<Utc>) -> Option<String> {
    if !view.live.state.is_operational() {
        return None;
    }
    let chart = TemperatureChart::from_points(&[current_point(view, at)]);
    (!chart.heaters.is_empty()).then(|| serde_json::to_string(&chart).unwrap_or_default())
}

impl TemperatureChart {
    /// Orders nozzles first, then the bed and the other heaters.
    fn from_points(points: &[TemperaturePoint]) -> Self {
        let mut names: Vec<&String> = points.iter().flat_map(|moment| moment.temperatures.keys()).collect();
        names.sort_by_key(|name| (!name.starts_with("tool"), name.as_str()));
        names.dedup();
        names.truncate(MAX_HEATERS);
        let several = names.iter().filter(|name| name.starts_with("tool")).count() > 1;
        let series = |name: &String| {
            let values = |read: fn(&Temperature) -> Option<f64>| -> Vec<Option<f64>> {
                points.iter().map(|moment| moment.temperatures.get(name).and_then(read).and_then(tenths)).collect()
            };
            HeaterSeries {
                name: name.clone(),
                label: heater_label(name, several),
                actual: values(|t| t.actual),
                target: values(|t| t.target),
            }
        };
        Self {
            t: points.iter().map(|moment| moment.at.timestamp()).collect(),
            heaters: names.into_iter().map(series).collect(),
        }
    }
}

impl HeaterRow {
    fn from_series(series: &HeaterSeries, i: usize) -> Self {
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
fn heater_label(name: &str, several: bool) -> String {
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
    use crate::http::dashboard::printers::temperatures::*;

    fn point_at(seconds: i64, heaters: &[(&str, f64, f64)]) -> TemperaturePoint {
        let temperature = |actual, target| Temperature { actual: Some(actual), target: Some(target) };
        let temperatures =
            heaters.iter().map(|(name, actual, target)| ((*name).to_owned(), temperature(*actual, *target)));
        TemperaturePoint {
            at: DateTime::from_timestamp(seconds, 0).expect("a time"),
            temperatures: temperatures.collect(),
        }
    }

    #[test]
    fn the_table_shows_the_values_of_the_chart() {
        let past = vec![
            point_at(10, &[("bed", 21.3, 0.0), ("tool0", 21.34, 215.0)]),
            point_at(20, &[("tool0", 214.96, 215.0), ("x", 1.0, f64::NAN)]),
        ];
        let section = TemperatureSection::from_points(&past, None);
        let rows: Vec<_> = section
            .heaters
            .iter()
            .map(|line| (line.label.as_str(), line.now.as_str(), line.target.as_str(), line.range.as_str()))
            .collect();
        assert_eq!(
            rows,
            [
                ("Nozzle", "215.0 °C", "215.0 °C", "21.3 – 215.0 °C"),
                ("Bed", "", "", "21.3 – 21.3 °C"),
                ("x", "1.0 °C", "", "1.0 – 1.0 °C"),
            ]
        );
        let chart: serde_json::Value = serde_json::from_str(&section.chart_json).expect("JSON");
        assert_eq!(chart["t"], serde_json::json!([10, 20]));
        assert_eq!(chart["heaters"][1]["actual"], serde_json::json!([21.3, null]));
        assert_eq!(section.reason, None);
        let nothing = TemperatureSection::from_points(&[point_at(0, &[])], None);
        assert!(nothing.heaters.is_empty() && nothing.reason.is_some_and(|reason| reason.contains("not connected")));
    }

    #[test]
    fn several_nozzles_are_numbered_and_heaters_are_limited() {
        let many: Vec<String> = (0..20).map(|n| format!("tool{n}")).collect();
        let heaters: Vec<(&str, f64, f64)> = many.iter().map(|name| (name.as_str(), 20.0, 0.0)).collect();
        let chart = TemperatureChart::from_points(&[point_at(1, &heaters)]);
        assert_eq!((chart.heaters.len(), chart.heaters[0].label.as_str()), (MAX_HEATERS, "Nozzle 1"));
    }
}
