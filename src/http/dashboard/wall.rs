//! The wall screen: readable from a distance and never operated.
//!
//! It shows broken printers first, then what there is to do, then the next prints to end, in columns of the screen's
//! height. What does not fit is on further pages, which turn automatically. A farm that needs no attention is shown whole,
//! as one square per printer.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{Extensions, HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use chrono::{DurationRound, TimeDelta};

use super::{
    Dashboard, assets,
    farm::{FarmFilter, dots::Dots, status_group::StatusGroup, tile::Tile, tile_cache::PrinterEntry},
    filters,
    page::{Failure, PageFrame, Visitor, render_html},
    time::TimeElement,
};
use crate::{
    clock,
    domain::access::Role,
    http::auth,
    service::access::{Principal, SESSION_LIFETIME},
};

/// Maximum number of rows and chips of each kind. For longer lists, users go to the farm page. The script turns the pages
/// of a screen that shows fewer.
const MAX_BROKEN: usize = 60;
const MAX_PAUSED: usize = 60;
const MAX_CHECKS: usize = 60;
const MAX_PLATES: usize = 150;
/// Rows of prints that end next. They fill the space that is left, so 3 columns of a page are enough.
const MAX_ENDING: usize = 36;

/// Number of printers in a state.
struct GroupCount {
    group: StatusGroup,
    count: usize,
}

/// When the prints in progress end, if nothing stops them.
#[derive(Default)]
struct PrintEnds {
    next_free: Option<TimeElement>,
    all_finished: Option<TimeElement>,
    /// The end of some prints is not known, so all are finished at this time or later.
    is_lower_bound: bool,
}

/// Contents of the wall screen at a moment.
#[derive(Template)]
#[template(path = "wall/_wall.html")]
pub(super) struct Wall {
    total: usize,
    broken_count: usize,
    to_do_count: usize,
    group_counts: Vec<GroupCount>,
    broken: Vec<Tile>,
    paused: Vec<Tile>,
    checks: Vec<Tile>,
    /// Printers with an occupied plate.
    plates: Vec<Tile>,
    ending: Vec<Tile>,
    /// Printers that need attention and have neither row nor chip.
    more: usize,
    ends: PrintEnds,
    /// The whole farm, while it needs no attention.
    dots: Option<Dots>,
}

#[derive(Template)]
#[template(path = "wall/show.html")]
struct WallPage {
    frame: PageFrame,
    wall: Wall,
    version: String,
    stream: String,
    tag: String,
    now: TimeElement,
}

impl Wall {
    /// Returns the contents for the printers that match the tag and the search of the filter.
    pub fn from_entries(entries: &[Arc<PrinterEntry>], filter: &FarmFilter) -> Self {
        let matching: Vec<&PrinterEntry> =
            entries.iter().map(Arc::as_ref).filter(|entry| entry.has_tag_and_text(&filter.tag, &filter.q)).collect();
        let count = |group: StatusGroup| matching.iter().filter(|entry| entry.group == group).count();
        let broken_count = StatusGroup::BROKEN.into_iter().map(count).sum();
        let to_do_count = StatusGroup::TO_DO.into_iter().map(count).sum();
        // The most urgent first.
        let broken = StatusGroup::BROKEN.into_iter().flat_map(|group| entries_of(&matching, group));
        let broken = tiles(broken, MAX_BROKEN);
        let paused = tiles(entries_of(&matching, StatusGroup::PausedAtPrinter), MAX_PAUSED);
        let checks = tiles(entries_of(&matching, StatusGroup::ToCheck), MAX_CHECKS);
        let plates = tiles(entries_of(&matching, StatusGroup::PlateOccupied), MAX_PLATES);
        let is_calm = broken_count + to_do_count == 0;
        let dots = (is_calm && !matching.is_empty()).then(|| Dots::from_entries(matching.iter().copied()));
        Self {
            total: matching.len(),
            broken_count,
            to_do_count,
            group_counts: StatusGroup::NORMAL.map(|group| GroupCount { group, count: count(group) }).into(),
            more: broken_count + to_do_count - broken.len() - paused.len() - checks.len() - plates.len(),
            broken,
            paused,
            checks,
            plates,
            ending: if is_calm { Vec::new() } else { tiles(next_to_end(&matching).into_iter(), MAX_ENDING) },
            ends: print_ends(&matching),
            dots,
        }
    }
}

fn entries_of<'a>(entries: &[&'a PrinterEntry], group: StatusGroup) -> impl Iterator<Item = &'a PrinterEntry> {
    entries.iter().copied().filter(move |entry| entry.group == group)
}

fn tiles<'a>(entries: impl Iterator<Item = &'a PrinterEntry>, most: usize) -> Vec<Tile> {
    entries.take(most).map(PrinterEntry::tile).collect()
}

/// Returns the printers whose print has a known end, by that end.
fn next_to_end<'a>(entries: &[&'a PrinterEntry]) -> Vec<&'a PrinterEntry> {
    let mut ending: Vec<&PrinterEntry> =
        entries_of(entries, StatusGroup::Printing).filter(|entry| entry.ends_at().is_some()).collect();
    // The key is read once for each printer: it changes when the printer is observed, also during the sort.
    ending.sort_by_cached_key(|entry| entry.ends_at());
    ending
}

fn print_ends(entries: &[&PrinterEntry]) -> PrintEnds {
    let ending = next_to_end(entries);
    let active = entries.iter().filter(|entry| entry.view.live.state.is_active()).count();
    // Whole minutes, as it is shown: estimates vary by seconds, and each change is sent to all screens.
    let time = |entry: &&PrinterEntry| {
        let at = entry.ends_at()?.duration_round(TimeDelta::minutes(1)).ok()?;
        Some(TimeElement::time_of_day(at))
    };
    PrintEnds {
        next_free: ending.first().and_then(time),
        all_finished: ending.last().and_then(time),
        is_lower_bound: ending.len() < active,
    }
}

/// Returns the version of the program. A wall screen that gets another version reloads itself.
pub(super) fn program_version() -> String {
    format!("{} {} {}", env!("CARGO_PKG_VERSION"), assets::url("app.css"), assets::url("app.js"))
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<FarmFilter>,
    headers: HeaderMap,
    request: Extensions,
) -> Result<Response, Failure> {
    let (_, entries) = dashboard.tile_cache.list_visible(&who).await?;
    let page = render_html(&WallPage {
        frame: PageFrame::new(&who, ""),
        wall: Wall::from_entries(&entries, &filter),
        version: program_version(),
        stream: filter.wall_href("/wall/stream"),
        now: TimeElement::time_of_day(clock::now()),
        tag: filter.tag,
    })?;
    Ok(extend_cookie(&who, &headers, &request, page.into_response()))
}

/// Extends the cookie of a screen to the lifetime of its session, which its use extends.
pub(super) fn extend_cookie(
    who: &Principal,
    headers: &HeaderMap,
    request: &Extensions,
    mut response: Response,
) -> Response {
    let Some(secret) = auth::session_cookie(headers).filter(|_| who.role == Role::Viewer) else { return response };
    let cookie = auth::format_session_cookie(request, secret, SESSION_LIFETIME.num_seconds());
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
