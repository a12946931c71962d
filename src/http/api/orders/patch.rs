//! The merge patch of an order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        order::{FailurePolicy, OrderDetails, OrderPatch},
        part::Judgement,
        requirements::Requirements,
        validation::ValidationErrors,
    },
    http::api::{
        batches::request_body::deserialize_time,
        request::{
            json::JsonObject,
            merge_patch::{deserialize_nullable, merge_fields, reject_null},
        },
    },
};

/// A merge patch for an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderPatch, example = json!({"quantity": 150, "due_at": "2026-12-04T16:00:00Z", "priority": 80}))]
pub struct OrderPatchBody {
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, max_length = 200)]
    title: Option<Option<String>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    quantity: Option<Option<u32>>,
    /// Null requires nothing.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<Requirements>)]
    requirements: Option<Option<JsonObject<RequirementsPatchBody>>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<u32>, maximum = 100)]
    priority: Option<Option<u32>>,
    #[serde(default, deserialize_with = "deserialize_nullable_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    not_before: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "deserialize_nullable_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    due_at: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 5000)]
    max_printers: Option<Option<u32>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<u32>, maximum = 1_000_000)]
    max_surplus: Option<Option<u32>>,
    /// Null restores the defaults.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<FailurePolicy>)]
    on_failure: Option<Option<JsonObject<FailurePolicyPatchBody>>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<Judgement>)]
    judgement: Option<Option<Judgement>>,
    /// Null removes all values; null in a field removes the field.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<Map<String, Value>>)]
    metadata: Option<Option<Map<String, Value>>>,
    /// The current revision of the part. The order takes its files and requirements.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>)]
    part_revision: Option<Option<String>>,
}

/// A merge patch for what an order requires.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequirementsPatchBody {
    #[serde(default, deserialize_with = "deserialize_nullable")]
    material: Option<Option<String>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    color: Option<Option<String>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    nozzle_mm: Option<Option<f64>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    tags_all: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    tags_any: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    printer_ids: Option<Option<Vec<Uuid>>>,
}

/// A merge patch for what follows a failed copy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailurePolicyPatchBody {
    #[serde(default, deserialize_with = "deserialize_nullable")]
    max_attempts: Option<Option<u32>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    prefer_other_printer: Option<Option<bool>>,
}

impl OrderPatchBody {
    /// Returns the change of an order with these details.
    pub fn into_patch(self, before: &OrderDetails) -> Result<OrderPatch, ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        let mut no_null = |name: &str| invalid.add(format!("/{name}"), "null", "rule-no-null");
        let patch = OrderPatch {
            title: self.title.map(Option::unwrap_or_default),
            quantity: reject_null(self.quantity, || no_null("quantity")),
            requirements: self.requirements.map(|patch| match patch {
                Some(JsonObject(patch)) => patch.apply(before.requirements.clone()),
                None => Requirements::default(),
            }),
            priority: reject_null(self.priority, || no_null("priority")),
            not_before: self.not_before,
            due_at: self.due_at,
            max_printers: self.max_printers,
            max_surplus: self.max_surplus,
            on_failure: self.on_failure.map(|patch| match patch {
                Some(JsonObject(patch)) => patch.apply(before.on_failure),
                None => FailurePolicy::default(),
            }),
            judgement: reject_null(self.judgement, || no_null("judgement")),
            metadata: self.metadata.map(|patch| match patch {
                Some(patch) => merge_fields(before.metadata.clone(), patch),
                None => Map::new(),
            }),
            part_revision: reject_null(self.part_revision, || no_null("part_revision")),
        };
        invalid.into_result(patch)
    }
}

impl RequirementsPatchBody {
    fn apply(self, before: Requirements) -> Requirements {
        fn list<T>(patch: Option<Option<Vec<T>>>, before: Vec<T>) -> Vec<T> {
            patch.map_or(before, Option::unwrap_or_default)
        }
        Requirements {
            material: self.material.unwrap_or(before.material),
            color: self.color.unwrap_or(before.color),
            nozzle_mm: self.nozzle_mm.unwrap_or(before.nozzle_mm),
            tags_all: list(self.tags_all, before.tags_all),
            tags_any: list(self.tags_any, before.tags_any),
            printer_ids: list(self.printer_ids, before.printer_ids),
        }
    }
}

impl FailurePolicyPatchBody {
    fn apply(self, before: FailurePolicy) -> FailurePolicy {
        let default = FailurePolicy::default();
        FailurePolicy {
            max_attempts: self.max_attempts.map_or(before.max_attempts, |value| value.unwrap_or(default.max_attempts)),
            prefer_other_printer: self
                .prefer_other_printer
                .map_or(before.prefer_other_printer, |value| value.unwrap_or(default.prefer_other_printer)),
        }
    }
}

/// Reads null as `Some(None)`. With serde's default, an absent field is `None`.
fn deserialize_nullable_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<DateTime<Utc>>>, D::Error> {
    deserialize_time(deserializer).map(Some)
}
