//! Dispatches comments: thumbnails, layers, labels, and keys with values.

use super::{
    facts::Slicer,
    objects::Objects,
    settings::{Key, Separator, Settings, key_of},
    slicer::identify_slicer,
    text::parse_name,
    thumbnail::Thumbnails,
};

/// What the comments of a file say.
#[derive(Debug, Default)]
pub struct Comments {
    pub settings: Settings,
    pub objects: Objects,
    pub thumbnails: Thumbnails,
    pub slicer: Option<Slicer>,
    /// The next `;HEIGHT:` is the height of the second layer (ideaMaker).
    height_follows: bool,
}

/// What a comment means for the moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentEffect {
    None,
    /// A layer starts.
    Layer,
}

/// Starts of frequent comments between the moves that hold no fact.
const FREQUENT: [&[u8]; 10] = [
    b";TYPE:",
    b";WIDTH:",
    b";WIPE_",
    b";Z:",
    b";MESH:",
    b";TIME_ELAPSED:",
    b"; FEATURE:",
    b"; LINE_WIDTH:",
    b"; feature ",
    b"; tool ",
];

impl Comments {
    /// Processes a comment line. `line` starts with `;` and has no line end.
    pub fn process_comment(&mut self, line: &[u8]) -> CommentEffect {
        if !self.thumbnails.is_open() {
            let frequent = match line.get(1) {
                Some(b'L') if line.starts_with(b";LAYER_CHANGE") => return CommentEffect::Layer,
                Some(b'H') => !self.height_follows && line.starts_with(b";HEIGHT:"),
                Some(b'T' | b'W' | b'Z' | b'M' | b' ') => FREQUENT.iter().any(|start| line.starts_with(start)),
                _ => false,
            };
            if frequent {
                return CommentEffect::None;
            }
        }
        self.process_rare_comment(&line[1..])
    }

    #[inline(never)]
    fn process_rare_comment(&mut self, comment: &[u8]) -> CommentEffect {
        let comment = comment.trim_ascii();
        if self.thumbnails.is_open() && self.thumbnails.continue_thumbnail(comment) {
            return CommentEffect::None;
        }
        let comment = String::from_utf8_lossy(comment);
        if self.thumbnails.begin_thumbnail(&comment) {
            return CommentEffect::None;
        }
        if is_layer(&comment) {
            self.height_follows = comment == "LAYER:1";
            return CommentEffect::Layer;
        }
        if let Some(label) = comment.strip_prefix("printing object ") {
            self.objects.add_label(label);
        } else if comment.starts_with("CONFIG_BLOCK_") || comment.starts_with("HEADER_BLOCK_") {
            self.settings.set_in_block(comment.ends_with("_START"));
        } else if let Some(slicer) = identify_slicer(&comment) {
            self.slicer.get_or_insert(slicer);
        } else {
            self.process_pair(&comment);
        }
        CommentEffect::None
    }

    fn process_pair(&mut self, comment: &str) {
        let Some(at) = comment.find(['=', ':', ',']) else { return };
        let (key, value) = (comment[..at].trim(), comment[at + 1..].trim());
        match comment.as_bytes()[at] {
            b'=' if key.ends_with("_config") && matches!(value, "begin" | "end") => {
                self.settings.set_in_block(value == "begin");
            }
            b'=' if key == "objects_info" => self.objects.set_info(value),
            b'=' => self.store(Separator::Equals, key, value),
            b':' => self.process_colon(key, value),
            _ => self.store(Separator::Comma, key, value),
        }
    }

    fn process_colon(&mut self, key: &str, value: &str) {
        match key {
            // BambuStudio writes two times in one line. The second includes heating and levelling.
            "model printing time" => {
                if let Some((_, time)) = value.split_once("total estimated time:") {
                    self.settings.set(Key::BambuTime, time.trim());
                }
            }
            "model label id" => self.objects.set_bambu_ids(value),
            "PRINTING_ID" if value != "-1" => self.objects.add_label(value),
            "HEIGHT" if self.height_follows => {
                self.height_follows = false;
                self.settings.set(Key::LayerHeight, value);
            }
            _ => match tool_line(key) {
                Some((tool, line)) => {
                    let Some(lines) = self.settings.tool_mut(tool) else { return };
                    let value = parse_name(value);
                    match line {
                        ToolLine::Material => lines.material = value,
                        ToolLine::FilamentMm => lines.filament_mm = value,
                        ToolLine::NozzleMm => lines.nozzle_mm = value,
                    }
                }
                None => self.store(Separator::Colon, key, value),
            },
        }
    }

    fn store(&mut self, separator: Separator, key: &str, value: &str) {
        if let Some(key) = key_of(separator, key) {
            self.settings.set(key, value);
        }
    }
}

/// A line about one tool.
enum ToolLine {
    Material,
    FilamentMm,
    NozzleMm,
}

/// Returns the tool of `Material#1 Used`, `Filament Type #1` (ideaMaker, from 1) and `EXTRUDER_TRAIN.0.…` (Griffin).
fn tool_line(key: &str) -> Option<(u32, ToolLine)> {
    let from_one = |number: &str| number.trim().parse::<u32>().ok()?.checked_sub(1);
    if let Some(number) = key.strip_prefix("Material#").and_then(|rest| rest.strip_suffix(" Used")) {
        return Some((from_one(number)?, ToolLine::FilamentMm));
    }
    if let Some(number) = key.strip_prefix("Filament Type #") {
        return Some((from_one(number)?, ToolLine::Material));
    }
    let number = key.strip_prefix("EXTRUDER_TRAIN.")?.strip_suffix(".NOZZLE.DIAMETER")?;
    Some((number.parse().ok()?, ToolLine::NozzleMm))
}

/// Returns whether a comment announces a layer: `LAYER_CHANGE` (PrusaSlicer, OrcaSlicer), `CHANGE_LAYER` (BambuStudio),
/// `LAYER:0` (Cura, ideaMaker), `layer 1, Z = 0.2` (Simplify3D).
fn is_layer(comment: &str) -> bool {
    if comment == "CHANGE_LAYER" || comment == "LAYER_CHANGE" {
        return true;
    }
    let number = comment.strip_prefix("LAYER:").or_else(|| comment.strip_prefix("layer "));
    number.is_some_and(|number| number.starts_with(|char: char| char.is_ascii_digit() || char == '-'))
}
