//! The proxy that most people have: nginx with a login before a real OctoPrint.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::{Method, StatusCode, multipart};
use serde_json::json;

use super::{merged, settings, test};
use crate::support::{
    needs,
    octoprint::{OctoPrintInstance, Version},
    port, provided,
    server::{TestServer, answer},
    wait,
};

/// A process that ends with the test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An nginx before an OctoPrint, as its documentation recommends it, with the login and the token of `settings`.
fn nginx(program: &str, folder: &Path, port: u16, upstream: &str) -> Nginx {
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;
        events {{}}
        http {{
            access_log off; client_max_body_size 0;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
            server {{
                listen 127.0.0.1:{port};
                auth_basic \"farm\"; auth_basic_user_file users;
                location / {{
                    if ($http_x_access_token != 'front-token-1') {{ return 403; }}
                    proxy_pass {upstream}/; proxy_http_version 1.1;
                    proxy_set_header Host $http_host; proxy_set_header Authorization '';
                    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
                }}
            }}
        }}"
    );
    std::fs::write(folder.join("nginx.conf"), config).expect("written");
    std::fs::write(folder.join("users"), "ann:{PLAIN}front-password-1\n").expect("written");
    let folder = folder.to_str().expect("a path as text");
    let mut command = Command::new(program);
    command.args(["-p", folder, "-c", "nginx.conf", "-e", "stderr"]).stderr(Stdio::null()).stdout(Stdio::null());
    Nginx(command.spawn().expect("nginx starts"))
}

async fn a_real_octoprint_works_behind_nginx(version: Version) {
    let program = needs!(provided("PRINTYARD_TEST_NGINX", "nginx"));
    let octoprint = needs!(OctoPrintInstance::start(version).await);
    let (folder, port) = (tempfile::tempdir().expect("a folder"), port::free());
    let _nginx = nginx(&program, folder.path(), port, &octoprint.url);
    let server = TestServer::start().await;
    let target = json!({"url": format!("127.0.0.1:{port}/#temp"), "api_key": octoprint.api_key});
    wait::until("nginx asks for a login", Duration::from_secs(20), async || {
        let report = test(&server, target.clone()).await;
        if report["code"] == "proxy_login" { Ok(()) } else { Err(report) }
    })
    .await;
    let wrong = merged(target.clone(), &json!({"proxy_auth": {"user": "ann", "password": "wrong"}}));
    assert_eq!(test(&server, wrong).await["code"], "proxy_refused");
    let report = test(&server, merged(target.clone(), &settings())).await;
    assert_eq!((&report["ok"], &report["user"]), (&json!(true), &json!("admin")), "{report}");

    let body = merged(merged(target, &settings()), &json!({"name": "nginx"}));
    let (status, made, _) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/api/v1/printers/{}", made["id"].as_str().expect("an id"));
    wait::until("events come by the socket", Duration::from_secs(30), async || {
        let (_, body, _) = server.get(&path).await;
        if body["status"]["channel"] == "push" { Ok(()) } else { Err(body["status"].clone()) }
    })
    .await;
    let file = multipart::Part::bytes(b"G4 P1\n".repeat(2_000)).file_name("wait.gcode");
    let upload =
        server.request(Method::POST, &format!("{path}/files")).multipart(multipart::Form::new().part("file", file));
    let (status, body, _) = answer(upload).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let start = json!({"command": "start", "file": {"path": "wait.gcode", "origin": "local"}});
    for command in [start, json!({"command": "cancel"})] {
        let (status, row, _) = server.post_and_wait(&format!("{path}/job"), command).await;
        assert_eq!((status, &row["effect"]), (StatusCode::OK, &json!("done")), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn octoprint_1_works_behind_nginx() {
    a_real_octoprint_works_behind_nginx(Version::V1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn octoprint_2_works_behind_nginx() {
    a_real_octoprint_works_behind_nginx(Version::V2).await;
}
