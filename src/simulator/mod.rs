//! OctoPrint simulator built with axum: a farm of simulated printers for the demo, the tests and the benchmarks.
//!
//! It imitates the *measured* behaviour of OctoPrint 1.11.8 and 2.0, including quirks. A conformance suite runs against
//! the simulator and against real OctoPrints. The simulator shares no code with the client, so it cannot share the
//! client's mistakes.
//!
//! * `farm.rs`: listening sockets and the server; `faulty_stream.rs`: faults below HTTP; `printer.rs`: one printer and
//!   its handle
//! * `machine/`: the states, as a pure state machine; `gcode.rs`: how long a line takes; `files.rs`
//! * `api/`: the routes; `event_socket.rs` and `event_hub.rs`: the event socket; `bodies.rs`: the JSON bodies
//!
//! **Cost.** An idle printer has one task, which waits on its listening socket, and no timer. States, positions and
//! temperatures are computed on request. `tests/cost.rs` repeats the measurement. An idle printer uses 7 KiB, or 17 KiB
//! with its event socket (both ends), and no processor time.
//!
//! **Not imitated:**
//!
//! * two simultaneous starts that are both accepted, which can happen in OctoPrint
//! * the delay of 1 s of some replies of the virtual printer (but see [`FarmConfig::pause_reply_delay`]), and the 0.1 s
//!   before a debug command acts
//! * time-outs of hung firmware, which take minutes with OctoPrint's defaults
//! * the formats that 2.x returns to a client that sends its version header
//! * restrictions by permissions below those of an administrator (except `STATUS`)
//! * G-code analysis, a real sha1 in `hash`, slicing, SD cards, `copy` and `move`
//!
//! A path that `api` does not list returns 404.

mod api;
mod app_keys;
mod bodies;
mod camera_picture;
mod config;
mod event_hub;
mod event_socket;
mod farm;
mod faulty_stream;
mod files;
mod gcode;
mod listener;
mod machine;
mod printer;
#[cfg(test)]
mod tests;

pub use config::{FarmConfig, Fault, Flavor, InitialJob, InitialPrint, MachineAction, ReceivedRequest, Scenario};
pub use farm::Farm;
pub use gcode::sample_gcode;
pub use printer::SimulatedPrinter;
