//! The audit log in the API: who changed what, and from which address.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::Admin,
    export::{self, Form, Line},
    extract::Params,
    openapi::words_of,
    page::{self, Page, Part},
    problem::Problem,
};
use crate::{
    domain::audit::{Action, Actor, Found},
    service::{Error, Services, access::Principal, audit::AuditFilter},
};

const LIST: &str = "audit";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// One change. `at`, `actor` and `action` can be null only in a `damaged` record, where they cannot be read any more.
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
    /// The batch, token, user or session that was changed.
    subject: Option<Uuid>,
    request_id: Option<String>,
    address: Option<String>,
    /// Changed fields by name, each as `[before, after]`. For something new or removed: its fields. Never contains a
    /// secret.
    changes: Map<String, Value>,
    /// The row was altered after it was written, by a person or by a failing disk. `printyard audit verify` shows the
    /// details.
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

/// Lists changes, newest first.
///
/// Each change is recorded in the transaction that makes it, and each record seals the record before it. A record names
/// the actor, the printers, the request, the address, and the fields before and after. Secrets are never recorded.
#[utoipa::path(get, path = "/audit", tag = "access", params(
    ("since" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Only changes at this time or later."),
    ("until" = Option<chrono::DateTime<chrono::Utc>>, Query, description = "Only changes before this time."),
    ("actor" = Option<String>, Query, description = "Only changes by the actor with this name."),
    ("action" = Option<String>, Query, description = "Only changes with this action."),
    ("printer_id" = Option<Uuid>, Query, description = "Only changes that concern this printer."),
    super::openapi::Paging,
), responses((status = OK, content(
    (Page<RecordBody> = "application/json"), (RecordBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_audit(who: Admin, mut params: Params, State(services): State<Services>) -> Result<Response, Problem> {
    let filter = AuditFilter {
        since: params.time("since"),
        until: params.time("until"),
        actor: params.text("actor"),
        action: params.word("action", Action::parse, &words_of(Action::ALL, Action::as_str)),
        printer_id: params.id("printer_id"),
    };
    let asked = params.asked::<i64>(LIST);
    params.finish()?;
    export::list(LIST, asked, move |after, limit| page(services.clone(), who.0.clone(), filter.clone(), after, limit))
        .await
}

/// Returns all rows that match the filter, as CSV.
pub(in crate::http) async fn file(services: Services, who: Principal, filter: AuditFilter) -> Result<Response, Error> {
    let page = move |after, limit| page(services.clone(), who.clone(), filter.clone(), after, limit);
    export::whole(LIST, Form::Csv, page).await
}

async fn page(
    services: Services,
    who: Principal,
    filter: AuditFilter,
    after: Option<i64>,
    limit: usize,
) -> Result<Part<RecordBody, i64>, Error> {
    let found = services.list_audit(&who, &filter, after, page::one_more(limit)).await?;
    Ok(page::cut(found, limit, Found::seq, RecordBody::from))
}

impl Line for RecordBody {
    const COLUMNS: &'static [&'static str] = &[
        "seq",
        "at",
        "actor_kind",
        "actor",
        "action",
        "printer_ids",
        "subject",
        "request_id",
        "address",
        "changes",
        "damaged",
    ];

    fn cells(&self) -> Vec<String> {
        let ids: Vec<String> = self.printer_ids.iter().map(Uuid::to_string).collect();
        vec![
            self.seq.to_string(),
            self.at.map(|at| at.to_rfc3339()).unwrap_or_default(),
            self.actor.as_ref().map(|actor| actor.kind.to_string()).unwrap_or_default(),
            self.actor.as_ref().map(|actor| actor.name.clone()).unwrap_or_default(),
            self.action.clone().unwrap_or_default(),
            ids.join(" "),
            self.subject.map(|id| id.to_string()).unwrap_or_default(),
            self.request_id.clone().unwrap_or_default(),
            self.address.clone().unwrap_or_default(),
            Value::Object(self.changes.clone()).to_string(),
            if self.damaged { "damaged" } else { "" }.to_owned(),
        ]
    }
}
