//! Plates: the database decides, the fleet follows, and a failure between the two has no lasting effect.

use std::time::Duration;

use printyard::simulator::{Farm, sample_gcode};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    server::{ServerOptions, TestServer, start_farm},
    wait,
};

/// A server on a SQLite file with a printer whose print has ended, and a separate connection to that file.
struct PlateSetup {
    server: TestServer,
    printer: String,
    other_connection: SqliteConnection,
    _farm: Farm,
    _folder: TempDir,
}

impl PlateSetup {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        let server =
            TestServer::start_with(ServerOptions { database_url: Some(url.clone()), ..ServerOptions::default() }).await;
        let farm = start_farm(1).await;
        farm.printers()[0].put_file("short.gcode", sample_gcode(20));
        let printer = server.register_printer(&farm.printers()[0]).await;
        server.until_online(&printer).await;
        let other_connection = SqliteConnection::connect(&url).await.expect("the same file");
        let setup = Self { server, printer, other_connection, _farm: farm, _folder: folder };
        let row = setup.start_print().await;
        assert_eq!(row["outcome"], "confirmed", "{row}");
        let print = format!("/api/v1/prints/{}", row["print_id"].as_str().expect("a print"));
        wait::until("the print has ended", Duration::from_secs(30), async || {
            setup.server.get(&print).await.1["result"] == "done"
        })
        .await;
        setup
    }

    async fn start_print(&self) -> Value {
        let start = json!({"command": "start", "file": {"path": "short.gcode"}});
        self.server.post_and_wait(&format!("/api/v1/printers/{}/job", self.printer), start).await.1
    }

    async fn read_plate(&self) -> Value {
        self.server.get(&format!("/api/v1/printers/{}", self.printer)).await.1["plate"].clone()
    }

    async fn clear_plate(&self) -> (StatusCode, Value, reqwest::header::HeaderMap) {
        self.server.post("/api/v1/plates/clear", json!({"printer_ids": [self.printer]})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plate_that_the_database_does_not_clear_stays_occupied_and_refuses_a_start() {
    let mut setup = PlateSetup::new().await;
    setup.other_connection.execute("begin immediate").await.expect("the file is locked");
    let answer = setup.clear_plate().await;
    assert_eq!(answer.0, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.1);
    assert_eq!(setup.read_plate().await["state"], "occupied");
    setup.other_connection.execute("rollback").await.expect("the file is free");
    let row = setup.start_print().await;
    assert_eq!((&row["outcome"], &row["reason"]), (&json!("rejected"), &json!("plate_not_clear")), "{row}");
    let (status, body, _) = setup.clear_plate().await;
    assert_eq!((status, &body["items"][0]["result"]), (StatusCode::MULTI_STATUS, &json!("cleared")), "{body}");
    assert_eq!(setup.read_plate().await["state"], "clear", "at once");
    let (_, audit, _) = setup.server.get("/api/v1/audit?action=plate.cleared").await;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1), "{audit}");
    assert_eq!(setup.start_print().await["outcome"], "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_adopts_a_plate_that_only_the_database_has_cleared() {
    let mut setup = PlateSetup::new().await;
    // The same state as after a commit whose reply was lost.
    let clear = "update plates set state = 'clear', cleared_by = 'ann', since = '2026-12-03T10:15:00+00:00'";
    setup.other_connection.execute(clear).await.expect("cleared");
    setup.server.services.background().run_now("plates").await.expect("the task exists");
    wait::until("the plate is clear", Duration::from_secs(20), async || {
        let plate = setup.read_plate().await;
        if plate["state"] == "clear" && plate["cleared_by"] == "ann" { Ok(()) } else { Err(plate) }
    })
    .await;
    // The print on the plate is not the one that the database has cleared.
    assert_eq!(setup.start_print().await["outcome"], "confirmed");
    let stale = "update plates set state = 'clear', print_id = x'0193e1c77d1c7a529a3e2f3b5a0c9e11', cleared_by = 'ann'";
    setup.other_connection.execute(stale).await.expect("cleared");
    setup.server.services.background().run_now("plates").await.expect("the task exists");
    assert_eq!(setup.read_plate().await["state"], "occupied");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plate_of_a_disabled_printer_can_be_cleared_and_stays_clear_when_it_is_enabled() {
    let setup = PlateSetup::new().await;
    let path = format!("/api/v1/printers/{}", setup.printer);
    assert_eq!(setup.server.patch(&path, json!({"enabled": false})).await.0, StatusCode::OK);
    let (status, body, _) = setup.clear_plate().await;
    assert_eq!((status, &body["items"][0]["result"]), (StatusCode::MULTI_STATUS, &json!("cleared")), "{body}");
    assert_eq!(setup.read_plate().await["state"], "clear");
    assert_eq!(setup.server.patch(&path, json!({"enabled": true})).await.0, StatusCode::OK);
    setup.server.until_online(&setup.printer).await;
    assert_eq!(setup.read_plate().await["state"], "clear");
}
