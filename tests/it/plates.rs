//! Plates: the database decides, the fleet follows, and a failure between the two has no lasting effect.

use std::time::Duration;

use printyard::simulator::{Farm, sample_gcode};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    server::{Options, TestServer, farm},
    wait,
};

/// A server on a SQLite file with a printer whose print has ended, and a separate connection to that file.
struct Scene {
    server: TestServer,
    printer: String,
    other: SqliteConnection,
    _farm: Farm,
    _folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let server = TestServer::with(Options { database_url: Some(url.clone()), ..Options::default() }).await;
        let farm = farm(1).await;
        farm.printers()[0].put_file("short.gcode", sample_gcode(20));
        let printer = server.register(&farm.printers()[0]).await;
        server.until_online(&printer).await;
        let other = SqliteConnection::connect(&url).await.expect("the same file");
        let scene = Self { server, printer, other, _farm: farm, _folder: folder };
        let row = scene.start().await;
        assert_eq!(row["outcome"], "confirmed", "{row}");
        let print = format!("/api/v1/prints/{}", row["print_id"].as_str().expect("a print"));
        wait::until("the print has ended", Duration::from_secs(30), async || {
            scene.server.get(&print).await.1["result"] == "done"
        })
        .await;
        scene
    }

    async fn start(&self) -> Value {
        let start = json!({"command": "start", "file": {"path": "short.gcode"}});
        self.server.post_and_wait(&format!("/api/v1/printers/{}/job", self.printer), start).await.1
    }

    async fn plate(&self) -> Value {
        self.server.get(&format!("/api/v1/printers/{}", self.printer)).await.1["plate"].clone()
    }

    async fn clear(&self) -> (StatusCode, Value, reqwest::header::HeaderMap) {
        self.server.post("/api/v1/plates/clear", json!({"printer_ids": [self.printer]})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_that_the_database_does_not_clear_stays_occupied_and_refuses_a_start() {
    let mut scene = Scene::new().await;
    scene.other.execute("begin immediate").await.expect("the file is locked");
    let answer = scene.clear().await;
    assert_eq!(answer.0, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.1);
    assert_eq!(scene.plate().await["state"], "occupied");
    scene.other.execute("rollback").await.expect("the file is free");
    let row = scene.start().await;
    assert_eq!((&row["outcome"], &row["reason"]), (&json!("rejected"), &json!("plate_not_clear")), "{row}");
    let (status, body, _) = scene.clear().await;
    assert_eq!((status, &body["items"][0]["result"]), (StatusCode::MULTI_STATUS, &json!("cleared")), "{body}");
    assert_eq!(scene.plate().await["state"], "clear", "at once");
    let (_, audit, _) = scene.server.get("/api/v1/audit?action=plate.cleared").await;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1), "{audit}");
    assert_eq!(scene.start().await["outcome"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_that_only_the_database_knows_as_clear_is_brought_in_line() {
    let mut scene = Scene::new().await;
    // The same state as after a commit whose reply was lost.
    let clear = "update plates set state = 'clear', cleared_by = 'ann', since = '2026-12-03T10:15:00+00:00'";
    scene.other.execute(clear).await.expect("cleared");
    scene.server.services.background().run_now("plates").await.expect("the task exists");
    wait::until("the plate is clear", Duration::from_secs(20), async || {
        let plate = scene.plate().await;
        if plate["state"] == "clear" && plate["cleared_by"] == "ann" { Ok(()) } else { Err(plate) }
    })
    .await;
    // The print on the plate is not the one that the database has cleared.
    assert_eq!(scene.start().await["outcome"], "confirmed");
    let stale = "update plates set state = 'clear', print_id = x'0193e1c77d1c7a529a3e2f3b5a0c9e11', cleared_by = 'ann'";
    scene.other.execute(stale).await.expect("cleared");
    scene.server.services.background().run_now("plates").await.expect("the task exists");
    assert_eq!(scene.plate().await["state"], "occupied");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plate_of_a_disabled_printer_can_be_cleared_and_stays_clear_when_it_is_enabled() {
    let scene = Scene::new().await;
    let path = format!("/api/v1/printers/{}", scene.printer);
    assert_eq!(scene.server.patch(&path, json!({"enabled": false})).await.0, StatusCode::OK);
    let (status, body, _) = scene.clear().await;
    assert_eq!((status, &body["items"][0]["result"]), (StatusCode::MULTI_STATUS, &json!("cleared")), "{body}");
    assert_eq!(scene.plate().await["state"], "clear");
    assert_eq!(scene.server.patch(&path, json!({"enabled": true})).await.0, StatusCode::OK);
    scene.server.until_online(&scene.printer).await;
    assert_eq!(scene.plate().await["state"], "clear");
}
