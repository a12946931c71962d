//! Shared cache of rendered tiles: each printer is rendered once per version, for all browsers. A new version that
//! looks the same (progress within the same percent) does not count as a change.
//!
//! No background task updates the cache. A request first brings it up to date, and then the other requests find nothing
//! to do. Without open pages it costs nothing.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, OnceLock},
};

use askama::Template;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    messages::{self, Language},
    page::Failure,
    tile::{Show, Tile, ends_at, place_of},
};
use crate::{
    clock,
    service::{Services, access::Principal, printers::PrinterView},
};

/// Number of removals that are kept for pages that catch up.
const REMOVALS_KEPT: usize = 1_000;

/// One printer with its tile.
pub(super) struct Entry {
    pub view: PrinterView,
    /// The farm version of the last visible change.
    pub version: u64,
    pub place: Show,
    /// The tile's contents in English, to detect visible changes.
    looks: Tile,
    /// The rendered tile per language, rendered on first use.
    html: [OnceLock<Arc<str>>; Language::ALL.len()],
    /// Sort key that sorts `p-2` before `p-10`.
    order: String,
    /// The searchable text, in lower case.
    text: String,
}

impl Entry {
    fn new(view: PrinterView, version: u64, plate_gate: bool) -> Self {
        let place = place_of(&view, plate_gate);
        let details = &view.printer.details;
        let file = view.live.job.as_ref().and_then(|job| job.file.as_ref()).map_or("", |file| file.path.as_str());
        let text = [&details.name, details.model.as_deref().unwrap_or_default(), file].join("\n").to_lowercase();
        let order = natural(&details.name);
        let looks = messages::speaking(Language::English, || Tile::of(&view, place));
        Self { version, place, looks, html: Default::default(), order, text, view }
    }

    /// Returns whether the tile looks the same as the old one.
    fn looks_like(&self, old: &Self) -> bool {
        self.looks == old.looks && self.view.printer.version == old.view.printer.version
    }

    /// Returns the tile in the current language. Renders it once.
    pub fn html(&self) -> Arc<str> {
        let made = &self.html[messages::current() as usize];
        made.get_or_init(|| rendered(&Tile::of(&self.view, self.place))).clone()
    }

    /// Returns the tile with the camera image, if the printer is enabled.
    pub fn with_picture(&self) -> Arc<str> {
        if !self.view.printer.details.enabled {
            return self.html();
        }
        rendered(&Tile::of(&self.view, self.place).with_picture())
    }

    /// Returns when the job will end if it continues.
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        ends_at(&self.view)
    }

    /// Returns the id of the printer.
    pub fn id(&self) -> Uuid {
        self.view.printer.id
    }

    /// Returns whether a filter shows this printer.
    pub fn matches(&self, show: Show) -> bool {
        match show {
            Show::All => true,
            Show::Need => self.place.is_need(),
            one => self.place == one,
        }
    }

    /// Returns whether the printer has this tag and matches this search. An empty tag or search matches all.
    pub fn is_among(&self, tag: &str, q: &str) -> bool {
        (tag.is_empty() || self.view.printer.details.tags.iter().any(|one| one == tag))
            && (q.is_empty() || self.text.contains(&q.to_lowercase()))
    }
}

fn rendered(tile: &Tile) -> Arc<str> {
    let html = tile.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a tile could not be made");
        String::new()
    });
    // A carriage return ends a line of an event stream.
    html.replace('\r', " ").into()
}

/// Returns a key that sorts numbers in a name by their value.
fn natural(name: &str) -> String {
    let mut order = String::with_capacity(name.len() + 16);
    let mut digits = String::new();
    for character in name.to_lowercase().chars().chain(['\0']) {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        if !digits.is_empty() {
            order.push_str(&format!("{:0>12}", digits.trim_start_matches('0')));
            digits.clear();
        }
        order.push(character);
    }
    order
}

#[derive(Default)]
struct Inner {
    version: u64,
    entries: HashMap<Uuid, Arc<Entry>>,
    by_version: BTreeMap<u64, Uuid>,
    /// Printers that were removed or lost a tag, with the tags that they had before that version.
    left: BTreeMap<(u64, Uuid), Vec<String>>,
}

impl Inner {
    /// Returns the version of the last visible change. A page of that version looks the same as one of the newest
    /// version.
    fn shown_version(&self) -> u64 {
        let changed = self.by_version.last_key_value().map_or(0, |(version, _)| *version);
        self.left.last_key_value().map_or(changed, |((version, _), _)| changed.max(*version))
    }

    fn seen_by(&self, who: &Principal) -> Vec<Arc<Entry>> {
        self.entries.values().filter(|entry| who.may_see(&entry.view.printer)).cloned().collect()
    }
}

/// Changes since a version that a user may see.
#[derive(Default)]
pub(super) struct News {
    pub version: u64,
    /// All printers that the user may see, unordered.
    pub all: Vec<Arc<Entry>>,
    pub changed: Vec<Arc<Entry>>,
    pub removed: Vec<Uuid>,
}

/// The tile cache.
pub(super) struct Board {
    services: Services,
    /// Identifies this process, so that versions of a previous run are not mixed up with its own.
    life: String,
    inner: Mutex<Inner>,
}

impl Board {
    /// Creates an empty cache. The first request fills it.
    pub fn new(services: Services) -> Self {
        Self { services, life: clock::new_id().simple().to_string(), inner: Mutex::default() }
    }

    /// Returns the version and every printer that the user may see, ordered by name.
    pub async fn all(&self, who: &Principal) -> Result<(u64, Vec<Arc<Entry>>), Failure> {
        let mut inner = self.inner.lock().await;
        self.catch_up(&mut inner).await?;
        let mut entries = inner.seen_by(who);
        let version = inner.shown_version();
        drop(inner);
        entries.sort_by(|a, b| a.order.cmp(&b.order).then_with(|| a.id().cmp(&b.id())));
        Ok((version, entries))
    }

    /// Returns the visible changes since a version, up to `round` or later. Pages that ask in the same round get the
    /// same changes.
    pub async fn since(&self, who: &Principal, version: u64, round: u64) -> Result<News, Failure> {
        let mut inner = self.inner.lock().await;
        if inner.version < round {
            self.catch_up(&mut inner).await?;
        }
        let after = (Bound::Excluded(version), Bound::Unbounded);
        let changed = inner.by_version.range(after).filter_map(|(_, id)| inner.entries.get(id)).cloned();
        let changed: Vec<_> = changed.filter(|entry| who.may_see(&entry.view.printer)).collect();
        // Only printers that the user could see before. The page does not show other printers, and their ids would
        // reveal that they exist.
        let left = inner.left.range((version + 1, Uuid::nil())..);
        let left = left.filter(|(_, tags)| who.tags.is_empty() || tags.iter().any(|tag| who.tags.contains(tag)));
        let sees = |id: &Uuid| inner.entries.get(id).is_some_and(|entry| who.may_see(&entry.view.printer));
        let removed = left.map(|((_, id), _)| *id).filter(|id| !sees(id)).collect();
        Ok(News { version: inner.version, all: inner.seen_by(who), changed, removed })
    }

    async fn catch_up(&self, inner: &mut Inner) -> Result<(), Failure> {
        let changes = self.services.fleet().view().changes_since(inner.version);
        if changes.version == inner.version {
            return Ok(());
        }
        let ids: Vec<Uuid> = changes.changed.iter().map(|live| live.id).collect();
        let registered = self.services.registered(&ids).await?;
        let mut registered: HashMap<_, _> = registered.into_iter().map(|printer| (printer.id, printer)).collect();
        for live in changes.changed {
            // The printer is no longer registered. Its removal follows.
            let Some(printer) = registered.remove(&live.id) else { continue };
            let (id, version) = (live.id, live.version);
            let entry = Entry::new(PrinterView { printer, live }, version, self.services.plate_gate());
            if let Some(old) = inner.entries.get(&id).filter(|old| entry.looks_like(old)) {
                let same = Entry { version: old.version, html: old.html.clone(), ..entry };
                inner.entries.insert(id, Arc::new(same));
                continue;
            }
            let entry = Arc::new(entry);
            if let Some(old) = inner.entries.insert(id, entry.clone()) {
                inner.by_version.remove(&old.version);
                let (before, now) = (&old.view.printer.details.tags, &entry.view.printer.details.tags);
                if before.iter().any(|tag| !now.contains(tag)) {
                    inner.left.insert((version, id), before.clone());
                }
            }
            inner.by_version.insert(version, id);
        }
        for id in changes.removed {
            if let Some(old) = inner.entries.remove(&id) {
                inner.by_version.remove(&old.version);
                inner.left.insert((changes.version, id), old.view.printer.details.tags.clone());
            }
        }
        while inner.left.len() > REMOVALS_KEPT {
            inner.left.pop_first();
        }
        inner.version = changes.version;
        Ok(())
    }

    /// Returns a version with the id of this process.
    pub fn stamp(&self, version: u64) -> String {
        format!("{}-{version}", self.life)
    }

    /// Returns the version of a stamp. Returns 0 if it is from another process or invalid.
    pub fn version_of(&self, stamp: Option<&str>) -> u64 {
        let here = stamp.and_then(|stamp| stamp.split_once('-')).filter(|(life, _)| *life == self.life);
        here.and_then(|(_, version)| version.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["p-10", "P-2", "p-1", "a", "p-02b"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a", "p-1", "P-2", "p-02b", "p-10"]);
    }
}
