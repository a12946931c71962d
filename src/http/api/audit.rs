//! The audit log in the API: who changed what, and from which address.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    list::{
        export::{self, CsvRow, ListFormat},
        page::{self, Page, RawPage},
    },
    middleware::authentication::Admin,
    openapi::value_names,
    problem::Problem,
    request::extract::QueryParams,
};
use crate::{
    domain::audit::{Action, AuditActor, AuditFilter, CheckedRecord},
    service::{Error, Services, access::Principal},
};

const LIST: &str = "audit";

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// One change. `at`, `actor` and `action` can be null only in a `damaged` record, where they cannot be read any more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
struct AuditRecordBody {
    /// Counts from 1 without gaps.
    seq: i64,
    at: Option<DateTime<Utc>>,
    actor: Option<AuditActor>,
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

impl From<CheckedRecord> for AuditRecordBody {
    fn from(found: CheckedRecord) -> Self {
        let record = match found {
            CheckedRecord::Intact(record) => record,
            CheckedRecord::Damaged { seq, at, action } => {
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
    (Page<AuditRecordBody> = "application/json"), (AuditRecordBody = "application/x-ndjson"), (String = "text/csv"),
))))]
async fn list_audit(
    who: Admin,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let filter = AuditFilter {
        since: params.time("since"),
        until: params.time("until"),
        actor: params.text("actor"),
        action: params.enum_value("action", Action::parse, &value_names(Action::ALL, Action::as_str)),
        printer_id: params.id("printer_id"),
    };
    let request = params.list_request::<i64>(LIST);
    params.finish()?;
    export::respond_with_list(LIST, request, move |after, limit| {
        read_page(services.clone(), who.0.clone(), filter.clone(), after, limit)
    })
    .await
}

/// Returns all rows that match the filter, as CSV.
pub(in crate::http) async fn export_audit(
    services: Services,
    who: Principal,
    filter: AuditFilter,
) -> Result<Response, Error> {
    let page = move |after, limit| read_page(services.clone(), who.clone(), filter.clone(), after, limit);
    export::export_list(LIST, ListFormat::Csv, page).await
}

async fn read_page(
    services: Services,
    who: Principal,
    filter: AuditFilter,
    after: Option<i64>,
    limit: usize,
) -> Result<RawPage<AuditRecordBody, i64>, Error> {
    let found = services.list_audit(&who, &filter, after, page::limit_plus_one(limit)).await?;
    Ok(page::cut_page(found, limit, CheckedRecord::seq, AuditRecordBody::from))
}

impl CsvRow for AuditRecordBody {
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
