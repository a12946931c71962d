//! Values to store: full ones with every optional field, and minimal ones.

use chrono::{DateTime, Duration, Utc};
use printyard::{
    clock::new_id,
    domain::{
        audit::{Action, ActorKind, AuditActor, AuditEntry},
        batch::{Batch, BatchSpec, BatchState},
        command::{Command, CommandRow, ExpectedJob, Outcome},
        command_report::CommandReport,
        print::{PrintActor, PrintFact},
        printer::{Printer, PrinterDetails},
        printer_tool::PrinterTool,
        production::{Production, ServiceState},
    },
    storage::{
        Db, Error,
        batches::{self, PreparedBatch},
        commands::{self, ChangedRow, SendCommit},
        print_facts,
        printers::{self, NewPrinter, SealedAccess},
    },
};
use uuid::Uuid;

/// Returns a fixed time plus seconds. Its microseconds are not zero, like those of real times.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 123_456_000).expect("a time") + Duration::seconds(seconds)
}

pub fn sample_printer(name: &str) -> Printer {
    Printer {
        id: new_id(),
        details: PrinterDetails::new(name, format!("http://{name}.test")),
        attention: None,
        version: 1,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// Stores one batch.
pub async fn create_batch(db: &Db, batch: &Batch, rows: &[CommandRow], entry: &AuditEntry) -> Result<(), Error> {
    batches::create(db, &[PreparedBatch { batch: batch.clone(), rows: rows.to_vec(), entry: entry.clone() }]).await
}

/// Registers one printer.
pub async fn insert_printer(
    db: &Db,
    printer: &Printer,
    sealed_key: Option<&[u8]>,
    entry: &AuditEntry,
) -> Result<(), Error> {
    let sealed = SealedAccess { api_key: sealed_key.map(<[u8]>::to_vec), secrets: Vec::new() };
    printers::insert(db, &[NewPrinter { printer: printer.clone(), sealed, entry: entry.clone() }]).await
}

/// Returns a sealed API key without other secrets.
pub fn sealed_with_key(sealed: &[u8]) -> SealedAccess {
    SealedAccess { api_key: Some(sealed.to_vec()), secrets: Vec::new() }
}

/// Returns the sealed API key of a printer.
pub async fn read_sealed_key(db: &Db, id: Uuid) -> Result<Option<Vec<u8>>, Error> {
    let found = printers::get_many_with_secrets(db, &[id]).await?;
    Ok(found.into_iter().next().and_then(|(_, sealed)| sealed.api_key))
}

pub fn tagged_printer(name: &str, tags: &[&str]) -> Printer {
    let mut printer = sample_printer(name);
    printer.details.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    printer
}

pub fn full_printer(name: &str) -> Printer {
    let mut printer = tagged_printer(name, &["hall-a", "petg"]);
    let details = &mut printer.details;
    details.enabled = false;
    details.profile.model = Some("MK4".into());
    details.profile.material = Some("PETG".into());
    details.profile.color = Some("#1a2b3c".into());
    details.profile.nozzle_mm = Some(0.4);
    details.profile.bed_mm = Some([250.0, 210.5, 220.0]);
    details.profile.power_group = Some("rack 1".into());
    details.profile.notes = "by the door, \"left\" – 50 %".into();
    details.production = Production {
        auto: true,
        auto_since: Some(at(7)),
        service: ServiceState::OutOfService,
        until: Some(at(900)),
        note: Some("Nozzle – 50 %".into()),
    };
    details.other_tools =
        vec![PrinterTool { tool: 1, nozzle_mm: Some(0.6), material: Some("PLA".into()), color: None }];
    details.proxy_user = Some("ann".into());
    details.header_names = vec!["x-access-token".into(), "x-hall".into()];
    details.ca_certificate = Some("-----BEGIN CERTIFICATE-----".into());
    printer
}

pub fn sample_batch(command: Command) -> Batch {
    Batch {
        id: new_id(),
        spec: BatchSpec::new(command),
        state: BatchState::Running,
        created_at: at(0),
        finished_at: None,
        created_by: "anna".into(),
        retry_of: None,
    }
}

pub fn sample_row(batch: &Batch, position: i64) -> CommandRow {
    CommandRow {
        position,
        expected_job: Some(ExpectedJob { path: Some("a.gcode".into()), print_id: None }),
        ..CommandRow::queued(new_id(), batch.id, new_id(), format!("MK4-{position:03}"), batch.spec.command)
    }
}

/// Stores a batch with this many queued rows.
pub async fn create_queued_batch(db: &Db, rows: i64) -> (Batch, Vec<CommandRow>) {
    let batch = sample_batch(Command::Pause);
    let rows: Vec<CommandRow> = (0..rows).map(|position| sample_row(&batch, position)).collect();
    create_batch(db, &batch, &rows, &sample_entry()).await.expect("created");
    (batch, rows)
}

pub fn sample_send(id: Uuid, attempt: i64) -> SendCommit {
    SendCommit {
        id,
        attempt,
        is_repeated: false,
        step: printyard::domain::command::Step::Pause,
        resolved: None,
        file_path: Some("a.gcode".into()),
        state_before: None,
        print_id: None,
        at: at(10),
    }
}

pub fn sample_report(id: Uuid, outcome: Outcome) -> CommandReport {
    CommandReport::new(id, outcome, at(20))
}

pub async fn read_outcome(db: &Db, id: Uuid) -> Outcome {
    commands::get(db, id).await.expect("read").expect("a row").outcome
}

pub fn sorted_ids(changed: &[ChangedRow]) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = changed.iter().map(|row| row.id).collect();
    ids.sort();
    ids
}

/// Records a started print, which occupies the plate of its printer.
pub async fn occupy_plate(db: &Db, printer_id: Uuid, print_id: Uuid, since: DateTime<Utc>) {
    let fact = PrintFact::Began { id: print_id, file: None, at: since, by: PrintActor::unknown() };
    print_facts::store_facts(db, new_id(), &[(printer_id, fact)], &[]).await.expect("recorded");
}

/// Returns an audit entry for a change that the test does not check.
pub fn sample_entry() -> AuditEntry {
    AuditEntry {
        at: at(0),
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
