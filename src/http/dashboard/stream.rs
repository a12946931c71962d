//! What keeps pages live: one stream of events per page, of what changed and nothing else.
//!
//! A slow browser skips versions and costs nobody anything; one that is gone, a session that has ended and a server
//! that ends each close the stream. A database that fails or does not answer does not: the notice says so, the page shows
//! that it is not live, and goes on once the database answers.

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
    heat, language,
    outcome::Live,
    page::{Failure, Id, Visitor},
    printers::{Filter, Strip},
    wall,
    wire::Piece,
};
use crate::{
    clock,
    domain::{access::Role, state::Reachability},
    service::batches::BatchView,
};

/// The page shows that it is not live when it has heard nothing for somewhat more than two of these.
const BEAT: Duration = Duration::from_secs(2);
/// Every so many beats the session is looked at again.
const BEATS_PER_LOOK: u32 = 15;
/// What an online printer said may be this old before its tile says so.
const OLD: TimeDelta = TimeDelta::seconds(15);
/// A screen that nobody touches gets its cookie anew this often.
const COOKIE_AGAIN: Duration = Duration::from_secs(6 * 3_600);
/// The database may take this long for a part of a page.
const DATABASE_TIMEOUT: Duration = BEAT;

/// The farm: changed tiles, the numbers, and a heart beat with what has grown old.
pub(super) async fn farm(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(mut filter): Query<Filter>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let since = filter.since.take();
    let version = dashboard.board.version_of(last.or(since.as_deref()));
    let kind = Kind { tags: who.tags.clone(), language: language::current(), filter };
    let (page, response) = Page::open(dashboard, who, headers)?;
    page.ends().beside(async move { follow_farm(&page, &kind, version).await });
    Ok(response)
}

async fn follow_farm(page: &Page, kind: &Kind, mut version: u64) -> Option<()> {
    let rounds = &page.dashboard.rounds;
    let mut changes = rounds.subscribe();
    let mut beats = 0_u32;
    let mut beat = rounds.beat(BEAT);
    // The page has what was known of its heaters before.
    let mut told = Instant::now();
    let mut notice = None;
    let mut strip = None;
    page.send_notice(&mut notice).await?;
    if let Some(beat) = rounds.part(page, kind, Part::Beat).await {
        page.send(beat.piece?).await?;
    }
    // What changed since the page was made.
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
                    // Before the tiles, whose id a browser comes back with: without them it gets both again.
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
                    // A page of one printer is somebody who looks at it.
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

/// What the heaters of a page's one printer have, if that was read after `told`; and when it was read.
async fn heat(page: &Page, only: Option<Uuid>, told: Instant) -> Option<(Instant, String)> {
    let only = only?;
    let (_, entries) = timeout(DATABASE_TIMEOUT, page.dashboard.board.all(&page.who)).await.ok()?.ok()?;
    let view = &entries.iter().find(|entry| entry.id() == only)?.view;
    let read = view.live.heaters_read.map(Instant::from_std).filter(|read| *read > told)?;
    let at = clock::now() - TimeDelta::from_std(read.elapsed()).ok()?;
    Some((read, heat::news(view, at)?))
}

/// The tiles that changed for a page since a version, and the strip as it is now.
async fn changed_tiles(page: &Page, kind: &Kind, since: u64, round: u64) -> Option<Made> {
    let board = &page.dashboard.board;
    let news = board.since(&page.who, since, round).await.ok()?;
    let (mut tiles, mut others) = (String::new(), String::new());
    for entry in news.changed.iter().filter(|entry| kind.filter.only.is_none_or(|only| entry.id() == only)) {
        // `tiles` come onto the page. Which others are still on it, from before they changed, the page knows best: it
        // leaves out those that are not.
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
        // With the last event: a browser that missed one of them comes back for all.
        let stamp = parts.peek().is_none().then(|| board.stamp(news.version));
        piece.add(name, stamp.as_deref(), data);
    }
    let mut made = Made::of(news.version, (!piece.is_empty()).then(|| Arc::new(piece)));
    if made.piece.is_some() && kind.filter.only.is_none() {
        made.strip = Some(Piece::of("strip", &Strip::of(&news.all, &kind.filter).render().ok()?));
    }
    Some(made)
}

/// The online printers that have said nothing for a while, with the seconds since.
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

/// The wall screen, anew when it would say something else.
pub(super) async fn wall(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
    request: Extensions,
) -> Result<Response, Failure> {
    let kind = Kind { tags: who.tags.clone(), language: language::current(), filter };
    let (page, response) = Page::open(dashboard, who, headers)?;
    let response = wall::staying(&page.who, &page.headers, &request, response);
    // It comes back for a fresh cookie.
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
            // A wall is sent whole, so at most once per beat: the next one has this change.
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

/// One batch: its page's live part, anew whenever rows of it end.
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
        // What was announced until here is in what is read now.
        changes = changes.resubscribe();
        let mut seen = *rounds.borrow_and_update();
        let view = match timeout(DATABASE_TIMEOUT, visible(&page.dashboard, &page.who, id)).await {
            Ok(Ok(view)) => Some(view),
            // It was removed, or may not be seen any more.
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
        // The next change is sent at once, unless it comes within the pause. A large batch takes longer to read and to write:
        // its page pauses for longer, so that it takes a fifth of the time at most.
        sleep_until(begun + (begun.elapsed() * 5).clamp(PACE, BEAT)).await;
        // Rows that are sent or accepted are not announced. The printers show it; where they do not, the next beat does.
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

/// Whether a command of a batch for one of these printers has not ended.
fn has_open_row(batch: &BatchView, printers: &HashSet<Uuid>) -> bool {
    let mut open = batch.commands.iter().filter(|row| row.outcome.effect().is_none());
    !printers.is_empty() && open.any(|row| printers.contains(&row.printer_id))
}
