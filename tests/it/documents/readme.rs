//! Follows README.md.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    api::{Api, open_link, row_values, until_ready},
    as_text,
    comparison::assert_same_fields,
    find_tools, find_word, items,
    markdown::Document,
    terminal::{Machine, Terminal},
};
use crate::support::needs;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn the_readme_can_be_followed() {
    needs!(find_tools());
    let mut readme = Document::read("README.md");
    let machine = Machine::new();
    let (first, second, third) = (machine.open_terminal(), machine.open_terminal(), machine.open_terminal());

    let demo = first.start(&readme.next_block("sh", "-- demo"), &[]);
    let output = demo.until_output("Ctrl-C").await;
    readme.assert_states("a server with twelve simulated printers. It prints a link that logs you in.");
    let link = find_word(&output, "http://");
    let (status, cookie) = open_link(link).await;
    assert!(status == StatusCode::SEE_OTHER && cookie.contains("session"), "{link}: {status} {cookie}");
    let api = Api::new(&machine, find_word(&output, "pyd_"));
    assert_eq!(items(&api.get("/printers?limit=500").await).len(), 12);
    readme.assert_states("Ctrl-C stops the demo and deletes its data.");
    assert_eq!(count_demo_folders(&machine), 1);
    demo.interrupt().await;
    assert_eq!(count_demo_folders(&machine), 0);

    let serve = readme.next_block("sh", "printyard serve");
    let server = first.start(&serve, &[]);
    readme.assert_states("It prints a link that creates the first admin.");
    let output = server.until_output("/setup?key=").await;
    until_ready(&machine).await;
    assert_eq!(open_link(find_word(&output, "http://")).await.0, StatusCode::OK);

    readme.assert_states("In a second terminal, with the same two variables, create an API token.");
    second.run(&serve.only_lines("export "), &[]).await;
    let token = second.run(&readme.next_block("sh", "printyard token create"), &[]).await;

    let simulator = third.start(&readme.next_block("sh", "printyard simulate --printers 3"), &[]);
    let printed: Value = serde_json::from_str(&simulator.until_output("]").await).expect("JSON");
    let shown_block = readme.next_block("json", "api_key");
    let shown: Value = serde_json::from_str(&shown_block.text).expect("JSON in the document");
    assert_same_fields(&shown_block.place, &shown, &printed);
    assert_eq!(printed.as_array().map(Vec::len), Some(3));

    let ids = add_two_printers(&mut readme, &machine, &second, token.trim(), &printed).await;
    std::fs::write(machine.folder().join("bracket.gcode"), "G4 S1\n".repeat(600)).expect("a file");
    second.run(&readme.next_block("sh", "$API/files"), &[]).await;
    let answers = machine.take_answers();
    assert_eq!((answers[0].status, &answers[0].body["name"]), (201, &json!("bracket.gcode")), "{answers:?}");
    let file_id = as_text(&answers[0].body["id"]).to_owned();
    let named = format!("{:?}, {:?}", ids[0], ids[1]);
    let values = [("\"…\", \"…\"", named.as_str()), ("file-id", file_id.as_str())];
    second.run(&readme.next_block("sh", "assume_clear"), &values).await;
    let answers = machine.take_answers();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [207, 207, 200], "start, pause, dry run: {answers:?}");
    for batch in answers[..2].iter().map(|answer| &answer.body) {
        assert_eq!((&batch["result"], &batch["counts"]["confirmed"]), (&json!("ok"), &json!(2)), "{batch}");
    }
    assert_eq!(row_values(&answers[2].body, "would"), BTreeSet::from(["send"]), "{answers:?}");

    readme.assert_complete();
    server.interrupt().await;
    simulator.interrupt().await;
}

fn count_demo_folders(machine: &Machine) -> usize {
    let names =
        std::fs::read_dir(machine.folder()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().starts_with("printyard-demo-")).count()
}

/// Adds two simulated printers with the commands of the next block. Returns their ids.
async fn add_two_printers(
    readme: &mut Document,
    machine: &Machine,
    terminal: &Terminal<'_>,
    token: &str,
    simulated: &Value,
) -> Vec<String> {
    let block = readme.next_block("sh", "$API/printers/test");
    let mut ids = Vec::new();
    for (printer, name) in simulated.as_array().expect("printers").iter().zip(["MK4-017", "MK4-018"]) {
        let key = format!("\"api_key\": {}", printer["api_key"]);
        let url = as_text(&printer["url"]);
        let values =
            [("pyd_…", token), ("http://10.0.3.17", url), ("\"api_key\": \"…\"", key.as_str()), ("MK4-017", name)];
        terminal.run(&block, &values).await;
        let answers = machine.take_answers();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 201], "test, add: {answers:?}");
        assert_eq!(answers[0].body["ok"], true, "{answers:?}");
        ids.push(as_text(&answers[1].body["id"]).to_owned());
    }
    ids
}
