//! The wall screen: readable from five metres and never operated. It shows printers that need attention first, then the
//! next prints to end. It shows few rows at a time and turns its pages automatically.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{Extensions, HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{
    Dashboard, assets,
    farm::{
        FarmFilter,
        tile::{StatusGroup, Tile},
        tile_cache::PrinterEntry,
    },
    filters,
    messages::t,
    page::{Failure, Visitor, render_html},
    time::TimeElement,
};
use crate::{
    clock,
    domain::access::Role,
    http::auth,
    service::access::{Principal, SESSION_LIFETIME},
};

/// Rows per page. More rows would be too small to read from five metres.
const ROWS_PER_SLIDE: usize = 6;
/// Maximum number of rows of each kind. For longer lists, users go to the farm page.
const MAX_ATTENTION_ROWS: usize = 5 * ROWS_PER_SLIDE;
const MAX_ENDING_ROWS: usize = 2 * ROWS_PER_SLIDE;

/// One page of printers.
struct Slide {
    title: &'static str,
    rows: Vec<Tile>,
}

/// Number of printers in a state.
struct GroupCount {
    group: StatusGroup,
    count: usize,
}

/// Contents of the wall screen at a moment.
#[derive(Template)]
#[template(path = "wall/_wall.html")]
pub(super) struct Wall {
    total: usize,
    attention_count: usize,
    group_counts: Vec<GroupCount>,
    slides: Vec<Slide>,
    more: usize,
}

#[derive(Template)]
#[template(path = "wall/show.html")]
struct WallPage {
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
        let count = |show: StatusGroup| matching.iter().filter(|entry| entry.group == show).count();
        let groups =
            StatusGroup::ATTENTION.into_iter().chain([StatusGroup::Paused, StatusGroup::Printing, StatusGroup::Ready]);
        let group_counts = groups.map(|show| GroupCount { group: show, count: count(show) });
        let group_counts =
            group_counts.filter(|number| number.count > 0 || number.group == StatusGroup::Printing).collect();
        let mut attention: Vec<&PrinterEntry> =
            matching.iter().copied().filter(|entry| entry.group.needs_attention()).collect();
        attention.sort_by_key(|entry| StatusGroup::ATTENTION.iter().position(|kind| *kind == entry.group));
        let mut ending: Vec<&PrinterEntry> = matching
            .iter()
            .copied()
            .filter(|entry| entry.group == StatusGroup::Printing && entry.ends_at().is_some())
            .collect();
        ending.sort_by_key(|entry| entry.ends_at());
        let mut slides = Vec::new();
        for (title, entries, most) in [
            (t("farm-attention"), &attention, MAX_ATTENTION_ROWS),
            (t("wall-finishing-next"), &ending, MAX_ENDING_ROWS),
        ] {
            let rows: Vec<&PrinterEntry> = entries.iter().copied().take(most).collect();
            slides.extend(rows.chunks(ROWS_PER_SLIDE).map(|rows| {
                let rows = rows.iter().map(|entry| entry.tile());
                Slide { title, rows: rows.collect() }
            }));
        }
        Self {
            total: matching.len(),
            attention_count: attention.len(),
            group_counts,
            slides,
            more: attention.len().saturating_sub(MAX_ATTENTION_ROWS),
        }
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
