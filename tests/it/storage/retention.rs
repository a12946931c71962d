//! Retention deletes by position, so a wrong time deletes no other row, and a time from the future blocks nothing.

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    clock::{self, new_id},
    domain::{
        access::{Role, Token},
        audit::{Action, AuditEntry},
        batch::{Batch, BatchState},
        calendar::Calendar,
        clock_check::{STEADY_FOR, StoredClock},
        command::Command,
        copy::CopyState,
        event::EventType,
        order::{Adjustment, Order, OrderEnd, OrderFilter},
        print::{JobMark, PrintActor, PrintFact, PrintResult},
    },
    storage::{
        Db, audit, batches,
        copies::{self, CopyChange, CopyDecision},
        events,
        orders::{self, OrderChange},
        print_days, print_facts, prints, retention, tokens,
    },
};
use serde_json::Map;
use uuid::Uuid;

use super::{
    databases::on_each_database,
    fixtures::{at, create_batch, insert_printer, occupy_plate, sample_batch, sample_entry, sample_printer},
    orders::samples::{assign_copy, decide, insert_order, sample_order},
};

/// How long rows are kept in these tests.
const KEPT: TimeDelta = TimeDelta::days(30);

fn days(n: i64) -> TimeDelta {
    TimeDelta::days(n)
}

/// Writes an audit row and an event for each of these ages, and runs retention. Returns how many audit rows and how
/// many events were deleted.
async fn add_rows_and_run_retention(
    db: &Db,
    now: DateTime<Utc>,
    ages: impl IntoIterator<Item = TimeDelta>,
) -> (u64, u64) {
    for age in ages {
        let cleared =
            AuditEntry { at: now - age, action: Action::PlateCleared, printer_ids: vec![new_id()], ..sample_entry() };
        audit::append_single(db, &cleared).await.expect("written");
    }
    (
        audit::delete_older_than(db, now - KEPT, now).await.expect("removed"),
        events::delete_older_than(db, now - KEPT, now).await.expect("removed"),
    )
}

#[tokio::test]
async fn a_clock_that_was_years_back_for_one_change_costs_no_other_row() {
    on_each_database(async |db| {
        let now = clock::now();
        let ages = std::iter::repeat_n(days(0), 20).chain([days(9_000), days(0), days(0)]);
        assert_eq!(add_rows_and_run_retention(&db, now, ages).await, (0, 0));
        let verified = audit::verify(&db).await.expect("verified");
        assert_eq!((verified.rows, verified.removed_up_to, verified.faults.len()), (23, 0, 0), "{verified:?}");
        assert_eq!(events::list_page(&db, 0, None, 50).await.expect("read").events.len(), 23);
    })
    .await;
}

#[tokio::test]
async fn old_rows_are_removed_up_to_the_first_kept_row_despite_a_future_row() {
    on_each_database(async |db| {
        let now = clock::now();
        let ages = [days(90), days(-1_000), days(60), days(31), days(29), days(40), days(0)];
        assert_eq!(add_rows_and_run_retention(&db, now, ages).await, (4, 4));
        let left = events::list_page(&db, 0, None, 50).await.expect("read").events;
        assert_eq!(left.iter().map(|event| event.seq).collect::<Vec<_>>(), [5, 6, 7]);
        let verified = audit::verify(&db).await.expect("verified");
        assert_eq!(verified.faults, Vec::<String>::new());
        let removal = verified.removed.first().expect("a recorded removal");
        assert_eq!((removal.first_seq, removal.last_seq, removal.rows, removal.at), (1, 4, 4, now));
    })
    .await;
}

#[tokio::test]
async fn a_future_row_that_no_old_row_follows_is_kept() {
    on_each_database(async |db| {
        assert_eq!(add_rows_and_run_retention(&db, clock::now(), [days(90), days(-1_000), days(0)]).await, (1, 1))
    })
    .await;
    on_each_database(async |db| {
        assert_eq!(add_rows_and_run_retention(&db, clock::now(), [days(-1_000), days(-999), days(0)]).await, (0, 0))
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_removed_only_with_all_earlier_batches() {
    on_each_database(async |db| {
        let now = clock::now();
        // Age of the creation, and age of the end.
        let cases = [
            (90, Some(89)),
            (-1_000, Some(88)),
            (80, None),
            (70, Some(29)),
            (60, Some(59)),
            (29, Some(9_000)),
            (50, Some(49)),
        ];
        let stored: Vec<Batch> = cases
            .into_iter()
            .map(|(created, finished): (i64, Option<i64>)| {
                let finished_at = finished.map(|age| now - days(age));
                let state = if finished.is_some() { BatchState::Finished } else { BatchState::Running };
                Batch { created_at: now - days(created), finished_at, state, ..sample_batch(Command::Pause) }
            })
            .collect();
        for batch in &stored {
            create_batch(&db, batch, &[], &sample_entry()).await.expect("created");
        }
        assert_eq!(batches::delete_older_than(&db, now - KEPT, now).await.expect("removed"), 3);
        let left = batches::list_page(&db, &Default::default(), None, 50).await.expect("read");
        let mut left: Vec<_> = left.iter().map(|batch| batch.id).collect();
        left.sort();
        assert_eq!(left, [2, 3, 5, 6].map(|n: usize| stored[n].id));
    })
    .await;
}

#[tokio::test]
async fn the_stored_clock_survives_a_restart_and_begins_with_the_newest_event() {
    on_each_database(async |db| {
        assert_eq!(retention::stored_clock(&db).await.expect("read"), None);
        let now = clock::now();
        let cleared =
            AuditEntry { at: now, action: Action::PlateCleared, printer_ids: vec![new_id()], ..sample_entry() };
        audit::append_single(&db, &cleared).await.expect("written");
        let newest = StoredClock { newest: now, steady: STEADY_FOR };
        assert_eq!(retention::stored_clock(&db).await.expect("read"), Some(newest));
        for steady in [0, 7] {
            let clock = StoredClock { newest: now - days(steady), steady: TimeDelta::seconds(steady) };
            retention::store_clock(&db, clock).await.expect("written");
            assert_eq!(retention::stored_clock(&db).await.expect("read"), Some(clock));
        }
    })
    .await;
}

#[tokio::test]
async fn counted_prints_are_removed_by_position_unless_they_are_on_a_plate() {
    on_each_database(async |db| {
        let now = clock::now();
        let printer = sample_printer("P1");
        insert_printer(&db, &printer, None, &sample_entry()).await.expect("registered");
        let mut ids = Vec::new();
        // Age of the start, and whether the print ended an hour later.
        for (age, has_ended) in [(90, true), (80, false), (70, true), (60, true), (29, true), (50, true)] {
            let (id, by, began) = (new_id(), PrintActor::printer(), now - days(age));
            let mut facts = vec![(printer.id, PrintFact::Began { id, file: None, at: began, by })];
            if has_ended {
                let at = began + TimeDelta::hours(1);
                let (result, mark_after) = (PrintResult::Done, JobMark::default());
                facts.push((printer.id, PrintFact::Ended { id, at, result, reason: None, by, mark_after }));
            }
            print_facts::store_facts(&db, new_id(), &facts, &[]).await.expect("recorded");
            ids.push(id);
        }
        occupy_plate(&db, printer.id, ids[2], now).await;
        assert_eq!(prints::delete_older_than(&db, now - KEPT, now).await.expect("removed"), 0, "not counted yet");
        print_days::count_ended_prints(&db, Calendar::UTC).await.expect("counted");
        assert_eq!(prints::delete_older_than(&db, now - KEPT, now).await.expect("removed"), 2);
        for (n, id) in ids.iter().enumerate() {
            let is_there = prints::get(&db, *id).await.expect("read").is_some();
            assert_eq!(is_there, ![0, 3].contains(&n), "print {n}");
        }
    })
    .await;
}

/// Stores a print that ended, and the end of the copy that it is the print of.
async fn finish_print(db: &Db, printer_id: Uuid, copy: Option<Uuid>) -> Uuid {
    let (id, by, mark_after) = (new_id(), PrintActor::printer(), JobMark::default());
    let facts = [
        (printer_id, PrintFact::Began { id, file: None, at: at(6), by }),
        (printer_id, PrintFact::Ended { id, at: at(9), result: PrintResult::Done, reason: None, by, mark_after }),
    ];
    print_facts::store_facts(db, new_id(), &facts, &[]).await.expect("recorded");
    if let Some(copy) = copy {
        let changed = copies::change(db, copy, at(9), |copy, order| {
            let mut copy = copy.advance(&order.order, CopyState::Finished, at(9)).expect("a step");
            copy.print_id = Some(id);
            Ok::<_, ()>(Some(CopyDecision { event: copy.state.event(), copy, data: Map::new(), entry: None }))
        });
        assert!(matches!(changed.await.expect("no error"), CopyChange::Changed { .. }));
    }
    id
}

#[tokio::test]
async fn prints_that_copies_name_are_kept_as_long_as_their_orders() {
    on_each_database(async |db| {
        let (completed, open) = (sample_order(1), sample_order(2));
        let mut prints_of_copies = Vec::new();
        for order in [&completed, &open] {
            insert_order(&db, order).await;
            let copy = assign_copy(&db, order.id, new_id()).await.expect("assigned");
            prints_of_copies.push(finish_print(&db, copy.printer_id, Some(copy.id)).await);
        }
        let other = finish_print(&db, new_id(), None).await;
        print_days::count_ended_prints(&db, Calendar::UTC).await.expect("counted");
        let now = at(0) + days(500);
        let remove_prints = async || prints::delete_older_than(&db, now - KEPT, now).await.expect("removed");
        let is_kept = async |print: Uuid| prints::get(&db, print).await.expect("read").is_some();
        assert_eq!(remove_prints().await, 1);
        assert!(!is_kept(other).await && is_kept(prints_of_copies[0]).await);
        assert_eq!(orders::delete_older_than(&db, now - days(400), now).await.expect("removed"), 1);
        assert_eq!(orders::get(&db, completed.id).await.expect("read"), None);
        assert_eq!(remove_prints().await, 1);
        assert!(!is_kept(prints_of_copies[0]).await && is_kept(prints_of_copies[1]).await, "one order is open");
        assert_eq!(orders::get(&db, open.id).await.expect("read").expect("an order").sums.good, 1);
    })
    .await;
}

#[tokio::test]
async fn more_orders_than_one_statement_deletes_are_removed_with_everything_of_theirs() {
    on_each_database(async |db| {
        let all: Vec<Order> = (0..120).map(|_| sample_order(1)).collect();
        let new: Vec<_> = all.iter().map(|order| (order.clone(), vec![7], sample_entry())).collect();
        orders::insert(&db, &new).await.expect("stored");
        for order in &all[1..] {
            let ended = orders::change(&db, order.id, at(10), |before| {
                let mut decision = decide(before, EventType::OrderCancelled);
                (decision.order.ended_as, decision.order.completed_at) = (Some(OrderEnd::Cancelled), Some(at(10)));
                decision.adjustment = Some(Adjustment { good: 0, scrap: 1, reason: "counted".into() });
                Ok::<_, ()>(Some(decision))
            });
            assert!(matches!(ended.await.expect("no error"), OrderChange::Changed(_)));
        }
        let now = at(0) + days(500);
        assert_eq!(orders::delete_older_than(&db, now - days(400), now).await.expect("removed"), 119);
        let left = orders::list_page(&db, &OrderFilter::default(), None, 10).await.expect("read");
        assert_eq!(left.iter().map(|one| one.order.id).collect::<Vec<_>>(), [all[0].id], "the first one is open");
    })
    .await;
}

#[tokio::test]
async fn tokens_are_removed_some_time_after_they_were_revoked_or_expired() {
    on_each_database(async |db| {
        let now = clock::now();
        let token = |expires_at: Option<DateTime<Utc>>| {
            let id = new_id();
            Token {
                id,
                name: "T".into(),
                role: Role::Viewer,
                tags: Vec::new(),
                created_at: now - days(900),
                expires_at,
                last_used_at: None,
                root_id: id,
                requires_key: false,
                created_by: None,
            }
        };
        let stored = [token(None), token(None), token(Some(now - days(60))), token(Some(now - days(10)))];
        for (n, token) in (0_u8..).zip(&stored) {
            tokens::insert(&db, token, &[n], &sample_entry()).await.expect("made");
        }
        tokens::revoke(&db, stored[1].id, now - days(60), &sample_entry()).await.expect("revoked");
        assert_eq!(tokens::delete_ended(&db, now - KEPT).await.expect("removed"), 2);
        for (token, stays) in stored.iter().zip([true, false, false, true]) {
            assert_eq!(tokens::get(&db, token.id).await.expect("read").is_some(), stays);
        }
    })
    .await;
}
