//! When plates get cleared: the staff hours of the coming days, computed once for each plan.

use chrono::{DateTime, Utc};

use crate::domain::staff_hours::StaffHours;

/// Days that are computed ahead. Later times are computed one by one.
const DAYS_AHEAD: i64 = 9;

/// The times at which staff is present, as Unix seconds.
pub(super) struct Presence<'a> {
    hours: &'a [StaffHours],
    /// Begin and end, sorted, without overlaps.
    windows: Vec<(i64, i64)>,
    /// End of the computed time.
    until: i64,
}

impl<'a> Presence<'a> {
    /// Without hours, staff is always present.
    pub(super) fn new(hours: &'a [StaffHours], now: DateTime<Utc>) -> Self {
        let seconds = |(begin, end): (DateTime<Utc>, DateTime<Utc>)| (begin.timestamp(), end.timestamp());
        let all = hours.iter().flat_map(|hours| hours.windows(now, -2..=DAYS_AHEAD + 1)).map(seconds);
        let mut all: Vec<(i64, i64)> = all.collect();
        all.sort_unstable();
        let mut windows: Vec<(i64, i64)> = Vec::with_capacity(all.len());
        for (begin, end) in all {
            match windows.last_mut() {
                Some(last) if begin <= last.1 => last.1 = last.1.max(end),
                _ => windows.push((begin, end)),
            }
        }
        Self { hours, windows, until: now.timestamp() + DAYS_AHEAD * 86_400 }
    }

    /// Returns `at` if staff is present then, otherwise the beginning of the next presence. In Unix seconds.
    pub(super) fn next(&self, at: i64) -> i64 {
        if self.hours.is_empty() {
            return at;
        }
        let next = self.windows.partition_point(|(_, end)| *end <= at);
        match self.windows.get(next) {
            Some((begin, _)) if at < self.until => at.max(*begin),
            Some(_) | None => self.compute_next(at),
        }
    }

    fn compute_next(&self, at: i64) -> i64 {
        let Some(moment) = DateTime::from_timestamp(at, 0) else { return at };
        let next = self.hours.iter().map(|hours| hours.next_presence(moment).timestamp());
        next.min().unwrap_or(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calendar::Calendar;

    #[test]
    fn the_computed_times_equal_those_of_the_staff_hours() {
        let parse = |text, zone| StaffHours::parse(text, Calendar::parse(zone).expect("a zone")).expect("hours");
        let berlin = parse("mo-fr 06:00-22:00; sa 20:00-04:00", "Europe/Berlin");
        let overlapping = parse("daily 21:00-23:00; we 05:00-07:00", "America/New_York");
        for hours in [vec![berlin.clone()], vec![parse("we 10:00-11:00", "UTC")], vec![berlin, overlapping]] {
            // Before the clocks change in Berlin.
            let now: DateTime<Utc> = "2026-10-22T12:34:56Z".parse().expect("a time");
            let presence = Presence::new(&hours, now);
            for minutes in (0..20 * 24 * 60).step_by(17) {
                let at = now + chrono::TimeDelta::minutes(minutes);
                let expected = hours.iter().map(|hours| hours.next_presence(at)).min().expect("hours");
                assert_eq!(presence.next(at.timestamp()), expected.timestamp(), "{at}");
            }
        }
        assert_eq!(Presence::new(&[], DateTime::UNIX_EPOCH).next(7), 7, "staff is always present");
    }
}
