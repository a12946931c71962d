//! Extrusion curve: cumulative filament by position in the file, with a bounded number of entries.

use super::facts::ExtrusionCurve;

/// Bytes per entry of a file that fits. Larger files double it.
pub const FIRST_STRIDE_BYTES: u64 = 65_536;
/// Entries of a curve. Even, so that entries can be merged in pairs.
const MAX_ENTRIES: usize = 16_384;

/// Builds an [`ExtrusionCurve`] while the file passes.
#[derive(Debug, Default)]
pub struct CurveBuilder {
    curve: ExtrusionCurve,
    position: u64,
}

impl CurveBuilder {
    /// Returns how many bytes are left until the next entry.
    pub fn bytes_to_next(&self) -> u64 {
        self.curve.stride_bytes - self.position % self.curve.stride_bytes
    }

    /// Moves on by `bytes`, at most [`Self::bytes_to_next`]. Returns whether an entry is due.
    pub fn advance(&mut self, bytes: u64) -> bool {
        self.position = self.position.saturating_add(bytes);
        self.position.is_multiple_of(self.curve.stride_bytes)
    }

    /// Adds an entry: filament in mm up to the current position.
    pub fn add_entry(&mut self, mm: f64) {
        self.curve.mm.push(mm as f32);
        if self.curve.mm.len() == MAX_ENTRIES {
            let merged = self.curve.mm.chunks_exact(2).map(|pair| pair[1]).collect();
            self.curve.mm = merged;
            self.curve.stride_bytes = self.curve.stride_bytes.saturating_mul(2);
        }
    }

    /// Adds the entry of the last, incomplete stride.
    pub fn finish(mut self, mm: f64) -> ExtrusionCurve {
        let complete = (self.curve.mm.len() as u64).saturating_mul(self.curve.stride_bytes);
        if self.position > complete {
            self.curve.mm.push(mm as f32);
        } else if let Some(last) = self.curve.mm.last_mut() {
            *last = mm as f32;
        }
        self.curve
    }
}
