//! Facts of a complete file, for each slicer.

use super::{assert_near, sample};
use crate::domain::gcode::{GcodeFacts, ToolFacts};

fn name_and_version(facts: &GcodeFacts) -> (&str, &str) {
    let slicer = facts.slicer.as_ref().expect("a slicer");
    (&slicer.name, slicer.version.as_deref().unwrap_or_default())
}

fn tool(tool: u32, material: &str, color: &str, mm: Option<f64>, g: Option<f64>) -> ToolFacts {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ToolFacts { tool, material: text(material), color: text(color), filament_mm: mm, filament_g: g }
}

#[test]
fn prusaslicer() {
    let facts = sample("prusaslicer");
    assert_eq!(name_and_version(&facts), ("PrusaSlicer", "2.8.0+linux-x64"));
    assert_eq!(facts.printer_model.as_deref(), Some("MK3SMMU3"));
    assert_eq!(facts.nozzle_mm, [0.4, 0.6]);
    assert_eq!(facts.layer_height_mm, Some(0.2));
    assert_eq!(facts.estimated_print_time_s, Some(93_784));
    assert_eq!(facts.objects, Some(2));
    assert_eq!(facts.bed_mm, Some([250.0, 210.0]));
    let tools = [tool(0, "PETG", "#FF8000", Some(24.1), Some(0.07)), tool(1, "PLA", "#1A1A1A", Some(1.46), Some(0.01))];
    assert_eq!(facts.tools, tools);
    assert_near(&facts.extruded_mm, [23.59625, 1.46]);
}

#[test]
fn superslicer_with_crlf_and_comma_decimals() {
    let facts = sample("superslicer");
    assert_eq!(name_and_version(&facts), ("SuperSlicer", "2.5.59"));
    assert_eq!(facts.printer_model, None, "an empty value");
    assert_eq!(facts.nozzle_mm, [0.6]);
    assert_eq!(facts.layer_height_mm, Some(0.25), "not the first layer's 150 %");
    assert_eq!(facts.estimated_print_time_s, Some(200));
    assert_eq!(facts.bed_mm, Some([100.0, 100.0]), "an origin in the centre");
    assert_eq!(facts.tools, [tool(0, "ABS", "", Some(1.5), None)], "a weight of 0 is unknown");
}

#[test]
fn orcaslicer() {
    let facts = sample("orcaslicer");
    assert_eq!(name_and_version(&facts), ("OrcaSlicer", "2.1.1"));
    assert_eq!(facts.printer_model.as_deref(), Some("Voron 2.4 250"));
    assert_eq!(facts.nozzle_mm, [0.4]);
    assert_eq!(facts.layer_height_mm, Some(0.16));
    assert_eq!(facts.estimated_print_time_s, Some(3_661));
    assert_eq!(facts.objects, Some(3));
    assert_eq!(facts.bed_mm, Some([220.0, 220.0]));
    assert_eq!(facts.tools, [tool(0, "PLA", "#00C1AE", Some(2.0), Some(0.01))]);
}

#[test]
fn bambustudio() {
    let facts = sample("bambustudio");
    assert_eq!(name_and_version(&facts), ("BambuStudio", "02.08.01.57"));
    assert_eq!(facts.printer_model.as_deref(), Some("Bambu Lab X1 Carbon"));
    assert_eq!(facts.layer_height_mm, Some(0.08));
    assert_eq!(facts.estimated_print_time_s, Some(1_221), "the total, not the model's time");
    assert_eq!(facts.objects, Some(2));
    let tools = [
        tool(0, "PLA", "#FFFFFF", Some(1_234.56), Some(3.74)),
        tool(1, "ABS", "#F2754E", None, None),
        tool(2, "PETG", "#000000", Some(78.9), Some(0.24)),
    ];
    assert_eq!(facts.tools, tools, "the header names used filaments only");
    assert_near(&facts.extruded_mm, [16.0, 0.0, 1.5]);
}

#[test]
fn cura() {
    let facts = sample("cura");
    assert_eq!(name_and_version(&facts), ("Cura", "5.7.1"));
    assert_eq!(facts.printer_model.as_deref(), Some("Creality Ender-3 V2"));
    assert_eq!(facts.layer_height_mm, Some(0.2));
    assert_eq!(facts.estimated_print_time_s, Some(8_235));
    assert_eq!(facts.tools, [tool(0, "", "", Some(500.0), None), tool(1, "", "", Some(490.0), None)]);
    assert_eq!((facts.objects, facts.bed_mm, facts.nozzle_mm.len()), (None, None, 0), "the file does not say");
}

#[test]
fn cura_with_a_griffin_header() {
    let facts = sample("cura-griffin");
    assert_eq!(name_and_version(&facts), ("Cura", "5.6.0"));
    assert_eq!(facts.printer_model.as_deref(), Some("Ultimaker S5"));
    assert_eq!(facts.nozzle_mm, [0.4, 0.8]);
    assert_eq!(facts.estimated_print_time_s, Some(480));
    assert_eq!(facts.tools, [], "a volume is no length");
}

#[test]
fn curaengine_alone_has_placeholders() {
    let facts = sample("curaengine");
    assert_eq!(name_and_version(&facts), ("Cura", "master"));
    assert_eq!(facts.estimated_print_time_s, None);
    assert_eq!(facts.tools, []);
    assert_eq!(facts.layer_height_mm, Some(0.1));
    assert_near(facts.bounds_mm.expect("bounds from moves").max, [20.0, 10.0, 0.3]);
}

#[test]
fn ideamaker() {
    let facts = sample("ideamaker");
    assert_eq!(name_and_version(&facts), ("ideaMaker", "5.1.4.8480"));
    assert_eq!(facts.printer_model.as_deref(), Some("RAISE3D Pro2 Plus"));
    assert_eq!(facts.nozzle_mm, [0.4, 0.6]);
    assert_eq!(facts.layer_height_mm, Some(0.2), "the height of the second layer");
    assert_eq!(facts.estimated_print_time_s, Some(5_023));
    assert_eq!(facts.objects, Some(2));
    assert_eq!(facts.bed_mm, Some([305.0, 305.0]));
    assert_eq!(facts.tools, [tool(0, "PLA", "", Some(868.0), None), tool(1, "PVA", "", Some(0.0), None)]);
}

#[test]
fn simplify3d() {
    let facts = sample("simplify3d");
    assert_eq!(name_and_version(&facts), ("Simplify3D", "4.1.2"));
    assert_eq!(facts.nozzle_mm, [0.4]);
    assert_eq!(facts.layer_height_mm, Some(0.2));
    assert_eq!(facts.estimated_print_time_s, Some(3_720));
    assert_eq!(facts.bed_mm, Some([250.0, 210.0]));
    assert_eq!(facts.tools, [tool(0, "PETG", "", Some(3_542.7), Some(10.65))]);
}

#[test]
fn an_unknown_slicer() {
    let facts = sample("fork");
    assert_eq!(name_and_version(&facts), ("SomeSlicer", "0.9.1-beta"));
    assert_eq!(facts.objects, Some(3));
}
