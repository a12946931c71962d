//! Documented limits: the operations manual lists every table with its retention or limit.

/// Returns the tables that the migrations create.
fn tables(migrations: &str) -> Vec<&str> {
    let names = migrations.split("create table ").skip(1);
    names.filter_map(|rest| rest.split([' ', '(']).next()).collect()
}

/// Returns the tables that have no entry in the section about growth.
fn missing<'a>(migrations: &'a str, document: &str) -> Vec<&'a str> {
    let section = document.split("## 4. Everything that grows").nth(1).and_then(|rest| rest.split("\n## ").next());
    let section = section.unwrap_or_default();
    tables(migrations).into_iter().filter(|table| !section.contains(&format!("`{table}`"))).collect()
}

#[test]
fn every_table_has_its_retention_or_bound_in_the_operations_manual() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/operations.md")).expect("the manual");
    let migrations: String = std::fs::read_dir(root.join("migrations"))
        .expect("the migrations")
        .map(|entry| std::fs::read_to_string(entry.expect("a file").path()).expect("readable"))
        .collect();
    assert!(tables(&migrations).len() > 20, "too few tables were found");
    assert_eq!(missing(&migrations, &document), Vec::<&str>::new());
}

#[test]
fn a_table_without_an_entry_is_found() {
    let document = "## 4. Everything that grows\n| `a` | kept |\n## 5. Other\n`b`";
    assert_eq!(missing("create table a (\n id uuid);\ncreate table b (id uuid);", document), ["b"]);
}
