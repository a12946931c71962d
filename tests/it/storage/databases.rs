//! Fresh databases for each test: a SQLite file, and a PostgreSQL database where a server is configured.
//!
//! `PRINTYARD_TEST_POSTGRES` is the URL of a server's maintenance database. With `PRINTYARD_TEST_REQUIRE=all` a missing
//! server is a failure.

use std::{io::Write, panic::AssertUnwindSafe, str::FromStr, sync::Once};

use futures_util::FutureExt;
use printyard::{
    clock::new_id,
    storage::{Db, Engine},
};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, postgres::PgConnectOptions};

static SKIP_NOTICE: Once = Once::new();

/// Runs a test on a fresh database of each kind.
pub async fn on_each_database(test: impl AsyncFn(Db)) {
    on_sqlite(&test).await;
    if let Some(server) = postgres_server() {
        on_postgres(&server, &test).await;
    }
}

/// Runs a test on a fresh SQLite file.
pub async fn on_sqlite(test: impl AsyncFn(Db)) {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", dir.path().join("test.db").display());
    let db = Db::connect(&url).await.expect("a SQLite database");
    test(db.clone()).await;
    db.close().await;
}

async fn on_postgres(server: &str, test: impl AsyncFn(Db)) {
    let options = PgConnectOptions::from_str(server).expect("PRINTYARD_TEST_POSTGRES is a url");
    let mut admin = options.connect().await.expect("the server of PRINTYARD_TEST_POSTGRES");
    let name = format!("printyard_{}", new_id().simple());
    let create = format!("create database {name} template template0 encoding 'UTF8'");
    admin.execute(AssertSqlSafe(create)).await.expect("may create a database");

    let mut url = url::Url::parse(server).expect("a url");
    url.set_path(&name);
    let db = Db::connect(url.as_str()).await.expect("a PostgreSQL database");
    let result = AssertUnwindSafe(test(db.clone())).catch_unwind().await;
    db.close().await;
    let drop = format!("drop database {name} with (force)");
    admin.execute(AssertSqlSafe(drop)).await.expect("may drop its database");
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn postgres_server() -> Option<String> {
    let server = std::env::var("PRINTYARD_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    if server.is_none() {
        let required = std::env::var("PRINTYARD_TEST_REQUIRE").is_ok_and(|required| required == "all");
        assert!(!required, "PRINTYARD_TEST_REQUIRE=all, and PRINTYARD_TEST_POSTGRES is not set");
        SKIP_NOTICE.call_once(|| {
            // Not `eprintln!`, because the test runner captures its output.
            let written = writeln!(
                std::io::stderr(),
                "left out: the storage tests on PostgreSQL (PRINTYARD_TEST_POSTGRES is not set)"
            );
            drop(written);
        });
    }
    server
}

/// Runs one statement directly, without the storage layer, to damage stored data.
pub async fn execute(db: &Db, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    match db.engine() {
        Engine::Sqlite { write, .. } => drop(write.execute(sql).await.expect("the statement runs")),
        Engine::Postgres(pool) => drop(pool.execute(sql).await.expect("the statement runs")),
    }
}
