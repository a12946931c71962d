//! The event feed in the API: paged, long-polled with `wait`, or streamed as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension, Json,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri},
    middleware::Next,
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
};
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::Viewer,
    export::{self, Form, Line},
    extract::Params,
    openapi::words_of,
    page::Part,
    problem::Problem,
};
use crate::{
    domain::{
        event::{Cursor, EventType},
        event_body::EventBody,
    },
    http::{
        auth,
        bounds::Capacity,
        keyed_limit::{Full, KeyedLimit, Place},
    },
    service::{Services, access::Principal},
};

/// Response header of lists: the feed cursor from before the list was read. A client that continues there misses
/// nothing.
pub const CURSOR_HEADER: HeaderName = HeaderName::from_static("x-events-cursor");
/// File name of an exported feed.
const LIST: &str = "events";
/// Lists that send [`CURSOR_HEADER`].
const LISTS: [&str; 4] = ["/api/v1/printers", "/api/v1/batches", "/api/v1/batches/{id}/commands", "/api/v1/prints"];
/// Longest wait for an event, in seconds. Requests may ask for more, but many clients time out after 30 s.
const LONGEST_WAIT_S: u64 = 25;
/// Largest `wait` that a request may ask for, in seconds.
const LONGEST_ASKED_S: u64 = 30;
/// A stream without events sends a comment after this long.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Maximum number of events queued for one client, and read from the database at once.
const QUEUE: usize = 16;
const AT_ONCE: i64 = 100;
/// A client that accepts no data for this long is disconnected.
const STUCK: Duration = Duration::from_secs(30);
/// `Retry-After` of a refused stream, in seconds.
const STREAM_RETRY_S: u32 = 5;
/// Maximum number of open streams, in total and per principal.
const STREAMS: Capacity = Capacity { all: 256, each: 16 };
/// How often a stream checks its token again.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The open streams, by principal.
#[derive(Clone)]
pub struct EventStreams(KeyedLimit<Option<Uuid>>);

impl Default for EventStreams {
    fn default() -> Self {
        Self(KeyedLimit::new(STREAMS))
    }
}

impl EventStreams {
    fn admit(&self, who: &Principal) -> Result<Place<Option<Uuid>>, Problem> {
        self.0.admit(who.owner()).map_err(|full| match full {
            Full::Key => {
                let detail = format!(
                    "This token and its successors have {} event streams open, which is the limit. Close one, share one, or \
                     read pages with wait= instead.",
                    STREAMS.each
                );
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail).retry_after(STREAM_RETRY_S)
            }
            Full::All => {
                let detail = "The server has as many event streams open as it can. Read pages with wait= instead.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(STREAM_RETRY_S)
            }
        })
    }
}

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(list_events)).routes(routes!(stream_events))
}

/// A page of the feed.
#[derive(Debug, Serialize, ToSchema)]
struct EventPage {
    items: Vec<EventBody>,
    /// Continue here, even if `items` is empty: events that did not match are not searched again.
    next_cursor: String,
}

impl Line for EventBody {
    const COLUMNS: &'static [&'static str] = &["id", "cursor", "type", "at", "actor", "external_ref", "data"];
}

/// What a request reads from the feed.
struct FeedRequest {
    after: Cursor,
    kinds: Option<Vec<EventType>>,
}

/// Where a request starts to read the feed.
enum Start {
    Oldest,
    Now,
    /// After a cursor, as text.
    After(String),
    /// At the first event of this time or later, in feed order.
    AtTime(DateTime<Utc>),
}

impl Start {
    /// Reads `after` and `after_time`. At most one of them may be given.
    fn from_params(params: &mut Params) -> Option<Self> {
        match (params.text("after"), params.time("after_time")) {
            (Some(_), Some(_)) => {
                params.refuse("after_time", "exclusive", "cannot be given together with after");
                None
            }
            (Some(text), None) if text == "now" => Some(Self::Now),
            (Some(text), None) => Some(Self::After(text)),
            (None, Some(at)) => Some(Self::AtTime(at)),
            (None, None) => None,
        }
    }

    async fn cursor(self, services: &Services) -> Result<Cursor, Problem> {
        match self {
            Self::Oldest => Ok(services.feed_start().await?),
            Self::Now => Ok(services.feed_end().await?),
            Self::AtTime(at) => Ok(services.feed_at(at).await?),
            Self::After(text) => {
                let rule = "must be the cursor of an event, the next_cursor of a page, or now";
                let bad = || Problem::bad_query(vec![("after".to_owned(), "cursor", rule.to_owned())]);
                let cursor = Cursor::parse(&text).ok_or_else(bad)?;
                services.check_cursor(cursor).await?;
                Ok(cursor)
            }
        }
    }
}

fn kinds(params: &mut Params) -> Option<Vec<EventType>> {
    params.words("types", EventType::parse, &words_of(EventType::ALL, EventType::as_str))
}

/// Reads the event feed.
///
/// The feed is append-only, has one order, skips nothing and repeats nothing. Events are kept for 30 days. A response
/// without items may not be at the end: continue with `next_cursor`. With `wait`, a response that would be empty waits
/// for the next event. 410 `cursor_expired`: the events after the cursor are no longer kept, or a backup was restored.
/// Then read the lists again. Continue with `restart_cursor`, which is before the oldest event that is kept, or with
/// `after_time`, which repeats fewer events. As a file without `limit` and `wait`: all events up to now.
#[utoipa::path(get, path = "/events", tag = "events", params(
    ("after" = Option<String>, Query, description = "Only events after this cursor. `now`: only new events. Absent: from the oldest event that is kept."),
    ("after_time" = Option<DateTime<Utc>>, Query, description = "Instead of `after`: from the first event at this time or later, in feed order."),
    ("types" = Option<String>, Query, description = "Only these types, separated by commas.", example = "batch.finished,command.finished"),
    ("limit" = Option<u16>, Query, description = "Maximum number of events, 1 to 500; default 50.", minimum = 1, maximum = 500),
    ("wait" = Option<u64>, Query, description = "Seconds to wait for the first event; the wait ends after 25 s at most.", maximum = 30),
), responses(
    (status = OK, content(
        (EventPage = "application/json"), (EventBody = "application/x-ndjson"), (String = "text/csv"),
    )),
    (status = GONE, description = "`cursor_expired`, with `restart_cursor`", body = super::problem::ProblemBody,
        content_type = "application/problem+json"),
))]
async fn list_events(who: Viewer, mut params: Params, State(services): State<Services>) -> Result<Response, Problem> {
    let (form, is_whole) = (params.form(), !params.names("limit") && !params.names("wait"));
    let (start, kinds, limit) = (Start::from_params(&mut params), kinds(&mut params), params.limit());
    let wait = params.number("wait", 0, LONGEST_ASKED_S).unwrap_or_default().min(LONGEST_WAIT_S);
    params.finish()?;
    let after = start.unwrap_or(Start::Oldest).cursor(&services).await?;
    let request = FeedRequest { after, kinds };
    if is_whole && form != Form::Json {
        return whole(services, who.0, request, form).await;
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let page = services.events(&who.0, after, request.kinds.as_deref(), limit, Duration::from_secs(wait)).await?;
    let items: Vec<EventBody> = page.events.into_iter().map(EventBody::from).collect();
    let next_cursor = page.next.to_string();
    if form != Form::Json {
        return Ok(export::part(LIST, form, &items, Some(&next_cursor)));
    }
    Ok(Json(EventPage { items, next_cursor }).into_response())
}

/// Returns the feed as a file. It ends where the feed ends now. Otherwise a feed that grows faster than it is read
/// would never end.
async fn whole(services: Services, who: Principal, request: FeedRequest, form: Form) -> Result<Response, Problem> {
    let end = services.feed_end().await?.seq;
    let FeedRequest { after: start, kinds } = request;
    let page = move |after: Option<Cursor>, limit| {
        let (services, who, kinds) = (services.clone(), who.clone(), kinds.clone());
        async move {
            let (after, limit) = (after.unwrap_or(start), i64::try_from(limit).unwrap_or(i64::MAX));
            let page = services.events(&who, after, kinds.as_deref(), limit, Duration::ZERO).await?;
            let next = (page.more && page.next.seq < end).then_some(page.next);
            let events = page.events.into_iter().filter(|event| event.seq <= end);
            Ok(Part { items: events.map(EventBody::from).collect(), next })
        }
    };
    Ok(export::whole(LIST, form, page).await?)
}

/// Streams the feed as server-sent events.
///
/// Each message has the cursor as `id`, the type as `event` and the event as `data`. A client that reconnects with
/// `Last-Event-ID` continues where it stopped. Without `Last-Event-ID` and `after`, the stream starts now. A comment is
/// sent every 15 s. The stream ends when the server stops, or when the token loses its permission.
#[utoipa::path(get, path = "/events/stream", tag = "events", params(
    ("after" = Option<String>, Query, description = "Only events after this cursor. Absent or `now`: only new events."),
    ("after_time" = Option<DateTime<Utc>>, Query, description = "Instead of `after`: from the first event at this time or later."),
    ("types" = Option<String>, Query, description = "Only these types, separated by commas."),
    ("Last-Event-ID" = Option<String>, Header, description = "The last received `id`. It takes precedence over `after` and `after_time`."),
), responses(
    (status = OK, description = "The stream", content_type = "text/event-stream", body = String),
    (status = GONE, description = "`cursor_expired`, with `restart_cursor`", body = super::problem::ProblemBody,
        content_type = "application/problem+json"),
    (status = TOO_MANY_REQUESTS, description = "`too_many_streams`: this token and its successors have 16 streams open",
        body = super::problem::ProblemBody, content_type = "application/problem+json"),
))]
async fn stream_events(
    who: Viewer,
    mut params: Params,
    State(services): State<Services>,
    Extension(streams): Extension<EventStreams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (start, kinds) = (Start::from_params(&mut params), kinds(&mut params));
    params.finish()?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).filter(|id| !id.is_empty());
    let start = last.map(|id| Start::After(id.to_owned())).or(start).unwrap_or(Start::Now);
    let request = FeedRequest { after: start.cursor(&services).await?, kinds };
    let place = streams.admit(&who.0)?;
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let stream = Stream { services, who: who.0, headers, sender, _place: place };
    tokio::spawn(stream.run(request));
    let keep = KeepAlive::new().interval(COMMENT_EVERY).text("");
    Ok(Sse::new(stream::poll_fn(move |context| receiver.poll_recv(context))).keep_alive(keep).into_response())
}

/// The sending half of a client's stream.
struct Stream {
    services: Services,
    who: Principal,
    headers: HeaderMap,
    sender: mpsc::Sender<Result<sse::Event, Infallible>>,
    _place: Place<Option<Uuid>>,
}

impl Stream {
    /// Sends until the client disconnects, the token is no longer valid, or the server stops. Any error ends the
    /// stream; the client reconnects.
    async fn run(self, request: FeedRequest) {
        let (stop, sender) = (self.services.stopping(), self.sender.clone());
        tokio::select! {
            () = stop.cancelled() => {}
            () = sender.closed() => {}
            _ = self.send(request) => {}
        }
    }

    async fn send(mut self, request: FeedRequest) -> Option<()> {
        // Makes proxies forward the response headers, so the client sees that the stream is open.
        self.sender.send(Ok(sse::Event::default().comment("open"))).await.ok()?;
        let mut after = request.after;
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            if Instant::now() >= look_at {
                look_at = Instant::now() + LOOK_EVERY;
                let now = auth::by_bearer(&self.services, &self.headers, &self.who.origin).await.ok()?.ok()?;
                self.who = Principal { origin: self.who.origin.clone(), ..now };
            }
            let page =
                self.services.events(&self.who, after, request.kinds.as_deref(), AT_ONCE, LOOK_EVERY).await.ok()?;
            for event in page.events {
                let body = EventBody::from(event);
                let data = serde_json::to_string(&body).ok()?;
                let event = sse::Event::default().id(body.cursor).event(body.kind.as_str()).data(data);
                timeout(STUCK, self.sender.send(Ok(event))).await.ok()?.ok()?;
            }
            after = page.next;
        }
    }
}

/// Returns whether a request follows the feed, so that it may last as long as the client wants.
pub fn is_followed(route: Option<&str>, uri: &Uri) -> bool {
    match route {
        Some("/api/v1/events/stream") => true,
        Some("/api/v1/events") => uri.query().unwrap_or_default().split('&').any(|pair| pair.starts_with("wait=")),
        Some(_) | None => false,
    }
}

/// Adds [`CURSOR_HEADER`] to lists: the end of the feed before the list was read.
pub async fn mark_lists(State(services): State<Services>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if request.method() != Method::GET || !path.is_some_and(|path| LISTS.contains(&path)) {
        return next.run(request).await;
    }
    let cursor = match services.feed_end().await {
        Ok(cursor) => cursor,
        Err(error) => return Problem::from(error).into_response(),
    };
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&cursor.to_string()) {
        response.headers_mut().insert(CURSOR_HEADER, value);
    }
    response
}
