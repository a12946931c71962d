//! Print statistics by day: the same before and after counting, with each print counted once.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    clock::new_id,
    domain::{
        calendar::Calendar,
        print::{JobMark, PrintActor, PrintFact, PrintResult},
        print_stats::PrintTally,
        state::PrinterState,
    },
    storage::{
        Db,
        fault_injection::{FailureDuration, FailurePoint, InjectedFailure},
        print_days, print_facts,
        printer_observations::{self, PrinterObservation},
        prints,
    },
};
use uuid::Uuid;

use super::{
    databases::on_each_database,
    fixtures::{at, insert_printer, sample_entry, sample_printer},
};

const HOUR: i64 = 3_600;
const UTC: Calendar = Calendar::UTC;

/// Stores a print between two hours after a fixed time, with its result.
async fn record_print(db: &Db, printer_id: Uuid, from: i64, until: i64, result: Option<PrintResult>) {
    record_print_at(db, printer_id, at(from * HOUR), at(until * HOUR), result).await;
}

/// Stores a print with its result.
async fn record_print_at(
    db: &Db,
    printer_id: Uuid,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    result: Option<PrintResult>,
) {
    let (id, by) = (new_id(), PrintActor::printer());
    let mut facts = vec![(printer_id, PrintFact::Began { id, file: None, at: from, by })];
    if let Some(result) = result {
        let mark_after = JobMark::default();
        facts.push((printer_id, PrintFact::Ended { id, at: until, result, reason: None, by, mark_after }));
    }
    print_facts::store_facts(db, new_id(), &facts, &[]).await.expect("recorded");
}

#[tokio::test]
async fn each_print_counts_once_whether_it_was_counted_before_or_not() {
    on_each_database(async |db| {
        let (a, b) = (new_id(), new_id());
        // The fixed time is in the afternoon.
        let first = UTC.day_number(at(0));
        record_print(&db, a, 0, 2, Some(PrintResult::Done)).await;
        record_print(&db, a, 24, 27, Some(PrintResult::Failed)).await;
        record_print(&db, a, 48, 49, Some(PrintResult::Unknown)).await;
        record_print(&db, b, 0, 1, Some(PrintResult::Cancelled)).await;
        let read = async |step: i64, only: Option<&[Uuid]>| {
            print_days::sum_printed(&db, first..first + 4, step, only, UTC).await.expect("read").by_printer_and_step
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
        assert_eq!(print_days::count_ended_prints(&db, UTC).await.expect("counted"), 4);
        assert_eq!(print_days::count_ended_prints(&db, UTC).await.expect("no error"), 0);
        assert_eq!(read(1, None).await, expected, "counted");

        // More prints of the same day. Some of them are counted already.
        record_print(&db, a, 3, 4, Some(PrintResult::Done)).await;
        assert_eq!(print_days::count_ended_prints(&db, UTC).await.expect("counted"), 1);
        record_print(&db, a, 5, 6, Some(PrintResult::Done)).await;
        let day = expected.get_mut(&(a, 0)).expect("a day");
        *day = PrintTally { printed_s: 4 * HOUR, done: 3, ..PrintTally::default() };
        assert_eq!(read(1, None).await, expected);

        let only = read(2, Some(&[a])).await;
        let two_days = PrintTally { printed_s: 7 * HOUR, done: 3, failed: 1, ..PrintTally::default() };
        assert_eq!(only, [((a, 0), two_days), ((a, 1), tally(0, PrintResult::Unknown))].into());
        assert!(read(1, Some(&[])).await.is_empty());
        let other =
            print_days::sum_printed(&db, first + 10..first + 11, 1, None, UTC).await.expect("read").by_printer_and_step;
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
        let first = UTC.day_number(at(0));
        let found =
            print_days::sum_printed(&db, first..first + 2, 2, None, UTC).await.expect("read").by_printer_and_step;
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
        assert_eq!(print_days::count_ended_prints(&db, UTC).await.expect("counted"), 1_250);
        let first = UTC.day_number(at(0));
        let found =
            print_days::sum_printed(&db, first..first + 1, 1, None, UTC).await.expect("read").by_printer_and_step;
        assert_eq!(found[&(printer, 0)], PrintTally { printed_s: 1_250 * HOUR, done: 1_250, ..PrintTally::default() });
    })
    .await;
}

/// Deletes all prints that are counted, as retention does.
async fn delete_prints(db: &Db) -> u64 {
    prints::delete_older_than(db, at(1_000 * HOUR), at(2_000 * HOUR)).await.expect("deleted")
}

#[tokio::test]
async fn another_time_zone_counts_prints_again_by_its_days_and_keeps_the_sums_of_deleted_prints() {
    on_each_database(async |db| {
        let (printer, tokyo) = (new_id(), Calendar::parse("Asia/Tokyo").expect("a zone"));
        let first = UTC.day_number(at(0));
        let record = async |from: i64, until: i64| {
            let after_midnight = |hours: i64| UTC.day_start(first + 1) + TimeDelta::hours(hours);
            let done = Some(PrintResult::Done);
            record_print_at(&db, printer, after_midnight(from), after_midnight(until), done).await;
        };
        let read = async |calendar: Calendar| {
            let sums = print_days::sum_printed(&db, first - 2..first + 30, 1, None, calendar).await.expect("read");
            let days: Vec<_> = sums
                .by_printer_and_step
                .iter()
                .map(|((_, day), tally)| (day - 2, tally.done, tally.printed_s / HOUR))
                .collect();
            (days, sums.is_behind, sums.kept_until.map(|day| day - first))
        };
        // From 18:00 to 20:00 in UTC, which is from 03:00 to 05:00 of the next day in Tokyo. The first one is deleted later.
        record(-6, -4).await;
        assert_eq!(print_days::count_ended_prints(&db, UTC).await.expect("counted"), 1);
        assert_eq!(delete_prints(&db).await, 1);
        for _ in 0..2 {
            record(-6, -4).await;
        }
        // Two hours before and two hours after midnight in Tokyo, which is 15:00 in UTC.
        record(13, 17).await;
        assert_eq!(print_days::count_ended_prints(&db, UTC).await.expect("counted"), 3);
        let by_utc = vec![(0, 3, 6), (1, 1, 4)];
        assert_eq!(read(UTC).await, (by_utc.clone(), false, None));
        assert!(read(tokyo).await.1, "not counted by these days yet");

        // Each print counts once, and the deleted one on its day in UTC.
        assert_eq!(print_days::count_ended_prints(&db, tokyo).await.expect("counted"), 3);
        assert_eq!(read(tokyo).await, (vec![(0, 1, 2), (1, 2, 6), (2, 1, 2)], false, Some(0)));
        assert_eq!(print_days::count_ended_prints(&db, tokyo).await.expect("counted"), 0, "once");

        // And back again.
        assert_eq!(print_days::count_ended_prints(&db, UTC).await.expect("counted"), 3);
        assert_eq!(read(UTC).await, (by_utc, false, Some(0)));
    })
    .await;
}

#[tokio::test]
async fn a_change_of_the_time_zone_that_was_killed_continues_where_it_stopped() {
    on_each_database(async |db| {
        let (printer, tokyo) = (new_id(), Calendar::parse("Asia/Tokyo").expect("a zone"));
        let first = UTC.day_number(at(0));
        for n in 0..4 {
            record_print(&db, printer, n, n + 1, Some(PrintResult::Done)).await;
        }
        assert_eq!(print_days::count_ended_prints(&db, UTC).await.expect("counted"), 4);
        // The database fails at each use in turn, and the zone changes each time.
        let mut failures = 0;
        for point in [FailurePoint::Before, FailurePoint::BeforeCommit, FailurePoint::AfterCommit] {
            for nth in 1.. {
                db.faults().inject(InjectedFailure { nth, point, duration: FailureDuration::OneUse });
                let calendar = if nth % 2 == 0 { UTC } else { tokyo };
                let result = print_days::count_ended_prints(&db, calendar).await;
                failures += db.faults().injected();
                db.faults().stop();
                if result.is_ok() {
                    break;
                }
            }
        }
        assert!(failures > 6, "only {failures} uses failed");
        for calendar in [tokyo, UTC] {
            print_days::count_ended_prints(&db, calendar).await.expect("counted");
            let sums = print_days::sum_printed(&db, first - 1..first + 2, 3, None, calendar).await.expect("read");
            let whole = PrintTally { printed_s: 4 * HOUR, done: 4, ..PrintTally::default() };
            assert_eq!(sums.by_printer_and_step, [((printer, 0), whole)].into());
        }
    })
    .await;
}

#[tokio::test]
async fn reasons_are_counted_by_the_end_of_their_prints_and_by_printer() {
    on_each_database(async |db| {
        let (a, b) = (new_id(), new_id());
        let (failed, done) = (PrintResult::Failed, PrintResult::Done);
        for (printer, until, result) in [(a, 2, failed), (a, 3, failed), (a, 4, done), (b, 5, failed), (b, 90, failed)]
        {
            record_print(&db, printer, 0, until, Some(result)).await;
        }
        let count = async |only: Option<&[Uuid]>| {
            let counts = prints::count_reasons(&db, at(0), at(24 * HOUR), only).await.expect("read");
            counts.into_iter().map(|one| (one.result, one.reason, one.count)).collect::<Vec<_>>()
        };
        assert_eq!(count(None).await, [(failed, None, 3)]);
        assert_eq!(count(Some(&[a])).await, [(failed, None, 2)]);
        assert_eq!(count(Some(&[])).await, []);
    })
    .await;
}
