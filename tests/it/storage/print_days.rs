//! Print statistics by day: the same before and after counting, with each print counted once.

use std::collections::BTreeMap;

use printyard::{
    clock::new_id,
    domain::{
        print::{By, Mark, PrintFact, PrintResult},
        print_stats::{Tally, day_of},
        state::PrinterState,
    },
    storage::{
        Db, print_days, print_facts,
        printer_observations::{self, Sighting},
    },
};
use uuid::Uuid;

use super::{
    databases::on_each,
    fixtures::{at, entry, insert, printer},
};

const HOUR: i64 = 3_600;

/// Stores a print between two hours after a fixed time, with its result.
async fn print(db: &Db, printer_id: Uuid, from: i64, until: i64, result: Option<PrintResult>) {
    let (id, by) = (new_id(), By::printer());
    let mut facts = vec![(printer_id, PrintFact::Began { id, file: None, at: at(from * HOUR), by })];
    if let Some(result) = result {
        facts.push((
            printer_id,
            PrintFact::Ended { id, at: at(until * HOUR), result, reason: None, by, left: Mark::default() },
        ));
    }
    print_facts::record(db, new_id(), &facts, &[]).await.expect("recorded");
}

#[tokio::test]
async fn each_print_counts_once_whether_it_was_counted_before_or_not() {
    on_each(async |db| {
        let (a, b) = (new_id(), new_id());
        // The fixed time is in the afternoon.
        let first = day_of(at(0));
        print(&db, a, 0, 2, Some(PrintResult::Done)).await;
        print(&db, a, 24, 27, Some(PrintResult::Failed)).await;
        print(&db, a, 48, 49, Some(PrintResult::Unknown)).await;
        print(&db, b, 0, 1, Some(PrintResult::Cancelled)).await;
        let read = async |step: i64, only: Option<&[Uuid]>| {
            print_days::read(&db, first..first + 4, step, only).await.expect("read").by_printer_and_step
        };
        let tally = |hours: i64, result: PrintResult| Tally { printed_s: hours * HOUR, ..Tally::of(result) };
        let mut expected: BTreeMap<(Uuid, i64), Tally> = [
            ((a, 0), tally(2, PrintResult::Done)),
            ((a, 1), tally(3, PrintResult::Failed)),
            ((a, 2), tally(0, PrintResult::Unknown)),
            ((b, 0), tally(1, PrintResult::Cancelled)),
        ]
        .into();
        assert_eq!(read(1, None).await, expected, "not counted yet");
        assert_eq!(print_days::catch_up(&db).await.expect("counted"), 4);
        assert_eq!(print_days::catch_up(&db).await.expect("no error"), 0);
        assert_eq!(read(1, None).await, expected, "counted");

        // More prints of the same day. Some of them are counted already.
        print(&db, a, 3, 4, Some(PrintResult::Done)).await;
        assert_eq!(print_days::catch_up(&db).await.expect("counted"), 1);
        print(&db, a, 5, 6, Some(PrintResult::Done)).await;
        let day = expected.get_mut(&(a, 0)).expect("a day");
        *day = Tally { printed_s: 4 * HOUR, done: 3, ..Tally::default() };
        assert_eq!(read(1, None).await, expected);

        let only = read(2, Some(&[a])).await;
        let two_days = Tally { printed_s: 7 * HOUR, done: 3, failed: 1, ..Tally::default() };
        assert_eq!(only, [((a, 0), two_days), ((a, 1), tally(0, PrintResult::Unknown))].into());
        assert!(read(1, Some(&[])).await.is_empty());
        let other = print_days::read(&db, first + 10..first + 11, 1, None).await.expect("read").by_printer_and_step;
        assert!(other.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_print_that_has_not_ended_has_printed_until_its_printer_was_seen_last() {
    on_each(async |db| {
        let registered = printer("a");
        insert(&db, &registered, None, &entry()).await.expect("inserted");
        let (seen, never) = (registered.id, new_id());
        print(&db, seen, 0, 0, None).await;
        print(&db, never, 0, 0, None).await;
        let sighting = Sighting {
            printer_id: seen,
            state: PrinterState::Printing,
            mark: Mark::default(),
            observed_at: at(30 * HOUR),
            octoprint_version: None,
        };
        printer_observations::save(&db, &[sighting], &[], &[]).await.expect("saved");
        let first = day_of(at(0));
        let found = print_days::read(&db, first..first + 2, 2, None).await.expect("read").by_printer_and_step;
        assert_eq!(found, [((seen, 0), Tally { printed_s: 30 * HOUR, ..Tally::default() })].into());
    })
    .await;
}

#[tokio::test]
async fn more_prints_than_are_counted_at_once_are_counted() {
    on_each(async |db| {
        let (printer, by) = (new_id(), By::printer());
        let end = |id| PrintFact::Ended {
            id,
            at: at(HOUR),
            result: PrintResult::Done,
            reason: None,
            by,
            left: Mark::default(),
        };
        let facts: Vec<_> = (0..1_250)
            .map(|_| new_id())
            .flat_map(|id| [PrintFact::Began { id, file: None, at: at(0), by }, end(id)])
            .map(|fact| (printer, fact))
            .collect();
        print_facts::record(&db, new_id(), &facts, &[]).await.expect("recorded");
        assert_eq!(print_days::catch_up(&db).await.expect("counted"), 1_250);
        let first = day_of(at(0));
        let found = print_days::read(&db, first..first + 1, 1, None).await.expect("read").by_printer_and_step;
        assert_eq!(found[&(printer, 0)], Tally { printed_s: 1_250 * HOUR, done: 1_250, ..Tally::default() });
    })
    .await;
}
