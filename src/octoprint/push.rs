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
    Error, OctoPrint, PushFrame, RequestOptions, Session,
    error::io_words,
    push_frame::{EVENTS, Parsed, parse},
    request::X_API_KEY,
};
use crate::{
    domain::reading::PrinterEvent,
    outbound::{AGENT, CONNECT_TIMEOUT, Stream},
};

/// The time from the connection to the proof that OctoPrint accepted the login.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The time for a ping to get room in the buffer of the socket.
const SEND: Duration = Duration::from_secs(5);

/// In bytes. A history may have 100 KB; a subscribed event has about 100 bytes.
const LARGEST_MESSAGE: usize = 1024 * 1024;

/// Bytes that are allocated at once for each socket (the library's default is 128 KiB). The buffer grows once, for the
/// greeting. With it, an open socket costs 12 KB in total, measured over 200 sockets to OctoPrint 1.11.8.
const READ_BUFFER: usize = 4096;

/// Why an OctoPrint sends no events. Its HTTP requests may still work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoEvents {
    /// The passive login failed.
    Login(Error),
    /// The event socket could not be opened.
    Socket(Error),
    /// The socket is open, but OctoPrint did not confirm the login within 5 s.
    Unconfirmed,
}

/// The limit for frames of one socket, far more than a printer sends. Beyond it the socket is closed.
const FRAMES: Quota =
    Quota::per_second(NonZeroU32::new(100).expect("not zero")).allow_burst(NonZeroU32::new(1_000).expect("not zero"));

type FrameLimiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// An open event socket. Dropping it closes the connection.
pub struct Push {
    socket: WebSocketStream<Stream>,
    /// An event that proved the login. It must not be lost.
    first: Option<Box<PrinterEvent>>,
    frames: FrameLimiter,
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}

impl Push {
    /// Logs in, connects, subscribes, and waits for the proof that events will arrive. The login takes at most the timeout of
    /// the options, the rest at most 5 s. The headers of the options are also sent with the upgrade request.
    ///
    /// # Errors
    /// [`NoEvents`]: the caller must poll.
    pub async fn open(octoprint: &OctoPrint, options: &RequestOptions) -> Result<Self, NoEvents> {
        let session = octoprint.login(options).await.map_err(NoEvents::Login)?;
        Self::open_with(octoprint, options, &session).await
    }

    /// Opens the event socket with a given session.
    ///
    /// # Errors
    /// [`NoEvents`]: the caller must poll.
    pub async fn open_with(
        octoprint: &OctoPrint,
        options: &RequestOptions,
        session: &Session,
    ) -> Result<Self, NoEvents> {
        let deadline = Instant::now() + HANDSHAKE;
        let mut push = Self::connect(octoprint, options, deadline).await.map_err(NoEvents::Socket)?;
        match timeout_at(deadline, push.log_in(session)).await {
            Ok(Ok(())) => Ok(push),
            Ok(Err(Error::Unauthorized)) => Err(NoEvents::Login(Error::Unauthorized)),
            Ok(Err(error)) => Err(NoEvents::Socket(error)),
            Err(_) => Err(NoEvents::Unconfirmed),
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
        let (socket, _) = upgraded.map_err(|_| Error::Timeout { after: HANDSHAKE })?.map_err(refusal)?;
        Ok(Self { socket, first: None, frames: RateLimiter::direct_with_clock(FRAMES, MonotonicClock) })
    }

    /// Waits for the next frame. Cancel safe: dropping the future loses nothing. After an error, open another socket.
    ///
    /// # Errors
    /// * [`Error::Lost`] if the socket is closed.
    /// * [`Error::Unauthorized`] if the session has ended (the key changed, the user was removed).
    /// * [`Error::Protocol`] if the socket does not use the WebSocket protocol, or sends far too many frames.
    pub async fn next(&mut self) -> Result<PushFrame, Error> {
        if let Some(event) = self.first.take() {
            return Ok(PushFrame::Event(*event));
        }
        let message = self.message().await?;
        if self.frames.check().is_err() {
            return Err(Error::protocol("it sends too many events"));
        }
        match message {
            Message::Text(text) => match parse(&text) {
                Parsed::Event(event) => Ok(PushFrame::Event(event)),
                Parsed::ReauthRequired => Err(Error::Unauthorized),
                Parsed::Greeting | Parsed::Known | Parsed::Garbage => Ok(PushFrame::Other),
            },
            Message::Pong(_) => Ok(PushFrame::Pong),
            Message::Close(_) => Err(closed()),
            Message::Ping(_) | Message::Binary(_) | Message::Frame(_) => Ok(PushFrame::Other),
        }
    }

    /// Sends a ping. The reply arrives as [`PushFrame::Pong`].
    ///
    /// # Errors
    /// [`Error::Lost`] if the socket is closed; [`Error::Timeout`] if the printer no longer reads from it.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn log_in(&mut self, session: &Session) -> Result<(), Error> {
        let subscribe = serde_json::json!({ "subscribe": { "state": false, "events": EVENTS, "plugins": [] } });
        self.send(Message::Text(Utf8Bytes::from(subscribe.to_string()))).await?;
        let auth = serde_json::json!({ "auth": format!("{}:{}", session.name, session.session) });
        self.send(Message::Text(Utf8Bytes::from(auth.to_string()))).await?;
        loop {
            match self.message().await? {
                Message::Text(text) => match parse(&text) {
                    Parsed::ReauthRequired => return Err(Error::Unauthorized),
                    Parsed::Known => return Ok(()),
                    Parsed::Event(event) => {
                        self.first = Some(Box::new(event));
                        return Ok(());
                    }
                    Parsed::Greeting | Parsed::Garbage => {}
                },
                Message::Close(_) => return Err(closed()),
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }

    async fn message(&mut self) -> Result<Message, Error> {
        match self.socket.next().await {
            Some(message) => message.map_err(broken),
            None => Err(closed()),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        let sent = timeout(SEND, self.socket.send(message)).await;
        sent.map_err(|_| Error::Timeout { after: SEND })?.map_err(broken)
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
    let invalid = |_| Error::Invalid { detail: "the address cannot be written as a websocket's".into() };
    let mut request = url.into_client_request().map_err(invalid)?;
    let given = octoprint.call(reqwest::Method::GET, octoprint.base().clone(), options)?;
    for (name, value) in given.headers.iter().filter(|(name, _)| *name != X_API_KEY) {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    let agent = HeaderValue::from_static(AGENT);
    request.headers_mut().entry(USER_AGENT).or_insert(agent);
    Ok(request)
}

fn closed() -> Error {
    Error::Lost { detail: "the event socket was closed".into() }
}

/// Classifies an error of the upgrade.
fn refusal(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => Error::NoSocket { status: response.status().as_u16() },
        error => broken(error),
    }
}

/// Classifies an error of an open socket.
fn broken(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => closed(),
        tungstenite::Error::Io(error) => Error::Lost { detail: io_words(&error) },
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => closed(),
        error => Error::protocol(error.to_string()),
    }
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
