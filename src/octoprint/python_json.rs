//! Reads JSON as Python writes it. Python's `json` module writes `NaN`, `Infinity` and lone surrogates, which are not valid
//! JSON.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Reads JSON. If the input is not valid JSON, it is repaired first: `NaN`, `Infinity` and numbers beyond the range of a
/// double are read as null. Bytes and escapes that are not valid text are read as U+FFFD.
pub(super) fn parse_python_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| match repair(&String::from_utf8_lossy(bytes)) {
        Cow::Borrowed(same) if same.as_bytes() == bytes => Err(error),
        repaired => serde_json::from_str(&repaired),
    })
}

/// Replaces the parts that no JSON reader accepts.
fn repair(text: &str) -> Cow<'_, str> {
    let mut repaired = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(&byte) = text.as_bytes().get(at) {
        let (end, replacement) = match byte {
            b'"' => {
                at = repair_string(text, at, &mut copied, &mut repaired);
                continue;
            }
            b'-' | b'0'..=b'9' | b'A'..=b'Z' => repair_word(text, at),
            _ => (at + 1, None),
        };
        if let Some(replacement) = replacement {
            repaired.push_str(&text[copied..at]);
            repaired.push_str(replacement);
            copied = end;
        }
        at = end;
    }
    if repaired.is_empty() && copied == 0 {
        return Cow::Borrowed(text);
    }
    repaired.push_str(&text[copied..]);
    Cow::Owned(repaired)
}

/// Returns the end of a number or bare word that begins at `at`, and its replacement.
fn repair_word(text: &str, at: usize) -> (usize, Option<&'static str>) {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    let length = text.as_bytes()[at..].iter().take_while(|byte| is_part(byte)).count();
    let end = at + length.max(1);
    let word = &text[at..end];
    let is_not_json = matches!(word, "NaN" | "Infinity" | "-Infinity")
        || word.parse().is_ok_and(|number: f64| !number.is_finite() && !word.contains(['n', 'N']));
    (end, is_not_json.then_some("null"))
}

/// Returns the end of the string that begins at `at`. Lone surrogates in it are replaced.
fn repair_string(text: &str, at: usize, copied: &mut usize, repaired: &mut String) -> usize {
    let bytes = text.as_bytes();
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => match surrogate_at(bytes, at) {
                Some(0xD800..=0xDBFF) if matches!(surrogate_at(bytes, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
                Some(_) => {
                    repaired.push_str(&text[*copied..at]);
                    repaired.push_str("\\ufffd");
                    at += 6;
                    *copied = at;
                }
                None => at += 2,
            },
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Returns the surrogate whose escape begins at `at`.
fn surrogate_at(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let unit = u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::octoprint::python_json::*;

    fn parse(bytes: &[u8]) -> Option<Value> {
        parse_python_json(bytes).ok()
    }

    #[test]
    fn invalid_numbers_become_null_and_texts_stay() {
        let body = br#"{"a":NaN,"b":[Infinity,-Infinity,1e999,-1e999,-1.5e3],"NaN":"NaN, \"Infinity\"","c":{"d":NaN}}"#;
        let expected = json!({
            "a": null, "b": [null, null, null, null, -1500.0], "NaN": "NaN, \"Infinity\"", "c": {"d": null},
        });
        assert_eq!(parse(body), Some(expected));
    }

    #[test]
    fn invalid_unicode_is_replaced() {
        let body = b"[\"\\udcff.gcode\", \"\\ud83d\\ude00 \\ud83d\", \"\xff\", \"\\\\ud800\", NaN]";
        let expected = json!(["\u{fffd}.gcode", "\u{1f600} \u{fffd}", "\u{fffd}", "\\ud800", null]);
        assert_eq!(parse(body), Some(expected));
    }

    #[test]
    fn other_invalid_json_is_refused() {
        for garbage in
            ["", "NaN]", "{\"a\":nan}", "{\"a\":-}", "<html>NaN</html>", "\"\\u", "{\"a\": Infinity", "\"\\udc"]
        {
            assert_eq!(parse(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
