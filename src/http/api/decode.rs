//! JSON decoding with errors that name the field and avoid serde's wording.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_path_to_error::Segment;

use super::problem::Problem;
use crate::domain::invalid::Invalid;

/// Decodes a body. Fails with 400 if it is not JSON, and with 422 and the field if it does not match the schema.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::malformed("malformed_json", "The body is not JSON: it is not UTF-8."))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // A rule that is broken early in the body must not hide a later syntax error. Syntax errors are reported first.
        let malformed = serde_json::from_str::<IgnoredAny>(text).err();
        let pointer = pointer(error.path());
        // serde's message for an array with more items than expected.
        if malformed.is_none() && error.inner().to_string().starts_with("trailing characters") {
            return Invalid::one(pointer, "length", "has too many items").into();
        }
        explain(malformed.as_ref().unwrap_or(error.inner()), pointer)
    })?;
    deserializer.end().map_err(|error| explain(&error, String::new()))?;
    Ok(value)
}

/// A struct that must be written as a JSON object. By default, serde also accepts an array of the fields in order. Then
/// a request could command printers without naming the command or the printers.
#[derive(Debug)]
pub struct Object<T>(pub T);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

fn explain(error: &serde_json::Error, pointer: String) -> Problem {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    // Too large for every number type of the API, but well-formed JSON.
    if text == "number out of range" {
        return Invalid::one(pointer, "range", "is too large a number").into();
    }
    if !error.is_data() {
        let detail = format!("The body is not JSON: {text}, in line {}, column {}.", error.line(), error.column());
        return Problem::malformed("malformed_json", detail);
    }
    let (pointer, code, detail) = rule(text, pointer);
    Invalid::one(pointer, code, detail).into()
}

/// Returns the broken rule: pointer, code and message. serde reports it as text only, so this parses the text.
fn rule(text: &str, pointer: String) -> (String, &'static str, String) {
    let named = |pointer: String, name: &str| {
        let last = format!("/{}", escaped(name));
        if pointer.ends_with(&last) { pointer } else { format!("{pointer}{last}") }
    };
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let (name, known) = rest
            .rsplit_once("`, ")
            .filter(|(name, _)| !name.contains("`, expected"))
            .unwrap_or_else(|| rest.split_once("`, ").unwrap_or((rest, "")));
        let known = known.trim_start_matches("expected ").trim_start_matches("one of ");
        return (named(pointer, name), "unknown_field", format!("is not known here; known are: {known}"));
    }
    if let Some(rest) = text.strip_prefix("missing field `") {
        return (format!("{pointer}/{}", escaped(rest.trim_end_matches('`'))), "required", "must be given".to_owned());
    }
    if let Some(rest) = text.strip_prefix("duplicate field `") {
        return (named(pointer, rest.trim_end_matches('`')), "duplicate_field", "must be given only once".to_owned());
    }
    if text.starts_with("unknown variant `") {
        let known = text.rsplit_once("expected ").map_or("", |(_, known)| known);
        return (pointer, "unknown_value", format!("must be {}", known.replace('`', "\"")));
    }
    let expected = |text: &str| text.rsplit_once(", expected ").map(|(_, expected)| in_words(expected));
    if text.starts_with("invalid type: ")
        && let Some(expected) = expected(text)
    {
        return (pointer, "type", format!("must be {expected}"));
    }
    if text.starts_with("invalid value: ")
        && let Some(expected) = expected(text)
    {
        let code = if text.starts_with("invalid value: integer") { "range" } else { "value" };
        return (pointer, code, format!("must be {expected}"));
    }
    if text.starts_with("invalid length ")
        && let Some(expected) = expected(text)
    {
        return (pointer, "length", format!("must be {expected}"));
    }
    if text.starts_with("UUID parsing failed") {
        return (pointer, "uuid", "must be a UUID".to_owned());
    }
    // Messages of Printyard's own deserializers.
    (pointer, "value", text.to_owned())
}

/// Describes an expected Rust type in JSON terms.
fn in_words(expected: &str) -> String {
    match expected {
        "u32" => format!("a whole number, 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        "string or map" => "a string".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other if other.starts_with("enum ") || other.starts_with("variant ") => "a string".to_owned(),
        other => other.to_owned(),
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&escaped(key)),
            Segment::Enum { variant } => pointer.push_str(&escaped(variant)),
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}

/// Escapes a name for a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
