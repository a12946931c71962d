//! The farm of the demo at its start, and the week before it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use serde_json::Value;

use super::process::{DEADLINE, Demo, id_of};
use crate::support::wait;

/// A demo in a debug build on a busy machine starts within this time.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// Returns under which situation a printer counts.
fn situation(printer: &Value) -> String {
    let status = &printer["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match (text(&status["reachability"]).as_str(), text(&status["state"]).as_str()) {
        ("online", "operational") => format!("plate {}", text(&printer["plate"]["state"])),
        ("online", "paused") => format!("paused by {}", text(&printer["job"]["paused_by"]["kind"])),
        ("online", state) => state.to_owned(),
        (reachability, _) => reachability.to_owned(),
    }
}

async fn until_situations(demo: &Demo, wanted: &[(&str, usize)]) {
    let wanted: BTreeMap<String, usize> = wanted.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    wait::until("each situation has its printers", DEADLINE, async || {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for printer in demo.list("/printers").await {
            *counts.entry(situation(&printer)).or_default() += 1;
        }
        if counts == wanted { Ok(()) } else { Err(counts) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_begins_with_a_living_farm() {
    let demo = Demo::start(&[]).await;
    assert!(demo.started_in < STARTS_WITHIN, "{:?}", demo.started_in);
    until_situations(
        &demo,
        &[
            ("printing", 5),
            ("plate occupied", 1),
            ("plate clear", 2),
            ("paused by printer", 1),
            ("error", 1),
            ("unreachable", 1),
            ("unauthorized", 1),
        ],
    )
    .await;
    let printers = demo.list("/printers").await;
    let field = |name: &str| printers.iter().map(|printer| printer[name].to_string()).collect::<HashSet<_>>().len();
    assert_eq!((field("model"), field("material"), field("color"), field("nozzle_mm")), (3, 3, 3, 2));

    let printing: Vec<&Value> = printers.iter().filter(|printer| situation(printer) == "printing").collect();
    let progress = |printer: &Value| printer["job"]["progress"]["completion"].as_f64().expect("a progress");
    let mut tens: Vec<f64> = printing.iter().map(|printer| (progress(printer) / 10.0).floor()).collect();
    tens.sort_by(f64::total_cmp);
    tens.dedup();
    assert_eq!(tens.len(), 5, "each print is at another progress");
    let almost_done = printing.iter().filter(|printer| progress(printer) > 95.0).count();
    assert_eq!(almost_done, 1);
    let halted = printers.iter().find(|printer| situation(printer) == "error").expect("a halted printer");
    assert!(halted["status"]["error"].as_str().is_some_and(|text| text.contains("Thermal Runaway")), "{halted}");

    let files = demo.list("/files").await;
    assert_eq!(files.len(), 6);
    for printer in printing {
        let path = printer["job"]["file"]["path"].as_str().expect("a path");
        let file = files.iter().find(|file| path.contains(file["sha256"].as_str().expect("a hash")));
        let file = file.expect("a file of the library");
        assert_eq!(file["printer_model"], printer["model"], "{file}");
        assert_eq!(file["tools"][0]["material"], printer["material"], "{file}");
    }
    for file in &files {
        assert!(file["thumbnails"].as_array().is_some_and(|pictures| !pictures.is_empty()), "{file}");
    }
    let page = demo.get_page("/").await;
    assert!(page.contains("Faults come by themselves") && page.contains("href=\"/demo\""), "{page}");
    assert!(page.matches("/thumbnail\"").count() >= 5, "prints show their pictures");
    demo.interrupt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_the_demo_agrees_with_itself() {
    // At this speed, no print ends during the test.
    let demo = Demo::start(&["--printers", "24", "--speed", "0.2"]).await;
    let (prints, batches) = (demo.list("/prints").await, demo.list("/batches").await);
    assert!(prints.len() > 200 && batches.len() > 50, "{} prints, {} batches", prints.len(), batches.len());
    let by_id: HashMap<&str, &Value> = prints.iter().map(|print| (id_of(print), print)).collect();
    let mut started = HashSet::new();
    for batch in &batches {
        assert_eq!(batch["state"], "finished", "{batch}");
        assert!(["Anna", "ERP"].contains(&batch["created_by"].as_str().unwrap_or_default()), "{batch}");
        let rows = demo.get(&format!("/batches/{}/commands?limit=500", id_of(batch))).await;
        let rows = rows["items"].as_array().expect("rows");
        assert_eq!(batch["counts"]["total"], rows.len(), "{batch}");
        let confirmed: Vec<&Value> = rows.iter().filter(|row| row["outcome"] == "confirmed").collect();
        assert_eq!(batch["counts"]["confirmed"], confirmed.len(), "{batch}");
        for row in confirmed {
            let print = by_id[row["print_id"].as_str().expect("a print")];
            assert_eq!(print["printer_id"], row["printer_id"], "{row}");
            if batch["command"] == "start" {
                assert_eq!((&print["batch_id"], &print["command_id"]), (&batch["id"], &row["id"]), "{print}");
                assert_eq!(print["external_ref"], batch["external_ref"], "{print}");
                started.insert(id_of(print));
            } else {
                assert_eq!(print["result"], "cancelled", "{print}");
            }
        }
    }
    let by_command = prints.iter().filter(|print| print["started_by"]["kind"] == "command").count();
    assert_eq!(started.len(), by_command, "each print of a command is in its batch");
    assert_no_overlaps(&prints);
    assert_statistics(&demo, &prints).await;
    for page in ["/batches", "/prints", "/statistics", "/audit"] {
        demo.get_page(page).await;
    }
}

/// Checks that a printer prints one thing at a time, and that the results fit the times.
fn assert_no_overlaps(prints: &[Value]) {
    let mut by_printer: HashMap<&str, Vec<(&str, Option<&str>)>> = HashMap::new();
    for print in prints {
        assert_eq!(print["ended_at"].is_null(), print["result"].is_null(), "{print}");
        let started = print["started_at"].as_str().expect("a time");
        let printer = print["printer_id"].as_str().expect("a printer");
        by_printer.entry(printer).or_default().push((started, print["ended_at"].as_str()));
    }
    for times in by_printer.values_mut() {
        times.sort_unstable();
        let (_, before_last) = times.split_last().expect("a print");
        assert!(before_last.iter().all(|(_, ended)| ended.is_some()), "only the last print may be open: {times:?}");
        for pair in times.windows(2) {
            assert!(pair[0].1.is_some_and(|ended| pair[0].0 < ended && ended < pair[1].0), "{pair:?}");
        }
    }
}

/// Checks that the table of the statistics has the results of the prints.
async fn assert_statistics(demo: &Demo, prints: &[Value]) {
    let text = demo.get_page("/statistics.csv").await;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().expect("headers").clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    for result in ["done", "failed", "cancelled"] {
        let column = headers.iter().position(|name| name == result).unwrap_or_else(|| panic!("{headers:?}"));
        let total: usize = rows.iter().filter_map(|row| row.get(column)?.parse::<usize>().ok()).sum();
        let wanted = prints.iter().filter(|print| print["result"] == result).count();
        assert_eq!((result, total), (result, wanted));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calm_demo_has_ready_printers_only() {
    let demo = Demo::start(&["--calm", "--printers", "4"]).await;
    until_situations(&demo, &[("plate clear", 4)]).await;
    assert!(demo.list("/prints").await.is_empty() && demo.list("/batches").await.is_empty());
    let page = demo.get_page("/").await;
    assert!(page.contains("Demo: simulated printers.") && !page.contains("Faults come by themselves"), "{page}");
}
