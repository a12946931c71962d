//! Upgrades: a database of an earlier version, with rows in every table, is opened by this version.

use std::{collections::BTreeMap, path::Path};

use chrono::{SecondsFormat, TimeDelta};
use printyard::{
    domain::{
        access::{Role, Session, Token},
        audit::{AuditFilter, CheckedRecord},
        batch::{Batch, BatchCounts, BatchSpec, BatchState, OnFailure, OutcomeCounts, PlatePolicy, WhenUnreachable},
        calendar::Calendar,
        clock_check::{STEADY_FOR, StoredClock},
        command::{Command, CommandRow, Effect, ExpectedJob, FileRef, Outcome, Reason, SettledEffect, StartFile, Step},
        event::{Cursor, EventType},
        idempotency::KeyBinding,
        message::Message,
        oidc::Identity,
        plate::{ClearedPlate, Plate},
        print::{JobMark, MarkPhase, Print, PrintActor, PrintResult},
        print_stats::PrintTally,
        printer::{Printer, PrinterDetails},
        printer_access::SecretKind,
        printer_profile::PrinterProfile,
        state::{PrinterState, Reachability},
        user::{User, UserDetails},
        webhook::{Delivery, DeliveryFilter, DeliveryState, DisabledReason, Webhook, WebhookDetails},
    },
    storage::{
        Db, Engine, SchemaState, audit, batches, commands, events, idempotency, identities, lock, plates, print_days,
        printer_observations::{self, FeedState, PrinterObservation},
        printers, prints, retention, sealed, sessions, tokens, users, webhooks,
    },
};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, migrate::Migrator};
use uuid::Uuid;

use super::{databases::execute, fixtures::at};
use crate::support::fresh_database::create_fresh_database;

/// The files of the migrations.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");

/// Migrations up to this version have been released, and their checksums are in databases of users.
const RELEASED_VERSION: i64 = 17;

/// SHA-256 of the checksums of the released migrations. It never changes for the same version.
const RELEASED_CHECKSUM: &str = "8aea07db3ba84917ec2c7c4428ea621960bf26bb8d958d5c13062d830d9cee8d";

const VERSION_10: (i64, &str) = (10, include_str!("migrations/version_10.sql"));
const VERSION_17: (i64, &str) = (17, include_str!("migrations/version_17.sql"));

const PLATE_NOT_CLEAR: &str = "The last print may still lie on the plate: clear the plate, then say so.";
const NO_ANSWER: &str = r#"No answer came within 10 s. The printer was read again and showed "Offline (Error: 42)"."#;
const NO_EFFECT: &str = "OctoPrint accepted the command, but its effect was not seen in time.";
const OVERTAKEN: &str = "A cancel for this printer came first.";
const ANSWERED_500: &str = "The receiver answered 500.";

#[tokio::test]
async fn a_database_of_version_10_is_upgraded_with_all_its_rows() {
    on_each_empty_database(async |url| {
        fill(url, &[VERSION_10]).await;
        let db = Db::connect(url).await.expect("upgraded");
        check_rows_of_version_10(&db).await;
        let clock = StoredClock { newest: at(300), steady: STEADY_FOR };
        assert_eq!(retention::stored_clock(&db).await.expect("read"), Some(clock), "the time of the newest event");
        check_second_open(url, db).await;
    })
    .await;
}

#[tokio::test]
async fn a_database_of_version_17_is_upgraded_with_all_its_rows() {
    on_each_empty_database(async |url| {
        fill(url, &[VERSION_10, VERSION_17]).await;
        let db = Db::connect(url).await.expect("upgraded");
        check_rows_of_version_10(&db).await;
        check_rows_of_version_17(&db).await;
        check_second_open(url, db).await;
    })
    .await;
}

#[tokio::test]
async fn released_migrations_do_not_change() {
    let migrations = Migrator::new(Path::new(FOLDER)).await.expect("the migrations");
    let released = migrations.iter().filter(|migration| migration.version <= RELEASED_VERSION);
    let hash = released.fold(Sha256::new(), |hash, migration| hash.chain_update(&migration.checksum)).finalize();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, RELEASED_CHECKSUM, "a database of a user would refuse the changed migration");
}

// --- Databases -------------------------------------------------------------------------------------------------------

async fn on_each_empty_database(test: impl AsyncFn(&str)) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("test.db");
    std::fs::File::create(&file).expect("an empty file");
    test(&format!("sqlite:{}", file.display())).await;
    if let Some(database) = create_fresh_database().await {
        test(&database.url).await;
    }
}

/// Migrates an empty database to each version in turn, and inserts the rows of that version.
async fn fill(url: &str, versions: &[(i64, &str)]) {
    let db = Db::open(url).await.expect("an empty database");
    let migrations = Migrator::new(Path::new(FOLDER)).await.expect("the migrations");
    for (version, rows) in versions {
        let migrated = match db.engine() {
            Engine::Sqlite { write, .. } => migrations.run_to(*version, write).await,
            Engine::Postgres(pool) => migrations.run_to(*version, pool).await,
        };
        migrated.expect("migrated");
        execute(&db, &expand(&db, rows)).await;
    }
    let tables = read_tables(&db).await;
    let empty: Vec<&String> = tables.iter().filter(|(_, rows)| rows.is_empty()).map(|(table, _)| table).collect();
    assert_eq!(empty, Vec::<&String>::new(), "every table has a row");
    assert_eq!(db.schema_state().await.expect("read"), SchemaState::Older);
    db.close().await;
}

/// Closes the database, opens it again, and checks that no row and no table has changed.
async fn check_second_open(url: &str, db: Db) {
    let before = read_tables(&db).await;
    db.close().await;
    let db = Db::connect(url).await.expect("opened again");
    assert_eq!(db.schema_state().await.expect("read"), SchemaState::Current);
    assert_eq!(read_tables(&db).await, before);
    db.close().await;
}

/// Returns all rows as texts, by table.
async fn read_tables(db: &Db) -> BTreeMap<String, Vec<String>> {
    let is_sqlite = matches!(db.engine(), Engine::Sqlite { .. });
    let tables = if is_sqlite {
        "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'"
    } else {
        "select tablename::text from pg_tables where schemaname = 'public'"
    };
    let mut found = BTreeMap::new();
    for table in query_texts(db, tables).await {
        let row = if is_sqlite {
            let columns = query_texts(db, &format!("select name from pragma_table_info('{table}')")).await;
            columns.iter().map(|column| format!("quote(\"{column}\")")).collect::<Vec<_>>().join(" || ',' || ")
        } else {
            "t::text".to_owned()
        };
        let rows = query_texts(db, &format!("select {row} from {table} as t order by 1")).await;
        found.insert(table, rows);
    }
    found
}

async fn query_texts(db: &Db, sql: &str) -> Vec<String> {
    let sql = AssertSqlSafe(sql.to_owned());
    let texts: Result<Vec<String>, sqlx::Error> = match db.engine() {
        Engine::Sqlite { read, .. } => sqlx::query_scalar(sql).fetch_all(read).await,
        Engine::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
    };
    texts.expect("a list of texts")
}

/// Returns an id of the fixtures.
fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x019a_bcde_0000_7000_8000_0000_0000_0000 + number)
}

/// Replaces the placeholders of the fixtures. SQLite stores an id as a blob, and a time as text.
fn expand(db: &Db, rows: &str) -> String {
    let is_sqlite = matches!(db.engine(), Engine::Sqlite { .. });
    let parse_id = |number: &str| match number {
        "nil" => Uuid::nil(),
        number => id(u128::from_str_radix(number, 16).expect("a number of an id")),
    };
    let parse_time = |seconds: &str| at(seconds.parse().expect("seconds"));
    let rows = replace_each(rows, "@id(", |number| {
        let id = parse_id(number);
        if is_sqlite { format!("x'{}'", id.simple()) } else { format!("'{id}'") }
    });
    let rows =
        replace_each(&rows, "@bytes(", |hex| if is_sqlite { format!("x'{hex}'") } else { format!("'\\x{hex}'") });
    // The text that sqlx writes on SQLite.
    let rows = replace_each(&rows, "@at(", |seconds| {
        format!("'{}'", parse_time(seconds).to_rfc3339_opts(SecondsFormat::AutoSi, false))
    });
    let rows = replace_each(&rows, "@uuid(", |number| parse_id(number).to_string());
    replace_each(&rows, "@time(", |seconds| parse_time(seconds).to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn replace_each(text: &str, start: &str, literal: impl Fn(&str) -> String) -> String {
    let mut parts = text.split(start);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (value, rest) = part.split_once(')').expect("the end of a placeholder");
        replaced += &literal(value);
        replaced += rest;
    }
    replaced
}

// --- Rows ------------------------------------------------------------------------------------------------------------

async fn check_rows_of_version_10(db: &Db) {
    check_printers(db).await;
    check_prints(db).await;
    check_batches(db).await;
    check_commands(db).await;
    check_tokens_and_users(db).await;
    check_sessions(db).await;
    check_audit(db).await;
    check_events(db).await;
    check_webhooks(db).await;
    check_idempotency_keys(db).await;
}

fn sample_file(path: &str, origin: &str) -> FileRef {
    FileRef { path: path.into(), origin: origin.into() }
}

async fn check_printers(db: &Db) {
    let details = PrinterDetails {
        tags: vec!["hall-a".into(), "petg".into()],
        profile: PrinterProfile {
            model: Some("MK4".into()),
            material: Some("PETG".into()),
            color: Some("#1a2b3c".into()),
            nozzle_mm: Some(0.4),
            bed_mm: Some([250.0, 210.5, 220.0]),
            power_group: Some("rack 1".into()),
            notes: "by the door".into(),
        },
        ..PrinterDetails::new("MK4-01", "http://mk4-01.test")
    };
    let printer = Printer { id: id(1), details, attention: None, version: 3, created_at: at(0), updated_at: at(5) };
    let with_secrets = printers::get_many_with_secrets(db, &[id(1)]).await.expect("read");
    assert_eq!(with_secrets[0].0, printer);
    assert_eq!(with_secrets[0].1.api_key.as_deref(), Some(b"\x01sea".as_slice()));
    let all = printers::list_printers(db).await.expect("read");
    assert_eq!(all.iter().map(|printer| printer.id).collect::<Vec<_>>(), [id(1), id(2)]);
    assert_eq!((all[1].details.enabled, all[1].version), (false, 1));
    let observed = PrinterObservation {
        printer_id: id(1),
        state: PrinterState::Printing,
        mark: JobMark {
            file: Some(sample_file("parts/a.gcode", "local")),
            completion: Some(41.5),
            file_position: Some(123_456),
            print_time_s: Some(38),
            ..JobMark::default()
        },
        observed_at: at(50),
        octoprint_version: Some("1.10.3".into()),
    };
    assert_eq!(printer_observations::get_many(db, &[id(1)]).await.expect("read"), [observed]);
    let observed = printer_observations::get_many(db, &[id(2)]).await.expect("read");
    assert_eq!((&observed[0].mark, observed[0].observed_at), (&JobMark::default(), at(51)));
    let published = printer_observations::last_published(db).await.expect("read");
    let feed_state = |state, reachability| FeedState { state: Some(state), reachability };
    assert_eq!(published[&id(1)], feed_state(PrinterState::Printing, Some(Reachability::Online)));
    assert_eq!(published[&id(2)], feed_state(PrinterState::Operational, None));
    let occupied = vec![(id(1), Plate::occupied(id(0x21), at(12)))];
    assert_eq!(plates::get_many(db, &[id(1)]).await.expect("read"), occupied);
    let cleared = ClearedPlate { print_id: Some(id(0x22)), by: "Anna".into(), at: at(45) };
    assert_eq!(plates::list_cleared(db, &[id(1), id(2)]).await.expect("read"), [(id(2), cleared)]);
}

async fn check_prints(db: &Db) {
    let open = Print {
        id: id(0x21),
        printer_id: id(1),
        file: Some(sample_file("parts/a.gcode", "local")),
        started_at: at(12),
        ended_at: None,
        result: None,
        reason: None,
        started_by: PrintActor::command(id(0x31)),
        paused_by: Some(PrintActor::command(id(0x35))),
        batch_id: Some(id(0x11)),
        external_ref: Some("MO/4711".into()),
    };
    let done = Print {
        id: id(0x22),
        printer_id: id(2),
        file: Some(sample_file("parts/b.gcode", "sdcard")),
        started_at: at(0),
        ended_at: Some(at(40)),
        result: Some(PrintResult::Done),
        reason: None,
        started_by: PrintActor::printer(),
        paused_by: None,
        batch_id: None,
        external_ref: None,
    };
    let failed = Print {
        id: id(0x23),
        printer_id: id(3),
        file: None,
        started_at: at(1),
        ended_at: Some(at(31)),
        result: Some(PrintResult::Failed),
        reason: Some("Heating failed".into()),
        started_by: PrintActor::unknown(),
        paused_by: None,
        batch_id: None,
        external_ref: None,
    };
    for print in [open, done, failed] {
        assert_eq!(prints::get(db, print.id).await.expect("read"), Some(print));
    }
    let printed = print_days::sum_printed(db, 20_717..20_718, 1, Some(&[id(1), id(2), id(3)]), Calendar::UTC)
        .await
        .expect("read");
    let tally = |printed_s| PrintTally { printed_s, ..PrintTally::default() };
    let expected = [
        ((id(1), 0), tally(38)),
        ((id(2), 0), PrintTally { done: 1, ..tally(40) }),
        ((id(3), 0), PrintTally { failed: 1, ..tally(30) }),
    ];
    assert_eq!(printed.by_printer_and_step, BTreeMap::from(expected));
}

async fn check_batches(db: &Db) {
    let finished = Batch {
        id: id(0x11),
        spec: BatchSpec {
            file: Some(StartFile::OnPrinter(sample_file("parts/a.gcode", "local"))),
            plate: PlatePolicy::AssumeClear,
            max_in_flight: 2,
            interval_ms: 500,
            max_heating: 1,
            on_failure: OnFailure::Stop,
            named: true,
            user_id: Some(id(0x51)),
            reason: Some("first layer checked".into()),
            external_ref: Some("MO/4711".into()),
            ..BatchSpec::new(Command::Start)
        },
        state: BatchState::Finished,
        created_at: at(10),
        finished_at: Some(at(30)),
        created_by: "Anna".into(),
        retry_of: None,
    };
    let running = Batch {
        id: id(0x12),
        spec: BatchSpec {
            states: vec![PrinterState::Printing, PrinterState::Paused],
            token_id: Some(id(0x42)),
            ..BatchSpec::new(Command::Toggle)
        },
        state: BatchState::Running,
        created_at: at(40),
        finished_at: None,
        created_by: "erp".into(),
        retry_of: None,
    };
    let scheduled = Batch {
        id: id(0x13),
        spec: BatchSpec {
            not_before: Some(at(3_600)),
            when_unreachable: WhenUnreachable::Wait,
            named: true,
            user_id: Some(id(0x51)),
            ..BatchSpec::new(Command::Cancel)
        },
        state: BatchState::Scheduled,
        created_at: at(41),
        finished_at: None,
        created_by: "Anna".into(),
        retry_of: Some(id(0x11)),
    };
    for batch in [finished, running, scheduled] {
        assert_eq!(batches::get(db, batch.id).await.expect("read"), Some(batch));
    }
}

async fn check_commands(db: &Db) {
    let row = |number, batch, position, printer, name: &str, command| CommandRow {
        position,
        ..CommandRow::queued(id(number), id(batch), id(printer), name.to_owned(), command)
    };
    let file_path = || Some("parts/a.gcode".to_owned());
    let rows = [
        CommandRow {
            outcome: Outcome::Confirmed,
            step: Some(Step::Start),
            print_id: Some(id(0x21)),
            file_path: file_path(),
            state_before: Some(PrinterState::Operational),
            state_after: Some(PrinterState::Printing),
            attempts: 1,
            released_at: Some(at(10)),
            expires_at: Some(at(70)),
            sent_at: Some(at(11)),
            accepted_at: Some(at(12)),
            finished_at: Some(at(13)),
            ..row(0x31, 0x11, 0, 1, "MK4-01", Command::Start)
        },
        CommandRow {
            outcome: Outcome::Rejected,
            reason: Some(Reason::PlateNotClear),
            detail: Some(Message::verbatim(PLATE_NOT_CLEAR)),
            finished_at: Some(at(13)),
            ..row(0x32, 0x11, 1, 2, "XL-02", Command::Start)
        },
        CommandRow {
            outcome: Outcome::Unknown,
            reason: Some(Reason::NoAnswer),
            detail: Some(Message::verbatim(NO_ANSWER)),
            step: Some(Step::Start),
            file_path: file_path(),
            state_before: Some(PrinterState::Operational),
            state_after: Some(PrinterState::Offline),
            attempts: 1,
            released_at: Some(at(10)),
            expires_at: Some(at(70)),
            sent_at: Some(at(12)),
            finished_at: Some(at(29)),
            settled: Some(SettledEffect { effect: Effect::None, state: PrinterState::Operational, at: at(300) }),
            ..row(0x33, 0x11, 2, 3, "Old-03", Command::Start)
        },
        CommandRow {
            outcome: Outcome::Unconfirmed,
            reason: Some(Reason::NoEffect),
            detail: Some(Message::verbatim(NO_EFFECT)),
            step: Some(Step::Start),
            file_path: file_path(),
            state_before: Some(PrinterState::Operational),
            state_after: Some(PrinterState::Operational),
            attempts: 1,
            released_at: Some(at(10)),
            expires_at: Some(at(70)),
            sent_at: Some(at(12)),
            accepted_at: Some(at(13)),
            finished_at: Some(at(30)),
            ..row(0x34, 0x11, 3, 4, "Old-04", Command::Start)
        },
        CommandRow {
            resolved_command: Some(Command::Pause),
            expected_job: Some(ExpectedJob { path: file_path(), print_id: None }),
            outcome: Outcome::Accepted,
            step: Some(Step::Pause),
            print_id: Some(id(0x21)),
            state_before: Some(PrinterState::Printing),
            attempts: 2,
            released_at: Some(at(40)),
            expires_at: Some(at(100)),
            sent_at: Some(at(41)),
            accepted_at: Some(at(42)),
            ..row(0x35, 0x12, 0, 1, "MK4-01", Command::Toggle)
        },
        CommandRow {
            expected_job: Some(ExpectedJob { path: None, print_id: Some(id(0x22)) }),
            ..row(0x36, 0x12, 1, 2, "XL-02", Command::Toggle)
        },
        CommandRow {
            outcome: Outcome::Sent,
            step: Some(Step::Resume),
            state_before: Some(PrinterState::Paused),
            attempts: 1,
            released_at: Some(at(40)),
            expires_at: Some(at(100)),
            sent_at: Some(at(41)),
            ..row(0x37, 0x12, 2, 3, "Old-03", Command::Toggle)
        },
        CommandRow {
            outcome: Outcome::Skipped,
            reason: Some(Reason::OvertakenByCancel),
            detail: Some(Message::verbatim(OVERTAKEN)),
            released_at: Some(at(40)),
            expires_at: Some(at(100)),
            finished_at: Some(at(43)),
            ..row(0x38, 0x12, 3, 4, "Old-04", Command::Toggle)
        },
        CommandRow {
            outcome: Outcome::Expired,
            reason: Some(Reason::WindowOver),
            finished_at: Some(at(44)),
            ..row(0x39, 0x12, 4, 5, "Old-05", Command::Toggle)
        },
        row(0x3a, 0x13, 0, 1, "MK4-01", Command::Cancel),
    ];
    for row in &rows {
        assert_eq!(commands::get(db, row.id).await.expect("read").as_ref(), Some(row));
    }
    let requested = commands::list_at_positions(db, id(1), &[(id(0x11), 0), (id(0x12), 0)]).await.expect("read");
    let requested: Vec<_> = requested.into_iter().map(|row| (row.row.id, row.requested_by, row.requested_at)).collect();
    assert_eq!(requested, [(id(0x35), "erp".to_owned(), at(40)), (id(0x31), "Anna".to_owned(), at(10))]);
}

async fn check_tokens_and_users(db: &Db) {
    let erp = Token {
        id: id(0x41),
        name: "erp".into(),
        role: Role::Operator,
        tags: vec!["hall-a".into()],
        created_at: at(0),
        expires_at: Some(at(86_400)),
        last_used_at: Some(at(9)),
        root_id: id(0x41),
        requires_key: true,
        created_by: None,
    };
    let rotated = Token {
        id: id(0x42),
        created_at: at(8),
        expires_at: None,
        last_used_at: None,
        root_id: id(0x41),
        ..erp.clone()
    };
    let wall = Token {
        id: id(0x43),
        name: "wall".into(),
        role: Role::Viewer,
        tags: Vec::new(),
        created_at: at(0),
        expires_at: None,
        last_used_at: None,
        root_id: id(0x43),
        requires_key: false,
        created_by: None,
    };
    assert_eq!(tokens::find_by_hash(db, &[0x42]).await.expect("read"), Some(rotated.clone()));
    assert_eq!(tokens::list_page(db, None, 10).await.expect("read"), [wall, rotated, erp], "without the revoked one");

    let anna = User {
        id: id(0x51),
        details: UserDetails { name: "Anna".into(), role: Role::Admin, tags: Vec::new(), enabled: true },
        version: 2,
        created_at: at(0),
        updated_at: at(4),
        last_login_at: Some(at(6)),
    };
    let ben = User {
        id: id(0x52),
        details: UserDetails {
            name: "ben@sso.test".into(),
            role: Role::Viewer,
            tags: vec!["hall-a".into(), "petg".into()],
            enabled: false,
        },
        version: 1,
        created_at: at(2),
        updated_at: at(2),
        last_login_at: None,
    };
    let password_hash = Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned());
    assert_eq!(users::find_by_name(db, "ANNA").await.expect("read"), Some((anna.clone(), password_hash)));
    assert_eq!(users::list_page(db, None, 10).await.expect("read"), [ben, anna]);
    assert!(users::is_setup_link(db, &[0x6c], at(60)).await.expect("read"));
    let identity = Identity { issuer: "https://id.test/realms/farm".into(), subject: "sub-52".into() };
    assert_eq!(identities::find_user_id(db, &identity).await.expect("read"), Some(id(0x52)));
}

async fn check_sessions(db: &Db) {
    let of_user = Session {
        id: id(0x61),
        user_id: Some(id(0x51)),
        token_id: None,
        admin_hash: None,
        created_at: at(6),
        last_seen_at: at(60),
        expires_at: at(43_200),
        address: Some("10.0.0.9".into()),
        agent: "Firefox".into(),
    };
    let of_token = Session {
        id: id(0x62),
        user_id: None,
        token_id: Some(id(0x42)),
        created_at: at(7),
        last_seen_at: at(7),
        address: None,
        agent: "Chrome".into(),
        ..of_user.clone()
    };
    let of_admin_token = Session {
        id: id(0x63),
        token_id: None,
        admin_hash: Some(vec![0xad]),
        created_at: at(8),
        last_seen_at: at(8),
        address: Some("10.0.0.7".into()),
        agent: String::new(),
        ..of_token.clone()
    };
    assert_eq!(sessions::list_by_user(db, id(0x51), at(61)).await.expect("read"), [of_user]);
    assert_eq!(sessions::find_by_hash(db, &[0x62]).await.expect("read"), Some(of_token));
    assert_eq!(sessions::find_by_hash(db, &[0x63]).await.expect("read"), Some(of_admin_token));
}

async fn check_audit(db: &Db) {
    let verified = audit::verify(db).await.expect("verified");
    assert_eq!((verified.rows, verified.last_seq, verified.removed_up_to), (3, 3, 0), "{verified:?}");
    assert_eq!(verified.faults, Vec::<String>::new());
    // Each record is read completely: written again, it is the same text.
    let stored = query_texts(db, "select record from audit order by seq desc").await;
    let page = audit::list_page(db, &AuditFilter::default(), None, 10).await.expect("read");
    let written: Vec<String> = page
        .iter()
        .map(|record| match record {
            CheckedRecord::Intact(record) => serde_json::to_string(record).expect("JSON"),
            CheckedRecord::Damaged { .. } => panic!("{record:?}"),
        })
        .collect();
    assert_eq!(written, stored);
    let filter = AuditFilter { printer_id: Some(id(2)), ..AuditFilter::default() };
    let of_printer = audit::list_page(db, &filter, None, 10).await.expect("read");
    assert_eq!(of_printer.iter().map(CheckedRecord::seq).collect::<Vec<_>>(), [3, 2]);
}

async fn check_events(db: &Db) {
    let page = events::list_page(db, 0, None, 10).await.expect("read");
    let kinds: Vec<EventType> = page.events.iter().map(|event| event.kind).collect();
    let expected = [
        EventType::PrinterRegistered,
        EventType::BatchCreated,
        EventType::PrintStarted,
        EventType::CommandFinished,
        EventType::BatchFinished,
        EventType::CommandSettled,
    ];
    assert_eq!(kinds, expected);
    let data: Vec<_> = page.events.iter().map(|event| serde_json::Value::Object(event.data.clone())).collect();
    assert_eq!(data[0], json!({"name": "MK4-01", "printer_id": id(1), "printer_name": "MK4-01"}));
    assert_eq!(data[1], json!({"command": "start", "total": 4, "batch_id": id(0x11)}));
    assert_eq!((&data[2]["print_id"], &data[2]["by"]["command_id"]), (&json!(id(0x21)), &json!(id(0x31))));
    assert_eq!((&data[3]["outcome"], &data[3]["printer_name"]), (&json!("rejected"), &json!("XL-02")));
    assert_eq!(data[3]["detail"], json!(Message::verbatim(PLATE_NOT_CLEAR)));
    let outcomes = [Outcome::Confirmed, Outcome::Rejected, Outcome::Unconfirmed, Outcome::Unknown];
    let counts = OutcomeCounts::from_pairs(outcomes.map(|outcome| (outcome, 1)));
    assert_eq!((&data[4]["result"], &data[4]["counts"]), (&json!("uncertain"), &json!(BatchCounts::from(&counts))));
    assert_eq!(data[5]["settled"]["effect"], json!("none"));
    let created = &page.events[1];
    assert_eq!((created.id, created.at, created.subject), (id(0x82), at(10), Some(id(0x11))));
    assert_eq!(created.external_ref.as_deref(), Some("MO/4711"));
    assert_eq!(json!(created.actor), json!({"kind": "user", "id": id(0x51), "name": "Anna"}));
    assert_eq!(events::head_cursor(db).await.expect("read"), Cursor::after(6, Some(id(0x86))));
    let range = events::stored_range(db, 5).await.expect("read");
    assert_eq!((range.oldest, range.id_at_position, range.head), (Some(1), Some(id(0x85)), 6));
}

async fn check_webhooks(db: &Db) {
    let webhook = Webhook {
        id: id(0x71),
        details: WebhookDetails {
            url: "https://erp.test/hook".into(),
            description: "orders".into(),
            types: vec![EventType::BatchCreated, EventType::BatchFinished],
            enabled: false,
            ordered: true,
        },
        tags: vec!["hall-a".into()],
        created_by: "Anna".into(),
        position: 6,
        disabled_reason: Some(DisabledReason::Failing),
        failing_since: Some(at(31)),
        last_success_at: Some(at(11)),
        last_error: Some(Message::verbatim(ANSWERED_500)),
        version: 2,
        created_at: at(1),
        updated_at: at(2),
    };
    assert_eq!(webhooks::list_webhooks(db).await.expect("read"), [webhook]);
    let secrets = webhooks::list_secrets(db, id(0x71), at(60)).await.expect("read");
    let secrets: Vec<_> = secrets.into_iter().map(|secret| (secret.id, secret.sealed, secret.until)).collect();
    assert_eq!(secrets, [(id(0x73), vec![0x73], None), (id(0x72), vec![0x72], Some(at(3_600)))]);
    let delivered = Delivery {
        id: id(0x74),
        webhook_id: id(0x71),
        event_seq: 2,
        event_id: id(0x82),
        kind: EventType::BatchCreated,
        state: DeliveryState::Delivered,
        attempts: 1,
        next_at: None,
        status: Some(204),
        error: None,
        response: Some(String::new()),
        latency_ms: Some(12),
        created_at: at(10),
        finished_at: Some(at(11)),
    };
    let pending = Delivery {
        id: id(0x75),
        webhook_id: id(0x71),
        event_seq: 5,
        event_id: id(0x85),
        kind: EventType::BatchFinished,
        state: DeliveryState::Pending,
        attempts: 2,
        next_at: Some(at(331)),
        status: Some(500),
        error: Some(Message::verbatim(ANSWERED_500)),
        response: Some("oops".into()),
        latency_ms: Some(7),
        created_at: at(30),
        finished_at: None,
    };
    let deliveries = webhooks::list_deliveries(db, id(0x71), &DeliveryFilter::default(), None, 10).await.expect("read");
    assert_eq!(deliveries, [pending, delivered]);
}

async fn check_idempotency_keys(db: &Db) {
    let bound = KeyBinding {
        fingerprint: vec![0x91],
        location: Some(format!("/api/v1/batches/{}", id(0x11))),
        status: Some(202),
        body: None,
        body_gone: false,
    };
    assert_eq!(idempotency::get(db, id(0x41), "MO/4711", at(60)).await.expect("read"), Some(bound));
    let answered = KeyBinding {
        fingerprint: vec![0x92],
        location: None,
        status: Some(200),
        body: Some(r#"{"deleted":3}"#.into()),
        body_gone: false,
    };
    assert_eq!(idempotency::get(db, Uuid::nil(), "purge", at(60)).await.expect("read"), Some(answered));
    assert_eq!(idempotency::get(db, Uuid::nil(), "refused", at(60)).await.expect("read"), None);
}

async fn check_rows_of_version_17(db: &Db) {
    let with_secrets = printers::get_many_with_secrets(db, &[id(2)]).await.expect("read");
    let (printer, sealed_access) = &with_secrets[0];
    assert_eq!(printer.details.proxy_user.as_deref(), Some("farm"));
    assert_eq!(printer.details.header_names, ["x-access-token"]);
    assert_eq!(printer.details.ca_certificate.as_deref(), Some("-----BEGIN CERTIFICATE-----"));
    let password = sealed_access.secret(SecretKind::ProxyPassword).map(|secret| (secret.id, secret.sealed.clone()));
    assert_eq!(password, Some((id(0xa1), vec![0xa1])));
    assert_eq!(sealed::count_values(db).await.expect("read"), 4);

    let mark = JobMark {
        completion: Some(99.5),
        print_time_s: Some(7),
        phase: MarkPhase::Print(id(0x24)),
        state: Some(PrinterState::Printing),
        started_by: Some(id(0x31)),
        ..JobMark::default()
    };
    assert_eq!(printer_observations::get_many(db, &[id(6)]).await.expect("read")[0].mark, mark);
    let print = prints::get(db, id(0x24)).await.expect("read").expect("a print");
    assert_eq!((print.batch_id, print.external_ref.as_deref()), (Some(id(0x11)), Some("MO/4711")));

    let spec = BatchSpec { token_id: Some(id(0x42)), root_token_id: Some(id(0x41)), ..BatchSpec::new(Command::Pause) };
    assert_eq!(batches::get(db, id(0x14)).await.expect("read").expect("a batch").spec, spec);

    let dropped = idempotency::get(db, id(0x41), "large", at(60)).await.expect("read").expect("a bound key");
    assert!(dropped.body_gone);
    let clock = StoredClock { newest: at(400), steady: TimeDelta::hours(2) };
    assert_eq!(retention::stored_clock(db).await.expect("read"), Some(clock));
    let holder = lock::read_holder(db).await.expect("read");
    assert_eq!((holder.epoch, holder.host.as_str(), holder.pid), (3, "farm-1", 4_242));
    assert_eq!((holder.since, holder.released_at), (Some(at(1)), None));
}
