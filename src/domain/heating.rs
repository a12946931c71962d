//! Heating detection: how long a printer counts as heating. A reading of its heaters expires, and a heater that does
//! not rise is not heated.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::reading::Temperatures;

/// A reading of temperatures counts for this long. Heaters below their target are read every 3 s.
pub const READING_LIFETIME: Duration = Duration::from_secs(30);
/// A heater that has not risen for this long does not count as heating.
pub const MAX_TIME_WITHOUT_RISE: Duration = Duration::from_secs(15 * 60);
/// The smallest rise that counts, in degrees Celsius.
const MIN_RISE_C: f64 = 1.0;

/// Follows the heaters of one printer that are below their target.
#[derive(Debug, Clone, Default)]
pub struct HeatingWatch(BTreeMap<String, Rise>);

#[derive(Debug, Clone)]
struct Rise {
    target: f64,
    highest: f64,
    at: Instant,
}

impl HeatingWatch {
    /// Processes a reading that was made at `now`. Returns until when the printer counts as heating, unless another
    /// reading arrives.
    pub fn on_reading(&mut self, temperatures: &Temperatures, now: Instant) -> Option<Instant> {
        self.0.retain(|name, _| temperatures.get(name).is_some_and(|heater| heater.is_heating()));
        for (name, heater) in temperatures.iter().filter(|(_, heater)| heater.is_heating()) {
            let (Some(actual), Some(target)) = (heater.actual, heater.target) else { continue };
            let rise = self.0.entry(name.clone()).or_insert(Rise { target, highest: actual, at: now });
            if actual >= rise.highest + MIN_RISE_C || target > rise.target {
                *rise = Rise { target, highest: actual, at: now };
            }
        }
        let last = self.0.values().map(|rise| rise.at + MAX_TIME_WITHOUT_RISE).max()?;
        Some(last.min(now + READING_LIFETIME)).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::Temperature;

    fn bed(actual: f64, target: f64) -> Temperatures {
        Temperatures::from([("bed".to_owned(), Temperature { actual: Some(actual), target: Some(target) })])
    }

    #[test]
    fn a_heater_counts_until_its_reading_is_old_or_it_has_not_risen_for_a_quarter_of_an_hour() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut watch = HeatingWatch::default();
        assert_eq!(watch.on_reading(&bed(20.0, 60.0), at(0)), Some(at(30)));
        assert_eq!(watch.on_reading(&bed(20.9, 60.0), at(890)), Some(at(900)), "less than a degree is no rise");
        assert_eq!(watch.on_reading(&bed(20.9, 60.0), at(900)), None);
        assert_eq!(watch.on_reading(&bed(21.0, 60.0), at(901)), Some(at(931)), "it rises again");
        assert_eq!(watch.on_reading(&bed(21.0, 60.0), at(1_801)), None);
        assert_eq!(watch.on_reading(&bed(21.0, 80.0), at(1_802)), Some(at(1_832)), "a higher target is a new attempt");
        assert_eq!(watch.on_reading(&bed(78.0, 80.0), at(1_900)), None, "at its target");
        assert_eq!(watch.on_reading(&Temperatures::new(), at(1_901)), None);
    }
}
