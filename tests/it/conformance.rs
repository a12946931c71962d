//! One suite, two kinds of printers: what the fast tests assume of the simulator is measured on real OctoPrints.
//!
//! `table` holds the client against every state and command of the measured table; what is observed of a real OctoPrint
//! and of the simulator is compared with the same expectation, so a difference reads as a line of a table. The rest
//! goes through a whole Printyard: the same scenarios, by the same code, on both kinds.

mod channels;
mod farm;
mod job;
mod keys;
mod lost;
pub mod subject;
mod table;
mod yard;
