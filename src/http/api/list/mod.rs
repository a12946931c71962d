//! Lists: pages, cursors, and exports as CSV or NDJSON.

pub(super) mod export;
pub(super) mod page;
