//! Which printers match which orders.

use super::farm::{assigned, farm, file, file_tool, id, idles, offered, order, printer, tool, waits};
use crate::domain::{
    gcode::{Bounds, GcodeFacts, ToolFacts},
    planner::{FileTool, PlanFile, PlanOrder, PlanPrinter, PlanReason},
    requirements::Requirements,
};

/// Asserts that the printer does not take the order, and that both say why.
#[track_caller]
fn assert_refused(printer: PlanPrinter, order: PlanOrder, file: PlanFile, reason: PlanReason) {
    let (printer_number, order_number) = (printer.id.as_u128() as u32, order.id.as_u128() as u32);
    let mut input = farm(vec![printer], vec![order]);
    input.files = vec![file];
    assert_eq!(assigned(&input), [], "{reason}");
    assert!(waits(&input, order_number).contains(&(reason, 1)), "{reason}: {:?}", waits(&input, order_number));
    assert_eq!(idles(&input, printer_number), [(reason, 1)]);
}

#[track_caller]
fn assert_taken(printer: PlanPrinter, order: PlanOrder, file: PlanFile) {
    let mut input = farm(vec![printer], vec![order]);
    input.files = vec![file];
    assert_eq!(assigned(&input).len(), 1, "{:?}", crate::domain::planner::plan(&input, super::farm::now()));
}

fn requiring(requirements: Requirements) -> PlanOrder {
    PlanOrder { requirements, ..order(1) }
}

fn with_tools(tools: Vec<crate::domain::printer_tool::PrinterTool>) -> PlanPrinter {
    let mut printer = printer(7);
    printer.facts.tools = tools;
    printer
}

fn using(tools: Vec<FileTool>) -> PlanFile {
    PlanFile { tools, ..file() }
}

#[test]
fn the_model_must_be_known_and_match() {
    let mut unknown = printer(7);
    unknown.facts.model = None;
    assert_refused(unknown, order(1), file(), PlanReason::Model);
    let mut other = printer(7);
    other.facts.model = Some("MK4S".to_owned());
    assert_refused(other.clone(), order(1), file(), PlanReason::Model);
    let no_model = PlanFile { printer_model: None, ..file() };
    assert_refused(printer(7), order(1), no_model.clone(), PlanReason::Model);
    // What a person says of the file decides.
    let mut named = order(1);
    named.files[0].models = vec!["MK3".to_owned(), "MK4S".to_owned()];
    assert_taken(other, named.clone(), file());
    assert_refused(printer(7), named, file(), PlanReason::Model);
}

#[test]
fn the_bed_is_compared_unless_the_slicer_knew_the_model() {
    let bounds = Some(Bounds { min: [0.0; 3], max: [300.0, 10.0, 10.0] });
    assert_taken(printer(7), order(1), PlanFile { bounds, ..file() });
    let mut named = order(1);
    named.files[0].models = vec!["MK4".to_owned()];
    let foreign = PlanFile { bounds, printer_model: None, ..file() };
    assert_refused(printer(7), named.clone(), foreign.clone(), PlanReason::BedSize);
    let mut unknown_bed = printer(7);
    unknown_bed.facts.bed_mm = None;
    assert_taken(unknown_bed, named, foreign);
}

#[test]
fn nozzle_and_material_are_compared_for_each_used_tool() {
    assert_refused(with_tools(vec![tool(0, 0.6, "PLA", "#000000")]), order(1), file(), PlanReason::Nozzle);
    assert_refused(with_tools(vec![tool(0, 0.4, "PETG", "#000000")]), order(1), file(), PlanReason::Material);
    let two = using(vec![file_tool(0, 0.4, "PLA", "#000000"), file_tool(1, 0.4, "PETG", "#ffffff")]);
    let loaded = |second: &str| with_tools(vec![tool(0, 0.4, "pla ", "#000000"), tool(1, 0.4, second, "#FFFFFF")]);
    assert_taken(loaded("petg"), order(1), two.clone());
    assert_refused(loaded("PLA"), order(1), two.clone(), PlanReason::Material);
    // A printer with one tool has no second one.
    assert_refused(with_tools(vec![tool(0, 0.4, "PLA", "#000000")]), order(1), two, PlanReason::Nozzle);
}

#[test]
fn a_single_tool_printer_uses_its_tool_for_a_file_of_one_tool() {
    let second = using(vec![file_tool(1, 0.4, "PLA", "#000000")]);
    assert_taken(printer(7), order(1), second.clone());
    let two_tools = with_tools(vec![tool(0, 0.4, "PLA", "#000000"), tool(1, 0.4, "PETG", "#000000")]);
    assert_refused(two_tools, order(1), second, PlanReason::Material);
}

#[test]
fn an_unknown_nozzle_or_material_of_the_printer_does_not_match() {
    let mut bare = tool(0, 0.4, "PLA", "#000000");
    bare.nozzle_mm = None;
    assert_refused(with_tools(vec![bare.clone()]), order(1), file(), PlanReason::Nozzle);
    bare.nozzle_mm = Some(0.4);
    bare.material = None;
    assert_refused(with_tools(vec![bare]), order(1), file(), PlanReason::Material);
    assert_taken(with_tools(Vec::new()), order(1), using(Vec::new()));
}

#[test]
fn an_unknown_colour_of_the_printer_matches_the_files_colour_and_no_required_one() {
    let mut plain = tool(0, 0.4, "PLA", "");
    plain.color = None;
    let orange = using(vec![file_tool(0, 0.4, "PLA", "#ff8000")]);
    assert_taken(with_tools(vec![plain.clone()]), order(1), orange.clone());
    assert_refused(printer(7), order(1), orange, PlanReason::Color);
    let black = requiring(Requirements { color: Some("#000000".to_owned()), ..Requirements::default() });
    assert_refused(with_tools(vec![plain]), black, file(), PlanReason::Color);
}

#[test]
fn what_the_order_requires_replaces_what_the_file_says() {
    let required = requiring(Requirements {
        material: Some("petg".to_owned()),
        color: Some("#FFFFFF".to_owned()),
        nozzle_mm: Some(0.6),
        ..Requirements::default()
    });
    let black = using(vec![file_tool(0, 0.4, "PLA", "#000000")]);
    assert_taken(with_tools(vec![tool(0, 0.6, "PETG", "#ffffff")]), required.clone(), black.clone());
    assert_refused(printer(7), required, black, PlanReason::Nozzle);
}

#[test]
fn tags_and_named_printers_limit_an_order() {
    let list = |tags: &[&str]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut tagged = printer(7);
    tagged.facts.tags = list(&["hall-1", "abs"]);
    let all = requiring(Requirements { tags_all: list(&["hall-1", "abs"]), ..Requirements::default() });
    let any = requiring(Requirements { tags_any: list(&["hall-2", "abs"]), ..Requirements::default() });
    let limited = PlanOrder { allowed_tags: list(&["abs"]), ..order(1) };
    for order in [all, any, limited] {
        assert_taken(tagged.clone(), order.clone(), file());
        assert_refused(printer(7), order, file(), PlanReason::Tags);
    }
    let named = requiring(Requirements { printer_ids: vec![id(8)], ..Requirements::default() });
    assert_taken(printer(8), named.clone(), file());
    assert_refused(printer(7), named, file(), PlanReason::PrinterIds);
}

#[test]
fn an_order_without_content_waits_for_its_file() {
    assert_refused(printer(7), PlanOrder { files: Vec::new(), ..order(1) }, file(), PlanReason::FileMissing);
    assert_refused(printer(7), order(1), PlanFile { is_available: false, ..file() }, PlanReason::FileMissing);
}

#[test]
fn the_first_file_that_fits_the_printer_is_used_and_the_closest_one_explains() {
    let mut xl = printer(8);
    xl.facts.model = Some("XL".to_owned());
    let mut order = PlanOrder { queued: 9, ..order(1) };
    order.files = vec![offered(0, 4), offered(1, 5), offered(2, 6)];
    let for_xl = PlanFile { printer_model: Some("XL".to_owned()), ..file() };
    let mut input = farm(vec![printer(7), xl], vec![order]);
    let xl_petg = PlanFile { tools: vec![file_tool(0, 0.4, "PETG", "#000000")], ..for_xl.clone() };
    input.files = vec![file(), xl_petg, for_xl];
    let plan = crate::domain::planner::plan(&input, super::farm::now());
    let files: Vec<_> = plan.assignments.iter().map(|assignment| (assignment.file, assignment.parts)).collect();
    assert_eq!(files, [(0, 4), (2, 6)]);
    input.files[2].is_available = false;
    input.orders[0].queued = 99;
    let reasons = waits(&input, 1);
    assert_eq!(reasons, [(PlanReason::Starting, 1), (PlanReason::FileMissing, 1)]);
}

#[test]
fn facts_of_a_file_keep_the_used_tools_only() {
    let tool =
        |tool, filament_mm| ToolFacts { tool, filament_mm, material: Some("PLA".to_owned()), ..ToolFacts::default() };
    let facts = GcodeFacts {
        nozzle_mm: vec![0.4, 0.6, 0.8],
        tools: vec![tool(0, Some(0.0)), tool(1, Some(12.0)), tool(2, None)],
        extruded_mm: vec![5.0, 5.0, 0.0],
        ..GcodeFacts::default()
    };
    let file = PlanFile::from_facts(&facts, true);
    let used: Vec<_> = file.tools.iter().map(|tool| (tool.tool, tool.nozzle_mm)).collect();
    assert_eq!(used, [(1, Some(0.6))]);
    let unknown = PlanFile::from_facts(&GcodeFacts { nozzle_mm: vec![0.4], ..GcodeFacts::default() }, true);
    assert_eq!(unknown.tools, [FileTool { nozzle_mm: Some(0.4), ..FileTool::default() }]);
}
