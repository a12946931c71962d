//! Fields of JSON merge patches: absent, null, or a value.

use serde::{Deserialize, Deserializer};

/// Reads null as `Some(None)`. With serde's default, an absent field is `None`.
pub(in crate::http::api) fn deserialize_nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Returns the value of a field that cannot be cleared. Calls `refuse` for null.
pub(in crate::http::api) fn reject_null<T>(field: Option<Option<T>>, refuse: impl FnOnce()) -> Option<T> {
    if matches!(field, Some(None)) {
        refuse();
    }
    field.flatten()
}
