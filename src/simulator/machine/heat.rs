//! Heaters whose temperature is computed when it is asked for: an idle printer needs no tick.

use std::time::{Duration, Instant};

/// The room, degrees Celsius, as the virtual printer has it.
pub const AMBIENT_C: f64 = 21.3;
/// Degrees Celsius a second, up and down.
const RATE_C_PER_S: f64 = 10.0;

/// One heater: where it was, when, and where it is going.
#[derive(Debug, Clone, Copy)]
pub struct HeaterModel {
    from: f64,
    at: Instant,
    target: f64,
}

impl HeaterModel {
    /// Cold.
    pub fn new(now: Instant) -> Self {
        Self { from: AMBIENT_C, at: now, target: 0.0 }
    }

    /// What was asked of it; 0 is off.
    pub fn target(&self) -> f64 {
        self.target
    }

    fn goal(&self) -> f64 {
        self.target.max(AMBIENT_C)
    }

    /// What it has, at `scale` times real speed.
    pub fn actual(&self, now: Instant, scale: f64) -> f64 {
        let reach = now.saturating_duration_since(self.at).as_secs_f64() * RATE_C_PER_S * scale;
        let gap = self.goal() - self.from;
        self.from + gap.clamp(-reach, reach)
    }

    /// Sets the target and says how long it will take to be there.
    pub fn set(&mut self, target: f64, now: Instant, scale: f64) -> Duration {
        *self = Self { from: self.actual(now, scale), at: now, target: target.clamp(0.0, 500.0) };
        let seconds = (self.goal() - self.from).max(0.0) / (RATE_C_PER_S * scale);
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
}
