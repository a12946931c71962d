//! Schemathesis generates requests from the OpenAPI document, chains them as a program would, and checks that the
//! document describes every response.

use std::{path::Path, process::Command};

use printyard::config::Given;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{
    needs, provided,
    server::{ADMIN, Options, TestServer, farm},
};

#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_the_document_allows_or_forbids_is_answered_otherwise_than_it_says() {
    let program = needs!(provided("PRINTYARD_TEST_SCHEMATHESIS", "schemathesis"));
    // Schemathesis makes up addresses. The server must not send requests outside this machine.
    let given = Given { printer_networks: Some("127.0.0.0/8".to_owned()), ..Given::default() };
    let server = TestServer::with(Options { given, ..Options::default() }).await;
    let farm = farm(3).await;
    let printers = farm.printers().iter();
    let printers = printers.map(|p| json!({"name": p.name(), "url": p.url(), "api_key": p.api_key()}));
    let body = json!({"items": printers.collect::<Vec<_>>()});
    assert_eq!(server.post("/api/v1/printers/bulk", body).await.0, StatusCode::MULTI_STATUS);
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/schemathesis.toml");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(settings).arg("run").arg(format!("{}/api/openapi.json", server.url));
    command.args(["--header", &format!("Authorization: Bearer {ADMIN}")]);
    // schemathesis writes files into the folder where it starts.
    command.current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(said.contains(&format!("✅ {phase}")), "{phase} did not run:\n{said}");
    }
}
