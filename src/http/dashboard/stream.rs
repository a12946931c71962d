//! What keeps pages live: one stream of events per page, of what changed and nothing else.
//!
//! A slow browser skips versions and costs nobody anything; one that is gone, a session that has ended and a server
//! that ends each close the stream.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    fmt::Write as _,
    time::{Duration, Instant},
};

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::sse::{Event, Sse},
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast::error::RecvError, mpsc},
    time::{MissedTickBehavior, interval, timeout},
};
use uuid::Uuid;

use super::{
    Dashboard,
    batches::visible,
    board::Entry,
    heat,
    language::{self, t},
    outcome::Live,
    page::{Failure, Id, Visitor},
    printers::{Filter, Strip},
};
use crate::{
    clock,
    domain::{access::Role, state::Reachability},
    http::auth,
    service::access::Principal,
};

/// Between two looks at what changed.
const PACE: Duration = Duration::from_millis(250);
/// The page shows that it is not live when it has heard nothing for somewhat more than two of these.
const BEAT: Duration = Duration::from_secs(2);
/// Every so many beats the session is looked at again.
const BEATS_PER_LOOK: u32 = 15;
/// A browser that takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(30);
/// What an online printer said may be this old before its tile says so.
const OLD: TimeDelta = TimeDelta::seconds(15);
/// Events under way to one browser.
const QUEUE: usize = 8;

/// The sending half of one page's stream.
struct Page {
    dashboard: Dashboard,
    who: Principal,
    headers: HeaderMap,
    events: mpsc::Sender<Event>,
    _permit: OwnedSemaphorePermit,
}

impl Page {
    /// Opens a stream; `Err` when too many are open.
    fn open(dashboard: Dashboard, who: Principal, headers: HeaderMap) -> Result<(Self, Response), Failure> {
        let permit = dashboard.streams.clone().try_acquire_owned().map_err(|_| {
            let text = t("Too many pages are live at once. This one still works, but does not follow by itself.");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Not live", text)
        })?;
        let (events, taken) = mpsc::channel(QUEUE);
        let taken = futures_util::stream::unfold(taken, |mut taken| async {
            taken.recv().await.map(|event| (Ok::<_, Infallible>(event), taken))
        });
        Ok((Self { dashboard, who, headers, events, _permit: permit }, Sse::new(taken).into_response()))
    }

    /// `None`: nobody takes it any more.
    async fn send(&self, event: Event) -> Option<()> {
        timeout(STUCK, self.events.send(event)).await.ok()?.ok()
    }

    /// Whether the session is there, with the same rights: with others the browser comes back, and gets those.
    async fn is_logged_in(&self) -> bool {
        let now = auth::by_session(&self.dashboard.services, &self.headers).await;
        matches!(now, Ok(Some(now)) if now.role == self.who.role && now.tags == self.who.tags)
    }
}

/// The farm: changed tiles, the numbers, and a heart beat with what has grown old.
pub(super) async fn farm(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<Filter>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let version = dashboard.board.version_of(last.or(filter.since.as_deref()));
    let (page, response) = Page::open(dashboard, who, headers)?;
    tokio::spawn(language::keep(async move {
        let stop = page.dashboard.stop.clone();
        let closed = page.events.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = closed.closed() => {}
            _ = follow_farm(&page, &filter, version) => {}
        }
    }));
    Ok(response)
}

async fn follow_farm(page: &Page, filter: &Filter, mut version: u64) -> Option<()> {
    let mut versions = page.dashboard.services.fleet().view().subscribe();
    let (mut beat, mut beats) = (interval(BEAT), 0_u32);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The page has what was known before.
    let mut told = Instant::now();
    // Those that the page shows, as far as this side knows. What changed before the first look may be among them.
    let mut shown: HashSet<Uuid> = HashSet::new();
    let mut first = true;
    versions.mark_changed();
    loop {
        tokio::select! {
            changed = versions.changed() => {
                changed.ok()?;
                version = send_news(page, filter, version, &mut shown, first).await?;
                first = false;
                tokio::time::sleep(PACE).await;
            }
            _ = beat.tick() => {
                beats += 1;
                if beats.is_multiple_of(BEATS_PER_LOOK) && !page.is_logged_in().await {
                    return None;
                }
                if let Some(id) = filter.only {
                    // A page of one printer is somebody who looks at it.
                    page.dashboard.services.fleet().watch(id);
                }
                page.send(Event::default().event("beat").data(old(page).await?)).await?;
                if let Some((read, heat)) = heat(page, filter.only, told).await {
                    told = read;
                    page.send(Event::default().event("heat").data(heat)).await?;
                }
            }
        }
    }
}

/// What the heaters of a page's one printer have, if that was read after `told`; and when it was read.
async fn heat(page: &Page, only: Option<Uuid>, told: Instant) -> Option<(Instant, String)> {
    let only = only?;
    let (_, entries) = page.dashboard.board.all(&page.who).await.ok()?;
    let view = &entries.iter().find(|entry| entry.id() == only)?.view;
    let read = view.live.heaters_read.filter(|read| *read > told)?;
    let at = clock::now() - TimeDelta::from_std(read.elapsed()).ok()?;
    Some((read, heat::news(view, at)?))
}

/// Sends what has changed since a version; returns the version that the page has then.
async fn send_news(page: &Page, filter: &Filter, since: u64, shown: &mut HashSet<Uuid>, first: bool) -> Option<u64> {
    let board = &page.dashboard.board;
    let (_, all) = board.all(&page.who).await.ok()?;
    if first {
        shown.extend(all.iter().filter(|entry| is_shown(entry, filter)).map(|entry| entry.id()));
    }
    let news = board.since(&page.who, since).await.ok()?;
    let (mut tiles, mut others) = (String::new(), String::new());
    for entry in news.changed.iter().filter(|entry| filter.only.is_none_or(|only| entry.id() == only)) {
        if is_shown(entry, filter) {
            shown.insert(entry.id());
            tiles.push_str(&entry.html());
        } else if first || shown.contains(&entry.id()) {
            others.push_str(&entry.html());
        }
    }
    // `tiles` come onto the page, `others` only replace what is there.
    for (name, html) in [("tiles", tiles), ("others", others)] {
        if !html.is_empty() {
            page.send(Event::default().event(name).data(html)).await?;
        }
    }
    let mut gone = String::new();
    for id in news.removed.iter().filter(|id| shown.remove(id) || first) {
        let _ = write!(gone, "{id} ");
    }
    if !gone.is_empty() {
        page.send(Event::default().event("gone").data(gone.trim_end())).await?;
    }
    let strip = Strip::of(&all, filter).render().ok()?;
    page.send(Event::default().event("strip").id(board.stamp(news.version)).data(strip)).await?;
    Some(news.version)
}

fn is_shown(entry: &Entry, filter: &Filter) -> bool {
    entry.matches(filter.show()) && entry.is_among(&filter.tag, &filter.q)
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

/// One batch: its page's live part, anew whenever rows of it end.
pub(super) async fn batch(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    visible(&dashboard, &who, id).await?;
    let (page, response) = Page::open(dashboard, who, headers)?;
    tokio::spawn(language::keep(async move {
        let stop = page.dashboard.stop.clone();
        let closed = page.events.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = closed.closed() => {}
            _ = follow_batch(&page, id) => {}
        }
    }));
    Ok(response)
}

async fn follow_batch(page: &Page, id: Uuid) -> Option<()> {
    let mut changes = page.dashboard.services.dispatch().subscribe();
    let (mut beat, mut beats) = (interval(BEAT), 0_u32);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let operates = page.who.role >= Role::Operator;
    let mut last = String::new();
    loop {
        // What was announced until here is in what is read now.
        changes = changes.resubscribe();
        let view = visible(&page.dashboard, &page.who, id).await.ok()?;
        let html = Live::of(&view, operates).render().ok()?.replace('\r', " ");
        if html != last {
            page.send(Event::default().event("batch").data(&html)).await?;
            last = html;
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
                    page.send(Event::default().event("beat").data("{}")).await?;
                    if !view.is_final() {
                        break;
                    }
                }
            }
        }
    }
}
