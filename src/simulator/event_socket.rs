//! OctoPrint's raw event socket, `/sockjs/websocket`.
//!
//! `connected` is sent at once, and nothing more before `auth`. A client that subscribes without state first (as a farm
//! should) needs no timer. Other clients receive `current` twice a second.

use std::time::Duration;

use axum::{
    extract::{
        ConnectInfo,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    response::Response,
};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior},
};

use super::{
    bodies,
    config::Fault,
    event_hub::{self, EventFilter},
    faulty_stream::ConnectionHandle,
    machine::PushEvent,
    printer::SimulatedPrinter,
};

/// Period of `current` at throttle 1.
const CURRENT_PERIOD: Duration = Duration::from_millis(500);
/// Events of one command are sent together after this time. A real printer's events follow the response within some
/// milliseconds. Benchmarks measure the server on the same machine. The cost of many simulated printers must not
/// distort them.
const GATHER_DELAY: Duration = Duration::from_millis(8);
/// Maximum length of a client's message, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// `GET /sockjs/websocket`.
pub async fn open_event_socket(
    ConnectInfo(conn): ConnectInfo<ConnectionHandle>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, super::api::extract::ErrorResponse> {
    if conn.printer.has_fault(&Fault::DropSocket) {
        return Err(super::api::extract::ErrorResponse::not_found());
    }
    let upgrade =
        upgrade.map_err(|_| super::api::extract::ErrorResponse::new(400, "Can \"Upgrade\" only to \"WebSocket\"."))?;
    Ok(upgrade
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(MAX_MESSAGE_BYTES)
        .on_upgrade(move |socket| SocketSession::new(conn.printer).run(socket)))
}

impl SimulatedPrinter {
    /// Sends an event to all listeners, whatever the printer does.
    pub fn send_event(&self, kind: &'static str, payload: Value) {
        self.with_inner(|inner, _| inner.hub.publish(&PushEvent { kind, payload }));
    }
}

/// State of one client of the socket.
struct SocketSession {
    printer: SimulatedPrinter,
    /// `state` of `subscribe`. True before any `subscribe`.
    wants_state: bool,
    event_filter: EventFilter,
    throttle: u32,
    /// Number and frames of the listener, after the client has logged in.
    listener: Option<(u64, mpsc::Receiver<Utf8Bytes>)>,
    ticker: Option<Interval>,
    /// Delay of events.
    event_delay: Duration,
}

impl SocketSession {
    fn new(printer: SimulatedPrinter) -> Self {
        Self {
            printer,
            wants_state: true,
            event_filter: EventFilter::All,
            throttle: 1,
            listener: None,
            ticker: None,
            event_delay: Duration::ZERO,
        }
    }

    async fn run(mut self, mut socket: WebSocket) {
        let mut fault = self.printer.watch_fault();
        if send_frame(&mut socket, self.connected_frame()).await.is_err() {
            return;
        }
        loop {
            let current = fault.borrow_and_update().clone();
            match current {
                Some(Fault::Hang) => {
                    // Without reading, pings get no reply either.
                    if fault.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Some(Fault::DropSocket | Fault::CloseSocket | Fault::Refuse) => return,
                Some(Fault::LateEvents(delay)) => self.event_delay = delay,
                _ => self.event_delay = Duration::ZERO,
            }
            let done = tokio::select! {
                changed = fault.changed() => changed.is_err(),
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => self.handle_message(&mut socket, &text).await.is_err(),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => true,
                    Some(Ok(_)) => false,
                },
                frame = next_frame(&mut self.listener) => match frame {
                    Some(frame) => self.forward_frames(&mut socket, frame).await.is_err(),
                    // The client was too slow and is disconnected.
                    None => true,
                },
                () = next_tick(&mut self.ticker) => send_frame(&mut socket, self.state_frame("current")).await.is_err(),
            };
            if done {
                return;
            }
        }
    }

    /// Sends a frame, and the frames that follow soon, in one write.
    async fn forward_frames(&mut self, socket: &mut WebSocket, first: Utf8Bytes) -> Result<(), axum::Error> {
        tokio::time::sleep(GATHER_DELAY + self.event_delay).await;
        socket.feed(Message::Text(first)).await?;
        while let Some(Ok(frame)) = self.listener.as_mut().map(|(_, frames)| frames.try_recv()) {
            socket.feed(Message::Text(frame)).await?;
        }
        socket.flush().await
    }

    async fn handle_message(&mut self, socket: &mut WebSocket, text: &str) -> Result<(), axum::Error> {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return Ok(()) };
        if let Some(subscribe) = message.get("subscribe") {
            self.subscribe(subscribe);
        }
        if let Some(throttle) = message.get("throttle").and_then(Value::as_u64) {
            self.throttle = u32::try_from(throttle).unwrap_or(1).clamp(1, 600);
            self.set_ticker();
        }
        if self.printer.has_fault(&Fault::SilentSocket) {
            return Ok(());
        }
        if let Some(auth) = message.get("auth").and_then(Value::as_str) {
            return self.authenticate(socket, auth).await;
        }
        Ok(())
    }

    fn subscribe(&mut self, subscribe: &Value) {
        self.wants_state = !matches!(subscribe.get("state"), Some(Value::Bool(false)) | None);
        self.event_filter = match subscribe.get("events") {
            Some(Value::Bool(true)) => EventFilter::All,
            Some(Value::Array(kinds)) => {
                EventFilter::Only(kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => EventFilter::Nothing,
        };
        if let Some((id, _)) = &self.listener {
            let (id, filter) = (*id, self.event_filter.clone());
            self.printer.with_inner(|inner, _| inner.hub.set_filter(id, filter));
        }
        self.set_ticker();
    }

    async fn authenticate(&mut self, socket: &mut WebSocket, auth: &str) -> Result<(), axum::Error> {
        let session = auth.split_once(':').filter(|(name, _)| *name == "admin").map(|(_, session)| session);
        let filter = self.event_filter.clone();
        let listener = self.printer.with_inner(|inner, _| {
            let known = session.is_some_and(|session| inner.sessions.iter().any(|known| known == session));
            known.then(|| inner.hub.add_listener(filter))
        });
        let Some(listener) = listener else {
            return send_frame(socket, json!({"reauthRequired": {"reason": "stale"}})).await;
        };
        self.listener = Some(listener);
        if self.wants_state {
            send_frame(socket, self.state_frame("history")).await?;
        }
        send_frame(socket, json!({"timelapse": null})).await?;
        if self.wants_state {
            send_frame(socket, self.state_frame("current")).await?;
        }
        self.set_ticker();
        let client_authed =
            PushEvent { kind: "ClientAuthed", payload: json!({"username": "admin", "remoteAddress": "127.0.0.1"}) };
        if self.event_filter.includes(client_authed.kind) {
            socket.send(Message::Text(event_hub::encode_frame(&client_authed))).await?;
        }
        Ok(())
    }

    fn set_ticker(&mut self) {
        self.ticker = (self.wants_state && self.listener.is_some()).then(|| {
            let period = CURRENT_PERIOD * self.throttle;
            let mut ticker = tokio::time::interval_at(Instant::now() + period, period);
            ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticker
        });
    }

    fn state_frame(&self, kind: &str) -> Value {
        let flavor = self.printer.context().flavor;
        json!({ kind: self.printer.with_inner(|inner, now| bodies::push_body(inner, flavor, now)) })
    }

    fn connected_frame(&self) -> Value {
        let version = bodies::reported_version(self.printer.context().flavor);
        let permissions: Vec<Value> = bodies::PERMISSIONS.iter().map(|key| json!({"key": key, "name": key})).collect();
        json!({"connected": {
            "version": version, "display_version": version, "branch": "HEAD", "python_version": "3.11.7",
            "plugin_hash": "8f85e7d820474c48f01aec842916b3a2", "config_hash": "f40a3747cfe61b6c694964cf405e86ae",
            "debug": false, "safe_mode": null, "online": true, "permissions": permissions,
        }})
    }
}

async fn send_frame(socket: &mut WebSocket, frame: Value) -> Result<(), axum::Error> {
    socket.send(Message::Text(frame.to_string().into())).await
}

async fn next_frame(listener: &mut Option<(u64, mpsc::Receiver<Utf8Bytes>)>) -> Option<Utf8Bytes> {
    match listener {
        Some((_, frames)) => frames.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_tick(ticker: &mut Option<Interval>) {
    match ticker {
        Some(ticker) => {
            ticker.tick().await;
        }
        None => std::future::pending().await,
    }
}
