//! Clients generated from the OpenAPI document: the test generates them from the running server and uses them with a
//! simulated farm.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use printyard::simulator::Farm;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    env_or_skip, needs,
    server::{ADMIN_TOKEN, TestServer, start_farm},
};

fn client_sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(language)
}

/// Runs a program to its end while the server runs. Returns its output.
async fn run_program<S: AsRef<OsStr>>(folder: &Path, program: &Path, arguments: &[S]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("PYTHONPATH", folder).env("NO_COLOR", "1");
    let command_line = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let output = output.unwrap_or_else(|error| panic!("{command_line}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command_line}: {}\n{printed}", output.status);
    printed
}

/// Returns the printers of a farm as JSON, as a scenario takes them.
fn printers_json(farm: &Farm) -> String {
    let printer = |printer: &printyard::simulator::SimulatedPrinter| json!({"name": printer.name(), "url": printer.url(), "api_key": printer.api_key()});
    Value::from_iter(farm.printers().iter().map(printer)).to_string()
}

fn copy_files(from: &Path, to: &TempDir, names: &[&str]) {
    for name in names {
        std::fs::copy(from.join(name), to.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openapi-python-client, which tests/run provides"]
async fn a_generated_python_client_registers_lists_commands_and_reads_problems() {
    let generator = PathBuf::from(needs!(env_or_skip("PRINTYARD_TEST_PYTHON_CLIENT", "openapi-python-client")));
    let (server, farm, folder) =
        (TestServer::start().await, start_farm(3).await, tempfile::tempdir().expect("a folder"));
    copy_files(&client_sources("python"), &folder, &["config.yml", "scenario.py"]);
    let document = format!("{}/api/openapi.json", server.url);
    let arguments = [
        "generate",
        "--url",
        &document,
        "--output-path",
        "printyard_client",
        "--meta",
        "none",
        "--config",
        "config.yml",
    ];
    let printed = run_program(folder.path(), &generator, &arguments).await;
    assert!(!printed.to_lowercase().contains("warning"), "{printed}");
    let python = generator.with_file_name("python");
    let printed =
        run_program(folder.path(), &python, &["scenario.py", &server.url, ADMIN_TOKEN, &printers_json(&farm)]).await;
    assert!(printed.contains("the scenario holds"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openapi-typescript, which tests/run provides"]
async fn a_generated_typescript_client_is_checked_by_the_compiler_and_works() {
    let packages = PathBuf::from(needs!(env_or_skip("PRINTYARD_TEST_TYPESCRIPT", "openapi-typescript, from npm")));
    let (server, farm, folder) =
        (TestServer::start().await, start_farm(3).await, tempfile::tempdir().expect("a folder"));
    copy_files(&client_sources("typescript"), &folder, &["package.json", "tsconfig.json", "scenario.ts"]);
    std::os::unix::fs::symlink(packages.join("node_modules"), folder.path().join("node_modules")).expect("a link");
    let program = |name: &str| packages.join("node_modules/.bin").join(name);
    let document = format!("{}/api/openapi.json", server.url);
    run_program(folder.path(), &program("openapi-typescript"), &[&document, "--output", "schema.d.ts"]).await;
    run_program(folder.path(), &program("tsc"), &["--noEmitOnError"]).await;
    let printed = run_program(
        folder.path(),
        Path::new("node"),
        &["scenario.js", &server.url, ADMIN_TOKEN, &printers_json(&farm)],
    )
    .await;
    assert!(printed.contains("the scenario holds"), "{printed}");

    // The TypeScript compiler must reject unknown enum values and unknown fields.
    let path = folder.path().join("scenario.ts");
    let mut scenario = std::fs::read_to_string(&path).expect("the scenario");
    for (good, bad) in [
        ("command: \"start\"", "command: \"sart\""),
        ("first.data.tags", "first.data.tagz"),
        ("error.code", "error.kode"),
    ] {
        assert!(scenario.contains(good), "{good}");
        scenario = scenario.replace(good, bad);
    }
    std::fs::write(&path, scenario).expect("a written file");
    let checked = Command::new(program("tsc")).arg("--noEmit").current_dir(folder.path()).output().expect("tsc");
    let printed = String::from_utf8_lossy(&checked.stdout);
    for bad in ["'\"sart\"'", "'tagz'", "'kode'"] {
        assert!(printed.contains(bad), "the compiler accepts {bad}:\n{printed}");
    }
}
