//! The database: opening it, its version, and errors for stored values that cannot be read.

use printyard::{
    domain::batch::BatchState,
    storage::{Db, Engine, Error, batches, commands, health, plates, printers, prints},
};
use sqlx::{Connection, SqliteConnection};

use super::{
    databases::{execute, on_each_database, on_sqlite},
    fixtures::{self, at, create_queued_batch, full_printer, occupy_plate, sample_entry},
};

#[tokio::test]
async fn a_url_of_another_scheme_is_refused_without_showing_its_password() {
    let error = Db::connect("mysql://root:hunter2@db/x").await.expect_err("refused");
    let text = error.to_string();
    assert!(matches!(error, Error::Setup(_)));
    assert!(text.contains("sqlite:") && text.contains("\"mysql\"") && !text.contains("hunter2"), "{text}");
    for url in ["sqlite::memory:", "sqlite:///no/such/dir/x.db", "printyard.db", ""] {
        assert!(matches!(Db::connect(url).await, Err(Error::Setup(_))), "{url}");
    }
}

#[tokio::test]
async fn written_rows_survive_a_close_and_reopen() {
    let dir = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", dir.path().join("yard.db").display());
    let db = Db::connect(&url).await.expect("made");
    let printer = full_printer("a");
    fixtures::insert_printer(&db, &printer, None, &sample_entry()).await.expect("inserted");
    db.close().await;
    let files = std::fs::read_dir(dir.path()).expect("read").count();
    assert_eq!(files, 1, "the log is merged into the file");
    let db = Db::connect(&url).await.expect("opened");
    assert_eq!(printers::get(&db, printer.id).await.expect("read"), Some(printer));
    db.close().await;
    assert!(matches!(health::store_check_time(&db, at(0)).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn the_readiness_row_is_written() {
    on_each_database(async |db| health::store_check_time(&db, at(0)).await.expect("written")).await;
}

#[tokio::test]
async fn sqlite_is_new_enough_and_loses_no_write() {
    on_sqlite(async |db| {
        let Engine::Sqlite { write, read } = db.engine() else { unreachable!("on SQLite") };
        for (name, pool) in [("write", write), ("read", read)] {
            let (version,): (String,) = sqlx::query_as("select sqlite_version()").fetch_one(pool).await.expect("read");
            let parts: Vec<u32> = version.split('.').map(|part| part.parse().expect("a number")).collect();
            assert!(parts >= vec![3, 51, 0], "{version}: group writes need jsonb_each");
            let (journal,): (String,) = sqlx::query_as("pragma journal_mode").fetch_one(pool).await.expect("read");
            let (synchronous,): (i64,) = sqlx::query_as("pragma synchronous").fetch_one(pool).await.expect("read");
            let (keys,): (i64,) = sqlx::query_as("pragma foreign_keys").fetch_one(pool).await.expect("read");
            assert_eq!((journal.as_str(), synchronous, keys), ("wal", 2, 1), "{name}");
        }
        assert_eq!(write.options().get_max_connections(), 1);
        assert!(sqlx::query("delete from printers").execute(read).await.is_err(), "readers cannot write");
    })
    .await;
}

#[tokio::test]
async fn an_unknown_stored_value_is_reported_with_table_column_and_row() {
    on_each_database(async |db| {
        let (batch, rows) = create_queued_batch(&db, 1).await;
        let printer = full_printer("a");
        fixtures::insert_printer(&db, &printer, None, &sample_entry()).await.expect("inserted");
        occupy_plate(&db, printer.id, batch.id, at(0)).await;

        execute(&db, "update commands set step = 'dance'").await;
        let error = commands::get(&db, rows[0].id).await.expect_err("broken");
        assert_eq!(
            error.to_string(),
            format!("table commands, column step, row {}: the stored value cannot be read", rows[0].id)
        );
        execute(&db, "update commands set step = null, settled_effect = 'done'").await;
        assert!(matches!(commands::list_open(&db).await, Err(Error::Unreadable { column: "settled_effect", .. })));
        execute(&db, "update commands set outcome = 'lost'").await;
        assert!(matches!(
            batches::count_outcomes(&db, &[batch.id], &Default::default()).await,
            Err(Error::Unreadable { column: "outcome", .. })
        ));
        execute(&db, "update batches set spec = '{}'").await;
        assert!(matches!(
            batches::get(&db, batch.id).await,
            Err(Error::Unreadable { table: "batches", column: "spec", .. })
        ));
        execute(&db, "update printers set bed_mm = '[1]'").await;
        assert!(matches!(printers::get(&db, printer.id).await, Err(Error::Unreadable { column: "bed_mm", .. })));
        execute(&db, "update plates set state = 'dirty'").await;
        assert!(matches!(
            plates::get_many(&db, &[printer.id]).await,
            Err(Error::Unreadable { table: "plates", column: "state", .. })
        ));
    })
    .await;
}

#[tokio::test]
async fn a_missing_row_is_no_error() {
    on_each_database(async |db| {
        let missing_id = printyard::clock::new_id();
        assert_eq!(printers::get(&db, missing_id).await.expect("read"), None);
        assert_eq!(printers::remove(&db, missing_id, at(0), &sample_entry()).await.expect("read"), None);
        assert_eq!(fixtures::read_sealed_key(&db, missing_id).await.expect("read"), None);
        assert_eq!(batches::get(&db, missing_id).await.expect("read"), None);
        assert!(batches::count_outcomes(&db, &[missing_id], &Default::default()).await.expect("read").is_empty());
        assert_eq!(batches::stop(&db, missing_id, at(0), &sample_entry()).await.expect("read"), None);
        assert_eq!(commands::get(&db, missing_id).await.expect("read"), None);
        assert_eq!(prints::get(&db, missing_id).await.expect("read"), None);
        assert!(!batches::mark_running(&db, missing_id).await.expect("read"));
        assert!(BatchState::parse("").is_none());
    })
    .await;
}

#[tokio::test]
async fn the_wal_grows_during_a_long_read_and_shrinks_after_it() {
    const KEPT_BYTES: u64 = 17 * 1024 * 1024;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("yard.db");
    let url = format!("sqlite:{}", file.display());
    let db = Db::connect(&url).await.expect("made");
    let wal_size = || std::fs::metadata(dir.path().join("yard.db-wal")).expect("a log").len();
    let mut reader = SqliteConnection::connect(&url).await.expect("a reader");
    let mut reading = reader.begin().await.expect("begun");
    sqlx::query("select count(*) from printers").execute(&mut *reading).await.expect("read");
    execute(&db, "create table filler (data blob)").await;
    while wal_size() <= 2 * KEPT_BYTES {
        execute(&db, "insert into filler values (randomblob(4000000))").await;
    }
    assert!(db.shrink_wal().await.expect("no error") > KEPT_BYTES, "the reader still needs the log");
    reading.rollback().await.expect("ended");
    assert!(db.shrink_wal().await.expect("shrunk") < KEPT_BYTES);
    assert!(wal_size() < KEPT_BYTES, "{}", wal_size());
    db.close().await;
}
