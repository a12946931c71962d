//! Weekly hours in which staff is present and clears plates.

use std::fmt::{self, Display, Formatter};

use chrono::{DateTime, Utc};

use super::calendar::Calendar;

/// Days as they are written, from Monday.
pub const DAYS: [&str; 7] = ["mo", "tu", "we", "th", "fr", "sa", "su"];
const DAY_MINUTES: u32 = 24 * 60;
/// Days that are searched for the next presence: a week, and one for hours that began the day before.
const SEARCHED_DAYS: std::ops::RangeInclusive<i64> = -1..=8;
/// 1970-01-01 was a Thursday.
const WEEKDAY_OF_DAY_0: i64 = 3;

/// Weekly hours in a time zone, such as `mo-fr 06:00-22:00; sa 08:00-12:00`. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffHours {
    calendar: Calendar,
    rules: Vec<WeeklyRule>,
}

/// Days of the week with the same hours.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WeeklyRule {
    is_on: [bool; 7],
    ranges: Vec<MinuteRange>,
}

/// Minutes after local midnight. `end` may lie in the next day: `22:00-06:00` ends at minute 1,800.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MinuteRange {
    begin: u32,
    end: u32,
}

/// Why a text is not staff hours: the rule that cannot be read, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffHoursError {
    pub rule: String,
    pub problem: StaffHoursProblem,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaffHoursProblem {
    /// There is no rule.
    Empty,
    /// The rule is not days and hours, separated by a space.
    Shape,
    UnknownDay(String),
    /// The text is not a time of day, a begin and an end.
    Time(String),
}

impl StaffHours {
    /// Parses rules that are separated by `;`. A rule has days (`mo-fr`, `mo,we,fr`, `daily`) and hours, separated by
    /// spaces: `mo-fr 06:00-12:00,13:00-22:00`. Hours may pass midnight. The error names the part that cannot be read.
    pub fn parse(text: &str, calendar: Calendar) -> Result<Self, StaffHoursError> {
        let rules: Vec<&str> = text.split(';').map(str::trim).filter(|rule| !rule.is_empty()).collect();
        if rules.is_empty() {
            return Err(StaffHoursError { rule: text.to_owned(), problem: StaffHoursProblem::Empty });
        }
        let parse =
            |rule: &str| WeeklyRule::parse(rule).map_err(|problem| StaffHoursError { rule: rule.to_owned(), problem });
        Ok(Self { calendar, rules: rules.into_iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// Returns `at` if staff is present then, otherwise the beginning of the next presence.
    pub fn next_presence(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let later = self.windows(at, SEARCHED_DAYS).filter(|(_, end)| *end > at).map(|(begin, _)| begin.max(at));
        later.min().unwrap_or(at)
    }

    /// Returns the times of presence on the days around `at`, without order: begin and end.
    pub(super) fn windows(
        &self,
        at: DateTime<Utc>,
        days: std::ops::RangeInclusive<i64>,
    ) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
        let today = self.calendar.day_number(at);
        days.flat_map(move |offset| self.windows_of_day(today.saturating_add(offset)))
    }

    fn windows_of_day(&self, day: i64) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> {
        let weekday = usize::try_from((day + WEEKDAY_OF_DAY_0).rem_euclid(7)).unwrap_or_default();
        let rules = self.rules.iter().filter(move |rule| rule.is_on[weekday]);
        let moment = move |minute: u32| self.calendar.moment(day, minute);
        rules.flat_map(|rule| &rule.ranges).map(move |range| (moment(range.begin), moment(range.end)))
    }
}

impl WeeklyRule {
    fn parse(text: &str) -> Result<Self, StaffHoursProblem> {
        let (days, hours) = text.split_once(char::is_whitespace).ok_or(StaffHoursProblem::Shape)?;
        let hours: String = hours.split_whitespace().collect();
        let ranges = hours.split(',').map(MinuteRange::parse).collect::<Result<_, _>>()?;
        Ok(Self { is_on: parse_days(days)?, ranges })
    }
}

impl MinuteRange {
    fn parse(text: &str) -> Result<Self, StaffHoursProblem> {
        let unreadable = || StaffHoursProblem::Time(text.to_owned());
        let (begin, end) = text.split_once('-').ok_or_else(unreadable)?;
        let (begin, mut end) = (parse_minute(begin).ok_or_else(unreadable)?, parse_minute(end).ok_or_else(unreadable)?);
        if begin >= DAY_MINUTES || begin == end {
            return Err(unreadable());
        }
        if end < begin {
            end += DAY_MINUTES;
        }
        Ok(Self { begin, end })
    }
}

/// Parses `mo-fr`, `mo,we,fr` or `daily`. A range may pass Sunday: `sa-mo`.
fn parse_days(text: &str) -> Result<[bool; 7], StaffHoursProblem> {
    let lower = text.to_lowercase();
    if lower == "daily" {
        return Ok([true; 7]);
    }
    let find = |name: &str| {
        let unknown = || StaffHoursProblem::UnknownDay(name.to_owned());
        DAYS.iter().position(|day| *day == name).ok_or_else(unknown)
    };
    let mut is_on = [false; 7];
    for part in lower.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (find(first)?, find(last)?);
        for step in 0..=(last + 7 - first) % 7 {
            is_on[(first + step) % 7] = true;
        }
    }
    Ok(is_on)
}

/// Parses `06:00` to minutes after midnight. `24:00` is allowed.
fn parse_minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let is_number = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    if !(is_number(hour, 2) || is_number(hour, 1)) || !is_number(minute, 2) {
        return None;
    }
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY_MINUTES).then_some(total)
}

/// Writes the hours in the form that [`StaffHours::parse`] reads.
impl Display for StaffHours {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            let ranges: Vec<String> = rule.ranges.iter().map(ToString::to_string).collect();
            write!(f, "{separator}{} {}", format_days(rule.is_on), ranges.join(","))?;
        }
        Ok(())
    }
}

impl Display for MinuteRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let end = if self.end > DAY_MINUTES { self.end - DAY_MINUTES } else { self.end };
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.begin / 60, self.begin % 60, end / 60, end % 60)
    }
}

fn format_days(is_on: [bool; 7]) -> String {
    if is_on == [true; 7] {
        return "daily".to_owned();
    }
    let mut parts = Vec::new();
    let mut first = 0;
    while first < 7 {
        let length = is_on[first..].iter().take_while(|is_on| **is_on).count();
        match length {
            0 => {}
            1 => parts.push(DAYS[first].to_owned()),
            _ => parts.push(format!("{}-{}", DAYS[first], DAYS[first + length - 1])),
        }
        first += length.max(1);
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str, zone: &str) -> StaffHours {
        StaffHours::parse(text, Calendar::parse(zone).expect("a zone")).expect("hours")
    }

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}:00Z").parse().expect("a time")
    }

    #[track_caller]
    fn assert_next(hours: &StaffHours, from: &str, presence: &str) {
        assert_eq!(hours.next_presence(at(from)), at(presence), "from {from}");
    }

    #[test]
    fn the_next_presence_is_now_or_the_next_beginning() {
        // 2026-11-27 is a Friday.
        let week = hours("mo-fr 06:00-22:00; sa 08:00-12:00", "UTC");
        assert_next(&week, "2026-11-27T12:00", "2026-11-27T12:00");
        assert_next(&week, "2026-11-27T22:00", "2026-11-28T08:00");
        assert_next(&week, "2026-11-28T12:00", "2026-11-30T06:00");
        assert_next(&week, "2026-11-30T05:59", "2026-11-30T06:00");
        let weekly = hours("we 10:00-11:00", "UTC");
        assert_next(&weekly, "2026-11-25T11:00", "2026-12-02T10:00");
    }

    #[test]
    fn hours_may_pass_midnight() {
        let night = hours("fr 22:00-06:00", "UTC");
        assert_next(&night, "2026-11-28T03:00", "2026-11-28T03:00");
        assert_next(&night, "2026-11-28T06:00", "2026-12-04T22:00");
    }

    #[test]
    fn hours_are_local_and_follow_the_clocks() {
        let berlin = hours("daily 06:00-22:00", "Europe/Berlin");
        assert_next(&berlin, "2026-10-24T20:00", "2026-10-25T05:00");
        assert_next(&berlin, "2026-10-23T20:00", "2026-10-24T04:00");
        // 02:30 does not exist on this day.
        assert_next(&hours("daily 02:30-03:30", "Europe/Berlin"), "2026-03-29T00:00", "2026-03-29T01:00");
    }

    #[test]
    fn written_hours_are_read_back() {
        for (text, written) in [
            ("mo-fr 06:00-22:00", "mo-fr 06:00-22:00"),
            (" Mo-We,sa  6:00-12:00, 13:00-24:00 ;", "mo-we,sa 06:00-12:00,13:00-24:00"),
            ("sa-mo 22:00-06:00", "mo,sa-su 22:00-06:00"),
            ("daily 00:00-24:00; mo 01:00-02:00", "daily 00:00-24:00; mo 01:00-02:00"),
        ] {
            let parsed = hours(text, "UTC");
            assert_eq!(parsed.to_string(), written);
            assert_eq!(hours(written, "UTC"), parsed);
        }
    }

    #[test]
    fn an_error_names_the_part_that_cannot_be_read() {
        let time = |text: &str| StaffHoursProblem::Time(text.to_owned());
        for (text, rule, problem) in [
            ("", "", StaffHoursProblem::Empty),
            (" ; ", " ; ", StaffHoursProblem::Empty),
            ("daily 00:00-24:00; mo-fr", "mo-fr", StaffHoursProblem::Shape),
            ("mo-xx 06:00-22:00", "mo-xx 06:00-22:00", StaffHoursProblem::UnknownDay("xx".to_owned())),
            ("mo 06:00-25:00", "mo 06:00-25:00", time("06:00-25:00")),
            ("mo 06:00-06:00", "mo 06:00-06:00", time("06:00-06:00")),
            ("mo 24:00-06:00", "mo 24:00-06:00", time("24:00-06:00")),
            ("mo 06:00-12:00, 6-22", "mo 06:00-12:00, 6-22", time("6-22")),
            ("mo 06:60-22:00", "mo 06:60-22:00", time("06:60-22:00")),
            ("mo +6:00-22:00", "mo +6:00-22:00", time("+6:00-22:00")),
        ] {
            let expected = StaffHoursError { rule: rule.to_owned(), problem };
            assert_eq!(StaffHours::parse(text, Calendar::UTC), Err(expected), "{text:?}");
        }
    }
}
