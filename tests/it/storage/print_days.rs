//! Print statistics by day: the same before and after counting, with each print counted once.

use std::collections::BTreeMap;

use printyard::{
    clock::new_id,
    domain::{
        print::{JobMark, PrintActor, PrintFact, PrintResult},
        print_stats::{PrintTally, day_number},
        state::PrinterState,
    },
    storage::{
        Db, print_days, print_facts,
        printer_observations::{self, PrinterObservation},
    },
};
use uuid::Uuid;

use super::{
    databases::on_each_database,
    fixtures::{at, insert_printer, sample_entry, sample_printer},
};

const HOUR: i64 = 3_600;

/// Stores a print between two hours after a fixed time, with its result.
async fn record_print(db: &Db, printer_id: Uuid, from: i64, until: i64, result: Option<PrintResult>) {
    let (id, by) = (new_id(), PrintActor::printer());
    let mut facts = vec![(printer_id, PrintFact::Began { id, file: None, at: at(from * HOUR), by })];
    if let Some(result) = result {
        facts.push((
            printer_id,
            PrintFact::Ended { id, at: at(until * HOUR), result, reason: None, by, mark_after: JobMark::default() },
        ));
    }
    print_facts::store_facts(db, new_id(), &facts, &[]).await.expect("recorded");
}

#[tokio::test]
async fn each_print_counts_once_whether_it_was_counted_before_or_not() {
    on_each_database(async |db| {
        let (a, b) = (new_id(), new_id());
        // The fixed time is in the afternoon.
        let first = day_number(at(0));
        record_print(&db, a, 0, 2, Some(PrintResult::Done)).await;
        record_print(&db, a, 24, 27, Some(PrintResult::Failed)).await;
        record_print(&db, a, 48, 49, Some(PrintResult::Unknown)).await;
        record_print(&db, b, 0, 1, Some(PrintResult::Cancelled)).await;
        let read = async |step: i64, only: Option<&[Uuid]>| {
            print_days::sum_printed(&db, first..first + 4, step, only).await.expect("read").by_printer_and_step
        };
        let tally =
            |hours: i64, result: PrintResult| PrintTally { printed_s: hours * HOUR, ..PrintTally::for_result(result) };
        let mut expected: BTreeMap<(Uuid, i64), PrintTally> = [
            ((a, 0), tally(2, PrintResult::Done)),
            ((a, 1), tally(3, PrintResult::Failed)),
            ((a, 2), tally(0, PrintResult::Unknown)),
            ((b, 0), tally(1, PrintResult::Cancelled)),
        ]
        .into();
        assert_eq!(read(1, None).await, expected, "not counted yet");
        assert_eq!(print_days::count_ended_prints(&db).await.expect("counted"), 4);
        assert_eq!(print_days::count_ended_prints(&db).await.expect("no error"), 0);
        assert_eq!(read(1, None).await, expected, "counted");

        // More prints of the same day. Some of them are counted already.
        record_print(&db, a, 3, 4, Some(PrintResult::Done)).await;
        assert_eq!(print_days::count_ended_prints(&db).await.expect("counted"), 1);
        record_print(&db, a, 5, 6, Some(PrintResult::Done)).await;
        let day = expected.get_mut(&(a, 0)).expect("a day");
        *day = PrintTally { printed_s: 4 * HOUR, done: 3, ..PrintTally::default() };
        assert_eq!(read(1, None).await, expected);

        let only = read(2, Some(&[a])).await;
        let two_days = PrintTally { printed_s: 7 * HOUR, done: 3, failed: 1, ..PrintTally::default() };
        assert_eq!(only, [((a, 0), two_days), ((a, 1), tally(0, PrintResult::Unknown))].into());
        assert!(read(1, Some(&[])).await.is_empty());
        let other =
            print_days::sum_printed(&db, first + 10..first + 11, 1, None).await.expect("read").by_printer_and_step;
        assert!(other.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_open_print_counts_until_its_printer_was_last_observed() {
    on_each_database(async |db| {
        let registered = sample_printer("a");
        insert_printer(&db, &registered, None, &sample_entry()).await.expect("inserted");
        let (observed, unobserved) = (registered.id, new_id());
        record_print(&db, observed, 0, 0, None).await;
        record_print(&db, unobserved, 0, 0, None).await;
        let observation = PrinterObservation {
            printer_id: observed,
            state: PrinterState::Printing,
            mark: JobMark::default(),
            observed_at: at(30 * HOUR),
            octoprint_version: None,
        };
        printer_observations::store_observations(&db, &[observation], &[], &[]).await.expect("saved");
        let first = day_number(at(0));
        let found = print_days::sum_printed(&db, first..first + 2, 2, None).await.expect("read").by_printer_and_step;
        assert_eq!(found, [((observed, 0), PrintTally { printed_s: 30 * HOUR, ..PrintTally::default() })].into());
    })
    .await;
}

#[tokio::test]
async fn more_prints_than_one_step_counts_are_counted() {
    on_each_database(async |db| {
        let (printer, by) = (new_id(), PrintActor::printer());
        let end = |id| PrintFact::Ended {
            id,
            at: at(HOUR),
            result: PrintResult::Done,
            reason: None,
            by,
            mark_after: JobMark::default(),
        };
        let facts: Vec<_> = (0..1_250)
            .map(|_| new_id())
            .flat_map(|id| [PrintFact::Began { id, file: None, at: at(0), by }, end(id)])
            .map(|fact| (printer, fact))
            .collect();
        print_facts::store_facts(&db, new_id(), &facts, &[]).await.expect("recorded");
        assert_eq!(print_days::count_ended_prints(&db).await.expect("counted"), 1_250);
        let first = day_number(at(0));
        let found = print_days::sum_printed(&db, first..first + 1, 1, None).await.expect("read").by_printer_and_step;
        assert_eq!(found[&(printer, 0)], PrintTally { printed_s: 1_250 * HOUR, done: 1_250, ..PrintTally::default() });
    })
    .await;
}
