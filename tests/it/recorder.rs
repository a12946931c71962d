//! The recorder: the actors' observations are stored once and in order, even when the database fails.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use printyard::{
    clock,
    domain::{
        command::FileRef,
        event::{Event, EventType},
        plate::PlateState,
        print::{JobMark, PrintActor, PrintFact, PrintFilter, PrintResult},
        state::PrinterState,
    },
    fleet::{message::StoredObservation, recorder_queue::RecorderQueue},
    service::recorder::{self, RecorderStatus},
    simulator::MachineAction,
    storage::{
        Db, events,
        fault_injection::{FailureDuration, FailurePoint, InjectedFailure},
        plates,
        printer_observations::{self, PrinterObservation},
        prints,
    },
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    storage::{
        databases::{execute, on_each_database, on_sqlite},
        fixtures::{insert_printer, sample_entry, sample_printer},
    },
    support::{
        fresh_database::create_fresh_database,
        server::{ServerOptions, TestServer, start_farm},
        wait,
    },
};

const SOON: Duration = Duration::from_secs(30);

/// A recorder with its queue. The test sends what actors would send.
struct RecorderSetup {
    db: Db,
    queue: RecorderQueue,
    status: RecorderStatus,
    stop: CancellationToken,
}

impl RecorderSetup {
    fn new(db: &Db) -> Self {
        let queue = RecorderQueue::default();
        let status = RecorderStatus::new(queue.clone());
        Self { db: db.clone(), queue, status, stop: CancellationToken::new() }
    }

    fn run(&self) -> JoinHandle<()> {
        let (db, queue) = (self.db.clone(), self.queue.clone());
        let (_, storing) = tokio::sync::watch::channel(false);
        tokio::spawn(recorder::run(db, queue, storing, self.status.clone(), self.stop.clone()))
    }

    /// Makes every use of the database fail from now on.
    fn inject_failure(&self, moment: FailurePoint, lasts: FailureDuration) {
        self.db.faults().inject(InjectedFailure { nth: 1, point: moment, duration: lasts });
    }

    async fn until_failed(&self) {
        wait::until("a write failed", SOON, async || self.status.last_write_failed()).await;
    }

    async fn until_stored(&self) {
        wait::until("everything is stored", SOON, async || {
            let behind = self.status.behind();
            if behind == 0 && self.status.is_ok() { Ok(()) } else { Err(behind) }
        })
        .await;
    }

    async fn list_events(&self, kind: EventType) -> Vec<Event> {
        events::list_page(&self.db, 0, Some(&[kind]), 500).await.expect("read").events
    }

    async fn read_print_results(&self) -> HashMap<Uuid, Option<PrintResult>> {
        let page = prints::list_page(&self.db, &PrintFilter::default(), None, 500).await.expect("read");
        page.into_iter().map(|print| (print.id, print.result)).collect()
    }
}

fn print_began(id: Uuid, file: &str) -> PrintFact {
    let file = Some(FileRef { path: file.to_owned(), origin: "local".to_owned() });
    PrintFact::Began { id, file, at: clock::now(), by: PrintActor::printer() }
}

fn print_ended(id: Uuid) -> PrintFact {
    PrintFact::Ended {
        id,
        at: clock::now(),
        result: PrintResult::Done,
        reason: None,
        by: PrintActor::printer(),
        mark_after: JobMark::default(),
    }
}

fn observation(printer_id: Uuid, state: PrinterState) -> StoredObservation {
    StoredObservation { printer_id, state, mark: JobMark::default(), at: clock::now(), octoprint_version: None }
}

#[tokio::test]
async fn facts_and_flush_markers_wait_while_the_database_is_down() {
    on_each_database(async |db| {
        let (setup, printer_id, id) = (RecorderSetup::new(&db), clock::new_id(), clock::new_id());
        let task = setup.run();
        setup.inject_failure(FailurePoint::BeforeCommit, FailureDuration::UntilStopped);
        setup.queue.add_fact(printer_id, print_began(id, "a.gcode"));
        setup.until_failed().await;
        setup.queue.add_fact(printer_id, print_ended(id));
        let mut flushed = setup.queue.add_flush();
        wait::assert_throughout("the recorder is behind", Duration::from_millis(500), async || {
            setup.status.behind() == 2 && !setup.status.is_ok() && flushed.try_recv().is_err()
        })
        .await;
        setup.db.faults().stop();
        flushed.await.expect("answered");
        assert_eq!(setup.read_print_results().await, HashMap::from([(id, Some(PrintResult::Done))]));
        setup.until_stored().await;
        for kind in [EventType::PrintStarted, EventType::PrintFinished] {
            assert_eq!(setup.list_events(kind).await.len(), 1, "{kind}");
        }
        setup.stop.cancel();
        task.await.expect("no panic");
    })
    .await;
}

#[tokio::test]
async fn a_reply_that_is_lost_stores_nothing_twice() {
    on_each_database(async |db| {
        let (setup, printer, id) = (RecorderSetup::new(&db), sample_printer("a"), clock::new_id());
        insert_printer(&db, &printer, None, &sample_entry()).await.expect("inserted");
        let by = PrintActor::printer();
        let facts =
            [print_began(id, "a.gcode"), PrintFact::Paused { id, by }, PrintFact::Resumed { id, by }, print_ended(id)];
        let mut task = None;
        for fact in facts {
            setup.inject_failure(FailurePoint::AfterCommit, FailureDuration::OneUse);
            setup.queue.add_fact(printer.id, fact);
            task.get_or_insert_with(|| setup.run());
            wait::until("the reply is lost", SOON, async || db.faults().injected() == 1).await;
            setup.until_stored().await;
        }
        setup.inject_failure(FailurePoint::AfterCommit, FailureDuration::OneUse);
        setup.queue.add_observation(observation(printer.id, PrinterState::Paused));
        wait::until("the reply is lost", SOON, async || db.faults().injected() == 1).await;
        setup.until_stored().await;
        assert_eq!(setup.read_print_results().await, HashMap::from([(id, Some(PrintResult::Done))]));
        for kind in [
            EventType::PrintStarted,
            EventType::PrintPaused,
            EventType::PrintResumed,
            EventType::PrintFinished,
            EventType::PlateClearNeeded,
            EventType::PrinterStateChanged,
        ] {
            assert_eq!(setup.list_events(kind).await.len(), 1, "{kind}");
        }
        setup.stop.cancel();
        task.expect("the recorder").await.expect("no panic");
    })
    .await;
}

#[tokio::test]
async fn a_fact_that_the_database_refuses_is_dropped_and_the_rest_is_stored() {
    on_each_database(async |db| {
        execute(&db, "create unique index one_print_per_file on prints (file_path)").await;
        let (setup, printer_id) = (RecorderSetup::new(&db), clock::new_id());
        let ids: Vec<Uuid> = (0..9).map(|_| clock::new_id()).collect();
        for (n, id) in ids.iter().enumerate() {
            let file = if n == 4 { "0.gcode".to_owned() } else { format!("{n}.gcode") };
            setup.queue.add_fact(printer_id, print_began(*id, &file));
            setup.queue.add_fact(printer_id, print_ended(*id));
        }
        let task = setup.run();
        setup.until_stored().await;
        let stored = setup.read_print_results().await;
        assert_eq!(stored.len(), 8, "{stored:?}");
        assert!(!stored.contains_key(&ids[4]) && stored.values().all(|result| *result == Some(PrintResult::Done)));
        assert_eq!(setup.list_events(EventType::PrintStarted).await.len(), 8);
        setup.stop.cancel();
        task.await.expect("no panic");
    })
    .await;
}

#[tokio::test]
async fn an_observation_that_the_database_refuses_does_not_hold_up_those_of_other_printers() {
    on_each_database(async |db| {
        let setup = RecorderSetup::new(&db);
        execute(&db, "create unique index one_printer_per_state on printer_observations (state)").await;
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            let printer = sample_printer(name);
            insert_printer(&db, &printer, None, &sample_entry()).await.expect("inserted");
            ids.push(printer.id);
        }
        for (id, state) in ids.iter().zip([PrinterState::Paused, PrinterState::Paused, PrinterState::Printing]) {
            setup.queue.add_observation(observation(*id, state));
        }
        let task = setup.run();
        wait::until("two printers are stored", SOON, async || {
            printer_observations::get_many(&db, &ids).await.expect("read").len() == 2
        })
        .await;
        assert_eq!(setup.list_events(EventType::PrinterStateChanged).await.len(), 2);
        assert!(setup.status.is_ok());
        setup.stop.cancel();
        task.await.expect("no panic");
    })
    .await;
}

#[tokio::test]
async fn a_state_that_was_published_before_a_restart_is_not_published_again() {
    on_each_database(async |db| {
        let (setup, printer) = (RecorderSetup::new(&db), sample_printer("a"));
        insert_printer(&db, &printer, None, &sample_entry()).await.expect("inserted");
        let before = PrinterObservation {
            printer_id: printer.id,
            state: PrinterState::Printing,
            mark: JobMark::default(),
            observed_at: clock::now(),
            octoprint_version: None,
        };
        printer_observations::store_observations(&db, &[before], &[], &[]).await.expect("saved");
        // At first the previously published state cannot be read.
        setup.inject_failure(FailurePoint::Before, FailureDuration::UntilStopped);
        setup.queue.add_observation(observation(printer.id, PrinterState::Printing));
        let task = setup.run();
        setup.until_failed().await;
        setup.db.faults().stop();
        setup.until_stored().await;
        setup.queue.add_observation(observation(printer.id, PrinterState::Paused));
        let changed = wait::until("a change is published", SOON, async || {
            let changed = setup.list_events(EventType::PrinterStateChanged).await;
            if changed.is_empty() { Err(changed) } else { Ok(changed) }
        })
        .await;
        let [event] = &changed[..] else { panic!("{changed:?}") };
        assert_eq!((&event.data["before"], &event.data["state"]), (&json!("printing"), &json!("paused")));
        setup.stop.cancel();
        task.await.expect("no panic");
    })
    .await;
}

#[tokio::test]
async fn fast_prints_become_one_noisy_event_and_the_last_is_on_the_plate() {
    on_each_database(async |db| {
        let (setup, printer) = (RecorderSetup::new(&db), sample_printer("a"));
        insert_printer(&db, &printer, None, &sample_entry()).await.expect("inserted");
        let ids: Vec<Uuid> = (0..200).map(|_| clock::new_id()).collect();
        for id in &ids {
            setup.queue.add_fact(printer.id, print_began(*id, "a.gcode"));
            setup.queue.add_fact(printer.id, print_ended(*id));
        }
        let task = setup.run();
        setup.until_stored().await;
        let stored = setup.read_print_results().await;
        let noisy = setup.list_events(EventType::PrinterNoisy).await;
        let [noisy] = &noisy[..] else { panic!("{noisy:?}") };
        let time = |field: &str| noisy.data[field].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
        assert_eq!(noisy.printer_id, Some(printer.id));
        assert_eq!(noisy.data["prints"], json!(200 - stored.len()), "{noisy:?}");
        assert!(time("from").is_some() && time("from") <= time("until") && time("until") <= Some(clock::now()));
        assert!(stored.len() == 50 && stored.contains_key(&ids[199]));
        let plates = plates::get_many(&db, &[printer.id]).await.expect("read");
        assert_eq!(plates[0].1.state, PlateState::Occupied);
        assert_eq!(plates[0].1.print_id, Some(ids[199]));
        setup.stop.cancel();
        task.await.expect("no panic");
    })
    .await;
}

#[tokio::test]
async fn facts_left_at_the_stop_are_stored_if_the_database_returns_in_time() {
    on_each_database(async |db| {
        let (setup, id) = (RecorderSetup::new(&db), clock::new_id());
        setup.inject_failure(FailurePoint::Before, FailureDuration::UntilStopped);
        let task = setup.run();
        setup.queue.add_fact(clock::new_id(), print_began(id, "a.gcode"));
        setup.until_failed().await;
        setup.stop.cancel();
        setup.queue.add_fact(clock::new_id(), print_ended(id));
        wait::assert_throughout("the recorder tries on", Duration::from_millis(300), async || !task.is_finished())
            .await;
        setup.db.faults().stop();
        task.await.expect("no panic");
        assert_eq!(setup.read_print_results().await, HashMap::from([(id, Some(PrintResult::Done))]));
    })
    .await;
}

#[tokio::test]
async fn a_database_that_stays_away_does_not_hold_up_the_stop() {
    on_sqlite(async |db| {
        let setup = RecorderSetup::new(&db);
        setup.inject_failure(FailurePoint::Before, FailureDuration::UntilStopped);
        let task = setup.run();
        setup.queue.add_fact(clock::new_id(), print_began(clock::new_id(), "a.gcode"));
        setup.until_failed().await;
        setup.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), task).await.expect("it ends").expect("no panic");
    })
    .await;
}

/// Makes a server's database refuse to store observations.
enum Outage {
    /// Another connection holds SQLite's write lock.
    Locked(Box<SqliteConnection>),
    /// PostgreSQL reports a full disk.
    Full(Box<PgConnection>),
}

const RECORDER_TABLES: [&str; 3] = ["prints", "plates", "printer_observations"];

impl Outage {
    async fn begin(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(url).await.expect("a connection");
            connection.execute("begin immediate").await.expect("the lock");
            return Self::Locked(Box::new(connection));
        }
        let mut connection = PgConnection::connect(url).await.expect("a connection");
        let full = "create function full_disk() returns trigger language plpgsql as
                    $$ begin raise exception 'no space' using errcode = '53100'; end $$";
        connection.execute(full).await.expect("a function");
        for table in RECORDER_TABLES {
            let sql =
                format!("create trigger full_disk before insert or update on {table} execute function full_disk()");
            connection.execute(AssertSqlSafe(sql)).await.expect("a trigger");
        }
        Self::Full(Box::new(connection))
    }

    async fn end(self) {
        match self {
            Self::Locked(mut connection) => drop(connection.execute("rollback").await.expect("unlocked")),
            Self::Full(mut connection) => {
                for table in RECORDER_TABLES {
                    let sql = AssertSqlSafe(format!("drop trigger full_disk on {table}"));
                    connection.execute(sql).await.expect("no trigger");
                }
            }
        }
    }
}

/// Returns every event of these types.
async fn list_events(server: &TestServer, types: &str) -> Vec<Value> {
    let (_, page, _) = server.get(&format!("/api/v1/events?limit=500&types={types}")).await;
    page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
}

/// Starts and ends prints at printers while the database fails, for at least this time.
async fn run_prints_during_outage(database_url: Option<String>, at_least: Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = database_url.unwrap_or_else(|| format!("sqlite:{}", folder.path().join("printyard.db").display()));
    let server =
        TestServer::start_with(ServerOptions { database_url: Some(url.clone()), ..ServerOptions::default() }).await;
    let (farm, mut ids) = (start_farm(2).await, Vec::new());
    for printer in farm.printers() {
        printer.select("long/vase.gcode");
        ids.push(server.register_printer(printer).await);
    }
    for id in &ids {
        server.until_state(id, "operational").await;
    }
    // The states before the outage are stored, so only the prints happen during it.
    wait::until("the states are stored", SOON, async || list_events(&server, "printer.state_changed").await.len() == 2)
        .await;
    let (outage, begun) = (Outage::begin(&url).await, Instant::now());
    let mut rounds = 0;
    while rounds < 2 || begun.elapsed() < at_least || !server.services.recorder_status().last_write_failed() {
        for (printer, id) in farm.printers().iter().zip(&ids) {
            printer.perform(MachineAction::StartSelected);
            server.until_state(id, "printing").await;
            printer.perform(MachineAction::Cancel);
            let shown = server.until_state(id, "operational").await;
            assert!(shown["status"]["age_ms"].as_i64().is_some_and(|age| age < 6_000), "{shown}");
        }
        rounds += 1;
        // Slow enough that the recorder merges nothing.
        if rounds > 10 {
            wait::pause(Duration::from_millis(400)).await;
        }
    }
    let status = server.services.recorder_status();
    assert!(!status.is_ok() && status.behind() >= 4 * rounds, "{} of {rounds} rounds", status.behind());
    for (printer, id) in farm.printers().iter().zip(&ids) {
        printer.perform(MachineAction::StartSelected);
        server.until_state(id, "printing").await;
    }
    outage.end().await;
    wait::until("the recorder has caught up", SOON, async || status.is_ok() && status.behind() == 0).await;
    for id in &ids {
        let (_, page, _) = server.get(&format!("/api/v1/prints?limit=500&printer_id={id}")).await;
        let stored = page["items"].as_array().expect("items");
        assert_eq!(stored.len(), rounds + 1, "{page}");
        assert_eq!(stored[0]["ended_at"], Value::Null);
        assert!(stored[1..].iter().all(|print| print["result"] == "cancelled"), "{page}");
    }
    for (kind, expected) in [("print.started", 2 * (rounds + 1)), ("print.cancelled", 2 * rounds), ("printer.noisy", 0)]
    {
        assert_eq!(list_events(&server, kind).await.len(), expected, "{kind}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prints_during_a_lock_on_sqlite_are_stored_once() {
    run_prints_during_outage(None, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prints_during_a_full_disk_of_postgresql_are_stored_once() {
    let Some(database) = create_fresh_database().await else { return };
    run_prints_during_outage(Some(database.url.clone()), Duration::from_secs(12)).await;
}
