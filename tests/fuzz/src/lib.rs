//! The modules of Printyard that the targets fuzz, without the rest of the server.

pub mod domain;
