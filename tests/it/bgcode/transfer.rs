//! Binary G-code through the server: the same facts as the text, and the text on the printer.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{assert_same_commands, generate_source, make_reference_files};
use crate::support::{
    needs,
    server::{TestServer, start_server_with_farm},
};

/// Fields of a file that do not depend on its format. Bounds and filament come from the moves.
const FACTS: [&str; 11] = [
    "analysis",
    "slicer",
    "printer_model",
    "nozzle_mm",
    "layer_height_mm",
    "estimated_print_time_s",
    "objects",
    "tools",
    "bounds_mm",
    "bed_mm",
    "thumbnails",
];

async fn upload(server: &TestServer, name: &str, content: Vec<u8>) -> Value {
    let (status, file, _) = server.upload_file("", name, content).await;
    assert_eq!(status, StatusCode::CREATED, "{name}: {file}");
    file
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the library pybgcode, which tests/run provides"]
async fn a_printer_gets_the_text_of_binary_gcode() {
    let made = tokio::task::spawn_blocking(|| make_reference_files(generate_source())).await.expect("no panic");
    let files = needs!(made);
    let transferred =
        ["deflate.meatpack-comments.crc32", "heatshrink-11.meatpack.unchecked", "heatshrink-12.text.crc32"];
    let (server, farm, ids) = start_server_with_farm(transferred.len()).await;
    let source = upload(&server, "source.gcode", files.source.clone().into_bytes()).await;
    assert_eq!(source["estimated_print_time_s"], 93_784, "{source}");
    for variant in &files.variants {
        let file = upload(&server, &format!("{variant}.bgcode"), files.read(variant, "bgcode")).await;
        assert_eq!(file["format"], "bgcode");
        for field in FACTS {
            assert_eq!(file[field], source[field], "{variant}: {field}");
        }
        let Some(at) = transferred.iter().position(|name| name == variant) else { continue };
        let select = json!({"printer_ids": [ids[at]]});
        let start = json!({"command": "start", "file": {"file_id": file["id"]}, "select": select});
        let (status, batch, _) = server.post_and_wait("/api/v1/batches", start).await;
        assert_eq!((status, &batch["result"]), (StatusCode::MULTI_STATUS, &json!("ok")), "{batch}");
        let path = batch["commands"][0]["file"]["path"].as_str().expect("a path on the printer");
        let text = farm.printers()[at].read_file(path).expect("a file on the printer");
        let text = String::from_utf8(text).expect("UTF-8");
        assert_same_commands(variant, &text, &files.source, variant.contains(".text."));
    }
    server.stop().await;
}
