//! The stagger that the start sheet proposes: `at_once=10,delay_s=30,heating=4`.

use super::ConfigError;

const NAME: &str = "PRINTYARD_START_STAGGER";

/// The proposed stagger. 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartStagger {
    /// Maximum number of starts in progress.
    pub max_in_flight: u32,
    /// Seconds between two starts.
    pub interval_s: u32,
    /// Maximum number of heating printers per power group.
    pub max_heating: u32,
}

impl StartStagger {
    /// Parses the setting. A part that is left out is no limit.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut stagger = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let broken = || ConfigError {
                name: NAME,
                rule: format!("must be like at_once=10,delay_s=30,heating=4, and has the part {part}"),
            };
            let (key, number) = part.split_once('=').ok_or_else(broken)?;
            let number: u32 = number.trim().parse().map_err(|_| broken())?;
            let (place, max) = match key.trim() {
                "at_once" => (&mut stagger.max_in_flight, 5_000),
                "delay_s" => (&mut stagger.interval_s, 3_600),
                "heating" => (&mut stagger.max_heating, 5_000),
                _ => return Err(broken()),
            };
            if number > max {
                return Err(broken());
            }
            *place = number;
        }
        Ok(stagger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_optional_and_another_text_names_the_setting() {
        let all = StartStagger { max_in_flight: 10, interval_s: 30, max_heating: 4 };
        assert_eq!(StartStagger::parse("at_once=10, delay_s=30, heating=4").ok(), Some(all));
        let one = StartStagger { max_heating: 4, ..StartStagger::default() };
        assert_eq!(StartStagger::parse("heating=4").ok(), Some(one));
        for text in ["10", "at_once=x", "at_once=-1", "delay_s=3601", "beds=4"] {
            assert_eq!(StartStagger::parse(text).map_err(|error| error.name), Err(NAME), "{text}");
        }
    }
}
