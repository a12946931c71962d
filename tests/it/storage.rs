//! The storage layer on SQLite and, where a server is configured, on PostgreSQL. Every function runs on both, so both
//! prepare every statement.

mod access;
mod audit;
mod command_log;
pub mod databases;
mod engine;
mod events;
mod files;
pub mod fixtures;
mod idempotency;
mod migrations;
mod observations;
pub mod orders;
mod print_days;
mod races;
mod registry;
mod retention;
mod sealed;
mod unrecorded;
mod webhooks;
