//! Print times in forms: typed as minutes, with decimals if needed.

use super::{files::facts::format_number, form::parse_decimal};
use crate::domain::{message::Message, part::MAX_PRINT_TIME_S, validation::ValidationErrors};

/// Returns seconds as minutes, with as many decimals as [`parse`] needs to return the same seconds.
pub(super) fn format(seconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "print times are at most 60 days")]
    format_number(seconds as f64 / 60.0, 2)
}

/// Parses minutes. Returns seconds. `None`: the input is empty, or invalid and reported.
pub(super) fn parse(minutes: &str, pointer: &str, invalid: &mut ValidationErrors) -> Option<u64> {
    if minutes.is_empty() {
        return None;
    }
    let Some(number) = parse_decimal(minutes) else {
        invalid.add(pointer, "number", "rule-number");
        return None;
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let seconds = (number * 60.0).round() as u64;
    if !(1..=MAX_PRINT_TIME_S).contains(&seconds) {
        let rule = Message::new("rule-range").with("min", 1).with("max", MAX_PRINT_TIME_S / 60).with("value", minutes);
        invalid.add(pointer, "range", rule);
        return None;
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_print_time_is_read_back_to_the_second() {
        let mut invalid = ValidationErrors::default();
        for seconds in (1..10_000).chain([MAX_PRINT_TIME_S - 1, MAX_PRINT_TIME_S]) {
            assert_eq!(parse(&format(seconds), "/print_minutes", &mut invalid), Some(seconds));
        }
        assert_eq!(parse("90,5", "/print_minutes", &mut invalid), Some(5_430));
        assert_eq!(parse("", "/print_minutes", &mut invalid), None);
        assert!(invalid.0.is_empty());
        for wrong in ["0", "-5", "1e99", "NaN", "1 h"] {
            assert_eq!(parse(wrong, "/print_minutes", &mut invalid), None, "{wrong}");
        }
        assert_eq!(invalid.0.len(), 5);
    }
}
