//! A separate database for each test, on the PostgreSQL server that `tests/run` started or that you configured.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use url::Url;
use uuid::Uuid;

/// An empty database that is deleted on drop.
pub struct FreshDatabase {
    /// Its URL with credentials.
    pub url: String,
    name: String,
    server: String,
}

/// Creates an empty database on the server in `PRINTYARD_TEST_POSTGRES`; `None` without such a server.
pub async fn create_fresh_database() -> Option<FreshDatabase> {
    let server = super::env_or_skip("PRINTYARD_TEST_POSTGRES", "a PostgreSQL server")?;
    let name = format!("printyard_test_{}", Uuid::now_v7().simple());
    let mut url = Url::parse(&server).expect("PRINTYARD_TEST_POSTGRES is a url");
    url.set_path(&name);
    // Not template1: an open psql session in it would make every creation fail.
    execute(&server, format!("create database {name} template template0")).await.expect("a fresh database");
    Some(FreshDatabase { url: url.into(), name, server })
}

impl Drop for FreshDatabase {
    /// Deletes the database, even with open connection pools. A failure is harmless, so it is only printed.
    fn drop(&mut self) {
        let (server, statement) = (self.server.clone(), format!("drop database {} with (force)", self.name));
        // A separate thread, because a runtime that is ending cannot block on a future.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(execute(&server, statement)).map_err(std::io::Error::other)
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the database {} stays behind: {error}", self.name);
        }
    }
}

async fn execute(server: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server).await?;
    // Names cannot be bound. The only variable part is a generated name of letters and digits.
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}
