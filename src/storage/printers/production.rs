//! Service states and opt-ins of printers: their columns, and their change on many printers at once.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::{
    domain::{
        audit::AuditEntry,
        printer::Printer,
        production::{Production, ServiceState},
    },
    storage::{
        Db, Error, audit,
        bulk::{self, ColumnType},
        error::RowRef,
        transaction,
    },
};

/// The columns of a row.
#[derive(sqlx::FromRow)]
pub(super) struct ProductionColumns {
    service: String,
    service_until: Option<DateTime<Utc>>,
    service_note: Option<String>,
    auto_since: Option<DateTime<Utc>>,
}

impl ProductionColumns {
    /// Returns the service state. Fails if the stored state is unknown.
    pub(super) fn into_production(self, row_ref: &RowRef<Uuid>) -> Result<Production, Error> {
        let service = row_ref.parse("service", &self.service, ServiceState::parse)?;
        Ok(Production {
            auto: self.auto_since.is_some(),
            auto_since: self.auto_since,
            service,
            until: self.service_until,
            note: self.service_note,
        })
    }
}

/// A change of many printers at once.
#[derive(Debug, Clone, Copy)]
pub enum ProductionChange<'a> {
    /// Service state, note and expected end. The opt-in stays.
    Service(&'a Production),
    /// When the printers were opted in. `None`: the planner starts nothing on them.
    Auto(Option<DateTime<Utc>>),
}

/// Changes the production of printers, and nothing else. Each printer has the version that follows the one that was
/// read. Changes all or none. Returns `false` if any printer has another version or no longer exists.
pub async fn change_production(
    db: &Db,
    printers: &[Printer],
    change: ProductionChange<'_>,
    entries: &[AuditEntry],
) -> Result<bool, Error> {
    let columns = match change {
        ProductionChange::Service(_) => "service = $3, service_until = $4, service_note = $5",
        ProductionChange::Auto(_) => "auto_since = $3",
    };
    let lock = format!("select id from printers where id in {} order by id{}", db.uuids_subquery(1), db.for_update());
    let update = format!(
        "update printers set version = version + 1, updated_at = $2, {columns}
         where exists (select 1 from {} where x.printer_id = printers.id and x.version = printers.version + 1)",
        db.records_source(&[("printer_id", ColumnType::Uuid), ("version", ColumnType::BigInt)])
    );
    let at = printers.iter().map(|printer| printer.updated_at).max();
    let ids = bulk::uuid_list(printers.iter().map(|printer| printer.id));
    let versions =
        printers.iter().map(|printer| serde_json::json!({"printer_id": printer.id, "version": printer.version}));
    let versions = bulk::json_parameter(versions)?;
    transaction!(db, |tx| {
        // Locked in one order, so that two changes of the same printers wait for each other.
        sqlx::query(AssertSqlSafe(lock)).bind(ids).execute(&mut *tx).await?;
        let update = sqlx::query(AssertSqlSafe(update)).bind(versions).bind(at);
        let update = match change {
            ProductionChange::Service(to) => update.bind(to.service.as_str()).bind(to.until).bind(&to.note),
            ProductionChange::Auto(since) => update.bind(since),
        };
        let updated = update.execute(&mut *tx).await?;
        if usize::try_from(updated.rows_affected()) != Ok(printers.len()) {
            return Ok(false);
        }
        for entry in entries {
            audit::append!(tx, db, entry);
        }
    });
    Ok(true)
}
