//! What keeps pages live: one stream of events per page, of what changed and nothing else.
//!
//! A slow browser skips versions and costs nobody anything; one that is gone, a session that has ended and a server
//! that ends each close the stream. A database that fails or does not answer does not: the notice says so, the page shows
//! that it is not live, and goes on once the database answers.

mod page;

use std::{
    collections::{BTreeMap, HashMap},
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
    sync::{Mutex, broadcast::error::RecvError},
    time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout},
};
use uuid::Uuid;

use self::page::Page;

use super::{
    Dashboard,
    batches::visible,
    board::PACE,
    heat,
    language::{self, Language},
    outcome::Live,
    page::{Failure, Id, Visitor},
    printers::{Filter, Strip},
    wall::{self, Wall},
    wire::Piece,
};
use crate::{
    clock,
    domain::{access::Role, state::Reachability},
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

/// Pages that are sent the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    /// The tag limit of who looks.
    tags: Vec<String>,
    language: Language,
    filter: Filter,
}

/// What a page is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// What has changed since a version.
    Since(u64),
    Beat,
    Wall,
}

/// A part that was made, with the version that a page has then. Of no change there is no piece.
#[derive(Clone)]
struct Made {
    at: Instant,
    version: u64,
    piece: Option<Arc<Piece>>,
}

/// What is sent, made once for all pages of a kind. They are sent their parts at the same moments, so that they stay at
/// the same versions.
pub(super) struct Rounds {
    begun: Instant,
    made: Mutex<HashMap<(Kind, Part), Made>>,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { begun: Instant::now(), made: Mutex::default() }
    }
}

impl Rounds {
    /// The next moment that all share.
    fn next(&self, pace: Duration) -> Instant {
        let rounds = self.begun.elapsed().as_millis() / pace.as_millis();
        self.begun + pace * u32::try_from(rounds + 1).unwrap_or(u32::MAX)
    }

    /// A part for a page. None: the database failed or did not answer in time.
    async fn part(&self, page: &Page, kind: &Kind, part: Part) -> Option<Made> {
        timeout(DATABASE_TIMEOUT, self.make(page, kind, part)).await.ok()?
    }

    async fn make(&self, page: &Page, kind: &Kind, part: Part) -> Option<Made> {
        let key = (kind.clone(), part);
        // Held while it is made: the others of its kind wait for it rather than make it too.
        let mut made = self.made.lock().await;
        made.retain(|_, made| made.at.elapsed() < PACE);
        if let Some(made) = made.get(&key) {
            return Some(made.clone());
        }
        let (version, piece) = match part {
            Part::Since(version) => news(page, kind, version).await?,
            Part::Beat => (0, Some(Piece::of("beat", &old(page).await?))),
            Part::Wall => {
                let (version, entries) = page.dashboard.board.all(&page.who).await.ok()?;
                (version, Some(Piece::of("wall", &Wall::of(&entries, &kind.filter).render().ok()?)))
            }
        };
        let fresh = Made { at: Instant::now(), version, piece };
        made.insert(key, fresh.clone());
        Some(fresh)
    }
}

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
    let mut versions = page.dashboard.services.fleet().view().subscribe();
    let mut beats = 0_u32;
    let mut beat = interval_at(rounds.next(BEAT), BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The page has what was known of its heaters before.
    let mut told = Instant::now();
    let mut notice = None;
    page.send_notice(&mut notice).await?;
    if let Some(beat) = rounds.part(page, kind, Part::Beat).await {
        page.send(beat.piece?).await?;
    }
    // What changed since the page was made.
    versions.mark_changed();
    let mut is_behind = false;
    loop {
        tokio::select! {
            changed = versions.changed() => {
                changed.ok()?;
                sleep_until(rounds.next(PACE)).await;
                // What comes from here on is looked at in the next round.
                versions.mark_unchanged();
                let made = rounds.part(page, kind, Part::Since(version)).await;
                is_behind = made.is_none();
                if let Some(made) = made {
                    version = made.version;
                    if let Some(piece) = made.piece {
                        page.send(piece).await?;
                    }
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
                    versions.mark_changed();
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

/// What has changed for a page since a version, and the version that it has then.
async fn news(page: &Page, kind: &Kind, since: u64) -> Option<(u64, Option<Arc<Piece>>)> {
    let board = &page.dashboard.board;
    let news = board.since(&page.who, since).await.ok()?;
    let (mut tiles, mut others) = (String::new(), String::new());
    for entry in news.changed.iter().filter(|entry| kind.filter.only.is_none_or(|only| entry.id() == only)) {
        // `tiles` come onto the page. Which others are still on it, from before they changed, the page knows best: it
        // leaves out those that are not.
        let filter = &kind.filter;
        let is_shown = entry.matches(filter.show()) && entry.is_among(&filter.tag, &filter.q);
        let part = if is_shown { &mut tiles } else { &mut others };
        part.push_str(&entry.html());
    }
    let mut piece = Piece::default();
    for (name, html) in [("tiles", &tiles), ("others", &others)] {
        if !html.is_empty() {
            piece.add(name, None, html);
        }
    }
    let gone = news.removed.iter().fold(String::new(), |mut gone, id| {
        let _ = write!(gone, "{id} ");
        gone
    });
    if !gone.is_empty() {
        piece.add("gone", None, gone.trim_end());
    }
    if news.changed.is_empty() && gone.is_empty() {
        return Some((news.version, None));
    }
    let strip = Strip::of(&news.all, &kind.filter);
    piece.add("strip", Some(&board.stamp(news.version)), &strip.render().ok()?);
    Some((news.version, Some(Arc::new(piece))))
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
    page.send(Piece::of("version", &wall::version())).await?;
    let mut last: Arc<Piece> = Arc::default();
    let mut notice = None;
    for beat in 1_u32.. {
        page.send_notice(&mut notice).await?;
        if let Some(made) = rounds.part(page, kind, Part::Wall).await {
            let piece = made.piece?;
            if piece != last {
                page.send(piece.clone()).await?;
                last = piece;
            } else {
                page.send(Piece::of("beat", "{}")).await?;
            }
        }
        sleep_until(rounds.next(BEAT)).await;
        if beat.is_multiple_of(BEATS_PER_LOOK) && !page.is_logged_in().await {
            return None;
        }
    }
    None
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
    let (mut beat, mut beats) = (interval(BEAT), 0_u32);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let operates = page.who.role >= Role::Operator;
    let (mut last, mut notice) = (String::new(), None);
    loop {
        page.send_notice(&mut notice).await?;
        // What was announced until here is in what is read now.
        changes = changes.resubscribe();
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
        tokio::time::sleep(PACE).await;
        // Rows that go from queued to accepted are not announced: while it runs, each beat looks too.
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Ok(changed) if changed == id => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return None,
                },
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
