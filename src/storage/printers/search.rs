//! Printer search: pages for lists, selections for batches.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{Db, Error, reading},
    Printer, PrinterRow, select_sql,
};
use crate::storage::bulk;

/// Filter for a page of printers. Absent fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrinterFilter {
    pub tag: Option<String>,
    /// Part of the name, the address, the model or the notes. Ignores case: of ASCII letters on SQLite, of all letters
    /// on PostgreSQL.
    pub q: Option<String>,
    /// Tags that the caller may see. Only printers with any of them.
    pub visible_tags: Option<Vec<String>>,
}

/// Which printers a batch selects. All conditions apply. Disabled printers are never selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrinterSelection {
    /// The printer has all of these tags. Empty: no restriction.
    pub tags_all: Vec<String>,
    /// The printer has any of these tags. Empty: no restriction.
    pub tags_any: Vec<String>,
    /// Tags that the caller may see. Only printers with any of them.
    pub visible_tags: Option<Vec<String>>,
}

/// Returns the condition that the printer `p` has any of the tags `$n`. It is always true if `$given` is false.
fn has_any_tag_sql(db: &Db, given: usize, n: usize) -> String {
    format!(
        "(not ${given} or exists (select 1 from printer_tags t where t.printer_id = p.id and t.tag in {}))",
        db.texts_subquery(n)
    )
}

/// Returns a page of printers by name, after `after` (the last name and id of the previous page).
pub async fn list_page(
    db: &Db,
    filter: &PrinterFilter,
    after: Option<(String, Uuid)>,
    limit: i64,
) -> Result<Vec<Printer>, Error> {
    let like: Vec<String> = ["p.name", "p.url", "coalesce(p.model, '')", "p.notes"]
        .iter()
        .map(|column| format!(r"lower({column}) like lower($3) escape '\'"))
        .collect();
    let sql = format!(
        "{}
         where ($1 is null or exists (select 1 from printer_tags t where t.printer_id = p.id and t.tag = $1))
             and ($2 is null or (p.name, p.id) > ($2, $4))
             and ($3 is null or {}) and {}
         order by p.name, p.id limit $7",
        select_sql(db, ""),
        like.join(" or "),
        has_any_tag_sql(db, 5, 6),
    );
    let (after_name, after_id) = after.unzip();
    let pattern = filter.q.as_deref().map(bulk::contains_pattern);
    let rows: Vec<PrinterRow> = reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(&filter.tag)
        .bind(after_name)
        .bind(pattern)
        .bind(after_id)
        .bind(filter.visible_tags.is_some())
        .bind(bulk::text_list(filter.visible_tags.iter().flatten()))
        .bind(limit)
        .fetch_all(pool)
        .await)?;
    rows.into_iter().map(PrinterRow::into_printer).collect()
}

/// Returns the ids and names of the enabled printers of a selection, by name. A batch needs nothing else.
pub async fn select_printers(db: &Db, selection: &PrinterSelection) -> Result<Vec<(Uuid, String)>, Error> {
    let sql = format!(
        "select p.id, p.name from printers p where p.enabled and {} and {}
             and (select count(*) from printer_tags t where t.printer_id = p.id and t.tag in {}) = $6
         order by p.name, p.id",
        has_any_tag_sql(db, 1, 2),
        has_any_tag_sql(db, 3, 4),
        db.texts_subquery(5),
    );
    let mut all: Vec<&String> = selection.tags_all.iter().collect();
    all.sort();
    all.dedup();
    let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
    Ok(reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(selection.visible_tags.is_some())
        .bind(bulk::text_list(selection.visible_tags.iter().flatten()))
        .bind(!selection.tags_any.is_empty())
        .bind(bulk::text_list(&selection.tags_any))
        .bind(bulk::text_list(all))
        .bind(count)
        .fetch_all(pool)
        .await)?)
}

/// A printer that a batch names.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct NamedPrinter {
    pub id: Uuid,
    pub name: String,
    pub enabled: bool,
    /// It has any of the tags of the principal, or the principal is not restricted.
    pub visible: bool,
}

/// Returns those of the printers that are registered, in no particular order.
pub async fn get_named(db: &Db, ids: &[Uuid], visible_tags: Option<&[String]>) -> Result<Vec<NamedPrinter>, Error> {
    let sql = format!(
        "select p.id, p.name, p.enabled, {} as visible from printers p where p.id in {}",
        has_any_tag_sql(db, 2, 3),
        db.uuids_subquery(1),
    );
    Ok(reading!(db, |pool| sqlx::query_as(AssertSqlSafe(sql))
        .bind(bulk::uuid_list(ids.iter().copied()))
        .bind(visible_tags.is_some())
        .bind(bulk::text_list(visible_tags.into_iter().flatten()))
        .fetch_all(pool)
        .await)?)
}
