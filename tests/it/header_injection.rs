//! Header injection: no text from outside may become a header of a response or of a request to a printer. Uses raw
//! sockets, because every HTTP library corrects the bytes before a test can see them.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    raw_http::{RawPrinter, ReceivedRequest, send_raw_bytes},
    server::{ADMIN_TOKEN, TestServer},
    wait,
};

const SOON: Duration = Duration::from_secs(30);
/// The header that must never appear.
const SMUGGLED: &str = "x-smuggled";
/// Every header that Printyard sends to a printer.
const PRINTER_HEADERS: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
    "x-api-key",
];

/// Texts that end a header, a head or a response if they are inserted without a check.
fn injection_texts() -> Vec<String> {
    let ends = [
        "\r\n",
        "\n",
        "\r",
        "\u{0}\r\n",
        "\r\n\r\nHTTP/1.1 200 OK\r\n",
        "\u{85}",
        "\u{2028}",
        "\u{b}",
        "\u{560d}\u{560a}",
    ];
    let mut texts: Vec<String> = ends.iter().map(|end| format!("a{end}X-Smuggled: 1{end}")).collect();
    texts.push(format!("ü\u{202e}😀{}", "X-Smuggled: 1".repeat(2_000)));
    texts
}

/// Parses bytes as exactly one response, and checks its head.
fn check_response(bytes: &[u8], case: &str) {
    if bytes.is_empty() {
        // The server closed the connection without a response, so nothing was injected.
        return;
    }
    let at = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {case}"));
    let (head, body) = (&bytes[..at], &bytes[at + 4..]);
    check_head(head, case);
    let text = String::from_utf8_lossy(head).to_lowercase();
    assert!(text.starts_with("http/1.1 "), "{case}: {text}");
    // The request has `Connection: close`. Bytes after the body would be a second response.
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    match length {
        Some(length) => assert_eq!(body.len(), length, "{case}: {text}"),
        None => assert!(body.is_empty() || text.contains("transfer-encoding: chunked"), "{case}: {text}"),
    }
}

/// Lines must end in CRLF, must have no control characters, and must not be the injected header.
fn check_head(head: &[u8], case: &str) {
    let text = String::from_utf8_lossy(head);
    for line in text.split("\r\n") {
        assert!(!line.contains(char::is_control), "{case}: {line:?}");
        assert!(!line.to_lowercase().starts_with(SMUGGLED), "{case}: {line:?}");
    }
}

/// Checks that a request to a printer has only the allowed headers.
fn check_request(got: &ReceivedRequest, case: &str) {
    check_head(&got.head, case);
    let text = String::from_utf8_lossy(&got.head).to_lowercase();
    let mut lines = text.split("\r\n");
    let first = lines.next().expect("a line");
    assert!(first.is_ascii() && first.split(' ').count() == 3, "{case}: {first}");
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{case}: {line}"));
        assert!(PRINTER_HEADERS.contains(&name), "{case}: {line}");
        assert!(!value.contains("smuggled"), "{case}: {line}");
    }
}

/// Returns the bytes of a request. `fields` are header lines.
fn build_request(line: &str, fields: &[u8], body: &str) -> Vec<u8> {
    let mut bytes =
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(fields);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

fn bearer_header() -> String {
    format!("Authorization: Bearer {ADMIN_TOKEN}\r\n")
}

fn json_headers() -> Vec<u8> {
    format!("{}Content-Type: application/json\r\n", bearer_header()).into_bytes()
}

fn parse_status(bytes: &[u8]) -> u16 {
    String::from_utf8_lossy(bytes).split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_becomes_a_header_of_a_response_or_printer_request() {
    let (server, printer) = (TestServer::start().await, RawPrinter::start().await);
    let id = printer.register(&server).await;
    server.until_online(&id).await;
    for text in injection_texts() {
        let short: String = text.chars().take(90).collect();
        let bodies = [
            ("POST /api/v1/printers", json!({"name": short, "url": "http://127.0.0.1:1", "enabled": false})),
            (
                "POST /api/v1/printers",
                json!({"name": "x", "url": format!("http://127.0.0.1:1/{text}"), "enabled": false}),
            ),
            (
                "POST /api/v1/printers",
                json!({"name": "x", "url": "http://127.0.0.1:2", "api_key": text, "enabled": false}),
            ),
            (
                "POST /api/v1/printers",
                json!({"name": "x", "url": "http://127.0.0.1:3", "tags": [text], "notes": text, "enabled": false}),
            ),
            ("POST /api/v1/printers/test", json!({"url": format!("{}/{text}", printer.url), "api_key": text})),
            ("POST /api/v1/tokens", json!({"name": short, "role": "viewer"})),
            ("POST /api/v1/users", json!({"name": short, "role": "viewer"})),
            (
                "POST /api/v1/batches",
                json!({"command": "pause", "select": {"printer_ids": [id]}, "reason": text, "external_ref": text}),
            ),
            (
                "POST /api/v1/batches",
                json!({"command": "start", "select": {"printer_ids": [id]}, "file": {"path": text}}),
            ),
            (
                "POST /api/v1/batches",
                json!({"command": "start", "select": {"printer_ids": [id]}, "file": {"path": "a.gcode", "origin": text}}),
            ),
        ];
        for (line, body) in bodies {
            let bytes = send_raw_bytes(&server, &build_request(line, &json_headers(), &body.to_string())).await;
            check_response(&bytes, &format!("{line} {body}"));
            assert!(parse_status(&bytes) < 500, "{line} {body}: {}", String::from_utf8_lossy(&bytes));
        }
        let select = format!("POST /api/v1/printers/{id}/files/select");
        for body in [json!({"path": short}), json!({"path": text}), json!({"path": "a.gcode", "origin": short})] {
            check_response(
                &send_raw_bytes(&server, &build_request(&select, &json_headers(), &body.to_string())).await,
                &body.to_string(),
            );
        }
        let encoded = percent_encoding::percent_encode(text.as_bytes(), percent_encoding::NON_ALPHANUMERIC).to_string();
        for line in [
            format!("DELETE /api/v1/printers/{id}/files/local/{encoded}"),
            format!("DELETE /api/v1/printers/{id}/files/{encoded}/a.gcode"),
            format!("GET /api/v1/printers?q={encoded}&cursor={encoded}"),
            format!("GET /login?next=/{encoded}"),
            format!("GET /{encoded}"),
            format!("GET /static/{encoded}"),
            format!("GET /setup?key={encoded}"),
        ] {
            check_response(
                &send_raw_bytes(&server, &build_request(&line, bearer_header().as_bytes(), "")).await,
                &line,
            );
        }
    }
    let got = printer.received();
    assert!(got.iter().any(|got| got.method_and_target().0 == "POST"), "the printer received no POST");
    for got in &got {
        check_request(got, &String::from_utf8_lossy(&got.head));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_redirects_only_to_a_local_path() {
    let server = TestServer::start().await;
    for text in injection_texts() {
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let form = format!("token={ADMIN_TOKEN}&next=/{encoded}");
        let login =
            send_raw_bytes(&server, &build_request("POST /login", b"Sec-Fetch-Site: same-origin\r\n", &form)).await;
        check_response(&login, &form);
        let login = String::from_utf8_lossy(&login).into_owned();
        assert!(login.contains("\r\nlocation: /\r\n"), "{login}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_break_in_a_one_line_field_is_refused_with_its_name() {
    let server = TestServer::start().await;
    let printer = |field: &str, value: Value| {
        let mut body = json!({"name": "x", "url": "http://127.0.0.1:1", "enabled": false});
        body[field] = value;
        ("/api/v1/printers", body)
    };
    let batch = |field: &str, value: Value| {
        let mut body = json!({"command": "start", "select": {"printer_ids": [uuid::Uuid::nil()]}});
        body[field] = value;
        ("/api/v1/batches", body)
    };
    for text in ["a\r\nX-Smuggled: 1", "a\nb", "a\tb", "a\rb", "a\u{0}b", "a\u{85}b"] {
        for ((path, body), pointer) in [
            (printer("name", json!(text)), "/name"),
            (printer("tags", json!([text])), "/tags/0"),
            (printer("model", json!(text)), "/model"),
            (printer("material", json!(text)), "/material"),
            (printer("power_group", json!(text)), "/power_group"),
            (printer("api_key", json!(text)), "/api_key"),
            (batch("file", json!({"path": text})), "/file/path"),
            (batch("file", json!({"path": "a", "origin": text})), "/file/origin"),
            (batch("expected_job", json!({"path": text})), "/expected_job/path"),
            (batch("external_ref", json!(text)), "/external_ref"),
            (("/api/v1/tokens", json!({"name": text, "role": "viewer"})), "/name"),
            (("/api/v1/users", json!({"name": text, "role": "viewer"})), "/name"),
        ] {
            let (status, answer, _) = server.post(path, body.clone()).await;
            assert_eq!(
                (status, &answer["errors"][0]["pointer"]),
                (StatusCode::UNPROCESSABLE_ENTITY, &json!(pointer)),
                "{body}"
            );
        }
    }
    // A text with several lines stays valid.
    let (path, body) = printer("notes", json!("belt is worn\nnozzle: 0.4\t(new)"));
    assert_eq!(server.post(path, body).await.0, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_header_becomes_a_response_header() {
    let server = TestServer::start().await;
    let names = [
        "X-Request-Id",
        "User-Agent",
        "traceparent",
        "Accept",
        "Prefer",
        "If-Match",
        "X-Forwarded-For",
        "Origin",
        "Cookie",
        "Idempotency-Key",
    ];
    let values: [&[u8]; 9] = [
        b"a\rX-Smuggled: 1",
        b"a\nX-Smuggled: 1",
        b"a\0X-Smuggled: 1",
        b"a\r\n X-Smuggled: 1",
        b"a\x0bX-Smuggled: 1",
        b"\xff\xfe\x85X-Smuggled: 1",
        "ä\u{560d}\u{560a}X-Smuggled: 1".as_bytes(),
        b"\x7f",
        &[b'a'; 9_000],
    ];
    for name in names {
        for value in values {
            let mut fields = bearer_header().into_bytes();
            fields.extend_from_slice(format!("{name}: ").as_bytes());
            fields.extend_from_slice(value);
            fields.extend_from_slice(b"\r\n");
            for line in ["GET /api/v1/me", "GET /login", "GET /nowhere"] {
                let case = format!("{line} {name}: {}", value.escape_ascii());
                check_response(&send_raw_bytes(&server, &build_request(line, &fields, "")).await, &case);
            }
        }
    }
    // Proxies disagree about requests with two lengths, or with a length and chunks.
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
    ] {
        let bytes = format!(
            "POST /login HTTP/1.1\r\nHost: x\r\n{fields}\r\nhelloGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        let answer = send_raw_bytes(&server, bytes.as_bytes()).await;
        assert_eq!(parse_status(&answer), 400, "{fields:?}: {}", String::from_utf8_lossy(&answer));
        assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1").count(), 1, "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_camera_content_type_becomes_a_header() {
    let (server, printer) = (TestServer::start().await, RawPrinter::start().await);
    let id = printer.register(&server).await;
    for kind in [
        "image/jpeg\tX-Smuggled: 1",
        "image/jpeg;\u{e9}",
        "image/x\r X-Smuggled: 1",
        "image/x\r\n X-Smuggled: 1",
        "image/\u{0}",
        "image/png\r\nX-Smuggled: 1",
        &format!("image/{}", "x".repeat(20_000)),
    ] {
        printer.set_picture(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Disposition: inline; filename=X-Smuggled\r\nContent-Length: 3\r\n\r\njpg"));
        let line = format!("GET /api/v1/printers/{id}/snapshot");
        let answer = send_raw_bytes(&server, &build_request(&line, bearer_header().as_bytes(), "")).await;
        check_response(&answer, kind);
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(!head.contains("content-disposition"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_name_adds_no_multipart_part() {
    let (server, printer) = (TestServer::start().await, RawPrinter::start().await);
    let id = printer.register(&server).await;
    let names = [
        "a\\\"; name=\\\"path.gcode",
        "a;name=path.gcode",
        "ü😀.gcode",
        "a%0d%0aX-Smuggled: 1.gcode",
        "a\r\n X-Smuggled: 1.gcode",
        "a\u{85}b.gcode",
        &format!("{}.gcode", "x".repeat(2_000)),
    ];
    for name in names {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\nG28\r\n--b--\r\n"
        );
        let fields = format!("{}Content-Type: multipart/form-data; boundary=b\r\n", bearer_header());
        let answer = send_raw_bytes(
            &server,
            &build_request(&format!("POST /api/v1/printers/{id}/files"), fields.as_bytes(), &body),
        )
        .await;
        check_response(&answer, name);
        assert!([201, 400, 422].contains(&parse_status(&answer)), "{name}: {}", String::from_utf8_lossy(&answer));
    }
    let uploads =
        || printer.received().into_iter().filter(|got| got.method_and_target().1.ends_with("/api/files/local"));
    wait::until("the printer has received an upload", SOON, async || uploads().count() >= 3).await;
    for got in uploads() {
        check_request(&got, "an upload");
        let body = String::from_utf8_lossy(&got.body).into_owned();
        let heads = body.lines().filter(|line| line.to_lowercase().starts_with("content-disposition"));
        let names: Vec<&str> = heads.map(|line| line.split(';').nth(1).unwrap_or_default().trim()).collect();
        assert_eq!(names, ["name=\"select\"", "name=\"print\"", "name=\"file\""], "{body}");
        assert!(!body.to_lowercase().lines().any(|line| line.starts_with(SMUGGLED)), "{body}");
    }
}
