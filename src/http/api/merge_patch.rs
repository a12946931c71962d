//! Fields of JSON merge patches: absent, null, or a value.

use serde::{Deserialize, Deserializer};

/// Reads null as `Some(None)`; an absent field is `None` by its default.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The value of a field that cannot be cleared; `refuse` is called for null.
pub(super) fn kept<T>(field: Option<Option<T>>, refuse: impl FnOnce()) -> Option<T> {
    if matches!(field, Some(None)) {
        refuse();
    }
    field.flatten()
}
