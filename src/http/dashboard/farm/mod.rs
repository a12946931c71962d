//! The farm page: printers that need attention, then all others, with selection and command buttons.

pub(super) mod tile;
pub(super) mod tile_cache;

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use uuid::Uuid;

use self::{
    tile::{SortOrder, StatusGroup},
    tile_cache::PrinterEntry,
};
use super::{
    Dashboard,
    batches::form::OFFERED_COMMANDS,
    filters, labels,
    page::{Failure, PageFrame, Visitor, render_html},
};
use crate::domain::state::Reachability;

/// Density of the list, as in the URL.
const VIEW_ROWS: &str = "rows";
const VIEW_CAMERAS: &str = "cameras";

/// Query parameters of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(super) struct FarmFilter {
    show: String,
    pub tag: String,
    pub q: String,
    sort: String,
    view: String,
    /// The version from which a stream continues.
    pub since: Option<String>,
    /// The only printer of the stream, if there is just one.
    pub only: Option<Uuid>,
}

impl FarmFilter {
    /// Returns which printers to show.
    pub fn status_group(&self) -> StatusGroup {
        StatusGroup::parse(&self.show).unwrap_or(StatusGroup::All)
    }

    /// Returns the order.
    fn sort_order(&self) -> SortOrder {
        SortOrder::parse(&self.sort).unwrap_or(SortOrder::NeedsAttention)
    }

    fn is_rows(&self) -> bool {
        self.view == VIEW_ROWS
    }

    fn has_cameras(&self) -> bool {
        self.view == VIEW_CAMERAS
    }

    fn is_filtered(&self) -> bool {
        self.status_group() != StatusGroup::All || !self.tag.is_empty() || !self.q.is_empty()
    }

    /// Returns the URL with another choice of printers.
    fn href_for_group(&self, group: StatusGroup) -> String {
        self.href("/", if group == StatusGroup::All { "" } else { group.as_str() }, &self.view)
    }

    /// Returns the URL with another density.
    fn href_for_view(&self, view: &str) -> String {
        self.href("/", &self.show, view)
    }

    /// Returns the URL of all printers, with the same order and density.
    fn href_without_filter(&self) -> String {
        Self { tag: String::new(), q: String::new(), ..self.clone() }.href_for_group(StatusGroup::All)
    }

    /// Returns a URL of the wall screen, which has neither order nor density.
    pub fn wall_href(&self, path: &str) -> String {
        let wall = Self { tag: self.tag.clone(), q: self.q.clone(), ..Self::default() };
        wall.href(path, "", "")
    }

    fn href(&self, path: &str, show: &str, view: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("show", show), ("tag", &self.tag), ("q", &self.q), ("sort", &self.sort), ("view", view)]
        {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// One number of the summary strip, with a link to its printers.
struct FilterChip {
    group: StatusGroup,
    count: usize,
    href: String,
    is_current: bool,
}

/// The summary strip of the farm.
#[derive(Template)]
#[template(path = "farm/_strip.html")]
pub(super) struct SummaryStrip {
    all: FilterChip,
    attention: FilterChip,
    attention_groups: Vec<FilterChip>,
    normal_groups: Vec<FilterChip>,
}

impl SummaryStrip {
    /// Counts the printers that match the tag and the search of the filter.
    pub fn from_entries(entries: &[Arc<PrinterEntry>], filter: &FarmFilter) -> Self {
        let mut counts: BTreeMap<StatusGroup, usize> = StatusGroup::ALL.iter().map(|show| (*show, 0)).collect();
        for entry in entries.iter().filter(|entry| entry.has_tag_and_text(&filter.tag, &filter.q)) {
            *counts.entry(entry.group).or_default() += 1;
            *counts.entry(StatusGroup::All).or_default() += 1;
            if entry.group.needs_attention() {
                *counts.entry(StatusGroup::NeedsAttention).or_default() += 1;
            }
        }
        let chip = |show: StatusGroup| FilterChip {
            group: show,
            count: counts.get(&show).copied().unwrap_or(0),
            href: filter.href_for_group(show),
            is_current: filter.status_group() == show,
        };
        let attention_groups =
            StatusGroup::ATTENTION.into_iter().map(chip).filter(|chip| chip.count > 0 || chip.is_current).collect();
        Self {
            all: chip(StatusGroup::All),
            attention: chip(StatusGroup::NeedsAttention),
            attention_groups,
            normal_groups: StatusGroup::NORMAL.map(chip).into(),
        }
    }
}

/// A command button.
struct FarmButton {
    command: &'static str,
    label: &'static str,
    icon: &'static str,
}

#[derive(Template)]
#[template(path = "farm/show.html")]
struct FarmPage {
    frame: PageFrame,
    filter: FarmFilter,
    strip: SummaryStrip,
    tags: Vec<(String, bool)>,
    /// The tiles of printers that need attention, if the order puts them first.
    attention_tiles: Vec<Arc<str>>,
    other_tiles: Vec<Arc<str>>,
    total: usize,
    buttons: Vec<FarmButton>,
    stream: String,
    current_href: String,
}

pub(super) async fn show_farm(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<FarmFilter>,
) -> Result<Html<String>, Failure> {
    let (version, entries) = dashboard.tile_cache.list_visible(&who).await?;
    let strip = SummaryStrip::from_entries(&entries, &filter);
    let total = entries.len();
    let mut tags: Vec<String> = entries.iter().flat_map(|entry| entry.view.printer.details.tags.clone()).collect();
    tags.sort();
    tags.dedup();
    let tags = tags.into_iter().map(|tag| (tag.clone(), tag == filter.tag)).collect();
    let matching = entries
        .into_iter()
        .filter(|entry| entry.matches(filter.status_group()) && entry.has_tag_and_text(&filter.tag, &filter.q));
    let (attention, others) = sort_entries(matching.collect(), filter.sort_order());
    let tiles = |entries: Vec<Arc<PrinterEntry>>| {
        let tile =
            |entry: Arc<PrinterEntry>| if filter.has_cameras() { entry.html_with_picture() } else { entry.html() };
        entries.into_iter().map(tile).collect::<Vec<_>>()
    };
    let (attention_tiles, other_tiles) = (tiles(attention), tiles(others));
    let stream = filter.href("/stream", &filter.show, &filter.view);
    let join = if stream.contains('?') { '&' } else { '?' };
    let buttons = OFFERED_COMMANDS.iter().map(|command| FarmButton {
        command: command.as_str(),
        label: labels::command_label(*command),
        icon: labels::command_icon(*command),
    });
    render_html(&FarmPage {
        frame: PageFrame::new(&who, "farm"),
        strip,
        tags,
        attention_tiles,
        other_tiles,
        total,
        buttons: buttons.collect(),
        stream: format!("{stream}{join}since={}", dashboard.tile_cache.format_stamp(version)),
        current_href: filter.href("/", &filter.show, &filter.view),
        filter,
    })
}

/// Returns the printers that need attention, if they come first, and the others. Equal entries stay in the order of
/// their names.
fn sort_entries(
    mut entries: Vec<Arc<PrinterEntry>>,
    sort: SortOrder,
) -> (Vec<Arc<PrinterEntry>>, Vec<Arc<PrinterEntry>>) {
    match sort {
        SortOrder::NeedsAttention => {
            let (mut attention, others): (Vec<_>, _) =
                entries.into_iter().partition(|entry| entry.group.needs_attention());
            // The most urgent first.
            attention.sort_by_key(|entry| StatusGroup::ATTENTION.iter().position(|kind| *kind == entry.group));
            return (attention, others);
        }
        SortOrder::Name => {}
        SortOrder::TimeLeft => entries.sort_by_key(|entry| {
            let ends = entry.ends_at();
            (ends.is_none(), ends)
        }),
        SortOrder::OldestObservation => {
            let is_online = |entry: &PrinterEntry| entry.view.live.reachability == Reachability::Online;
            let is_disabled = |entry: &PrinterEntry| !entry.view.printer.details.enabled;
            entries.sort_by_key(|entry| (is_disabled(entry), is_online(entry), entry.view.live.observed_at()));
        }
    }
    (Vec::new(), entries)
}
