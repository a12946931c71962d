//! Module dependencies: each module uses only the modules that the table in ARCHITECTURE.md allows, and re-exports
//! nothing of another layer.

use super::{
    assert_fails, assert_holds, assert_passes,
    source::{Source, Token},
};

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

/// A path of a `use` declaration or of a type alias, and the name that it introduces.
struct Import {
    line: usize,
    /// The path without `::`, as it is written.
    path: Vec<String>,
    name: String,
    /// The enclosing inline modules.
    modules: Vec<String>,
    /// Other modules can use the name, too.
    is_export: bool,
}

/// Returns every path of the `use` declarations of a file, and every type alias that is only another name of a path.
fn imports(file: &Source) -> Vec<Import> {
    let text = |at: usize| file.tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        let first = found.len();
        match token.text.as_str() {
            // `use<'a>` captures a lifetime.
            "use" if text(at + 1) != "<" => {
                collect_use_tree(&file.tokens, at + 1, &[], &mut found);
            }
            "type" => {
                let end = (at..file.tokens.len()).find(|at| ["=", ";"].contains(&text(*at)));
                let Some(start) = end.filter(|end| text(*end) == "=").map(|end| end + 1) else { continue };
                let is_path = |token: &&Token| token.is_word() || token.text == "::";
                let length = file.tokens[start..].iter().take_while(is_path).count();
                if ![";", "<"].contains(&text(start + length)) {
                    continue;
                }
                let path = file.tokens[start..start + length].iter().filter(|token| token.is_word());
                found.push(Import {
                    line: token.line,
                    path: path.map(|token| token.text.clone()).collect(),
                    name: text(at + 1).to_owned(),
                    modules: token.modules.clone(),
                    is_export: false,
                });
            }
            _ => continue,
        }
        let is_export = is_exported(&file.tokens[..at]);
        for import in &mut found[first..] {
            import.is_export = is_export;
        }
    }
    found
}

/// Collects the paths of a use tree that begins at `at`. Returns the index of the token that follows the tree.
fn collect_use_tree(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Import>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = collect_use_tree(tokens, at, &path, found);
                    if tokens.get(at).is_none_or(|token| token.text != ",") {
                        break;
                    }
                    at += 1;
                }
                return at + 1;
            }
            "as" | "," | "}" | ";" => break,
            _ => {
                path.push(token.text.clone());
                at += 1;
            }
        }
    }
    let Some(last) = tokens.get(at.saturating_sub(1)) else { return at };
    let (line, modules) = (last.line, last.modules.clone());
    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if tokens.get(at).is_some_and(|token| token.text == "as") {
        name = tokens.get(at + 1).map_or(name, |token| token.text.clone());
        at += 2;
    }
    found.push(Import { line, path, name, modules, is_export: false });
    at
}

/// Whether the item after these tokens has a visibility that is wider than its module.
fn is_exported(before: &[Token]) -> bool {
    let text = |back: usize| before.len().checked_sub(back).map_or("", |at| before[at].text.as_str());
    if text(1) != ")" {
        return text(1) == "pub";
    }
    let open = (2..=before.len()).find(|back| text(*back) == "(").unwrap_or_default();
    open > 0 && text(open + 1) == "pub" && text(open - 1) != "self"
}

/// Returns the path below the crate's root. Returns `None` for a path into a child module or another crate.
fn absolute_path(file: &Source, imports: &[Import], import: &Import) -> Option<Vec<String>> {
    let (mut path, mut modules) = (import.path.clone(), &import.modules);
    // Each step replaces a name that another declaration introduces, as in `use crate::storage; pub use storage::Db;`.
    for _ in 0..=imports.len() {
        let first = path.first()?.clone();
        let links = path.iter().take_while(|name| *name == "super").count();
        if first == "crate" {
            return Some(path.split_off(1));
        }
        if first == "self" || links > 0 {
            let mut absolute = file.module_path();
            absolute.extend(modules.iter().cloned());
            absolute.truncate(absolute.len().saturating_sub(links));
            absolute.extend(path.split_off(links.max(1)));
            return Some(absolute);
        }
        let introduced = imports.iter().find(|other| other.name == first && other.path.first() != Some(&first))?;
        path.splice(..1, introduced.path.iter().cloned());
        modules = &introduced.modules;
    }
    None
}

/// Returns the re-exports of another layer's items. With them, a layer could use items of a layer that the table does
/// not allow it to name.
fn check_reexports(file: &Source) -> Vec<String> {
    let Some(from) = file.layer().filter(|layer| !TOP_MODULES.contains(layer)) else { return vec![] };
    let imports = imports(file);
    let exports = imports.iter().filter(|import| import.is_export);
    let exports = exports.filter(|import| import.modules.iter().all(|module| module != "tests"));
    exports
        .filter_map(|import| {
            let path = absolute_path(file, &imports, import)?;
            let to = path.first().filter(|layer| *layer != from)?;
            Some(format!("{}:{}: `{from}` may not re-export `{}` of `{to}`", file.path, import.line, import.name))
        })
        .collect()
}

#[test]
fn no_layer_reexports_an_item_of_another() {
    assert_holds(&["src"], check_reexports);
}

#[test]
fn a_reexport_of_another_layer_is_found() {
    assert_fails(
        check_reexports,
        "src/service/batches.rs",
        &[
            "pub use crate::storage::batches::BatchFilter;",
            "pub(crate) use crate::{clock, storage};",
            "pub(super) use crate::{domain::{a, b::{self, C as D}}};",
            "pub(in crate::service) use super::super::octoprint::*;",
            "use crate::storage;\npub use storage::Db;",
            "use crate::{octoprint::{self, files as printer_files}};\npub use printer_files::Entry;",
            "use super::super::octoprint as client;\npub use {std::fmt, client::Error as PrinterError};",
            "mod inner {\n pub use super::super::super::fleet::View;\n}",
            "pub type Filter = crate::storage::BatchFilter;",
            "use crate::storage;\npub type Rows<T> = storage::Rows<T>;",
        ],
    );
    assert_fails(check_reexports, "src/octoprint/mod.rs", &["pub use super::outbound::Body;"]);
}

#[test]
fn a_private_import_and_a_reexport_within_a_layer_pass() {
    assert_passes(
        check_reexports,
        "src/service/webhooks/mod.rs",
        &[
            "use crate::storage::Db;\npub(self) use crate::domain::Id;",
            "pub use failure::DeliveryFailure;\nmod failure;\nuse crate::{outbound, storage};",
            "pub use self::failure::{A, B as C};\npub use super::error::Error;",
            "pub(crate) use crate::service::Services;",
            "pub use reqwest::{Body, Response};\npub use ::uuid::Uuid;",
            "use super::batches;\npub use batches::BatchView;",
            "use crate::storage;\npub type RunResult = Result<u64, storage::Error>;",
            "pub type TextOf = fn(&crate::domain::Message) -> String;",
            "type Row = crate::storage::Row;\ntrait A {\n type Item;\n}",
            "pub fn a() -> impl Sized + use<'static> { crate::storage::b() }",
            "mod tests {\n pub use crate::storage::Db;\n}",
        ],
    );
    // A child module with the name of a layer.
    assert_passes(check_reexports, "src/storage/printers/mod.rs", &["mod secrets;\npub use secrets::SealedAccess;"]);
    assert_passes(check_reexports, "src/lib.rs", &["pub use crate::config::Config;"]);
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
