//! Module dependencies: each module uses only the modules that the table in ARCHITECTURE.md allows.

use super::{fails, hold, passes, source::Source};

/// Which layers each layer may use. Every layer may use itself and the modules in `SHARED`.
const MAY_NAME: [(&str, &[&str]); 13] = [
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
const SHARED: [&str; 4] = ["clock", "config", "telemetry", "lifecycle"];
/// These compose the program and may use everything.
const ABOVE: [&str; 4] = ["main", "lib", "cli", "standby"];

fn may_name(from: &str, to: &str) -> bool {
    if from == to || ABOVE.contains(&from) {
        return true;
    }
    let listed = MAY_NAME.iter().find(|(layer, _)| *layer == from);
    listed.is_some_and(|(_, lower)| lower.contains(&to) || SHARED.contains(&to))
}

/// Returns the dependencies of a file that the table does not allow.
fn arrows(file: &Source) -> Vec<String> {
    let Some(from) = file.layer() else { return vec![] };
    let module = file.module();
    let mut found = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        if token.in_tests() || file.path.ends_with("/tests.rs") {
            continue;
        }
        let behind = |offset: usize| file.tokens.get(at + offset).map_or("", |token| token.text.as_str());
        // Index of the first name below the crate's root, if the path reaches the root.
        let below_root = match token.text.as_str() {
            "crate" if behind(1) == "::" => at + 2,
            // The first link of a chain of `super`.
            "super" if at < 2 || file.tokens[at - 2].text != "super" || file.tokens[at - 1].text != "::" => {
                let links = (0..).take_while(|link| behind(2 * link) == "super").count();
                if links < module.len() + token.modules.len() {
                    continue;
                }
                at + 2 * links
            }
            _ => continue,
        };
        for (line, to) in first_names(file, below_root) {
            if !may_name(from, &to) {
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
fn every_arrow_points_downwards() {
    hold(&["src"], arrows);
}

#[test]
fn every_file_of_src_is_in_a_layer_of_the_table() {
    hold(&["src"], |file| {
        let layer = file.layer().unwrap_or_default();
        let known = layer == "domain" || ABOVE.contains(&layer) || MAY_NAME.iter().any(|(name, _)| *name == layer);
        if known { vec![] } else { vec![format!("{}:1: `{layer}` is in no row of the table", file.path)] }
    });
}

#[test]
fn an_arrow_upwards_is_found() {
    fails(arrows, "src/fleet/actor.rs", &["use crate::storage::batches;", "fn a() { crate::service::go() }"]);
    fails(arrows, "src/http/mod.rs", &["use crate::{domain::State, storage::Db};", "use crate::run;"]);
    fails(arrows, "src/http/api/batches.rs", &["use crate::{domain::{a, b},\n fleet};", "use crate::octoprint::job;"]);
    fails(arrows, "src/domain/effect.rs", &["use crate::clock::Clock;", "use super::super::storage;"]);
    fails(arrows, "src/simulator.rs", &["use super::octoprint;", "use super::{domain, octoprint};"]);
    fails(
        arrows,
        "src/octoprint/mod.rs",
        &["mod inner {\n use super::super::super::fleet;\n}", "pub(in crate::fleet) x"],
    );
    fails(arrows, "src/secrets.rs", &["use crate::domain::Id;"]);
    fails(arrows, "src/new_layer.rs", &["use crate::domain::Id;"]);
}

#[test]
fn an_arrow_downwards_is_let_be() {
    passes(
        arrows,
        "src/service/batches.rs",
        &["use crate::{storage::Db, fleet, octoprint, domain::{State, Id}, clock};"],
    );
    passes(arrows, "src/fleet/mod.rs", &["/// See [`crate::storage`].\nuse crate::fleet::actor; // crate::storage"]);
    passes(arrows, "src/fleet/actor.rs", &["use super::view;", "mod inner { use super::super::view; }"]);
    passes(arrows, "src/fleet/actor.rs", &["mod tests {\n use crate::storage::Db;\n}", "let a = \"crate::storage\";"]);
    passes(arrows, "src/cli/serve.rs", &["use crate::{storage::Db, http, run};"]);
    passes(arrows, "src/secrets.rs", &["use crate::clock::Clock;"]);
    passes(arrows, "src/fleet/actor.rs", &["use crate::domain::{storage::Word, http};", "pub(crate) fn a() {}"]);
}
