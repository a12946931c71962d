//! The files of parts and orders in request bodies.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::part::{MAX_PARTS_PER_PLATE, PlateFile};

/// A file that makes parts on some printer models.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPlateFile)]
pub struct PlateFileBody {
    /// A file of the library.
    file_id: Uuid,
    /// Models of printers, as in `MK4`. Absent: the model that the file names.
    models: Option<Vec<String>>,
    /// Parts that one copy makes. Absent: 1.
    #[schema(minimum = 1, maximum = 1000)]
    parts_per_plate: Option<u32>,
    /// Absent or null: the estimate of the file.
    #[schema(minimum = 1)]
    estimated_print_time_s: Option<u64>,
}

const _: () = assert!(MAX_PARTS_PER_PLATE == 1_000, "the limit in the schema");

impl From<PlateFileBody> for PlateFile {
    fn from(body: PlateFileBody) -> Self {
        Self {
            file_id: body.file_id,
            models: body.models.unwrap_or_default(),
            parts_per_plate: body.parts_per_plate.unwrap_or(1),
            estimated_print_time_s: body.estimated_print_time_s,
        }
    }
}
