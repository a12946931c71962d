//! The fault panel: each fault has the effect that the panel announces.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::process::{DEADLINE, Demo, id_of, with_form};
use crate::support::wait;

/// A demo whose printing printers are taken one by one, each for another fault.
struct Panel {
    demo: Demo,
    printing: Vec<Value>,
}

impl Panel {
    async fn start() -> Self {
        let demo = Demo::start(&["--printers", "24"]).await;
        let printers = demo.list("/printers").await;
        let mut printing = Vec::new();
        for printer in printers {
            // The first print ends by itself. A printer is observed a moment after the start.
            let printer = demo
                .until(id_of(&printer), "the printer is observed", |now| now["status"]["reachability"] != "unknown")
                .await;
            let completion = printer["job"]["progress"]["completion"].as_f64();
            if printer["status"]["state"] == "printing" && completion.is_some_and(|percent| percent < 95.0) {
                printing.push(printer);
            }
        }
        assert!(printing.len() >= 10, "{printing:?}");
        Self { demo, printing }
    }

    /// Takes a printer that prints and has no fault.
    fn take_printing(&mut self) -> String {
        id_of(&self.printing.pop().expect("a printing printer")).to_owned()
    }

    async fn cause(&self, id: &str, fault: &str) {
        let (status, page) = self.demo.submit("/demo", &[("printer", id), ("fault", fault)]).await;
        assert!(status == StatusCode::OK && page.contains("class=\"say good\""), "{fault}: {status} {page}");
    }

    async fn until_online_and(&self, id: &str, state: &str) -> Value {
        self.demo
            .until(id, state, |it| it["status"]["reachability"] == "online" && it["status"]["state"] == state)
            .await
    }

    /// Waits until the last print of a printer has this result. It is stored a moment after the state is shown.
    async fn until_last_print(&self, id: &str, result: &str) {
        wait::until(&format!("the print is {result}"), DEADLINE, async || {
            let print = self.demo.get(&format!("/prints?printer_id={id}&limit=1")).await["items"][0].clone();
            if print["result"] == result { Ok(()) } else { Err(print) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_print_has_its_effect() {
    let mut panel = Panel::start().await;

    let halted = panel.take_printing();
    panel.cause(&halted, "firmware_error").await;
    panel.until_online_and(&halted, "error").await;
    panel.until_last_print(&halted, "failed").await;

    for fault in ["filament_runs_out", "paused_at_printer"] {
        let paused = panel.take_printing();
        panel.cause(&paused, fault).await;
        let printer = panel.until_online_and(&paused, "paused").await;
        assert_eq!(printer["job"]["paused_by"]["kind"], "printer", "{fault}: {printer}");
    }

    let cut_off = panel.take_printing();
    panel.cause(&cut_off, "print_fails").await;
    panel.until_online_and(&cut_off, "offline").await;
    panel.until_last_print(&cut_off, "failed").await;

    let done = panel.take_printing();
    panel.cause(&done, "finish_print").await;
    let printer = panel.until_online_and(&done, "operational").await;
    assert_eq!(printer["plate"]["state"], "occupied", "{printer}");
    panel.until_last_print(&done, "done").await;
    let refused = panel.demo.submit("/demo", &[("printer", &done), ("fault", "finish_print")]).await;
    assert!(refused.0 == StatusCode::CONFLICT && refused.1.contains("does not print"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_connection_has_its_effect_and_ends() {
    let mut panel = Panel::start().await;
    let [silent, without_socket, refusing, slow] = [(); 4].map(|()| panel.take_printing());
    for (id, fault) in [
        (&silent, "stops_answering"),
        (&without_socket, "loses_event_socket"),
        (&refusing, "key_refused"),
        (&slow, "slow"),
    ] {
        panel.cause(id, fault).await;
    }
    let reachability = async |id: &str, wanted: &str| {
        panel.demo.until(id, wanted, |printer| printer["status"]["reachability"] == wanted).await
    };
    reachability(&silent, "unreachable").await;
    reachability(&refusing, "unauthorized").await;
    panel.demo.until(&without_socket, "it is polled", |printer| printer["status"]["channel"] == "poll").await;
    let pause = json!({"command": "pause", "select": {"printer_ids": [slow]}});
    let batch = panel.demo.post("/batches", &pause).await;
    let row = &batch["commands"][0];
    assert_eq!(row["outcome"], "confirmed", "{batch}");
    assert!(row["latency_ms"].as_i64().is_some_and(|latency| latency >= 2_000), "{row}");

    panel.cause(&silent, "answers_again").await;
    panel.until_online_and(&silent, "printing").await;
    panel.cause(&refusing, "key_restored").await;
    panel.until_online_and(&refusing, "printing").await;

    let halted = panel.take_printing();
    panel.cause(&halted, "firmware_error").await;
    panel.until_online_and(&halted, "error").await;
    let (status, page) = panel.demo.submit("/demo", &[("reset", "1")]).await;
    assert!(status == StatusCode::OK && page.contains("All faults are ended"), "{page}");
    for printer in panel.demo.list("/printers").await {
        panel
            .demo
            .until(id_of(&printer), "the printer is back", |now| {
                now["status"]["reachability"] == "online" && now["status"]["state"] != "error"
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_needs_an_operator_and_a_printer_of_the_demo() {
    let demo = Demo::start(&["--printers", "2"]).await;
    let printers = demo.list("/printers").await;
    let viewer = demo.post("/tokens", &json!({"name": "viewer", "role": "viewer"})).await;
    let viewer = demo.log_in(viewer["token"].as_str().expect("a token")).await;
    let fields = [("printer", id_of(&printers[0])), ("fault", "slow")];
    for method in [Method::GET, Method::POST] {
        let request = with_form(demo.page_request(method, "/demo", &viewer), &fields);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
    let unknown = [("printer", "01a2270f-36b6-7115-b97a-a13f8e2170d8"), ("fault", "slow")];
    assert_eq!(demo.submit("/demo", &unknown).await.0, StatusCode::NOT_FOUND);
    for broken in [&[("printer", id_of(&printers[0])), ("fault", "fire")][..], &[("fault", "slow")]] {
        assert_eq!(demo.submit("/demo", broken).await.0, StatusCode::BAD_REQUEST);
    }
    let page = demo.get_page("/demo").await;
    assert!(page.contains("selected") && page.contains("Firmware error"), "{page}");
}
