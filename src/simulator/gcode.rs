//! Duration of a line of G-code on OctoPrint's virtual printer, as measured, and the sample files.
//!
//! Lines are parsed in place, one at a time. So a thousand printers with the same file share its bytes.

use std::{fmt::Write as _, time::Duration};

/// Effect of a line, as far as the simulation needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GcodeOperation {
    /// Empty or a comment: never sent.
    Nothing,
    /// Waits this long.
    Dwell(Duration),
    /// Sets the target of a heater. `wait` holds the print until the target is reached.
    Heat { heater: Heater, target: f64, wait: bool },
    /// Moves the head: axes X, Y, Z, E and the feed rate in mm/min, if given.
    Move { to: [Option<f64>; 4], feed: Option<f64> },
    /// `G92` and `G28`: sets the position.
    SetPosition([Option<f64>; 4]),
    /// `G90`, `G91`.
    Relative(bool),
    /// `M25`, `M0`, `M226`: the printer pauses the job.
    Pause,
    /// `M600`: the printer pauses the job to change filament.
    ChangeFilament,
    /// `M112`.
    EmergencyStop,
    /// Any other line. It takes only the time until its `ok`.
    Quick,
}

/// The two heaters of a simulated printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heater {
    Tool,
    Bed,
}

/// Duration of a line without work of its own, from send to `ok`.
pub const QUICK_LINE: Duration = Duration::from_micros(1300);
/// Time that the virtual printer's polling adds to a `G4`.
pub const DWELL_OVERHEAD: Duration = Duration::from_millis(11);

/// Parses one line.
pub fn parse(line: &[u8]) -> GcodeOperation {
    let line = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let Ok(text) = std::str::from_utf8(line) else { return GcodeOperation::Quick };
    let mut words = text.split_ascii_whitespace();
    let Some(code) = words.next() else { return GcodeOperation::Nothing };
    let value = |letter: char| {
        words.clone().find_map(|word| word.strip_prefix(letter)?.parse::<f64>().ok()).filter(|value| value.is_finite())
    };
    let axes = || ['X', 'Y', 'Z', 'E'].map(value);
    let heat = |heater, wait| match value('S').or_else(|| value('R')) {
        Some(target) => GcodeOperation::Heat { heater, target, wait },
        None => GcodeOperation::Quick,
    };
    match code {
        "G4" => {
            let seconds = value('P').map(|ms| ms / 1000.0).or_else(|| value('S')).unwrap_or(0.0);
            GcodeOperation::Dwell(Duration::try_from_secs_f64(seconds).unwrap_or_default())
        }
        "G0" | "G1" => GcodeOperation::Move { to: axes(), feed: value('F') },
        "G28" => GcodeOperation::SetPosition([Some(0.0), Some(0.0), Some(0.0), None]),
        "G92" => GcodeOperation::SetPosition(axes()),
        "G90" => GcodeOperation::Relative(false),
        "G91" => GcodeOperation::Relative(true),
        "M104" => heat(Heater::Tool, false),
        "M109" => heat(Heater::Tool, true),
        "M140" => heat(Heater::Bed, false),
        "M190" => heat(Heater::Bed, true),
        "M0" | "M25" | "M226" => GcodeOperation::Pause,
        "M600" => GcodeOperation::ChangeFilament,
        "M112" => GcodeOperation::EmergencyStop,
        _ => GcodeOperation::Quick,
    }
}

/// Returns the end of the line that begins at `from`, including its line break. `None` at the end of the file.
pub fn line_end(content: &[u8], from: usize) -> Option<usize> {
    let rest = content.get(from..).filter(|rest| !rest.is_empty())?;
    Some(rest.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| from + at + 1))
}

/// Position of the head. The duration of a move depends on it.
#[derive(Debug, Clone, Copy)]
pub struct PrintHead {
    position: [f64; 4],
    feed: f64,
    relative: bool,
}

impl Default for PrintHead {
    fn default() -> Self {
        Self { position: [0.0; 4], feed: 12_000.0, relative: false }
    }
}

impl PrintHead {
    /// Moves the head and returns the duration. As on the virtual printer, a move is ten times faster than real, and
    /// only positive deltas take time.
    pub fn move_to(&mut self, to: [Option<f64>; 4], feed: Option<f64>) -> Duration {
        if let Some(feed) = feed.filter(|feed| *feed > 0.0) {
            self.feed = feed;
        }
        let mut longest = 0.0_f64;
        for (at, to) in self.position.iter_mut().zip(to) {
            let Some(to) = to else { continue };
            let target = if self.relative { *at + to } else { to };
            longest = longest.max(target - *at);
            *at = target;
        }
        Duration::try_from_secs_f64(longest / self.feed * 60.0 * 0.1).unwrap_or_default()
    }

    /// Sets the position (`G92` and `G28`).
    pub fn set_position(&mut self, axes: [Option<f64>; 4]) {
        for (at, axis) in self.position.iter_mut().zip(axes) {
            *at = axis.unwrap_or(*at);
        }
    }

    /// Switches between absolute (`G90`) and relative (`G91`) moves.
    pub fn set_relative(&mut self, relative: bool) {
        self.relative = relative;
    }
}

/// Returns a file that prints for about `seconds`. It heats a little and then dwells in lines of equal size. So
/// `completion`, which depends on bytes, grows linearly.
pub fn sample_gcode(seconds: u32) -> String {
    let mut gcode = String::with_capacity(64 + seconds as usize * 10);
    gcode.push_str("; a sample of the simulator\nM140 S45\nM104 S60\nM109 S60\n");
    // 21.3 to 60 degrees at 10 degrees a second.
    for _ in 0..seconds.saturating_sub(4).max(1) {
        let _ = writeln!(gcode, "G4 P0989");
    }
    gcode.push_str("M104 S0\nM140 S0\n");
    gcode
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_positive_moves_take_time_and_a_tenth_of_the_real_one() {
        let mut head = PrintHead::default();
        assert_eq!(head.move_to([Some(100.0), None, None, None], Some(6000.0)), Duration::from_millis(100));
        assert_eq!(head.move_to([Some(0.0), None, None, None], None), Duration::ZERO);
    }

    #[test]
    fn comments_are_ignored() {
        assert_eq!(parse(b"; M600"), GcodeOperation::Nothing);
        assert_eq!(parse(b"G4 P1500 ; wait"), GcodeOperation::Dwell(Duration::from_millis(1500)));
        assert_eq!(parse(b"G4 S-1"), GcodeOperation::Dwell(Duration::ZERO));
        assert_eq!(parse(b"M109 S60"), GcodeOperation::Heat { heater: Heater::Tool, target: 60.0, wait: true });
    }

    #[test]
    fn the_last_line_needs_no_line_break() {
        assert_eq!(line_end(b"a\nbc", 0), Some(2));
        assert_eq!(line_end(b"a\nbc", 2), Some(4));
        assert_eq!(line_end(b"a\nbc", 4), None);
    }
}
