//! JSON decoding with errors that name the field and avoid serde's wording.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_path_to_error::Segment;

use crate::{
    domain::{message::Message, validation::ValidationErrors},
    http::api::problem::Problem,
};

/// Decodes a body. Fails with 400 if it is not JSON, and with 422 and the field if it does not match the schema.
pub fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::malformed("malformed_json", "The body is not JSON: it is not UTF-8."))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let JsonObject(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // A rule that is broken early in the body must not hide a later syntax error. Syntax errors are reported first.
        let malformed = serde_json::from_str::<IgnoredAny>(text).err();
        let pointer = json_pointer(error.path());
        // serde's message for an array with more items than expected.
        if malformed.is_none() && error.inner().to_string().starts_with("trailing characters") {
            return ValidationErrors::single(pointer, "length", "rule-too-many-items").into();
        }
        explain_error(malformed.as_ref().unwrap_or(error.inner()), pointer)
    })?;
    deserializer.end().map_err(|error| explain_error(&error, String::new()))?;
    Ok(value)
}

/// A struct that must be written as a JSON object. By default, serde also accepts an array of the fields in order. Then
/// a request could command printers without naming the command or the printers.
#[derive(Debug)]
pub struct JsonObject<T>(pub T);

struct JsonObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonObjectVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for JsonObjectVisitor<T> {
    type Value = JsonObject<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonObject<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(JsonObject)
    }
}

fn explain_error(error: &serde_json::Error, pointer: String) -> Problem {
    let text = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&suffix).unwrap_or(&text);
    // Too large for every number type of the API, but well-formed JSON.
    if text == "number out of range" {
        return ValidationErrors::single(pointer, "range", "rule-number-too-large").into();
    }
    if !error.is_data() {
        let detail = format!("The body is not JSON: {text}, in line {}, column {}.", error.line(), error.column());
        return Problem::malformed("malformed_json", detail);
    }
    let (pointer, code, detail) = broken_rule(text, pointer);
    ValidationErrors::single(pointer, code, detail).into()
}

/// Returns the broken rule: pointer, code and message. serde reports it as text only, so this parses the text.
fn broken_rule(text: &str, pointer: String) -> (String, &'static str, Message) {
    let named = |pointer: String, name: &str| {
        let last = format!("/{}", escape_pointer(name));
        if pointer.ends_with(&last) { pointer } else { format!("{pointer}{last}") }
    };
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let (name, known) = rest
            .rsplit_once("`, ")
            .filter(|(name, _)| !name.contains("`, expected"))
            .unwrap_or_else(|| rest.split_once("`, ").unwrap_or((rest, "")));
        let known = known.trim_start_matches("expected ").trim_start_matches("one of ");
        return (named(pointer, name), "unknown_field", Message::new("rule-unknown-field").with("known", known));
    }
    if let Some(rest) = text.strip_prefix("missing field `") {
        let pointer = format!("{pointer}/{}", escape_pointer(rest.trim_end_matches('`')));
        return (pointer, "required", Message::new("rule-required"));
    }
    if let Some(rest) = text.strip_prefix("duplicate field `") {
        return (named(pointer, rest.trim_end_matches('`')), "duplicate_field", Message::new("rule-once"));
    }
    if text.starts_with("unknown variant `") {
        let known = text.rsplit_once("expected ").map_or("", |(_, known)| known);
        let known = known.trim_start_matches("one of ").replace(" or ", ", ").replace('`', "\"");
        return (pointer, "unknown_value", Message::new("rule-unknown-value").with("known", known));
    }
    let expected = |text: &str| text.rsplit_once(", expected ").map(|(_, expected)| expected_rule(expected));
    if text.starts_with("invalid type: ")
        && let Some(rule) = expected(text)
    {
        return (pointer, "type", rule);
    }
    if text.starts_with("invalid value: ")
        && let Some(rule) = expected(text)
    {
        let code = if text.starts_with("invalid value: integer") { "range" } else { "value" };
        return (pointer, code, rule);
    }
    if text.starts_with("invalid length ")
        && let Some(rule) = expected(text)
    {
        return (pointer, "length", rule);
    }
    if text.starts_with("UUID parsing failed") {
        return (pointer, "uuid", Message::new("rule-uuid"));
    }
    // Printyard's own deserializers report the id of the rule.
    let own = text.strip_prefix("rule-").map(|name| Message::from_code("rule", name));
    (pointer, "value", own.unwrap_or_else(|| Message::verbatim(text)))
}

/// Returns the rule for an expected Rust type, in JSON terms.
fn expected_rule(expected: &str) -> Message {
    match expected {
        "u32" => Message::new("rule-integer-range").with("min", 0).with("max", u32::MAX),
        "u64" | "usize" => Message::new("rule-integer-min").with("min", 0),
        "i32" | "i64" => Message::new("rule-integer"),
        "f32" | "f64" => Message::new("rule-number"),
        "a boolean" => Message::new("rule-boolean"),
        "a sequence" | "an array" => Message::new("rule-array"),
        "a map" | "an object" => Message::new("rule-object"),
        "a string" | "string or map" => Message::new("rule-string"),
        other if other.starts_with("struct ") => Message::new("rule-object"),
        other if other.starts_with("enum ") || other.starts_with("variant ") => Message::new("rule-string"),
        other => Message::new("rule-expected").with("expected", other),
    }
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&escape_pointer(key)),
            Segment::Enum { variant } => pointer.push_str(&escape_pointer(variant)),
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}

/// Escapes a name for a JSON pointer (RFC 6901).
fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
