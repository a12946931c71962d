//! Formats times and sizes for people: time of day, duration, age, bytes. The server writes UTC, and the script converts it to local
//! time.

use chrono::{DateTime, SecondsFormat, Utc};

use super::messages::{t, t_with};

/// A moment for a `<time>` element.
#[derive(PartialEq)]
pub(super) struct TimeElement {
    /// For programs.
    pub iso: String,
    /// For people, if the script does not run.
    pub text: String,
}

impl TimeElement {
    /// Shows the time of day.
    pub fn time_of_day(at: DateTime<Utc>) -> Self {
        Self { iso: at.to_rfc3339_opts(SecondsFormat::Secs, true), text: at.format("%H:%M UTC").to_string() }
    }

    /// Shows the date and the time.
    pub fn date_and_time(at: DateTime<Utc>) -> Self {
        Self { iso: at.to_rfc3339_opts(SecondsFormat::Secs, true), text: at.format("%Y-%m-%d %H:%M UTC").to_string() }
    }
}

/// Formats a duration in its two largest units.
pub(super) fn format_duration(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => t("word-below-one-minute").to_owned(),
        (0, 0, minutes) => t_with("word-minutes", &[("m", &minutes)]),
        (0, hours, minutes) => t_with("word-hours-minutes", &[("h", &hours), ("m", &format_args!("{minutes:02}"))]),
        (days, hours, _) => t_with("word-days-hours", &[("d", &days), ("h", &hours)]),
    }
}

/// Formats a number of bytes.
pub(super) fn format_size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_at_most_two_units() {
        assert_eq!(format_duration(20), "< 1 min");
        assert_eq!(format_duration(60 * 12), "12 min");
        assert_eq!(format_duration(3_600 + 12 * 60), "1 h 12 min");
        assert_eq!(format_duration(3_600 * 3 + 5 * 60), "3 h 05 min");
        assert_eq!(format_duration(86_400 * 2 + 3_600 * 3), "2 d 3 h");
    }
}
