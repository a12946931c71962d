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
//! temperatures are computed when they are asked for. `tests/cost.rs` repeats the numbers: 7 KiB for an idle printer,
//! 17 KiB with its event socket (both ends), no processor time while idle.
//!
//! **Not imitated:** that two simultaneous starts may both be accepted; the 1 s of delay that some answers of the
//! virtual printer have (but see [`FarmConfig::pause_answer`]) and the 0.1 s before a debug command acts; time-outs of
//! a hung firmware, which OctoPrint's defaults reach after minutes; the shapes that 2.x gives to a client that sends
//! its version header; what permissions below those of an administrator forbid
//! (`STATUS` aside); G-code analysis; `hash` is no sha1; slicing, SD
//! cards, `copy` and `move`. What `api` does not list is 404.

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
