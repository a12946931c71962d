//! The farm page: what needs somebody first, then every printer, with selection and commands over it.

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
    board::Entry,
    filters,
    page::{Failure, Frame, Visitor, html},
    plan::OFFERED,
    tile::Show,
    words,
};

/// What the address asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    show: String,
    pub tag: String,
    pub q: String,
    view: String,
    /// Where a stream goes on.
    pub since: Option<String>,
    /// The one printer of a stream that shows no other.
    pub only: Option<Uuid>,
}

impl Filter {
    /// Which printers are asked for.
    pub fn show(&self) -> Show {
        Show::parse(&self.show).unwrap_or(Show::All)
    }

    fn is_rows(&self) -> bool {
        self.view == "rows"
    }

    fn is_narrow(&self) -> bool {
        self.show() != Show::All || !self.tag.is_empty() || !self.q.is_empty()
    }

    /// The address with another choice of printers.
    fn showing(&self, show: Show) -> String {
        self.href("/", if show == Show::All { "" } else { show.as_str() }, &self.view)
    }

    /// The address with another density.
    fn viewing(&self, view: &str) -> String {
        self.href("/", &self.show, view)
    }

    fn href(&self, path: &str, show: &str, view: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("show", show), ("tag", &self.tag), ("q", &self.q), ("view", view)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// One number of the strip; a link that shows those.
struct Chip {
    show: Show,
    n: usize,
    href: String,
    is_current: bool,
}

/// The numbers of the farm.
#[derive(Template)]
#[template(path = "printers/_strip.html")]
pub(super) struct Strip {
    all: Chip,
    need: Chip,
    needs: Vec<Chip>,
    calm: Vec<Chip>,
}

impl Strip {
    /// Counts what the filter's tag and words leave.
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

/// A button of the bar.
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
    needy: Vec<Arc<Entry>>,
    others: Vec<Arc<Entry>>,
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
    let (mut needy, others): (Vec<_>, _) = matching.partition(|entry| entry.place.is_need());
    // The worst first, each kind by name.
    needy.sort_by_key(|entry| Show::NEEDS.iter().position(|kind| *kind == entry.place));
    let stream = filter.href("/stream", &filter.show, "");
    let join = if stream.contains('?') { '&' } else { '?' };
    let buttons = OFFERED.iter().map(|command| Button {
        word: command.as_str(),
        verb: words::verb(*command),
        icon: words::icon(*command),
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
