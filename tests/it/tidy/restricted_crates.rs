//! Restricted crates: SQL only in storage, axum only in http and the simulator, and sockets only in octoprint and
//! outbound.

use super::{assert_fails, assert_holds, assert_passes, source::Source};

/// Crates, and the folders that may use them.
const RESTRICTED_CRATES: [(&[&str], &[&str]); 3] = [
    (&["axum"], &["http", "simulator"]),
    (&["sqlx"], &["storage"]),
    (&["reqwest", "tungstenite", "tokio_tungstenite"], &["octoprint", "outbound"]),
];
/// Crates and clocks that the domain must not use, because they read the time or do I/O.
const IMPURE_CRATES: [&str; 5] = ["tokio", "sqlx", "reqwest", "axum", "tungstenite"];
const CLOCKS: [&str; 3] = ["Utc", "Instant", "SystemTime"];

/// Returns the uses of crates outside their folders. The rule applies to unit tests too.
fn check_crates(file: &Source) -> Vec<String> {
    let Some(layer) = file.layer() else { return vec![] };
    // The simulator's own tests need an event socket client, and must not use Printyard's client for it.
    let is_client = file.path.starts_with("src/simulator/tests/");
    let mut found = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        // Matches the crate, not a module or a field with the same name.
        let before = at.checked_sub(1).map_or("", |before| file.tokens[before].text.as_str());
        let deeper = at.checked_sub(2).map(|before| &file.tokens[before]);
        let deeper =
            deeper.is_some_and(|token| token.is_word() && !["use", "as", "dyn"].contains(&token.text.as_str()));
        if before == "." || before == "::" && deeper {
            continue;
        }
        for (crates, layers) in RESTRICTED_CRATES {
            if crates.contains(&token.text.as_str()) && !layers.contains(&layer) && !is_client {
                let allowed = layers.join(" and ");
                found.push(format!("{}:{}: `{}` lives in {allowed} only", file.path, token.line, token.text));
            }
        }
    }
    found
}

#[test]
fn each_restricted_crate_stays_in_its_layer() {
    assert_holds(&["src"], check_crates);
}

#[test]
fn a_crate_outside_its_layer_is_found() {
    assert_fails(
        check_crates,
        "src/service/a.rs",
        &["use axum::Router;", "fn a() -> sqlx::Error {}", "use ::reqwest::Client;"],
    );
    assert_fails(
        check_crates,
        "src/simulator/mod.rs",
        &["use reqwest::Client;", "use tokio_tungstenite::connect_async;"],
    );
    assert_fails(check_crates, "src/cli/serve.rs", &["mod tests { use sqlx::Row; }"]);
    assert_passes(check_crates, "src/http/mod.rs", &["use axum::Router; use utoipa_axum::router::OpenApiRouter;"]);
    assert_passes(check_crates, "src/outbound/mod.rs", &["use reqwest::Client; // not axum"]);
    assert_passes(check_crates, "src/storage/mod.rs", &["use sqlx::Row;"]);
    assert_passes(check_crates, "src/service/a.rs", &["self.reqwest; outbound::reqwest::x()"]);
}

/// A domain that reads the time or does I/O cannot be tested over every case.
fn check_purity(file: &Source) -> Vec<String> {
    if file.layer() != Some("domain") {
        return vec![];
    }
    let text = |at: usize| file.tokens.get(at).map_or("", |token| token.text.as_str());
    let impure = |at: usize| {
        let reads_clock = CLOCKS.contains(&text(at)) && text(at + 1) == "::" && text(at + 2) == "now";
        let waits = text(at) == "async" || text(at) == "await";
        IMPURE_CRATES.contains(&text(at)) || reads_clock || waits
    };
    (0..file.tokens.len())
        // Unit tests may read `Instant::now()`, because an `Instant` has no other constructor.
        .filter(|at| impure(*at) && !file.is_test(file.tokens[*at].line))
        .map(|at| format!("{}:{}: `{}` in the domain", file.path, file.tokens[at].line, text(at)))
        .collect()
}

#[test]
fn the_domain_reads_no_clock_and_does_no_io() {
    assert_holds(&["src"], check_purity);
}

#[test]
fn an_impure_domain_is_found() {
    assert_fails(
        check_purity,
        "src/domain/a.rs",
        &["use tokio::sync::mpsc;", "let now = Utc::now();", "std::time::Instant::now()"],
    );
    assert_fails(check_purity, "src/domain/a.rs", &["async fn a() {}", "sqlx::query(x)"]);
    assert_passes(
        check_purity,
        "src/domain/a.rs",
        &["fn a(now: DateTime<Utc>) {} // Utc::now", "use std::time::Instant;"],
    );
    assert_passes(check_purity, "src/domain/a.rs", &["mod tests {\n let start = Instant::now();\n}"]);
    assert_passes(check_purity, "src/fleet/a.rs", &["tokio::spawn(a)"]);
}

/// Finds SQL strings outside storage.
fn check_sql(file: &Source) -> Vec<String> {
    if file.layer().is_none_or(|layer| layer == "storage") {
        return vec![];
    }
    let statements = file.strings.iter().filter(|(_, text)| is_sql(text));
    statements.map(|(line, _)| format!("{}:{line}: SQL lives in storage only", file.path)).collect()
}

/// Whether a text is a statement, and not an English sentence that begins with the same word.
fn is_sql(text: &str) -> bool {
    let text = text.to_ascii_lowercase().replace(['\\', '\n'], " ").replace("( ", "(");
    let words: Vec<&str> = text.split_whitespace().collect();
    let [first, second, ..] = words[..] else { return false };
    let third = words.get(2).copied().unwrap_or_default();
    let is_name = |word: &str| word.chars().all(|one| one.is_ascii_alphanumeric() || "_.\"{}$".contains(one));
    match first {
        "select" => is_select(&words[1..]),
        "insert" => second == "into" && is_name(third) || second == "or" && words.get(3) == Some(&"into"),
        "update" => is_name(second) && words.iter().skip(2).take(3).any(|word| *word == "set"),
        "delete" => {
            let continued = words.get(3).is_none_or(|word| ["where", "using", "returning", "as"].contains(word));
            second == "from" && is_name(third.trim_end_matches(';')) && continued
        }
        "with" => second == "recursive" || words.iter().skip(2).take(3).any(|word| *word == "as" || *word == "as("),
        "create" | "drop" | "alter" => ["table", "index", "view", "trigger", "unique", "temp"].contains(&second),
        "pragma" => true,
        _ => false,
    }
}

/// Whether `select` begins SQL: columns must follow. Columns are a number, a call, a star, or names with commas up to
/// `from`.
fn is_select(words: &[&str]) -> bool {
    let columns: Vec<&str> = words.iter().copied().take_while(|word| *word != "from").collect();
    let first = columns.first().copied().unwrap_or_default();
    if first == "*" || first.contains('(') || first.parse::<f64>().is_ok() || first == "distinct" {
        return true;
    }
    let listed = columns.join(" ").replace(" as ", "_as_");
    columns.len() < words.len() && listed.split(',').all(|column| column.split_whitespace().count() <= 1)
}

#[test]
fn sql_is_only_in_storage() {
    assert_holds(&["src"], check_sql);
}

#[test]
fn sql_elsewhere_is_found() {
    for statement in [
        "select * from printers",
        "SELECT id, name as n FROM printers WHERE id = $1",
        "\\\n    select count(*) from printers",
        "select 1",
        "Insert into printers (id) values ($1)",
        "insert or ignore into printers values (1)",
        "update printers set name = $1",
        "delete from printers where id = $1",
        "delete from printers",
        "with due as (select 1) select id from due",
        "create table printers (id uuid)",
        "create index a on b (c)",
        "pragma journal_mode = wal",
    ] {
        assert_fails(
            check_sql,
            "src/service/a.rs",
            &[&format!("let a = \"{statement}\";"), &format!("let a = r#\"{statement}\"#;")],
        );
        assert_passes(check_sql, "src/storage/a.rs", &[&format!("let a = \"{statement}\";")]);
    }
}

#[test]
fn english_is_no_sql() {
    for sentence in [
        "Select a file first.",
        "select the printers from the list",
        "Update the printer's key",
        "update available: set it up",
        "Delete from the printer too",
        "With the key of a user",
        "Create printers and tags",
        "create user",
        "insert the filament",
        "selected",
        "select",
    ] {
        assert_passes(check_sql, "src/http/a.rs", &[&format!("let a = \"{sentence}\";")]);
    }
}
