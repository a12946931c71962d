//! The dispatcher with a failing database. An error does not count as a reply, and a refused row does not block other
//! rows. Every command ends without a restart.

use std::time::{Duration, Instant};

use printyard::simulator::{Farm, Fault};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    fresh_database::{FreshDatabase, create_fresh_database},
    server::{ServerOptions, TestServer, send_request, start_farm},
    wait,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// The server's database, with methods to break it.
enum DispatchDatabase {
    Sqlite(TempDir),
    Postgres(FreshDatabase),
}

impl DispatchDatabase {
    /// Returns one database of each available kind.
    async fn create_each() -> Vec<Self> {
        let sqlite = Self::Sqlite(tempfile::tempdir().expect("a folder"));
        std::iter::once(sqlite).chain(create_fresh_database().await.map(Self::Postgres)).collect()
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("farm.db").display()),
            Self::Postgres(database) => database.url.clone(),
        }
    }

    async fn start_server(&self) -> TestServer {
        TestServer::start_with(ServerOptions {
            database_url: Some(self.url()),
            plate_gate: false,
            ..ServerOptions::default()
        })
        .await
    }

    /// Runs SQL directly on the database.
    async fn run_sql(&self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(_) => {
                let mut connection = SqliteConnection::connect(&self.url()).await.expect("a connection");
                sql.execute(&mut connection).await.expect("the statements run");
                connection.close().await.expect("closed");
            }
            Self::Postgres(_) => {
                let mut connection = PgConnection::connect(&self.url()).await.expect("a connection");
                sql.execute(&mut connection).await.expect("the statements run");
                connection.close().await.expect("closed");
            }
        }
    }

    /// Makes the database refuse updates of a table permanently, where `condition` holds for the row `new`.
    async fn refuse_updates(&self, table: &str, condition: &str) {
        self.refuse_updates_with(table, condition, "P0001").await;
    }

    /// The same, with an SQLSTATE on PostgreSQL.
    async fn refuse_updates_with(&self, table: &str, condition: &str, code: &str) {
        let sql = match self {
            Self::Sqlite(_) => format!(
                "create trigger refused before update on {table} when {condition}
                 begin select raise(abort, 'refused by the test'); end"
            ),
            Self::Postgres(_) => format!(
                "create or replace function refuse() returns trigger language plpgsql as
                 $$ begin raise exception 'refused by the test' using errcode = '{code}'; end $$;
                 create trigger refused before update on {table} for each row when ({condition})
                 execute function refuse()"
            ),
        };
        self.run_sql(&sql).await;
    }

    async fn accept_updates(&self, table: &str) {
        let on = if matches!(self, Self::Postgres(_)) { format!(" on {table}") } else { String::new() };
        self.run_sql(&format!("drop trigger refused{on}")).await;
    }

    /// Returns a condition on the printer of a row, with the id as this database writes it.
    fn printer_condition(&self, printer_id: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("new.printer_id = x'{}'", printer_id.replace('-', "")),
            Self::Postgres(_) => format!("new.printer_id = '{printer_id}'"),
        }
    }
}

/// Starts a server on this database with `printers` online printers.
async fn start_with_farm(database: &DispatchDatabase, printers: usize) -> (TestServer, Farm, Vec<String>) {
    let (server, farm) = (database.start_server().await, start_farm(printers).await);
    let mut ids = Vec::new();
    for printer in farm.printers() {
        ids.push(server.register_printer(printer).await);
    }
    for id in &ids {
        server.until_online(id).await;
    }
    (server, farm, ids)
}

/// Returns outcome and reason of the command to a printer.
fn find_outcome<'a>(batch: &'a Value, printer_id: &str) -> (&'a str, Option<&'a str>) {
    let rows = batch["commands"].as_array().expect("commands");
    let row = rows.iter().find(|row| row["printer_id"] == printer_id).expect("a row");
    (row["outcome"].as_str().expect("an outcome"), row["reason"].as_str())
}

/// Counts the `start` requests that a printer has received.
fn count_starts(farm: &Farm, printer: usize) -> usize {
    farm.printers()[printer].received_requests().iter().filter(|request| request.command == "start").count()
}

async fn until_final(server: &TestServer, batch: &Value) -> Value {
    let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
    wait::until("the batch has ended", DEADLINE, async || {
        let (_, batch, _) = server.get(&path).await;
        if batch["finished_at"].is_string() { Ok(batch) } else { Err(batch) }
    })
    .await
}

#[tokio::test]
async fn a_command_whose_permit_cannot_be_stored_is_rejected_and_the_others_are_sent() {
    for database in DispatchDatabase::create_each().await {
        let (server, farm, ids) = start_with_farm(&database, 8).await;
        database
            .refuse_updates("commands", &format!("{} and new.outcome = 'sent'", database.printer_condition(&ids[2])))
            .await;
        let (status, batch, _) =
            server.post_and_wait("/api/v1/batches", json!({"command": "start", "select": {"all": true}})).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
        assert_eq!(find_outcome(&batch, &ids[2]), ("rejected", Some("not_recorded")));
        assert_eq!((&batch["counts"]["confirmed"], &batch["counts"]["rejected"]), (&json!(7), &json!(1)), "{batch}");
        assert_eq!(count_starts(&farm, 2), 0, "nothing was sent");
        // The queue of this printer is free again.
        database.accept_updates("commands").await;
        let path = format!("/api/v1/printers/{}/job", ids[2]);
        let (status, row, _) = server.post_and_wait(&path, json!({"command": "start"})).await;
        assert_eq!((status, &row["outcome"]), (StatusCode::OK, &json!("confirmed")), "{row}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_command_whose_outcome_cannot_be_stored_is_unknown_and_the_others_are_confirmed() {
    for database in DispatchDatabase::create_each().await {
        let (server, _farm, ids) = start_with_farm(&database, 8).await;
        let condition = format!("{} and new.outcome in ('accepted', 'confirmed')", database.printer_condition(&ids[5]));
        database.refuse_updates("commands", &condition).await;
        let (status, batch, _) =
            server.post_and_wait("/api/v1/batches", json!({"command": "start", "select": {"all": true}})).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
        assert_eq!(find_outcome(&batch, &ids[5]), ("unknown", Some("not_recorded")));
        assert_eq!((&batch["counts"]["confirmed"], &batch["counts"]["unknown"]), (&json!(7), &json!(1)), "{batch}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_row_that_accepts_no_update_waits_in_memory_and_blocks_no_other_printer() {
    for database in DispatchDatabase::create_each().await {
        let (mut server, _farm, ids) = start_with_farm(&database, 3).await;
        database.refuse_updates("commands", &database.printer_condition(&ids[0])).await;
        let (_, batch, _) = server.post("/api/v1/batches", json!({"command": "start", "select": {"all": true}})).await;
        let until_unrecorded = async |server: &TestServer, n: usize| {
            wait::until("the row waits in memory", DEADLINE, async || server.services.dispatcher().unrecorded() == n)
                .await;
        };
        until_unrecorded(&server, 1).await;
        let others = json!({"printer_ids": [ids[1], ids[2]]});
        let cancel = json!({"command": "cancel", "select": others});
        let (status, cancelled, _) = server.post_and_wait("/api/v1/batches", cancel).await;
        assert_eq!((status, &cancelled["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{cancelled}");

        let before = Instant::now();
        server.shut_down().await;
        assert!(before.elapsed() < Duration::from_secs(10), "the stop must not wait for a retry");
        let server = server.start_again().await;
        for id in &ids {
            server.until_online(id).await;
        }
        let again = json!({"command": "start", "select": others});
        let (status, started, _) = server.post_and_wait("/api/v1/batches", again).await;
        assert_eq!((status, &started["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{started}");
        until_unrecorded(&server, 1).await;
        database.accept_updates("commands").await;
        let batch = until_final(&server, &batch).await;
        assert_eq!(find_outcome(&batch, &ids[0]).0, "rejected", "{batch}");
        until_unrecorded(&server, 0).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_print_whose_printer_cannot_be_read_is_a_server_error() {
    for database in DispatchDatabase::create_each().await {
        let server = database.start_server().await;
        let farm = start_farm(1).await;
        let id = server.register_printer_with(&farm.printers()[0], json!({"tags": ["hall"]})).await;
        server.until_online(&id).await;
        let job = format!("/api/v1/printers/{id}/job");
        let (_, row, _) = server.post_and_wait(&job, json!({"command": "start"})).await;
        let print = format!("/api/v1/prints/{}", row["print_id"].as_str().expect("a print"));
        let limited = server.create_token_for("viewer", &["hall"]).await;
        let get_print_status =
            async || send_request(server.request_without_auth(Method::GET, &print).bearer_auth(&limited)).await.0;
        assert_eq!(get_print_status().await, StatusCode::OK);
        database.run_sql("alter table printers rename to printers_away").await;
        assert!(get_print_status().await.is_server_error());
        database.run_sql("alter table printers_away rename to printers").await;
        assert_eq!(get_print_status().await, StatusCode::OK);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_command_that_expires_while_writes_fail_does_not_block_its_queue() {
    for database in DispatchDatabase::create_each().await {
        if matches!(database, DispatchDatabase::Sqlite(_)) {
            // A SQLite trigger cannot raise a transient error. The unit tests of the dispatcher cover that case.
            continue;
        }
        let (server, farm, ids) = start_with_farm(&database, 1).await;
        // The error of a full disk: rows can be read but not written.
        database.refuse_updates_with("commands", "true", "53100").await;
        let start = json!({"command": "start", "select": {"all": true}, "expires_in_s": 1});
        let (_, batch, _) = server.post("/api/v1/batches", start).await;
        let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
        wait::assert_throughout("the command is queued beyond its expiry", Duration::from_secs(3), async || {
            let (_, batch, _) = server.get(&path).await;
            if batch["counts"]["queued"] == 1 { Ok(()) } else { Err(batch) }
        })
        .await;
        database.accept_updates("commands").await;
        let batch = until_final(&server, &batch).await;
        assert_eq!(find_outcome(&batch, &ids[0]).0, "expired");
        assert_eq!(count_starts(&farm, 0), 0, "nothing was sent");
        let path = format!("/api/v1/printers/{}/job", ids[0]);
        let (status, row, _) = server.post_and_wait(&path, json!({"command": "start"})).await;
        assert_eq!((status, &row["outcome"]), (StatusCode::OK, &json!("confirmed")), "{row}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_batch_whose_checks_fail_when_it_is_due_stays_scheduled_and_runs_later() {
    for database in DispatchDatabase::create_each().await {
        let (server, _farm, _ids) = start_with_farm(&database, 3).await;
        let operator = server.create_token("operator").await;
        let due = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now() + Duration::from_secs(1));
        let start = json!({"command": "start", "select": {"all": true}, "not_before": due.to_rfc3339()});
        let request = server.request_without_auth(Method::POST, "/api/v1/batches").bearer_auth(&operator).json(&start);
        let (status, batch, _) = send_request(request).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
        let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
        let stays_scheduled = async || {
            let (_, batch, _) = server.get(&path).await;
            let stays = batch["state"] == "scheduled" && batch["counts"]["queued"] == 3;
            if stays { Ok(()) } else { Err(batch) }
        };
        // First the creator's rights cannot be read. Then the start of the batch cannot be stored.
        database.run_sql("alter table tokens rename to tokens_away").await;
        wait::assert_throughout("it stays scheduled", Duration::from_secs(3), stays_scheduled).await;
        database.refuse_updates("batches", "new.state = 'running'").await;
        database.run_sql("alter table tokens_away rename to tokens").await;
        wait::assert_throughout("it stays scheduled", Duration::from_secs(2), stays_scheduled).await;
        database.accept_updates("batches").await;
        let batch = until_final(&server, &batch).await;
        assert_eq!((&batch["result"], &batch["counts"]["confirmed"]), (&json!("ok"), &json!(3)), "{batch}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_arrive_together_all_end() {
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let id = server.register_printer(&farm.printers()[0]).await;
    server.until_online(&id).await;
    // Each command waits at the actor for a reading, so that a cancel overtakes it before it is sent.
    farm.printers()[0].set_fault(Some(Fault::Slow(Duration::from_millis(200))));
    for round in 0..10 {
        let post = |command: &'static str| {
            let body = json!({"command": command, "select": {"printer_ids": [&id]}, "reason": "the test"});
            server.post("/api/v1/batches", body)
        };
        let posted = tokio::join!(post("pause"), post("cancel"), post("pause"), post("cancel"), post("resume"));
        for (status, batch, _) in [posted.0, posted.1, posted.2, posted.3, posted.4] {
            assert_eq!(status, 202, "{batch}");
            let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
            wait::until(&format!("every command of round {round} has ended"), DEADLINE, async || {
                let batch = server.get(&path).await.1;
                if batch["finished_at"].is_string() { Ok(()) } else { Err(batch["commands"].clone()) }
            })
            .await;
        }
    }
    server.stop().await;
}
