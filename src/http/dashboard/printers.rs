//! The farm page: printers that need attention, then all others, with selection and command buttons.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Dashboard,
    batch_form::OFFERED,
    filters, labels,
    page::{Failure, Frame, Visitor, html},
    tile::{Show, Sort},
    tile_cache::Entry,
};
use crate::domain::state::Reachability;

/// Density of the list, as in the URL.
const ROWS: &str = "rows";
const CAMERAS: &str = "cameras";

/// Query parameters of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
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

impl Filter {
    /// Returns which printers to show.
    pub fn show(&self) -> Show {
        Show::parse(&self.show).unwrap_or(Show::All)
    }

    /// Returns the order.
    fn sort(&self) -> Sort {
        Sort::parse(&self.sort).unwrap_or(Sort::Need)
    }

    fn is_rows(&self) -> bool {
        self.view == ROWS
    }

    fn has_cameras(&self) -> bool {
        self.view == CAMERAS
    }

    fn is_narrow(&self) -> bool {
        self.show() != Show::All || !self.tag.is_empty() || !self.q.is_empty()
    }

    /// Returns the URL with another choice of printers.
    fn showing(&self, show: Show) -> String {
        self.href("/", if show == Show::All { "" } else { show.as_str() }, &self.view)
    }

    /// Returns the URL with another density.
    fn viewing(&self, view: &str) -> String {
        self.href("/", &self.show, view)
    }

    /// Returns the URL of all printers, with the same order and density.
    fn everything(&self) -> String {
        Self { tag: String::new(), q: String::new(), ..self.clone() }.showing(Show::All)
    }

    /// Returns a URL of the wall screen, which has neither order nor density.
    pub fn of_wall(&self, path: &str) -> String {
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
struct Chip {
    show: Show,
    n: usize,
    href: String,
    is_current: bool,
}

/// The summary strip of the farm.
#[derive(Template)]
#[template(path = "printers/_strip.html")]
pub(super) struct Strip {
    all: Chip,
    need: Chip,
    needs: Vec<Chip>,
    calm: Vec<Chip>,
}

impl Strip {
    /// Counts the printers that match the tag and the search of the filter.
    pub fn of(entries: &[Arc<Entry>], filter: &Filter) -> Self {
        let mut counts: BTreeMap<Show, usize> = Show::ALL.iter().map(|show| (*show, 0)).collect();
        for entry in entries.iter().filter(|entry| entry.is_among(&filter.tag, &filter.q)) {
            *counts.entry(entry.place).or_default() += 1;
            *counts.entry(Show::All).or_default() += 1;
            if entry.place.is_need() {
                *counts.entry(Show::Need).or_default() += 1;
            }
        }
        let chip = |show: Show| Chip {
            show,
            n: counts.get(&show).copied().unwrap_or(0),
            href: filter.showing(show),
            is_current: filter.show() == show,
        };
        let needs = Show::NEEDS.into_iter().map(chip).filter(|chip| chip.n > 0 || chip.is_current).collect();
        Self { all: chip(Show::All), need: chip(Show::Need), needs, calm: Show::CALM.map(chip).into() }
    }
}

/// A command button.
struct Button {
    word: &'static str,
    verb: &'static str,
    icon: &'static str,
}

#[derive(Template)]
#[template(path = "printers/farm.html")]
struct FarmPage {
    frame: Frame,
    filter: Filter,
    strip: Strip,
    tags: Vec<(String, bool)>,
    /// The tiles of printers that need attention, if the order puts them first.
    needy: Vec<Arc<str>>,
    others: Vec<Arc<str>>,
    total: usize,
    buttons: Vec<Button>,
    stream: String,
    here: String,
}

pub(super) async fn farm(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<Filter>,
) -> Result<Html<String>, Failure> {
    let (version, entries) = dashboard.board.all(&who).await?;
    let strip = Strip::of(&entries, &filter);
    let total = entries.len();
    let mut tags: Vec<String> = entries.iter().flat_map(|entry| entry.view.printer.details.tags.clone()).collect();
    tags.sort();
    tags.dedup();
    let tags = tags.into_iter().map(|tag| (tag.clone(), tag == filter.tag)).collect();
    let matching =
        entries.into_iter().filter(|entry| entry.matches(filter.show()) && entry.is_among(&filter.tag, &filter.q));
    let (needy, others) = in_order(matching.collect(), filter.sort());
    let tiles = |entries: Vec<Arc<Entry>>| {
        let tile = |entry: Arc<Entry>| if filter.has_cameras() { entry.with_picture() } else { entry.html() };
        entries.into_iter().map(tile).collect::<Vec<_>>()
    };
    let (needy, others) = (tiles(needy), tiles(others));
    let stream = filter.href("/stream", &filter.show, &filter.view);
    let join = if stream.contains('?') { '&' } else { '?' };
    let buttons = OFFERED.iter().map(|command| Button {
        word: command.as_str(),
        verb: labels::verb(*command),
        icon: labels::icon(*command),
    });
    html(&FarmPage {
        frame: Frame::of(&who, "farm"),
        strip,
        tags,
        needy,
        others,
        total,
        buttons: buttons.collect(),
        stream: format!("{stream}{join}since={}", dashboard.board.stamp(version)),
        here: filter.href("/", &filter.show, &filter.view),
        filter,
    })
}

/// Returns the printers that need attention, if they come first, and the others. Equal entries stay in the order of
/// their names.
fn in_order(mut entries: Vec<Arc<Entry>>, sort: Sort) -> (Vec<Arc<Entry>>, Vec<Arc<Entry>>) {
    match sort {
        Sort::Need => {
            let (mut needy, others): (Vec<_>, _) = entries.into_iter().partition(|entry| entry.place.is_need());
            // The most urgent first.
            needy.sort_by_key(|entry| Show::NEEDS.iter().position(|kind| *kind == entry.place));
            return (needy, others);
        }
        Sort::Name => {}
        Sort::Left => entries.sort_by_key(|entry| {
            let ends = entry.ends_at();
            (ends.is_none(), ends)
        }),
        Sort::News => {
            let answers = |entry: &Entry| entry.view.live.reachability == Reachability::Online;
            let disabled = |entry: &Entry| !entry.view.printer.details.enabled;
            entries.sort_by_key(|entry| (disabled(entry), answers(entry), entry.view.live.observed_at()));
        }
    }
    (Vec::new(), entries)
}
