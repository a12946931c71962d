//! Shared cache of rendered tiles: each printer is rendered once per version, for all browsers. A new version that
//! looks the same (progress within the same percent) does not count as a change.
//!
//! No background task updates the cache. A request first brings it up to date, and then the other requests find nothing
//! to do. Without open pages it costs nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{Arc, OnceLock},
};

use askama::Template;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    status_group::{StatusGroup, status_group},
    tile::{Tile, ends_at},
    tile_parts::TileFile,
};
use crate::{
    clock,
    domain::{
        plate::{Plate, PlateState},
        printer_content::content_of_path,
        state::PrinterState,
    },
    http::dashboard::{
        files::names::ContentNames,
        messages::{self, Language},
        page::Failure,
    },
    service::{Services, access::Principal, planner::Outlook, printers::PrinterView},
};

/// Number of removals that are kept for pages that catch up.
const REMOVALS_KEPT: usize = 1_000;

/// One printer with its tile.
pub(in crate::http::dashboard) struct PrinterEntry {
    pub view: PrinterView,
    /// The farm version of the last visible change.
    pub version: u64,
    pub group: StatusGroup,
    /// The file of its job, or the file of the print that lies on its plate.
    file: Option<TileFile>,
    /// What production does with the printer next.
    outlook: Option<Outlook>,
    /// The tile's contents in English, to detect visible changes.
    contents: Tile,
    /// The rendered tile per language, rendered on first use.
    html: [OnceLock<Arc<str>>; Language::ALL.len()],
    /// Key that sorts `p-2` before `p-10`.
    sort_key: String,
    /// The searchable text, in lower case.
    search_text: String,
}

impl PrinterEntry {
    fn new(
        view: PrinterView,
        version: u64,
        plate_gate: bool,
        file: Option<TileFile>,
        outlook: Option<Outlook>,
    ) -> Self {
        let group = status_group(&view, plate_gate, outlook.as_ref());
        let details = &view.printer.details;
        let name = file.as_ref().map_or("", TileFile::name);
        let search_text =
            [&details.name, details.profile.model.as_deref().unwrap_or_default(), name].join("\n").to_lowercase();
        let sort_key = natural_sort_key(&details.name);
        let tile = || Tile::from_view(&view, group, file.as_ref(), outlook.as_ref());
        let contents = messages::with_language(Language::English, tile);
        Self { version, group, file, outlook, contents, html: Default::default(), sort_key, search_text, view }
    }

    /// Returns whether the tile looks the same as the old one.
    fn looks_like(&self, old: &Self) -> bool {
        self.contents == old.contents && self.view.printer.version == old.view.printer.version
    }

    /// Returns the tile in the current language. Renders it once.
    pub fn html(&self) -> Arc<str> {
        let cell = &self.html[messages::current_language() as usize];
        cell.get_or_init(|| render_tile(&self.tile())).clone()
    }

    /// Returns the contents of the tile in the current language.
    pub fn tile(&self) -> Tile {
        Tile::from_view(&self.view, self.group, self.file.as_ref(), self.outlook.as_ref())
    }

    /// Returns the tile with the camera image, if the printer is enabled.
    pub fn html_with_picture(&self) -> Arc<str> {
        if !self.view.printer.details.enabled {
            return self.html();
        }
        render_tile(&self.tile().with_picture())
    }

    /// Returns the name of the active or selected file, as pages show it.
    pub fn shown_file(&self) -> Option<&str> {
        self.file.as_ref().map(TileFile::name)
    }

    /// Returns when the job will end if it continues.
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        ends_at(&self.view)
    }

    /// Returns the progress of the job, from 0 to 100.
    pub fn percent(&self) -> Option<u8> {
        self.contents.job.as_ref()?.percent
    }

    /// Returns whether the tile offers to mark the plate as clear.
    pub fn has_plate_to_clear(&self) -> bool {
        self.contents.plate_print_id.is_some()
    }

    /// Returns the id of the printer.
    pub fn id(&self) -> Uuid {
        self.view.printer.id
    }

    /// Returns whether a filter shows this printer.
    pub fn matches(&self, show: StatusGroup) -> bool {
        match show {
            StatusGroup::All => true,
            StatusGroup::NeedsAttention => self.group.needs_attention(),
            StatusGroup::Broken => self.group.is_broken(),
            StatusGroup::ToDo => self.group.is_to_do(),
            one => self.group == one,
        }
    }

    /// Returns whether the printer has this tag and matches this search. An empty tag or search matches all.
    pub fn has_tag_and_text(&self, tag: &str, q: &str) -> bool {
        (tag.is_empty() || self.view.printer.details.tags.iter().any(|one| one == tag))
            && (q.is_empty() || self.search_text.contains(&q.to_lowercase()))
    }
}

/// Returns the print that lies on a plate, if the printer does not print.
fn print_on_plate(plate: &Plate, state: PrinterState) -> Option<Uuid> {
    plate.print_id.filter(|_| plate.state == PlateState::Occupied && !state.is_active())
}

fn render_tile(tile: &Tile) -> Arc<str> {
    let html = tile.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a tile could not be made");
        String::new()
    });
    // A carriage return ends a line of an event stream.
    html.replace('\r', " ").into()
}

/// Returns a key that sorts numbers in a name by their value.
pub(super) fn natural_sort_key(name: &str) -> String {
    let mut sort_key = String::with_capacity(name.len() + 16);
    let mut digits = String::new();
    for character in name.to_lowercase().chars().chain(['\0']) {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        if !digits.is_empty() {
            sort_key.push_str(&format!("{:0>12}", digits.trim_start_matches('0')));
            digits.clear();
        }
        sort_key.push(character);
    }
    sort_key
}

#[derive(Default)]
struct CacheState {
    version: u64,
    entries: HashMap<Uuid, Arc<PrinterEntry>>,
    by_version: BTreeMap<u64, Uuid>,
    /// Printers that were removed or lost a tag, with the tags that they had before that version.
    removals: BTreeMap<(u64, Uuid), Vec<String>>,
}

impl CacheState {
    /// Returns the version of the last visible change. A page of that version looks the same as one of the newest
    /// version.
    fn shown_version(&self) -> u64 {
        let changed = self.by_version.last_key_value().map_or(0, |(version, _)| *version);
        self.removals.last_key_value().map_or(changed, |((version, _), _)| changed.max(*version))
    }

    fn visible_to(&self, who: &Principal) -> Vec<Arc<PrinterEntry>> {
        self.entries.values().filter(|entry| who.may_see(&entry.view.printer)).cloned().collect()
    }
}

/// Changes since a version that a user may see.
#[derive(Default)]
pub(in crate::http::dashboard) struct VisibleChanges {
    pub version: u64,
    /// All printers that the user may see, unordered.
    pub visible: Vec<Arc<PrinterEntry>>,
    pub changed: Vec<Arc<PrinterEntry>>,
    pub removed: Vec<Uuid>,
}

/// The tile cache.
pub(in crate::http::dashboard) struct TileCache {
    services: Services,
    content_names: ContentNames,
    /// Identifies this process, so that versions of a previous run are not mixed up with its own.
    run_id: String,
    state: Mutex<CacheState>,
}

impl TileCache {
    /// Creates an empty cache. The first request fills it.
    pub fn new(services: Services) -> Self {
        let run_id = clock::new_id().simple().to_string();
        Self { services, content_names: ContentNames::default(), run_id, state: Mutex::default() }
    }

    /// Returns the version and every printer that the user may see, ordered by name.
    pub async fn list_visible(&self, who: &Principal) -> Result<(u64, Vec<Arc<PrinterEntry>>), Failure> {
        let mut state = self.state.lock().await;
        self.catch_up(&mut state).await?;
        let mut entries = state.visible_to(who);
        let version = state.shown_version();
        drop(state);
        entries.sort_by(|a, b| a.sort_key.cmp(&b.sort_key).then_with(|| a.id().cmp(&b.id())));
        Ok((version, entries))
    }

    /// Returns the visible changes since a version, up to `round` or later. Pages that ask in the same round get the
    /// same changes.
    pub async fn changes_since(&self, who: &Principal, version: u64, round: u64) -> Result<VisibleChanges, Failure> {
        let mut state = self.state.lock().await;
        if state.version < round {
            self.catch_up(&mut state).await?;
        }
        let after = (Bound::Excluded(version), Bound::Unbounded);
        let changed = state.by_version.range(after).filter_map(|(_, id)| state.entries.get(id)).cloned();
        let changed: Vec<_> = changed.filter(|entry| who.may_see(&entry.view.printer)).collect();
        // Only printers that the user could see before. The page does not show other printers, and their ids would
        // reveal that they exist.
        let removals = state.removals.range((version + 1, Uuid::nil())..);
        let removals =
            removals.filter(|(_, tags)| who.tags.is_empty() || tags.iter().any(|tag| who.tags.contains(tag)));
        let sees = |id: &Uuid| state.entries.get(id).is_some_and(|entry| who.may_see(&entry.view.printer));
        let removed = removals.map(|((_, id), _)| *id).filter(|id| !sees(id)).collect();
        Ok(VisibleChanges { version: state.version, visible: state.visible_to(who), changed, removed })
    }

    async fn catch_up(&self, state: &mut CacheState) -> Result<(), Failure> {
        let changes = self.services.live_changes_since(state.version);
        if changes.version == state.version {
            return Ok(());
        }
        let outlooks = self.services.outlooks();
        let ids: Vec<Uuid> = changes.changed.iter().map(|live| live.id).collect();
        let registered = self.services.registered_printers(&ids).await?;
        let mut registered: HashMap<_, _> = registered.into_iter().map(|printer| (printer.id, printer)).collect();
        let prints = changes.changed.iter().filter_map(|live| print_on_plate(&live.plate, live.state));
        let mut plate_files = self.services.file_paths_of_prints(&prints.collect::<Vec<_>>()).await?;
        let files = changes.changed.iter().map(|live| {
            let on_plate = print_on_plate(&live.plate, live.state).and_then(|print| plate_files.remove(&print));
            on_plate.or_else(|| Some(live.job.as_ref()?.file.as_ref()?.path.clone()))
        });
        let files: Vec<Option<String>> = files.collect();
        let distinct: BTreeSet<String> =
            files.iter().flatten().filter_map(|path| content_of_path(path)).map(str::to_owned).collect();
        let names = self.content_names.look_up(&self.services, distinct.into_iter().collect()).await?;
        for (live, path) in changes.changed.into_iter().zip(files) {
            // The printer is no longer registered. Its removal follows.
            let Some(printer) = registered.remove(&live.id) else { continue };
            let (id, version) = (live.id, live.version);
            let file = path.map(|path| {
                let library = content_of_path(&path).and_then(|sha256| names.get(sha256)).cloned();
                TileFile { path, library }
            });
            let view = PrinterView { printer, live };
            let outlook = outlooks.get(&id).cloned();
            let entry = PrinterEntry::new(view, version, self.services.plate_gate(), file, outlook);
            if let Some(old) = state.entries.get(&id).filter(|old| entry.looks_like(old)) {
                let same = PrinterEntry { version: old.version, html: old.html.clone(), ..entry };
                state.entries.insert(id, Arc::new(same));
                continue;
            }
            let entry = Arc::new(entry);
            if let Some(old) = state.entries.insert(id, entry.clone()) {
                state.by_version.remove(&old.version);
                let (before, now) = (&old.view.printer.details.tags, &entry.view.printer.details.tags);
                if before.iter().any(|tag| !now.contains(tag)) {
                    state.removals.insert((version, id), before.clone());
                }
            }
            state.by_version.insert(version, id);
        }
        for id in changes.removed {
            if let Some(old) = state.entries.remove(&id) {
                state.by_version.remove(&old.version);
                state.removals.insert((changes.version, id), old.view.printer.details.tags.clone());
            }
        }
        while state.removals.len() > REMOVALS_KEPT {
            state.removals.pop_first();
        }
        state.version = changes.version;
        Ok(())
    }

    /// Returns a version with the id of this process.
    pub fn format_stamp(&self, version: u64) -> String {
        format!("{}-{version}", self.run_id)
    }

    /// Returns the version of a stamp. Returns 0 if it is from another process or invalid.
    pub fn parse_stamp(&self, stamp: Option<&str>) -> u64 {
        let here = stamp.and_then(|stamp| stamp.split_once('-')).filter(|(life, _)| *life == self.run_id);
        here.and_then(|(_, version)| version.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use crate::http::dashboard::farm::tile_cache::*;

    #[test]
    fn names_sort_by_the_value_of_their_numbers() {
        let mut names = ["p-10", "P-2", "p-1", "a", "p-02b"];
        names.sort_by_key(|name| natural_sort_key(name));
        assert_eq!(names, ["a", "p-1", "P-2", "p-02b", "p-10"]);
    }
}
