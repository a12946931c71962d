//! The event feed: one order without gaps, with many writers and one reader.

use std::collections::HashSet;

use chrono::TimeDelta;
use printyard::{
    clock,
    domain::{
        command::{Command, Outcome},
        event::{Cursor, Event, EventType},
        print::{By, PrintFact},
    },
    storage::{Db, Engine, batches, commands, events, print_facts, printers},
};
use uuid::Uuid;

use super::{
    databases::{execute, on_each},
    fixtures::{at, batch, create, entry, insert, printer, report, row, send},
};

async fn all(db: &Db) -> Vec<Event> {
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = events::page(db, after, None, 500).await.expect("read");
        found.extend(page.events);
        after = page.upto.seq;
        if !page.more {
            return found;
        }
    }
}

fn kinds(events: &[Event]) -> Vec<EventType> {
    events.iter().map(|event| event.kind).collect()
}

#[tokio::test]
async fn a_batch_is_told_from_its_making_to_its_end_and_each_command_once() {
    on_each(async |db| {
        let mut one = batch(Command::Pause);
        one.spec.external_ref = Some("PP-1".to_owned());
        let rows = [row(&one, 0), row(&one, 1)];
        let made = printyard::domain::audit::Entry {
            subject: Some(one.id),
            action: printyard::domain::audit::Action::BatchCreated,
            ..entry()
        };
        create(&db, &one, &rows, &made).await.expect("created");
        commands::commit_sends(&db, &[send(rows[0].id, 1)]).await.expect("sent");
        let ended = report(rows[0].id, Outcome::Confirmed);
        commands::report(&db, std::slice::from_ref(&ended), &[]).await.expect("written");
        commands::report(&db, &[ended], &[]).await.expect("written");
        commands::skip_queued(&db, &[rows[1].id], printyard::domain::command::Reason::BatchStopped, None, at(3))
            .await
            .expect("skipped");
        batches::finish_done(&db, &[one.id], at(4)).await.expect("finished");
        let told = all(&db).await;
        assert_eq!(
            kinds(&told),
            [EventType::BatchCreated, EventType::CommandFinished, EventType::CommandFinished, EventType::BatchFinished]
        );
        assert_eq!(told.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(told.iter().all(|event| event.external_ref.as_deref() == Some("PP-1")), "{told:?}");
        assert_eq!(told[1].data["command_id"], rows[0].id.to_string());
        assert_eq!((&told[1].data["outcome"], &told[2].data["outcome"]), (&"confirmed".into(), &"skipped".into()));
        let counts = &told[3].data["counts"];
        assert_eq!((&counts["confirmed"], &counts["total"], &counts["unknown"]), (&1.into(), &2.into(), &0.into()));
        let only = events::page(&db, 0, Some(&[EventType::BatchFinished]), 500).await.expect("read");
        assert_eq!(
            (kinds(&only.events), only.upto, only.more),
            (vec![EventType::BatchFinished], told[3].cursor(), false)
        );
    })
    .await;
}

#[tokio::test]
async fn a_time_is_found_by_position_also_where_the_clock_was_set_back() {
    on_each(async |db| {
        assert_eq!(events::before_time(&db, at(0)).await.expect("read"), Cursor::default(), "an empty feed");
        for (n, seconds) in [10, 20, 90, 30, 40].into_iter().enumerate() {
            let entry = printyard::domain::audit::Entry { at: at(seconds), ..entry() };
            insert(&db, &printer(&format!("p{n}")), None, &entry).await.expect("registered");
        }
        let told = all(&db).await;
        let before = async |seconds| events::before_time(&db, at(seconds)).await.expect("read");
        assert_eq!(before(0).await, Cursor::default());
        assert_eq!(before(20).await, told[0].cursor());
        assert_eq!(before(35).await, told[1].cursor(), "no event of that time is missing");
        assert_eq!(before(91).await, told[4].cursor(), "the end");
    })
    .await;
}

#[tokio::test]
async fn what_is_rolled_back_is_not_told_and_leaves_no_gap() {
    on_each(async |db| {
        let one = printer("one");
        super::fixtures::insert(&db, &one, None, &register(&one.id)).await.expect("inserted");
        let same = printer("one");
        super::fixtures::insert(&db, &same, None, &register(&same.id)).await.expect_err("the name is already in use");
        let action = printyard::domain::audit::Action::PrinterRemoved;
        let gone = printyard::domain::audit::Entry { printer_ids: vec![one.id], action, ..entry() };
        assert!(printers::remove(&db, one.id, at(1), &gone).await.expect("removed").is_some());
        let two = printer("two");
        super::fixtures::insert(&db, &two, None, &register(&two.id)).await.expect("inserted");
        let told = all(&db).await;
        let ids: Vec<_> = told.iter().map(|event| (event.seq, event.printer_id)).collect();
        assert_eq!(ids, [(1, Some(one.id)), (2, Some(one.id)), (3, Some(two.id))]);
    })
    .await;
}

fn register(id: &Uuid) -> printyard::domain::audit::Entry {
    let action = printyard::domain::audit::Action::PrinterRegistered;
    printyard::domain::audit::Entry { printer_ids: vec![*id], action, ..entry() }
}

/// Writes one transaction with `n` events of started prints.
async fn write(db: &Db, n: usize) {
    let began = || PrintFact::Began { id: clock::new_id(), file: None, at: clock::now(), by: By::printer() };
    let facts: Vec<(Uuid, PrintFact)> = (0..n).map(|_| (clock::new_id(), began())).collect();
    print_facts::record(db, clock::new_id(), &facts, &[]).await.expect("recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_two_writers_misses_nothing_and_sees_nothing_twice_in_100_000_events() {
    const TRANSACTIONS: usize = 500;
    const EACH: usize = 100;
    on_each(async |db| {
        let writer = |db: Db| {
            tokio::spawn(async move {
                for n in 0..TRANSACTIONS {
                    // The lengths differ, so that transactions overtake each other.
                    write(&db, if n % 2 == 0 { EACH - n % 100 } else { EACH + n % 100 - 1 }).await;
                }
            })
        };
        let wanted: usize =
            2 * (0..TRANSACTIONS).map(|n| if n % 2 == 0 { EACH - n % 100 } else { EACH + n % 100 - 1 }).sum::<usize>();
        assert!(wanted >= 100_000, "{wanted}");
        let writers = [writer(db.clone()), writer(db.clone())];
        let (mut after, mut seen, mut ids) = (0, 0, HashSet::new());
        while seen < wanted {
            let page = events::page(&db, after, None, 500).await.expect("read");
            for event in &page.events {
                assert_eq!(event.seq, after + 1, "no number is skipped");
                after = event.seq;
                assert!(ids.insert(event.id), "an event occurs twice");
                seen += 1;
            }
            if page.events.is_empty() {
                assert!(
                    writers.iter().any(|writer| !writer.is_finished())
                        || page.more
                        || seen == wanted
                        || !all_written(&db, after).await,
                    "the feed ended at {seen}"
                );
                tokio::task::yield_now().await;
            }
        }
        for writer in writers {
            writer.await.expect("written");
        }
        assert_eq!(events::head(&db).await.expect("read").seq, i64::try_from(wanted).expect("a small number"));
    })
    .await;
}

async fn all_written(db: &Db, after: i64) -> bool {
    events::head(db).await.expect("read").seq == after
}

#[tokio::test]
async fn a_page_looks_through_a_bounded_number_of_events_and_says_how_far_it_came() {
    on_each(async |db| {
        fill(&db, 3 * events::WINDOW).await;
        let page = events::page(&db, 0, Some(&[EventType::BatchCreated]), 500).await.expect("read");
        assert_eq!((page.events.len(), page.upto.seq, page.more), (0, events::WINDOW, true));
        let page = events::page(&db, 2 * events::WINDOW, Some(&[EventType::BatchCreated]), 500).await.expect("read");
        assert_eq!((page.events.len(), page.more), (0, false));
    })
    .await;
}

/// Fills a feed with `n` events by plain SQL.
async fn fill(db: &Db, n: i64) {
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
    on_each(async |db| {
        fill(&db, 12_000).await;
        write(&db, 3).await;
        let before = clock::now() - TimeDelta::days(30);
        assert_eq!(events::delete_older_than(&db, before, clock::now()).await.expect("removed"), 12_000);
        let kept = events::kept(&db, 12_000).await.expect("read");
        assert_eq!((kept.oldest, kept.there, kept.start()), (Some(12_001), None, 12_000));
        let tomorrow = clock::now() + TimeDelta::days(1);
        assert_eq!(events::delete_older_than(&db, tomorrow, tomorrow).await.expect("removed"), 2);
        let head = events::head(&db).await.expect("read");
        let kept = events::kept(&db, head.seq).await.expect("read");
        assert_eq!((kept.oldest, Cursor::behind(kept.head, kept.there)), (Some(12_003), head));
        write(&db, 1).await;
        assert_eq!(all(&db).await.last().map(|event| event.seq), Some(12_004), "the feed continues");
    })
    .await;
}
