//! Parts: item numbers of an ERP, with the files that make them.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, object_fields},
        file::LibraryFile,
        message::Message,
        part::{Part, PartDetails, PartFilter, PlateFile, check_number},
        validation::ValidationErrors,
    },
    storage,
};

/// Result of [`Services::put_part`].
#[derive(Debug, Clone)]
pub struct StoredPart {
    pub part: Part,
    /// The part did not exist before.
    pub is_new: bool,
}

impl Services {
    /// Creates or replaces a part. `expected` is the version to replace; `None`: the part must be new. Fails with `Stale`,
    /// `Invalid` and `models_required`.
    pub async fn put_part(
        &self,
        who: &Principal,
        number: &str,
        expected: Option<i64>,
        mut details: PartDetails,
    ) -> Result<StoredPart, Error> {
        who.require(Role::Manager)?;
        let mut invalid = ValidationErrors::default();
        check_number(&mut invalid, "/number", number);
        details.check(&mut invalid);
        invalid.into_result(())?;
        self.check_required_printers(who, &details.requirements).await?;
        let library = self.files_of_plates(&details.files).await?;
        resolve_models(&mut details.files, &library)?;
        let before = storage::parts::get(&self.db, number).await?;
        if before.as_ref().map(|part| part.version) != expected {
            return Err(Error::Stale);
        }
        if let Some(part) = before.clone().filter(|part| part.details == details) {
            return Ok(StoredPart { part, is_new: false });
        }
        let now = clock::now();
        let part = Part {
            number: number.to_owned(),
            details,
            version: expected.unwrap_or(0) + 1,
            created_at: before.as_ref().map_or(now, |part| part.created_at),
            updated_at: now,
        };
        let entry = who.audit_entry(Action::PartSaved, audited_fields(&part));
        if !storage::parts::put(&self.db, &part, &entry).await? {
            return Err(Error::Stale);
        }
        tracing::info!(part.number = %part.number, by = %who.name, "part saved");
        Ok(StoredPart { part, is_new: before.is_none() })
    }

    /// Returns one part.
    pub async fn part(&self, _who: &Principal, number: &str) -> Result<Part, Error> {
        storage::parts::get(&self.db, number).await?.ok_or(Error::NotFound("part"))
    }

    /// Returns a page of parts by number, after `after`.
    pub async fn list_parts(
        &self,
        _who: &Principal,
        filter: &PartFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Part>, Error> {
        Ok(storage::parts::list_page(&self.db, filter, after, limit).await?)
    }

    /// Removes a part. Orders keep the files that they were made with.
    pub async fn remove_part(&self, who: &Principal, number: &str, version: i64) -> Result<(), Error> {
        who.require(Role::Manager)?;
        let part = self.part(who, number).await?;
        let entry = who.audit_entry(Action::PartRemoved, audited_fields(&part));
        if !storage::parts::remove(&self.db, number, version, &entry).await? {
            return Err(Error::Stale);
        }
        tracing::info!(part.number = number, by = %who.name, "part removed");
        Ok(())
    }

    /// Returns the library files that plates name, by id.
    pub(super) async fn files_of_plates(&self, files: &[PlateFile]) -> Result<HashMap<Uuid, LibraryFile>, Error> {
        let ids: Vec<Uuid> = files.iter().map(|file| file.file_id).collect();
        let found = storage::files::get_many(&self.db, &ids).await?;
        Ok(found.into_iter().map(|file| (file.id, file)).collect())
    }
}

/// Sets the models of files that name none: the model that the file itself names.
///
/// # Errors
/// `Invalid` if the library does not have a file, and `models_required` if a file names no model.
pub(super) fn resolve_models(files: &mut [PlateFile], library: &HashMap<Uuid, LibraryFile>) -> Result<(), Error> {
    let mut invalid = ValidationErrors::default();
    for (i, _) in files.iter().enumerate().filter(|(_, file)| !library.contains_key(&file.file_id)) {
        invalid.add(format!("/files/{i}/file_id"), "not_found", "rule-file-id");
    }
    invalid.into_result(())?;
    for (i, file) in files.iter_mut().enumerate().filter(|(_, file)| file.models.is_empty()) {
        let model = library.get(&file.file_id).and_then(|file| file.facts().printer_model);
        let Some(model) = model else {
            let detail = Message::new("refusal-models-required").with("position", i + 1);
            return Err(Error::Unprocessable { code: "models_required", detail });
        };
        file.models.push(model);
    }
    Ok(())
}

fn audited_fields(part: &Part) -> serde_json::Map<String, serde_json::Value> {
    let mut fields = object_fields(&part.details);
    fields.insert("number".to_owned(), part.number.clone().into());
    fields
}
