//! Sets of printers by what they have: model, bed, tags, nozzle, material and colour of each tool.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{
    bit_set::BitSet,
    input::{PlanPrinter, PrinterFacts},
};
use crate::domain::{
    fit::{TOLERANCE_MM, fits_bed, is_same_model},
    gcode::Bounds,
};

/// A tool number with a value.
type ToolValue = (u32, String);

/// Sets of printers by their facts.
#[derive(Default)]
pub(super) struct PrinterIndex {
    ids: Vec<Uuid>,
    facts: Vec<PrinterFacts>,
    positions: HashMap<Uuid, usize>,
    /// Printers by model. Printers without a known model are in no set.
    models: BTreeMap<String, BitSet>,
    beds: Vec<([f64; 3], BitSet)>,
    without_bed: BitSet,
    tags: HashMap<String, BitSet>,
    materials: HashMap<ToolValue, BitSet>,
    colors: HashMap<ToolValue, BitSet>,
    /// Printers that have a known colour in a tool.
    colored: HashMap<u32, BitSet>,
    nozzles: Vec<(u32, f64, BitSet)>,
    single_tool: BitSet,
}

impl PrinterIndex {
    pub(super) fn new(printers: &[PlanPrinter]) -> Self {
        let empty = BitSet::empty(printers.len());
        let mut index = Self { without_bed: empty.clone(), single_tool: empty.clone(), ..Self::default() };
        for (position, printer) in printers.iter().enumerate() {
            index.add(position, printer, &empty);
        }
        index
    }

    fn add(&mut self, position: usize, printer: &PlanPrinter, empty: &BitSet) {
        let facts = &printer.facts;
        self.ids.push(printer.id);
        self.facts.push(facts.clone());
        self.positions.insert(printer.id, position);
        if let Some(model) = &facts.model {
            self.models.entry(model.clone()).or_insert_with(|| empty.clone()).insert(position);
        }
        self.add_bed(position, facts.bed_mm, empty);
        for tag in &facts.tags {
            self.tags.entry(tag.clone()).or_insert_with(|| empty.clone()).insert(position);
        }
        if facts.tools.len() <= 1 {
            self.single_tool.insert(position);
        }
        for tool in &facts.tools {
            if let Some(material) = &tool.material {
                let key = (tool.tool, fold(material));
                self.materials.entry(key).or_insert_with(|| empty.clone()).insert(position);
            }
            if let Some(color) = &tool.color {
                let key = (tool.tool, fold(color));
                self.colors.entry(key).or_insert_with(|| empty.clone()).insert(position);
                self.colored.entry(tool.tool).or_insert_with(|| empty.clone()).insert(position);
            }
            if let Some(nozzle) = tool.nozzle_mm {
                self.add_nozzle(position, tool.tool, nozzle, empty);
            }
        }
    }

    fn add_bed(&mut self, position: usize, bed: Option<[f64; 3]>, empty: &BitSet) {
        let Some(bed) = bed else {
            self.without_bed.insert(position);
            return;
        };
        let found = self.beds.iter().position(|(other, _)| *other == bed);
        let index = found.unwrap_or_else(|| {
            self.beds.push((bed, empty.clone()));
            self.beds.len() - 1
        });
        self.beds[index].1.insert(position);
    }

    fn add_nozzle(&mut self, position: usize, tool: u32, nozzle: f64, empty: &BitSet) {
        let found = self.nozzles.iter().position(|(other, mm, _)| *other == tool && *mm == nozzle);
        let index = found.unwrap_or_else(|| {
            self.nozzles.push((tool, nozzle, empty.clone()));
            self.nozzles.len() - 1
        });
        self.nozzles[index].2.insert(position);
    }

    /// Returns whether the index was made from these printers with these facts, in this order.
    pub(super) fn is_current(&self, printers: &[PlanPrinter]) -> bool {
        let same = |(position, printer): (usize, &PlanPrinter)| {
            self.ids[position] == printer.id && self.facts[position] == printer.facts
        };
        self.ids.len() == printers.len() && printers.iter().enumerate().all(same)
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn position(&self, id: Uuid) -> Option<usize> {
        self.positions.get(&id).copied()
    }

    /// Printers of one of these models.
    pub(super) fn with_model(&self, models: &[&str]) -> BitSet {
        let is_named = |model: &str| models.iter().any(|named| is_same_model(named, model));
        self.union(self.models.iter().filter(|(model, _)| is_named(model)).map(|(_, set)| set))
    }

    /// Printers whose bed is large enough, or unknown.
    pub(super) fn with_bed(&self, bounds: &Bounds) -> BitSet {
        let large = self.beds.iter().filter(|(bed, _)| fits_bed(bounds, *bed)).map(|(_, set)| set);
        self.union(large.chain([&self.without_bed]))
    }

    pub(super) fn with_tag(&self, tag: &str) -> BitSet {
        self.union(self.tags.get(tag))
    }

    pub(super) fn with_any_tag(&self, tags: &[String]) -> BitSet {
        self.union(tags.iter().filter_map(|tag| self.tags.get(tag)))
    }

    pub(super) fn with_id(&self, ids: &[Uuid]) -> BitSet {
        let mut set = BitSet::empty(self.len());
        ids.iter().filter_map(|id| self.position(*id)).for_each(|position| set.insert(position));
        set
    }

    /// Printers with this material in the tool. `is_only_tool`: the file uses no other one.
    pub(super) fn with_material(&self, tool: u32, material: &str, is_only_tool: bool) -> BitSet {
        let material = fold(material);
        self.with_tool(tool, is_only_tool, |tool| self.union(self.materials.get(&(tool, material.clone()))))
    }

    /// Printers with this colour in the tool. `allows_unknown`: or without a known colour.
    pub(super) fn with_color(&self, tool: u32, color: &str, is_only_tool: bool, allows_unknown: bool) -> BitSet {
        let color = fold(color);
        self.with_tool(tool, is_only_tool, |tool| {
            let mut set = if allows_unknown { BitSet::full(self.len()) } else { BitSet::empty(self.len()) };
            if let (true, Some(colored)) = (allows_unknown, self.colored.get(&tool)) {
                set.subtract(colored);
            }
            if let Some(loaded) = self.colors.get(&(tool, color.clone())) {
                set.unite(loaded);
            }
            set
        })
    }

    /// Printers with this nozzle in the tool.
    pub(super) fn with_nozzle(&self, tool: u32, nozzle_mm: f64, is_only_tool: bool) -> BitSet {
        let is_same = |mm: f64| (mm - nozzle_mm).abs() < TOLERANCE_MM;
        self.with_tool(tool, is_only_tool, |tool| {
            self.union(self.nozzles.iter().filter(|(other, mm, _)| *other == tool && is_same(*mm)).map(|(.., set)| set))
        })
    }

    /// Returns the printers whose tool of this number is in a set. A single-tool printer uses its tool for a file that
    /// uses one tool, whatever the number.
    fn with_tool(&self, tool: u32, is_only_tool: bool, set_of: impl Fn(u32) -> BitSet) -> BitSet {
        let mut set = set_of(tool);
        if is_only_tool && tool != 0 {
            set.subtract(&self.single_tool);
            let mut first = set_of(0);
            first.intersect(&self.single_tool);
            set.unite(&first);
        }
        set
    }

    fn union<'a>(&self, sets: impl IntoIterator<Item = &'a BitSet>) -> BitSet {
        let mut union = BitSet::empty(self.len());
        sets.into_iter().for_each(|set| union.unite(set));
        union
    }
}

/// Materials and colours are compared without case and surrounding white space.
fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}
