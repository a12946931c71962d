//! Files of the library: names for contents. Contents are stored once, under the SHA-256 of their bytes.

mod analysis;
mod clean_up;
pub(super) mod content_store;
mod incoming;
pub(super) mod printable;
mod thumbnails;

use std::{fmt::Write as _, path::PathBuf};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub use self::incoming::{IncomingFile, ReceivedContent};
use self::incoming::{disk_error, panicked};
use super::{Services, access::Principal, error::Error};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry, changed_fields},
        file::{
            AnalysisState, Content, FileFilter, FileOverrides, LibraryFile, LibraryFolder, check_file_name,
            check_folder,
        },
        message::Message,
        validation::ValidationErrors,
    },
    storage::{
        self,
        files::{ContentParts, FileRemoval},
    },
};

/// Attempts to store an upload while other requests change the file with its name.
const STORE_ATTEMPTS: u32 = 5;

/// A change of a file: `None` keeps a value.
#[derive(Debug, Clone, Default)]
pub struct FilePatch {
    pub name: Option<String>,
    pub folder: Option<String>,
    pub overrides: Option<FileOverrides>,
}

/// Result of an upload.
#[derive(Debug, Clone)]
pub struct StoredFile {
    pub file: LibraryFile,
    /// `false`: the library had a file with this name and this content.
    pub is_new: bool,
}

impl Services {
    /// Checks name and folder of an upload, before its content is received.
    pub fn check_file_place(&self, who: &Principal, folder: &str, name: &str) -> Result<(), Error> {
        who.require(Role::Operator)?;
        let mut invalid = ValidationErrors::default();
        check_file_name(&mut invalid, "/file", name);
        check_folder(&mut invalid, "/folder", folder);
        Ok(invalid.into_result(())?)
    }

    /// Stores a file that was received whole. A file with this folder and name gets the new content and keeps its id.
    pub async fn store_file(
        &self,
        who: &Principal,
        received: ReceivedContent,
        folder: &str,
        name: &str,
    ) -> Result<StoredFile, Error> {
        self.check_file_place(who, folder, name)?;
        let mut facts = received.analyzed.facts.clone();
        let (pictures, extrusion) = (std::mem::take(&mut facts.thumbnails), std::mem::take(&mut facts.extrusion));
        let encode = tokio::task::spawn_blocking(move || thumbnails::encode_thumbnails(&pictures));
        let parts = ContentParts { thumbnails: encode.await.map_err(panicked)?, extrusion };
        let content = Content {
            sha256: received.sha256.clone(),
            size: received.size,
            format: received.analyzed.format,
            print_size: received.analyzed.print_size,
            print_sha1: received.analyzed.print_sha1.clone(),
            analysis: AnalysisState::Done,
            facts,
            thumbnails: parts.thumbnails.iter().map(|thumbnail| (thumbnail.width, thumbnail.height)).collect(),
        };
        let _names = self.contents.lock_names().await;
        let (store, path, sha256) = (self.contents.clone(), received.path.clone(), received.sha256.clone());
        let adopt = tokio::task::spawn_blocking(move || store.adopt(&path, &sha256));
        adopt.await.map_err(panicked)?.map_err(disk_error)?;
        for _ in 0..STORE_ATTEMPTS {
            if let Some(stored) = self.try_store(who, folder, name, content.clone(), &parts).await? {
                return Ok(stored);
            }
        }
        Err(Error::Busy(Message::new("refusal-file-being-changed")))
    }

    /// Stores the row of a file. Returns `None` if another request changed it meanwhile.
    async fn try_store(
        &self,
        who: &Principal,
        folder: &str,
        name: &str,
        content: Content,
        parts: &ContentParts,
    ) -> Result<Option<StoredFile>, Error> {
        let before = storage::files::get_by_name(&self.db, folder, name).await?;
        if let Some(file) = before.as_ref().filter(|file| file.content.sha256 == content.sha256) {
            return Ok(Some(StoredFile { file: file.clone(), is_new: false }));
        }
        let now = clock::now();
        let file = LibraryFile {
            id: before.as_ref().map_or_else(clock::new_id, |file| file.id),
            name: name.to_owned(),
            folder: folder.to_owned(),
            content,
            overrides: FileOverrides::default(),
            version: before.as_ref().map_or(1, |file| file.version + 1),
            created_at: before.as_ref().map_or(now, |file| file.created_at),
            updated_at: now,
            created_by: who.name.clone(),
        };
        let entry = AuditEntry { subject: Some(file.id), ..who.audit_entry(Action::FileAdded, audited_fields(&file)) };
        if !storage::files::put(&self.db, &file, parts, &entry).await? {
            return Ok(None);
        }
        tracing::info!(
            file.id = %file.id, file.name = %file.name, file.folder = %file.folder, file.sha256 = %file.content.sha256,
            file.size = file.content.size, by = %who.name, "file added to the library"
        );
        self.transfers.wake();
        Ok(Some(StoredFile { file, is_new: true }))
    }

    /// Returns one file.
    pub async fn file(&self, _who: &Principal, id: Uuid) -> Result<LibraryFile, Error> {
        storage::files::get(&self.db, id).await?.ok_or(Error::NotFound("file"))
    }

    /// Returns the file with this folder and name.
    pub async fn file_by_name(&self, _who: &Principal, folder: &str, name: &str) -> Result<LibraryFile, Error> {
        storage::files::get_by_name(&self.db, folder, name).await?.ok_or(Error::NotFound("file"))
    }

    /// Returns a page of files, the newest content first, after the file with this time and id.
    pub async fn list_library(
        &self,
        _who: &Principal,
        filter: &FileFilter,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<LibraryFile>, Error> {
        Ok(storage::files::list_page(&self.db, filter, after, limit).await?)
    }

    /// Returns the folders that contain files, by name.
    pub async fn list_folders(&self, _who: &Principal) -> Result<Vec<LibraryFolder>, Error> {
        Ok(storage::files::list_folders(&self.db).await?)
    }

    /// Returns the newest file of each of these contents.
    pub async fn files_of_contents(&self, _who: &Principal, sha256: &[String]) -> Result<Vec<LibraryFile>, Error> {
        Ok(storage::files::list_by_content(&self.db, sha256).await?)
    }

    /// Changes name, folder or corrections of a file. Fails with `Stale` and `name_taken`.
    pub async fn patch_file(
        &self,
        who: &Principal,
        id: Uuid,
        if_match: Option<i64>,
        patch: FilePatch,
    ) -> Result<LibraryFile, Error> {
        who.require(Role::Operator)?;
        let before = self.file(who, id).await?;
        if if_match.is_some_and(|version| version != before.version) {
            return Err(Error::Stale);
        }
        let file = LibraryFile {
            name: patch.name.unwrap_or_else(|| before.name.clone()),
            folder: patch.folder.unwrap_or_else(|| before.folder.clone()),
            overrides: patch.overrides.unwrap_or_else(|| before.overrides.clone()),
            version: before.version + 1,
            updated_at: clock::now(),
            ..before.clone()
        };
        let mut invalid = ValidationErrors::default();
        check_file_name(&mut invalid, "/name", &file.name);
        check_folder(&mut invalid, "/folder", &file.folder);
        file.overrides.check(&mut invalid);
        invalid.into_result(())?;
        let changes = changed_fields(&json!(audited_fields(&before)), &json!(audited_fields(&file)));
        if changes.is_empty() {
            return Ok(before);
        }
        let entry = AuditEntry { subject: Some(id), ..who.audit_entry(Action::FileChanged, changes) };
        let stored = storage::files::update(&self.db, &file, &entry).await.map_err(|error| match error {
            storage::Error::NameTaken => {
                Error::Conflict { code: "name_taken", detail: Message::new("refusal-file-name-taken") }
            }
            other => other.into(),
        })?;
        if stored { Ok(file) } else { Err(Error::Stale) }
    }

    /// Removes a file from the library. Its content is deleted later, also from the printers. Fails with `file_in_use`.
    pub async fn remove_file(&self, who: &Principal, id: Uuid, if_match: Option<i64>) -> Result<(), Error> {
        who.require(Role::Operator)?;
        let file = self.file(who, id).await?;
        if if_match.is_some_and(|version| version != file.version) {
            return Err(Error::Stale);
        }
        let entry = AuditEntry { subject: Some(id), ..who.audit_entry(Action::FileRemoved, audited_fields(&file)) };
        match storage::files::remove(&self.db, id, &entry).await? {
            FileRemoval::Removed => {}
            FileRemoval::NotFound => return Err(Error::NotFound("file")),
            FileRemoval::InUse => {
                return Err(Error::Conflict { code: "file_in_use", detail: Message::new("refusal-file-in-use") });
            }
        }
        tracing::info!(file.id = %id, file.name = %file.name, by = %who.name, "file removed from the library");
        self.transfers.wake();
        Ok(())
    }

    /// Returns the path of a content on disk. Fails with `content_missing`.
    pub async fn content_path(&self, sha256: &str) -> Result<PathBuf, Error> {
        let path = self.contents.path(sha256);
        match tokio::fs::try_exists(&path).await {
            Ok(true) => Ok(path),
            Ok(false) => Err(content_missing()),
            Err(error) => Err(disk_error(error)),
        }
    }

    /// Returns the thumbnail that is at least `size` pixels wide and high, or else the largest one, as PNG.
    pub async fn file_thumbnail(&self, who: &Principal, id: Uuid, size: u32) -> Result<(LibraryFile, Vec<u8>), Error> {
        let file = self.file(who, id).await?;
        let png = self.thumbnail_of(&file, size).await?;
        Ok((file, png))
    }

    /// Returns the thumbnail of a content, as [`Self::file_thumbnail`] does. A content without a file has none.
    pub async fn content_thumbnail(&self, who: &Principal, sha256: &str, size: u32) -> Result<Vec<u8>, Error> {
        let files = self.files_of_contents(who, &[sha256.to_owned()]).await?;
        self.thumbnail_of(files.first().ok_or(Error::NotFound("thumbnail"))?, size).await
    }

    async fn thumbnail_of(&self, file: &LibraryFile, size: u32) -> Result<Vec<u8>, Error> {
        let sizes = &file.content.thumbnails;
        let enough = sizes.iter().find(|(width, height)| *(width.max(height)) >= size);
        let Some(chosen) = enough.or(sizes.last()).copied() else { return Err(Error::NotFound("thumbnail")) };
        let png = storage::files::thumbnail(&self.db, &file.content.sha256, chosen).await?;
        png.ok_or(Error::NotFound("thumbnail"))
    }
}

/// Returns the error for a content whose bytes are not in the data folder.
fn content_missing() -> Error {
    Error::ContentMissing(Message::new("refusal-content-missing"))
}

fn audited_fields(file: &LibraryFile) -> Map<String, Value> {
    let fields = json!({
        "name": file.name, "folder": file.folder, "sha256": file.content.sha256, "size": file.content.size,
        "overrides": file.overrides,
    });
    let mut fields = fields.as_object().cloned().unwrap_or_default();
    fields.retain(|_, value| *value != json!({}));
    fields
}

/// Returns bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
