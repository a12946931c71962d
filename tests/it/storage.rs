//! The store, on SQLite and, where one is given, on PostgreSQL: every function is called on both, so every statement
//! is prepared by both.

mod audit;
pub mod databases;
mod ends;
mod engine;
mod events;
pub mod fixtures;
mod idempotency;
mod keys;
mod ledger;
mod people;
mod print_days;
mod races;
mod register;
mod retention;
mod seen;
mod webhooks;
