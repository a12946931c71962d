//! Classes of orders with equal needs, and the printers that match each class.
//!
//! A printer's facts and an order's needs change rarely. So the sets of a class are kept between plans.

use std::collections::HashMap;

use super::{
    bit_set::BitSet,
    index::PrinterIndex,
    input::{FileTool, PlanFile, PlanInput, PlanOrder, PlanOrderFile},
    reason::PlanReason,
};

/// What is compared. A printer is counted by the first stage that it does not pass.
#[derive(Clone, Copy)]
enum Stage {
    PrinterIds,
    Tags,
    Model,
    BedSize,
    Nozzle,
    Material,
    Color,
    FileMissing,
}

impl Stage {
    const ALL: [Self; 8] = [
        Self::PrinterIds,
        Self::Tags,
        Self::Model,
        Self::BedSize,
        Self::Nozzle,
        Self::Material,
        Self::Color,
        Self::FileMissing,
    ];

    fn code(self) -> PlanReason {
        match self {
            Self::PrinterIds => PlanReason::PrinterIds,
            Self::Tags => PlanReason::Tags,
            Self::Model => PlanReason::Model,
            Self::BedSize => PlanReason::BedSize,
            Self::Nozzle => PlanReason::Nozzle,
            Self::Material => PlanReason::Material,
            Self::Color => PlanReason::Color,
            Self::FileMissing => PlanReason::FileMissing,
        }
    }
}

/// The printers that match an order's needs, whatever they do now.
pub(super) struct OrderClass {
    /// Printers that match, by the position of the file in the order.
    pub(super) by_file: Vec<BitSet>,
    /// Printers that match with any file.
    pub(super) matching: BitSet,
    /// The other printers, by what does not match. If several files are offered, by the file that comes closest.
    pub(super) mismatches: Vec<Mismatch>,
}

/// Printers that do not match for one reason.
pub(super) struct Mismatch {
    pub(super) code: PlanReason,
    pub(super) printers: BitSet,
    pub(super) count: u32,
    /// The required value.
    pub(super) detail: Option<String>,
}

/// Order classes by their needs.
#[derive(Default)]
pub(super) struct OrderClasses {
    ids: HashMap<Vec<u8>, usize>,
    classes: Vec<OrderClass>,
}

impl OrderClasses {
    /// Returns the class of each order.
    pub(super) fn classify(&mut self, index: &PrinterIndex, input: &PlanInput) -> Vec<usize> {
        let mut key = Vec::new();
        input.orders.iter().map(|order| self.find_or_add(index, &input.files, order, &mut key)).collect()
    }

    fn find_or_add(&mut self, index: &PrinterIndex, files: &[PlanFile], order: &PlanOrder, key: &mut Vec<u8>) -> usize {
        key.clear();
        write_key(key, files, order);
        if let Some(id) = self.ids.get(key.as_slice()) {
            return *id;
        }
        self.classes.push(OrderClass::new(index, files, order));
        self.ids.insert(key.clone(), self.classes.len() - 1);
        self.classes.len() - 1
    }

    pub(super) fn get(&self, id: usize) -> &OrderClass {
        &self.classes[id]
    }

    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }
}

impl OrderClass {
    pub(super) fn new(index: &PrinterIndex, files: &[PlanFile], order: &PlanOrder) -> Self {
        if order.files.is_empty() {
            return Self::without_files(index.len());
        }
        let needs: Vec<Needs<'_>> = order.files.iter().map(|offered| Needs::new(order, offered, files)).collect();
        let mut by_file: Vec<BitSet> = needs.iter().map(|_| BitSet::full(index.len())).collect();
        let mut passed = BitSet::full(index.len());
        let mut mismatches = Vec::new();
        for stage in Stage::ALL {
            let mut still = BitSet::empty(index.len());
            for (needs, matching) in needs.iter().zip(&mut by_file) {
                needs.filter(index, stage, matching);
                still.unite(matching);
            }
            let mut printers = passed;
            printers.subtract(&still);
            if !printers.is_empty() {
                let (count, detail) = (printers.count(), describe(&needs, stage));
                mismatches.push(Mismatch { code: stage.code(), printers, count, detail });
            }
            passed = still;
        }
        Self { by_file, matching: passed, mismatches }
    }

    fn without_files(printers: usize) -> Self {
        let all = BitSet::full(printers);
        let mismatch = Mismatch { code: PlanReason::FileMissing, count: all.count(), printers: all, detail: None };
        Self { by_file: Vec::new(), matching: BitSet::empty(printers), mismatches: vec![mismatch] }
    }

    /// Returns why a printer does not match. `None`: it matches.
    pub(super) fn find_mismatch(&self, printer: usize) -> Option<PlanReason> {
        self.mismatches.iter().find(|mismatch| mismatch.printers.contains(printer)).map(|mismatch| mismatch.code)
    }
}

/// What one file of an order needs.
struct Needs<'a> {
    order: &'a PlanOrder,
    file: &'a PlanFile,
    models: Vec<&'a str>,
    tools: &'a [FileTool],
    /// The slicer knows the bed of this model: a purge line may be outside of it.
    known_model: Option<&'a str>,
}

impl<'a> Needs<'a> {
    fn new(order: &'a PlanOrder, offered: &'a PlanOrderFile, files: &'a [PlanFile]) -> Self {
        let file = &files[offered.file];
        let known_model = file.printer_model.as_deref();
        let models = match offered.models.is_empty() {
            true => known_model.into_iter().collect(),
            false => offered.models.iter().map(String::as_str).collect(),
        };
        Self { order, file, models, tools: &file.tools, known_model }
    }

    /// Removes the printers that do not match at one stage.
    fn filter(&self, index: &PrinterIndex, stage: Stage, set: &mut BitSet) {
        let requirements = &self.order.requirements;
        match stage {
            Stage::PrinterIds => {
                if !requirements.printer_ids.is_empty() {
                    set.intersect(&index.with_id(&requirements.printer_ids));
                }
            }
            Stage::Tags => self.filter_tags(index, set),
            Stage::Model => set.intersect(&index.with_model(&self.models)),
            Stage::BedSize => {
                if let Some(bounds) = &self.file.bounds {
                    let mut fits = index.with_bed(bounds);
                    fits.unite(&index.with_model(self.known_model.as_slice()));
                    set.intersect(&fits);
                }
            }
            Stage::Nozzle => self.filter_tools(set, |tool, is_only| {
                let nozzle = requirements.nozzle_mm.or(tool.nozzle_mm)?;
                Some(index.with_nozzle(tool.tool, nozzle, is_only))
            }),
            Stage::Material => self.filter_tools(set, |tool, is_only| {
                let material = requirements.material.as_ref().or(tool.material.as_ref())?;
                Some(index.with_material(tool.tool, material, is_only))
            }),
            Stage::Color => self.filter_tools(set, |tool, is_only| {
                let color = requirements.color.as_ref().or(tool.color.as_ref())?;
                Some(index.with_color(tool.tool, color, is_only, requirements.color.is_none()))
            }),
            Stage::FileMissing => {
                if !self.file.is_available {
                    *set = BitSet::empty(index.len());
                }
            }
        }
    }

    fn filter_tags(&self, index: &PrinterIndex, set: &mut BitSet) {
        let requirements = &self.order.requirements;
        requirements.tags_all.iter().for_each(|tag| set.intersect(&index.with_tag(tag)));
        for any in [&requirements.tags_any, &self.order.allowed_tags] {
            if !any.is_empty() {
                set.intersect(&index.with_any_tag(any));
            }
        }
    }

    /// Compares each used tool with what is loaded. `matching` returns the printers that match a tool's need, or `None`
    /// where nothing is needed. Its second argument: the file uses no other tool.
    ///
    /// What the order requires replaces what the file says. An unknown nozzle or material of the printer does not match.
    /// An unknown colour does not match a colour that the order requires. It matches the file's colour: that is a colour
    /// on the slicer's screen, and a farm that does not keep colours has no other.
    fn filter_tools(&self, set: &mut BitSet, matching: impl Fn(&FileTool, bool) -> Option<BitSet>) {
        let first_tool = [FileTool::default()];
        let tools = if self.tools.is_empty() { &first_tool } else { self.tools };
        for tool in tools {
            if let Some(matching) = matching(tool, tools.len() == 1) {
                set.intersect(&matching);
            }
        }
    }

    /// Returns the values that are required at one stage.
    fn values(&self, stage: Stage) -> Vec<String> {
        let requirements = &self.order.requirements;
        let tool_values = |required: Option<String>, of_tool: fn(&FileTool) -> Option<String>| match required {
            Some(required) => vec![required],
            None => self.tools.iter().filter_map(of_tool).collect(),
        };
        match stage {
            Stage::Tags => [&requirements.tags_all, &requirements.tags_any].into_iter().flatten().cloned().collect(),
            Stage::Model => self.models.iter().map(ToString::to_string).collect(),
            Stage::Nozzle => {
                let required = requirements.nozzle_mm.map(|mm| mm.to_string());
                tool_values(required, |tool| tool.nozzle_mm.map(|mm| mm.to_string()))
            }
            Stage::Material => tool_values(requirements.material.clone(), |tool| tool.material.clone()),
            Stage::Color => tool_values(requirements.color.clone(), |tool| tool.color.clone()),
            Stage::PrinterIds | Stage::BedSize | Stage::FileMissing => Vec::new(),
        }
    }
}

/// Returns the values that the files of an order need, for people.
fn describe(needs: &[Needs<'_>], stage: Stage) -> Option<String> {
    let mut values: Vec<String> = Vec::new();
    for value in needs.iter().flat_map(|needs| needs.values(stage)) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    (!values.is_empty()).then(|| values.join(", "))
}

/// Writes everything that an [`OrderClass`] depends on. Equal bytes mean equal needs.
fn write_key(key: &mut Vec<u8>, files: &[PlanFile], order: &PlanOrder) {
    let requirements = &order.requirements;
    write_text(key, requirements.material.as_deref());
    write_text(key, requirements.color.as_deref());
    write_number(key, requirements.nozzle_mm);
    for list in [&requirements.tags_all, &requirements.tags_any, &order.allowed_tags] {
        write_list(key, list);
    }
    write_length(key, requirements.printer_ids.len());
    requirements.printer_ids.iter().for_each(|id| key.extend(id.as_bytes()));
    for offered in &order.files {
        let file = &files[offered.file];
        write_list(key, &offered.models);
        write_text(key, file.printer_model.as_deref());
        key.push(u8::from(file.is_available));
        write_length(key, file.tools.len());
        for tool in &file.tools {
            key.extend(tool.tool.to_le_bytes());
            write_number(key, tool.nozzle_mm);
            write_text(key, tool.material.as_deref());
            write_text(key, tool.color.as_deref());
        }
        let bounds = file.bounds.as_ref().filter(|_| needs_bounds(file, offered));
        key.push(u8::from(bounds.is_some()));
        let numbers = bounds.iter().flat_map(|bounds| bounds.min.iter().chain(&bounds.max));
        numbers.for_each(|number| key.extend(number.to_le_bytes()));
    }
}

/// Returns whether the bed is compared at all. It is not if the file is only for the model that it names.
fn needs_bounds(file: &PlanFile, offered: &PlanOrderFile) -> bool {
    file.printer_model.is_none() || !offered.models.is_empty()
}

fn write_list(key: &mut Vec<u8>, texts: &[String]) {
    write_length(key, texts.len());
    texts.iter().for_each(|text| write_text(key, Some(text)));
}

fn write_text(key: &mut Vec<u8>, text: Option<&str>) {
    write_length(key, text.map_or(usize::MAX, str::len));
    key.extend(text.unwrap_or_default().as_bytes());
}

fn write_number(key: &mut Vec<u8>, number: Option<f64>) {
    key.extend(number.unwrap_or(f64::NAN).to_le_bytes());
}

fn write_length(key: &mut Vec<u8>, length: usize) {
    key.extend((length as u64).to_le_bytes());
}
