//! Print statistics by day of a calendar: results and printed time.
//!
//! A print is counted by its result on the day on which it ended. Its printed time runs from its start to its end,
//! pauses included, and is split over the days. If the end of a print was not observed, its printed time is unknown:
//! the print may have ended long before that was noticed.

use chrono::{DateTime, Utc};

use super::{calendar::Calendar, print::PrintResult};

const DAY_S: i64 = 86_400;
/// The longest plausible print. A longer one has a wrong clock.
const MAX_PRINT_S: i64 = 100 * DAY_S;

/// Number of prints by result, and the printed time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrintTally {
    pub printed_s: i64,
    pub done: i64,
    pub failed: i64,
    pub cancelled: i64,
    /// Prints whose end was not observed.
    pub unknown: i64,
}

impl PrintTally {
    /// Counts one print with this result, without printed time.
    pub fn for_result(result: PrintResult) -> Self {
        let one = |counted: bool| i64::from(counted);
        Self {
            printed_s: 0,
            done: one(result == PrintResult::Done),
            failed: one(result == PrintResult::Failed),
            cancelled: one(result == PrintResult::Cancelled),
            unknown: one(result == PrintResult::Unknown),
        }
    }

    /// Returns the number of all prints.
    pub fn prints(&self) -> i64 {
        self.done + self.failed + self.cancelled + self.unknown
    }

    /// Returns the share of done prints among the prints with a known result, 0 to 1. `None`: there are no such prints.
    pub fn success_rate(&self) -> Option<f64> {
        share(self.done, self.done + self.failed + self.cancelled)
    }
}

impl std::ops::AddAssign for PrintTally {
    fn add_assign(&mut self, other: Self) {
        self.printed_s += other.printed_s;
        self.done += other.done;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.unknown += other.unknown;
    }
}

/// Returns a share, 0 to 1. `None` if `whole` is not positive.
#[expect(clippy::cast_precision_loss, reason = "seconds and prints of a farm are far below 2^53")]
pub fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64).clamp(0.0, 1.0))
}

/// Returns what a print adds to each day. `result` is `None` for a print that has not ended and is known until `until`.
pub fn tallies_by_day(
    calendar: Calendar,
    started: DateTime<Utc>,
    until: DateTime<Utc>,
    result: Option<PrintResult>,
) -> Vec<(i64, PrintTally)> {
    let last = calendar.day_number(until);
    let mut days = Vec::new();
    if let Some(result) = result {
        days.push((last, PrintTally::for_result(result)));
    }
    let length = until.timestamp() - started.timestamp();
    if result != Some(PrintResult::Unknown) && length > 0 && length <= MAX_PRINT_S {
        let timed = |day| {
            let printed_s = calendar.seconds_within_day(day, started, until);
            (day, PrintTally { printed_s, ..PrintTally::default() })
        };
        days.extend((calendar.day_number(started)..=last).map(timed).filter(|(_, tally)| tally.printed_s > 0));
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}Z").parse().expect("a time")
    }

    #[test]
    fn printed_time_is_split_over_the_days() {
        let (started, ended) = (at("2026-03-01T22:00:00"), at("2026-03-03T01:30:00"));
        let first = Calendar::UTC.day_number(started);
        let timed = |s| PrintTally { printed_s: s, ..PrintTally::default() };
        let whole = [(first, timed(7_200)), (first + 1, timed(86_400)), (first + 2, timed(5_400))];
        assert_eq!(tallies_by_day(Calendar::UTC, started, ended, None), whole);
        let done = tallies_by_day(Calendar::UTC, started, ended, Some(PrintResult::Done));
        assert_eq!(done[0], (first + 2, PrintTally { done: 1, ..PrintTally::default() }));
        assert_eq!(done[1..], whole);
        let midnight = at("2026-03-02T00:00:00");
        assert_eq!(tallies_by_day(Calendar::UTC, started, midnight, None), [(first, timed(7_200))]);
    }

    #[test]
    fn a_print_counts_on_the_local_day_of_its_end() {
        let berlin = Calendar::parse("Europe/Berlin").expect("a zone");
        // The clocks change in this night, so the print takes the last hour of one day and the first two of the next.
        let (started, ended) = (at("2026-03-28T22:00:00"), at("2026-03-29T01:00:00"));
        let last = berlin.day_number(ended);
        let timed = |s| PrintTally { printed_s: s, ..PrintTally::default() };
        let done = (last, PrintTally::for_result(PrintResult::Done));
        let whole = [done, (last - 1, timed(3_600)), (last, timed(7_200))];
        assert_eq!(tallies_by_day(berlin, started, ended, Some(PrintResult::Done)), whole);
        let day = berlin.day_start(last);
        let two_days = tallies_by_day(berlin, day, day + chrono::TimeDelta::hours(24), None);
        assert_eq!(two_days, [(last, timed(23 * 3_600)), (last + 1, timed(3_600))]);
    }

    #[test]
    fn unobserved_and_implausible_prints_have_no_time() {
        let (started, ended) = (at("2026-03-01T22:00:00"), at("2026-03-03T01:30:00"));
        let unknown = PrintTally { unknown: 1, ..PrintTally::default() };
        assert_eq!(
            tallies_by_day(Calendar::UTC, started, ended, Some(PrintResult::Unknown)),
            [(Calendar::UTC.day_number(ended), unknown)]
        );
        let failed = PrintTally { failed: 1, ..PrintTally::default() };
        for began in [at("1970-01-01T00:00:00"), at("2027-01-01T00:00:00")] {
            assert_eq!(
                tallies_by_day(Calendar::UTC, began, ended, Some(PrintResult::Failed)),
                [(Calendar::UTC.day_number(ended), failed)]
            );
        }
    }

    #[test]
    fn the_success_rate_ignores_unknown_results() {
        let mut tally = PrintTally::default();
        assert_eq!(tally.success_rate(), None);
        for result in [PrintResult::Done, PrintResult::Done, PrintResult::Done, PrintResult::Cancelled] {
            tally += PrintTally::for_result(result);
        }
        tally += PrintTally::for_result(PrintResult::Unknown);
        assert_eq!((tally.success_rate(), tally.prints()), (Some(0.75), 5));
    }
}
