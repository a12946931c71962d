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
    list::{
        export::{self, CsvRow, ListFormat},
        page::RawPage,
    },
    middleware::authentication::Viewer,
    openapi::value_names,
    problem::Problem,
    request::extract::QueryParams,
};
use crate::{
    domain::{
        event::{Cursor, Event, EventType},
        event_body::EventBody,
    },
    http::{
        auth,
        keyed_limit::{KeyedLimit, LimitExceeded, LimitSlot},
        limits::Capacity,
        messages,
    },
    service::{Services, access::Principal},
};

/// Response header of lists: the feed cursor from before the list was read. A client that continues there misses
/// nothing.
pub const CURSOR_HEADER: HeaderName = HeaderName::from_static("x-events-cursor");
/// File name of an exported feed.
const LIST: &str = "events";
/// Lists that send [`CURSOR_HEADER`].
const CURSOR_LISTS: [&str; 4] =
    ["/api/v1/printers", "/api/v1/batches", "/api/v1/batches/{id}/commands", "/api/v1/prints"];
/// Longest wait for an event, in seconds. Requests may ask for more, but many clients time out after 30 s.
const MAX_WAIT_S: u64 = 25;
/// Largest `wait` that a request may ask for, in seconds.
const MAX_WAIT_PARAM_S: u64 = 30;
/// A stream without events sends a comment after this long.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Maximum number of events queued for one client, and read from the database at once.
const QUEUE_LENGTH: usize = 16;
const EVENTS_PER_READ: i64 = 100;
/// A client that accepts no data for this long is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// `Retry-After` of a refused stream, in seconds.
const STREAM_RETRY_AFTER_S: u32 = 5;
/// Maximum number of open streams, in total and per principal.
const STREAM_CAPACITY: Capacity = Capacity { total: 256, per_key: 16 };
/// How often a stream checks its token again.
const TOKEN_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// The open streams, by principal.
#[derive(Clone)]
pub struct EventStreams(KeyedLimit<Option<Uuid>>);

impl Default for EventStreams {
    fn default() -> Self {
        Self(KeyedLimit::new(STREAM_CAPACITY))
    }
}

impl EventStreams {
    fn acquire_slot(&self, who: &Principal) -> Result<LimitSlot<Option<Uuid>>, Problem> {
        self.0.try_acquire(who.owner()).map_err(|full| match full {
            LimitExceeded::Key => {
                let detail = format!(
                    "This token and its successors have {} event streams open, which is the limit. Close one, share one, or \
                     read pages with wait= instead.",
                    STREAM_CAPACITY.per_key
                );
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail).retry_after(STREAM_RETRY_AFTER_S)
            }
            LimitExceeded::Total => {
                let detail = "The server has as many event streams open as it can. Read pages with wait= instead.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(STREAM_RETRY_AFTER_S)
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

/// Returns the published form of an event.
fn published(event: Event) -> EventBody {
    EventBody::new(event, messages::english)
}

impl CsvRow for EventBody {
    const COLUMNS: &'static [&'static str] = &["id", "cursor", "type", "at", "actor", "external_ref", "data"];
}

/// What a request reads from the feed.
struct FeedRequest {
    after: Cursor,
    kinds: Option<Vec<EventType>>,
}

/// Where a request starts to read the feed.
enum FeedStart {
    Oldest,
    Now,
    /// After a cursor, as text.
    After(String),
    /// At the first event of this time or later, in feed order.
    AtTime(DateTime<Utc>),
}

impl FeedStart {
    /// Reads `after` and `after_time`. At most one of them may be given.
    fn from_params(params: &mut QueryParams) -> Option<Self> {
        match (params.text("after"), params.time("after_time")) {
            (Some(_), Some(_)) => {
                params.add_error("after_time", "exclusive", "cannot be given together with after");
                None
            }
            (Some(text), None) if text == "now" => Some(Self::Now),
            (Some(text), None) => Some(Self::After(text)),
            (None, Some(at)) => Some(Self::AtTime(at)),
            (None, None) => None,
        }
    }

    async fn resolve_cursor(self, services: &Services) -> Result<Cursor, Problem> {
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

fn parse_types(params: &mut QueryParams) -> Option<Vec<EventType>> {
    params.enum_values("types", EventType::parse, &value_names(EventType::ALL, EventType::as_str))
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
async fn list_events(
    who: Viewer,
    mut params: QueryParams,
    State(services): State<Services>,
) -> Result<Response, Problem> {
    let (format, is_whole) = (params.format(), !params.contains("limit") && !params.contains("wait"));
    let (start, kinds, limit) = (FeedStart::from_params(&mut params), parse_types(&mut params), params.limit());
    let wait = params.number("wait", 0, MAX_WAIT_PARAM_S).unwrap_or_default().min(MAX_WAIT_S);
    params.finish()?;
    let after = start.unwrap_or(FeedStart::Oldest).resolve_cursor(&services).await?;
    let request = FeedRequest { after, kinds };
    if is_whole && format != ListFormat::Json {
        return export_feed(services, who.0, request, format).await;
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let page = services.events(&who.0, after, request.kinds.as_deref(), limit, Duration::from_secs(wait)).await?;
    let items: Vec<EventBody> = page.events.into_iter().map(published).collect();
    let next_cursor = page.next.to_string();
    if format != ListFormat::Json {
        return Ok(export::export_page(LIST, format, &items, Some(&next_cursor)));
    }
    Ok(Json(EventPage { items, next_cursor }).into_response())
}

/// Returns the feed as a file. It ends where the feed ends now. Otherwise a feed that grows faster than it is read
/// would never end.
async fn export_feed(
    services: Services,
    who: Principal,
    request: FeedRequest,
    form: ListFormat,
) -> Result<Response, Problem> {
    let end = services.feed_end().await?.seq;
    let FeedRequest { after: start, kinds } = request;
    let page = move |after: Option<Cursor>, limit| {
        let (services, who, kinds) = (services.clone(), who.clone(), kinds.clone());
        async move {
            let (after, limit) = (after.unwrap_or(start), i64::try_from(limit).unwrap_or(i64::MAX));
            let page = services.events(&who, after, kinds.as_deref(), limit, Duration::ZERO).await?;
            let next = (page.more && page.next.seq < end).then_some(page.next);
            let events = page.events.into_iter().filter(|event| event.seq <= end);
            Ok(RawPage { items: events.map(published).collect(), next })
        }
    };
    Ok(export::export_list(LIST, form, page).await?)
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
    mut params: QueryParams,
    State(services): State<Services>,
    Extension(streams): Extension<EventStreams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (start, kinds) = (FeedStart::from_params(&mut params), parse_types(&mut params));
    params.finish()?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).filter(|id| !id.is_empty());
    let start = last.map(|id| FeedStart::After(id.to_owned())).or(start).unwrap_or(FeedStart::Now);
    let request = FeedRequest { after: start.resolve_cursor(&services).await?, kinds };
    let slot = streams.acquire_slot(&who.0)?;
    let (sender, mut receiver) = mpsc::channel(QUEUE_LENGTH);
    let stream = EventStreamSender { services, who: who.0, headers, sender, _slot: slot };
    tokio::spawn(stream.run(request));
    let keep = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL).text("");
    Ok(Sse::new(stream::poll_fn(move |context| receiver.poll_recv(context))).keep_alive(keep).into_response())
}

/// The sending half of a client's stream.
struct EventStreamSender {
    services: Services,
    who: Principal,
    headers: HeaderMap,
    sender: mpsc::Sender<Result<sse::Event, Infallible>>,
    _slot: LimitSlot<Option<Uuid>>,
}

impl EventStreamSender {
    /// Sends until the client disconnects, the token is no longer valid, or the server stops. Any error ends the
    /// stream; the client reconnects.
    async fn run(self, request: FeedRequest) {
        let (stop, sender) = (self.services.stop_token(), self.sender.clone());
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
        let mut next_check = Instant::now() + TOKEN_CHECK_INTERVAL;
        loop {
            if Instant::now() >= next_check {
                next_check = Instant::now() + TOKEN_CHECK_INTERVAL;
                let principal =
                    auth::authenticate_bearer(&self.services, &self.headers, &self.who.origin).await.ok()?.ok()?;
                self.who = Principal { origin: self.who.origin.clone(), ..principal };
            }
            let page = self
                .services
                .events(&self.who, after, request.kinds.as_deref(), EVENTS_PER_READ, TOKEN_CHECK_INTERVAL)
                .await
                .ok()?;
            for event in page.events {
                let body = published(event);
                let data = serde_json::to_string(&body).ok()?;
                let event = sse::Event::default().id(body.cursor).event(body.kind.as_str()).data(data);
                timeout(SEND_TIMEOUT, self.sender.send(Ok(event))).await.ok()?.ok()?;
            }
            after = page.next;
        }
    }
}

/// Returns whether a request follows the feed, so that it may last as long as the client wants.
pub fn follows_feed(route: Option<&str>, uri: &Uri) -> bool {
    match route {
        Some("/api/v1/events/stream") => true,
        Some("/api/v1/events") => uri.query().unwrap_or_default().split('&').any(|pair| pair.starts_with("wait=")),
        Some(_) | None => false,
    }
}

/// Adds [`CURSOR_HEADER`] to lists: the end of the feed before the list was read.
pub async fn add_cursor_header(State(services): State<Services>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if request.method() != Method::GET || !path.is_some_and(|path| CURSOR_LISTS.contains(&path)) {
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
