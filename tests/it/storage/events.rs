//! The event feed: one order without gaps, with many writers and one reader.

use std::collections::HashSet;

use chrono::TimeDelta;
use printyard::{
    clock,
    domain::{
        command::{Command, Outcome, Reason},
        event::{Cursor, Event, EventType},
        print::{PrintActor, PrintFact},
    },
    storage::{Db, Engine, batches, commands, events, print_facts, printers},
};
use uuid::Uuid;

use super::{
    databases::{execute, on_each_database},
    fixtures::{
        at, create_batch, insert_printer, sample_batch, sample_entry, sample_printer, sample_report, sample_row,
        sample_send,
    },
};

async fn read_all(db: &Db) -> Vec<Event> {
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = events::list_page(db, after, None, 500).await.expect("read");
        found.extend(page.events);
        after = page.searched_to.seq;
        if !page.has_more {
            return found;
        }
    }
}

fn event_types(events: &[Event]) -> Vec<EventType> {
    events.iter().map(|event| event.kind).collect()
}

#[tokio::test]
async fn a_batch_publishes_its_creation_its_end_and_each_command_once() {
    on_each_database(async |db| {
        let mut one = sample_batch(Command::Pause);
        one.spec.external_ref = Some("PP-1".to_owned());
        let rows = [sample_row(&one, 0), sample_row(&one, 1)];
        let created = printyard::domain::audit::AuditEntry {
            subject: Some(one.id),
            action: printyard::domain::audit::Action::BatchCreated,
            ..sample_entry()
        };
        create_batch(&db, &one, &rows, &created).await.expect("created");
        commands::commit_sends(&db, &[sample_send(rows[0].id, 1)]).await.expect("sent");
        let ended = sample_report(rows[0].id, Outcome::Confirmed);
        commands::store_reports(&db, std::slice::from_ref(&ended), &[]).await.expect("written");
        commands::store_reports(&db, &[ended], &[]).await.expect("written");
        commands::end_queued(&db, &[rows[1].id], Outcome::Skipped, Some(Reason::BatchStopped), None, at(3))
            .await
            .expect("skipped");
        batches::finish_ended(&db, &[one.id], at(4)).await.expect("finished");
        let published = read_all(&db).await;
        assert_eq!(
            event_types(&published),
            [EventType::BatchCreated, EventType::CommandFinished, EventType::CommandFinished, EventType::BatchFinished]
        );
        assert_eq!(published.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(published.iter().all(|event| event.external_ref.as_deref() == Some("PP-1")), "{published:?}");
        assert_eq!(published[1].data["command_id"], rows[0].id.to_string());
        assert_eq!(
            (&published[1].data["outcome"], &published[2].data["outcome"]),
            (&"confirmed".into(), &"skipped".into())
        );
        let counts = &published[3].data["counts"];
        assert_eq!((&counts["confirmed"], &counts["total"], &counts["unknown"]), (&1.into(), &2.into(), &0.into()));
        let only = events::list_page(&db, 0, Some(&[EventType::BatchFinished]), 500).await.expect("read");
        assert_eq!(
            (event_types(&only.events), only.searched_to, only.has_more),
            (vec![EventType::BatchFinished], published[3].cursor(), false)
        );
    })
    .await;
}

#[tokio::test]
async fn a_time_is_found_by_position_also_where_the_clock_was_set_back() {
    on_each_database(async |db| {
        assert_eq!(events::cursor_before(&db, at(0)).await.expect("read"), Cursor::default(), "an empty feed");
        for (n, seconds) in [10, 20, 90, 30, 40].into_iter().enumerate() {
            let entry = printyard::domain::audit::AuditEntry { at: at(seconds), ..sample_entry() };
            insert_printer(&db, &sample_printer(&format!("p{n}")), None, &entry).await.expect("registered");
        }
        let published = read_all(&db).await;
        let before = async |seconds| events::cursor_before(&db, at(seconds)).await.expect("read");
        assert_eq!(before(0).await, Cursor::default());
        assert_eq!(before(20).await, published[0].cursor());
        assert_eq!(before(35).await, published[1].cursor(), "no event of that time is missing");
        assert_eq!(before(91).await, published[4].cursor(), "the end");
    })
    .await;
}

#[tokio::test]
async fn a_rolled_back_event_is_not_published_and_leaves_no_gap() {
    on_each_database(async |db| {
        let one = sample_printer("one");
        super::fixtures::insert_printer(&db, &one, None, &registration_entry(&one.id)).await.expect("inserted");
        let same = sample_printer("one");
        super::fixtures::insert_printer(&db, &same, None, &registration_entry(&same.id))
            .await
            .expect_err("the name is already in use");
        let action = printyard::domain::audit::Action::PrinterRemoved;
        let gone = printyard::domain::audit::AuditEntry { printer_ids: vec![one.id], action, ..sample_entry() };
        assert!(printers::remove(&db, one.id, at(1), &gone).await.expect("removed").is_some());
        let two = sample_printer("two");
        super::fixtures::insert_printer(&db, &two, None, &registration_entry(&two.id)).await.expect("inserted");
        let published = read_all(&db).await;
        let ids: Vec<_> = published.iter().map(|event| (event.seq, event.printer_id)).collect();
        assert_eq!(ids, [(1, Some(one.id)), (2, Some(one.id)), (3, Some(two.id))]);
    })
    .await;
}

fn registration_entry(id: &Uuid) -> printyard::domain::audit::AuditEntry {
    let action = printyard::domain::audit::Action::PrinterRegistered;
    printyard::domain::audit::AuditEntry { printer_ids: vec![*id], action, ..sample_entry() }
}

/// Writes one transaction with `n` events of started prints.
async fn write_events(db: &Db, n: usize) {
    let began = || PrintFact::Began { id: clock::new_id(), file: None, at: clock::now(), by: PrintActor::printer() };
    let facts: Vec<(Uuid, PrintFact)> = (0..n).map(|_| (clock::new_id(), began())).collect();
    print_facts::store_facts(db, clock::new_id(), &facts, &[]).await.expect("recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_two_writers_misses_nothing_and_sees_nothing_twice_in_100_000_events() {
    const TRANSACTIONS: usize = 500;
    const EACH: usize = 100;
    on_each_database(async |db| {
        let writer = |db: Db| {
            tokio::spawn(async move {
                for n in 0..TRANSACTIONS {
                    // The lengths differ, so that transactions overtake each other.
                    write_events(&db, if n % 2 == 0 { EACH - n % 100 } else { EACH + n % 100 - 1 }).await;
                }
            })
        };
        let expected: usize =
            2 * (0..TRANSACTIONS).map(|n| if n % 2 == 0 { EACH - n % 100 } else { EACH + n % 100 - 1 }).sum::<usize>();
        assert!(expected >= 100_000, "{expected}");
        let writers = [writer(db.clone()), writer(db.clone())];
        let (mut after, mut seen, mut ids) = (0, 0, HashSet::new());
        while seen < expected {
            let page = events::list_page(&db, after, None, 500).await.expect("read");
            for event in &page.events {
                assert_eq!(event.seq, after + 1, "no number is skipped");
                after = event.seq;
                assert!(ids.insert(event.id), "an event occurs twice");
                seen += 1;
            }
            if page.events.is_empty() {
                assert!(
                    writers.iter().any(|writer| !writer.is_finished())
                        || page.has_more
                        || seen == expected
                        || !is_head(&db, after).await,
                    "the feed ended at {seen}"
                );
                tokio::task::yield_now().await;
            }
        }
        for writer in writers {
            writer.await.expect("written");
        }
        assert_eq!(events::head_cursor(&db).await.expect("read").seq, i64::try_from(expected).expect("a small number"));
    })
    .await;
}

async fn is_head(db: &Db, after: i64) -> bool {
    events::head_cursor(db).await.expect("read").seq == after
}

#[tokio::test]
async fn a_page_scans_a_bounded_number_of_events_and_returns_its_position() {
    on_each_database(async |db| {
        fill_feed(&db, 3 * events::WINDOW).await;
        let page = events::list_page(&db, 0, Some(&[EventType::BatchCreated]), 500).await.expect("read");
        assert_eq!((page.events.len(), page.searched_to.seq, page.has_more), (0, events::WINDOW, true));
        let page =
            events::list_page(&db, 2 * events::WINDOW, Some(&[EventType::BatchCreated]), 500).await.expect("read");
        assert_eq!((page.events.len(), page.has_more), (0, false));
    })
    .await;
}

/// Fills a feed with `n` events by plain SQL.
async fn fill_feed(db: &Db, n: i64) {
    let (id, at, numbers) = match db.engine() {
        Engine::Sqlite { .. } => (
            "randomblob(16)",
            "'2026-01-01T00:00:00+00:00'",
            format!("with recursive g(n) as (select 1 union all select n + 1 from g where n < {n})"),
        ),
        Engine::Postgres(_) => {
            ("gen_random_uuid()", "timestamptz '2026-01-01'", format!("with g(n) as (select generate_series(1, {n}))"))
        }
    };
    let insert = "insert into events (seq, id, type, at, data)";
    let body = format!("{numbers} {insert} select n, {id}, 'print.started', {at}, null from g");
    execute(db, &body).await;
    execute(db, &format!("update events_head set seq = {n}, event_id = (select id from events where seq = {n})")).await;
}

#[tokio::test]
async fn old_events_are_removed_and_the_last_one_stays() {
    on_each_database(async |db| {
        fill_feed(&db, 12_000).await;
        write_events(&db, 3).await;
        let before = clock::now() - TimeDelta::days(30);
        assert_eq!(events::delete_older_than(&db, before, clock::now()).await.expect("removed"), 12_000);
        let kept = events::stored_range(&db, 12_000).await.expect("read");
        assert_eq!((kept.oldest, kept.id_at_position, kept.start_position()), (Some(12_001), None, 12_000));
        let tomorrow = clock::now() + TimeDelta::days(1);
        assert_eq!(events::delete_older_than(&db, tomorrow, tomorrow).await.expect("removed"), 2);
        let head = events::head_cursor(&db).await.expect("read");
        let kept = events::stored_range(&db, head.seq).await.expect("read");
        assert_eq!((kept.oldest, Cursor::after(kept.head, kept.id_at_position)), (Some(12_003), head));
        write_events(&db, 1).await;
        assert_eq!(read_all(&db).await.last().map(|event| event.seq), Some(12_004), "the feed continues");
    })
    .await;
}
