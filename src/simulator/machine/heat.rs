//! Heaters. Their temperature is computed on request, so an idle printer needs no timer.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Room temperature of the virtual printer, in degrees Celsius.
pub const AMBIENT_C: f64 = 21.3;
/// Speed of heating and cooling, in degrees Celsius a second.
const RATE_C_PER_S: f64 = 10.0;

/// Number of past targets that are stored.
const LEGS: usize = 32;

/// A phase of heating or cooling: its first temperature, its start time and its target.
#[derive(Debug, Clone, Copy)]
struct Leg {
    from: f64,
    at: Instant,
    target: f64,
}

impl Leg {
    fn goal(&self) -> f64 {
        self.target.max(AMBIENT_C)
    }

    fn actual(&self, now: Instant, scale: f64) -> f64 {
        let reach = now.saturating_duration_since(self.at).as_secs_f64() * RATE_C_PER_S * scale;
        let gap = self.goal() - self.from;
        self.from + gap.clamp(-reach, reach)
    }
}

/// One heater, with its current phase and the past ones.
#[derive(Debug, Clone)]
pub struct HeaterModel {
    past: VecDeque<Leg>,
    leg: Leg,
}

impl HeaterModel {
    /// Creates a cold heater.
    pub fn new(now: Instant) -> Self {
        Self { past: VecDeque::new(), leg: Leg { from: AMBIENT_C, at: now, target: 0.0 } }
    }

    /// Returns the target; 0 is off.
    pub fn target(&self) -> f64 {
        self.leg.target
    }

    /// Returns the temperature, at `scale` times real speed.
    pub fn actual(&self, now: Instant, scale: f64) -> f64 {
        self.leg.actual(now, scale)
    }

    /// Returns the temperature and the target at a moment in the past. `None` if they are not stored any more.
    pub fn had(&self, at: Instant, scale: f64) -> Option<(f64, f64)> {
        let legs = std::iter::once(&self.leg).chain(self.past.iter().rev());
        let leg = legs.into_iter().find(|leg| leg.at <= at)?;
        Some((leg.actual(at, scale), leg.target))
    }

    /// Sets the target. Returns the time until it is reached, or zero for cooling.
    pub fn set(&mut self, target: f64, now: Instant, scale: f64) -> Duration {
        let next = Leg { from: self.actual(now, scale), at: now, target: target.clamp(0.0, 500.0) };
        self.past.push_back(std::mem::replace(&mut self.leg, next));
        if self.past.len() > LEGS {
            self.past.pop_front();
        }
        let seconds = (next.goal() - next.from).max(0.0) / (RATE_C_PER_S * scale);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heating_is_ten_degrees_a_second_and_stops_at_the_target() {
        let start = Instant::now();
        let mut tool = HeaterModel::new(start);
        assert_eq!(tool.set(61.3, start, 1.0), Duration::from_secs(4));
        assert!((tool.actual(start + Duration::from_secs(2), 1.0) - 41.3).abs() < 0.01);
        assert!((tool.actual(start + Duration::from_secs(60), 1.0) - 61.3).abs() < 0.01);
    }

    #[test]
    fn the_past_is_remembered_leg_by_leg() {
        let start = Instant::now();
        let after = |s| start + Duration::from_secs(s);
        let mut tool = HeaterModel::new(start);
        tool.set(61.3, after(10), 1.0);
        tool.set(0.0, after(20), 1.0);
        for (s, actual, target) in [(5, AMBIENT_C, 0.0), (12, 41.3, 61.3), (19, 61.3, 61.3), (22, 41.3, 0.0)] {
            let (had, wanted) = tool.had(after(s), 1.0).expect("stored moment");
            assert!((had - actual).abs() < 0.01 && (wanted - target).abs() < 0.01, "{s}: {had} {wanted}");
        }
        for n in 0..100 {
            tool.set(60.0, after(30 + n), 1.0);
        }
        assert!(tool.past.len() <= LEGS && tool.had(after(12), 1.0).is_none());
    }
}
