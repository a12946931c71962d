//! Path traversal: paths must not leave the embedded files, a printer's files, or the folder of an upload.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    raw_http::{BASE_PATH, RawPrinter, send_raw},
    server::{ADMIN_TOKEN, TestServer},
    wait,
};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn static_files_come_only_from_the_binary() {
    let server = TestServer::start().await;
    for path in [
        "..%2f..%2fCargo.toml",
        "..%2fCargo.toml",
        "../Cargo.toml",
        "%2e%2e/Cargo.toml",
        "%2e%2e%2fCargo.toml",
        "%252e%252e%252fCargo.toml",
        "vendor/../../Cargo.toml",
        "vendor/%2e%2e/%2e%2e/Cargo.toml",
        "..%5cCargo.toml",
        "..\\Cargo.toml",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "file:///etc/passwd",
        "..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%c0%ae%c0%ae/Cargo.toml",
        "app.css%00",
        "app.css%00.js",
        "%00",
        "app.css/",
        "app.css/..",
        ".",
        "..",
        "",
        "vendor",
        "~root/.profile",
    ] {
        let got = send_raw(
            &server,
            format!("GET /static/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await;
        let status = got.split(' ').nth(1).unwrap_or_default();
        // 303 redirects to the login, because the path is unknown.
        assert!(matches!(status, "400" | "404" | "303"), "{path}: {got}");
        assert!(!got.contains("[package]") && !got.contains("root:"), "{path}: {got}");
    }
    let existing = send_raw(&server, b"GET /static/app.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(existing.starts_with("HTTP/1.1 200"), "{existing}");
}

/// Returns paths that would reach `api/users/admin` if a part went up one folder.
fn hostile_paths() -> Vec<String> {
    let mut paths = Vec::new();
    for up in [
        "..",
        ".\t.",
        ".\n.",
        ".\r.",
        "\n..",
        "..\t",
        ".\u{0}.",
        "%2e%2e",
        ".%2e",
        "%252e%252e",
        "..\\",
        "\\..\\",
        "..;",
        "..%00",
        "..%2f..",
        "．．",
        "..?",
        "..#",
        "./..",
    ] {
        paths.push(format!("{up}/{up}/users/admin"));
        paths.push(format!("a/{up}/{up}/{up}/users/admin"));
        paths.push(format!("{up}/job"));
    }
    paths.extend(
        [
            "/api/users/admin",
            "//evil.example/x",
            "http://evil.example/x",
            "\\\\evil.example\\x",
            "C:\\x",
            ".",
            "..",
            "/",
            "\0",
            "?command=x",
            "#x",
        ]
        .map(str::to_owned),
    );
    paths
}

/// Whether Printyard sends this request without a user's command.
fn is_routine(method: &str, path: &str) -> bool {
    matches!(
        (method, path),
        (
            "GET",
            "/api/version"
                | "/api/job"
                | "/api/printer"
                | "/api/printer/error"
                | "/api/files"
                | "/api/settings"
                | "/sockjs/websocket"
        ) | ("POST", "/api/login" | "/api/files/local")
    )
}

/// Checks that the target stays below the printer's files, both for servers that normalize paths first and for servers
/// that decode them first.
fn check_target(method: &str, target: &str) {
    let normalized = url::Url::parse(&format!("http://x{target}")).expect("a target");
    let path = target.split('?').next().unwrap_or_default();
    assert_eq!(normalized.path(), path, "a path that changes when it is normalized");
    let path = path.strip_prefix(BASE_PATH).unwrap_or_else(|| panic!("outside the printer's path: {method} {target}"));
    if is_routine(method, path) {
        return;
    }
    let file = path.strip_prefix("/api/files/").unwrap_or_else(|| panic!("another endpoint: {method} {target}"));
    assert!(file.split('/').count() >= 2 && file.split('/').all(|part| !part.is_empty()), "{method} {target}");
    for part in file.split('/') {
        let decoded = percent_encoding::percent_decode_str(part).decode_utf8().expect("UTF-8");
        assert!(!matches!(&*decoded, "." | "..") && !decoded.contains(char::is_control), "{method} {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_a_file_reaches_no_other_endpoint_of_its_printer() {
    let (server, printer) = (TestServer::start().await, RawPrinter::start().await);
    let id = printer.register(&server).await;
    server.until_online(&id).await;
    let session = server.open_session(ADMIN_TOKEN).await;
    let form =
        |pairs: &[(&str, &str)]| url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    for path in hostile_paths() {
        // In the body of an API request.
        for body in [json!({"path": path}), json!({"path": "x", "origin": path}), json!({"path": path, "origin": ".."})]
        {
            let (status, answer, _) = server.post(&format!("/api/v1/printers/{id}/files/select"), body.clone()).await;
            assert!([204, 422].contains(&status.as_u16()), "{body}: {answer}");
        }
        // In the URL: unchanged, and encoded in two ways.
        let whole = percent_encoding::percent_encode(path.as_bytes(), percent_encoding::NON_ALPHANUMERIC).to_string();
        let plain = whole.replace("%2E", ".").replace("%2F", "/");
        let visible: String = path.chars().filter(|c| c.is_ascii_graphic()).collect();
        for path in [visible, whole.clone(), plain] {
            for target in [format!("local/{path}"), format!("{path}/x"), format!("../files/local/{path}")] {
                let line =
                    format!("DELETE /api/v1/printers/{id}/files/{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
                let got =
                    send_raw(&server, format!("{line}Authorization: Bearer {ADMIN_TOKEN}\r\n\r\n").as_bytes()).await;
                let status = got.split(' ').nth(1).unwrap_or_default();
                assert!(matches!(status, "204" | "400" | "404" | "405" | "422"), "{target}: {got}");
            }
        }
        // In a form of the dashboard.
        for fields in [[("path", path.as_str()), ("origin", "local")], [("path", "x"), ("origin", path.as_str())]] {
            let request = server
                .request_without_auth(reqwest::Method::POST, &format!("/printers/{id}/select"))
                .body(form(&fields));
            let request = request.header("Cookie", format!("printyard_session={session}"));
            let status = request.header("Sec-Fetch-Site", "same-origin").send().await.expect("an answer").status();
            assert!([303, 400, 422].contains(&status.as_u16()), "{fields:?}: {status}");
        }
    }
    // In a batch. Each batch must end before the next one, because a printer has one command in flight.
    for path in hostile_paths() {
        let body = json!({"command": "start", "select": {"printer_ids": [id]}, "file": {"path": path},
            "plate": "assume_clear", "reason": "the test", "confirm_within_s": 1, "expires_in_s": 5});
        let (status, batch, _) = server.post("/api/v1/batches", body.clone()).await;
        if status == 422 {
            continue;
        }
        assert_eq!(status, 202, "{body}: {batch}");
        let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
        wait::until("the batch has ended", SOON, async || {
            let (_, batch, _) = server.get(&path).await;
            if batch["result"] == Value::Null { Err(batch) } else { Ok(()) }
        })
        .await;
    }
    // A harmless unusual name proves that the test would see a request.
    let odd = json!({"path": "a b/ü?#%2e.gcode"});
    assert_eq!(server.post(&format!("/api/v1/printers/{id}/files/select"), odd).await.0, 204);
    let lines: Vec<(String, String)> = printer.received().iter().map(|got| got.method_and_target()).collect();
    let arrived = format!("{BASE_PATH}/api/files/local/a%20b/%C3%BC%3F%23%252e.gcode");
    assert!(lines.contains(&("POST".to_owned(), arrived)), "{lines:?}");
    assert!(lines.iter().any(|(method, _)| method == "DELETE"), "the printer received no deletion");
    for (method, target) in &lines {
        check_target(method, target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_stays_in_its_folder_and_leads_to_no_other_on_the_printer() {
    let (server, printer) = (TestServer::start().await, RawPrinter::start().await);
    let id = printer.register(&server).await;
    let mark = uuid::Uuid::now_v7().simple().to_string();
    let temporary = std::env::temp_dir();
    let names = [
        format!("../{mark}.gcode"),
        format!("../../../../../../../../{mark}.gcode"),
        format!("/{mark}.gcode"),
        format!("{}/{mark}.gcode", temporary.display()),
        format!("..\\..\\{mark}.gcode"),
        format!("a/../../{mark}.gcode"),
        "..".to_owned(),
        ".".to_owned(),
        String::new(),
        "../".to_owned(),
    ];
    let upload = async |name: &str, folder: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\n{folder}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\nG28\r\n--b--\r\n"
        );
        let request = server.request(reqwest::Method::POST, &format!("/api/v1/printers/{id}/files"));
        let request = request.header("Content-Type", "multipart/form-data; boundary=b").body(body);
        request.send().await.expect("an answer").status().as_u16()
    };
    for name in &names {
        let status = upload(name, "").await;
        assert!([201, 400, 422].contains(&status), "{name}: {status}");
    }
    for folder in ["..", "../..", "a/../b", ".\t.", ".\n./.\n.", "a/.\r./b"] {
        assert_eq!(upload("a.gcode", folder).await, 422, "{folder:?}");
        let encoded: String = url::form_urlencoded::byte_serialize(folder.as_bytes()).collect();
        let request = server.request(reqwest::Method::POST, &format!("/api/v1/printers/{id}/files?path={encoded}"));
        let status = request.header("Content-Type", "multipart/form-data; boundary=b").body("--b--\r\n").send().await;
        assert_eq!(status.expect("an answer").status(), 422, "{folder:?}");
    }
    let here = std::env::current_dir().expect("a folder");
    let places = [temporary.as_path(), temporary.parent().unwrap_or(&temporary), std::path::Path::new("/"), &here];
    for place in places {
        assert!(!place.join(format!("{mark}.gcode")).exists(), "{}", place.display());
    }
    let uploads: Vec<_> =
        printer.received().into_iter().filter(|got| got.method_and_target().1.ends_with("/api/files/local")).collect();
    assert!(!uploads.is_empty(), "the printer received no upload");
    for got in uploads {
        let body = String::from_utf8_lossy(&got.body).into_owned();
        let names = body.lines().filter_map(|line| line.split("filename=").nth(1));
        for name in names {
            assert!(!name.contains(['/', '\\']) && !name.contains(".."), "{body}");
        }
        assert!(!body.contains("name=\"path\""), "{body}");
    }
}
