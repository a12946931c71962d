//! Fields of JSON merge patches: absent, null, or a value.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

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

/// Applies a merge patch to the fields of an object (RFC 7396): null removes a field.
pub(in crate::http::api) fn merge_fields(
    mut target: Map<String, Value>,
    patch: Map<String, Value>,
) -> Map<String, Value> {
    for (name, value) in patch {
        match (value, target.remove(&name)) {
            (Value::Null, _) => {}
            (Value::Object(patch), Some(Value::Object(before))) => {
                target.insert(name, Value::Object(merge_fields(before, patch)));
            }
            (Value::Object(patch), _) => {
                target.insert(name, Value::Object(merge_fields(Map::new(), patch)));
            }
            (value, _) => {
                target.insert(name, value);
            }
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_sets_removes_and_descends() {
        let merge = |target: Value, patch: Value| {
            let (Value::Object(target), Value::Object(patch)) = (target, patch) else { panic!("objects") };
            Value::Object(merge_fields(target, patch))
        };
        let target = json!({"a": "b", "c": {"d": "e", "f": "g"}, "list": [1]});
        let patch = json!({"a": "z", "c": {"f": null}, "list": [2], "new": {"x": null, "y": 1}});
        assert_eq!(merge(target, patch), json!({"a": "z", "c": {"d": "e"}, "list": [2], "new": {"y": 1}}));
        assert_eq!(merge(json!({"a": [1]}), json!({"a": {"b": 1}, "gone": null})), json!({"a": {"b": 1}}));
    }
}
