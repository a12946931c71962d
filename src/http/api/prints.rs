//! The print history in the API. Includes prints that were started outside Printyard.

use axum::{Json, extract::State, response::Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    list::{
        export::{self, CsvRow},
        page::{self, Page},
    },
    middleware::authentication::Viewer,
    problem::Problem,
    request::extract::{NoQuery, PathId, QueryParams},
};
use crate::{
    domain::{
        command::FileRef,
        print::{Print, PrintActor, PrintFilter, PrintResult, PrintState},
    },
    service::Services,
};

const LIST: &str = "prints";
const STATES: [&str; 5] = ["open", "done", "failed", "cancelled", "unknown"];

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_prints)).routes(routes!(get_print))
}

/// A print that was observed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Print)]
struct PrintBody {
    id: Uuid,
    printer_id: Uuid,
    /// Null if the file of the print was never observed.
    file: Option<FileRef>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// Null until the print ends.
    result: Option<PrintResult>,
    /// Reason as OctoPrint or the firmware reports it.
    reason: Option<String>,
    started_by: PrintActor,
    /// The command that started the print. Null if no command did.
    command_id: Option<Uuid>,
    /// The batch of that command.
    batch_id: Option<Uuid>,
    /// The `external_ref` of that batch.
    external_ref: Option<String>,
}

impl CsvRow for PrintBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "printer_id",
        "file",
        "started_at",
        "ended_at",
        "result",
        "reason",
        "started_by",
        "command_id",
        "batch_id",
        "external_ref",
    ];
}

impl From<Print> for PrintBody {
    fn from(print: Print) -> Self {
        Self {
            id: print.id,
            printer_id: print.printer_id,
            file: print.file,
            started_at: print.started_at,
            ended_at: print.ended_at,
            result: print.result,
            reason: print.reason,
            started_by: print.started_by,
            command_id: print.started_by.command_id,
            batch_id: print.batch_id,
            external_ref: print.external_ref,
        }
    }
}

/// Lists prints, newest first.
///
/// The list contains every observed print, also those that were started outside Printyard.
#[utoipa::path(get, path = "/prints", tag = "prints", params(
    ("printer_id" = Option<Uuid>, Query, description = "Only prints on this printer."),
    ("batch_id" = Option<Uuid>, Query, description = "Only prints that a command of this batch started."),
    ("external_ref" = Option<String>, Query, description = "Only prints that a batch with this reference started."),
    ("state" = Option<String>, Query, description = "`open`, or the result: `done`, `failed`, `cancelled`, `unknown`."),
    ("since" = Option<DateTime<Utc>>, Query, description = "Only prints that started at this time or later."),
    super::openapi::Paging,
), responses((status = OK, content(
    (Page<PrintBody> = "application/json"), (PrintBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_prints(
    who: Viewer,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let state = |word: &str| match word {
        "open" => Some(PrintState::Open),
        other => PrintResult::parse(other).map(PrintState::Ended),
    };
    let filter = PrintFilter {
        printer_id: params.id("printer_id"),
        batch_id: params.id("batch_id"),
        external_ref: params.client_reference("external_ref"),
        state: params.enum_value("state", state, &STATES),
        since: params.time("since"),
        ..PrintFilter::default()
    };
    let request = params.list_request::<Uuid>(LIST);
    params.finish()?;
    let page = move |after, limit| {
        let (services, who, filter) = (services.clone(), who.0.clone(), filter.clone());
        async move {
            let found = services.list_prints(&who, filter, after, page::limit_plus_one(limit)).await?;
            Ok(page::cut_page(found, limit, |print| print.id, PrintBody::from))
        }
    };
    export::respond_with_list(LIST, request, page).await
}

/// Reads a print.
///
/// `started_by` shows whether a command or an action at the printer started it.
#[utoipa::path(get, path = "/prints/{id}", tag = "prints", params(("id" = Uuid, Path)),
    responses((status = OK, body = PrintBody)))]
async fn get_print(
    who: Viewer,
    _: NoQuery,
    PathId(id): PathId,
    State(services): State<Services>,
) -> Result<Json<PrintBody>, Problem> {
    Ok(Json(services.print(&who.0, id).await?.into()))
}
