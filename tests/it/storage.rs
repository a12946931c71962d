//! The storage layer on SQLite and, where a server is configured, on PostgreSQL. Every function runs on both, so both
//! prepare every statement.

mod audit;
pub mod databases;
mod ends;
mod engine;
mod events;
pub mod fixtures;
mod idempotency;
mod keys;
mod ledger;
mod migrations;
mod people;
mod print_days;
mod races;
mod register;
mod retention;
mod seen;
mod webhooks;
