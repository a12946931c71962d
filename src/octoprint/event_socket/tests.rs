//! Tests of the event socket against servers that accept it, refuse it, or misbehave.

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use super::*;
use crate::{domain::state::PrinterState, octoprint::testing::client};

type ServerSocket = WebSocketStream<TcpStream>;

/// A server with OctoPrint's login and, after it, the given socket.
async fn start_octoprint<F, Fut>(socket: F) -> (OctoPrint, tokio::task::JoinHandle<()>)
where
    F: FnOnce(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/", listener.local_addr().expect("address"));
    let task = tokio::spawn(async move {
        let (mut login, _) = listener.accept().await.expect("login");
        let mut buffer = [0; 4096];
        let _ = tokio::io::AsyncReadExt::read(&mut login, &mut buffer).await;
        let body = r#"{"name":"admin","session":"S"}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = login.write_all(format!("{head}{body}").as_bytes()).await;
        let (stream, _) = listener.accept().await.expect("socket");
        socket(stream).await;
    });
    (client(&url), task)
}

async fn accept_socket(stream: TcpStream) -> ServerSocket {
    let mut socket = accept_async(stream).await.expect("upgrade");
    send_text(&mut socket, r#"{"connected":{"version":"1.11.8"}}"#).await;
    socket
}

async fn send_text(socket: &mut ServerSocket, text: &str) {
    let _ = socket.send(Message::Text(text.into())).await;
}

async fn receive_json(socket: &mut ServerSocket) -> serde_json::Value {
    let text = socket.next().await.expect("frame").expect("frame").into_text().expect("text");
    serde_json::from_str(&text).expect("json")
}

#[tokio::test]
async fn a_socket_subscribes_before_the_login_and_then_yields_events() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let (printer, _task) = start_octoprint(move |stream| async move {
        let mut socket = accept_socket(stream).await;
        let _ = sender.send(receive_json(&mut socket).await);
        let _ = sender.send(receive_json(&mut socket).await);
        send_text(&mut socket, r#"{"timelapse":null}"#).await;
        send_text(
            &mut socket,
            r#"{"event":{"type":"PrinterStateChanged","payload":{"state_id":"PAUSED","state_string":"Paused"}}}"#,
        )
        .await;
        send_text(&mut socket, "garbage").await;
        // Replies to the ping, then closes the socket.
        let _ = socket.next().await;
        let _ = socket.flush().await;
        let _ = socket.close(None).await;
    })
    .await;
    let mut push = EventSocket::open(&printer, &RequestOptions::default()).await.expect("open");
    let subscribe = received.recv().await.expect("subscribe");
    assert_eq!(subscribe.pointer("/subscribe/state"), Some(&serde_json::Value::Bool(false)));
    assert_eq!(received.recv().await, Some(serde_json::json!({"auth": "admin:S"})));
    let paused = PrinterEvent::StateChanged { state: PrinterState::Paused, text: "Paused".into() };
    assert_eq!(push.next().await, Ok(EventFrame::Event(paused)));
    assert_eq!(push.next().await, Ok(EventFrame::Other));
    assert_eq!(push.ping().await, Ok(()));
    assert_eq!(push.next().await, Ok(EventFrame::Pong));
    assert!(matches!(push.next().await, Err(Error::Lost { .. })));
}

#[tokio::test]
async fn an_event_that_proves_the_login_is_not_lost() {
    let (printer, _task) = start_octoprint(|stream| async move {
        let mut socket = accept_socket(stream).await;
        receive_json(&mut socket).await;
        receive_json(&mut socket).await;
        send_text(&mut socket, r#"{"event":{"type":"PrintDone","payload":{"path":"a.gcode"}}}"#).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut push = EventSocket::open(&printer, &RequestOptions::default()).await.expect("open");
    assert_eq!(
        push.next().await,
        Ok(EventFrame::Event(PrinterEvent::PrintDone { path: "a.gcode".into(), time_s: None }))
    );
}

#[tokio::test]
async fn a_refused_login_is_unauthorized_at_the_opening_and_later() {
    let (printer, _task) = start_octoprint(|stream| async move {
        let mut socket = accept_socket(stream).await;
        send_text(&mut socket, r#"{"reauthRequired":{"reason":"stale"}}"#).await;
        std::future::pending::<()>().await;
    })
    .await;
    let refused = EventSocket::open(&printer, &RequestOptions::default()).await;
    assert_eq!(refused.err(), Some(EventSocketError::Login(Error::Unauthorized)));
    let (printer, _task) = start_octoprint(|stream| async move {
        let mut socket = accept_socket(stream).await;
        send_text(&mut socket, r#"{"timelapse":null}"#).await;
        send_text(&mut socket, r#"{"reauthRequired":{"reason":"removed"}}"#).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut push = EventSocket::open(&printer, &RequestOptions::default()).await.expect("open");
    assert_eq!(push.next().await, Err(Error::Unauthorized));
}

#[tokio::test]
async fn a_refused_upgrade_has_its_status() {
    for (status, code) in [("404 Not Found", 404), ("200 OK", 200), ("401 Unauthorized", 401)] {
        let (printer, _task) = start_octoprint(move |mut stream| async move {
            let mut buffer = [0; 4096];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await;
            let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(response.as_bytes()).await;
        })
        .await;
        let result = EventSocket::open(&printer, &RequestOptions::default()).await;
        assert_eq!(result.err(), Some(EventSocketError::Socket(Error::NoSocket { status: code })), "{status}");
    }
}

#[tokio::test]
async fn a_socket_without_a_confirmed_login_is_not_open() {
    let (printer, _task) = start_octoprint(|stream| async move {
        let mut socket = accept_socket(stream).await;
        for text in ["{}", "garbage", r#"{"connected":{}}"#, r#"{"plugin":{}}"#] {
            send_text(&mut socket, text).await;
        }
        // Replies to pings, as OctoPrint 1.11.8 does for a user with a colon in the name.
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
    assert_eq!(
        EventSocket::open(&printer, &RequestOptions::default()).await.err(),
        Some(EventSocketError::Unconfirmed)
    );
}

#[tokio::test]
async fn a_socket_that_closes_before_the_login_is_confirmed_is_lost() {
    let (printer, _task) = start_octoprint(|stream| async move {
        let mut socket = accept_socket(stream).await;
        let _ = socket.close(None).await;
    })
    .await;
    let result = EventSocket::open(&printer, &RequestOptions::default()).await;
    assert!(matches!(result, Err(EventSocketError::Socket(Error::Lost { .. }))), "{result:?}");
}

#[tokio::test]
async fn a_socket_that_breaks_is_lost() {
    let (printer, _task) = start_octoprint(|stream| async move {
        let mut socket = accept_socket(stream).await;
        receive_json(&mut socket).await;
        receive_json(&mut socket).await;
        send_text(&mut socket, r#"{"timelapse":null}"#).await;
    })
    .await;
    let mut push = EventSocket::open(&printer, &RequestOptions::default()).await.expect("open");
    assert!(matches!(push.next().await, Err(Error::Lost { .. })));
}

#[test]
fn an_event_socket_is_small() {
    assert!(size_of::<EventSocket>() <= 512, "{}", size_of::<EventSocket>());
}

#[tokio::test]
async fn a_socket_that_floods_is_closed() {
    let (printer, _task) = start_octoprint(|stream| async move {
        let mut socket = accept_socket(stream).await;
        send_text(&mut socket, r#"{"timelapse":null}"#).await;
        for _ in 0..5_000 {
            send_text(&mut socket, r#"{"event":{"type":"PrintDone","payload":{"path":"a.gcode"}}}"#).await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let mut push = EventSocket::open(&printer, &RequestOptions::default()).await.expect("open");
    let mut read = 0;
    let error = loop {
        match push.next().await {
            Ok(_) => read += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
    assert!((1_000..4_000).contains(&read), "{read}");
}

#[tokio::test]
async fn a_socket_that_sends_far_too_many_frames_is_closed() {
    let (printer, _task) = start_octoprint(|stream| async move {
        let mut socket = accept_socket(stream).await;
        receive_json(&mut socket).await;
        receive_json(&mut socket).await;
        send_text(&mut socket, r#"{"timelapse":null}"#).await;
        let done = r#"{"event":{"type":"PrintDone","payload":{"path":"a.gcode"}}}"#;
        while socket.send(Message::Text(done.into())).await.is_ok() {}
    })
    .await;
    let mut push = EventSocket::open(&printer, &RequestOptions::default()).await.expect("open");
    let mut frames = 0;
    let error = loop {
        match push.next().await {
            Ok(_) => frames += 1,
            Err(error) => break error,
        }
        assert!(frames < 20_000, "the socket stays open");
    };
    assert!(matches!(error, Error::Protocol { .. }) && frames >= 1_000, "{error:?} after {frames} frames");
}
