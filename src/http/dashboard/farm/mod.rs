//! The farm page: printers that need attention, then all others, with selection and command buttons.

mod act;
pub(super) mod dots;
mod order;
pub(super) mod status_group;
pub(super) mod tile;
pub(super) mod tile_cache;
mod tile_parts;

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use uuid::Uuid;

pub(super) use self::act::{act, clear_plates};
use self::{
    order::{FarmSection, SortOrder, arrange, group_by_tag},
    status_group::StatusGroup,
    tile_cache::PrinterEntry,
};
use super::{
    Dashboard,
    batches::form::OFFERED_COMMANDS,
    filters, labels,
    messages::t,
    page::{Failure, PageFrame, Visitor, render_html},
};
use crate::domain::command::Command;

/// Density of the list, as in the URL.
const VIEW_ROWS: &str = "rows";
const VIEW_CAMERAS: &str = "cameras";
const VIEW_DOTS: &str = "dots";

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
        SortOrder::parse(self.sort.trim_start_matches('-')).unwrap_or(SortOrder::NeedsAttention)
    }

    fn is_descending(&self) -> bool {
        self.sort.starts_with('-')
    }

    fn is_tiles(&self) -> bool {
        !self.is_rows() && !self.has_cameras() && !self.is_dots()
    }

    fn is_dots(&self) -> bool {
        self.view == VIEW_DOTS
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

    /// Returns the URL with another order. The current order is reversed.
    fn href_for_sort(&self, sort: SortOrder) -> String {
        let is_reversed = self.sort_order() == sort && !self.is_descending();
        let sort = if is_reversed { format!("-{sort}") } else { sort.to_string() };
        Self { sort, ..self.clone() }.href("/", &self.show, &self.view)
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

/// The counters of the farm.
#[derive(Template)]
#[template(path = "farm/_strip.html")]
struct Counters {
    all: FilterChip,
    broken: FilterChip,
    to_do: FilterChip,
    normal: Vec<FilterChip>,
}

/// The kinds of printers within the current counter.
#[derive(Template)]
#[template(path = "farm/_kinds.html")]
struct KindLinks {
    kinds: Vec<FilterChip>,
}

/// The numbers of the farm, as links to their printers.
pub(super) struct SummaryStrip {
    counters: Counters,
    kind_links: KindLinks,
}

impl SummaryStrip {
    /// Counts the printers that match the tag and the search of the filter.
    pub fn from_entries(entries: &[Arc<PrinterEntry>], filter: &FarmFilter) -> Self {
        let matching = entries.iter().filter(|entry| entry.has_tag_and_text(&filter.tag, &filter.q));
        let mut counts: BTreeMap<StatusGroup, usize> = StatusGroup::ALL.iter().map(|group| (*group, 0)).collect();
        for entry in matching {
            *counts.entry(entry.group).or_default() += 1;
        }
        let chip = |group: StatusGroup| {
            let is_counted = |one: &StatusGroup| match group {
                StatusGroup::All => true,
                StatusGroup::NeedsAttention => one.needs_attention(),
                StatusGroup::Broken => one.is_broken(),
                StatusGroup::ToDo => one.is_to_do(),
                exact => *one == exact,
            };
            FilterChip {
                group,
                count: counts.iter().filter(|(one, _)| is_counted(one)).map(|(_, n)| n).sum(),
                href: filter.href_for_group(group),
                is_current: filter.status_group() == group,
            }
        };
        let current = filter.status_group();
        // The kinds stay in their places while their numbers change.
        let kinds: &[StatusGroup] = match current {
            StatusGroup::Broken => &StatusGroup::BROKEN,
            StatusGroup::ToDo => &StatusGroup::TO_DO,
            one if one.is_broken() => &StatusGroup::BROKEN,
            one if one.is_to_do() => &StatusGroup::TO_DO,
            StatusGroup::NeedsAttention => &StatusGroup::ATTENTION,
            _ => &OTHER_KINDS,
        };
        let is_within = |group: StatusGroup| match group {
            StatusGroup::Broken => current.is_broken(),
            StatusGroup::ToDo => current.is_to_do(),
            _ => false,
        };
        let counter = |group| FilterChip { is_current: current == group || is_within(group), ..chip(group) };
        let counters = Counters {
            all: chip(StatusGroup::All),
            broken: counter(StatusGroup::Broken),
            to_do: counter(StatusGroup::ToDo),
            normal: [StatusGroup::Printing, StatusGroup::Ready].map(chip).into(),
        };
        Self { counters, kind_links: KindLinks { kinds: kinds.iter().copied().map(chip).collect() } }
    }

    /// Returns the number of printers that need a person.
    pub fn needs(&self) -> usize {
        self.counters.broken.count + self.counters.to_do.count
    }

    fn counters(&self) -> askama::Result<String> {
        self.counters.render()
    }

    fn kind_links(&self) -> askama::Result<String> {
        self.kind_links.render()
    }

    /// Returns both parts, which a live page replaces.
    pub fn render(&self) -> askama::Result<String> {
        Ok(self.counters()? + &self.kind_links()?)
    }
}

/// The colours of the dots.
const LEGEND: [StatusGroup; 6] = [
    StatusGroup::Printing,
    StatusGroup::Ready,
    StatusGroup::Paused,
    StatusGroup::ToDo,
    StatusGroup::Broken,
    StatusGroup::Off,
];

/// Kinds of printers without a counter of their own.
const OTHER_KINDS: [StatusGroup; 3] = [StatusGroup::Paused, StatusGroup::Off, StatusGroup::OutOfService];

/// A command button.
struct FarmButton {
    command: &'static str,
    label: &'static str,
    icon: &'static str,
    /// Has a place in the bar while it acts. The other buttons are in the menu.
    is_main: bool,
}

/// A column of the rows, with the link that sorts by it.
struct Column {
    label: &'static str,
    href: Option<String>,
    is_current: bool,
    is_descending: bool,
}

#[derive(Template)]
#[template(path = "farm/show.html")]
struct FarmPage {
    frame: PageFrame,
    filter: FarmFilter,
    strip: SummaryStrip,
    tags: Vec<(String, bool)>,
    sections: Vec<FarmSection<Arc<str>>>,
    columns: Vec<Column>,
    total: usize,
    shown: usize,
    /// Number of plates on this page that wait to be cleared.
    plates: usize,
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
    let matching: Vec<_> = matching.collect();
    let shown = matching.len();
    let plates = matching.iter().filter(|entry| entry.has_plate_to_clear()).count();
    let sections = if filter.is_dots() {
        group_by_tag(matching)
    } else {
        arrange(matching, filter.sort_order(), filter.is_descending())
    };
    let stream = filter.href("/stream", &filter.show, &filter.view);
    let join = if stream.contains('?') { '&' } else { '?' };
    let page = FarmPage {
        frame: PageFrame::new(&who, "farm"),
        strip,
        tags,
        sections: sections.into_iter().map(|section| render_tiles(section, &filter)).collect(),
        columns: list_columns(&filter),
        total,
        shown,
        plates,
        buttons: OFFERED_COMMANDS.iter().map(|command| farm_button(*command)).collect(),
        stream: format!("{stream}{join}since={}", dashboard.tile_cache.format_stamp(version)),
        current_href: filter.href("/", &filter.show, &filter.view),
        filter,
    };
    render_html(&page)
}

fn render_tiles(section: FarmSection<Arc<PrinterEntry>>, filter: &FarmFilter) -> FarmSection<Arc<str>> {
    let tile = |entry: Arc<PrinterEntry>| if filter.has_cameras() { entry.html_with_picture() } else { entry.html() };
    FarmSection { id: section.id, heading: section.heading, entries: section.entries.into_iter().map(tile).collect() }
}

fn farm_button(command: Command) -> FarmButton {
    FarmButton {
        command: command.as_str(),
        label: labels::command_label(command),
        icon: labels::command_icon(command),
        is_main: matches!(command, Command::Start | Command::Pause | Command::Resume | Command::Cancel),
    }
}

fn list_columns(filter: &FarmFilter) -> Vec<Column> {
    let column = |label, sort: Option<SortOrder>| Column {
        label: t(label),
        href: sort.map(|sort| filter.href_for_sort(sort)),
        is_current: sort == Some(filter.sort_order()),
        is_descending: filter.is_descending(),
    };
    vec![
        column("word-printer", Some(SortOrder::Name)),
        column("farm-column-state", Some(SortOrder::State)),
        column("farm-column-file", Some(SortOrder::File)),
        column("farm-column-progress", Some(SortOrder::Progress)),
        column("farm-column-left", Some(SortOrder::TimeLeft)),
        column("farm-column-done", None),
        column("farm-column-material", Some(SortOrder::Material)),
        column("farm-column-heaters", None),
    ]
}
