//! The number parser against `str::parse`.

use proptest::prelude::*;

use crate::domain::gcode::number::{read_long_number, read_number};

/// Checks a number with different texts behind it, which decide how many bytes can be read at once.
fn check(text: &str) -> Result<(), TestCaseError> {
    let expected = text.parse::<f64>().expect("a number");
    for tail in [
        "\n",
        " ",
        " Y12.5 E0.01\n",
        ";",
        "\r\n",
        " 0000000000000000",
        "X1........",
        "",
        "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
    ] {
        let line = format!("{text}{tail}");
        let (value, length) = read_number(line.as_bytes());
        prop_assert_eq!(length, text.len(), "length of {:?}", &line);
        prop_assert_eq!(value, expected, "{:?}", &line);
        prop_assert_eq!(read_long_number(line.as_bytes()), (expected, text.len()), "slow {:?}", &line);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn decimals_equal_str_parse(text in "[-+]?(0|[1-9][0-9]{0,9}|[0-9]{1,12})(\\.[0-9]{0,12})?") {
        check(&text)?;
    }

    #[test]
    fn fractions_without_a_leading_zero_equal_str_parse(text in "[-+]?\\.[0-9]{1,17}") {
        check(&text)?;
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
        let (value, length) = read_number(&bytes);
        prop_assert!(value.is_finite() && length <= bytes.len());
    }

    #[test]
    fn any_characters_of_numbers_are_read_without_a_panic(text in "[-+.0-9eE ]{0,24}") {
        let (value, length) = read_number(text.as_bytes());
        prop_assert!(value.is_finite() && length <= text.len());
    }
}

#[test]
fn texts_that_are_no_number() {
    for text in ["", "-", "+", ".", "-.", "x", " 1", "--1", "-+1.", "........", "-.X12345678", "\n\n\n\n\n\n\n\n\n"] {
        assert_eq!(read_number(text.as_bytes()).1, 0, "{text:?}");
    }
    assert_eq!(read_number(b"9999999999999999999999 12345678").1, 0, "too large");
}
