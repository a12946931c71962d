//! Measures a run of the planner in the server: 5,000 printers, 4,000 of them with a copy that prints, and 10,000 open orders
//! with their files, in SQLite.
//!
//! `cargo bench --bench planner_run`
//!
//! Measured on two shared cores: 135 ms without a change, and 137 ms after a change of one order (following the copies 42 to
//! 45 ms, reading 84 ms, planning 8 to 9 ms). When each run read everything, it took 1,057 to 1,502 ms. The process
//! has 178 MB after its first run, and 220 MB after 22 more.

#[expect(dead_code, reason = "each benchmark uses only some of the shared fixtures")]
mod support;

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use printyard::{
    Server,
    clock::{self, new_id},
    config::RawConfig,
    domain::{
        audit::{Action, ActorKind, AuditActor, AuditEntry},
        batch::{Batch, BatchOrigin, BatchSpec, BatchState},
        command::{Command, CommandRow, LibraryContent, StartFile},
        file::{AnalysisState, Content, FileFormat, FileOverrides, LibraryFile},
        gcode::{ExtrusionCurve, GcodeFacts, ToolFacts},
        order::{Order, OrderFile, OrderPatch, OrderRequest},
        printer::{Printer, PrinterDetails},
    },
    service::{Services, access::Principal, planner::RunTimes},
    storage::{
        Db,
        batches::PreparedBatch,
        copies::{self, Assignment, AssignmentResult},
        files::{self, ContentParts},
        orders,
        printers::{self, NewPrinter, SealedAccess},
    },
};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

const PRINTERS: usize = 5_000;
const PRINTING: usize = 4_000;
const ORDERS: usize = 10_000;
const RUNS: usize = 11;
const IDLE_TIME: Duration = Duration::from_secs(20);
const MODELS: [&str; 4] = ["MK4", "XL", "X1C", "Ender-3"];
const MATERIALS: [&str; 4] = ["PLA", "PETG", "ASA", "TPU"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("printyard.db");
    let database_url = format!("sqlite:{}", path.display());
    let began = Instant::now();
    let orders = fill(&database_url).await;
    make_history(&path).await;
    println!(
        "{PRINTERS} printers, {PRINTING} copies that print, {ORDERS} open orders (filled in {:?})",
        began.elapsed()
    );

    let raw = RawConfig {
        listen: Some("127.0.0.1:0".to_owned()),
        database_url: Some(database_url),
        data_dir: Some(folder.path().to_owned()),
        ..RawConfig::default()
    };
    let server = Server::start(&raw.validate().expect("valid settings")).await.expect("the server starts");
    let services = server.services.clone();
    // The other tasks begin with the server, too.
    for task in services.background().status() {
        services.background().run_now(task.name).await;
    }
    let memory = resident_megabytes();
    report("nothing changed", &services, async |_| {}).await;
    let patch = |priority| OrderPatch { priority: Some(priority), ..OrderPatch::default() };
    let admin = Principal::server_admin(ActorKind::AdminToken);
    report("one order changed", &services, async |run| {
        let id = orders[run * 700].id;
        let version = services.order(&admin, id).await.expect("an order").counted.order.version;
        let priority = u32::try_from(run).unwrap_or_default();
        services.patch_order(&admin, id, version, patch(priority)).await.expect("a change");
    })
    .await;
    println!("memory: {memory:.0} MB before these runs, {:.0} MB after them", resident_megabytes());
    let before = support::cpu_ms(std::process::id());
    tokio::time::sleep(IDLE_TIME).await;
    let used = (support::cpu_ms(std::process::id()) - before) / IDLE_TIME.as_secs_f64() / 10.0;
    println!("without events: {used:.1} % of a core over {IDLE_TIME:?}");
    drop(server);
}

/// Waits for runs of the planner, each after `change`, and prints the medians of their parts.
async fn report(name: &str, services: &Services, change: impl AsyncFn(usize)) {
    let mut times = Vec::new();
    for run in 0..RUNS {
        let last = services.latest_plan().expect("a plan").made_at;
        change(run).await;
        support::wait_until("the planner has run", || async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            services.latest_plan().is_some_and(|plan| plan.made_at > last)
        })
        .await;
        times.push(services.latest_plan().expect("a plan").times);
    }
    let median = |part: fn(&RunTimes) -> Duration| median(times.iter().map(part).collect());
    println!(
        "{name:18} following {:6.1} ms, reading {:6.1} ms, planning {:6.1} ms, assigning {:6.1} ms; in all {:6.1} ms",
        median(|times| times.following),
        median(|times| times.reading),
        median(|times| times.planning),
        median(|times| times.assigning),
        median(|times| times.following + times.reading + times.planning + times.assigning),
    );
}

/// Returns the median in milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Stores printers, files, orders, and the copies that print. Returns the orders.
async fn fill(database_url: &str) -> Vec<Order> {
    let db = Db::connect(database_url).await.expect("a database");
    let printers: Vec<Printer> = (0..PRINTERS).map(printer).collect();
    for group in printers.chunks(500) {
        let new = |printer: &Printer| NewPrinter {
            printer: printer.clone(),
            sealed: SealedAccess { api_key: None, secrets: Vec::new() },
            entry: entry(),
        };
        printers::insert(&db, &group.iter().map(new).collect::<Vec<_>>()).await.expect("printers");
    }
    let orders: Vec<Order> = (0..ORDERS).map(order).collect();
    for (number, order) in orders.iter().enumerate() {
        let parts = ContentParts { thumbnails: Vec::new(), extrusion: ExtrusionCurve::default() };
        files::put(&db, &file(number, &order.files[0]), &parts, &entry()).await.expect("a file");
    }
    for group in orders.chunks(500) {
        let new: Vec<_> = group.iter().map(|order| (order.clone(), vec![7], entry())).collect();
        orders::insert(&db, &new).await.expect("orders");
    }
    for (printer, order) in printers.iter().zip(&orders).take(PRINTING) {
        let assigned = copies::assign(&db, &assignment(printer, order)).await.expect("a copy");
        assert!(matches!(assigned, AssignmentResult::Assigned(_)), "{assigned:?}");
    }
    db.close().await;
    orders
}

/// Lets the assigned copies print, and adds two finished copies to each order.
async fn make_history(path: &std::path::Path) {
    let mut db: SqliteConnection = SqliteConnectOptions::new().filename(path).connect().await.expect("the database");
    let statements = [
        "update batches set state = 'finished', finished_at = created_at",
        "update commands set outcome = 'confirmed', (sent_at, finished_at) =
             (select created_at, created_at from batches b where b.id = batch_id)",
        "insert into prints (id, printer_id, started_at, started_by_kind, started_by_command)
             select command_id, printer_id, assigned_at, 'command', command_id from copies",
        "update copies set state = 'printing', print_id = command_id, started_at = assigned_at",
    ];
    for sql in statements {
        sqlx::query(sql).execute(&mut db).await.expect(sql);
    }
    for _ in 0..2 {
        let sql = "insert into copies (id, order_id, part, attempt, state, printer_id, file_id, sha256, command_id, batch_id, parts,
                       assigned_at, started_at, finished_at, quality, good, scrap, why)
                   select randomblob(16), id, part, 1, 'finished', randomblob(16), randomblob(16), '', randomblob(16), randomblob(16),
                       4, created_at, created_at, created_at, 'judged', 4, 0, '{}' from orders";
        sqlx::query(sql).execute(&mut db).await.expect("copies");
    }
    db.close().await.expect("a clean end");
}

fn entry() -> AuditEntry {
    AuditEntry {
        at: clock::now(),
        actor: AuditActor { kind: ActorKind::Terminal, id: None, name: "terminal".into() },
        action: Action::BatchCreated,
        printer_ids: Vec::new(),
        subject: None,
        request_id: None,
        address: None,
        changes: serde_json::Map::new(),
        idempotency_key: None,
    }
}

/// Returns a printer that is disabled, so that no connection is opened.
fn printer(number: usize) -> Printer {
    let mut details = PrinterDetails::new(format!("P-{number:04}"), format!("http://p{number}.test"));
    details.enabled = false;
    details.tags = vec![format!("hall-{}", number % 5)];
    details.production.auto = true;
    details.profile.model = Some(MODELS[number % 4].to_owned());
    details.profile.material = Some(MATERIALS[number / 4 % 4].to_owned());
    details.profile.nozzle_mm = Some(0.4);
    details.profile.bed_mm = Some([250.0, 210.0, 220.0]);
    let now = clock::now();
    Printer { id: new_id(), details, attention: None, version: 1, created_at: now, updated_at: now }
}

fn order(number: usize) -> Order {
    let mut request = OrderRequest::new(40);
    request.title = Some(format!("Bracket {number}"));
    let (id, now) = (new_id(), clock::now());
    let file = OrderFile {
        file_id: new_id(),
        sha256: format!("{number:064x}"),
        name: format!("bracket-{number}.gcode"),
        print_size: 1_000_000,
        models: vec![MODELS[number % 4].to_owned()],
        parts_per_plate: 4,
        estimated_print_time_s: None,
    };
    let mut details = request.details(None);
    details.due_at = Some(now + TimeDelta::minutes(i64::try_from(number).unwrap_or_default()));
    Order {
        id,
        source: "odoo".into(),
        external_ref: Some(format!("MO/{number}")),
        line: "10".into(),
        part: Some(format!("BRKT-{number}")),
        part_revision: None,
        files: vec![file],
        details,
        hold: None,
        ended_as: None,
        running: None,
        tag_limit: Vec::new(),
        version: 1,
        created_at: now,
        updated_at: now,
        started_at: None,
        completed_at: None,
        attempts_since: None,
        created_by: "anna".into(),
    }
}

fn file(number: usize, file: &OrderFile) -> LibraryFile {
    let tool = ToolFacts {
        tool: 0,
        material: Some(MATERIALS[number % 4].to_owned()),
        color: None,
        filament_mm: Some(5_000.0),
        filament_g: Some(15.0),
    };
    let facts = GcodeFacts {
        printer_model: Some(MODELS[number % 4].to_owned()),
        nozzle_mm: vec![0.4],
        estimated_print_time_s: Some(7_200),
        tools: vec![tool],
        extruded_mm: vec![5_000.0],
        ..GcodeFacts::default()
    };
    let content = Content {
        sha256: file.sha256.clone(),
        size: file.print_size,
        format: FileFormat::Gcode,
        print_size: file.print_size,
        print_sha1: "ab".repeat(20),
        analysis: AnalysisState::Done,
        facts,
        thumbnails: Vec::new(),
    };
    let now = clock::now();
    LibraryFile {
        id: file.file_id,
        name: file.name.clone(),
        folder: String::new(),
        content,
        overrides: FileOverrides::default(),
        version: 1,
        created_at: now,
        updated_at: now,
        created_by: "anna".into(),
    }
}

fn assignment(printer: &Printer, order: &Order) -> Assignment {
    let (file, now) = (order.files[0].clone(), clock::now());
    let content = LibraryContent {
        file_id: file.file_id,
        sha256: file.sha256.clone(),
        name: file.name.clone(),
        print_size: file.print_size,
    };
    let spec = BatchSpec { origin: BatchOrigin::Planner, ..BatchSpec::new(Command::Start) };
    let state = BatchState::Running;
    let batch = Batch {
        id: new_id(),
        spec,
        state,
        created_at: now,
        finished_at: None,
        created_by: "planner".into(),
        retry_of: None,
    };
    let name = printer.details.name.clone();
    let row = CommandRow {
        file: Some(StartFile::InLibrary(content)),
        ..CommandRow::queued(new_id(), batch.id, printer.id, name, Command::Start)
    };
    Assignment {
        copy_id: new_id(),
        order_id: order.id,
        printer_id: printer.id,
        file,
        why: serde_json::Map::new(),
        batch: PreparedBatch { batch, rows: vec![row], entry: entry() },
        at: now,
    }
}

/// Returns the memory of this process in megabytes.
fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().expect("a number") / 1e3
}
