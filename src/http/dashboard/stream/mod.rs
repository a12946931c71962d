//! Live updates of pages: one event stream per page, with changes only.
//!
//! A slow browser skips versions and does not delay others. The stream closes when the browser disconnects, the session
//! ends, or the server stops. An unavailable database does not close it. Then the notice shows the error and the page
//! is marked as not live, until the database responds.

mod live_page;
mod rounds;
pub(super) mod sse;

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{Extensions, HeaderMap, StatusCode},
    response::Response,
};
use chrono::TimeDelta;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use uuid::Uuid;

pub(super) use self::rounds::Rounds;

use self::{
    live_page::{LivePage, ServerState},
    rounds::{PageKind, PagePart, ROUND_INTERVAL, RenderedPart},
    sse::EventPiece,
};
use super::{
    Dashboard,
    batches::{BatchParams, load_visible_batch, progress::BatchProgress},
    farm::{FarmFilter, SummaryStrip},
    messages,
    page::{Failure, PathUuid, Visitor},
    printers::temperatures,
    wall,
};
use crate::{clock, domain::state::Reachability, service::batches::BatchView};

/// Interval of heartbeats. After somewhat more than two intervals without data, the page shows that it is not live.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The session is checked again after this many heartbeats.
const HEARTBEATS_PER_SESSION_CHECK: u32 = 15;
/// The tile of an online printer shows the age of its last observation beyond this.
const OLD_AFTER: TimeDelta = TimeDelta::seconds(15);
/// How often an unattended screen gets its cookie again.
const COOKIE_RENEWAL: Duration = Duration::from_secs(6 * 3_600);
/// Timeout of database reads for a part of a page.
const DATABASE_TIMEOUT: Duration = HEARTBEAT;

/// Streams the farm: changed tiles, the summary strip, and heartbeats with the printers whose observations are old.
pub(super) async fn stream_farm(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(mut filter): Query<FarmFilter>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let since = filter.since.take();
    let version = dashboard.tile_cache.parse_stamp(last.or(since.as_deref()));
    let kind = PageKind { tags: who.tags.clone(), language: messages::current_language(), filter };
    let (page, response) = LivePage::open(dashboard, who, headers)?;
    page.end_conditions().spawn(async move { follow_farm(&page, &kind, version).await });
    Ok(response)
}

async fn follow_farm(page: &LivePage, kind: &PageKind, mut version: u64) -> Option<()> {
    let rounds = &page.dashboard.rounds;
    let mut changes = rounds.subscribe();
    let mut heartbeats = 0_u32;
    let mut heartbeat = rounds.heartbeat_interval(HEARTBEAT);
    // The page already contains the temperatures from before.
    let mut temperatures_read_at = Instant::now();
    let mut server = ServerState::default();
    let mut strip = None;
    page.send_server_state(&mut server).await?;
    if let Some(part) = rounds.get_part(page, kind, PagePart::Heartbeat).await {
        page.send(part.piece?).await?;
    }
    // Sends the changes since the page was rendered.
    changes.mark_changed();
    let mut is_behind = false;
    loop {
        tokio::select! {
            changed = changes.changed() => {
                changed.ok()?;
                let round = *changes.borrow_and_update();
                let rendered = rounds.get_part(page, kind, PagePart::Changes { version, round }).await;
                is_behind = rendered.is_none();
                if let Some(rendered) = rendered {
                    // The strip comes first, because the tiles have the event id. A browser that misses the tiles
                    // reconnects with the old id and gets both again.
                    if rendered.strip.is_some() && rendered.strip != strip {
                        page.send(rendered.strip.clone()?).await?;
                        strip = rendered.strip;
                    }
                    if let Some(piece) = rendered.piece {
                        page.send(piece).await?;
                    }
                    version = rendered.version;
                }
            }
            _ = heartbeat.tick() => {
                heartbeats += 1;
                if heartbeats.is_multiple_of(HEARTBEATS_PER_SESSION_CHECK) && !page.is_logged_in().await {
                    return None;
                }
                if let Some(id) = kind.filter.only {
                    // An open page of one printer means that a user watches it.
                    page.dashboard.services.mark_viewed(id);
                }
                page.send_server_state(&mut server).await?;
                if let Some(part) = rounds.get_part(page, kind, PagePart::Heartbeat).await {
                    page.send(part.piece?).await?;
                }
                if is_behind {
                    changes.mark_changed();
                }
                if let Some((read_at, temperatures)) = new_temperatures(page, kind.filter.only, temperatures_read_at).await {
                    temperatures_read_at = read_at;
                    page.send(EventPiece::from_event("heat", &temperatures)).await?;
                }
            }
        }
    }
}

/// Returns the temperatures of the page's only printer and their time, if they were read after `after`.
async fn new_temperatures(page: &LivePage, only: Option<Uuid>, after: Instant) -> Option<(Instant, String)> {
    let only = only?;
    let (_, entries) = timeout(DATABASE_TIMEOUT, page.dashboard.tile_cache.list_visible(&page.who)).await.ok()?.ok()?;
    let view = &entries.iter().find(|entry| entry.id() == only)?.view;
    let read_at = view.live.heaters_read_at.map(Instant::from_std).filter(|read| *read > after)?;
    let at = clock::now() - TimeDelta::from_std(read_at.elapsed()).ok()?;
    Some((read_at, temperatures::chart_event(view, at)?))
}

/// Returns the tiles of a page that changed since a version, and the current strip.
async fn render_changed_tiles(page: &LivePage, kind: &PageKind, since: u64, round: u64) -> Option<RenderedPart> {
    let tile_cache = &page.dashboard.tile_cache;
    let changes = tile_cache.changes_since(&page.who, since, round).await.ok()?;
    let (mut tiles, mut others) = (String::new(), String::new());
    for entry in changes.changed.iter().filter(|entry| kind.filter.only.is_none_or(|only| entry.id() == only)) {
        // `tiles` belong on the page. The page itself knows which of the `others` it still shows, and ignores the rest.
        let filter = &kind.filter;
        let is_shown = entry.matches(filter.status_group()) && entry.has_tag_and_text(&filter.tag, &filter.q);
        let part = if is_shown { &mut tiles } else { &mut others };
        part.push_str(&entry.html());
    }
    let removed_ids = changes.removed.iter().fold(String::new(), |mut gone, id| {
        let _ = write!(gone, "{id} ");
        gone
    });
    let parts = [("tiles", tiles.as_str()), ("others", &others), ("gone", removed_ids.trim_end())];
    let mut parts = parts.into_iter().filter(|(_, data)| !data.is_empty()).peekable();
    let mut piece = EventPiece::default();
    while let Some((name, data)) = parts.next() {
        // Only the last event has an id: a browser that missed one of them gets all of them again.
        let stamp = parts.peek().is_none().then(|| tile_cache.format_stamp(changes.version));
        piece.add_event(name, stamp.as_deref(), data);
    }
    let mut rendered = RenderedPart::new(changes.version, (!piece.is_empty()).then(|| Arc::new(piece)));
    if rendered.piece.is_some() && kind.filter.only.is_none() {
        rendered.strip = Some(EventPiece::from_event(
            "strip",
            &SummaryStrip::from_entries(&changes.visible, &kind.filter).render().ok()?,
        ));
    }
    Some(rendered)
}

/// Returns the online printers without a recent observation, each with its age in seconds.
async fn old(page: &LivePage) -> Option<String> {
    let now = clock::now();
    let (_, entries) = page.dashboard.tile_cache.list_visible(&page.who).await.ok()?;
    let ages: BTreeMap<Uuid, i64> = entries
        .iter()
        .filter(|entry| entry.view.live.reachability == Reachability::Online)
        .filter_map(|entry| Some((entry.id(), now - entry.view.live.observed_at()?)))
        .filter(|(_, age)| *age > OLD_AFTER)
        .map(|(id, age)| (id, age.num_seconds()))
        .collect();
    serde_json::to_string(&ages).ok()
}

/// Streams the wall screen, whenever its contents change.
pub(super) async fn stream_wall(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<FarmFilter>,
    headers: HeaderMap,
    request: Extensions,
) -> Result<Response, Failure> {
    let kind = PageKind { tags: who.tags.clone(), language: messages::current_language(), filter };
    let (page, response) = LivePage::open(dashboard, who, headers)?;
    let response = wall::extend_cookie(&page.who, &page.headers, &request, response);
    // The screen reconnects and gets a fresh cookie.
    page.end_conditions().spawn(async move { timeout(COOKIE_RENEWAL, follow_wall(&page, &kind)).await.ok()? });
    Ok(response)
}

async fn follow_wall(page: &LivePage, kind: &PageKind) -> Option<()> {
    let rounds = &page.dashboard.rounds;
    let mut changes = rounds.subscribe();
    let mut heartbeat = rounds.heartbeat_interval(HEARTBEAT);
    page.send(EventPiece::from_event("version", &wall::program_version())).await?;
    changes.mark_changed();
    let mut shown: Arc<EventPiece> = Arc::default();
    let mut shown_since: Option<Instant> = None;
    let (mut server, mut heartbeats) = (ServerState::default(), 0_u32);
    page.send_server_state(&mut server).await?;
    loop {
        let is_heartbeat = tokio::select! {
            changed = changes.changed() => {
                changed.ok()?;
                false
            }
            _ = heartbeat.tick() => true,
        };
        if is_heartbeat {
            heartbeats += 1;
            if heartbeats.is_multiple_of(HEARTBEATS_PER_SESSION_CHECK) && !page.is_logged_in().await {
                return None;
            }
            page.send_server_state(&mut server).await?;
        } else if shown_since.is_some_and(|at| at.elapsed() < HEARTBEAT) {
            // A wall is sent as a whole, so at most once per heartbeat. The next one contains this change.
            continue;
        }
        let round = *changes.borrow_and_update();
        let Some(rendered) = rounds.get_part(page, kind, PagePart::Wall { round }).await else { continue };
        let piece = rendered.piece?;
        if piece != shown {
            page.send(piece.clone()).await?;
            (shown, shown_since) = (piece, Some(Instant::now()));
        } else if is_heartbeat {
            page.send(EventPiece::from_event("heartbeat", "{}")).await?;
        }
    }
}

/// Streams the live part of a batch's page, whenever commands of it end.
pub(super) async fn stream_batch(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    Query(params): Query<BatchParams>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    load_visible_batch(&dashboard, &who, id).await?;
    let (page, response) = LivePage::open(dashboard, who, headers)?;
    page.end_conditions().spawn(async move { follow_batch(&page, id, params.back_path()).await });
    Ok(response)
}

async fn follow_batch(page: &LivePage, id: Uuid, back_path: &str) -> Option<()> {
    let mut changes = page.dashboard.services.dispatcher().subscribe();
    let mut rounds = page.dashboard.rounds.subscribe();
    let (mut heartbeat, mut heartbeats) = (interval(HEARTBEAT), 0_u32);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last, mut server) = (String::new(), ServerState::default());
    loop {
        page.send_server_state(&mut server).await?;
        let begun = Instant::now();
        // The read below includes all changes that were announced before.
        changes = changes.resubscribe();
        let mut seen_version = *rounds.borrow_and_update();
        let view = match timeout(DATABASE_TIMEOUT, load_visible_batch(&page.dashboard, &page.who, id)).await {
            Ok(Ok(view)) => Some(view),
            // The batch was removed, or the user may no longer see it.
            Ok(Err(failure)) if failure.status != StatusCode::SERVICE_UNAVAILABLE => return None,
            Ok(Err(_)) | Err(_) => None,
        };
        if let Some(view) = &view
            && let Ok(progress) = BatchProgress::load(&page.dashboard, &page.who, view, back_path).await
        {
            let html = progress.render().ok()?;
            if html != last {
                page.send(EventPiece::from_event("batch", &html)).await?;
                last = html;
            }
        }
        // The next change is sent at once after the pause. A large batch takes longer to read and to render, so its
        // pause is longer: it takes at most a fifth of the time.
        sleep_until(begun + (begun.elapsed() * 5).clamp(ROUND_INTERVAL, HEARTBEAT)).await;
        // Sent and accepted commands are not announced. The state of the printers shows them, else the next heartbeat
        // does.
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Ok(changed) if changed == id => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return None,
                },
                changed = rounds.changed() => {
                    changed.ok()?;
                    let changed = page.dashboard.services.live_changes_since(seen_version);
                    seen_version = changed.version;
                    let executing = changed.changed.iter().filter(|printer| printer.in_flight.is_some());
                    let executing: HashSet<Uuid> = executing.map(|printer| printer.id).collect();
                    if view.as_ref().is_some_and(|view| has_open_row(view, &executing)) {
                        break;
                    }
                }
                _ = heartbeat.tick() => {
                    heartbeats += 1;
                    if heartbeats.is_multiple_of(HEARTBEATS_PER_SESSION_CHECK) && !page.is_logged_in().await {
                        return None;
                    }
                    let Some(view) = &view else { break };
                    page.send_server_state(&mut server).await?;
                    page.send(EventPiece::from_event("heartbeat", "{}")).await?;
                    if !view.is_final() {
                        break;
                    }
                }
            }
        }
    }
}

/// Returns whether a command of the batch to one of these printers has not ended.
fn has_open_row(batch: &BatchView, printers: &HashSet<Uuid>) -> bool {
    let mut open = batch.commands.iter().filter(|row| row.outcome.effect().is_none());
    !printers.is_empty() && open.any(|row| printers.contains(&row.printer_id))
}
