//! Farms for tests in which servers fail: sends batches, and compares the command log with what each printer received.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use printyard::simulator::{Farm, FarmConfig, SimulatedPrinter};
use serde_json::{Value, json};

use super::{
    process::{ADMIN_TOKEN, ServerProcess},
    wait::until,
};

/// Starts a farm whose printers have selected a file with a very long print.
pub async fn start_long_print_farm(printers: usize) -> Farm {
    let farm = FarmConfig {
        printers,
        latency: Duration::from_millis(30),
        with_sample_files: true,
        selected_file: Some("long/vase.gcode".into()),
        ..FarmConfig::default()
    };
    Farm::start(farm).await.expect("a farm")
}

/// Waits until `printers` printers are registered, online, and in a lasting state. A server may close connections
/// meanwhile.
pub async fn until_online(server: &ServerProcess, printers: usize, deadline: Duration) {
    until("every printer is online and in a lasting state", deadline, async || {
        let request = server.request(reqwest::Method::GET, "/api/v1/printers?limit=500").bearer_auth(ADMIN_TOKEN);
        let answer = request.send().await.map_err(|_| Vec::new())?;
        let list: Value = answer.json().await.map_err(|_| Vec::new())?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let is_ready = |item: &Value| {
            let status = &item["status"];
            let is_lasting = ["operational", "printing", "paused"].iter().any(|state| status["state"] == *state);
            status["reachability"] == "online" && is_lasting
        };
        let waiting: Vec<_> = items.iter().filter(|item| !is_ready(item)).map(|item| item["status"].clone()).collect();
        if waiting.is_empty() && items.len() == printers { Ok(()) } else { Err(waiting) }
    })
    .await;
}

/// Registers every printer of a farm. Returns the printers by their ids.
pub async fn register_farm(server: &ServerProcess, farm: &Farm) -> HashMap<String, SimulatedPrinter> {
    let mut by_id = HashMap::new();
    for printer in farm.printers() {
        let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        let (status, body) = server.post("/printers", &body).await.expect("an answer");
        assert_eq!(status, 201, "{body}");
        by_id.insert(body["id"].as_str().expect("an id").to_owned(), printer.clone());
    }
    by_id
}

/// Counts the rows by outcome, for the message of a failure.
pub fn format_outcome_counts(rows: &[Value]) -> String {
    let mut counts = BTreeMap::new();
    for row in rows {
        let reason = row["reason"].as_str().map(|reason| format!("/{reason}")).unwrap_or_default();
        *counts.entry(format!("{}{reason}", row["outcome"].as_str().unwrap_or("?"))).or_insert(0) += 1;
    }
    format!("{counts:?}")
}

/// Compares a row with what its printer received after its first `before` requests.
///
/// # Panics
/// If they do not match, or if a start was received twice.
pub fn assert_row_matches_printer(
    context: &str,
    command: &str,
    row: &Value,
    printer: &SimulatedPrinter,
    before: usize,
) {
    let received: Vec<_> = printer.received_requests().into_iter().skip(before).collect();
    let count = |command: &str, acted: bool| {
        received.iter().filter(|one| one.command == command && (one.acted || !acted)).count()
    };
    let describe = || format!("{context}, {command}: {row}\nthe printer saw {received:?}");
    assert_eq!(row["final"], true, "{}", describe());
    // `fault: reset` loses a request before it acts. The request was sent all the same, and a start is sent only once.
    assert!(count("start", false) <= 1, "a start was received twice: {}", describe());
    match (row["effect"].as_str(), command) {
        (Some("done"), "start") => assert_eq!(count("start", true), 1, "{}", describe()),
        (Some("done"), "restart") => {
            assert!(count("cancel", true) == 1 && count("start", true) == 1, "{}", describe());
        }
        (Some("done"), "cancel") => assert!(!printer.state_text().starts_with("Printing"), "{}", describe()),
        (Some("none"), _) => assert!(received.iter().all(|one| !one.acted), "{}", describe()),
        (Some("maybe"), _) => {}
        other => panic!("{other:?}: {}", describe()),
    }
}
