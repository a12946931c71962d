//! Faults of a machine, caused for real: a full disk, a missing file, a wrong clock, a PostgreSQL that does not work.
//!
//! Each test looks from outside: at the server as a process, its API, and simulated printers of the test. Each asserts
//! that the fault hit, and that the server works again by itself when the fault is over.

mod clock;
mod disk;
mod postgres;
mod yard;
