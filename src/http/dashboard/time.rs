//! Formats times for people: time of day, duration, age. The server writes UTC, and the script converts it to local
//! time.

use chrono::{DateTime, SecondsFormat, Utc};

use super::messages::{t, t_with};

/// A moment for a `<time>` element.
#[derive(PartialEq)]
pub(super) struct Moment {
    /// For programs.
    pub iso: String,
    /// For people, if the script does not run.
    pub text: String,
}

impl Moment {
    /// Shows the time of day.
    pub fn clock(at: DateTime<Utc>) -> Self {
        Self { iso: at.to_rfc3339_opts(SecondsFormat::Secs, true), text: at.format("%H:%M UTC").to_string() }
    }

    /// Shows the date and the time.
    pub fn day(at: DateTime<Utc>) -> Self {
        Self { iso: at.to_rfc3339_opts(SecondsFormat::Secs, true), text: at.format("%Y-%m-%d %H:%M UTC").to_string() }
    }
}

/// Formats a duration in its two largest units.
pub(super) fn length(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => t("word-1-m").to_owned(),
        (0, 0, minutes) => t_with("word-m", &[("m", &minutes)]),
        (0, hours, minutes) => t_with("word-h-m", &[("h", &hours), ("m", &format_args!("{minutes:02}"))]),
        (days, hours, _) => t_with("word-d-h", &[("d", &days), ("h", &hours)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_two_units_at_most() {
        assert_eq!(length(20), "< 1 m");
        assert_eq!(length(60 * 12), "12 m");
        assert_eq!(length(3_600 + 12 * 60), "1 h 12 m");
        assert_eq!(length(3_600 * 3 + 5 * 60), "3 h 05 m");
        assert_eq!(length(86_400 * 2 + 3_600 * 3), "2 d 3 h");
    }
}
