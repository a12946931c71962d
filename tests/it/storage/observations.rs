//! Observed data of printers: observations, plates and prints.

use printyard::{
    clock::new_id,
    domain::{
        command::{Command, FileRef},
        event::{Event, EventType},
        plate::{ClearResult, ClearedPlate, Plate},
        print::{JobMark, MarkPhase, Print, PrintActor, PrintFact, PrintFilter, PrintResult, PrintState},
        state::PrinterState,
    },
    storage::{
        Db, events, plates, print_facts,
        printer_observations::{self, PrinterObservation},
        prints,
    },
};
use uuid::Uuid;

use super::{
    databases::on_each_database,
    fixtures::{self, at, create_batch, occupy_plate, sample_entry, sample_printer, tagged_printer},
};

fn sample_file() -> FileRef {
    FileRef { path: "dir/b\"x'.gcode".into(), origin: "local".into() }
}

#[tokio::test]
async fn the_last_observation_of_each_printer_is_kept() {
    on_each_database(async |db| {
        let (a, b) = (sample_printer("a"), sample_printer("b"));
        fixtures::insert_printer(&db, &a, None, &sample_entry()).await.expect("inserted");
        fixtures::insert_printer(&db, &b, None, &sample_entry()).await.expect("inserted");
        let mut first = PrinterObservation {
            printer_id: a.id,
            state: PrinterState::Printing,
            mark: JobMark {
                file: Some(sample_file()),
                completion: Some(42.125),
                file_position: Some(9_000_000_000),
                print_time_s: None,
                phase: MarkPhase::Print(new_id()),
                state: Some(PrinterState::Printing),
                started_by: Some(new_id()),
            },
            observed_at: at(1),
            octoprint_version: Some("1.11.8".into()),
        };
        let bare = PrinterObservation {
            printer_id: b.id,
            state: PrinterState::Unknown,
            mark: JobMark::default(),
            observed_at: at(2),
            octoprint_version: None,
        };
        let stale = PrinterObservation { observed_at: at(0), ..first.clone() };
        printer_observations::store_observations(&db, &[stale, first.clone(), bare.clone()], &[], &[])
            .await
            .expect("saved");
        let all = async || {
            let mut all = printer_observations::get_many(&db, &[a.id, b.id]).await.expect("read");
            all.sort_by_key(|observation| observation.observed_at);
            all
        };
        assert_eq!(all().await, [first.clone(), bare.clone()]);
        let later = PrinterObservation {
            state: PrinterState::Offline,
            mark: JobMark::default(),
            observed_at: at(3),
            octoprint_version: None,
            ..first.clone()
        };
        printer_observations::store_observations(&db, &[later], &[], &[]).await.expect("saved");
        (first.state, first.mark, first.observed_at) = (PrinterState::Offline, JobMark::default(), at(3));
        assert_eq!(all().await, [bare, first], "a known OctoPrint version is kept");
        printer_observations::store_observations(&db, &[], &[], &[]).await.expect("no error");
    })
    .await;
}

#[tokio::test]
async fn a_plate_is_cleared_of_the_named_print_and_of_no_other() {
    on_each_database(async |db| {
        let a = sample_printer("a");
        fixtures::insert_printer(&db, &a, None, &sample_entry()).await.expect("inserted");
        let (one, two) = (new_id(), new_id());
        occupy_plate(&db, a.id, one, at(1)).await;
        occupy_plate(&db, a.id, two, at(2)).await;
        let clear = async |named, by, n| {
            plates::mark_clear(&db, a.id, named, by, at(n), &sample_entry()).await.expect("no error")
        };
        let now = async || plates::get_many(&db, &[a.id]).await.expect("read");
        let last_cleared = async || plates::list_cleared(&db, &[a.id]).await.expect("read");
        assert_eq!(clear(Some(two), "anna", 3).await, Err(ClearResult::Printing));
        assert_eq!(clear(None, "anna", 3).await, Err(ClearResult::Printing));
        end_print(&db, two).await;
        assert_eq!(clear(Some(one), "anna", 3).await, Err(ClearResult::PlateChanged));
        assert_eq!((now().await, last_cleared().await), (vec![(a.id, Plate::occupied(two, at(2)))], vec![]));
        let cleared = ClearedPlate { print_id: Some(two), by: "anna".into(), at: at(4) };
        assert_eq!(clear(Some(two), "anna", 4).await, Ok(cleared.clone()));
        assert_eq!(clear(Some(two), "bert", 5).await, Err(ClearResult::AlreadyClear));
        let is_clear = Plate::occupied(two, at(2)).after_clear(&cleared).expect("the print was on the plate");
        assert_eq!((now().await, last_cleared().await), (vec![(a.id, is_clear)], vec![(a.id, cleared)]));
        occupy_plate(&db, a.id, one, at(6)).await;
        assert_eq!((now().await, last_cleared().await), (vec![(a.id, Plate::occupied(one, at(6)))], vec![]));
        // An earlier print without an end does not keep the plate occupied.
        let three = new_id();
        occupy_plate(&db, a.id, three, at(7)).await;
        end_print(&db, three).await;
        let cleared = ClearedPlate { print_id: Some(three), by: "bert".into(), at: at(8) };
        assert_eq!(clear(None, "bert", 8).await, Ok(cleared));
        let never = sample_printer("never");
        let never = plates::mark_clear(&db, never.id, None, "anna", at(9), &sample_entry()).await.expect("no error");
        assert_eq!(never, Err(ClearResult::AlreadyClear));
    })
    .await;
}

async fn end_print(db: &Db, id: Uuid) {
    let (result, left) = (PrintResult::Done, JobMark::default());
    record_fact(
        db,
        PrintFact::Ended { id, at: at(3), result, reason: None, by: PrintActor::printer(), mark_after: left },
    )
    .await;
}

async fn record_fact(db: &Db, fact: PrintFact) {
    print_facts::store_facts(db, new_id(), &[(new_id(), fact)], &[]).await.expect("recorded");
}

async fn begin_print(db: &Db, print: &Print) {
    let fact = PrintFact::Began { id: print.id, file: print.file.clone(), at: print.started_at, by: print.started_by };
    print_facts::store_facts(db, new_id(), &[(print.printer_id, fact)], &[]).await.expect("recorded");
}

fn sample_print(started: i64) -> Print {
    Print {
        id: new_id(),
        printer_id: new_id(),
        file: Some(sample_file()),
        started_at: at(started),
        ended_at: None,
        result: None,
        reason: None,
        started_by: PrintActor::command(new_id()),
        paused_by: None,
        batch_id: None,
        external_ref: None,
    }
}

#[tokio::test]
async fn a_print_begins_once_and_ends_once() {
    on_each_database(async |db| {
        let mut one = sample_print(0);
        begin_print(&db, &one).await;
        begin_print(&db, &Print { file: None, ..one.clone() }).await;
        assert_eq!(prints::list_open(&db, &[one.printer_id]).await.expect("read"), [one.clone()]);
        one.paused_by = Some(PrintActor::printer());
        record_fact(&db, PrintFact::Paused { id: one.id, by: PrintActor::printer() }).await;
        assert_eq!(prints::get(&db, one.id).await.expect("read").as_ref(), Some(&one));
        let by = PrintActor::command(new_id());
        one.paused_by = Some(by);
        record_fact(&db, PrintFact::Paused { id: one.id, by }).await;
        assert_eq!(prints::get(&db, one.id).await.expect("read").as_ref(), Some(&one));
        one.paused_by = None;
        record_fact(&db, PrintFact::Resumed { id: one.id, by: PrintActor::printer() }).await;
        let reason = Some("Thermal\0 runaway".into());
        record_fact(
            &db,
            PrintFact::Ended {
                id: one.id,
                at: at(9),
                result: PrintResult::Failed,
                reason,
                by: PrintActor::printer(),
                mark_after: JobMark::default(),
            },
        )
        .await;
        record_fact(
            &db,
            PrintFact::Ended {
                id: one.id,
                at: at(10),
                result: PrintResult::Done,
                reason: None,
                by: PrintActor::printer(),
                mark_after: JobMark::default(),
            },
        )
        .await;
        one.ended_at = Some(at(9));
        one.result = Some(PrintResult::Failed);
        one.reason = Some("Thermal\u{fffd} runaway".into());
        assert_eq!(prints::get(&db, one.id).await.expect("read").as_ref(), Some(&one));
        assert_eq!(prints::list_open(&db, &[one.printer_id]).await.expect("read"), []);
    })
    .await;
}

#[tokio::test]
async fn prints_are_paged_newest_first_and_filtered() {
    on_each_database(async |db| {
        let hall = tagged_printer("hall", &["a"]);
        fixtures::insert_printer(&db, &hall, None, &sample_entry()).await.expect("inserted");
        let mut all: Vec<Print> = (0..7).map(sample_print).collect();
        for print in &mut all[..3] {
            print.printer_id = hall.id;
            print.file = None;
            print.started_by = PrintActor::unknown();
        }
        for print in &all {
            begin_print(&db, print).await;
        }
        for (print, result) in all.iter_mut().zip([PrintResult::Done, PrintResult::Cancelled]) {
            record_fact(
                &db,
                PrintFact::Ended {
                    id: print.id,
                    at: at(50),
                    result,
                    reason: None,
                    by: PrintActor::printer(),
                    mark_after: JobMark::default(),
                },
            )
            .await;
            (print.ended_at, print.result) = (Some(at(50)), Some(result));
        }
        all.reverse();
        let mut seen = Vec::new();
        loop {
            let after = seen.last().map(|print: &Print| print.id);
            let page = prints::list_page(&db, &PrintFilter::default(), after, 3).await.expect("read");
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, all);
        let count = async |filter: PrintFilter| prints::list_page(&db, &filter, None, 50).await.expect("read").len();
        let some = PrintFilter::default;
        assert_eq!(count(PrintFilter { printer_id: Some(hall.id), ..some() }).await, 3);
        assert_eq!(count(PrintFilter { state: Some(PrintState::Open), ..some() }).await, 5);
        assert_eq!(count(PrintFilter { state: Some(PrintState::Ended(PrintResult::Done)), ..some() }).await, 1);
        assert_eq!(count(PrintFilter { since: Some(at(4)), ..some() }).await, 3);
        assert_eq!(count(PrintFilter { until: Some(at(4)), ..some() }).await, 4);
        assert_eq!(count(PrintFilter { tag: Some("a".into()), ..some() }).await, 3);
        assert_eq!(count(PrintFilter { tag: Some("b\0".into()), ..some() }).await, 0);
        assert_eq!(count(PrintFilter { visible_tags: Some(vec!["a".into()]), ..some() }).await, 3);
        assert_eq!(count(PrintFilter { visible_tags: Some(vec![]), ..some() }).await, 0);
    })
    .await;
}

#[tokio::test]
async fn every_row_and_event_of_a_print_names_the_order_of_the_command_that_started_it() {
    on_each_database(async |db| {
        let order = |reference: &str| {
            let mut batch = fixtures::sample_batch(Command::Start);
            batch.spec.external_ref = Some(reference.to_owned());
            batch
        };
        let (own, other) = (order("MO/1"), order("MO/2"));
        let (start, pause) = (fixtures::sample_row(&own, 0), fixtures::sample_row(&other, 0));
        for (batch, row) in [(&own, &start), (&other, &pause)] {
            create_batch(&db, batch, std::slice::from_ref(row), &sample_entry()).await.expect("created");
        }
        let by = PrintActor::command(start.id);
        let id = new_id();
        for fact in [
            PrintFact::Began { id, file: Some(sample_file()), at: at(0), by },
            PrintFact::Paused { id, by: PrintActor::command(pause.id) },
            PrintFact::Resumed { id, by: PrintActor::unknown() },
            PrintFact::Stalled { id, since: at(1) },
            PrintFact::Ended {
                id,
                at: at(2),
                result: PrintResult::Unknown,
                reason: None,
                by: PrintActor::printer(),
                mark_after: JobMark::default(),
            },
        ] {
            record_fact(&db, fact).await;
        }
        let manual = sample_print(0);
        begin_print(&db, &Print { started_by: PrintActor::printer(), ..manual.clone() }).await;
        let stored = prints::get(&db, id).await.expect("read").expect("a row");
        assert_eq!((stored.started_by, stored.batch_id), (by, Some(own.id)));
        assert_eq!(stored.external_ref.as_deref(), Some("MO/1"));
        let found = async |filter: PrintFilter| {
            let page = prints::list_page(&db, &filter, None, 50).await.expect("read");
            page.into_iter().map(|print| print.id).collect::<Vec<_>>()
        };
        let by_ref = |text: &str| PrintFilter { external_ref: Some(text.to_owned()), ..PrintFilter::default() };
        assert_eq!(found(by_ref("MO/1")).await, [id]);
        assert!(found(by_ref("MO/2")).await.is_empty(), "a pause does not link the print to its command");
        assert_eq!(found(PrintFilter { batch_id: Some(own.id), ..PrintFilter::default() }).await, [id]);
        assert!(found(PrintFilter { batch_id: Some(other.id), ..PrintFilter::default() }).await.is_empty());
        let page = events::list_page(&db, 0, None, 500).await.expect("read");
        let is_about = |id| move |event: &&Event| event.subject == Some(id);
        let print_events: Vec<&Event> = page.events.iter().filter(is_about(id)).collect();
        assert_eq!(print_events.len(), 6, "six events, with that of the plate: {print_events:?}");
        for event in print_events {
            assert_eq!(event.external_ref.as_deref(), Some("MO/1"), "{event:?}");
            if event.kind != EventType::PlateClearNeeded {
                assert_eq!(event.data["command_id"], start.id.to_string());
                assert_eq!(event.data["batch_id"], own.id.to_string());
                assert_eq!(event.data["external_ref"], "MO/1");
            }
        }
        let began = page.events.iter().find(is_about(manual.id)).expect("the print without a command");
        assert_eq!((&began.external_ref, &began.data["batch_id"]), (&None, &serde_json::Value::Null));
        assert!(began.data["command_id"].is_null() && began.data["external_ref"].is_null(), "{began:?}");
    })
    .await;
}
