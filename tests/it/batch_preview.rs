//! A preview and the result of its batch agree: for every state of a printer and every command, printer by printer.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use printyard::{
    domain::{
        access::Role,
        audit::ActorKind,
        batch::{BatchSpec, PlatePolicy, Selector, Target},
        command::{Command, ResultClass},
    },
    service::{
        access::Principal,
        batches::{CreateBatchResult, NewBatch},
    },
    simulator::{Farm, FarmConfig, Fault, MachineAction, SimulatedPrinter},
};
use reqwest::Method;
use uuid::Uuid;

use crate::support::{
    server::{ServerOptions, TestServer},
    wait,
};

const DEADLINE: Duration = Duration::from_secs(90);
const LONG_FILE: &str = "long.gcode";
const SLOW_FILE: &str = "slow.gcode";
const SHORT_FILE: &str = "short.gcode";
/// Seconds that transient states last. A busy machine may need the longer ones.
const DWELL_S: [u32; 3] = [6, 20, 60];

/// How a printer is before the command: a name, and what the server reports: the state, or why it is not known.
const STATES: [(&str, &str); 17] = [
    ("idle", "operational"),
    ("without a file", "operational"),
    ("with an occupied plate", "operational"),
    ("offline", "offline"),
    ("halted", "error"),
    ("starting", "starting"),
    ("printing", "printing"),
    ("pausing", "pausing"),
    ("paused", "paused"),
    ("resuming", "resuming"),
    ("cancelling", "cancelling"),
    ("finishing", "finishing"),
    ("transferring", "transferring"),
    ("silent", "unreachable"),
    ("with a wrong key", "unauthorized"),
    ("of another kind", "incompatible"),
    ("disabled", "disabled"),
];

/// What the server reports of printers that do not become online.
const OUT_OF_REACH: [&str; 4] = ["unreachable", "unauthorized", "incompatible", "disabled"];

/// The commands, each with every check of plates that it knows.
const COMMANDS: [(Command, PlatePolicy); 10] = [
    (Command::Start, PlatePolicy::Check),
    (Command::Start, PlatePolicy::AssumeClear),
    (Command::Pause, PlatePolicy::Check),
    (Command::Resume, PlatePolicy::Check),
    (Command::Toggle, PlatePolicy::Check),
    (Command::Cancel, PlatePolicy::Check),
    (Command::Restart, PlatePolicy::Check),
    (Command::Restart, PlatePolicy::AssumeClear),
    (Command::Connect, PlatePolicy::Check),
    (Command::Disconnect, PlatePolicy::Check),
];

/// One printer per state and command.
struct PreviewTable {
    server: TestServer,
    farm: Farm,
    /// By command, then by state.
    ids: Vec<Vec<String>>,
}

impl PreviewTable {
    async fn start(dwell_s: u32) -> Self {
        let printers = STATES.len() * COMMANDS.len();
        let farm = Farm::start(FarmConfig { printers, ..FarmConfig::default() }).await.expect("a farm");
        let server = TestServer::start_with(ServerOptions { plate_gate: true, ..ServerOptions::default() }).await;
        let mut ids = Vec::new();
        for simulated in farm.printers().chunks(STATES.len()) {
            let mut row = Vec::new();
            for (printer, (state, _)) in simulated.iter().zip(STATES) {
                prepare(printer, state, dwell_s);
                row.push(server.register_printer(printer).await);
            }
            ids.push(row);
        }
        let table = Self { server, farm, ids };
        table.until("idle printers", |_, last, now| OUT_OF_REACH.contains(&last) || now == "operational").await;
        table
    }

    fn each(&self) -> impl Iterator<Item = (&SimulatedPrinter, &str, &'static str)> {
        let ids = self.ids.iter().flatten();
        let states = STATES.iter().cycle().map(|(state, _)| *state);
        self.farm.printers().iter().zip(ids).zip(states).map(|((printer, id), state)| (printer, id.as_str(), state))
    }

    fn act_on(&self, states: &[&str], action: &MachineAction) {
        for (printer, _, _) in self.each().filter(|(_, _, state)| states.contains(state)) {
            printer.perform(action.clone());
        }
    }

    /// Waits until the server reports a state for the printers that `chosen` selects by their names and final states.
    async fn until_states(&self, chosen: impl Fn(&str, &str) -> bool, state: &str) {
        self.until(&format!("{state} printers"), |name, last, now| !chosen(name, last) || now == state).await;
    }

    async fn until(&self, what: &str, is_reached: impl Fn(&str, &str, &str) -> bool) {
        wait::until(what, DEADLINE, async || {
            let now = self.read_states().await;
            let missing = self.each().zip(STATES.iter().cycle());
            let missing = missing.filter(|((_, id, name), (_, last))| !is_reached(name, last, &now[*id]));
            let missing: Vec<_> = missing.map(|((_, id, name), _)| format!("{name} is {}", now[id])).collect();
            if missing.is_empty() { Ok(()) } else { Err(missing) }
        })
        .await;
    }

    async fn read_states(&self) -> HashMap<String, String> {
        let (_, page, _) = self.server.get("/api/v1/printers?limit=500").await;
        let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let status = |printer: &serde_json::Value| match text(&printer["status"]["reachability"]).as_str() {
            _ if printer["enabled"] == false => "disabled".to_owned(),
            "online" => text(&printer["status"]["state"]),
            other => other.to_owned(),
        };
        items.iter().map(|printer| (text(&printer["id"]), status(printer))).collect()
    }

    /// Brings every printer into its state. The transient states begin last, at the same time.
    async fn reach_states(&self) {
        let active = ["with an occupied plate", "printing", "pausing", "paused", "resuming", "cancelling"];
        self.act_on(&active, &MachineAction::StartSelected);
        self.act_on(&["offline"], &MachineAction::Disconnect);
        self.act_on(&["halted"], &MachineAction::FirmwareError("Thermal runaway".to_owned()));
        self.act_on(&["transferring"], &MachineAction::SendToSd);
        self.until_states(|name, _| active.contains(&name), "printing").await;
        self.act_on(&["paused", "resuming"], &MachineAction::Pause);
        self.act_on(&["with an occupied plate"], &MachineAction::Cancel);
        self.until_states(|name, _| name == "paused" || name == "resuming", "paused").await;
        for (_, id, _) in self.each().filter(|(_, _, state)| *state == "disabled") {
            let path = format!("/api/v1/printers/{id}");
            assert_eq!(self.server.patch(&path, serde_json::json!({"enabled": false})).await.0, 200);
        }
        self.until("all lasting states", |name, last, now| is_transient(name) || now == last).await;
        self.act_on(&["starting", "finishing"], &MachineAction::StartSelected);
        self.act_on(&["pausing"], &MachineAction::Pause);
        self.act_on(&["resuming"], &MachineAction::Resume);
        self.act_on(&["cancelling"], &MachineAction::Cancel);
    }

    /// Waits until all printers are in their states at the same time. Returns `false` if a transient state has passed.
    async fn has_all_states(&self, dwell: Duration) -> bool {
        let begun = Instant::now();
        wait::until("all states, or the end of a transient one", DEADLINE, async || {
            let now = self.read_states().await;
            let cells = self.each().zip(STATES.iter().cycle());
            let missing = cells.filter(|((_, id, _), (_, last))| now[*id] != *last);
            let missing: Vec<&str> = missing.map(|((_, _, name), _)| name).collect();
            match missing.is_empty() {
                true => Ok(true),
                false if begun.elapsed() >= dwell => Ok(false),
                false => Err(missing),
            }
        })
        .await
    }

    fn new_batch(&self, column: usize, dry_run: bool) -> NewBatch {
        let (command, plate) = COMMANDS[column];
        let target = |id: &String| Target { id: id.parse().expect("an id"), expected_job: None, file: None };
        let mut spec = BatchSpec::new(command);
        spec.plate = plate;
        spec.reason = Some("the table".to_owned());
        let selector = Selector::Printers(self.ids[column].iter().map(target).collect());
        NewBatch { spec, file: None, selector, expect_total: None, dry_run }
    }

    async fn stop(self) {
        self.server.stop().await;
        self.farm.stop().await;
    }
}

fn is_transient(name: &str) -> bool {
    ["starting", "pausing", "resuming", "cancelling", "finishing"].contains(&name)
}

/// Prepares faults, files and scripts, so that the states of this printer last.
fn prepare(printer: &SimulatedPrinter, state: &str, dwell_s: u32) {
    let dwell = format!("G4 S{dwell_s}");
    printer.put_file(LONG_FILE, "G4 P100\n".repeat(60_000));
    match state {
        "without a file" => return,
        // From the start, because an open event socket would hide it for a while.
        "silent" => printer.set_fault(Some(Fault::Refuse)),
        "with a wrong key" => printer.set_fault(Some(Fault::WrongKey)),
        "of another kind" => printer.set_fault(Some(Fault::Garbage)),
        "starting" => printer.set_script("beforePrintStarted", &dwell),
        "pausing" => printer.set_script("afterPrintPaused", &dwell),
        "resuming" => printer.set_script("beforePrintResumed", &dwell),
        "finishing" => {
            printer.put_file(SHORT_FILE, "G4 P1\n");
            printer.set_script("afterPrintDone", &dwell);
            return printer.select(SHORT_FILE);
        }
        "cancelling" => {
            printer.put_file(SLOW_FILE, format!("{dwell}\n").repeat(100));
            return printer.select(SLOW_FILE);
        }
        _ => {}
    }
    printer.select(LONG_FILE);
}

/// Returns what the preview in the bar says: the number of printers that the command acts on, and which are left as they
/// are. `None`: the bar does not offer the command.
fn read_preview(html: &str, command: Command) -> Option<(usize, String)> {
    let start = html.find(&format!("data-command=\"{command}\""))?;
    let item = &html[start..];
    let acts = item.split("data-acts=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a number");
    let line = item.split('>').nth(1).and_then(|rest| rest.split('<').next()).expect("a line");
    let left = line.split(" · ").find(|part| part.contains(" left as ")).unwrap_or_default();
    Some((acts.parse().expect("a number"), left.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_and_its_batch_agree_for_every_state_and_command() {
    for dwell_s in DWELL_S {
        let table = PreviewTable::start(dwell_s).await;
        table.reach_states().await;
        if table.has_all_states(Duration::from_secs(dwell_s.into())).await {
            compare(&table).await;
            return table.stop().await;
        }
        table.stop().await;
    }
    panic!("the transient states did not last");
}

async fn compare(table: &PreviewTable) {
    let who = Principal::server_admin(ActorKind::AdminToken);
    assert!(who.require(Role::Operator).is_ok());
    let services = &table.server.services;
    let cookie = table.server.open_session(&table.server.create_token("operator").await).await;
    let page = async |method: Method, path: &str, body: String| {
        let request =
            table.server.request_without_auth(method, path).header("Cookie", format!("printyard_session={cookie}"));
        let request = request.header("Sec-Fetch-Site", "same-origin").body(body);
        request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .send()
            .await
            .expect("an answer")
            .text()
            .await
            .expect("a page")
    };
    let (mut expected, mut batches, mut previews) = (Vec::new(), Vec::new(), Vec::new());
    for column in 0..COMMANDS.len() {
        let dry_run = services.create_batch(&who, table.new_batch(column, true)).await.expect("a dry run");
        let CreateBatchResult::DryRun { rows, .. } = dry_run else { panic!("a dry run") };
        expected.push(rows.iter().map(printyard::service::dry_run::DryRunRow::expected_class).collect::<Vec<_>>());
        let fields: Vec<String> = table.ids[column].iter().map(|id| format!("printer_id={id}")).collect();
        previews.push(page(Method::POST, "/batches/preview", fields.join("&")).await);
        let created = services.create_batch(&who, table.new_batch(column, false)).await.expect("a batch");
        let CreateBatchResult::Batch(view) = created else { panic!("a batch") };
        batches.push(view.batch.id);
    }
    let mut differences = Vec::new();
    for (column, (command, plate)) in COMMANDS.into_iter().enumerate() {
        let id: Uuid = batches[column];
        let view = wait::until(&format!("the batch {command} has ended"), DEADLINE, async || {
            let view = services.batch(&who, id).await.expect("a batch");
            if view.batch.finished_at.is_some() { Ok(view) } else { Err(view.counts) }
        })
        .await;
        for ((row, class), (state, _)) in view.commands.iter().zip(&expected[column]).zip(STATES) {
            if row.result_class() != *class {
                let result = format!("{} {:?} {:?}", row.outcome, row.reason, row.detail);
                differences.push(format!("{command} {plate}, {state}: expected {class:?}, got {result}"));
            }
        }
        let Some((acts, left)) = read_preview(&previews[column], command).filter(|_| plate == PlatePolicy::Check)
        else {
            continue;
        };
        let done = view.commands.iter().filter(|row| row.result_class() == ResultClass::Done).count();
        let batch_page = page(Method::GET, &format!("/batches/{id}"), String::new()).await;
        if acts != done || !batch_page.contains(&format!("<summary>{left}</summary>")) {
            let shown = batch_page.split("id=\"batch-left\"").nth(1).and_then(|rest| rest.split("</summary>").next());
            differences.push(format!("{command}: previewed {acts} and “{left}”, done {done} and {shown:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
