//! Documented limits: the operations manual lists every table with its retention or limit.

/// Returns the tables that the migrations create, by their current names.
fn list_tables(migrations: &str) -> Vec<&str> {
    let renamed: Vec<(&str, &str)> = migrations.split("alter table ").skip(1).filter_map(read_rename).collect();
    let names = migrations.split("create table ").skip(1);
    names.filter_map(|rest| rest.split([' ', '(']).next()).map(|name| current_name(name, &renamed)).collect()
}

fn current_name<'a>(name: &'a str, renamed: &[(&'a str, &'a str)]) -> &'a str {
    renamed.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| *new)
}

/// Returns the old and the new name if a statement after `alter table` renames the table.
fn read_rename(rest: &str) -> Option<(&str, &str)> {
    let (old, rest) = rest.split_once(' ')?;
    let (new, _) = rest.strip_prefix("rename to ")?.split_once(';')?;
    Some((old, new))
}

/// Returns the tables that have no entry in the section about growth.
fn find_undocumented<'a>(migrations: &'a str, document: &str) -> Vec<&'a str> {
    let section = document.split("## 4. Everything that grows").nth(1).and_then(|rest| rest.split("\n## ").next());
    let section = section.unwrap_or_default();
    list_tables(migrations).into_iter().filter(|table| !section.contains(&format!("`{table}`"))).collect()
}

#[test]
fn every_table_has_its_retention_or_bound_in_the_operations_manual() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/operations.md")).expect("the manual");
    let migrations: String = std::fs::read_dir(root.join("migrations"))
        .expect("the migrations")
        .map(|entry| std::fs::read_to_string(entry.expect("a file").path()).expect("readable"))
        .collect();
    assert!(list_tables(&migrations).len() > 20, "too few tables were found");
    assert_eq!(find_undocumented(&migrations, &document), Vec::<&str>::new());
}

#[test]
fn a_table_without_an_entry_is_found() {
    let document = "## 4. Everything that grows\n| `a` | kept |\n## 5. Other\n`b`";
    assert_eq!(find_undocumented("create table a (\n id uuid);\ncreate table b (id uuid);", document), ["b"]);
    assert_eq!(find_undocumented("alter table a rename to c;\ncreate table a (id uuid);", document), ["c"]);
    assert_eq!(find_undocumented("create table c (id uuid);\nalter table c rename to a;", document), [""; 0]);
}
