//! Orders, parts and copies to store.

use chrono::{DateTime, Utc};
use printyard::{
    clock::new_id,
    domain::{
        batch::BatchOrigin,
        command::{Command, CommandRow, LibraryContent, StartFile},
        copy::{Copy, CopyState},
        event::EventType,
        file::{AnalysisState, Content, FileFormat, FileOverrides, LibraryFile},
        gcode::{ExtrusionCurve, GcodeFacts},
        order::{CountedOrder, Order, OrderFile, OrderRequest},
        part::{Judgement, Part, PartDetails, PlateFile},
        requirements::Requirements,
    },
    storage::{
        Db,
        batches::PreparedBatch,
        copies::{self, Assignment, AssignmentResult, CopyChange, CopyDecision},
        events,
        files::ContentParts,
        orders::{self, Decision, OrderInsert},
    },
};
use serde_json::{Map, json};
use uuid::Uuid;

use crate::storage::fixtures::{at, sample_batch, sample_entry};

pub fn sample_part(number: &str, files: &[Uuid]) -> Part {
    let file = |id: &Uuid| PlateFile {
        file_id: *id,
        models: vec!["MK4".into()],
        parts_per_plate: 4,
        estimated_print_time_s: Some(3_600),
    };
    let details = PartDetails {
        revision: "C".into(),
        title: "Bracket".into(),
        requirements: Requirements { nozzle_mm: Some(0.4), ..Requirements::default() },
        judgement: Judgement::Manual,
        files: files.iter().map(file).collect(),
    };
    Part { number: number.to_owned(), details, version: 1, created_at: at(0), updated_at: at(0) }
}

/// Returns a file whose content differs by `n`.
pub fn sample_file(name: &str, n: u8) -> LibraryFile {
    let content = Content {
        sha256: format!("{n:02x}").repeat(32),
        size: 10,
        format: FileFormat::Gcode,
        print_size: 10,
        print_sha1: "ab".repeat(20),
        analysis: AnalysisState::Done,
        facts: GcodeFacts::default(),
        thumbnails: Vec::new(),
    };
    LibraryFile {
        id: new_id(),
        name: name.to_owned(),
        folder: String::new(),
        content,
        overrides: FileOverrides::default(),
        version: 1,
        created_at: at(0),
        updated_at: at(0),
        created_by: "anna".into(),
    }
}

pub fn no_parts() -> ContentParts {
    ContentParts { thumbnails: Vec::new(), extrusion: ExtrusionCurve::default() }
}

/// Returns an open order with its own reference, and a file that makes one part at a time.
pub fn sample_order(quantity: u32) -> Order {
    let id = new_id();
    let mut request = OrderRequest::new(quantity);
    request.title = Some("Bracket – 50 %".into());
    Order {
        id,
        source: "odoo".into(),
        external_ref: Some(format!("MO/{id}")),
        line: "10".into(),
        part: Some("BRKT-7".into()),
        part_revision: None,
        files: vec![OrderFile {
            file_id: new_id(),
            sha256: "cd".repeat(32),
            name: "bracket.gcode".into(),
            print_size: 1_000,
            models: vec!["MK4".into()],
            parts_per_plate: 1,
            estimated_print_time_s: None,
        }],
        details: request.details(None),
        hold: None,
        ended_as: None,
        running: None,
        tag_limit: Vec::new(),
        version: 1,
        created_at: at(0),
        updated_at: at(0),
        started_at: None,
        completed_at: None,
        attempts_since: None,
        created_by: "anna".into(),
    }
}

pub async fn insert_order(db: &Db, order: &Order) {
    let inserted = orders::insert(db, &[(order.clone(), vec![7], sample_entry())]).await.expect("no error");
    assert_eq!(inserted, OrderInsert::Inserted);
}

/// Returns a decision that changes nothing and publishes an event.
pub fn decide(before: &CountedOrder, event: EventType) -> Decision {
    Decision { order: before.order.clone(), event, data: Map::new(), entry: sample_entry(), adjustment: None }
}

/// Returns an assignment of a copy with the first file of the order.
pub fn sample_assignment(order: &Order, printer_id: Uuid) -> Assignment {
    let file = order.files[0].clone();
    let content = LibraryContent {
        file_id: file.file_id,
        sha256: file.sha256.clone(),
        name: file.name.clone(),
        print_size: file.print_size,
    };
    let mut batch = sample_batch(Command::Start);
    batch.spec.origin = BatchOrigin::Planner;
    let row = CommandRow {
        file: Some(StartFile::InLibrary(content)),
        ..CommandRow::queued(new_id(), batch.id, printer_id, "MK4-017".into(), Command::Start)
    };
    Assignment {
        copy_id: new_id(),
        order_id: order.id,
        printer_id,
        file,
        why: [("rule".to_owned(), json!("atc"))].into_iter().collect(),
        batch: PreparedBatch { batch, rows: vec![row], entry: sample_entry() },
        at: at(5),
    }
}

/// Assigns a copy of an order to a printer.
pub async fn assign_copy(db: &Db, order_id: Uuid, printer_id: Uuid) -> Option<Copy> {
    let order = orders::get(db, order_id).await.expect("read").expect("an order").order;
    match copies::assign(db, &sample_assignment(&order, printer_id)).await.expect("no error") {
        AssignmentResult::Assigned(copy) => Some(*copy),
        AssignmentResult::NotNeeded | AssignmentResult::PrinterTaken => None,
    }
}

/// Sets the state of a copy, as the reconciler does. Returns the order after it.
pub async fn set_state(db: &Db, id: Uuid, state: CopyState, when: DateTime<Utc>) -> CountedOrder {
    let changed = copies::change(db, id, when, |copy, order| {
        let decision = copy.advance(&order.order, state, when).map(|copy| CopyDecision {
            event: copy.state.event(),
            copy,
            data: Map::new(),
            entry: None,
        });
        Ok::<_, ()>(decision)
    });
    match changed.await.expect("no error") {
        CopyChange::Changed { order, .. } => *order,
        other => panic!("{other:?}"),
    }
}

pub async fn list_event_types(db: &Db) -> Vec<EventType> {
    let page = events::list_page(db, 0, None, 500).await.expect("read");
    let of_orders = page.events.into_iter().map(|event| event.kind).filter(|kind| kind.is_about_order());
    of_orders.collect()
}
