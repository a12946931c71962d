//! The fields of the printer's profile in the schemas of the OpenAPI document. They derive from [`PROFILE_FIELDS`].

use utoipa::openapi::{
    ArrayBuilder, Components, KnownFormat, ObjectBuilder, RefOr, SchemaFormat, Type,
    schema::{Schema, SchemaType},
};

use crate::domain::printer_profile::{FieldKind, PROFILE_FIELDS, ProfileField};

/// The field of every body after which the fields of the profile follow.
pub const PRECEDING_FIELD: &str = "enabled";

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
