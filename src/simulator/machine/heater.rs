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
const MAX_PAST_PHASES: usize = 32;

/// A phase of heating or cooling: its first temperature, its start time and its target.
#[derive(Debug, Clone, Copy)]
struct HeatPhase {
    start_temperature: f64,
    started_at: Instant,
    target: f64,
}

impl HeatPhase {
    fn end_temperature(&self) -> f64 {
        self.target.max(AMBIENT_C)
    }

    fn actual(&self, now: Instant, scale: f64) -> f64 {
        let reach = now.saturating_duration_since(self.started_at).as_secs_f64() * RATE_C_PER_S * scale;
        let gap = self.end_temperature() - self.start_temperature;
        self.start_temperature + gap.clamp(-reach, reach)
    }
}

/// One heater, with its current phase and the past ones.
#[derive(Debug, Clone)]
pub struct HeaterModel {
    past_phases: VecDeque<HeatPhase>,
    phase: HeatPhase,
}

impl HeaterModel {
    /// Creates a cold heater.
    pub fn new(now: Instant) -> Self {
        Self {
            past_phases: VecDeque::new(),
            phase: HeatPhase { start_temperature: AMBIENT_C, started_at: now, target: 0.0 },
        }
    }

    /// Creates a heater that has reached its target.
    pub fn at_target(target: f64, now: Instant) -> Self {
        let start_temperature = target.max(AMBIENT_C);
        Self { past_phases: VecDeque::new(), phase: HeatPhase { start_temperature, started_at: now, target } }
    }

    /// Returns the target; 0 is off.
    pub fn target(&self) -> f64 {
        self.phase.target
    }

    /// Returns the temperature, at `scale` times real speed.
    pub fn actual(&self, now: Instant, scale: f64) -> f64 {
        self.phase.actual(now, scale)
    }

    /// Returns the temperature and the target at a moment in the past. `None` if they are not stored any more.
    pub fn reading_at(&self, at: Instant, scale: f64) -> Option<(f64, f64)> {
        let phases = std::iter::once(&self.phase).chain(self.past_phases.iter().rev());
        let phase = phases.into_iter().find(|leg| leg.started_at <= at)?;
        Some((phase.actual(at, scale), phase.target))
    }

    /// Sets the target. Returns the time until it is reached, or zero for cooling.
    pub fn set_target(&mut self, target: f64, now: Instant, scale: f64) -> Duration {
        let next =
            HeatPhase { start_temperature: self.actual(now, scale), started_at: now, target: target.clamp(0.0, 500.0) };
        self.past_phases.push_back(std::mem::replace(&mut self.phase, next));
        if self.past_phases.len() > MAX_PAST_PHASES {
            self.past_phases.pop_front();
        }
        let seconds = (next.end_temperature() - next.start_temperature).max(0.0) / (RATE_C_PER_S * scale);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::simulator::machine::heater::*;

    #[test]
    fn heating_is_ten_degrees_a_second_and_stops_at_the_target() {
        let start = Instant::now();
        let mut tool = HeaterModel::new(start);
        assert_eq!(tool.set_target(61.3, start, 1.0), Duration::from_secs(4));
        assert!((tool.actual(start + Duration::from_secs(2), 1.0) - 41.3).abs() < 0.01);
        assert!((tool.actual(start + Duration::from_secs(60), 1.0) - 61.3).abs() < 0.01);
    }

    #[test]
    fn past_temperatures_follow_the_past_targets() {
        let start = Instant::now();
        let after = |s| start + Duration::from_secs(s);
        let mut tool = HeaterModel::new(start);
        tool.set_target(61.3, after(10), 1.0);
        tool.set_target(0.0, after(20), 1.0);
        for (s, actual, target) in [(5, AMBIENT_C, 0.0), (12, 41.3, 61.3), (19, 61.3, 61.3), (22, 41.3, 0.0)] {
            let (past_actual, past_target) = tool.reading_at(after(s), 1.0).expect("stored moment");
            assert!(
                (past_actual - actual).abs() < 0.01 && (past_target - target).abs() < 0.01,
                "{s}: {past_actual} {past_target}"
            );
        }
        for n in 0..100 {
            tool.set_target(60.0, after(30 + n), 1.0);
        }
        assert!(tool.past_phases.len() <= MAX_PAST_PHASES && tool.reading_at(after(12), 1.0).is_none());
    }
}
