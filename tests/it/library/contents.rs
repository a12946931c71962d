//! Uploads to the library: names for contents, stored once, within a quota.

use std::{fs, io::Cursor, path::Path};

use image::{ImageFormat, RgbaImage};
use printyard::config::RawConfig;
use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::sample_gcode;
use crate::{
    api::problems::assert_problem,
    support::server::{ServerOptions, TestServer, send_request},
};

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stored_contents(server: &TestServer) -> Vec<String> {
    let entries = fs::read_dir(server.data_dir().join("files")).expect("the folder of contents");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

fn count_files(folder: &Path) -> usize {
    fs::read_dir(folder).expect("a folder").count()
}

#[tokio::test]
async fn an_upload_is_stored_under_its_hash_and_says_what_the_slicer_said() {
    let server = TestServer::start().await;
    let content = sample_gcode("bracket", 100);
    let (status, file, headers) = server.upload_file("parts/left", "bracket.gcode", content.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{file}");
    let id = file["id"].as_str().expect("an id");
    assert_eq!(headers["location"].to_str().ok(), Some(format!("/api/v1/files/{id}").as_str()));
    assert_eq!(headers["etag"].to_str().ok(), Some("\"v1\""));
    for (field, expected) in [
        ("name", json!("bracket.gcode")),
        ("folder", json!("parts/left")),
        ("size", json!(content.len())),
        ("sha256", json!(sha256(&content))),
        ("format", json!("gcode")),
        ("analysis", json!("done")),
        ("slicer", json!({"name": "PrusaSlicer", "version": "2.8.0"})),
        ("printer_model", json!("MK4")),
        ("nozzle_mm", json!([0.4])),
        ("layer_height_mm", json!(0.2)),
        ("estimated_print_time_s", json!(3_723)),
        ("overrides", json!({})),
    ] {
        assert_eq!(file[field], expected, "{field}");
    }
    assert_eq!(file["tools"][0]["material"], "PETG");
    assert_eq!(file["tools"][0]["filament_g"], 3.7);
    assert_eq!(stored_contents(&server), [sha256(&content)]);
    assert_eq!(count_files(&server.data_dir().join("uploads")), 0, "no temporary file is left");
    let stored = fs::read(server.data_dir().join("files").join(sha256(&content))).expect("the content");
    assert_eq!(stored, content);
    assert_eq!(server.get(&format!("/api/v1/files/{id}")).await.1, file);
}

#[tokio::test]
async fn a_content_is_stored_once_and_a_name_takes_a_new_content() {
    let server = TestServer::start().await;
    let (first, second) = (sample_gcode("first", 10), sample_gcode("second", 20));
    let (_, file, _) = server.upload_file("", "a.gcode", first.clone()).await;
    let (status, again, _) = server.upload_file("", "a.gcode", first.clone()).await;
    assert_eq!((status, &again), (StatusCode::OK, &file));
    let (status, other, _) = server.upload_file("", "b.gcode", first.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_ne!(other["id"], file["id"]);
    assert_eq!(stored_contents(&server).len(), 1);
    let (status, sliced_again, _) = server.upload_file("", "a.gcode", second.clone()).await;
    assert_eq!((status, &sliced_again["id"]), (StatusCode::CREATED, &file["id"]));
    assert_eq!((&sliced_again["sha256"], &sliced_again["version"]), (&json!(sha256(&second)), &json!(2)));
    assert_eq!(stored_contents(&server).len(), 2);
    let (_, list, _) = server.get(&format!("/api/v1/files?sha256={}", sha256(&first))).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
}

#[tokio::test]
async fn an_upload_with_an_idempotency_key_is_known_by_its_content() {
    let server = TestServer::start().await;
    let upload = async |name: &'static str, content: &[u8]| {
        let file = Part::bytes(content.to_vec()).file_name(name);
        let request = server.request(Method::POST, "/api/v1/files").header("Idempotency-Key", "MO/1-file");
        send_request(request.multipart(Form::new().part("file", file))).await
    };
    let (first, second) = (sample_gcode("a", 10), sample_gcode("b", 10));
    assert_eq!(first.len(), second.len());
    let (status, file, headers) = upload("a.gcode", &first).await;
    assert_eq!((status, headers.get("idempotent-replayed")), (StatusCode::CREATED, None), "{file}");
    let (status, again, headers) = upload("a.gcode", &first).await;
    assert_eq!((status, &again), (StatusCode::CREATED, &file));
    assert_eq!(headers["idempotent-replayed"].to_str().ok(), Some("true"));
    assert_problem(&upload("a.gcode", &second).await, 422, "idempotency_key_reused");
    assert_problem(&upload("b.gcode", &first).await, 422, "idempotency_key_reused");
    assert_eq!(server.get("/api/v1/files").await.1["items"].as_array().map(Vec::len), Some(1));
    let body = json!({"name": "erp", "role": "operator", "require_idempotency_key": true});
    let token = server.post("/api/v1/tokens", body).await.1["token"].as_str().expect("a token").to_owned();
    let request = server.request_without_auth(Method::POST, "/api/v1/files").bearer_auth(token);
    let refused =
        send_request(request.multipart(Form::new().part("file", Part::bytes(second).file_name("c.gcode")))).await;
    assert_problem(&refused, 400, "idempotency_key_required");
}

#[tokio::test]
async fn the_list_is_searched_by_name_folder_slicer_and_model() {
    let server = TestServer::start().await;
    for (folder, name) in [("", "Übermaß 50%.gcode"), ("parts", "bracket.gcode"), ("parts/left", "BRACKET_2.gcode")] {
        assert_eq!(server.upload_file(folder, name, sample_gcode(name, 3)).await.0, StatusCode::CREATED);
    }
    server.upload_file("", "plain.gcode", "G28\nG1 X1 Y1 E1\n").await;
    for (query, expected) in [
        ("", 4),
        ("?q=bracket", 2),
        ("?q=%C3%BCbermass", 0),
        ("?q=%C3%BCberma%C3%9F", 1),
        ("?q=50%25", 1),
        ("?q=left", 1),
        ("?folder=parts", 1),
        ("?folder=/", 2),
        ("?slicer=prusaslicer", 3),
        ("?printer_model=mk4", 3),
        ("?printer_model=mk3", 0),
    ] {
        let (status, list, _) = server.get(&format!("/api/v1/files{query}")).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        assert_eq!(list["items"].as_array().map(Vec::len), Some(expected), "{query}: {list}");
    }
    let (_, page, _) = server.get("/api/v1/files?limit=3").await;
    let cursor = page["next_cursor"].as_str().expect("a second page");
    let (_, rest, _) = server.get(&format!("/api/v1/files?limit=3&cursor={cursor}")).await;
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["next_cursor"]), (Some(1), &Value::Null));
    let (_, folders, _) = server.get("/api/v1/files/folders").await;
    let names: Vec<&str> =
        folders["items"].as_array().expect("folders").iter().filter_map(|f| f["folder"].as_str()).collect();
    assert_eq!(names, ["", "parts", "parts/left"]);
}

#[tokio::test]
async fn a_correction_counts_until_the_name_gets_a_new_content() {
    let server = TestServer::start().await;
    let (_, file, _) = server.upload_file("", "a.gcode", sample_gcode("a", 3)).await;
    let path = format!("/api/v1/files/{}", file["id"].as_str().expect("an id"));
    let patch =
        json!({"folder": "new/", "overrides": {"printer_model": "MK4S", "tools": [{"tool": 0, "material": "ASA"}]}});
    let (status, changed, _) = server.patch(&path, patch).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!((&changed["folder"], &changed["printer_model"]), (&json!("new"), &json!("MK4S")));
    assert_eq!((&changed["tools"][0]["material"], &changed["tools"][0]["filament_g"]), (&json!("ASA"), &json!(3.7)));
    assert_eq!(server.get("/api/v1/files?printer_model=mk4s").await.1["items"].as_array().map(Vec::len), Some(1));
    let (_, cleared, _) = server.patch(&path, json!({"overrides": {"tools": null}})).await;
    assert_eq!(cleared["overrides"], json!({"printer_model": "MK4S"}));
    let (_, sliced_again, _) = server.upload_file("new", "a.gcode", sample_gcode("b", 3)).await;
    assert_eq!((&sliced_again["overrides"], &sliced_again["printer_model"]), (&json!({}), &json!("MK4")));
    let stale = server.request(Method::PATCH, &path).header("If-Match", "\"v1\"").json(&json!({"name": "c.gcode"}));
    assert_problem(&send_request(stale).await, 412, "stale");
    for (patch, pointer) in [
        (json!({"name": ""}), "/name"),
        (json!({"name": "a/b.gcode"}), "/name"),
        (json!({"folder": "../x"}), "/folder"),
        (json!({"overrides": {"layer_height_mm": -1}}), "/overrides/layer_height_mm"),
        (json!({"overrides": {"nozzle_mm": [0.4, 0.0]}}), "/overrides/nozzle_mm/1"),
        (json!({"overrides": {"estimated_print_time_s": 60 * 86_400 + 1}}), "/overrides/estimated_print_time_s"),
        (json!({"name": null}), "/name"),
        (json!({"size": 3}), "/size"),
    ] {
        let refused = server.patch(&path, patch).await;
        assert_eq!(
            (refused.0, &refused.1["errors"][0]["pointer"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(pointer)),
            "{}",
            refused.1
        );
    }
    server.upload_file("", "taken.gcode", sample_gcode("c", 3)).await;
    assert_problem(&server.patch(&path, json!({"folder": "", "name": "taken.gcode"})).await, 409, "name_taken");
}

#[tokio::test]
async fn a_download_has_ranges_and_its_own_name() {
    let server = TestServer::start().await;
    let content = sample_gcode("a", 50);
    let (_, file, _) = server.upload_file("", "Übung #1.gcode", content.clone()).await;
    let path = format!("/api/v1/files/{}/content", file["id"].as_str().expect("an id"));
    let whole = server.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(
        whole.headers()["content-disposition"].to_str().ok(),
        Some("attachment; filename*=UTF-8''%C3%9Cbung%20%231%2Egcode")
    );
    assert_eq!(whole.bytes().await.expect("a body"), content);
    let part = server.request(Method::GET, &path).header("Range", "bytes=10-19").send().await.expect("an answer");
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.expect("a body"), content[10..20]);
    let beyond = server.request(Method::GET, &path).header("Range", "bytes=999999-").send().await.expect("an answer");
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    fs::remove_file(server.data_dir().join("files").join(sha256(&content))).expect("deleted");
    assert_problem(&server.get(&path).await, 503, "content_missing");
    assert_eq!(
        server.get(&format!("/api/v1/files/{}", file["id"].as_str().expect("an id"))).await.0,
        StatusCode::OK,
        "the row stays"
    );
    assert_eq!(server.upload_file("", "again.gcode", content).await.0, StatusCode::CREATED);
    assert_eq!(server.get(&path).await.0, StatusCode::OK, "the content is there again");
}

#[tokio::test]
async fn what_is_no_gcode_is_refused_and_leaves_nothing() {
    let server = TestServer::start().await;
    for (name, content) in [
        ("picture.png", b"\x89PNG\r\n\x1a\n".to_vec()),
        ("notes.txt", b"G28\n".to_vec()),
        ("binary.gcode", b"G28\n\0\0\0".to_vec()),
        ("empty.gcode", Vec::new()),
        ("cut.bgcode", b"GCDE\x01\0\0\0\x01\0".to_vec()),
        ("broken.gcode.3mf", b"PK\x03\x04 nothing of an archive".to_vec()),
    ] {
        assert_problem(&server.upload_file("", name, content).await, 415, "unknown_format");
    }
    let refused = server.upload_file("../up", "a.gcode", "G28\n").await;
    assert_eq!((refused.0, &refused.1["errors"][0]["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/folder")));
    assert_eq!(stored_contents(&server), [""; 0]);
    assert_eq!(count_files(&server.data_dir().join("uploads")), 0);
    assert_eq!(server.get("/api/v1/files").await.1["items"], json!([]));
    let viewer = server.create_token("viewer").await;
    let request = server.request_without_auth(Method::POST, "/api/v1/files").bearer_auth(viewer);
    assert_problem(&send_request(request.body("x")).await, 403, "forbidden");
}

#[tokio::test]
async fn the_quota_counts_each_content_once_and_refuses_before_the_body() {
    let raw_config = RawConfig { files_quota_gb: Some("1".to_owned()), ..RawConfig::default() };
    let server = TestServer::start_with(ServerOptions { raw_config, ..ServerOptions::default() }).await;
    let request =
        server.request(Method::POST, "/api/v1/files").header("Content-Type", "multipart/form-data; boundary=b");
    let mut head = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.gcode\"\r\n\r\n".to_vec();
    head.extend(sample_gcode("a", 10));
    let length = 1_050_000_000_u64;
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(head)]);
    let body = reqwest::Body::wrap_stream(futures_util::StreamExt::chain(stream, futures_util::stream::pending()));
    let refused = send_request(request.header("Content-Length", length).body(body)).await;
    assert_problem(&refused, 507, "files_quota_exceeded");
    assert_eq!(count_files(&server.data_dir().join("uploads")), 0);
    assert_eq!(server.upload_file("", "small.gcode", sample_gcode("a", 10)).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_thumbnail_is_a_png_that_the_server_encoded() {
    let server = TestServer::start().await;
    let mut png = Cursor::new(Vec::new());
    RgbaImage::from_pixel(48, 32, image::Rgba([255, 0, 0, 255])).write_to(&mut png, ImageFormat::Png).expect("encoded");
    let mut sent = png.into_inner();
    // A browser would run what follows the picture if it took the bytes for a page.
    sent.extend(b"<script>alert(1)</script>");
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &sent);
    let lines: Vec<String> =
        text.as_bytes().chunks(78).map(|line| format!("; {}", String::from_utf8_lossy(line))).collect();
    let content = format!(
        "; generated by PrusaSlicer 2.8.0\n; thumbnail begin 48x32 {}\n{}\n; thumbnail end\nG1 X1 E1\n",
        text.len(),
        lines.join("\n")
    );
    let (_, file, _) = server.upload_file("", "a.gcode", content).await;
    assert_eq!(file["thumbnails"], json!([{"width": 48, "height": 32}]), "{file}");
    let path = format!("/api/v1/files/{}/thumbnail?size=400", file["id"].as_str().expect("an id"));
    let response = server.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"].to_str().ok(), Some("image/png"));
    let served = response.bytes().await.expect("a body");
    assert!(!served.windows(8).any(|part| part == b"<script>"));
    let picture = image::load_from_memory_with_format(&served, ImageFormat::Png).expect("a PNG");
    assert_eq!((picture.width(), picture.height()), (48, 32));
    let (_, plain, _) = server.upload_file("", "b.gcode", sample_gcode("b", 3)).await;
    let path = format!("/api/v1/files/{}/thumbnail", plain["id"].as_str().expect("an id"));
    assert_problem(&server.get(&path).await, 404, "not_found");
}
