//! Whether a printer takes prints: its service state, with a reason and an expected end.

use chrono::{DateTime, Datelike, Utc};

use super::{
    command::string_enum,
    message::Message,
    validation::{ValidationErrors, check_line},
};

/// Maximum number of characters of a note.
pub const MAX_NOTE: usize = 500;
/// Years of `until` that both databases and every client can store.
const YEARS: std::ops::RangeInclusive<i32> = 2_000..=9_999;

string_enum! {
    /// Whether a printer takes prints.
    ServiceState {
        /// The printer takes every command.
        InService = "in_service",
        /// The printer finishes its print and gets no new work automatically. Commands of people and API clients are
        /// not refused.
        Draining = "draining",
        /// `start`, `restart` and `resume` end as `rejected`, `out_of_service`. All other commands are sent.
        OutOfService = "out_of_service",
    }
}

/// The service state of a printer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Production {
    /// Whether the planner may start prints on the printer.
    pub auto: bool,
    /// When the printer was opted in. For the planner, only a plate that was cleared since counts as clear.
    #[serde(skip)]
    pub auto_since: Option<DateTime<Utc>>,
    pub service: ServiceState,
    /// When the printer is expected back. Information only: nothing changes at that time.
    pub until: Option<DateTime<Utc>>,
    /// The reason, in one line. At most 500 characters.
    pub note: Option<String>,
}

impl Default for Production {
    fn default() -> Self {
        Self { auto: false, auto_since: None, service: ServiceState::InService, until: None, note: None }
    }
}

/// A change of a service state: `None` keeps a value, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProductionPatch {
    pub auto: Option<bool>,
    pub service: Option<ServiceState>,
    pub until: Option<Option<DateTime<Utc>>>,
    pub note: Option<Option<String>>,
}

impl Production {
    /// Applies a patch at a time. A return to service clears `until` and the note.
    pub fn apply(&mut self, patch: ProductionPatch, now: DateTime<Utc>) {
        if let Some(auto) = patch.auto.filter(|auto| *auto != self.auto) {
            (self.auto, self.auto_since) = (auto, auto.then_some(now));
        }
        if let Some(until) = patch.until {
            self.until = until;
        }
        if let Some(note) = patch.note {
            self.note = note;
        }
        if let Some(service) = patch.service {
            self.service = service;
            if service == ServiceState::InService {
                self.set_service(Self::default());
            }
        }
    }

    /// Takes service state, note and expected end from another value.
    pub fn set_service(&mut self, other: Self) {
        let Self { service, until, note, auto: _, auto_since: _ } = other;
        (self.service, self.until, self.note) = (service, until, note);
    }

    /// Checks the values and removes white space around the note.
    pub fn check(&mut self, invalid: &mut ValidationErrors) {
        self.note = self.note.take().map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        if let Some(note) = &self.note {
            check_line(invalid, "/production/note", note, 1, MAX_NOTE);
        }
        if let Some(year) = self.until.map(|until| until.year()).filter(|year| !YEARS.contains(year)) {
            let rule = Message::new("rule-years").with("min", YEARS.start()).with("max", YEARS.end());
            invalid.add("/production/until", "range", rule.with("value", year));
        }
        if self.service == ServiceState::InService {
            for (name, is_given) in [("until", self.until.is_some()), ("note", self.note.is_some())] {
                if is_given {
                    invalid.add(format!("/production/{name}"), "in_service", "rule-not-in-service");
                }
            }
        }
    }

    /// Returns why a printer that is out of service refuses a command. `None` if it is not out of service.
    pub fn refusal(&self) -> Option<Message> {
        if self.service != ServiceState::OutOfService {
            return None;
        }
        let until = self.until.map(|until| until.format("%Y-%m-%d %H:%M UTC"));
        Some(match (&self.note, until) {
            (None, None) => Message::new("refusal-out-of-service"),
            (Some(note), None) => Message::new("refusal-out-of-service-note").with("note", note),
            (None, Some(until)) => Message::new("refusal-out-of-service-until").with("until", until),
            (Some(note), Some(until)) => {
                Message::new("refusal-out-of-service-note-until").with("note", note).with("until", until)
            }
        })
    }

    /// Returns whether the expected end has passed and the printer is not back in service.
    pub fn is_overdue(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until < now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out_of_service() -> Production {
        Production {
            auto: false,
            auto_since: None,
            service: ServiceState::OutOfService,
            until: DateTime::from_timestamp(1_796_313_600, 0),
            note: Some("nozzle".to_owned()),
        }
    }

    fn pointers(mut production: Production) -> Vec<String> {
        let mut invalid = ValidationErrors::default();
        production.check(&mut invalid);
        invalid.0.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_return_to_service_clears_note_and_until() {
        let back = ProductionPatch { service: Some(ServiceState::InService), ..ProductionPatch::default() };
        let with_note = ProductionPatch { note: Some(Some("done".to_owned())), ..back.clone() };
        for patch in [back, with_note] {
            let mut production = out_of_service();
            production.apply(patch, DateTime::UNIX_EPOCH);
            assert_eq!(production, Production::default());
        }
    }

    #[test]
    fn the_opt_in_has_a_time_and_survives_a_change_of_the_service_state() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let auto = |auto| ProductionPatch { auto: Some(auto), ..ProductionPatch::default() };
        let mut production = Production::default();
        production.apply(auto(true), at(1));
        production.apply(auto(true), at(2));
        assert_eq!((production.auto, production.auto_since), (true, Some(at(1))), "opted in once");
        let back = ProductionPatch { service: Some(ServiceState::InService), ..ProductionPatch::default() };
        production.apply(back, at(3));
        assert_eq!(production.auto_since, Some(at(1)));
        production.apply(auto(false), at(4));
        assert_eq!(production, Production::default());
    }

    #[test]
    fn a_patch_keeps_absent_values_and_clears_null() {
        let mut production = out_of_service();
        let until = ProductionPatch { until: Some(None), ..ProductionPatch::default() };
        production.apply(until, DateTime::UNIX_EPOCH);
        assert_eq!(production, Production { until: None, ..out_of_service() });
        let draining = ProductionPatch { service: Some(ServiceState::Draining), ..ProductionPatch::default() };
        production.apply(draining, DateTime::UNIX_EPOCH);
        assert_eq!((production.service, production.note.as_deref()), (ServiceState::Draining, Some("nozzle")));
    }

    #[test]
    fn every_broken_rule_names_its_field() {
        assert_eq!(pointers(out_of_service()), Vec::<String>::new());
        let note = |note: String| pointers(Production { note: Some(note), ..out_of_service() });
        assert_eq!(note("x".repeat(MAX_NOTE)), Vec::<String>::new());
        assert_eq!(note("x".repeat(MAX_NOTE + 1)), ["/production/note"]);
        assert_eq!(note("a\nb".to_owned()), ["/production/note"]);
        let early = Production { until: DateTime::from_timestamp(0, 0), ..out_of_service() };
        assert_eq!(pointers(early), ["/production/until"]);
        let in_service = Production { service: ServiceState::InService, ..out_of_service() };
        assert_eq!(pointers(in_service), ["/production/until", "/production/note"]);
        let blank = Production { note: Some("  ".to_owned()), ..Production::default() };
        assert_eq!(pointers(blank), Vec::<String>::new(), "a blank note is none");
    }

    #[test]
    fn only_a_printer_out_of_service_refuses() {
        for service in ServiceState::ALL {
            let refusal = Production { service: *service, ..out_of_service() }.refusal();
            assert_eq!(refusal.is_some(), *service == ServiceState::OutOfService, "{service}");
        }
        let text = out_of_service().refusal().expect("a refusal").to_string();
        assert!(text.contains(r#"note="nozzle""#) && text.contains(r#"until="2026-12-03 16:00 UTC""#), "{text}");
    }
}
