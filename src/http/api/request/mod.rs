//! Parsing of requests: path, query, body and headers.

pub(super) mod effect;
pub(in crate::http) mod extract;
pub(super) mod if_match;
pub(super) mod json;
pub(super) mod merge_patch;
pub(super) mod prefer;
