//! The service state of a printer in request bodies.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::{
    domain::{
        production::{MAX_NOTE, ProductionPatch, ServiceState},
        validation::ValidationErrors,
    },
    http::api::{
        batches::request_body::deserialize_time,
        request::merge_patch::{deserialize_nullable, reject_null},
    },
};

/// Whether a printer takes prints. A return to `in_service` clears `until` and `note`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductionPatch, example = json!({"service": "out_of_service", "note": "Nozzle change"}))]
pub struct ProductionPatchBody {
    /// Whether the planner may start prints on the printer. Needs the role manager. Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<bool>)]
    auto: Option<Option<bool>>,
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<ServiceState>)]
    service: Option<Option<ServiceState>>,
    /// When the printer is expected back. Information only: nothing changes at that time. Null clears it.
    #[serde(default, deserialize_with = "deserialize_nullable_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    until: Option<Option<DateTime<Utc>>>,
    /// The reason, in one line. Null clears it.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, max_length = 500)]
    note: Option<Option<String>>,
}

const _: () = assert!(MAX_NOTE == 500, "the limit in the schema");

impl ProductionPatchBody {
    /// Converts to a patch. Adds an error if null would clear the service state.
    pub fn into_patch(self, invalid: &mut ValidationErrors) -> ProductionPatch {
        let service = reject_null(self.service, || invalid.add("/production/service", "null", "rule-no-null"));
        let auto = reject_null(self.auto, || invalid.add("/production/auto", "null", "rule-no-null"));
        ProductionPatch { auto, service, until: self.until, note: self.note }
    }
}

/// Reads null as `Some(None)`. With serde's default, an absent field is `None`.
fn deserialize_nullable_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<DateTime<Utc>>>, D::Error> {
    deserialize_time(deserializer).map(Some)
}
