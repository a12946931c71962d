//! Conformance suite for the simulator and for real OctoPrints: it checks on real OctoPrints what the fast tests assume
//! about the simulator.
//!
//! `table` runs the job client in every state with every command of the measured table. Both kinds of printers are
//! compared with the same expected rows, so a difference shows as a row of the table. The other modules run the same
//! scenarios through a whole Printyard, by the same code, on both kinds.

mod app_keys;
mod channels;
mod isolation;
mod job;
mod job_table;
mod lost_replies;
mod setup;
pub mod subject;
mod tagged_files;
