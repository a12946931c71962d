//! Bulk registration of printers: one request, one result per printer.

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    body::{NewPrinterBody, PrinterBody},
    profile::WithProfile,
};
use crate::{
    domain::{message::Message, validation::ValidationErrors},
    http::api::{
        middleware::{authentication::Manager, idempotency::NotStored},
        problem::{ItemProblem, Problem},
        request::{
            extract::{JsonBody, NoQuery},
            json::decode_json,
        },
    },
    service::{Services, bulk::MAX_PRINTERS},
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(create_printers))
}

/// The printers to register.
// No Debug: it holds keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPrinters, example = json!({"items": [
    {"name": "MK4-017", "url": "http://10.0.3.17", "api_key": "3F2504E04F8911D39A0C0305E82C3301", "tags": ["hall-a"]},
    {"name": "MK4-018", "url": "http://10.0.3.18", "api_key": "9A0C0305E82C33013F2504E04F8911D3", "tags": ["hall-a"]},
]}))]
struct NewPrintersBody {
    /// From 1 to 500 printers, each with the fields of `POST /printers`.
    // Parsed one by one, so that an invalid item fails alone.
    #[schema(value_type = Vec<NewPrinterBody>, min_items = 1, max_items = 500)]
    items: Vec<Box<RawValue>>,
}

/// The result for each printer, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PrintersCreated)]
struct PrintersCreatedBody {
    items: Vec<PrinterCreatedItem>,
}

/// The result for one printer: `id` and `printer` if it was registered, `problem` if not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PrinterCreated)]
struct PrinterCreatedItem {
    /// Position in the request, from 0.
    index: usize,
    /// The status that `POST /printers` would return: 201, 409 or 422. It is 503 if the database failed.
    #[schema(example = 201)]
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    printer: Option<PrinterBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    problem: Option<ItemProblem>,
}

/// Registers many printers, each independently.
///
/// An invalid printer does not affect the others. If two printers have the same name or address, the later one is
/// refused.
#[utoipa::path(post, path = "/printers/bulk", tag = "printers", request_body = NewPrintersBody, responses(
    (status = MULTI_STATUS, description = "Each printer has its own result", body = PrintersCreatedBody),
))]
async fn create_printers(
    who: Manager,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(body): JsonBody<NewPrintersBody>,
) -> Result<(StatusCode, Option<Extension<NotStored>>, Json<PrintersCreatedBody>), Problem> {
    let count = body.items.len();
    if !(1..=MAX_PRINTERS).contains(&count) {
        let rule = Message::new("rule-item-count").with("max", MAX_PRINTERS).with("count", count);
        return Err(ValidationErrors::single("/items", "length", rule).into());
    }
    let (mut valid, mut indexes, mut items) = (Vec::new(), Vec::new(), Vec::new());
    for (index, raw) in body.items.iter().enumerate() {
        match decode_json::<WithProfile<NewPrinterBody>>(raw.get().as_bytes()) {
            Ok(WithProfile { body, profile }) => match body.into_parts(profile) {
                Ok(parts) => {
                    valid.push(parts);
                    indexes.push(index);
                }
                Err(invalid) => items.push(refused_item(index, invalid.into())),
            },
            Err(problem) => items.push(refused_item(index, problem)),
        }
    }
    let results = services.register_printers(&who.0, valid).await?;
    items.extend(indexes.into_iter().zip(results).map(|(index, result)| match result {
        Ok(view) => {
            let (id, printer) = (Some(view.printer.id), Some(PrinterBody::from(view)));
            PrinterCreatedItem { index, status: StatusCode::CREATED.as_u16(), id, printer, problem: None }
        }
        Err(error) => refused_item(index, error.into()),
    }));
    items.sort_by_key(|item| item.index);
    // After a database failure, the same request with the same key is executed again. A response with refusals only is
    // not stored.
    let is_fresh = items.iter().any(|item| item.status >= 500) || items.iter().all(|item| item.problem.is_some());
    Ok((StatusCode::MULTI_STATUS, is_fresh.then_some(Extension(NotStored)), Json(PrintersCreatedBody { items })))
}

fn refused_item(index: usize, problem: Problem) -> PrinterCreatedItem {
    let (status, problem) = problem.into_item(&format!("/items/{index}"));
    PrinterCreatedItem { index, status: status.as_u16(), id: None, printer: None, problem: Some(problem) }
}
