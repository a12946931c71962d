//! Schemathesis generates requests from the OpenAPI document, chains them as a program would, and checks that the
//! document describes every response.

use std::{path::Path, process::Command};

use printyard::config::RawConfig;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{
    env_or_skip, needs,
    server::{ADMIN_TOKEN, ServerOptions, TestServer, start_farm},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs schemathesis, which tests/run provides"]
async fn every_response_matches_the_openapi_document() {
    let program = needs!(env_or_skip("PRINTYARD_TEST_SCHEMATHESIS", "schemathesis"));
    // Schemathesis makes up addresses. The server must not send requests outside this machine.
    let raw_config = RawConfig { printer_networks: Some("127.0.0.0/8".to_owned()), ..RawConfig::default() };
    let server = TestServer::start_with(ServerOptions { raw_config, ..ServerOptions::default() }).await;
    let farm = start_farm(3).await;
    let printers = farm.printers().iter();
    let printers = printers.map(|p| json!({"name": p.name(), "url": p.url(), "api_key": p.api_key()}));
    let body = json!({"items": printers.collect::<Vec<_>>()});
    assert_eq!(server.post("/api/v1/printers/bulk", body).await.0, StatusCode::MULTI_STATUS);
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/schemathesis.toml");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(settings).arg("run").arg(format!("{}/api/openapi.json", server.url));
    command.args(["--header", &format!("Authorization: Bearer {ADMIN_TOKEN}")]);
    // schemathesis writes files into the folder where it starts.
    command.current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("schemathesis");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(printed.contains(&format!("✅ {phase}")), "{phase} did not run:\n{printed}");
    }
}
