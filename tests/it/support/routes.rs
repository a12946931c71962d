//! The routes of the pages, for tests that cover all of them.

use std::collections::BTreeSet;

/// Returns method and path of each page. They come from the source of the router, because the pages have no OpenAPI
/// document.
pub fn list_page_routes() -> BTreeSet<(String, String)> {
    let text = include_str!("../../../src/http/dashboard/mod.rs");
    let mut routes = BTreeSet::new();
    for part in text.split(".route(").skip(1) {
        let part = part.trim_start().strip_prefix('"').expect("a quoted path");
        let (path, rest) = part.split_once('"').expect("a path");
        for (word, verb) in
            [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("delete(", "DELETE"), ("any(", "ANY")]
        {
            if rest.contains(word) {
                routes.insert((verb.to_owned(), path.to_owned()));
            }
        }
    }
    routes
}
