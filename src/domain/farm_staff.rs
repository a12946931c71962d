//! Staff hours of the farm and of its tags.

use std::collections::BTreeMap;

use super::{
    calendar::Calendar,
    staff_hours::{StaffHours, StaffHoursError},
};

/// When people clear plates. Without any hours, they are always there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FarmStaff {
    /// Hours of printers without a tag that has hours.
    farm: Option<StaffHours>,
    tags: BTreeMap<String, StaffHours>,
}

/// Why a text is not the staff hours of a farm. `tag` is `None` for the hours of the whole farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarmStaffError {
    pub tag: Option<String>,
    pub problem: FarmStaffProblem,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FarmStaffProblem {
    Hours(StaffHoursError),
    UnknownZone(String),
    /// An earlier entry is for the same tag, or for the farm.
    Repeated,
}

impl FarmStaff {
    /// Parses entries that are separated by `|`. An entry is the rules of [`StaffHours::parse`], for the whole farm, or a
    /// tag, a colon, a space and the rules. A time zone in parentheses can come before the colon, instead of `calendar`:
    /// `hall-a (Europe/Berlin): mo-fr 06:00-22:00`.
    pub fn parse(text: &str, calendar: Calendar) -> Result<Self, FarmStaffError> {
        let mut staff = Self::default();
        for entry in text.split('|').map(str::trim).filter(|entry| !entry.is_empty()) {
            staff.add_entry(entry, calendar)?;
        }
        Ok(staff)
    }

    fn add_entry(&mut self, entry: &str, calendar: Calendar) -> Result<(), FarmStaffError> {
        let (tag, zone, rules) = split_entry(entry);
        let fail = |problem| FarmStaffError { tag: tag.map(str::to_owned), problem };
        let unknown_zone = |zone: &str| fail(FarmStaffProblem::UnknownZone(zone.to_owned()));
        let parse_zone = |zone| Calendar::parse(zone).ok_or_else(|| unknown_zone(zone));
        let calendar = zone.map_or(Ok(calendar), parse_zone)?;
        let hours = StaffHours::parse(rules, calendar).map_err(|error| fail(FarmStaffProblem::Hours(error)))?;
        let before = match tag {
            Some(tag) => self.tags.insert(tag.to_owned(), hours),
            None => self.farm.replace(hours),
        };
        before.map_or(Ok(()), |_| Err(fail(FarmStaffProblem::Repeated)))
    }

    /// Returns whether there are no hours at all.
    pub fn is_empty(&self) -> bool {
        self.farm.is_none() && self.tags.is_empty()
    }

    /// Returns those of the tags that have hours. Printers with the same ones have the same hours.
    pub fn tags_with_hours(&self, tags: &[String]) -> Vec<String> {
        tags.iter().filter(|tag| self.tags.contains_key(*tag)).cloned().collect()
    }

    /// Returns the hours of a printer with these tags. They apply together: a plate is cleared as soon as one of them has
    /// staff. Empty: staff is always present.
    pub fn hours_of(&self, tags: &[String]) -> Vec<StaffHours> {
        let of_tags: Vec<StaffHours> = tags.iter().filter_map(|tag| self.tags.get(tag)).cloned().collect();
        if of_tags.is_empty() { self.farm.iter().cloned().collect() } else { of_tags }
    }
}

/// Splits an entry into tag, time zone and rules. The last colon with white space after it ends the tag, because rules have
/// no such colon.
fn split_entry(entry: &str) -> (Option<&str>, Option<&str>, &str) {
    let ends_head = |(at, _): &(usize, &str)| entry[at + 1..].starts_with(char::is_whitespace);
    let Some((at, _)) = entry.rmatch_indices(':').find(ends_head) else { return (None, None, entry) };
    let (head, rules) = (entry[..at].trim(), &entry[at + 1..]);
    let with_zone = head.strip_suffix(')').and_then(|head| head.rsplit_once('('));
    let (tag, zone) = with_zone.map_or((head, None), |(tag, zone)| (tag.trim(), Some(zone.trim())));
    ((!tag.is_empty()).then_some(tag), zone, rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::staff_hours::StaffHoursProblem;

    fn berlin() -> Calendar {
        Calendar::parse("Europe/Berlin").expect("a zone")
    }

    fn parse(text: &str) -> FarmStaff {
        FarmStaff::parse(text, berlin()).expect("staff hours")
    }

    /// Returns the hours of a printer with these tags.
    fn hours(staff: &FarmStaff, tags: &[&str]) -> Vec<StaffHours> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        staff.hours_of(&staff.tags_with_hours(&tags))
    }

    fn rules(text: &str, zone: Calendar) -> StaffHours {
        StaffHours::parse(text, zone).expect("hours")
    }

    #[test]
    fn a_printer_has_the_hours_of_its_tags_and_otherwise_those_of_the_farm() {
        let staff =
            parse("mo-fr 06:00-22:00 | hall-a: daily 06:00-22:00; sa 08:00-12:00| night (UTC): daily 20:00-04:00");
        let (farm, hall) = (rules("mo-fr 06:00-22:00", berlin()), rules("daily 06:00-22:00; sa 08:00-12:00", berlin()));
        let night = rules("daily 20:00-04:00", Calendar::UTC);
        assert_eq!(hours(&staff, &[]), hours(&staff, &["hall-b"]));
        assert_eq!(hours(&staff, &["hall-b"]), [farm]);
        assert_eq!(hours(&staff, &["hall-a", "night"]), [hall, night.clone()]);
        assert_eq!(hours(&staff, &["night", "petg"]), [night]);
    }

    #[test]
    fn without_hours_of_the_farm_staff_is_always_present_at_other_tags() {
        let staff = parse("hall-a: daily 06:00-22:00 |");
        assert_eq!(hours(&staff, &["hall-b"]), []);
        assert!(!staff.is_empty() && FarmStaff::default().is_empty());
        assert_eq!(hours(&FarmStaff::default(), &["hall-a"]), []);
    }

    #[test]
    fn tags_may_have_spaces_colons_and_parentheses() {
        let staff = parse("(UTC): mo 06:00-07:00|row: 2 (left) (UTC): tu 06:00-07:00|Hall 3:\twe 06:00-07:00");
        assert_eq!(hours(&staff, &[]), [rules("mo 06:00-07:00", Calendar::UTC)]);
        assert_eq!(hours(&staff, &["row: 2 (left)"]), [rules("tu 06:00-07:00", Calendar::UTC)]);
        assert_eq!(hours(&staff, &["Hall 3"]), [rules("we 06:00-07:00", berlin())]);
    }

    #[test]
    fn an_error_names_the_tag_and_what_cannot_be_read() {
        let hours = |rule: &str, problem| FarmStaffProblem::Hours(StaffHoursError { rule: rule.to_owned(), problem });
        let unknown_zone = FarmStaffProblem::UnknownZone("Mars/Base".to_owned());
        for (text, tag, problem) in [
            ("mo-fr", None, hours("mo-fr", StaffHoursProblem::Shape)),
            ("hall-a: xx 06:00-22:00", Some("hall-a"), {
                hours("xx 06:00-22:00", StaffHoursProblem::UnknownDay("xx".to_owned()))
            }),
            ("daily 06:00-22:00 | hall-a: ", None, hours("hall-a:", StaffHoursProblem::Shape)),
            ("hall-a (Mars/Base): daily 06:00-22:00", Some("hall-a"), unknown_zone),
            ("a: mo 06:00-07:00 | a: tu 06:00-07:00", Some("a"), FarmStaffProblem::Repeated),
            ("mo 06:00-07:00 | (UTC): tu 06:00-07:00", None, FarmStaffProblem::Repeated),
        ] {
            let expected = FarmStaffError { tag: tag.map(str::to_owned), problem };
            assert_eq!(FarmStaff::parse(text, berlin()), Err(expected), "{text:?}");
        }
    }
}
