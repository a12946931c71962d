//! Clearing of plates after a person has checked them.

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::{message::Message, plate::ClearResult, validation::ValidationErrors},
    http::api::{
        middleware::{authentication::Operator, idempotency::NotStored},
        problem::Problem,
        request::{
            extract::{JsonBody, NoQuery},
            json::JsonObject,
        },
    },
    service::{Services, plates::PlateToClear},
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(clear_plates))
}

/// Plates to clear: by printer, or by printer and print. Exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClearPlates, example = json!({"printer_ids": ["0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11"]}))]
struct ClearPlatesBody {
    /// Clears the plates of these printers, whatever print is on them.
    #[schema(min_items = 1)]
    printer_ids: Option<Vec<Uuid>>,
    /// Clears a plate only if this print is on it. Otherwise its result is `plate_changed`.
    #[schema(value_type = Option<Vec<PlateRefBody>>, min_items = 1)]
    plates: Option<Vec<JsonObject<PlateRefBody>>>,
}

/// A plate and the print on it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlateRef)]
struct PlateRefBody {
    printer_id: Uuid,
    print_id: Uuid,
}

/// The result for each plate, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlatesCleared)]
struct PlatesClearedBody {
    items: Vec<PlateClearedItem>,
}

/// The result for one plate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlateCleared)]
struct PlateClearedItem {
    printer_id: Uuid,
    print_id: Option<Uuid>,
    result: ClearResult,
}

/// Marks plates as clear.
///
/// A person must have checked the plates. The plate of a printer that prints is not changed. With `plates`, a plate is
/// not changed if a different print is on it.
#[utoipa::path(post, path = "/plates/clear", tag = "plates", request_body = ClearPlatesBody, responses(
    (status = MULTI_STATUS, description = "Each plate has its own result", body = PlatesClearedBody),
))]
async fn clear_plates(
    who: Operator,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(body): JsonBody<ClearPlatesBody>,
) -> Result<(StatusCode, Option<Extension<NotStored>>, Json<PlatesClearedBody>), Problem> {
    let (field, plates): (_, Vec<PlateToClear>) = match (body.printer_ids, body.plates) {
        (Some(ids), None) => {
            ("printer_ids", ids.into_iter().map(|printer_id| PlateToClear { printer_id, print_id: None }).collect())
        }
        (None, Some(plates)) => {
            let plate = |JsonObject(plate): JsonObject<PlateRefBody>| PlateToClear {
                printer_id: plate.printer_id,
                print_id: Some(plate.print_id),
            };
            ("plates", plates.into_iter().map(plate).collect())
        }
        (None, None) => return Err(ValidationErrors::single("", "required", "rule-printer-ids-or-plates").into()),
        (Some(_), Some(_)) => {
            let rule = Message::new("rule-not-with").with("other", "printer_ids");
            return Err(ValidationErrors::single("/plates", "mixed_selector", rule).into());
        }
    };
    if plates.is_empty() {
        return Err(ValidationErrors::single(format!("/{field}"), "length", "rule-not-empty").into());
    }
    let items: Vec<PlateClearedItem> = services
        .clear_plates(&who.0, &plates)
        .await?
        .into_iter()
        .map(|(plate, result)| PlateClearedItem { printer_id: plate.printer_id, print_id: plate.print_id, result })
        .collect();
    // A response with refusals only is not stored.
    let is_clear = |item: &PlateClearedItem| matches!(item.result, ClearResult::Cleared | ClearResult::AlreadyClear);
    let is_refused = !items.iter().any(is_clear);
    Ok((StatusCode::MULTI_STATUS, is_refused.then_some(Extension(NotStored)), Json(PlatesClearedBody { items })))
}
