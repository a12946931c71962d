//! Whether the command log says of each command what its printer received.

use std::collections::{BTreeMap, HashMap};

use printyard::simulator::{Farm, SimulatedPrinter};
use serde_json::{Value, json};

use super::process::ServerProcess;

/// Registers every printer of a farm; the printers by their ids.
pub async fn register(server: &ServerProcess, farm: &Farm) -> HashMap<String, SimulatedPrinter> {
    let mut by_id = HashMap::new();
    for printer in farm.printers() {
        let body = json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
        let (status, body) = server.post("/printers", &body).await.expect("an answer");
        assert_eq!(status, 201, "{body}");
        by_id.insert(body["id"].as_str().expect("an id").to_owned(), printer.clone());
    }
    by_id
}

/// Outcomes with their numbers, for the reader of a failure.
pub fn tally(rows: &[Value]) -> String {
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
/// Where they disagree, or where a start was received twice.
pub fn agree(context: &str, command: &str, row: &Value, printer: &SimulatedPrinter, before: usize) {
    let seen: Vec<_> = printer.received().into_iter().skip(before).collect();
    let count =
        |command: &str, acted: bool| seen.iter().filter(|one| one.command == command && (one.acted || !acted)).count();
    let say = || format!("{context}, {command}: {row}\nthe printer saw {seen:?}");
    assert_eq!(row["final"], true, "{}", say());
    // `fault: reset` loses the request before it acts; it was still sent, and a start is sent only once.
    assert!(count("start", false) <= 1, "a start was received twice: {}", say());
    match (row["effect"].as_str(), command) {
        (Some("done"), "start") => assert_eq!(count("start", true), 1, "{}", say()),
        (Some("done"), "restart") => {
            assert!(count("cancel", true) == 1 && count("start", true) == 1, "{}", say());
        }
        (Some("done"), "cancel") => assert!(!printer.state_text().starts_with("Printing"), "{}", say()),
        (Some("none"), _) => assert!(seen.iter().all(|one| !one.acted), "{}", say()),
        (Some("maybe"), _) => {}
        other => panic!("{other:?}: {}", say()),
    }
}
