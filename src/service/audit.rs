//! Reads the audit. Each entry is written in the transaction of the change that it describes.

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::{
        access::Role,
        audit::{AuditFilter, CheckedRecord},
    },
    storage,
};

impl Services {
    /// Returns a page of the audit, newest entry first.
    pub async fn list_audit(
        &self,
        who: &Principal,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<CheckedRecord>, Error> {
        who.require(Role::Admin)?;
        Ok(storage::audit::list_page(&self.db, filter, before, limit).await?)
    }
}
