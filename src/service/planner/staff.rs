//! Gives printers the staff hours of their tags.

use std::collections::HashMap;

use crate::domain::{farm_staff::FarmStaff, staff_hours::StaffHours};

/// The staff hours of a plan. Printers with the same hours share an entry.
pub(super) struct PlanStaff<'a> {
    farm: &'a FarmStaff,
    /// By the tags that have hours.
    positions: HashMap<Vec<String>, usize>,
    pub hours: Vec<Vec<StaffHours>>,
}

impl<'a> PlanStaff<'a> {
    pub(super) fn new(farm: &'a FarmStaff) -> Self {
        Self { farm, positions: HashMap::new(), hours: Vec::new() }
    }

    /// Returns the position of the hours of a printer with these tags. `None`: staff is always present.
    pub(super) fn position_of(&mut self, tags: &[String]) -> Option<usize> {
        if self.farm.is_empty() {
            return None;
        }
        let tags = self.farm.tags_with_hours(tags);
        if let Some(position) = self.positions.get(&tags) {
            return Some(*position);
        }
        let position = self.hours.len();
        self.hours.push(self.farm.hours_of(&tags));
        self.positions.insert(tags, position);
        Some(position)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{
            calendar::Calendar,
            planner::{
                Activity, FileTool, Plan, PlanFile, PlanInput, PlanOrder, PlanOrderFile, PlanPlate, PlanPrinter, plan,
            },
            printer::{Printer, PrinterDetails},
            requirements::Requirements,
        },
        service::planner::plan_printer,
    };

    const HOUR: u64 = 3_600;
    const SHORT: Uuid = Uuid::from_u128(1);
    const LONG: Uuid = Uuid::from_u128(2);

    /// A printer that is ready, in hall A.
    fn printer(now: DateTime<Utc>) -> Printer {
        let mut details = PrinterDetails::new("MK4-017", "http://10.0.3.17");
        details.tags = vec!["hall-a".to_owned(), "petg".to_owned()];
        details.profile.model = Some("MK4".to_owned());
        details.production.auto = true;
        Printer { id: Uuid::from_u128(7), details, attention: None, version: 1, created_at: now, updated_at: now }
    }

    fn order(id: Uuid, file: usize, now: DateTime<Utc>) -> PlanOrder {
        PlanOrder {
            id,
            priority: 50,
            due_at: Some(now + TimeDelta::hours(100)),
            created_at: now,
            not_before: None,
            is_held: false,
            are_attempts_used_up: false,
            queued: 1,
            files: vec![PlanOrderFile { file, models: vec!["MK4".to_owned()], parts_per_plate: 1 }],
            requirements: Requirements::default(),
            allowed_tags: Vec::new(),
            max_printers: None,
            active_printers: 0,
            max_surplus: None,
            prefer_other_printer: false,
            replacements: Vec::new(),
        }
    }

    /// Plans a copy of 2 and one of 9 hours for one printer. Returns the order that it takes, and the time until its plate is
    /// free again.
    fn take(setting: &str, at: &str) -> (Uuid, u64) {
        let now: DateTime<Utc> = at.parse().expect("a time");
        let farm = FarmStaff::parse(setting, Calendar::UTC).expect("staff hours");
        let printer = printer(now);
        let mut staff = PlanStaff::new(&farm);
        let ready = PlanPrinter {
            plate: PlanPlate::Clear,
            is_online: true,
            activity: Activity::Idle { since: now },
            staff: staff.position_of(&printer.details.tags),
            ..plan_printer(&printer)
        };
        let file = |hours: u64| PlanFile {
            tools: vec![FileTool::default()],
            print_time_s: Some(hours * HOUR),
            is_available: true,
            ..PlanFile::default()
        };
        let input = PlanInput {
            printers: vec![ready],
            orders: vec![order(SHORT, 0, now), order(LONG, 1, now)],
            files: vec![file(2), file(9)],
            staff: staff.hours,
            ..PlanInput::default()
        };
        let Plan { assignments, .. } = plan(&input, now);
        (assignments[0].order, assignments[0].why.plate_time_s)
    }

    #[test]
    fn with_staff_hours_a_long_copy_goes_into_the_night() {
        // 2026-11-27 is a Friday. Clearing a plate takes 10 minutes.
        assert_eq!(take("", "2026-11-27T21:00:00Z"), (SHORT, 2 * HOUR + 600), "staff is always present");
        for setting in ["daily 06:00-22:00", "mo 10:00-11:00 | hall-a: daily 06:00-22:00"] {
            assert_eq!(take(setting, "2026-11-27T21:00:00Z"), (LONG, 9 * HOUR + 600), "{setting}");
            assert_eq!(take(setting, "2026-11-27T10:00:00Z"), (SHORT, 2 * HOUR + 600), "{setting}");
        }
    }

    #[test]
    fn a_printer_with_several_tags_is_cleared_as_soon_as_one_of_them_has_staff() {
        let both = "hall-a: mo-fr 06:00-22:00 | petg: fr 23:00-24:00";
        assert_eq!(take(both, "2026-11-27T21:00:00Z"), (SHORT, 2 * HOUR + 600));
        let hall = "hall-a: mo-fr 06:00-22:00 | hall-b: fr 23:00-24:00";
        assert_eq!(take(hall, "2026-11-27T21:00:00Z").0, LONG);
    }

    #[test]
    fn printers_with_the_same_hours_share_an_entry() {
        let farm = FarmStaff::parse("daily 06:00-22:00 | a: daily 06:00-12:00", Calendar::UTC).expect("staff hours");
        let tags: Vec<Vec<String>> = [&["a"] as &[&str], &[], &["a", "x"], &["x"]]
            .map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect())
            .into();
        let mut staff = PlanStaff::new(&farm);
        let positions: Vec<Option<usize>> = tags.iter().map(|tags| staff.position_of(tags)).collect();
        assert_eq!(positions, [Some(0), Some(1), Some(0), Some(1)]);
        assert_eq!(staff.hours.len(), 2);
        assert_eq!(PlanStaff::new(&FarmStaff::default()).position_of(&tags[0]), None);
    }
}
