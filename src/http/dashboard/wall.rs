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
    Dashboard, assets, filters,
    messages::t,
    page::{Failure, Visitor, html},
    printers::Filter,
    tile::{Show, Tile},
    tile_cache::Entry,
    time::Moment,
};
use crate::{
    clock,
    domain::access::Role,
    http::auth,
    service::{access::Principal, sessions::SESSION_LIFE},
};

/// Rows per page. More rows would be too small to read from five metres.
const ROWS: usize = 6;
/// Maximum number of rows of each kind. For longer lists, users go to the farm page.
const NEEDY: usize = 5 * ROWS;
const ENDING: usize = 2 * ROWS;

/// One page of printers.
struct Leaf {
    title: &'static str,
    rows: Vec<Tile>,
}

/// Number of printers in a state.
struct Number {
    show: Show,
    n: usize,
}

/// Contents of the wall screen at a moment.
#[derive(Template)]
#[template(path = "wall/_wall.html")]
pub(super) struct Wall {
    total: usize,
    needs: usize,
    numbers: Vec<Number>,
    leaves: Vec<Leaf>,
    more: usize,
}

#[derive(Template)]
#[template(path = "wall/show.html")]
struct WallPage {
    wall: Wall,
    version: String,
    stream: String,
    tag: String,
    now: Moment,
}

impl Wall {
    /// Returns the contents for the printers that match the tag and the search of the filter.
    pub fn of(entries: &[Arc<Entry>], filter: &Filter) -> Self {
        let among: Vec<&Entry> =
            entries.iter().map(Arc::as_ref).filter(|entry| entry.is_among(&filter.tag, &filter.q)).collect();
        let count = |show: Show| among.iter().filter(|entry| entry.place == show).count();
        let numbers = Show::NEEDS.into_iter().chain([Show::Paused, Show::Printing, Show::Ready]);
        let numbers = numbers.map(|show| Number { show, n: count(show) });
        let numbers = numbers.filter(|number| number.n > 0 || number.show == Show::Printing).collect();
        let mut needy: Vec<&Entry> = among.iter().copied().filter(|entry| entry.place.is_need()).collect();
        needy.sort_by_key(|entry| Show::NEEDS.iter().position(|kind| *kind == entry.place));
        let mut ending: Vec<&Entry> =
            among.iter().copied().filter(|entry| entry.place == Show::Printing && entry.ends_at().is_some()).collect();
        ending.sort_by_key(|entry| entry.ends_at());
        let mut leaves = Vec::new();
        for (title, entries, most) in
            [(t("farm-needs-you"), &needy, NEEDY), (t("wall-finishing-next"), &ending, ENDING)]
        {
            let rows: Vec<&Entry> = entries.iter().copied().take(most).collect();
            leaves.extend(rows.chunks(ROWS).map(|rows| {
                let rows = rows.iter().map(|entry| Tile::of(&entry.view, entry.place));
                Leaf { title, rows: rows.collect() }
            }));
        }
        Self { total: among.len(), needs: needy.len(), numbers, leaves, more: needy.len().saturating_sub(NEEDY) }
    }
}

/// Returns the version of the program. A wall screen that gets another version reloads itself.
pub(super) fn version() -> String {
    format!("{} {} {}", env!("CARGO_PKG_VERSION"), assets::url("app.css"), assets::url("app.js"))
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
    request: Extensions,
) -> Result<Response, Failure> {
    let (_, entries) = dashboard.board.all(&who).await?;
    let page = html(&WallPage {
        wall: Wall::of(&entries, &filter),
        version: version(),
        stream: filter.of_wall("/wall/stream"),
        now: Moment::clock(clock::now()),
        tag: filter.tag,
    })?;
    Ok(staying(&who, &headers, &request, page.into_response()))
}

/// Extends the cookie of a screen to the lifetime of its session, which its use extends.
pub(super) fn staying(who: &Principal, headers: &HeaderMap, request: &Extensions, mut response: Response) -> Response {
    let Some(secret) = auth::session_cookie(headers).filter(|_| who.role == Role::Viewer) else { return response };
    let cookie = auth::keep_cookie(request, secret, SESSION_LIFE.num_seconds());
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
