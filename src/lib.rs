//! Printyard, the server that runs print farms.

pub mod clock;
pub mod domain;
pub mod fleet;
pub mod octoprint;
pub mod outbound;
pub mod secrets;
pub mod service;
pub mod simulator;
pub mod storage;
