//! Facts about a G-code file: the result of the parser, stored as JSON.

use serde::{Deserialize, Serialize};

/// What a G-code file says about itself, and what its moves do. `None` and empty lists mean: the file does not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GcodeFacts {
    pub slicer: Option<Slicer>,
    /// The slicer's name of the printer model, such as `MK4`.
    pub printer_model: Option<String>,
    /// Nozzle diameters in mm, one per tool.
    pub nozzle_mm: Vec<f64>,
    pub layer_height_mm: Option<f64>,
    /// The slicer's estimate, in seconds.
    pub estimated_print_time_s: Option<u64>,
    /// Printed objects on the plate. Copies count.
    pub objects: Option<u32>,
    /// Every tool that the slicer's lists name, used or not, in ascending order.
    pub tools: Vec<ToolFacts>,
    /// Bounds of the extruding moves in mm, as in OctoPrint's `printingArea`: the lower Z is never above 0.
    pub bounds_mm: Option<Bounds>,
    /// Bounds of the extruding moves after the first comment that announces a layer. Excludes purge lines of the start
    /// G-code. `None` if the file has no such comment.
    pub bounds_after_first_layer_mm: Option<Bounds>,
    /// Width and depth of the bed in mm.
    pub bed_mm: Option<[f64; 2]>,
    /// Filament per tool in mm, from the moves: the highest cumulative extrusion, as in OctoPrint's analysis.
    pub extruded_mm: Vec<f64>,
    /// Filament by position. It is stored separately.
    #[serde(skip)]
    pub extrusion: ExtrusionCurve,
    /// Embedded previews. They are not part of the JSON.
    #[serde(skip)]
    pub thumbnails: Vec<Thumbnail>,
}

/// The program that made a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slicer {
    pub name: String,
    pub version: Option<String>,
}

/// What the slicer says about one tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FileTool)]
pub struct ToolFacts {
    pub tool: u32,
    /// The filament's type, such as `PETG`.
    pub material: Option<String>,
    /// The filament's colour as `#RRGGBB`.
    pub color: Option<String>,
    pub filament_mm: Option<f64>,
    pub filament_g: Option<f64>,
}

/// A box in mm: X, Y, Z.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    pub min: [f64; 3],
    pub max: [f64; 3],
}

/// Cumulative extruded filament by position in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtrusionCurve {
    /// Bytes of text per entry.
    pub stride_bytes: u64,
    /// Entry `i`: filament of all tools in mm up to byte `(i + 1) * stride_bytes`, or up to the end of the file.
    pub mm: Vec<f32>,
}

impl ExtrusionCurve {
    /// Returns the stored form: the stride, then the entries, little endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entries = self.mm.iter().flat_map(|mm| mm.to_le_bytes());
        self.stride_bytes.to_le_bytes().into_iter().chain(entries).collect()
    }

    /// Reads the stored form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (stride, entries) = bytes.split_first_chunk()?;
        let (entries, rest) = entries.as_chunks();
        let mm = entries.iter().map(|entry| f32::from_le_bytes(*entry)).collect();
        rest.is_empty().then(|| Self { stride_bytes: u64::from_le_bytes(*stride), mm })
    }

    /// Returns the filament in mm up to a position in the file, in bytes. Interpolates inside a stride.
    pub fn mm_at(&self, position: u64) -> f64 {
        let stride = self.stride_bytes.max(1);
        let index = usize::try_from(position / stride).unwrap_or(usize::MAX);
        let entry = |i: usize| self.mm.get(i).copied().map(f64::from);
        let before = index.checked_sub(1).and_then(entry).unwrap_or(0.0);
        match entry(index) {
            Some(after) => before + (after - before) * ((position % stride) as f64 / stride as f64),
            None => self.mm.last().copied().map_or(0.0, f64::from),
        }
    }
}

impl Default for ExtrusionCurve {
    fn default() -> Self {
        Self { stride_bytes: super::curve::FIRST_STRIDE_BYTES, mm: Vec::new() }
    }
}

/// An embedded preview image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Width in pixels, as the file declares it.
    pub width: u32,
    /// Height in pixels, as the file declares it.
    pub height: u32,
    pub kind: ThumbnailKind,
    /// The encoded image.
    pub data: Vec<u8>,
}

/// Format of a thumbnail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThumbnailKind {
    Png,
    Jpg,
    Qoi,
}
