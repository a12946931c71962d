//! Live updates of pages: one event stream per page, with changes only.
//!
//! A slow browser skips versions and does not delay others. The stream closes when the browser disconnects, the session
//! ends, or the server stops. An unavailable database does not close it. Then the notice shows the error and the page
//! is marked as not live, until the database responds.

mod page;
mod rounds;

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
    page::Page,
    rounds::{Kind, Made, PACE, Part},
};

use super::{
    Dashboard,
    batches::visible,
    messages,
    outcome::Live,
    page::{Failure, Id, Visitor},
    printers::{Filter, Strip},
    sse::Piece,
    temperatures, wall,
};
use crate::{
    clock,
    domain::{access::Role, state::Reachability},
    service::batches::BatchView,
};

/// Interval of heartbeats. After somewhat more than two intervals without data, the page shows that it is not live.
const BEAT: Duration = Duration::from_secs(2);
/// The session is checked again after this many heartbeats.
const BEATS_PER_LOOK: u32 = 15;
/// The tile of an online printer shows the age of its last observation beyond this.
const OLD: TimeDelta = TimeDelta::seconds(15);
/// How often an unattended screen gets its cookie again.
const COOKIE_AGAIN: Duration = Duration::from_secs(6 * 3_600);
/// Timeout of database reads for a part of a page.
const DATABASE_TIMEOUT: Duration = BEAT;

/// Streams the farm: changed tiles, the summary strip, and heartbeats with the printers whose observations are old.
pub(super) async fn farm(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(mut filter): Query<Filter>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let since = filter.since.take();
    let version = dashboard.board.version_of(last.or(since.as_deref()));
    let kind = Kind { tags: who.tags.clone(), language: messages::current(), filter };
    let (page, response) = Page::open(dashboard, who, headers)?;
    page.ends().beside(async move { follow_farm(&page, &kind, version).await });
    Ok(response)
}

async fn follow_farm(page: &Page, kind: &Kind, mut version: u64) -> Option<()> {
    let rounds = &page.dashboard.rounds;
    let mut changes = rounds.subscribe();
    let mut beats = 0_u32;
    let mut beat = rounds.beat(BEAT);
    // The page already contains the temperatures from before.
    let mut told = Instant::now();
    let mut notice = None;
    let mut strip = None;
    page.send_notice(&mut notice).await?;
    if let Some(beat) = rounds.part(page, kind, Part::Beat).await {
        page.send(beat.piece?).await?;
    }
    // Sends the changes since the page was rendered.
    changes.mark_changed();
    let mut is_behind = false;
    loop {
        tokio::select! {
            changed = changes.changed() => {
                changed.ok()?;
                let round = *changes.borrow_and_update();
                let made = rounds.part(page, kind, Part::Since { version, round }).await;
                is_behind = made.is_none();
                if let Some(made) = made {
                    // The strip comes first, because the tiles have the event id. A browser that misses the tiles
                    // reconnects with the old id and gets both again.
                    if made.strip.is_some() && made.strip != strip {
                        page.send(made.strip.clone()?).await?;
                        strip = made.strip;
                    }
                    if let Some(piece) = made.piece {
                        page.send(piece).await?;
                    }
                    version = made.version;
                }
            }
            _ = beat.tick() => {
                beats += 1;
                if beats.is_multiple_of(BEATS_PER_LOOK) && !page.is_logged_in().await {
                    return None;
                }
                if let Some(id) = kind.filter.only {
                    // An open page of one printer means that a user watches it.
                    page.dashboard.services.fleet().watch(id);
                }
                page.send_notice(&mut notice).await?;
                if let Some(beat) = rounds.part(page, kind, Part::Beat).await {
                    page.send(beat.piece?).await?;
                }
                if is_behind {
                    changes.mark_changed();
                }
                if let Some((read, heat)) = heat(page, kind.filter.only, told).await {
                    told = read;
                    page.send(Piece::of("heat", &heat)).await?;
                }
            }
        }
    }
}

/// Returns the temperatures of the page's only printer and their time, if they were read after `told`.
async fn heat(page: &Page, only: Option<Uuid>, told: Instant) -> Option<(Instant, String)> {
    let only = only?;
    let (_, entries) = timeout(DATABASE_TIMEOUT, page.dashboard.board.all(&page.who)).await.ok()?.ok()?;
    let view = &entries.iter().find(|entry| entry.id() == only)?.view;
    let read = view.live.heaters_read.map(Instant::from_std).filter(|read| *read > told)?;
    let at = clock::now() - TimeDelta::from_std(read.elapsed()).ok()?;
    Some((read, temperatures::news(view, at)?))
}

/// Returns the tiles of a page that changed since a version, and the current strip.
async fn changed_tiles(page: &Page, kind: &Kind, since: u64, round: u64) -> Option<Made> {
    let board = &page.dashboard.board;
    let news = board.since(&page.who, since, round).await.ok()?;
    let (mut tiles, mut others) = (String::new(), String::new());
    for entry in news.changed.iter().filter(|entry| kind.filter.only.is_none_or(|only| entry.id() == only)) {
        // `tiles` belong on the page. The page itself knows which of the `others` it still shows, and ignores the rest.
        let filter = &kind.filter;
        let is_shown = entry.matches(filter.show()) && entry.is_among(&filter.tag, &filter.q);
        let part = if is_shown { &mut tiles } else { &mut others };
        part.push_str(&entry.html());
    }
    let gone = news.removed.iter().fold(String::new(), |mut gone, id| {
        let _ = write!(gone, "{id} ");
        gone
    });
    let parts = [("tiles", tiles.as_str()), ("others", &others), ("gone", gone.trim_end())];
    let mut parts = parts.into_iter().filter(|(_, data)| !data.is_empty()).peekable();
    let mut piece = Piece::default();
    while let Some((name, data)) = parts.next() {
        // Only the last event has an id: a browser that missed one of them gets all of them again.
        let stamp = parts.peek().is_none().then(|| board.stamp(news.version));
        piece.add(name, stamp.as_deref(), data);
    }
    let mut made = Made::of(news.version, (!piece.is_empty()).then(|| Arc::new(piece)));
    if made.piece.is_some() && kind.filter.only.is_none() {
        made.strip = Some(Piece::of("strip", &Strip::of(&news.all, &kind.filter).render().ok()?));
    }
    Some(made)
}

/// Returns the online printers without a recent observation, each with its age in seconds.
async fn old(page: &Page) -> Option<String> {
    let now = clock::now();
    let (_, entries) = page.dashboard.board.all(&page.who).await.ok()?;
    let ages: BTreeMap<Uuid, i64> = entries
        .iter()
        .filter(|entry| entry.view.live.reachability == Reachability::Online)
        .filter_map(|entry| Some((entry.id(), now - entry.view.live.observed_at()?)))
        .filter(|(_, age)| *age > OLD)
        .map(|(id, age)| (id, age.num_seconds()))
        .collect();
    serde_json::to_string(&ages).ok()
}

/// Streams the wall screen, whenever its contents change.
pub(super) async fn wall(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
    request: Extensions,
) -> Result<Response, Failure> {
    let kind = Kind { tags: who.tags.clone(), language: messages::current(), filter };
    let (page, response) = Page::open(dashboard, who, headers)?;
    let response = wall::staying(&page.who, &page.headers, &request, response);
    // The screen reconnects and gets a fresh cookie.
    page.ends().beside(async move { timeout(COOKIE_AGAIN, follow_wall(&page, &kind)).await.ok()? });
    Ok(response)
}

async fn follow_wall(page: &Page, kind: &Kind) -> Option<()> {
    let rounds = &page.dashboard.rounds;
    let mut changes = rounds.subscribe();
    let mut beat = rounds.beat(BEAT);
    page.send(Piece::of("version", &wall::version())).await?;
    changes.mark_changed();
    let mut shown: Arc<Piece> = Arc::default();
    let mut shown_since: Option<Instant> = None;
    let (mut notice, mut beats) = (None, 0_u32);
    page.send_notice(&mut notice).await?;
    loop {
        let is_beat = tokio::select! {
            changed = changes.changed() => {
                changed.ok()?;
                false
            }
            _ = beat.tick() => true,
        };
        if is_beat {
            beats += 1;
            if beats.is_multiple_of(BEATS_PER_LOOK) && !page.is_logged_in().await {
                return None;
            }
            page.send_notice(&mut notice).await?;
        } else if shown_since.is_some_and(|at| at.elapsed() < BEAT) {
            // A wall is sent as a whole, so at most once per heartbeat. The next one contains this change.
            continue;
        }
        let round = *changes.borrow_and_update();
        let Some(made) = rounds.part(page, kind, Part::Wall { round }).await else { continue };
        let piece = made.piece?;
        if piece != shown {
            page.send(piece.clone()).await?;
            (shown, shown_since) = (piece, Some(Instant::now()));
        } else if is_beat {
            page.send(Piece::of("beat", "{}")).await?;
        }
    }
}

/// Streams the live part of a batch's page, whenever commands of it end.
pub(super) async fn batch(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    visible(&dashboard, &who, id).await?;
    let (page, response) = Page::open(dashboard, who, headers)?;
    page.ends().beside(async move { follow_batch(&page, id).await });
    Ok(response)
}

async fn follow_batch(page: &Page, id: Uuid) -> Option<()> {
    let mut changes = page.dashboard.services.dispatch().subscribe();
    let mut rounds = page.dashboard.rounds.subscribe();
    let (mut beat, mut beats) = (interval(BEAT), 0_u32);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let operates = page.who.role >= Role::Operator;
    let (mut last, mut notice) = (String::new(), None);
    loop {
        page.send_notice(&mut notice).await?;
        let begun = Instant::now();
        // The read below includes all changes that were announced before.
        changes = changes.resubscribe();
        let mut seen = *rounds.borrow_and_update();
        let view = match timeout(DATABASE_TIMEOUT, visible(&page.dashboard, &page.who, id)).await {
            Ok(Ok(view)) => Some(view),
            // The batch was removed, or the user may no longer see it.
            Ok(Err(failure)) if failure.status != StatusCode::SERVICE_UNAVAILABLE => return None,
            Ok(Err(_)) | Err(_) => None,
        };
        if let Some(view) = &view {
            let html = Live::of(view, operates).render().ok()?;
            if html != last {
                page.send(Piece::of("batch", &html)).await?;
                last = html;
            }
        }
        // The next change is sent at once after the pause. A large batch takes longer to read and to render, so its
        // pause is longer: it takes at most a fifth of the time.
        sleep_until(begun + (begun.elapsed() * 5).clamp(PACE, BEAT)).await;
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
                    let changed = page.dashboard.services.fleet().view().changes_since(seen);
                    seen = changed.version;
                    let executing = changed.changed.iter().filter(|printer| printer.in_flight.is_some());
                    let executing: HashSet<Uuid> = executing.map(|printer| printer.id).collect();
                    if view.as_ref().is_some_and(|view| has_open_row(view, &executing)) {
                        break;
                    }
                }
                _ = beat.tick() => {
                    beats += 1;
                    if beats.is_multiple_of(BEATS_PER_LOOK) && !page.is_logged_in().await {
                        return None;
                    }
                    let Some(view) = &view else { break };
                    page.send_notice(&mut notice).await?;
                    page.send(Piece::of("beat", "{}")).await?;
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
