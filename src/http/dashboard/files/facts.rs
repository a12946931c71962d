//! Facts of library files as pages show them: time, filament, material, nozzle, layer height, model, size.

use std::collections::HashMap;

use uuid::Uuid;

use super::names::thumbnail_url;
use crate::{
    domain::{
        file::{FileFacts, LibraryFile},
        gcode::ToolFacts,
    },
    http::dashboard::{
        messages::t_with,
        time::{TimeElement, format_duration, format_size},
    },
};

/// A material that a file uses.
#[derive(PartialEq)]
pub(in crate::http::dashboard) struct FileMaterial {
    pub name: String,
    /// `#rrggbb`, if the file names a colour.
    pub color: Option<String>,
}

/// A library file.
pub(in crate::http::dashboard) struct FileCard {
    pub id: Uuid,
    pub name: String,
    pub folder: String,
    /// URL of the picture.
    pub thumbnail: Option<String>,
    pub time: Option<String>,
    pub weight: Option<String>,
    pub materials: Vec<FileMaterial>,
    pub model: Option<String>,
    pub nozzle: Option<String>,
    pub layer: Option<String>,
    pub size: String,
    pub updated_at: TimeElement,
    pub created_by: String,
    /// Number of printers that have the file.
    pub printers: usize,
}

impl FileCard {
    /// Creates the card of a file. `places` has the number of printers by content.
    pub fn new(file: &LibraryFile, places: &HashMap<String, usize>) -> Self {
        let facts = file.facts();
        Self {
            id: file.id,
            name: file.name.clone(),
            folder: file.folder.clone(),
            thumbnail: thumbnail_url(file),
            time: facts.estimated_print_time_s.and_then(|seconds| i64::try_from(seconds).ok()).map(format_duration),
            weight: filament_grams(&facts).map(grams_text),
            materials: materials(&facts),
            model: facts.printer_model.clone(),
            nozzle: (!facts.nozzle_mm.is_empty()).then(|| millimetres(&distinct(&facts.nozzle_mm))),
            layer: facts.layer_height_mm.map(|height| millimetres(&[height])),
            size: format_size(file.content.size),
            updated_at: TimeElement::date_and_time(file.updated_at),
            created_by: file.created_by.clone(),
            printers: places.get(&file.content.sha256).copied().unwrap_or_default(),
        }
    }

    /// Returns the most important facts in one line, without materials.
    pub fn summary(&self) -> String {
        let facts = [&self.time, &self.weight, &self.nozzle, &self.model];
        facts.into_iter().flatten().cloned().collect::<Vec<_>>().join(" · ")
    }
}

/// Returns the tools that a file uses. A tool without an amount counts as used.
pub(super) fn used_tools(facts: &FileFacts) -> impl Iterator<Item = &ToolFacts> {
    let is_zero = |amount: Option<f64>| amount.is_some_and(|amount| amount <= 0.0);
    facts.tools.iter().filter(move |tool| !is_zero(tool.filament_mm) && !is_zero(tool.filament_g))
}

/// Returns a weight, with more decimals for less than a gram.
pub(super) fn grams_text(grams: f64) -> String {
    t_with("file-grams", &[("n", &format_number(grams, if grams < 1.0 { 3 } else { 1 }))])
}

fn filament_grams(facts: &FileFacts) -> Option<f64> {
    let grams: Vec<f64> = used_tools(facts).filter_map(|tool| tool.filament_g).collect();
    (!grams.is_empty()).then(|| grams.iter().sum())
}

fn materials(facts: &FileFacts) -> Vec<FileMaterial> {
    let mut materials: Vec<FileMaterial> = Vec::new();
    for tool in used_tools(facts) {
        let color = tool.color.as_deref().filter(|color| is_color(color)).map(str::to_owned);
        let material = FileMaterial { name: tool.material.clone().unwrap_or_default(), color };
        if (!material.name.is_empty() || material.color.is_some()) && !materials.contains(&material) {
            materials.push(material);
        }
    }
    materials
}

fn is_color(text: &str) -> bool {
    text.len() == 7 && text.starts_with('#') && text[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn distinct(values: &[f64]) -> Vec<f64> {
    let mut distinct: Vec<f64> = values.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    distinct
}

fn millimetres(values: &[f64]) -> String {
    format!("{} mm", list_numbers(values))
}

/// Returns numbers as a form shows them: "0.4, 0.6".
pub(super) fn list_numbers(values: &[f64]) -> String {
    values.iter().map(|value| format_number(*value, 3)).collect::<Vec<_>>().join(", ")
}

/// Returns a number with at most this many decimals, without zeros at its end.
pub(in crate::http::dashboard) fn format_number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_zeros_at_their_end() {
        for (value, decimals, text) in [(0.4, 3, "0.4"), (45.04, 1, "45"), (120.0, 1, "120"), (0.15, 3, "0.15")] {
            assert_eq!(format_number(value, decimals), text);
        }
    }

    #[test]
    fn unused_tools_and_invalid_colors_are_left_out() {
        let tool = |tool, material: &str, color: &str, filament_g| ToolFacts {
            tool,
            material: Some(material.to_owned()),
            color: Some(color.to_owned()),
            filament_g: Some(filament_g),
            ..ToolFacts::default()
        };
        let tools = vec![tool(0, "PETG", "#00ff00", 12.0), tool(1, "PLA", "#112233", 0.0), tool(2, "PLA", "red", 2.5)];
        let facts = FileFacts { tools, ..FileFacts::default() };
        let shown: Vec<_> = materials(&facts).into_iter().map(|one| (one.name, one.color)).collect();
        assert_eq!(shown, [("PETG".to_owned(), Some("#00ff00".to_owned())), ("PLA".to_owned(), None)]);
        assert_eq!(filament_grams(&facts), Some(14.5));
    }
}
