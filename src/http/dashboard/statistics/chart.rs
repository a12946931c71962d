//! Charts over time as SVG, rendered by the server: they need no script, and their only styling is CSS classes.

use crate::{domain::print_stats::share, http::dashboard::messages::t_with, service::statistics::Usage};

/// The height of a chart, in SVG units.
const HEIGHT: f64 = 100.0;
/// Distance between two bars, and the width of a bar.
const PITCH: f64 = 10.0;
const WIDTH: f64 = 8.0;

/// A bar chart with stacked bars.
pub(in crate::http::dashboard) struct BarChart {
    pub bars: Vec<Bar>,
    /// The label of the upper edge.
    pub top_label: String,
    pub middle_label: String,
    pub width: f64,
}

/// One bar. Its title is its tooltip.
pub(in crate::http::dashboard) struct Bar {
    pub title: String,
    pub x: f64,
    pub segments: Vec<BarSegment>,
}

/// A part of a bar.
pub(in crate::http::dashboard) struct BarSegment {
    pub class: &'static str,
    pub y: f64,
    pub height: f64,
}

impl BarChart {
    /// Charts prints by result.
    pub fn from_prints(labels: &[String], steps: &[Usage]) -> Self {
        let most = steps.iter().map(|step| step.prints.prints()).max().unwrap_or(0);
        let top = round_up_scale(most);
        let bars = labels.iter().zip(steps).map(|(label, step)| {
            let tally = &step.prints;
            let counts = [
                ("done", tally.done),
                ("cancelled", tally.cancelled),
                ("unknown", tally.unknown),
                ("failed", tally.failed),
            ];
            let values: [(&'static str, &dyn std::fmt::Display); 5] = [
                ("when", label),
                ("done", &tally.done),
                ("failed", &tally.failed),
                ("cancelled", &tally.cancelled),
                ("unknown", &tally.unknown),
            ];
            (
                t_with("statistics-bar-title", &values),
                counts.map(|(class, n)| (class, share(n, top).unwrap_or(0.0))).to_vec(),
            )
        });
        // An odd maximum has no whole number at half height.
        let middle = if top % 2 == 0 { format_number(top / 2) } else { String::new() };
        Self::from_shares(bars.collect(), format_number(top), middle)
    }

    /// Charts the share of time in which the printers printed.
    pub fn from_utilisation(labels: &[String], steps: &[Usage]) -> Self {
        let bars = labels.iter().zip(steps).map(|(label, step)| {
            let utilisation = step.utilisation().unwrap_or(0.0);
            (format!("{label}: {}", format_percent(step.utilisation())), vec![("used", utilisation)])
        });
        Self::from_shares(bars.collect(), "100 %".to_owned(), "50 %".to_owned())
    }

    fn from_shares(bars: Vec<(String, Vec<(&'static str, f64)>)>, top_label: String, middle_label: String) -> Self {
        let bars: Vec<Bar> = bars
            .into_iter()
            .zip(0_u32..)
            .map(|((title, shares), i)| {
                let mut y = HEIGHT;
                let segments = shares.into_iter().filter(|(_, share)| *share > 0.0).map(|(class, share)| {
                    let height = share * HEIGHT;
                    y -= height;
                    BarSegment { class, y: round_to_hundredths(y), height: round_to_hundredths(height) }
                });
                let parts = segments.collect();
                Bar { title, x: f64::from(i) * PITCH + (PITCH - WIDTH) / 2.0, segments: parts }
            })
            .collect();
        Self { width: f64::from(u32::try_from(bars.len()).unwrap_or(u32::MAX)) * PITCH, bars, top_label, middle_label }
    }
}

/// Returns a sparkline of utilisation for a table row: SVG path data, 100 high, one unit per step.
pub(in crate::http::dashboard) fn sparkline(steps: &[Usage]) -> String {
    use std::fmt::Write;
    let mut path = String::new();
    for (i, step) in steps.iter().enumerate() {
        let height = round_to_hundredths(step.utilisation().unwrap_or(0.0) * HEIGHT);
        if height > 0.0 {
            let _ = write!(path, "M{i} {}v-{height}h.8v{height}z", HEIGHT);
        }
    }
    path
}

/// Formats a whole number in groups of three digits.
pub(in crate::http::dashboard) fn format_number(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = if n < 0 { "-".to_owned() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Formats a share as percent. A dash if there is no value.
pub(in crate::http::dashboard) fn format_percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// Formats hours, with one decimal if there are fewer than ten.
pub(in crate::http::dashboard) fn format_hours(seconds: i64) -> String {
    if seconds < 36_000 {
        return format!("{}.{} h", seconds / 3_600, seconds % 3_600 / 360);
    }
    format!("{} h", format_number(seconds / 3_600))
}

fn round_to_hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Rounds up to 1, 2, 4, 6, 8 or 10 times a power of ten.
fn round_up_scale(most: i64) -> i64 {
    let mut unit = 1;
    while unit * 10 < most {
        unit *= 10;
    }
    [1, 2, 4, 6, 8, 10].into_iter().map(|n| n * unit).find(|top| *top >= most).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use crate::domain::print_stats::PrintTally;
    use crate::http::dashboard::statistics::chart::*;

    fn step(done: i64, failed: i64, used_s: i64) -> Usage {
        let tally = PrintTally { printed_s: used_s, done, failed, ..PrintTally::default() };
        Usage { prints: tally, used_s, registered_s: 86_400 }
    }

    #[test]
    fn segments_are_stacked_and_as_high_as_their_shares() {
        let steps = [step(3, 1, 43_200), step(0, 0, 0)];
        let labels = ["2026-03-01".to_owned(), "2026-03-02".to_owned()];
        let bars = BarChart::from_prints(&labels, &steps);
        let parts: Vec<_> = bars.bars[0].segments.iter().map(|part| (part.class, part.y, part.height)).collect();
        assert_eq!(parts, [("done", 25.0, 75.0), ("failed", 0.0, 25.0)]);
        assert_eq!((bars.top_label.as_str(), bars.middle_label.as_str(), bars.width), ("4", "2", 20.0));
        assert_eq!(bars.bars[0].title, "2026-03-01: 3 done, 1 failed, 0 cancelled, 0 end not seen");
        assert!(bars.bars[1].segments.is_empty());
        let used = BarChart::from_utilisation(&labels, &steps);
        assert_eq!((used.bars[0].title.as_str(), used.bars[0].segments[0].height), ("2026-03-01: 50 %", 50.0));
        assert_eq!(sparkline(&steps), "M0 100v-50h.8v50z");
        assert!(BarChart::from_prints(&[], &[]).bars.is_empty());
    }

    #[test]
    fn numbers_are_formatted_for_people() {
        assert_eq!(
            (format_number(7), format_number(1_234_567)),
            ("7".to_owned(), "1\u{202f}234\u{202f}567".to_owned())
        );
        assert_eq!(
            (format_hours(5_400), format_hours(360_000), format_hours(0)),
            ("1.5 h".to_owned(), "100 h".to_owned(), "0.0 h".to_owned())
        );
        assert_eq!((format_percent(Some(0.934)), format_percent(None)), ("93 %".to_owned(), "–".to_owned()));
        for (most, top) in [(0, 1), (1, 1), (3, 4), (10, 10), (11, 20), (812, 1_000), (70, 80)] {
            assert_eq!(round_up_scale(most), top, "{most}");
        }
    }
}
