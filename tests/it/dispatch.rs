//! The dispatcher with a failing database. An error does not count as a reply, and a refused row does not block other
//! rows. Every command ends without a restart.

use std::time::{Duration, Instant};

use printyard::simulator::Farm;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    postgres::{FreshDatabase, fresh_database},
    server::{Options, TestServer, answer, farm},
    wait,
};

const SOON: Duration = Duration::from_secs(30);

/// The server's database, with methods to break it.
enum Database {
    Sqlite(TempDir),
    Postgres(FreshDatabase),
}

impl Database {
    /// Returns one database of each available kind.
    async fn each() -> Vec<Self> {
        let sqlite = Self::Sqlite(tempfile::tempdir().expect("a folder"));
        std::iter::once(sqlite).chain(fresh_database().await.map(Self::Postgres)).collect()
    }

    fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("farm.db").display()),
            Self::Postgres(database) => database.url.clone(),
        }
    }

    async fn server(&self) -> TestServer {
        TestServer::with(Options { database_url: Some(self.url()), plate_gate: false, ..Options::default() }).await
    }

    /// Runs SQL directly on the database.
    async fn run(&self, sql: &str) {
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
    async fn refuse(&self, table: &str, condition: &str) {
        self.refuse_with(table, condition, "P0001").await;
    }

    /// The same, with an SQLSTATE on PostgreSQL.
    async fn refuse_with(&self, table: &str, condition: &str, code: &str) {
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
        self.run(&sql).await;
    }

    async fn accept(&self, table: &str) {
        let on = if matches!(self, Self::Postgres(_)) { format!(" on {table}") } else { String::new() };
        self.run(&format!("drop trigger refused{on}")).await;
    }

    /// Returns a condition on the printer of a row, with the id as this database writes it.
    fn is_of(&self, printer_id: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("new.printer_id = x'{}'", printer_id.replace('-', "")),
            Self::Postgres(_) => format!("new.printer_id = '{printer_id}'"),
        }
    }
}

/// Starts a server on this database with `printers` online printers.
async fn farm_on(database: &Database, printers: usize) -> (TestServer, Farm, Vec<String>) {
    let (server, farm) = (database.server().await, farm(printers).await);
    let mut ids = Vec::new();
    for printer in farm.printers() {
        ids.push(server.register(printer).await);
    }
    for id in &ids {
        server.until_online(id).await;
    }
    (server, farm, ids)
}

/// Returns outcome and reason of the command to a printer.
fn ended<'a>(batch: &'a Value, printer_id: &str) -> (&'a str, Option<&'a str>) {
    let rows = batch["commands"].as_array().expect("commands");
    let row = rows.iter().find(|row| row["printer_id"] == printer_id).expect("a row");
    (row["outcome"].as_str().expect("an outcome"), row["reason"].as_str())
}

/// Counts the `start` requests that a printer has received.
fn starts(farm: &Farm, printer: usize) -> usize {
    farm.printers()[printer].received().iter().filter(|request| request.command == "start").count()
}

async fn until_final(server: &TestServer, batch: &Value) -> Value {
    let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
    wait::until("the batch has ended", SOON, async || {
        let (_, batch, _) = server.get(&path).await;
        if batch["finished_at"].is_string() { Ok(batch) } else { Err(batch) }
    })
    .await
}

#[tokio::test]
async fn a_command_whose_permit_is_refused_for_good_is_rejected_and_the_others_go() {
    for database in Database::each().await {
        let (server, farm, ids) = farm_on(&database, 8).await;
        database.refuse("commands", &format!("{} and new.outcome = 'sent'", database.is_of(&ids[2]))).await;
        let (status, batch, _) =
            server.post_and_wait("/api/v1/batches", json!({"command": "start", "select": {"all": true}})).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
        assert_eq!(ended(&batch, &ids[2]), ("rejected", Some("not_recorded")));
        assert_eq!((&batch["counts"]["confirmed"], &batch["counts"]["rejected"]), (&json!(7), &json!(1)), "{batch}");
        assert_eq!(starts(&farm, 2), 0, "nothing was sent");
        // The queue of this printer is free again.
        database.accept("commands").await;
        let path = format!("/api/v1/printers/{}/job", ids[2]);
        let (status, row, _) = server.post_and_wait(&path, json!({"command": "start"})).await;
        assert_eq!((status, &row["outcome"]), (StatusCode::OK, &json!("confirmed")), "{row}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_command_whose_outcome_is_refused_for_good_is_unknown_and_the_others_end_as_they_did() {
    for database in Database::each().await {
        let (server, _farm, ids) = farm_on(&database, 8).await;
        let condition = format!("{} and new.outcome in ('accepted', 'confirmed')", database.is_of(&ids[5]));
        database.refuse("commands", &condition).await;
        let (status, batch, _) =
            server.post_and_wait("/api/v1/batches", json!({"command": "start", "select": {"all": true}})).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
        assert_eq!(ended(&batch, &ids[5]), ("unknown", Some("not_recorded")));
        assert_eq!((&batch["counts"]["confirmed"], &batch["counts"]["unknown"]), (&json!(7), &json!(1)), "{batch}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_row_that_takes_no_update_at_all_waits_in_memory_and_stops_no_other_printer_also_after_a_restart() {
    for database in Database::each().await {
        let (mut server, _farm, ids) = farm_on(&database, 3).await;
        database.refuse("commands", &database.is_of(&ids[0])).await;
        let (_, batch, _) = server.post("/api/v1/batches", json!({"command": "start", "select": {"all": true}})).await;
        let unrecorded = async |server: &TestServer, n: usize| {
            wait::until("the row waits in memory", SOON, async || server.services.dispatch().unrecorded() == n).await;
        };
        unrecorded(&server, 1).await;
        let others = json!({"printer_ids": [ids[1], ids[2]]});
        let cancel = json!({"command": "cancel", "select": others});
        let (status, cancelled, _) = server.post_and_wait("/api/v1/batches", cancel).await;
        assert_eq!((status, &cancelled["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{cancelled}");

        let before = Instant::now();
        server.go_away().await;
        assert!(before.elapsed() < Duration::from_secs(10), "the stop must not wait for a retry");
        let server = server.come_back().await;
        for id in &ids {
            server.until_online(id).await;
        }
        let again = json!({"command": "start", "select": others});
        let (status, started, _) = server.post_and_wait("/api/v1/batches", again).await;
        assert_eq!((status, &started["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{started}");
        unrecorded(&server, 1).await;
        database.accept("commands").await;
        let batch = until_final(&server, &batch).await;
        assert_eq!(ended(&batch, &ids[0]).0, "rejected", "{batch}");
        unrecorded(&server, 0).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_print_whose_printer_cannot_be_read_is_not_missing() {
    for database in Database::each().await {
        let server = database.server().await;
        let farm = farm(1).await;
        let id = server.register_as(&farm.printers()[0], json!({"tags": ["hall"]})).await;
        server.until_online(&id).await;
        let job = format!("/api/v1/printers/{id}/job");
        let (_, row, _) = server.post_and_wait(&job, json!({"command": "start"})).await;
        let print = format!("/api/v1/prints/{}", row["print_id"].as_str().expect("a print"));
        let limited = server.token_for("viewer", &["hall"]).await;
        let look = async || answer(server.bare(Method::GET, &print).bearer_auth(&limited)).await.0;
        assert_eq!(look().await, StatusCode::OK);
        database.run("alter table printers rename to printers_away").await;
        assert!(look().await.is_server_error());
        database.run("alter table printers_away rename to printers").await;
        assert_eq!(look().await, StatusCode::OK);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_command_that_expires_while_writes_are_refused_leaves_its_queue_free() {
    for database in Database::each().await {
        if matches!(database, Database::Sqlite(_)) {
            // A SQLite trigger cannot raise a transient error. The unit tests of the dispatcher cover that case.
            continue;
        }
        let (server, farm, ids) = farm_on(&database, 1).await;
        // The error of a full disk: rows can be read but not written.
        database.refuse_with("commands", "true", "53100").await;
        let start = json!({"command": "start", "select": {"all": true}, "expires_in_s": 1});
        let (_, batch, _) = server.post("/api/v1/batches", start).await;
        let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
        wait::throughout("the command is queued beyond its expiry", Duration::from_secs(3), async || {
            let (_, batch, _) = server.get(&path).await;
            if batch["counts"]["queued"] == 1 { Ok(()) } else { Err(batch) }
        })
        .await;
        database.accept("commands").await;
        let batch = until_final(&server, &batch).await;
        assert_eq!(ended(&batch, &ids[0]).0, "expired");
        assert_eq!(starts(&farm, 0), 0, "nothing was sent");
        let path = format!("/api/v1/printers/{}/job", ids[0]);
        let (status, row, _) = server.post_and_wait(&path, json!({"command": "start"})).await;
        assert_eq!((status, &row["outcome"]), (StatusCode::OK, &json!("confirmed")), "{row}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_batch_whose_checks_fail_when_it_is_due_stays_scheduled_and_runs_later() {
    for database in Database::each().await {
        let (server, _farm, _ids) = farm_on(&database, 3).await;
        let operator = server.token("operator").await;
        let due = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now() + Duration::from_secs(1));
        let start = json!({"command": "start", "select": {"all": true}, "not_before": due.to_rfc3339()});
        let request = server.bare(Method::POST, "/api/v1/batches").bearer_auth(&operator).json(&start);
        let (status, batch, _) = answer(request).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
        let path = format!("/api/v1/batches/{}", batch["id"].as_str().expect("an id"));
        let stays_scheduled = async || {
            let (_, batch, _) = server.get(&path).await;
            let stays = batch["state"] == "scheduled" && batch["counts"]["queued"] == 3;
            if stays { Ok(()) } else { Err(batch) }
        };
        // First the creator's rights cannot be read. Then the start of the batch cannot be stored.
        database.run("alter table tokens rename to tokens_away").await;
        wait::throughout("it stays scheduled", Duration::from_secs(3), stays_scheduled).await;
        database.refuse("batches", "new.state = 'running'").await;
        database.run("alter table tokens_away rename to tokens").await;
        wait::throughout("it stays scheduled", Duration::from_secs(2), stays_scheduled).await;
        database.accept("batches").await;
        let batch = until_final(&server, &batch).await;
        assert_eq!((&batch["result"], &batch["counts"]["confirmed"]), (&json!("ok"), &json!(3)), "{batch}");
        server.stop().await;
    }
}
