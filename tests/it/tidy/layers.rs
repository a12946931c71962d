//! Module dependencies: each module uses only the modules that the table in ARCHITECTURE.md allows.

use super::{assert_fails, assert_holds, assert_passes, source::Source};

/// Which layers each layer may use. Every layer may use itself and the modules in `SHARED`.
const ALLOWED_DEPENDENCIES: [(&str, &[&str]); 13] = [
    ("http", &["service", "domain"]),
    ("service", &["storage", "fleet", "octoprint", "oidc", "outbound", "secrets", "domain"]),
    ("fleet", &["octoprint", "domain"]),
    ("storage", &["secrets", "domain"]),
    ("octoprint", &["outbound", "domain"]),
    ("oidc", &["outbound", "domain"]),
    ("outbound", &["domain"]),
    ("secrets", &[]),
    ("simulator", &["domain"]),
    ("clock", &["domain"]),
    ("config", &["domain"]),
    ("telemetry", &["domain"]),
    ("lifecycle", &["domain"]),
];
/// These may be used by each other and by every layer except the domain.
const SHARED_MODULES: [&str; 4] = ["clock", "config", "telemetry", "lifecycle"];
/// These compose the program and may use everything.
const TOP_MODULES: [&str; 4] = ["main", "lib", "cli", "standby"];

fn may_depend(from: &str, to: &str) -> bool {
    if from == to || TOP_MODULES.contains(&from) {
        return true;
    }
    let listed = ALLOWED_DEPENDENCIES.iter().find(|(layer, _)| *layer == from);
    listed.is_some_and(|(_, lower)| lower.contains(&to) || SHARED_MODULES.contains(&to))
}

/// Returns the dependencies of a file that the table does not allow.
fn check_dependencies(file: &Source) -> Vec<String> {
    let Some(from) = file.layer() else { return vec![] };
    let module = file.module_path();
    let mut found = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        if token.in_tests() || file.path.ends_with("/tests.rs") {
            continue;
        }
        let next_text = |offset: usize| file.tokens.get(at + offset).map_or("", |token| token.text.as_str());
        // Index of the first name below the crate's root, if the path reaches the root.
        let below_root = match token.text.as_str() {
            "crate" if next_text(1) == "::" => at + 2,
            // The first link of a chain of `super`.
            "super" if at < 2 || file.tokens[at - 2].text != "super" || file.tokens[at - 1].text != "::" => {
                let links = (0..).take_while(|link| next_text(2 * link) == "super").count();
                if links < module.len() + token.modules.len() {
                    continue;
                }
                at + 2 * links
            }
            _ => continue,
        };
        for (line, to) in first_names(file, below_root) {
            if !may_depend(from, &to) {
                found.push(format!("{}:{line}: `{from}` may not name `{to}`", file.path));
            }
        }
    }
    found
}

/// Returns the next names of a path: one, or each name of a group in braces.
fn first_names(file: &Source, at: usize) -> Vec<(usize, String)> {
    let Some(first) = file.tokens.get(at) else { return vec![] };
    if first.text != "{" {
        return vec![(first.line, first.text.clone())];
    }
    let (mut names, mut depth) = (Vec::new(), 0);
    for pair in file.tokens[at..].windows(2) {
        match pair[0].text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && ["{", ","].contains(&pair[0].text.as_str()) && pair[1].is_word() {
            names.push((pair[1].line, pair[1].text.clone()));
        }
    }
    names
}

#[test]
fn every_dependency_points_downwards() {
    assert_holds(&["src"], check_dependencies);
}

#[test]
fn every_file_of_src_is_in_a_layer_of_the_table() {
    assert_holds(&["src"], |file| {
        let layer = file.layer().unwrap_or_default();
        let known = layer == "domain"
            || TOP_MODULES.contains(&layer)
            || ALLOWED_DEPENDENCIES.iter().any(|(name, _)| *name == layer);
        if known { vec![] } else { vec![format!("{}:1: `{layer}` is in no row of the table", file.path)] }
    });
}

#[test]
fn an_upward_dependency_is_found() {
    assert_fails(
        check_dependencies,
        "src/fleet/actor.rs",
        &["use crate::storage::batches;", "fn a() { crate::service::go() }"],
    );
    assert_fails(
        check_dependencies,
        "src/http/mod.rs",
        &["use crate::{domain::State, storage::Db};", "use crate::run;"],
    );
    assert_fails(
        check_dependencies,
        "src/http/api/batches.rs",
        &["use crate::{domain::{a, b},\n fleet};", "use crate::octoprint::job;"],
    );
    assert_fails(
        check_dependencies,
        "src/domain/effect.rs",
        &["use crate::clock::Clock;", "use super::super::storage;"],
    );
    assert_fails(check_dependencies, "src/simulator.rs", &["use super::octoprint;", "use super::{domain, octoprint};"]);
    assert_fails(
        check_dependencies,
        "src/octoprint/mod.rs",
        &["mod inner {\n use super::super::super::fleet;\n}", "pub(in crate::fleet) x"],
    );
    assert_fails(check_dependencies, "src/secrets.rs", &["use crate::domain::Id;"]);
    assert_fails(check_dependencies, "src/new_layer.rs", &["use crate::domain::Id;"]);
}

#[test]
fn a_downward_dependency_passes() {
    assert_passes(
        check_dependencies,
        "src/service/batches.rs",
        &["use crate::{storage::Db, fleet, octoprint, domain::{State, Id}, clock};"],
    );
    assert_passes(
        check_dependencies,
        "src/fleet/mod.rs",
        &["/// See [`crate::storage`].\nuse crate::fleet::actor; // crate::storage"],
    );
    assert_passes(
        check_dependencies,
        "src/fleet/actor.rs",
        &["use super::view;", "mod inner { use super::super::view; }"],
    );
    assert_passes(
        check_dependencies,
        "src/fleet/actor.rs",
        &["mod tests {\n use crate::storage::Db;\n}", "let a = \"crate::storage\";"],
    );
    assert_passes(check_dependencies, "src/cli/serve.rs", &["use crate::{storage::Db, http, run};"]);
    assert_passes(check_dependencies, "src/secrets.rs", &["use crate::clock::Clock;"]);
    assert_passes(
        check_dependencies,
        "src/fleet/actor.rs",
        &["use crate::domain::{storage::Word, http};", "pub(crate) fn a() {}"],
    );
}
