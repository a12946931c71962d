//! Bulk change of printer tags.

use sqlx::AssertSqlSafe;

use super::{insert_tags_sql, tag_records};
use crate::{
    domain::{audit::AuditEntry, printer::Printer},
    storage::{
        Db, Error, audit,
        bulk::{self, ColumnType},
        transaction,
    },
};

/// Stores the tags of printers, and nothing else. Each printer has the version that follows the one that was read.
/// Changes all or none. Returns `false` if any printer has another version or no longer exists.
pub async fn retag(db: &Db, printers: &[Printer], entry: &AuditEntry) -> Result<bool, Error> {
    let lock = format!("select id from printers where id in {} order by id{}", db.uuids_subquery(1), db.for_update());
    let raise = format!(
        "update printers set version = version + 1, updated_at = $2
         where exists (select 1 from {} where x.printer_id = printers.id and x.version = printers.version + 1)",
        db.records_source(&[("printer_id", ColumnType::Uuid), ("version", ColumnType::BigInt)])
    );
    let clear = format!("delete from printer_tags where printer_id in {}", db.uuids_subquery(1));
    let insert = insert_tags_sql(db);
    let at = printers.iter().map(|printer| printer.updated_at).max();
    let ids = bulk::uuid_list(printers.iter().map(|printer| printer.id));
    let versions =
        printers.iter().map(|printer| serde_json::json!({"printer_id": printer.id, "version": printer.version}));
    let (versions, tags) = (bulk::json_parameter(versions)?, tag_records(printers)?);
    transaction!(db, |tx| {
        // Locked in one order, so that two changes of the same printers wait for each other.
        sqlx::query(AssertSqlSafe(lock)).bind(ids.clone()).execute(&mut *tx).await?;
        let raised = sqlx::query(AssertSqlSafe(raise)).bind(versions).bind(at).execute(&mut *tx).await?;
        if usize::try_from(raised.rows_affected()) != Ok(printers.len()) {
            return Ok(false);
        }
        sqlx::query(AssertSqlSafe(clear)).bind(ids).execute(&mut *tx).await?;
        sqlx::query(AssertSqlSafe(insert)).bind(tags).execute(&mut *tx).await?;
        audit::append!(tx, db, entry);
    });
    Ok(true)
}
