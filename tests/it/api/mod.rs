//! Tests of the REST API.

mod access;
mod background;
mod batches;
mod bulk;
mod contract;
mod events;
mod export;
mod files;
mod fuzzed_input;
mod generated_clients;
mod idempotency;
mod openapi;
mod overload;
mod printers;
pub mod problems;
mod schemathesis;
