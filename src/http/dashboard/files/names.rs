//! Cache of the names and thumbnails of library contents, for the tiles of the farm.
//!
//! A farm page shows hundreds of printers, and most of them print the same files. Tiles are rendered when printers change,
//! so each lookup reads all unknown contents in one statement.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    domain::{audit::ActorKind, file::LibraryFile},
    service::{Error, Services, access::Principal},
};

/// A name is read again after this time, because a user may rename the file.
const VALID_FOR: Duration = Duration::from_secs(60);
/// Maximum number of contents in the cache.
const MAX_CONTENTS: usize = 10_000;

/// The file of a content.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http::dashboard) struct ContentName {
    /// Name of the newest file with this content.
    pub name: String,
    /// URL of its thumbnail, if it has one.
    pub thumbnail: Option<String>,
}

/// The cache. A content without a file is cached, too.
#[derive(Default)]
pub(in crate::http::dashboard) struct ContentNames(Mutex<HashMap<String, CachedName>>);

struct CachedName {
    read_at: Instant,
    name: Option<Arc<ContentName>>,
}

impl ContentNames {
    /// Returns the names of those contents that the library has.
    pub async fn look_up(
        &self,
        services: &Services,
        contents: Vec<String>,
    ) -> Result<HashMap<String, Arc<ContentName>>, Error> {
        let unknown: Vec<String> = {
            let mut cache = self.lock();
            if cache.len() > MAX_CONTENTS {
                cache.clear();
            }
            let is_known = |sha256: &str| cache.get(sha256).is_some_and(|cached| cached.read_at.elapsed() < VALID_FOR);
            contents.iter().filter(|sha256| !is_known(sha256)).cloned().collect()
        };
        if !unknown.is_empty() {
            // Every user of the pages may read the library.
            let reader = Principal::server_admin(ActorKind::AdminToken);
            let files = services.files_of_contents(&reader, &unknown).await?;
            let mut names: HashMap<String, Arc<ContentName>> =
                files.into_iter().map(|file| (file.content.sha256.clone(), Arc::new(content_name(file)))).collect();
            let mut cache = self.lock();
            for sha256 in unknown {
                let name = names.remove(&sha256);
                cache.insert(sha256, CachedName { read_at: Instant::now(), name });
            }
        }
        let cache = self.lock();
        let known = contents.into_iter().filter_map(|sha256| {
            let name = cache.get(&sha256)?.name.clone()?;
            Some((sha256, name))
        });
        Ok(known.collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, CachedName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn content_name(file: LibraryFile) -> ContentName {
    let thumbnail = thumbnail_url(&file);
    ContentName { name: file.name, thumbnail }
}

/// Returns the URL of a file's thumbnail, if it has one. It changes with the content.
pub(in crate::http::dashboard) fn thumbnail_url(file: &LibraryFile) -> Option<String> {
    let has_thumbnail = !file.content.thumbnails.is_empty();
    has_thumbnail.then(|| format!("/files/contents/{}/thumbnail", file.content.sha256))
}
