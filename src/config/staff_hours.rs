//! The setting of the staff hours: `mo-fr 06:00-22:00 | hall-a: mo-fr 06:00-22:00; sa 08:00-12:00`.

use super::ConfigError;
use crate::domain::{
    calendar::Calendar,
    farm_staff::{FarmStaff, FarmStaffError, FarmStaffProblem},
    staff_hours::{DAYS, StaffHoursProblem},
};

const NAME: &str = "PRINTYARD_STAFF_HOURS";

/// Parses the setting. Hours without a time zone are those of `calendar`.
pub(super) fn parse(text: &str, calendar: Calendar) -> Result<FarmStaff, ConfigError> {
    FarmStaff::parse(text, calendar).map_err(|error| ConfigError { name: NAME, rule: describe(&error) })
}

fn describe(error: &FarmStaffError) -> String {
    let hours_of = error.tag.as_ref().map_or_else(|| "the farm".to_owned(), |tag| format!("tag {tag}"));
    match &error.problem {
        FarmStaffProblem::UnknownZone(zone) => {
            format!("the hours of {hours_of} need the IANA name of a time zone like Europe/Berlin, and have {zone}")
        }
        FarmStaffProblem::Repeated => format!("the hours of {hours_of} are given twice"),
        FarmStaffProblem::Hours(error) => {
            let rule = error.rule.trim();
            match &error.problem {
                StaffHoursProblem::Empty => format!("the hours of {hours_of} need a rule like mo-fr 06:00-22:00"),
                StaffHoursProblem::Shape => {
                    format!("the hours of {hours_of} must be rules like mo-fr 06:00-22:00, and have the rule {rule}")
                }
                StaffHoursProblem::UnknownDay(day) => format!(
                    "the hours of {hours_of} must have days out of {} or daily, and have {day} in the rule {rule}",
                    DAYS.join(", ")
                ),
                StaffHoursProblem::Time(time) => format!(
                    "the hours of {hours_of} must have times like 06:00-22:00, and have {time} in the rule {rule}"
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_sentence_with_the_setting_the_tag_and_the_rule() {
        for (text, error) in [
            ("hall-a: ; ", "the hours of tag hall-a need a rule like mo-fr 06:00-22:00"),
            ("06-22", "the hours of the farm must be rules like mo-fr 06:00-22:00, and have the rule 06-22"),
            (
                "hall-a: mo-fr 06:00-22:00; xx 08:00-12:00",
                "the hours of tag hall-a must have days out of mo, tu, we, th, fr, sa, su or daily, and have xx in the rule \
                 xx 08:00-12:00",
            ),
            (
                "hall-a: mo 6-22",
                "the hours of tag hall-a must have times like 06:00-22:00, and have 6-22 in the rule mo 6-22",
            ),
            (
                "hall-a (Mars/Base): daily 06:00-22:00",
                "the hours of tag hall-a need the IANA name of a time zone like Europe/Berlin, and have Mars/Base",
            ),
            ("daily 06:00-07:00 | daily 08:00-09:00", "the hours of the farm are given twice"),
        ] {
            let found = parse(text, Calendar::UTC).map_err(|error| error.to_string());
            assert_eq!(found, Err(format!("PRINTYARD_STAFF_HOURS: {error}")));
        }
    }
}
