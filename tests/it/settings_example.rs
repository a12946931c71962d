//! The example of the settings file, `printyard.toml.example`: it lists every setting of the server with its default.

use std::{collections::BTreeSet, process::Command};

use crate::support::process::PRINTYARD;

const EXAMPLE: &str = include_str!("../../printyard.toml.example");

/// Returns the example with every setting uncommented. A commented setting begins directly after its `#`; the other
/// comments have a space there.
fn uncomment_example() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|first: char| first.is_ascii_lowercase()) => setting,
        _ => line,
    });
    lines.collect::<Vec<&str>>().join("\n")
}

fn parse_settings(text: &str) -> toml::Table {
    toml::from_str(text).expect("TOML")
}

/// Runs `printyard user list` with a settings file, in a folder without a database. Returns its error message.
fn error_with(file: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("printyard.toml"), file).expect("a written file");
    let mut command = Command::new(PRINTYARD);
    // Variables of the caller would override the file.
    command.args(["user", "list"]).current_dir(folder.path()).env_clear();
    let output = command.output().expect("the program runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "there is no database, but the command succeeded: {error}");
    error
}

/// Returns the names of the settings that the server accepts: the error about an unknown one lists them.
fn list_accepted_settings() -> BTreeSet<String> {
    let error = error_with("no_setting = \"\"\n");
    let (_, names) = error.split_once("expected one of ").unwrap_or_else(|| panic!("the error has no names: {error}"));
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_example_lists_every_setting() {
    let accepted = list_accepted_settings();
    assert!(accepted.contains("database_url"), "{accepted:?}");
    let listed: BTreeSet<String> = parse_settings(&uncomment_example()).keys().cloned().collect();
    assert_eq!(listed, accepted);
}

#[test]
fn every_setting_of_the_example_is_commented_out() {
    assert!(parse_settings(EXAMPLE).is_empty());
}

#[test]
fn the_server_accepts_the_values_of_the_example() {
    // The missing database is the first error after the settings.
    let error = error_with(&uncomment_example());
    assert!(error.starts_with("printyard: the database cannot be used: "), "{error}");
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let output = Command::new(PRINTYARD).args(["serve", "--help"]).env_clear().output().expect("the program runs");
    let help = String::from_utf8(output.stdout).expect("text");
    // Empty values count as not set. The help describes the default folder in words.
    let shown = parse_settings(&uncomment_example()).into_iter().filter(|(name, _)| name != "data_dir");
    for (name, value) in shown {
        let value = value.as_str().unwrap_or_else(|| panic!("{name} is not a text")).to_owned();
        if value.is_empty() {
            continue;
        }
        let flag = format!("--{} <", name.replace('_', "-"));
        let (_, rest) = help.split_once(&flag).unwrap_or_else(|| panic!("{flag} is not in the help: {help}"));
        let description = rest.split("\n      --").next().unwrap_or_default();
        assert!(description.contains(&format!("[default: {value}]")), "{name} = {value}, but: {description}");
    }
}
