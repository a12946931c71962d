//! The change of a number against the period before.

use crate::http::dashboard::messages::{t, t_with};

/// A change of a share by this many percentage points is clearly good or bad.
const CLEAR_POINTS: i64 = 5;
/// With fewer prints, one print more or less changes a share by that much.
const MIN_PRINTS: i64 = 20;

/// A change in words, and its class.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub text: String,
    /// `good`, `maybe` for a bad change, or `quiet`.
    pub class: &'static str,
    points: i64,
}

impl Change {
    fn new(points: i64, change: &str, days: i64) -> Self {
        let text = t_with("statistics-change", &[("change", &change), ("n", &days)]);
        Self { text, class: "quiet", points }
    }

    fn none(days: i64) -> Self {
        Self { text: t_with("statistics-nothing-before", &[("n", &days)]), class: "quiet", points: 0 }
    }

    /// Marks a clear change as good or bad, if both periods have enough prints. More is better.
    pub fn with_judgement(self, prints: i64) -> Self {
        let class = match self.points {
            _ if prints < MIN_PRINTS => "quiet",
            points if points >= CLEAR_POINTS => "good",
            points if points <= -CLEAR_POINTS => "maybe",
            _ => "quiet",
        };
        Self { class, ..self }
    }
}

/// Compares two amounts, in percent of the earlier one.
pub(super) fn compare_counts(now: i64, before: i64, days: i64) -> Change {
    if before <= 0 {
        return Change::none(days);
    }
    // Rounded half away from zero, in whole numbers.
    let difference = i128::from(now - before) * 200;
    let percent = (difference + i128::from(before) * difference.signum()) / (2 * i128::from(before));
    let percent = i64::try_from(percent).unwrap_or(i64::MAX);
    Change::new(percent, &format!("{} %", signed(percent)), days)
}

/// Compares two shares, in percentage points.
pub(super) fn compare_shares(now: Option<f64>, before: Option<f64>, days: i64) -> Change {
    let (Some(now), Some(before)) = (now, before) else { return Change::none(days) };
    #[expect(clippy::cast_possible_truncation, reason = "shares are from 0 to 1")]
    let points = (now * 100.0).round() as i64 - (before * 100.0).round() as i64;
    Change::new(points, &format!("{} {}", signed(points), t("statistics-points")), days)
}

fn signed(number: i64) -> String {
    match number {
        0 => "±0".to_owned(),
        1.. => format!("+{number}"),
        ..0 => format!("\u{2212}{}", number.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_compared_in_percent_and_never_with_nothing() {
        let text = |now, before| compare_counts(now, before, 7).text;
        assert_eq!(text(123, 110), "+12 % vs. the 7 days before");
        assert_eq!(text(1, 3), "\u{2212}67 % vs. the 7 days before");
        assert_eq!(text(5, 5), "±0 % vs. the 7 days before");
        assert_eq!(text(5, 0), "nothing in the 7 days before");
        assert!(text(i64::MAX / 4, 1).contains('%'));
    }

    #[test]
    fn only_a_clear_change_with_enough_prints_is_coloured() {
        let class = |now, before, prints| compare_shares(Some(now), Some(before), 30).with_judgement(prints).class;
        assert_eq!(class(0.97, 0.90, 20), "good");
        assert_eq!(class(0.80, 0.90, 20), "maybe");
        assert_eq!(class(0.80, 0.90, 19), "quiet");
        assert_eq!(class(0.91, 0.90, 500), "quiet");
        assert_eq!(compare_shares(Some(0.934), Some(0.9), 30).text, "+3 points vs. the 30 days before");
        assert_eq!(compare_shares(None, Some(0.9), 30).class, "quiet");
    }
}
