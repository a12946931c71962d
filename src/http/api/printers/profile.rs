//! The fields of the printer's profile in request bodies and in the OpenAPI document.
//!
//! All of it derives from [`PROFILE_FIELDS`]. `#[serde(flatten)]` cannot read such a body: it accepts unknown fields, and
//! its errors do not name the field.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor},
    forward_to_deserialize_any,
};
use utoipa::openapi::{
    ArrayBuilder, Components, KnownFormat, ObjectBuilder, RefOr, SchemaFormat, Type,
    schema::{Schema, SchemaType},
};

use crate::domain::printer_profile::{FieldKind, FieldValue, PROFILE_FIELDS, ProfileField, ProfilePatch};

/// The field of every body after which the fields of the profile follow.
const PRECEDING_FIELD: &str = "enabled";

/// Returns the names of a body's fields, with those of the profile.
pub fn with_profile_names(own: &[&'static str]) -> Vec<&'static str> {
    let at = own.iter().position(|name| *name == PRECEDING_FIELD).map_or(own.len(), |at| at + 1);
    let (before, after) = own.split_at(at);
    before.iter().copied().chain(PROFILE_FIELDS.iter().map(|field| field.name)).chain(after.iter().copied()).collect()
}

// --- Request bodies --------------------------------------------------------------------------------------------------

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

// --- OpenAPI document ------------------------------------------------------------------------------------------------

/// What a schema with the fields of the profile describes.
#[derive(Clone, Copy, PartialEq)]
enum Usage {
    NewPrinter,
    Patch,
    Response,
    Event,
}

/// Adds the fields of the profile to the schemas of bodies and events.
pub fn add_properties(components: &mut Components) {
    for (name, usage) in [
        ("NewPrinter", Usage::NewPrinter),
        ("PrinterPatch", Usage::Patch),
        ("Printer", Usage::Response),
        ("PrinterEventData", Usage::Event),
    ] {
        let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) else { continue };
        for field in PROFILE_FIELDS {
            object.properties.insert(field.name.to_owned(), RefOr::T(usage.property(field)));
        }
        if !usage.is_input() {
            let at = object.required.iter().position(|name| name == PRECEDING_FIELD).map_or(0, |at| at + 1);
            let never_null = PROFILE_FIELDS.iter().filter(|field| field.kind.is_multiline());
            object.required.splice(at..at, never_null.map(|field| field.name.to_owned()));
        }
    }
}

impl Usage {
    fn is_input(self) -> bool {
        matches!(self, Self::NewPrinter | Self::Patch)
    }

    fn is_described(self, kind: FieldKind) -> bool {
        match self {
            Self::NewPrinter => true,
            // Without its description, a reader does not know the order of the numbers.
            Self::Response => matches!(kind, FieldKind::Size { .. }),
            Self::Patch | Self::Event => false,
        }
    }

    fn property(self, field: &ProfileField) -> Schema {
        let (kind, limited) = (field.kind, self.is_input());
        let description = field.description().filter(|_| self.is_described(kind));
        let nullable = |schema_type| SchemaType::from_iter([schema_type, Type::Null]);
        let text = ObjectBuilder::new().schema_type(nullable(Type::String)).description(description.clone());
        let number = ObjectBuilder::new().format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)));
        match kind {
            FieldKind::Line { max } if limited => text.min_length(Some(1)).max_length(Some(max)).into(),
            FieldKind::Text { max } if limited => text.max_length(Some(max)).into(),
            FieldKind::Color if limited => text.pattern(Some("^#[0-9A-Fa-f]{6}$")).into(),
            FieldKind::Line { .. } | FieldKind::Color => text.into(),
            FieldKind::Text { .. } => text.schema_type(Type::String).into(),
            FieldKind::Millimetres { max } => {
                let (above, up_to) = (limited.then_some(0.0), limited.then_some(max));
                let number = number.schema_type(nullable(Type::Number)).description(description);
                number.exclusive_minimum(above).maximum(up_to).into()
            }
            FieldKind::Size { .. } => {
                let array = ArrayBuilder::new().schema_type(nullable(Type::Array)).description(description);
                let length = (self != Self::Event).then_some(3);
                array.items(number.schema_type(Type::Number)).min_items(length).max_items(length).into()
            }
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
            text.contains("`enabled`, `model`, `material`, ") && text.contains("`notes`, `proxy_auth`, "),
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
