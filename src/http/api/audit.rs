//! The audit: what was changed, by whom, from where.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::Admin,
    extract::Params,
    openapi::words_of,
    page::{self, Page},
    problem::Problem,
};
use crate::{
    domain::audit::{Action, Actor, Found},
    http::csv,
    service::{Services, audit::AuditFilter},
};

const LIST: &str = "audit";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// One change. What is null of `at`, `actor` and `action` cannot be read any more: only in one that is `damaged`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
struct RecordBody {
    /// Counts from 1 without gaps.
    seq: i64,
    at: Option<DateTime<Utc>>,
    actor: Option<Actor>,
    #[schema(example = "batch.created")]
    action: Option<String>,
    printer_ids: Vec<Uuid>,
    /// The batch, token, user or session that it was done to.
    subject: Option<Uuid>,
    request_id: Option<String>,
    address: Option<String>,
    /// By field: `[before, after]` of a change; the fields of what is new or gone. Never a secret.
    changes: Map<String, Value>,
    /// The row was altered since, by somebody or by a failing disk: `printyard audit verify` says more.
    damaged: bool,
}

impl From<Found> for RecordBody {
    fn from(found: Found) -> Self {
        let record = match found {
            Found::Whole(record) => record,
            Found::Damaged { seq, at, action } => {
                return Self {
                    seq,
                    at,
                    actor: None,
                    action,
                    printer_ids: Vec::new(),
                    subject: None,
                    request_id: None,
                    address: None,
                    changes: Map::new(),
                    damaged: true,
                };
            }
        };
        let entry = record.entry;
        Self {
            seq: record.seq,
            at: Some(entry.at),
            actor: Some(entry.actor),
            action: Some(entry.action.to_string()),
            printer_ids: entry.printer_ids,
            subject: entry.subject,
            request_id: entry.request_id,
            address: entry.address,
            changes: entry.changes,
            damaged: false,
        }
    }
}

/// Lists what was changed, newest first. With `Accept: text/csv` it is a page of CSV, its cursor in `X-Next-Cursor`.
#[utoipa::path(get, path = "/audit", tag = "access", params(
    ("since" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Only changes at this time or later."),
    ("until" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Only changes before this time."),
    ("actor" = Option<String>, Query, description = "Only changes by somebody of this name."),
    ("action" = Option<String>, Query, description = "Only changes of this kind."),
    ("printer_id" = Option<Uuid>, Query, description = "Only changes that concern this printer."),
    super::openapi::Paging,
), responses((status = OK, body = Page<RecordBody>)))]
async fn list_audit(
    who: Admin,
    mut params: Params,
    State(services): State<Services>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = AuditFilter {
        since: params.time("since"),
        until: params.time("until"),
        actor: params.text("actor"),
        action: params.word("action", Action::parse, &words_of(Action::ALL, Action::as_str)),
        printer_id: params.id("printer_id"),
    };
    let (limit, after) = (params.limit(), params.cursor::<i64>(LIST));
    params.finish()?;
    let found = services.list_audit(&who.0, &filter, after, page::one_more(limit)).await?;
    let page = Page::cut(LIST, found, limit, Found::seq, RecordBody::from);
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/csv") {
        return Ok(Json(page).into_response());
    }
    let mut response =
        ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv_head() + &lines(&page.items)).into_response();
    if let Some(cursor) = page.next_cursor.and_then(|cursor| cursor.parse().ok()) {
        response.headers_mut().insert("x-next-cursor", cursor);
    }
    Ok(response)
}

/// The line of names of the file, RFC 4180.
pub(in crate::http) fn csv_head() -> String {
    "seq,at,actor_kind,actor,action,printer_ids,subject,request_id,address,changes,damaged\r\n".to_owned()
}

/// The lines of rows.
pub(in crate::http) fn csv_rows(found: Vec<Found>) -> String {
    let records: Vec<RecordBody> = found.into_iter().map(RecordBody::from).collect();
    lines(&records)
}

fn lines(records: &[RecordBody]) -> String {
    let mut text = String::new();
    for record in records {
        let ids: Vec<String> = record.printer_ids.iter().map(Uuid::to_string).collect();
        let fields = [
            record.seq.to_string(),
            record.at.map(|at| at.to_rfc3339()).unwrap_or_default(),
            record.actor.as_ref().map(|actor| actor.kind.to_string()).unwrap_or_default(),
            record.actor.as_ref().map(|actor| actor.name.clone()).unwrap_or_default(),
            record.action.clone().unwrap_or_default(),
            ids.join(" "),
            record.subject.map(|id| id.to_string()).unwrap_or_default(),
            record.request_id.clone().unwrap_or_default(),
            record.address.clone().unwrap_or_default(),
            Value::Object(record.changes.clone()).to_string(),
            if record.damaged { "damaged" } else { "" }.to_owned(),
        ];
        text.push_str(&csv::line(&fields));
    }
    text
}
