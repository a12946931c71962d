//! An OctoPrint made of axum: a farm of simulated printers for the demo, the tests and the benchmarks.
//!
//! It imitates what was *measured* of OctoPrint 1.11.8 and 2.0, quirks included, and is held to it by a conformance
//! suite that runs against both. It names nothing of the client: it must not share the client's mistakes.
//!
//! * `farm.rs`: listeners and the server; `wire.rs`: faults below HTTP; `printer.rs`: one printer and its handle
//! * `machine/`: the states, as a pure state machine; `gcode.rs`: how long a line takes; `files.rs`
//! * `api/`: the routes; `push.rs` and `hub.rs`: the event socket; `bodies.rs`: the JSON
//!
//! **Cost.** An idle printer has one task, waiting on its listening socket, and no timer. States, positions and
//! temperatures are computed when they are asked for.

mod api;
mod app_keys;
mod bodies;
mod config;
mod farm;
mod files;
mod gcode;
mod hub;
mod machine;
mod picture;
mod printer;
mod push;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{Act, FarmConfig, Fault, Flavor, Received};
pub use farm::Farm;
pub use gcode::sample_gcode;
pub use printer::SimulatedPrinter;
