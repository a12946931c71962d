//! Reads a feed of a million events. Measures a page of 500 from its beginning, a page from its end, and a walk through
//! all of it. Also measures a page of a type that has no events.
//!
//! `cargo bench --bench feed`

#[expect(dead_code, reason = "each benchmark uses a part of it")]
mod support;

use std::time::Instant;

use printyard::{
    domain::event::EventType,
    storage::{Db, Engine, events},
};
use sqlx::{AssertSqlSafe, Executor};
use support::{elapsed_ms, min_median_max};

const EVENTS: i64 = 1_000_000;
const PAGE: i64 = 500;
const ROUNDS: i64 = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::connect(&format!("sqlite:{}", folder.path().join("feed.db").display())).await.expect("a database");
    insert_events(&db).await;
    let median_page_ms = async |first: i64, kinds: Option<&[EventType]>| {
        let mut figures = Vec::new();
        for round in 0..ROUNDS {
            let start = Instant::now();
            events::list_page(&db, first + round * PAGE, kinds, PAGE).await.expect("a page");
            figures.push(elapsed_ms(start));
        }
        min_median_max(&figures).1
    };
    let beginning = median_page_ms(0, None).await;
    let end = median_page_ms(EVENTS - ROUNDS * PAGE - PAGE, None).await;
    let nothing = median_page_ms(EVENTS / 2, Some(&[EventType::BatchFinished])).await;
    let (start, mut after) = (Instant::now(), 0);
    loop {
        let page = events::list_page(&db, after, None, PAGE).await.expect("a page");
        after = page.searched_to.seq;
        if !page.has_more {
            break;
        }
    }
    println!("{EVENTS} events, pages of {PAGE}, SQLite");
    println!("a page at the beginning  median {beginning:6.2} ms");
    println!("a page at the end        median {end:6.2} ms");
    println!("ratio                           {:6.2}  (target: at most 1.50)", end / beginning);
    println!("a page without a match   median {nothing:6.2} ms, {} events looked through", events::WINDOW);
    println!("all of it                {:13.2} s", elapsed_ms(start) / 1_000.0);
    db.close().await;
}

/// Inserts events of started prints with plain SQL, because only reading is measured.
async fn insert_events(db: &Db) {
    let Engine::Sqlite { write, .. } = db.engine() else { unreachable!("it is on SQLite") };
    let data =
        r#"'{"file":{"path":"bracket.gcode","origin":"local"},"print_id":"0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11"}'"#;
    let numbers = format!("with recursive g(n) as (select 1 union all select n + 1 from g where n < {EVENTS})");
    let rows = format!(
        "{numbers} insert into events (seq, id, type, at, printer_id, printer_name, data)
         select n, randomblob(16), 'print.started', '2026-01-01T00:00:00+00:00', randomblob(16), 'MK4-' || n, {data} from g"
    );
    for sql in [rows, format!("update events_head set seq = {EVENTS}")] {
        write.execute(AssertSqlSafe(sql)).await.expect("written");
    }
}
