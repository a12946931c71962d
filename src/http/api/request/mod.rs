//! Parsing of requests: path, query, body and headers.

pub(super) mod effect;
pub(super) mod extract;
pub(super) mod json;
pub(super) mod merge_patch;
pub(super) mod prefer;
