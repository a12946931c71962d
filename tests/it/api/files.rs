//! Files on a printer, over HTTP: uploads and downloads, with the form's parts in any order.

use printyard::simulator::{Farm, FarmConfig, Fault};
use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use super::problems::assert_problem;
use crate::support::server::{JsonResponse, TestServer, send_request, start_server_with_farm};

const GCODE: &str = "G28\nG1 X10\nG4 P1000\n";

fn gcode_part() -> Part {
    Part::bytes(GCODE.as_bytes()).file_name("part.gcode")
}

async fn upload_file(server: &TestServer, path: &str, form: Form) -> JsonResponse {
    send_request(server.request(Method::POST, path).multipart(form)).await
}

async fn list_paths(server: &TestServer, files: &str) -> Vec<String> {
    let (status, page, _) = server.get(&format!("{files}?limit=500")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|file| file["path"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_file_is_uploaded_selected_and_deleted() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let files = format!("/api/v1/printers/{}/files", ids[0]);
    let forms = [
        ("streamed", Form::new().text("path", "streamed").text("select", "false").part("file", gcode_part())),
        ("kept", Form::new().part("file", gcode_part()).text("path", "kept").text("select", "true")),
        ("kept/deep er", Form::new().text("path", "kept/deep er").part("file", gcode_part())),
    ];
    for (folder, form) in forms {
        let (status, uploaded, _) = upload_file(&server, &files, form).await;
        let expected = json!({"path": format!("{folder}/part.gcode"), "origin": "local", "size": GCODE.len()});
        assert_eq!((status, uploaded), (StatusCode::CREATED, expected));
    }
    let by_query = format!("{files}?path=asked%20for&select=false");
    let (status, uploaded, _) = upload_file(&server, &by_query, Form::new().part("file", gcode_part())).await;
    assert_eq!((status, &uploaded["path"]), (StatusCode::CREATED, &json!("asked for/part.gcode")), "{uploaded}");
    let job = format!("/api/v1/printers/{}/job", ids[0]);
    assert_eq!(server.get(&job).await.1["job"]["file"]["path"], "kept/part.gcode");
    let listed = list_paths(&server, &files).await;
    assert!(
        ["kept/part.gcode", "streamed/part.gcode", "bracket.gcode"]
            .iter()
            .all(|path| listed.iter().any(|one| one == path)),
        "{listed:?}"
    );
    let (status, ..) =
        server.post(&format!("{files}/select"), json!({"path": "streamed/part.gcode", "origin": "local"})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&job).await.1["job"]["file"]["path"], "streamed/part.gcode");
    for encoded in ["local/streamed/part.gcode", "local/kept%2Fpart.gcode", "local/kept/deep%20er/part.gcode"] {
        assert_eq!(server.delete(&format!("{files}/{encoded}")).await.0, StatusCode::NO_CONTENT, "{encoded}");
        assert_problem(&server.delete(&format!("{files}/{encoded}")).await, 404, "not_found");
    }
    assert!(!list_paths(&server, &files).await.contains(&"kept/part.gcode".to_owned()));
}

#[tokio::test]
async fn files_are_paged_by_path() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let files = format!("/api/v1/printers/{}/files", ids[0]);
    let all = list_paths(&server, &files).await;
    let (_, first, _) = server.get(&format!("{files}?limit=2")).await;
    let cursor = first["next_cursor"].as_str().expect("a next page");
    let (_, second, _) = server.get(&format!("{files}?limit=2&cursor={cursor}")).await;
    assert_eq!((second["items"][0]["path"].as_str(), &second["next_cursor"]), (Some(all[2].as_str()), &Value::Null));
}

#[tokio::test]
async fn an_invalid_form_stores_nothing() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let files = format!("/api/v1/printers/{}/files", ids[0]);
    let before = list_paths(&server, &files).await;
    let known = || Form::new().text("path", "").text("select", "false");
    for (form, pointer) in [
        (Form::new().text("path", "a"), "/file"),
        (Form::new().text("path", "a/../b").part("file", gcode_part()), "/path"),
        (Form::new().text("select", "maybe").part("file", gcode_part()), "/select"),
        (Form::new().part("file", gcode_part()).text("prnt", "true"), "/prnt"),
        (Form::new().part("file", Part::text(GCODE)), "/file"),
        (known().part("file", gcode_part()).text("path", "b"), "/path"),
        (known().part("file", gcode_part()).part("file", gcode_part()), "/file"),
        (known().part("file", gcode_part()).text("print", "true"), "/print"),
    ] {
        let refused = upload_file(&server, &files, form).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
    let text = Form::new().part("file", Part::text(GCODE).file_name("a.txt"));
    assert_problem(&upload_file(&server, &files, text).await, 422, "file_type_refused");
    let json = server.post(&files, json!({"file": "x"})).await;
    assert_problem(&json, 415, "unsupported_media_type");
    let cut = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.gcode\"\r\n\r\nG28\n";
    let request = server.request(Method::POST, &format!("{files}?path=&select=false"));
    let request = request.header("Content-Type", "multipart/form-data; boundary=x").body(cut);
    assert_problem(&send_request(request).await, 400, "malformed_multipart");
    assert_eq!(list_paths(&server, &files).await, before);
}

#[tokio::test]
async fn paths_outside_the_storage_are_refused() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let files = format!("/api/v1/printers/{}/files", ids[0]);
    for path in ["local/a%2F..%2Fb", "..%2Fx/y", "lo%2Fcal/x", "local//"] {
        let refused = server.delete(&format!("{files}/{path}")).await;
        assert_eq!(refused.0, StatusCode::NOT_FOUND, "{path}: {}", refused.1);
    }
    for (body, pointer) in [
        (json!({"path": "../job"}), "/path"),
        (json!({"path": ""}), "/path"),
        (json!({"path": "a", "origin": "../x"}), "/origin"),
        (json!({"path": "a", "print": true}), "/print"),
    ] {
        let refused = server.post(&format!("{files}/select"), body).await;
        assert_problem(&refused, 422, "invalid_input");
        assert_eq!(refused.1["errors"][0]["pointer"], pointer, "{}", refused.1);
    }
    assert_problem(&server.post(&format!("{files}/select"), json!({"path": "nowhere.gcode"})).await, 404, "not_found");
}

#[tokio::test]
async fn files_cannot_change_while_the_printer_prints() {
    let (server, _farm, ids) = start_server_with_farm(1).await;
    let files = format!("/api/v1/printers/{}/files", ids[0]);
    server.post_and_wait(&format!("/api/v1/printers/{}/job", ids[0]), json!({"command": "start"})).await;
    server.until_state(&ids[0], "printing").await;
    let select = server.post(&format!("{files}/select"), json!({"path": "long/vase.gcode"})).await;
    assert_problem(&select, 409, "already_printing");
    assert_problem(&server.delete(&format!("{files}/local/bracket.gcode")).await, 409, "already_printing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_selected_at_the_printer_a_moment_ago_is_started() {
    let farm = Farm::start(FarmConfig { printers: 1, with_sample_files: true, ..FarmConfig::default() });
    let (server, farm) = (TestServer::start().await, farm.await.expect("a farm"));
    let printer = &farm.printers()[0];
    // No event reports the selection, because the event socket is closed. Only the next poll shows it.
    printer.set_fault(Some(Fault::DropSocket));
    let id = server.register_printer(printer).await;
    server.until_online(&id).await;
    let job = format!("/api/v1/printers/{id}/job");
    let start = json!({"command": "start"});
    let (_, none, _) = server.post_and_wait(&job, start.clone()).await;
    assert_eq!(none["reason"], "no_file_selected", "{none}");
    printer.select("bracket.gcode");
    let (_, row, _) = server.post_and_wait(&job, start).await;
    assert_eq!(row["outcome"], "confirmed", "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifteen_thousand_files_with_long_names_are_listed() {
    let (server, farm, ids) = start_server_with_farm(1).await;
    for n in 0..15_000 {
        farm.printers()[0].put_file(&format!("{n:05}-{}.gcode", "x".repeat(200)), GCODE);
    }
    let (status, page, _) = server.get(&format!("/api/v1/printers/{}/files?limit=500", ids[0])).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(page["items"].as_array().map(Vec::len), Some(500));
}
