//! Interprets the collected texts: which slicer's keys count, units, placeholders, and lists by tool.

use super::{
    MAX_TOOLS,
    facts::{GcodeFacts, Slicer, ToolFacts},
    settings::{Key, Settings},
    text,
};

/// Print time in seconds that CuraEngine writes if it does not know the time.
const CURA_UNKNOWN_TIME_S: u64 = 6_666;
/// CuraEngine's largest coordinate in mm: the minimum of an empty print.
const CURA_UNKNOWN_COORDINATE_MM: f64 = 2e6;

/// Writes the facts of the settings. `extruded_mm` in `facts` must be complete.
pub fn fill_facts(settings: &Settings, slicer: Option<Slicer>, facts: &mut GcodeFacts) {
    let get = |key| settings.get(key);
    facts.slicer = slicer.or_else(|| {
        let name = text::parse_name(get(Key::GeneratorName)?)?;
        let name = if name == "Cura_SteamEngine" { "Cura".to_owned() } else { name };
        Some(Slicer { name, version: get(Key::GeneratorVersion).and_then(text::parse_name) })
    });
    facts.printer_model = get(Key::PrinterModel).or_else(|| get(Key::MachineName)).and_then(text::parse_name);
    facts.layer_height_mm = get(Key::LayerHeight).and_then(text::parse_positive);
    facts.estimated_print_time_s = find_print_time(settings);
    facts.nozzle_mm = find_nozzles(settings);
    facts.bed_mm = find_bed(settings);
    facts.tools = build_tools(settings, &facts.extruded_mm);
}

fn find_print_time(settings: &Settings) -> Option<u64> {
    let duration = |key| settings.get(key).and_then(text::parse_duration);
    let seconds = |key| settings.get(key).and_then(text::parse_decimal).and_then(text::round_seconds);
    duration(Key::PrintTimeNormal)
        .or_else(|| duration(Key::BambuTime))
        .or_else(|| duration(Key::PrintTime))
        .or_else(|| seconds(Key::CuraTime).filter(|time| *time != CURA_UNKNOWN_TIME_S || cura_is_complete(settings)))
        .or_else(|| seconds(Key::GriffinTime).filter(|time| *time != CURA_UNKNOWN_TIME_S))
        .or_else(|| seconds(Key::IdeaMakerTime))
        .or_else(|| duration(Key::S3dTime))
}

/// Returns whether the head was completed after slicing. CuraEngine alone leaves placeholders, all at once.
fn cura_is_complete(settings: &Settings) -> bool {
    let min_x = settings.get(Key::CuraMinX).and_then(|value| value.parse::<f64>().ok());
    parse_cura_filament(settings).is_some() && min_x.is_none_or(|min_x| min_x < CURA_UNKNOWN_COORDINATE_MM)
}

/// Returns filament per tool in mm. `None` for the placeholder `0m`.
fn parse_cura_filament(settings: &Settings) -> Option<Vec<f64>> {
    let metres = text::parse_decimals(settings.get(Key::CuraFilament)?, "m")?;
    metres.iter().any(|length| *length > 0.0).then(|| metres.into_iter().map(|length| length * 1_000.0).collect())
}

fn find_nozzles(settings: &Settings) -> Vec<f64> {
    if let Some(list) = settings.get(Key::NozzleDiameters).and_then(text::parse_sizes) {
        return list;
    }
    let lines: Option<Vec<f64>> =
        settings.tools().filter_map(|(_, lines)| lines.nozzle_mm.as_deref()).map(text::parse_positive).collect();
    if let Some(list) = lines.filter(|list| !list.is_empty()) {
        return list;
    }
    parse_dimension(settings).map(|numbers| numbers.into_iter().skip(3).collect()).unwrap_or_default()
}

/// Returns ideaMaker's `;Dimension:`: the build volume in mm, then one nozzle diameter per tool.
fn parse_dimension(settings: &Settings) -> Option<Vec<f64>> {
    settings.get(Key::BedDimension)?.split_whitespace().take(3 + MAX_TOOLS).map(text::parse_positive).collect()
}

fn find_bed(settings: &Settings) -> Option<[f64; 2]> {
    if let Some(size) = settings.get(Key::BedShape).and_then(text::parse_polygon_size) {
        return Some(size);
    }
    let stroke = |key| settings.get(key).and_then(text::parse_positive);
    if let (Some(width), Some(depth)) = (stroke(Key::BedWidth), stroke(Key::BedDepth)) {
        return Some([width, depth]);
    }
    match parse_dimension(settings)?.as_slice() {
        [width, depth, _, ..] => Some([*width, *depth]),
        _ => None,
    }
}

/// Builds the list of tools from the slicer's lists.
fn build_tools(settings: &Settings, extruded_mm: &[f64]) -> Vec<ToolFacts> {
    let mut list = ToolList::default();
    let materials = settings.get(Key::FilamentTypes).map(text::parse_texts).unwrap_or_default();
    for (tool, material) in materials.into_iter().enumerate() {
        list.change_tool(tool, |facts| facts.material = material);
    }
    let colors = settings.get(Key::FilamentColors).map(text::parse_texts).unwrap_or_default();
    for (tool, color) in colors.into_iter().enumerate() {
        list.change_tool(tool, |facts| facts.color = color.as_deref().and_then(text::parse_color));
    }
    for (tool, lines) in settings.tools() {
        if lines.material.is_some() || lines.filament_mm.is_some() {
            list.change_tool(tool as usize, |facts| {
                facts.material.clone_from(&lines.material);
                facts.filament_mm = lines.filament_mm.as_deref().and_then(text::parse_decimal);
            });
        }
    }
    let decimals = |key| settings.get(key).and_then(|value| text::parse_decimals(value, ""));
    let lengths = decimals(Key::FilamentMm).or_else(|| parse_cura_filament(settings));
    if let Some(lengths) = lengths {
        for (tool, mm) in lengths.into_iter().enumerate() {
            list.change_tool(tool, |facts| facts.filament_mm = Some(mm));
        }
    } else {
        add_bambu(settings, extruded_mm, &mut list);
    }
    for (tool, grams) in decimals(Key::FilamentG).into_iter().flatten().enumerate() {
        list.change_tool(tool, |facts| facts.filament_g = Some(grams));
    }
    add_totals(settings, extruded_mm, &mut list);
    // Slicers write a weight of 0 if the density of the filament is unknown.
    for facts in &mut list.0 {
        if facts.filament_g == Some(0.0) && facts.filament_mm != Some(0.0) {
            facts.filament_g = None;
        }
    }
    list.0
}

/// Adds the lists of BambuStudio's header, which name used filaments only.
fn add_bambu(settings: &Settings, extruded_mm: &[f64], list: &mut ToolList) {
    let decimals = |key| settings.get(key).and_then(|value| text::parse_decimals(value, ""));
    let Some(lengths) = decimals(Key::BambuFilamentMm) else { return };
    let weights = decimals(Key::BambuFilamentG).filter(|weights| weights.len() == lengths.len());
    let tools = find_bambu_tools(settings, extruded_mm, list.0.len(), lengths.len());
    for (i, tool) in tools.into_iter().flatten().enumerate() {
        list.change_tool(tool, |facts| {
            facts.filament_mm = lengths.get(i).copied();
            facts.filament_g = weights.as_ref().and_then(|weights| weights.get(i).copied());
        });
    }
}

/// Returns the tools of a list with `count` entries: by `; filament: 1,3`, else all filaments, else the tools that
/// extrude.
fn find_bambu_tools(settings: &Settings, extruded_mm: &[f64], filaments: usize, count: usize) -> Option<Vec<usize>> {
    if let Some(ids) = settings.get(Key::BambuFilamentIds) {
        let ids: Option<Vec<usize>> =
            ids.split(',').take(MAX_TOOLS).map(|id| id.trim().parse::<usize>().ok()?.checked_sub(1)).collect();
        return ids.filter(|ids| ids.len() == count);
    }
    if filaments == count || filaments == 0 && count == 1 {
        return Some((0..count).collect());
    }
    let used = list_used_tools(extruded_mm);
    (used.len() == count).then_some(used)
}

/// Adds totals of the print, if only one tool extrudes.
fn add_totals(settings: &Settings, extruded_mm: &[f64], list: &mut ToolList) {
    let leading = |key| settings.get(key).and_then(|value| text::parse_decimal(value.split_whitespace().next()?));
    let length = leading(Key::S3dFilamentMm);
    let weight = leading(Key::S3dFilamentG).or_else(|| leading(Key::FilamentTotalG));
    let material = settings.get(Key::S3dMaterial).and_then(text::parse_name);
    let used = list_used_tools(extruded_mm);
    let tool = match used.as_slice() {
        [] if list.0.len() <= 1 => list.0.first().map_or(0, |facts| facts.tool as usize),
        [tool] => *tool,
        _ => return,
    };
    if length.is_none() && weight.is_none() && material.is_none() {
        return;
    }
    list.change_tool(tool, |facts| {
        facts.filament_mm = facts.filament_mm.or(length);
        facts.filament_g = facts.filament_g.or(weight);
        facts.material = facts.material.take().or(material);
    });
}

fn list_used_tools(extruded_mm: &[f64]) -> Vec<usize> {
    extruded_mm.iter().enumerate().filter(|(_, mm)| **mm > 0.0).map(|(tool, _)| tool).collect()
}

/// Tools in ascending order.
#[derive(Default)]
struct ToolList(Vec<ToolFacts>);

impl ToolList {
    /// Changes the facts of a tool, which is added if it is missing. Ignores numbers that are too large.
    fn change_tool(&mut self, tool: usize, change: impl FnOnce(&mut ToolFacts)) {
        let Some(number) = u32::try_from(tool).ok().filter(|_| tool < MAX_TOOLS) else { return };
        let position = match self.0.binary_search_by_key(&number, |facts| facts.tool) {
            Ok(position) => position,
            Err(position) => {
                self.0.insert(position, ToolFacts { tool: number, ..ToolFacts::default() });
                position
            }
        };
        change(&mut self.0[position]);
    }
}
