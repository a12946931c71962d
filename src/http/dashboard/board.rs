//! The farm as the pages see it: every printer with its tile, made once per version however many browsers look. A version
//! in which a tile would be the same (a print goes on within its percent) is none here.
//!
//! Nobody keeps it up to date in the background. Whoever looks brings it to the newest version first; the others
//! then find nothing to do. A farm that nobody looks at costs nothing.

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
    language::{self, Language},
    page::Failure,
    tile::{Show, Tile, ends_at, place_of},
};
use crate::{
    clock,
    service::{Services, access::Principal, printers::PrinterView},
};

/// Removals that a page can catch up with.
const REMOVALS_KEPT: usize = 1_000;

/// One printer with its tile.
pub(super) struct Entry {
    pub view: PrinterView,
    /// The version of the farm since which it looks so.
    pub version: u64,
    pub place: Show,
    /// How it looks, in the language of the source.
    looks: Tile,
    /// Its tile, in each language that somebody has looked at it in.
    html: [OnceLock<Arc<str>>; Language::ALL.len()],
    /// Sorts `p-2` before `p-10`.
    order: String,
    /// What a search looks into, in lower case.
    text: String,
}

impl Entry {
    fn new(view: PrinterView, version: u64, plate_gate: bool) -> Self {
        let place = place_of(&view, plate_gate);
        let details = &view.printer.details;
        let file = view.live.job.as_ref().and_then(|job| job.file.as_ref()).map_or("", |file| file.path.as_str());
        let text = [&details.name, details.model.as_deref().unwrap_or_default(), file].join("\n").to_lowercase();
        let order = natural(&details.name);
        let looks = language::speaking(Language::English, || Tile::of(&view, place));
        Self { version, place, looks, html: Default::default(), order, text, view }
    }

    /// Whether a page that shows the other one would show nothing new.
    fn looks_like(&self, old: &Self) -> bool {
        self.looks == old.looks && self.view.printer.version == old.view.printer.version
    }

    /// Its tile in the current language, made once.
    pub fn html(&self) -> Arc<str> {
        let made = &self.html[language::current() as usize];
        made.get_or_init(|| rendered(&Tile::of(&self.view, self.place))).clone()
    }

    /// The tile with what the printer's camera shows, if it is in use.
    pub fn with_picture(&self) -> Arc<str> {
        if !self.view.printer.details.enabled {
            return self.html();
        }
        rendered(&Tile::of(&self.view, self.place).with_picture())
    }

    /// When its job will be done, if it goes on.
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        ends_at(&self.view)
    }

    /// The printer.
    pub fn id(&self) -> Uuid {
        self.view.printer.id
    }

    /// Whether a filter shows it.
    pub fn matches(&self, show: Show) -> bool {
        match show {
            Show::All => true,
            Show::Need => self.place.is_need(),
            one => self.place == one,
        }
    }

    /// Whether it has this tag and these words, where any are asked for.
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

/// A name that sorts as people count.
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
    /// Printers that were removed, or lost a tag, with the tags that they had until that version.
    left: BTreeMap<(u64, Uuid), Vec<String>>,
}

impl Inner {
    /// The last version in which something showed: a page of it and one of the newest version are the same.
    fn shown_version(&self) -> u64 {
        let changed = self.by_version.last_key_value().map_or(0, |(version, _)| *version);
        self.left.last_key_value().map_or(changed, |((version, _), _)| changed.max(*version))
    }

    fn seen_by(&self, who: &Principal) -> Vec<Arc<Entry>> {
        self.entries.values().filter(|entry| who.may_see(&entry.view.printer)).cloned().collect()
    }
}

/// What has changed for somebody since a version.
#[derive(Default)]
pub(super) struct News {
    pub version: u64,
    /// All that they may see, in no order.
    pub all: Vec<Arc<Entry>>,
    pub changed: Vec<Arc<Entry>>,
    pub removed: Vec<Uuid>,
}

/// The shared tiles.
pub(super) struct Board {
    services: Services,
    /// Tells the versions of this life of the server from those of another.
    life: String,
    inner: Mutex<Inner>,
}

impl Board {
    /// An empty board; the first look fills it.
    pub fn new(services: Services) -> Self {
        Self { services, life: clock::new_id().simple().to_string(), inner: Mutex::default() }
    }

    /// Every printer that somebody may see, by name, as of a version.
    pub async fn all(&self, who: &Principal) -> Result<(u64, Vec<Arc<Entry>>), Failure> {
        let mut inner = self.inner.lock().await;
        self.catch_up(&mut inner).await?;
        let mut entries = inner.seen_by(who);
        let version = inner.shown_version();
        drop(inner);
        entries.sort_by(|a, b| a.order.cmp(&b.order).then_with(|| a.id().cmp(&b.id())));
        Ok((version, entries))
    }

    /// What has changed since a version, of what somebody may see, with everything up to the version of a round at least:
    /// pages that ask in the same round get the same.
    pub async fn since(&self, who: &Principal, version: u64, round: u64) -> Result<News, Failure> {
        let mut inner = self.inner.lock().await;
        if inner.version < round {
            self.catch_up(&mut inner).await?;
        }
        let after = (Bound::Excluded(version), Bound::Unbounded);
        let changed = inner.by_version.range(after).filter_map(|(_, id)| inner.entries.get(id)).cloned();
        let changed: Vec<_> = changed.filter(|entry| who.may_see(&entry.view.printer)).collect();
        // Only those that this person could see until then: of others there is nothing to take away, and to name one
        // would tell that it is there.
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
            // Not there any more: its removal follows.
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

    /// A version with the life of the server that it belongs to.
    pub fn stamp(&self, version: u64) -> String {
        format!("{}-{version}", self.life)
    }

    /// The version of a stamp; 0 where it is of another life, or none.
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
