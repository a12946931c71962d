//! History of prints, including those that were not started by Printyard.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    domain::print::{Print, PrintFilter},
    storage,
};

impl Services {
    /// Returns a page of prints of visible printers, newest first.
    pub async fn list_prints(
        &self,
        who: &Principal,
        filter: PrintFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Print>, Error> {
        self.fleet.flush_observations().await;
        let filter = PrintFilter { visible_tags: who.visible_tags(), ..filter };
        Ok(storage::prints::list_page(&self.db, &filter, after, limit).await?)
    }

    /// Returns the paths of the files of these prints, by print, as their printers name them.
    pub async fn file_paths_of_prints(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, String>, Error> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(storage::prints::list_file_paths(&self.db, ids).await?.into_iter().collect())
    }

    /// Returns one print of a visible printer.
    pub async fn print(&self, who: &Principal, id: Uuid) -> Result<Print, Error> {
        self.fleet.flush_observations().await;
        let print = storage::prints::get(&self.db, id).await?.ok_or(Error::NotFound("print"))?;
        if who.visible_tags().is_some() {
            self.printer(who, print.printer_id).await.map_err(|error| match error {
                Error::NotFound(_) => Error::NotFound("print"),
                other => other,
            })?;
        }
        Ok(print)
    }
}
