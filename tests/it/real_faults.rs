//! Real faults of a machine: a full disk, a missing file, a wrong clock, and a PostgreSQL that does not work.
//!
//! Each test uses the server as a process, its API, and simulated printers. Each asserts that the fault had an effect,
//! and that the server recovers by itself when the fault ends.

mod clock;
mod disk;
mod farm;
mod postgres;
