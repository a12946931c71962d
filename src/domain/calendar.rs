//! The days of a time zone: each begins at local midnight, so a day may have 23 or 25 hours.

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// The longest time that clocks skip at once. A zone has skipped a whole day to change sides of the date line.
const MAX_SKIPPED_MINUTES: i64 = 24 * 60;

/// The calendar of a time zone. A day is its date, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar(Tz);

impl Calendar {
    /// The calendar of UTC.
    pub const UTC: Self = Self(Tz::UTC);

    /// Returns the calendar of a zone in the IANA database, as in `Europe/Berlin`.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// Returns the name of the zone.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns what clocks show at a time.
    pub fn clock_time(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.0).naive_local()
    }

    /// Returns the day of a time.
    pub fn day_number(self, at: DateTime<Utc>) -> i64 {
        (at.with_timezone(&self.0).date_naive() - NaiveDate::default()).num_days()
    }

    /// Returns the first moment of a day. If clocks skip midnight, it is the moment after that.
    pub fn day_start(self, day: i64) -> DateTime<Utc> {
        self.moment(day, 0)
    }

    /// Returns the moment at which clocks show these minutes after the midnight of a day. If clocks skip them, it is the
    /// moment after that. If clocks show them twice, it is the first.
    pub fn moment(self, day: i64, minutes: u32) -> DateTime<Utc> {
        let date = TimeDelta::try_days(day).and_then(|days| NaiveDate::default().checked_add_signed(days));
        let midnight = date.unwrap_or_default().and_time(chrono::NaiveTime::MIN);
        let shown = midnight.checked_add_signed(TimeDelta::minutes(i64::from(minutes))).unwrap_or(midnight);
        let skipped: RangeInclusive<i64> = 0..=MAX_SKIPPED_MINUTES;
        let moments = skipped.filter_map(|minutes| {
            let local = shown.checked_add_signed(TimeDelta::minutes(minutes))?;
            self.0.from_local_datetime(&local).earliest()
        });
        let mut moments = moments.map(|at| at.with_timezone(&Utc));
        moments.next().unwrap_or_else(|| shown.and_utc())
    }

    /// Returns the seconds of a day that lie between two times.
    pub fn seconds_within_day(self, day: i64, from: DateTime<Utc>, until: DateTime<Utc>) -> i64 {
        let (begin, end) = (self.day_start(day).timestamp(), self.day_start(day + 1).timestamp());
        (until.timestamp().min(end) - from.timestamp().max(begin)).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}Z").parse().expect("a time")
    }

    fn day(text: &str) -> i64 {
        (text.parse::<NaiveDate>().expect("a date") - NaiveDate::default()).num_days()
    }

    fn hours(zone: &str, date: &str) -> i64 {
        let calendar = Calendar::parse(zone).expect("a zone");
        (calendar.day_start(day(date) + 1) - calendar.day_start(day(date))).num_hours()
    }

    #[test]
    fn a_day_begins_at_local_midnight_and_has_23_or_25_hours_when_the_clocks_change() {
        let berlin = Calendar::parse("Europe/Berlin").expect("a zone");
        assert_eq!(berlin.day_number(at("2026-03-01T22:59:59")), day("2026-03-01"));
        assert_eq!(berlin.day_number(at("2026-03-01T23:00:00")), day("2026-03-02"));
        assert_eq!(berlin.day_start(day("2026-03-02")), at("2026-03-01T23:00:00"));
        let lengths = ["2026-03-28", "2026-03-29", "2026-10-25"].map(|date| hours("Europe/Berlin", date));
        assert_eq!(lengths, [24, 23, 25]);
        // The clocks change at midnight: there is no 00:00, or the last hour comes twice.
        assert_eq!(hours("Africa/Cairo", "2026-04-24"), 23);
        assert_eq!(
            Calendar::parse("Africa/Cairo").expect("a zone").day_start(day("2026-04-24")),
            at("2026-04-23T22:00:00")
        );
        assert_eq!(hours("Africa/Cairo", "2026-10-29"), 25);
        // This date was left out.
        assert_eq!(hours("Pacific/Apia", "2011-12-30"), 0);
        assert!(Calendar::parse("Mars/Base").is_none() && Calendar::parse("").is_none());
    }

    #[test]
    fn days_follow_each_other_without_gaps_and_contain_their_moments() {
        for zone in ["UTC", "Europe/Berlin", "Africa/Cairo", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]
        {
            let calendar = Calendar::parse(zone).expect("a zone");
            for day in day("2011-12-01")..day("2013-01-01") {
                let (start, next) = (calendar.day_start(day), calendar.day_start(day + 1));
                assert!(start <= next, "{zone} {day}");
                if start < next {
                    let last = next - TimeDelta::seconds(1);
                    assert_eq!((calendar.day_number(start), calendar.day_number(last)), (day, day), "{zone}");
                }
            }
        }
    }
}
