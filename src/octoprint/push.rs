//! The event socket: events of a printer within milliseconds, at about 100 bytes each.
//!
//! Raw websocket at `sockjs/websocket` (1.11 and 2.x). The subscription goes out *before* the login, or OctoPrint sends a
//! whole history first (up to 100 KB) and 1 to 19 KB twice a second after. Events before the socket is open are lost:
//! read the printer before trusting what comes. OctoPrint never pings, so the caller does.
//!
//! A socket counts as open when OctoPrint has confirmed the login. Both versions send `timelapse` and the event
//! `ClientAuthed` within 5 ms of a successful one, and nothing of the kind without. OctoPrint answers pings also without a
//! login, and 1.11.8 drops a login without a word where the user's name has a colon.

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

/// From the connection to the proof that the login was taken.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A ping must find room in the socket's buffer within this.
const SEND: Duration = Duration::from_secs(5);

/// A history may have 100 KB; what is asked for has 100 bytes.
const LARGEST_MESSAGE: usize = 1024 * 1024;

/// Allocated at once, for each socket (the library's own choice is 128 KiB). With the greeting, for which it grows once,
/// an open socket costs 12 KB in all, measured over 200 to OctoPrint 1.11.8.
const READ_BUFFER: usize = 4096;

/// Why an OctoPrint sends no events. Its HTTP may work all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoEvents {
    /// The passive login failed.
    Login(Error),
    /// The event socket could not be opened.
    Socket(Error),
    /// The socket is open, and OctoPrint did not confirm the login within 5 s.
    Unconfirmed,
}

/// Frames of one socket that are read: far more than a printer sends. Beyond it the socket is closed.
const FRAMES: Quota =
    Quota::per_second(NonZeroU32::new(100).expect("not zero")).allow_burst(NonZeroU32::new(1_000).expect("not zero"));

type FrameLimiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// An open event socket. Dropping it closes the connection.
pub struct Push {
    socket: WebSocketStream<Stream>,
    /// An event that was the proof of the login; it must not be lost.
    first: Option<Box<PrinterEvent>>,
    frames: FrameLimiter,
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Push").finish_non_exhaustive()
    }
}

impl Push {
    /// Logs in, connects, subscribes, and waits for the proof that events will come. Takes at most the options' timeout
    /// for the login, and 5 s for the rest. The options' headers go with the upgrade, too.
    ///
    /// # Errors
    /// [`NoEvents`]: poll instead.
    pub async fn open(octoprint: &OctoPrint, options: &RequestOptions) -> Result<Self, NoEvents> {
        let session = octoprint.login(options).await.map_err(NoEvents::Login)?;
        Self::open_with(octoprint, options, &session).await
    }

    /// The same with a session.
    ///
    /// # Errors
    /// [`NoEvents`]: poll instead.
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

    /// Waits for the next frame. Cancel-safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Error::Lost`] when the socket is closed; [`Error::Unauthorized`] when the session has ended (the key changed, the
    /// user was removed); [`Error::Protocol`] when it speaks no websocket, or sends far too many frames. After an error, open another.
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

    /// Sends a ping; the answer comes as [`PushFrame::Pong`].
    ///
    /// # Errors
    /// [`Error::Lost`] when the socket is closed; [`Error::Timeout`] when nothing is taken from it any more.
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

/// The upgrade, with all headers of the printer except the API key, which OctoPrint does not want here.
fn upgrade_request(
    octoprint: &OctoPrint,
    options: &RequestOptions,
) -> Result<tungstenite::handshake::client::Request, Error> {
    let mut url = octoprint.endpoint(&["sockjs", "websocket"]);
    if !options.params.is_empty() {
        url.query_pairs_mut().extend_pairs(&options.params);
    }
    // http becomes ws, https wss.
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

/// Sorts what goes wrong in the upgrade.
fn refusal(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => Error::NoSocket { status: response.status().as_u16() },
        error => broken(error),
    }
}

/// Sorts what goes wrong on an open socket.
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
