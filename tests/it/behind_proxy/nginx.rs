//! A real OctoPrint behind nginx with a login, which is the most common proxy.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Method, StatusCode, multipart};
use serde_json::json;
use tokio::net::TcpListener;

use super::{merge, proxy_settings, test_printer};
use crate::support::{
    env_or_skip, needs,
    octoprint::{OctoPrintInstance, OctoPrintVersion},
    port,
    server::{TestServer, send_request},
    wait,
};

/// An nginx process that is killed on drop.
struct NginxProcess(Child);

impl Drop for NginxProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts an nginx with these `server` blocks.
fn start_nginx(program: &str, folder: &Path, servers: &str) -> NginxProcess {
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;
        events {{}}
        http {{
            access_log off; client_max_body_size 0;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
            proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Authorization '';
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
            {servers}
        }}"
    );
    std::fs::write(folder.join("nginx.conf"), config).expect("written");
    let folder = folder.to_str().expect("a path as text");
    let mut command = Command::new(program);
    command.args(["-p", folder, "-c", "nginx.conf", "-e", "stderr"]).stderr(Stdio::null()).stdout(Stdio::null());
    NginxProcess(command.spawn().expect("nginx starts"))
}

/// Returns the `server` block that OctoPrint's documentation recommends, with the login and the token of `settings`.
fn login_server_block(folder: &Path, port: u16, upstream: &str) -> String {
    std::fs::write(folder.join("users"), "ann:{PLAIN}front-password-1\n").expect("written");
    format!(
        "server {{
            listen 127.0.0.1:{port};
            auth_basic \"farm\"; auth_basic_user_file users;
            location / {{
                if ($http_x_access_token != 'front-token-1') {{ return 403; }}
                proxy_pass {upstream}/;
            }}
        }}"
    )
}

async fn a_real_octoprint_works_behind_nginx(version: OctoPrintVersion) {
    let program = needs!(env_or_skip("PRINTYARD_TEST_NGINX", "nginx"));
    let octoprint = needs!(OctoPrintInstance::start(version).await);
    let (folder, port) = (tempfile::tempdir().expect("a folder"), port::pick_free_port());
    let _nginx = start_nginx(&program, folder.path(), &login_server_block(folder.path(), port, &octoprint.url));
    let server = TestServer::start().await;
    let target = json!({"url": format!("127.0.0.1:{port}/#temp"), "api_key": octoprint.api_key});
    wait::until("nginx asks for a login", Duration::from_secs(20), async || {
        let report = test_printer(&server, target.clone()).await;
        if report["code"] == "proxy_login" { Ok(()) } else { Err(report) }
    })
    .await;
    let wrong = merge(target.clone(), &json!({"proxy_auth": {"user": "ann", "password": "wrong"}}));
    assert_eq!(test_printer(&server, wrong).await["code"], "proxy_refused");
    let report = test_printer(&server, merge(target.clone(), &proxy_settings())).await;
    assert_eq!((&report["ok"], &report["user"]), (&json!(true), &json!("admin")), "{report}");

    let body = merge(merge(target, &proxy_settings()), &json!({"name": "nginx"}));
    let (status, made, _) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/api/v1/printers/{}", made["id"].as_str().expect("an id"));
    wait::until("the event socket is open", Duration::from_secs(30), async || {
        let (_, body, _) = server.get(&path).await;
        if body["status"]["channel"] == "push" { Ok(()) } else { Err(body["status"].clone()) }
    })
    .await;
    let file = multipart::Part::bytes(b"G4 P1\n".repeat(2_000)).file_name("wait.gcode");
    let upload =
        server.request(Method::POST, &format!("{path}/files")).multipart(multipart::Form::new().part("file", file));
    let (status, body, _) = send_request(upload).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let start = json!({"command": "start", "file": {"path": "wait.gcode", "origin": "local"}});
    for command in [start, json!({"command": "cancel"})] {
        let (status, row, _) = server.post_and_wait(&format!("{path}/job"), command).await;
        assert_eq!((status, &row["effect"]), (StatusCode::OK, &json!("done")), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn octoprint_1_works_behind_nginx() {
    a_real_octoprint_works_behind_nginx(OctoPrintVersion::V1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn octoprint_2_works_behind_nginx() {
    a_real_octoprint_works_behind_nginx(OctoPrintVersion::V2).await;
}

/// Starts a server for event sockets that accepts each one and closes it at once, or never replies. Returns its port.
async fn start_socket_server(accepts: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            if accepts {
                drop(tokio_tungstenite::accept_async(stream).await);
            } else {
                silent.push(stream);
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn commands_are_confirmed_when_nginx_blocks_the_event_socket() {
    let program = needs!(env_or_skip("PRINTYARD_TEST_NGINX", "nginx"));
    let octoprint = needs!(OctoPrintInstance::start(OctoPrintVersion::V1).await);
    let (folder, server) = (tempfile::tempdir().expect("a folder"), TestServer::start().await);
    let [closing, silent] = [start_socket_server(true).await, start_socket_server(false).await];
    let proxies = [
        ("return 401;".to_owned(), "socket_refused", "The event socket is refused."),
        (format!("proxy_pass http://127.0.0.1:{closing};"), "socket_lost", "The event socket was closed"),
        (format!("proxy_pass http://127.0.0.1:{silent};"), "socket_lost", "or does not reply."),
    ]
    .map(|(sockets, code, sentence)| (port::pick_free_port(), sockets, code, sentence));
    let servers = proxies.each_ref().map(|(port, sockets, ..)| {
        let upstream = &octoprint.url;
        format!(
            "server {{ listen 127.0.0.1:{port}; location /sockjs/ {{ {sockets} }}
            location / {{ proxy_pass {upstream}; }} }}"
        )
    });
    let _nginx = start_nginx(&program, folder.path(), &servers.concat());
    octoprint.upload("wait.gcode", "G4 P100\n".repeat(5_000), false).await;
    let mut ids = Vec::new();
    for (number, (port, ..)) in proxies.iter().enumerate() {
        let url = format!("http://127.0.0.1:{port}");
        let body = json!({"name": format!("P{number}"), "url": url, "api_key": octoprint.api_key});
        let (status, made, _) = server.post("/api/v1/printers", body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        ids.push(made["id"].as_str().expect("an id").to_owned());
    }
    let session = server.open_session(&server.create_token("viewer").await).await;
    for (id, (_, sockets, code, sentence)) in ids.iter().zip(&proxies) {
        wait::until(&format!("{sockets}: polled, with the cause"), Duration::from_secs(30), async || {
            let status = server.get(&format!("/api/v1/printers/{id}")).await.1["status"].take();
            let is_polled = status["reachability"] == "online" && status["channel"] == "poll";
            if is_polled && status["channel_error"]["code"] == *code { Ok(()) } else { Err(status) }
        })
        .await;
        let page = server.request_without_auth(Method::GET, &format!("/printers/{id}"));
        let page = page.header("Cookie", format!("printyard_session={session}")).send().await.expect("a page");
        let page = page.text().await.expect("a text");
        assert!(page.contains(sentence) && page.contains("The printer is polled instead."), "{sockets}: {page}");
    }
    let start = json!({
        "command": "start", "file": {"path": "wait.gcode", "origin": "local"},
        "plate": "assume_clear", "reason": "a test",
    });
    let dry = merge(start.clone(), &json!({"select": {"printer_ids": ids}, "dry_run": true}));
    let (_, dry, _) = server.post("/api/v1/batches", dry).await;
    let rows = dry["commands"].as_array().expect("rows");
    assert!(rows.len() == 3 && rows.iter().all(|row| row["would"] == "send"), "{dry}");
    for (id, (_, sockets, ..)) in ids.iter().zip(&proxies) {
        for command in [start.clone(), json!({"command": "pause"}), json!({"command": "cancel"})] {
            let (_, row, _) = server.post_and_wait(&format!("/api/v1/printers/{id}/job"), command).await;
            assert_eq!(row["outcome"], "confirmed", "{sockets}: {row}");
        }
    }
    octoprint.until_state("Operational", Duration::from_secs(10)).await;
}
