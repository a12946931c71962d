//! What things are: plain types and pure functions.
//!
//! Nothing here waits, speaks to a printer, a database or a browser, or looks at a clock: the time comes in as a
//! value. That is what lets the rules of the house be tested over every pair of state and command.

pub mod access;
pub mod audit;
pub mod batch;
pub mod channel;
pub mod clock_check;
pub mod command;
pub mod effect;
pub mod event;
pub mod event_body;
pub mod heating;
pub mod idempotency;
pub mod invalid;
pub mod noisy;
pub mod oidc;
pub mod plate;
pub mod print;
pub mod printer;
pub mod printer_access;
pub mod reading;
pub mod sending;
pub mod stall;
pub mod state;
pub mod tally;
pub mod text;
pub mod user;
pub mod webhook;
