//! Tests of every way in which a request to a printer can fail, against servers that fail in that way.

use std::{future::pending, net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::{
    Error, OfflineCause, RequestOptions,
    testing::{StubServer, client},
};
use crate::{domain::message::Message, outbound::TlsHandshakeError};

/// Long enough to connect on loopback. The servers that hang do so for ever.
const SHORT_TIMEOUT: Duration = Duration::from_millis(150);

fn http_response(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn start_error_on(server: &StubServer, options: &RequestOptions) -> Error {
    server.client().job().start(options).await.expect_err("an error")
}

async fn start_error(response: impl Into<Vec<u8>>) -> Error {
    start_error_on(&StubServer::start_replying(response).await, &RequestOptions::default()).await
}

async fn get_error(response: impl Into<Vec<u8>>) -> Error {
    let server = StubServer::start_replying(response).await;
    server.client().job().get(&RequestOptions::default()).await.expect_err("an error")
}

#[tokio::test]
async fn a_refused_connection_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/", listener.local_addr().expect("address"));
    drop(listener);
    let error = client(&url).job().start(&RequestOptions::default()).await.expect_err("refused");
    assert_eq!(
        error,
        Error::Offline { cause: OfflineCause::Refused, detail: Message::new("cause-connection-refused") }
    );
    assert!(!error.may_have_acted() && error.is_unsent());
    assert_eq!(error.message().id, "printer-error-offline");
}

#[tokio::test]
async fn a_failed_tls_handshake_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("https://{}/", listener.local_addr().expect("address"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        stream
    });
    let error = client(&url).job().start(&RequestOptions::default()).await.expect_err("no TLS");
    assert!(matches!(&error, Error::Offline { cause: OfflineCause::Tls(TlsHandshakeError::NotTls), .. }), "{error:?}");
    let text = error.message().to_string();
    assert!(!text.contains("127.0.0.1"), "{text}");
    server.abort();
}

#[tokio::test]
async fn an_unknown_host_name_sends_nothing() {
    let error = client("http://nobody.invalid/").job().start(&RequestOptions::default()).await.expect_err("no name");
    let detail = Message::new("cause-name-not-found").with("name", "nobody.invalid");
    assert_eq!(error, Error::Offline { cause: OfflineCause::NameNotFound, detail });
    assert!(error.is_unsent());
}

#[tokio::test]
async fn a_blocked_address_is_sent_nothing() {
    let error = client("http://169.254.169.254/").job().get(&RequestOptions::default()).await.expect_err("blocked");
    assert!(matches!(&error, Error::Blocked(_)) && error.is_unsent(), "{error:?}");
}

/// A listener whose queue is full drops further connection attempts, so connecting takes for ever.
#[tokio::test]
async fn a_connection_that_times_out_is_offline() {
    let socket = tokio::net::TcpSocket::new_v4().expect("socket");
    socket.bind("127.0.0.1:0".parse().expect("address")).expect("bind");
    let listener = socket.listen(1).expect("listen");
    let address: SocketAddr = listener.local_addr().expect("address");
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT_TIMEOUT, TcpStream::connect(address)).await {
        waiting.push(stream);
        assert!(waiting.len() < 64, "the queue does not fill");
    }
    let error = client(&format!("http://{address}/")).job().start(&RequestOptions::default()).await.expect_err("none");
    assert_eq!(
        error,
        Error::Offline { cause: OfflineCause::Timeout, detail: Message::new("cause-connection-timed-out") }
    );
}

#[tokio::test]
async fn a_connection_closed_without_a_response_may_have_acted() {
    let error = start_error("").await;
    assert_eq!(error, Error::Lost { detail: Message::new("cause-closed") });
    assert!(error.may_have_acted());
}

#[tokio::test]
async fn a_reset_may_have_acted() {
    let server = StubServer::start(|stream| async move {
        // A close with a linger time of zero sends a reset.
        stream.set_zero_linger().expect("linger");
    })
    .await;
    let error = start_error_on(&server, &RequestOptions::default()).await;
    assert!(matches!(&error, Error::Lost { .. }) && error.may_have_acted(), "{error:?}");
}

#[tokio::test]
async fn a_second_request_on_a_connection_closed_meanwhile_is_not_repeated() {
    let server = StubServer::start(|mut stream| async move {
        let kept = "HTTP/1.1 204 No Content\r\n\r\n";
        let _ = stream.write_all(kept.as_bytes()).await;
        // The server reads the second request of this connection and never replies.
        let mut buffer = [0; 4096];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await;
    })
    .await;
    let client = server.client();
    assert_eq!(client.job().start(&RequestOptions::default()).await, Ok(()));
    let error = client.job().start(&RequestOptions::default()).await.expect_err("closed");
    assert!(matches!(&error, Error::Lost { .. }) && error.may_have_acted(), "{error:?}");
}

#[tokio::test]
async fn silent_and_slow_responses_end_with_the_timeout() {
    let silent = StubServer::start(|stream| async move {
        let _stream = stream;
        pending::<()>().await;
    })
    .await;
    let dripping = StubServer::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let options = RequestOptions::with_timeout(SHORT_TIMEOUT);
    for server in [silent, dripping] {
        let error = server.client().job().get(&options).await.expect_err("a timeout");
        assert_eq!(error, Error::Timeout { after: SHORT_TIMEOUT });
        assert!(error.may_have_acted());
        assert_eq!(error.message(), Message::new("printer-error-timeout").with("seconds", "0.15"));
    }
}

#[tokio::test]
async fn responses_of_other_servers_are_classified() {
    // An OctoPrint that is starting sends this for about 0.3 s.
    let garbage = start_error("Not found").await;
    assert!(matches!(&garbage, Error::Protocol { .. }) && garbage.may_have_acted(), "{garbage:?}");
    let redirect =
        start_error("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(&redirect, Error::Redirected { to } if to.contains("169.254.169.254")), "{redirect:?}");
    for page in [
        get_error(http_response("200 OK", "text/html", "<html>")).await,
        start_error(http_response("200 OK", "text/html", "")).await,
    ] {
        assert!(matches!(&page, Error::Protocol { .. }), "{page:?}");
    }
    for body in ["", "nonsense", "[]", "{}", r#"{"status":"ok"}"#] {
        let error = get_error(http_response("200 OK", "application/json", body)).await;
        assert!(matches!(&error, Error::Protocol { .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_huge_response_is_not_read() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n\r\n";
    assert!(matches!(get_error(announced).await, Error::Protocol { .. }));
    let sent = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b' '; super::request::MAX_RESPONSE + 1]].concat();
    assert!(matches!(get_error(sent).await, Error::Protocol { .. }));
}

#[tokio::test]
async fn a_truncated_response_is_lost() {
    let error = get_error("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"state\":").await;
    assert!(matches!(&error, Error::Lost { .. }), "{error:?}");
}

#[tokio::test]
async fn every_status_maps_to_its_error() {
    let json = "application/json";
    let csrf = http_response("400 BAD REQUEST", json, r#"{"error":"CSRF validation failed"}"#);
    assert_eq!(start_error(csrf).await, Error::Unauthorized);
    assert_eq!(start_error(http_response("403 FORBIDDEN", json, r#"{"error":"no"}"#)).await, Error::Unauthorized);
    let basic = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"farm\"\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(start_error(basic).await, Error::ProxyLogin);
    for (status, kind, body) in [
        ("401 Unauthorized", json, r#"{"message":"no"}"#),
        ("401 Unauthorized", "text/plain", "no"),
        ("403 Forbidden", "text/html", "<html>nginx</html>"),
        ("403 Forbidden", "text/plain", "Forbidden"),
    ] {
        assert_eq!(start_error(http_response(status, kind, body)).await, Error::ProxyLogin, "{status} {kind}");
    }
    let conflict = start_error(http_response("409 CONFLICT", json, r#"{"error":"Printer is not operational"}"#)).await;
    assert_eq!(conflict, Error::Conflict { message: "Printer is not operational".into() });
    let page = start_error(http_response("409 CONFLICT", "text/html", "<html>long</html>")).await;
    assert_eq!(page, Error::Conflict { message: "Conflict".into() });
    assert_eq!(start_error(http_response("404 NOT FOUND", json, "{}")).await, Error::NotFound);
    let wrong = start_error(http_response("400 BAD REQUEST", json, r#"{"error":"command is invalid"}"#)).await;
    assert_eq!(wrong, Error::Refused { status: 400, message: "command is invalid".into() });
    let server = start_error(http_response("502 BAD GATEWAY", "text/html", "<html>")).await;
    assert_eq!(server, Error::Server { status: 502 });
    assert!(server.may_have_acted());
    for certain in [conflict, wrong, Error::NotFound, Error::Unauthorized, Error::ProxyLogin] {
        assert!(!certain.may_have_acted() && !certain.is_unsent(), "{certain:?}");
    }
}
