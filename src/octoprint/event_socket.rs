//! The event socket: sends the events of a printer within milliseconds, at about 100 bytes each.
//!
//! It is a raw WebSocket at `sockjs/websocket` (1.11 and 2.x). The client subscribes *before* it logs in. Otherwise OctoPrint
//! first sends a whole history (up to 100 KB), and then 1 to 19 KB twice a second. Events before the opening of the socket are
//! lost: read the printer before trusting events. OctoPrint never pings, so the caller must.
//!
//! A socket counts as open when OctoPrint has confirmed the login. After a successful login, both versions send `timelapse`
//! and the event `ClientAuthed` within 5 ms. Without one, they send neither. OctoPrint answers pings even without a login.
//! 1.11.8 drops a login without a reply if the user's name contains a colon.

use std::{num::NonZeroU32, time::Duration};

use futures_util::{SinkExt, StreamExt};
use governor::{
    Quota, RateLimiter,
    clock::MonotonicClock,
    state::{InMemoryState, NotKeyed},
};
use reqwest::header::USER_AGENT;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Bytes, Message, Utf8Bytes, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig,
    },
};

use super::{
    Error, EventFrame, OctoPrint, OctoPrintSession, RequestOptions,
    error::cause_of_loss,
    event_frame::{ParsedFrame, SUBSCRIBED_EVENTS, parse_frame},
    request::X_API_KEY,
};
use crate::{
    domain::{message, reading::PrinterEvent},
    outbound::{AGENT, CONNECT_TIMEOUT, OutboundStream},
};

/// The time from the connection to the proof that OctoPrint accepted the login.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The time for a ping to get room in the buffer of the socket.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// In bytes. A history may have 100 KB; a subscribed event has about 100 bytes.
const LARGEST_MESSAGE: usize = 1024 * 1024;

/// Bytes that are allocated at once for each socket (the library's default is 128 KiB). The buffer grows once, for the
/// greeting. With it, an open socket costs 12 KB in total, measured over 200 sockets to OctoPrint 1.11.8.
const READ_BUFFER: usize = 4096;

/// Why an OctoPrint sends no events. Its HTTP requests may still work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSocketError {
    /// The passive login failed.
    Login(Error),
    /// The event socket could not be opened.
    Socket(Error),
    /// The socket is open, but OctoPrint did not confirm the login within 5 s.
    Unconfirmed,
}

/// The limit for frames of one socket, far more than a printer sends. Beyond it the socket is closed.
const FRAME_RATE: Quota =
    Quota::per_second(NonZeroU32::new(100).expect("not zero")).allow_burst(NonZeroU32::new(1_000).expect("not zero"));

type FrameLimiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// An open event socket. Dropping it closes the connection.
pub struct EventSocket {
    socket: WebSocketStream<OutboundStream>,
    /// An event that proved the login. It must not be lost.
    pending_event: Option<Box<PrinterEvent>>,
    frame_limiter: FrameLimiter,
}

impl std::fmt::Debug for EventSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}

impl EventSocket {
    /// Logs in, connects, subscribes, and waits for the proof that events will arrive. The login takes at most the timeout of
    /// the options, the rest at most 5 s. The headers of the options are also sent with the upgrade request.
    ///
    /// # Errors
    /// [`EventSocketError`]: the caller must poll.
    pub async fn open(octoprint: &OctoPrint, options: &RequestOptions) -> Result<Self, EventSocketError> {
        let session = octoprint.login(options).await.map_err(EventSocketError::Login)?;
        Self::open_with_session(octoprint, options, &session).await
    }

    /// Opens the event socket with a given session.
    ///
    /// # Errors
    /// [`EventSocketError`]: the caller must poll.
    pub async fn open_with_session(
        octoprint: &OctoPrint,
        options: &RequestOptions,
        session: &OctoPrintSession,
    ) -> Result<Self, EventSocketError> {
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let mut push = Self::connect(octoprint, options, deadline).await.map_err(EventSocketError::Socket)?;
        match timeout_at(deadline, push.log_in(session)).await {
            Ok(Ok(())) => Ok(push),
            Ok(Err(Error::Unauthorized)) => Err(EventSocketError::Login(Error::Unauthorized)),
            Ok(Err(error)) => Err(EventSocketError::Socket(error)),
            Err(_) => Err(EventSocketError::Unconfirmed),
        }
    }

    async fn connect(octoprint: &OctoPrint, options: &RequestOptions, deadline: Instant) -> Result<Self, Error> {
        let request = upgrade_request(octoprint, options)?;
        let url = octoprint.endpoint(&["sockjs", "websocket"]);
        let stream = octoprint.0.outbound.dial(&url, CONNECT_TIMEOUT).await.map_err(Error::from_dial)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        let upgrade = client_async_with_config(request, stream, Some(config));
        let upgraded = timeout_at(deadline, upgrade).await;
        let (socket, _) = upgraded.map_err(|_| Error::Timeout { after: HANDSHAKE_TIMEOUT })?.map_err(upgrade_error)?;
        Ok(Self {
            socket,
            pending_event: None,
            frame_limiter: RateLimiter::direct_with_clock(FRAME_RATE, MonotonicClock),
        })
    }

    /// Waits for the next frame. Cancel safe: dropping the future loses nothing. After an error, open another socket.
    ///
    /// # Errors
    /// * [`Error::Lost`] if the socket is closed.
    /// * [`Error::Unauthorized`] if the session has ended (the key changed, the user was removed).
    /// * [`Error::Protocol`] if the socket does not use the WebSocket protocol, or sends far too many frames.
    pub async fn next(&mut self) -> Result<EventFrame, Error> {
        if let Some(event) = self.pending_event.take() {
            return Ok(EventFrame::Event(*event));
        }
        let message = self.next_message().await?;
        if self.frame_limiter.check().is_err() {
            return Err(Error::protocol("cause-too-many-events"));
        }
        match message {
            Message::Text(text) => match parse_frame(&text) {
                ParsedFrame::Event(event) => Ok(EventFrame::Event(event)),
                ParsedFrame::ReauthRequired => Err(Error::Unauthorized),
                ParsedFrame::Greeting | ParsedFrame::AfterLogin | ParsedFrame::Garbage => Ok(EventFrame::Other),
            },
            Message::Pong(_) => Ok(EventFrame::Pong),
            Message::Close(_) => Err(closed_error()),
            Message::Ping(_) | Message::Binary(_) | Message::Frame(_) => Ok(EventFrame::Other),
        }
    }

    /// Sends a ping. The reply arrives as [`EventFrame::Pong`].
    ///
    /// # Errors
    /// [`Error::Lost`] if the socket is closed; [`Error::Timeout`] if the printer no longer reads from it.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn log_in(&mut self, session: &OctoPrintSession) -> Result<(), Error> {
        let subscribe =
            serde_json::json!({ "subscribe": { "state": false, "events": SUBSCRIBED_EVENTS, "plugins": [] } });
        self.send(Message::Text(Utf8Bytes::from(subscribe.to_string()))).await?;
        let auth = serde_json::json!({ "auth": format!("{}:{}", session.name, session.session) });
        self.send(Message::Text(Utf8Bytes::from(auth.to_string()))).await?;
        loop {
            match self.next_message().await? {
                Message::Text(text) => match parse_frame(&text) {
                    ParsedFrame::ReauthRequired => return Err(Error::Unauthorized),
                    ParsedFrame::AfterLogin => return Ok(()),
                    ParsedFrame::Event(event) => {
                        self.pending_event = Some(Box::new(event));
                        return Ok(());
                    }
                    ParsedFrame::Greeting | ParsedFrame::Garbage => {}
                },
                Message::Close(_) => return Err(closed_error()),
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }

    async fn next_message(&mut self) -> Result<Message, Error> {
        match self.socket.next().await {
            Some(message) => message.map_err(socket_error),
            None => Err(closed_error()),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        let sent = timeout(WRITE_TIMEOUT, self.socket.send(message)).await;
        sent.map_err(|_| Error::Timeout { after: WRITE_TIMEOUT })?.map_err(socket_error)
    }
}

/// Builds the upgrade request. It has all headers of the printer except the API key, which OctoPrint does not want here.
fn upgrade_request(
    octoprint: &OctoPrint,
    options: &RequestOptions,
) -> Result<tungstenite::handshake::client::Request, Error> {
    let mut url = octoprint.endpoint(&["sockjs", "websocket"]);
    if !options.params.is_empty() {
        url.query_pairs_mut().extend_pairs(&options.params);
    }
    // `http` becomes `ws`, and `https` becomes `wss`.
    let url = url.as_str().replacen("http", "ws", 1);
    let invalid = |_| Error::Invalid { detail: "cause-address-not-sendable".into() };
    let mut request = url.into_client_request().map_err(invalid)?;
    let printer_request = octoprint.build_request(reqwest::Method::GET, octoprint.base().clone(), options)?;
    for (name, value) in printer_request.headers.iter().filter(|(name, _)| *name != X_API_KEY) {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    let agent = HeaderValue::from_static(AGENT);
    request.headers_mut().entry(USER_AGENT).or_insert(agent);
    Ok(request)
}

fn closed_error() -> Error {
    Error::Lost { detail: "cause-event-socket-closed".into() }
}

/// Classifies an error of the upgrade.
fn upgrade_error(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => Error::NoSocket { status: response.status().as_u16() },
        error => socket_error(error),
    }
}

/// Classifies an error of an open socket.
fn socket_error(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => closed_error(),
        tungstenite::Error::Io(error) => Error::Lost { detail: cause_of_loss(&error) },
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => closed_error(),
        error => Error::protocol(message::Message::verbatim(error)),
    }
}

#[cfg(test)]
mod tests;
