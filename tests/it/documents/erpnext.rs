//! Runs the script for ERPNext in docs/erp.md.

use std::process::Stdio;

use serde_json::json;

use super::{DEADLINE, as_text, find_tools, items, markdown::Document};
use crate::support::{
    needs,
    server::{ADMIN_TOKEN, TestServer, start_farm},
};

/// Stands in for Frappe: one open job card, and `frappe` with the functions that the script calls.
const FRAPPE: &str = r#"
import json, os, sys, urllib.request

class Card(dict):
    __getattr__ = dict.__getitem__

card = Card(name="PO-JOB00412", workstation="cnc-1", custom_printyard_file="bracket.gcode")

class Database:
    def get_single_value(self, doctype, field):
        return os.environ["PRINTYARD_TOKEN"]
    def set_value(self, doctype, name, field, value):
        assert (doctype, name) == ("Job Card", card.name)
        card[field] = value
        print(value)
    def commit(self):
        pass

class Frappe:
    db = Database()
    def get_all(self, doctype, filters, fields):
        return [] if card.get("custom_printyard_batch") else [card]
    def make_post_request(self, url, headers, data):
        request = urllib.request.Request(url, data.encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

frappe = Frappe()
script = sys.stdin.read()
exec(script)
exec(script)
# As after a crash between the request and the commit.
del card["custom_printyard_batch"]
exec(script)
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs bash, curl and Python, which tests/run provides"]
async fn the_script_for_erpnext_starts_each_job_card_once() {
    needs!(find_tools());
    let guide = Document::read("docs/erp.md");
    let (server, farm) = (TestServer::start().await, start_farm(1).await);
    let id = server.register_printer_with(&farm.printers()[0], json!({"tags": ["cnc-1"]})).await;
    server.until_online(&id).await;
    let block = guide.only_block("python");
    assert!(block.text.contains("http://printyard:8080"), "{}", block.text);
    let script = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(script.path(), block.text.replace("http://printyard:8080", &server.url)).expect("a written file");
    let output = tokio::process::Command::new("python3")
        .args(["-c", FRAPPE])
        .env("PRINTYARD_TOKEN", ADMIN_TOKEN)
        .stdin(Stdio::from(script.reopen().expect("an open file")))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, output).await.expect("an end").expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, batches, _) = server.get("/api/v1/batches?external_ref=PO-JOB00412").await;
    let [batch] = &items(&batches)[..] else { panic!("one batch for the job card: {batches}") };
    let stored: Vec<&str> = text.lines().collect();
    assert_eq!(stored, [as_text(&batch["id"]); 2], "the first run, and the run after a crash");
    server.stop().await;
}
