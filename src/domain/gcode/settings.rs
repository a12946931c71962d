//! Keys of slicer comments and what they mean. Collects texts while the file passes, and interprets them at its end.

use std::collections::BTreeMap;

use super::MAX_TOOLS;

/// Length of a value that is kept, in bytes. Longer values do not count.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// A fact that a comment can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    BedShape,
    BedWidth,
    BedDepth,
    BedDimension,
    BambuTime,
    BambuFilamentIds,
    BambuFilamentMm,
    BambuFilamentG,
    CuraTime,
    CuraFilament,
    CuraMinX,
    FilamentColors,
    FilamentTypes,
    FilamentMm,
    FilamentG,
    FilamentTotalG,
    GeneratorName,
    GeneratorVersion,
    GriffinTime,
    IdeaMakerTime,
    LayerHeight,
    MachineName,
    NozzleDiameters,
    PrinterModel,
    PrintTime,
    PrintTimeNormal,
    S3dFilamentMm,
    S3dFilamentG,
    S3dMaterial,
    S3dTime,
}

/// The separator between a key and its value. Each slicer uses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// PrusaSlicer and its relatives.
    Equals,
    /// Cura, ideaMaker, and the header of BambuStudio.
    Colon,
    /// Simplify3D's settings.
    Comma,
}

/// Facts of one tool that have a line of their own.
#[derive(Debug, Clone, Default)]
pub struct ToolLines {
    pub material: Option<String>,
    pub filament_mm: Option<String>,
    pub nozzle_mm: Option<String>,
}

/// Texts by key.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<Key, Entry>,
    tools: BTreeMap<u32, ToolLines>,
    /// The file is inside a block of settings.
    in_block: bool,
}

#[derive(Debug)]
struct Entry {
    text: String,
    /// From a block of settings, which counts more than other comments.
    from_block: bool,
}

impl Settings {
    /// Enters or leaves a block of settings.
    pub fn set_in_block(&mut self, in_block: bool) {
        self.in_block = in_block;
    }

    /// Stores a value. The last one counts, but comments outside of a block never replace one from inside.
    pub fn set(&mut self, key: Key, text: &str) {
        let from_block = self.in_block;
        if text.len() > MAX_VALUE_BYTES || self.values.get(&key).is_some_and(|old| old.from_block && !from_block) {
            return;
        }
        self.values.insert(key, Entry { text: text.to_owned(), from_block });
    }

    /// Stores a value from a metadata block.
    pub fn set_from_metadata(&mut self, key: Key, text: &str) {
        let before = std::mem::replace(&mut self.in_block, true);
        self.set(key, text);
        self.in_block = before;
    }

    /// Returns the value of a key.
    pub fn get(&self, key: Key) -> Option<&str> {
        self.values.get(&key).map(|entry| entry.text.as_str())
    }

    /// Returns the lines of one tool to change them, or `None` if the number is too large.
    pub fn tool_mut(&mut self, tool: u32) -> Option<&mut ToolLines> {
        ((tool as usize) < MAX_TOOLS).then(|| self.tools.entry(tool).or_default())
    }

    /// Returns the lines of all tools, in ascending order.
    pub fn tools(&self) -> impl Iterator<Item = (u32, &ToolLines)> {
        self.tools.iter().map(|(tool, lines)| (*tool, lines))
    }
}

/// Returns what a key means.
pub fn key_of(separator: Separator, key: &str) -> Option<Key> {
    match separator {
        Separator::Equals => equals_key(key),
        Separator::Colon => colon_key(key),
        Separator::Comma => comma_key(key),
    }
}

fn equals_key(key: &str) -> Option<Key> {
    Some(match key {
        "bed_shape" | "printable_area" => Key::BedShape,
        "estimated printing time" => Key::PrintTime,
        "estimated printing time (normal mode)" => Key::PrintTimeNormal,
        "filament_colour" => Key::FilamentColors,
        "filament_type" => Key::FilamentTypes,
        "filament used [g]" => Key::FilamentG,
        "filament used [mm]" => Key::FilamentMm,
        "layer_height" => Key::LayerHeight,
        "nozzle_diameter" => Key::NozzleDiameters,
        "printer_model" => Key::PrinterModel,
        "total filament used [g]" => Key::FilamentTotalG,
        _ => return None,
    })
}

fn colon_key(key: &str) -> Option<Key> {
    Some(match key {
        "Build time" | "Build Time" => Key::S3dTime,
        "Dimension" => Key::BedDimension,
        "Filament length" | "Material Length" => Key::S3dFilamentMm,
        "Filament used" => Key::CuraFilament,
        "GENERATOR.NAME" => Key::GeneratorName,
        "GENERATOR.VERSION" => Key::GeneratorVersion,
        "Layer height" => Key::LayerHeight,
        "MINX" => Key::CuraMinX,
        "NOZZLE_DIAMETER" => Key::NozzleDiameters,
        "PRINT.TIME" => Key::GriffinTime,
        "Material Weight" | "Plastic weight" => Key::S3dFilamentG,
        "Print Time" => Key::IdeaMakerTime,
        "Printer Type" | "TARGET_MACHINE.NAME" => Key::MachineName,
        "TIME" => Key::CuraTime,
        "filament" => Key::BambuFilamentIds,
        "total estimated time" => Key::BambuTime,
        "total filament length [mm]" => Key::BambuFilamentMm,
        "total filament weight [g]" => Key::BambuFilamentG,
        _ => return None,
    })
}

fn comma_key(key: &str) -> Option<Key> {
    Some(match key {
        "extruderDiameter" | "nozzleDiameter" => Key::NozzleDiameters,
        "layerHeight" => Key::LayerHeight,
        "printMaterial" => Key::S3dMaterial,
        "strokeXoverride" => Key::BedWidth,
        "strokeYoverride" => Key::BedDepth,
        _ => return None,
    })
}
