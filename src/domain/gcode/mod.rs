//! G-code parser: reads the bytes of a text G-code file in chunks, and returns facts about the print.
//!
//! [`GcodeParser`] has no I/O, no clock, and no errors: damaged or unknown content yields fewer facts. One pass reads
//! the whole file, so a fact counts in any place. Memory is bounded: it does not grow with the file, or with the length
//! of a line.
//!
//! - `facts`: the result. `filament`: what a print uses, by these facts.
//! - `scan`: splits chunks into lines and commands. The hot loop.
//! - `number`, `params`, `motion`, `arc`, `curve`: moves.
//! - `comment`, `settings`, `text`, `slicer`, `thumbnail`, `objects`, `interpret`: comments.

mod arc;
mod comment;
mod curve;
mod facts;
mod filament;
mod interpret;
mod motion;
mod number;
mod objects;
mod params;
mod scan;
mod settings;
mod slicer;
#[cfg(test)]
mod tests;
mod text;
mod thumbnail;

pub use facts::{Bounds, ExtrusionCurve, GcodeFacts, Slicer, Thumbnail, ThumbnailKind, ToolFacts};
pub use filament::Filament;
pub use scan::GcodeParser;
pub use thumbnail::{MAX_THUMBNAIL_BYTES, MAX_THUMBNAILS};

/// Tools that are followed. Higher numbers are ignored.
pub const MAX_TOOLS: usize = 64;
/// Length of a name in the facts, in characters. Longer names are cut.
pub const MAX_TEXT_CHARS: usize = 256;
/// Length of a line in bytes. Longer lines are cut.
pub const MAX_LINE_BYTES: usize = 65_536;
