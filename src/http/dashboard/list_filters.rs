//! Helpers for list filters: URLs that keep the filter, dates, and printers by name.

use chrono::{Datelike, NaiveDate};
use uuid::Uuid;

use super::messages::t_with;

/// Returns the typed text, or `None` if it is empty.
pub(super) fn non_empty(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Returns a URL with the fields that are not empty.
pub(super) fn href(path: &str, fields: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, text) in fields {
        if let Some(text) = non_empty(text) {
            query.append_pair(name, text);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Parses a typed date into the number of its day, counted from 1970-01-01. Reports an invalid one in `problems`.
pub(super) fn parse_day(text: &str, problems: &mut Vec<String>) -> Option<i64> {
    let text = non_empty(text)?;
    // Years that databases can calculate with.
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| (1970..10_000).contains(&day.year()));
    if day.is_none() {
        problems.push(t_with("audit-date-invalid", &[("text", &text)]));
    }
    day.map(epoch_day)
}

/// Returns the number of a day, counted from 1970-01-01.
pub(super) fn epoch_day(day: NaiveDate) -> i64 {
    (day - NaiveDate::default()).num_days()
}

/// Finds a printer by its name or id. Reports an unknown one in `problems`.
pub(super) fn find_printer<'a>(
    text: &str,
    mut known: impl Iterator<Item = (Uuid, &'a str)>,
    problems: &mut Vec<String>,
) -> Option<Uuid> {
    let name = non_empty(text)?;
    let same = known.find(|(_, known)| known.to_lowercase() == name.to_lowercase());
    let id = same.map(|(id, _)| id).or_else(|| Uuid::try_parse(name).ok());
    if id.is_none() {
        problems.push(t_with("audit-printer-unknown", &[("name", &name)]));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_the_filter_and_invalid_dates_are_reported() {
        assert_eq!(href("/prints", &[("tag", " "), ("result", "")]), "/prints");
        assert_eq!(href("/prints", &[("tag", "a&b"), ("result", "done")]), "/prints?tag=a%26b&result=done");
        let mut problems = Vec::new();
        assert_eq!(parse_day("", &mut problems), None);
        assert_eq!(parse_day(" 2026-12-03 ", &mut problems), Some(20_790));
        assert!(problems.is_empty());
        for text in ["03.12.2026", "2026-13-01", "9999999-01-01", "0001-01-01"] {
            assert_eq!(parse_day(text, &mut problems), None);
        }
        assert_eq!(problems.len(), 4);
        let known = || [(Uuid::from_u128(1), "MK4-001")].into_iter();
        assert_eq!(find_printer("mk4-001 ", known(), &mut problems), Some(Uuid::from_u128(1)));
        assert_eq!(find_printer(&Uuid::from_u128(9).to_string(), known(), &mut problems), Some(Uuid::from_u128(9)));
        assert_eq!((find_printer("other", known(), &mut problems), problems.len()), (None, 5));
    }
}
