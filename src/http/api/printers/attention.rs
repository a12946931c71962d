//! Ends the attention of a printer.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::body::PrinterBody;
use crate::{
    http::api::{
        middleware::authentication::Operator,
        problem::Problem,
        request::extract::{NoQuery, PathId},
    },
    service::Services,
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(clear_printer_attention))
}

/// Ends the attention of a printer, after a person has looked at it.
///
/// A printer that failed twice in a row, whose start stays unknown, or that refuses files gets no work from the planner until
/// then. Commands of people are not refused.
#[utoipa::path(post, path = "/printers/{id}/attention/clear", tag = "printers", params(("id" = Uuid, Path)),
    responses((status = OK, body = PrinterBody)))]
async fn clear_printer_attention(
    who: Operator,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<PrinterBody>, Problem> {
    Ok(Json(services.clear_attention(&who.0, id).await?.into()))
}
