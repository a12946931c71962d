//! Parses the inputs of the forms of orders.

use chrono::{DateTime, NaiveDateTime, Timelike, Utc};

use crate::{
    domain::{calendar::Calendar, message::Message, validation::ValidationErrors},
    http::dashboard::{form::FormData, list_filters::epoch_day},
};

/// The format of an input for a date and a time.
const LOCAL_TIME: &str = "%Y-%m-%dT%H:%M";

/// Parses a whole number. `None`: the input is empty, or the number is invalid and reported.
pub(super) fn parse_number<T: std::str::FromStr>(
    form: &FormData,
    name: &str,
    invalid: &mut ValidationErrors,
) -> Option<T> {
    let text = form.text(name)?;
    let number = text.parse().ok();
    if number.is_none() {
        invalid.add(format!("/{name}"), "type", "rule-integer");
    }
    number
}

/// Parses a whole number that must be given.
pub(super) fn parse_required(form: &FormData, name: &str, invalid: &mut ValidationErrors) -> u32 {
    if !form.is_set(name) {
        invalid.add(format!("/{name}"), "required", "rule-integer");
    }
    parse_number(form, name, invalid).unwrap_or_default()
}

/// Parses a date with a time of day in the zone of the calendar. `None`: the input is empty, or invalid and reported.
pub(super) fn parse_local_time(
    form: &FormData,
    name: &str,
    calendar: Calendar,
    invalid: &mut ValidationErrors,
) -> Option<DateTime<Utc>> {
    let text = form.text(name)?;
    // Browsers add seconds that are not 0.
    let shortened = text.get(.."2026-12-03T16:00".len()).unwrap_or(text);
    let Ok(local) = NaiveDateTime::parse_from_str(shortened, LOCAL_TIME) else {
        invalid.add(format!("/{name}"), "format", Message::new("rule-local-time"));
        return None;
    };
    let minutes = local.time().hour() * 60 + local.time().minute();
    Some(calendar.moment(epoch_day(local.date()), minutes))
}

/// Returns the value of an input for a time.
pub(super) fn local_time(at: DateTime<Utc>, calendar: Calendar) -> String {
    calendar.clock_time(at).format(LOCAL_TIME).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_typed_in_the_zone_of_the_farm() {
        let berlin = Calendar::parse("Europe/Berlin").expect("a zone");
        let mut invalid = ValidationErrors::default();
        let mut parse = |text: &str| {
            let form = FormData::from_pairs(&[("due_at", text)]);
            parse_local_time(&form, "due_at", berlin, &mut invalid)
        };
        let due: DateTime<Utc> = "2026-12-03T15:00:00Z".parse().expect("a time");
        assert_eq!((parse("2026-12-03T16:00"), parse("2026-12-03T16:00:30")), (Some(due), Some(due)));
        assert_eq!((parse(""), parse("soon"), parse("2026-13-03T16:00")), (None, None, None));
        assert_eq!(invalid.0.len(), 2);
        assert_eq!(local_time(due, berlin), "2026-12-03T16:00");
    }
}
