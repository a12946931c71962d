//! Container files: the checks that need no container engine.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::{
    env_or_skip, needs,
    octoprint::{OctoPrintInstance, OctoPrintVersion},
};

fn repository_path(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

fn read_file(inside: &str) -> String {
    std::fs::read_to_string(repository_path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"))
}

/// Runs a command line from `tests/run` with additional arguments. Splits the command line at spaces.
fn run_command(command: &str, arguments: &[&str]) -> Output {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a command");
    let output = Command::new(program).args(words).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program} does not start: {error}"))
}

#[track_caller]
fn assert_success(output: &Output) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{error}", output.status);
    out.into_owned()
}

/// Writes a compose file with an error, to show that the checker finds errors.
fn create_invalid_compose_file() -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".yml").tempfile().expect("a temporary file");
    std::fs::write(file.path(), "services:\n  printyard:\n    imagee: printyard\n").expect("a written file");
    file
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
#[ignore = "needs docker compose, which tests/run provides"]
fn docker_compose_accepts_the_compose_file_with_every_profile() {
    let compose = needs!(env_or_skip("PRINTYARD_TEST_COMPOSE", "docker compose or docker-compose"));
    let file = repository_path("docker-compose.yml");
    let profiles = ["--profile", "octoprint", "--profile", "postgres"];
    let config =
        assert_success(&run_command(&compose, &[&["-f", path_text(&file)], &profiles[..], &["config"]].concat()));
    for service in ["printyard:", "octoprint-1:", "octoprint-2:", "postgres:"] {
        assert!(config.contains(&format!("\n  {service}\n")), "{service} is missing from:\n{config}");
    }
    assert!(config.contains("sqlite:/data/printyard.db"), "SQLite is the default:\n{config}");

    let mistaken = create_invalid_compose_file();
    assert!(!run_command(&compose, &["-f", path_text(mistaken.path()), "config"]).status.success());
}

#[test]
#[ignore = "needs check-jsonschema, which tests/run provides"]
fn the_compose_file_is_valid_by_the_compose_specification() {
    let check = needs!(env_or_skip("PRINTYARD_TEST_CHECK_JSONSCHEMA", "check-jsonschema"));
    let schema = ["--builtin-schema", "vendor.compose-spec"];
    assert_success(&run_command(&check, &[&schema[..], &[path_text(&repository_path("docker-compose.yml"))]].concat()));

    let mistaken = create_invalid_compose_file();
    assert!(!run_command(&check, &[&schema[..], &[path_text(mistaken.path())]].concat()).status.success());
}

#[test]
fn the_compose_file_allows_open_files_for_5_000_printers() {
    let compose = read_file("docker-compose.yml");
    let (_, limits) = compose.split_once("nofile:").expect("a limit of open files");
    for limit in ["soft: ", "hard: "] {
        let value = limits.lines().find_map(|line| line.trim().strip_prefix(limit)).expect("a limit");
        assert!(value.parse::<u64>().expect("a number") >= 2 * 5_000 + 2_048, "{limit}{value}");
    }
}

#[test]
fn the_containers_have_the_tested_octoprint_versions() {
    let (run, compose, image) =
        (read_file("tests/run"), read_file("docker-compose.yml"), read_file("docker/octoprint/Dockerfile"));
    for variable in ["OCTOPRINT_1=", "OCTOPRINT_2="] {
        let version = run.lines().find_map(|line| line.strip_prefix(variable)).expect("a pinned version");
        assert!(compose.contains(&format!("OCTOPRINT_VERSION: {version}\n")), "{version} in the compose file");
        assert!(compose.contains(&format!("image: printyard-octoprint:{version}\n")), "{version} in the image's name");
        if variable == "OCTOPRINT_1=" {
            assert!(image.contains(&format!("ARG OCTOPRINT_VERSION={version}\n")), "{version} is the default");
        }
    }
}

#[test]
fn the_image_is_built_with_the_rust_version_of_the_manifest() {
    let manifest = read_file("Cargo.toml");
    let required = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    let from = format!("FROM rust:{}-bookworm AS", required.trim_matches('"'));
    let dockerfile = read_file("Dockerfile");
    let builders: Vec<&str> = dockerfile.lines().filter(|line| line.starts_with("FROM rust:")).collect();
    assert_eq!(builders.len(), 2);
    assert!(builders.iter().all(|line| line.starts_with(&from)), "{builders:?} should begin with {from}");
}

/// The build context has no tests and no benchmarks, and Cargo refuses a manifest that lists missing files. So the
/// image removes those sections. This test runs the line that removes them.
#[test]
fn the_image_manifest_has_no_tests_and_benchmarks() {
    let dockerfile = read_file("Dockerfile");
    let trim = dockerfile.lines().find_map(|line| line.strip_prefix("RUN awk")).expect("the awk line");
    let folder = tempfile::tempdir().expect("a folder");
    let manifest =
        "[package]\nname = \"a\"\n[[bench]]\nname = \"b\"\nharness = false\n[[test]]\nname = \"c\"\n[lints]\nd = 1\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("a manifest");
    let mut shell = Command::new("sh");
    assert_success(&shell.args(["-c", &format!("awk{trim}")]).current_dir(folder.path()).output().expect("a shell"));
    let trimmed = std::fs::read_to_string(folder.path().join("Cargo.toml")).expect("a manifest");
    assert_eq!(trimmed, "[package]\nname = \"a\"\n[lints]\nd = 1\n");
}

#[tokio::test]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn the_octoprint_health_check_fails_when_octoprint_does() {
    for version in OctoPrintVersion::ALL {
        let mut printer = needs!(OctoPrintInstance::start(version).await);
        let check = |printer: &OctoPrintInstance, key: &str| {
            let mut command = Command::new("python3");
            command.arg(repository_path("docker/octoprint/entrypoint.py")).arg("healthcheck");
            command.env("OCTOPRINT_PORT", printer.port.to_string()).env("OCTOPRINT_API_KEY", key);
            command.output().expect("python3").status.success()
        };
        assert!(check(&printer, &printer.api_key));
        assert!(!check(&printer, "another key"));
        printer.kill();
        assert!(!check(&printer, &printer.api_key));
    }
}
