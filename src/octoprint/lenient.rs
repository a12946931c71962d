//! Lenient JSON fields: a field with an unexpected shape is read as `None`.
//!
//! OctoPrint's versions differ in their fields: a field may be missing, null, whole or fractional. Plugins change more. A
//! reading must not fail because of a field that is not needed. These types read directly from the stream, without a tree of
//! the whole body (a list of files may have 16 MB).

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// A text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Text(pub(super) Option<String>);

/// A number, or a text that contains a number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Number(pub(super) Option<f64>);

/// True or false.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Flag(pub(super) Option<bool>);

/// An object of a known shape. Its fields are lenient, too.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object<T>(pub(super) Option<T>);

/// A list. Its items are lenient, too.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct List<T>(pub(super) Vec<T>);

/// An object whose keys the sender chooses.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dict<T>(pub(super) BTreeMap<String, T>);

impl Text {
    /// Returns the text, unless it is missing or empty.
    pub(super) fn non_empty(self) -> Option<String> {
        self.0.filter(|text| !text.is_empty())
    }
}

impl Number {
    /// Returns the number as a count (bytes, seconds since 1970). Negative numbers return `None`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range; fractions go")]
    pub(super) fn as_u64(self) -> Option<u64> {
        self.0.filter(|number| (0.0..9.0e15).contains(number)).map(|number| number as u64)
    }

    /// Returns the number as whole seconds.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range; fractions go")]
    pub(super) fn as_i64(self) -> Option<i64> {
        self.0.filter(|number| number.abs() < 9.0e15).map(|number| number as i64)
    }
}

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for Dict<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// A value in the stream. Each type implements the methods for the values that it can use.
trait Lenient<'de>: Default {
    fn from_text(_: &str) -> Self {
        Self::default()
    }
    fn from_number(_: f64) -> Self {
        Self::default()
    }
    fn from_flag(_: bool) -> Self {
        Self::default()
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

struct LenientVisitor<T>(PhantomData<T>);

impl<'de, T: Lenient<'de>> Visitor<'de> for LenientVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        Ok(T::from_flag(value))
    }
    #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 2^53 do not occur")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        Ok(T::from_number(value as f64))
    }
    #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 2^53 do not occur")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        Ok(T::from_number(value as f64))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        Ok(T::from_number(value))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        Ok(T::from_text(value))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::from_seq(seq)
    }
}

impl Lenient<'_> for Text {
    fn from_text(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

impl Lenient<'_> for Number {
    fn from_text(text: &str) -> Self {
        Self(text.trim().parse().ok().filter(|number: &f64| number.is_finite()))
    }
    fn from_number(number: f64) -> Self {
        Self(Some(number).filter(|number| number.is_finite()))
    }
}

impl Lenient<'_> for Flag {
    fn from_flag(flag: bool) -> Self {
        Self(Some(flag))
    }
}

impl<'de, T: Deserialize<'de>> Lenient<'de> for Object<T> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|object| Self(Some(object)))
    }
}

impl<'de, T: Deserialize<'de>> Lenient<'de> for List<T> {
    fn from_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Self(list))
    }
}

impl<'de, T: Deserialize<'de>> Lenient<'de> for Dict<T> {
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut dict = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            dict.insert(key, value);
        }
        Ok(Self(dict))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Dict<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Shape {
        text: Text,
        number: Number,
        flag: Flag,
        inner: Object<Box<Shape>>,
        list: List<Number>,
        dict: Dict<Number>,
    }

    #[test]
    fn every_field_may_have_every_shape() {
        for value in
            ["null", "true", "-1", "1.5", "18446744073709551615", "\"x\"", "[]", "[1,null,{}]", "{}", "{\"a\":[1]}"]
        {
            for field in ["text", "number", "flag", "inner", "list", "dict"] {
                let body = format!(r#"{{"{field}":{value},"unknown":{value}}}"#);
                serde_json::from_str::<Shape>(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
            }
        }
    }

    #[test]
    fn valid_values_are_kept() {
        let body = r#"{"text":"a","number":"2.5","flag":true,"inner":{"number":3},"list":[1,"x"],"dict":{"k":4.0}}"#;
        let shape: Shape = serde_json::from_str(body).expect("shape");
        assert_eq!(shape.text.0.as_deref(), Some("a"));
        assert_eq!(shape.number.0, Some(2.5));
        assert_eq!(shape.flag.0, Some(true));
        assert_eq!(shape.inner.0.and_then(|inner| inner.number.as_i64()), Some(3));
        assert_eq!(shape.list.0, vec![Number(Some(1.0)), Number(None)]);
        assert_eq!(shape.dict.0.get("k").and_then(|number| number.as_u64()), Some(4));
    }
}
