//! The fields of the printer's profile in request bodies.
//!
//! All of it derives from [`PROFILE_FIELDS`]. `#[serde(flatten)]` cannot read such a body: it accepts unknown fields, and
//! its errors do not name the field.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor},
    forward_to_deserialize_any,
};

use crate::{
    domain::printer_profile::{FieldKind, FieldValue, PROFILE_FIELDS, ProfileField, ProfilePatch},
    http::api::openapi::printer_profile::PRECEDING_FIELD,
};

/// Returns the names of a body's fields, with those of the profile.
pub fn with_profile_names(own: &[&'static str]) -> Vec<&'static str> {
    let at = own.iter().position(|name| *name == PRECEDING_FIELD).map_or(own.len(), |at| at + 1);
    let (before, after) = own.split_at(at);
    before.iter().copied().chain(PROFILE_FIELDS.iter().map(|field| field.name)).chain(after.iter().copied()).collect()
}

/// A request body with the fields of `T` and those of the profile.
// No Debug: it may hold secrets.
pub struct WithProfile<T> {
    pub body: T,
    pub profile: ProfilePatch,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for WithProfile<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor(PhantomData))
    }
}

struct BodyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BodyVisitor<T> {
    type Value = WithProfile<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WithProfile<T>, A::Error> {
        let mut profile = ProfilePatch::default();
        let body = T::deserialize(OwnFields { map, profile: &mut profile, names: &[] })?;
        Ok(WithProfile { body, profile })
    }
}

/// Passes the fields of a body to its struct, except those of the profile.
struct OwnFields<'a, A> {
    map: A,
    profile: &'a mut ProfilePatch,
    /// Names of the struct's fields.
    names: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for OwnFields<'_, A> {
    type Error = A::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(Self { names, ..self })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OwnFields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            let Some(field) = ProfileField::find(&name) else {
                if !self.names.contains(&name.as_str()) {
                    return Err(unknown_field(&name, self.names));
                }
                return seed.deserialize(name.into_deserializer()).map(Some);
            };
            if self.profile.contains(field) {
                return Err(A::Error::duplicate_field(field.name));
            }
            let value = self.map.next_value_seed(ValueSeed(field.kind))?;
            self.profile.add(field, value);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Returns serde's error for an unknown field. The known fields include those of the profile.
fn unknown_field<E: Error>(name: &str, own: &[&'static str]) -> E {
    let known: Vec<String> = with_profile_names(own).iter().map(|name| format!("`{name}`")).collect();
    E::custom(format_args!("unknown field `{name}`, expected one of {}", known.join(", ")))
}

struct ValueSeed(FieldKind);

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = FieldValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldValue, D::Error> {
        match self.0 {
            FieldKind::Line { .. } | FieldKind::Color | FieldKind::Text { .. } => {
                Deserialize::deserialize(deserializer).map(FieldValue::Text)
            }
            FieldKind::Millimetres { .. } => Deserialize::deserialize(deserializer).map(FieldValue::Number),
            FieldKind::Size { .. } => Deserialize::deserialize(deserializer).map(FieldValue::Size),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::http::api::{
        printers::body::{NewPrinterBody, PrinterPatchBody},
        problem::Problem,
        request::json::decode_json,
    };

    use super::*;

    /// Returns the first error of a refused body: pointer, code and text.
    fn refusal<T>(decoded: Result<T, Problem>) -> (String, String, String) {
        let Err(problem) = decoded else { panic!("the body was accepted") };
        let (_, item) = problem.into_item("");
        let error = serde_json::to_value(item).expect("JSON")["errors"][0].clone();
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (text("pointer"), text("code"), text("detail"))
    }

    #[test]
    fn errors_name_the_field() {
        for (fields, pointer, code) in [
            (r#""model": 7"#, "/model", "type"),
            (r#""nozzle_mm": "0.4""#, "/nozzle_mm", "type"),
            (r#""nozzle_mm": 1e999"#, "/nozzle_mm", "range"),
            (r#""bed_mm": [1, 2]"#, "/bed_mm", "length"),
            (r#""bed_mm": [1, 2, 3, 4]"#, "/bed_mm", "length"),
            (r#""bed_mm": [1, 2, "x"]"#, "/bed_mm/2", "type"),
            (r#""tags": ["a", 1]"#, "/tags/1", "type"),
            (r#""model": "a", "model": null"#, "/model", "duplicate_field"),
            (r#""name": "b""#, "/name", "duplicate_field"),
            (r#""a/b~c": 1"#, "/a~1b~0c", "unknown_field"),
        ] {
            let body = format!(r#"{{"name": "a", "url": "http://a", {fields}}}"#);
            for (found_pointer, found_code, _) in [
                refusal(decode_json::<WithProfile<NewPrinterBody>>(body.as_bytes())),
                refusal(decode_json::<WithProfile<PrinterPatchBody>>(body.as_bytes())),
            ] {
                assert_eq!((found_pointer.as_str(), found_code.as_str()), (pointer, code), "{body}");
            }
        }
        let (pointer, code, _) = refusal(decode_json::<WithProfile<NewPrinterBody>>(br#"{"name": "a", "model": "b"}"#));
        assert_eq!((pointer.as_str(), code.as_str()), ("/url", "required"));
    }

    #[test]
    fn the_error_for_an_unknown_field_lists_the_fields_of_the_profile() {
        let (_, _, text) = refusal(decode_json::<WithProfile<NewPrinterBody>>(br#"{"id": 1}"#));
        assert!(
            text.contains("`enabled`, `model`, `material`, ") && text.contains("`notes`, `production`, "),
            "{text}"
        );
    }

    #[test]
    fn null_clears_a_field_and_absent_fields_are_kept() {
        let decoded =
            decode_json::<WithProfile<PrinterPatchBody>>(br#"{"notes": null, "model": null, "color": "red"}"#);
        let Ok(WithProfile { profile: patch, .. }) = decoded else { panic!("the body was refused") };
        let mut profile = crate::domain::printer_profile::PrinterProfile {
            model: Some("MK4".to_owned()),
            material: Some("PETG".to_owned()),
            notes: "by the door".to_owned(),
            ..Default::default()
        };
        patch.apply(&mut profile);
        assert_eq!((profile.model, profile.notes.as_str()), (None, ""));
        assert_eq!((profile.material.as_deref(), profile.color.as_deref()), (Some("PETG"), Some("red")));
    }
}
