//! `printyard::domain`, in part.

#[path = "../../../src/domain/bgcode/mod.rs"]
pub mod bgcode;
#[path = "../../../src/domain/gcode/mod.rs"]
pub mod gcode;
