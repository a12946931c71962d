//! Forms that simple parsers read wrong, one test for each.

use super::{parse, sample};
use crate::domain::gcode::{ExtrusionCurve, GcodeFacts, GcodeParser, Slicer};

fn time(text: &str) -> Option<u64> {
    parse(text).estimated_print_time_s
}

fn filament(text: &str) -> Vec<Option<f64>> {
    parse(text).tools.iter().map(|tool| tool.filament_mm).collect()
}

#[test]
fn facts_count_in_the_middle_of_a_large_file() {
    let moves = "G1 X1 Y1 E1\n".repeat(50_000);
    let facts = parse(format!("{moves}; layer_height = 0.3\n{moves}"));
    assert_eq!(facts.layer_height_mm, Some(0.3));
}

#[test]
fn durations() {
    let normal = |value: &str| time(&format!("; estimated printing time (normal mode) = {value}\n"));
    assert_eq!(normal("1d 2h 3m"), Some(93_780), "not one second");
    assert_eq!(normal("3d 16h 18m 40s"), Some(317_920));
    assert_eq!(normal("45s"), Some(45));
    assert_eq!(normal("1h"), Some(3_600));
    assert_eq!(normal("0s"), None, "unknown");
    assert_eq!(normal("12"), None, "no unit");
    assert_eq!(normal("a while"), None);
    assert_eq!(normal(""), None);
    assert_eq!(time("; estimated printing time (silent mode) = 1h\n"), None);
    assert_eq!(time("; estimated first layer printing time (normal mode) = 1h\n"), None);
    assert_eq!(time(";TIME:8235.7\n"), Some(8_236));
    assert_eq!(time(";   Build time: 1 hour 1 minute\n"), Some(3_660));
}

#[test]
fn cura_placeholders() {
    assert_eq!(time(";TIME:6666\n"), None);
    assert_eq!(time(";TIME:6666\n;Filament used: 0m\n"), None);
    assert_eq!(time(";TIME:6666\n;Filament used: 1.2m\n;MINX:2.14748e+06\n"), None);
    assert_eq!(time(";TIME:6666\n;Filament used: 1.2m\n;MINX:10.5\n"), Some(6_666), "a real time");
    assert_eq!(filament(";Filament used: 0m\n"), []);
    assert_eq!(filament(";Filament used: 0m, 1.5m\n"), [Some(0.0), Some(1_500.0)]);
}

#[test]
fn lists_have_all_their_entries() {
    assert_eq!(filament("; filament used [mm] = 10.5, 0, 3.25\n"), [Some(10.5), Some(0.0), Some(3.25)]);
    let facts = parse("; filament_type = PLA;PETG;PLA\n; filament used [mm] = 5.0\n");
    let tools: Vec<_> = facts.tools.iter().map(|tool| (tool.material.as_deref(), tool.filament_mm)).collect();
    assert_eq!(tools, [(Some("PLA"), Some(5.0)), (Some("PETG"), None), (Some("PLA"), None)]);
}

#[test]
fn comma_decimals() {
    assert_eq!(filament("; filament used [mm] = 12,5\n"), [Some(12.5)]);
    assert_eq!(filament("; filament used [mm] = 12,5, 0,75\n"), [Some(12.5), Some(0.75)]);
    assert_eq!(filament(";Filament used: 0,50m, 0,49m\n"), [Some(500.0), Some(490.0)]);
    assert_eq!(filament("; total filament length [mm] : 1.5,2.5\n; filament: 1,2\n"), [Some(1.5), Some(2.5)]);
    assert_eq!(parse("; layer_height = 0,2\n").layer_height_mm, Some(0.2));
    assert_eq!(parse("; nozzle_diameter = 0,4\n").nozzle_mm, [0.4]);
    assert_eq!(parse("; nozzle_diameter = 0,4,0,6\n").nozzle_mm, [0.4, 0.6]);
    assert_eq!(parse("; nozzle_diameter = 1,1\n").nozzle_mm, [1.0, 1.0], "two nozzles of 1 mm");
    assert_eq!(parse("; nozzle_diameter = 0.4,0.4\n").nozzle_mm, [0.4, 0.4]);
}

#[test]
fn a_percentage_is_no_layer_height() {
    assert_eq!(parse("; first_layer_height = 75%\n").layer_height_mm, None);
    assert_eq!(parse("; layer_height = 50%\n").layer_height_mm, None);
}

#[test]
fn semicolons_and_quotes_inside_values() {
    let text = "; filament_type = \"PLA; silk\";PETG\n; filament_notes = \"a; layer_height = 3\"\n";
    let facts = parse(text);
    assert_eq!(facts.tools[0].material.as_deref(), Some("PLA; silk"));
    assert_eq!(facts.tools[1].material.as_deref(), Some("PETG"));
    assert_eq!(facts.layer_height_mm, None);
}

#[test]
fn a_block_of_settings_counts_more_than_other_comments() {
    let block = "; prusaslicer_config = begin\n; layer_height = 0.2\n; prusaslicer_config = end\n";
    assert_eq!(parse(format!("; layer_height = 9\n{block}")).layer_height_mm, Some(0.2));
    assert_eq!(parse(format!("{block}; layer_height = 9\n")).layer_height_mm, Some(0.2));
    assert_eq!(parse("; layer_height = 1\n; layer_height = 2\n").layer_height_mm, Some(2.0), "else the last");
}

#[test]
fn line_ends_and_a_missing_last_one() {
    for text in ["; layer_height = 0.2\r\n", "; layer_height = 0.2", ";layer_height=0.2\n", "  ; layer_height = 0.2\n"]
    {
        assert_eq!(parse(text).layer_height_mm, Some(0.2), "{text:?}");
    }
    assert_eq!(parse("G1 X5 Y5 E1\r\nG1 X7 E1.5").extruded_mm, [1.5]);
}

#[test]
fn unknown_is_absent() {
    let facts = parse("G28\nM104 S200\nhello\n; filament_colour = red;;#12\n; printer_model = \"\"\n; bed_shape = 0\n");
    assert_eq!((facts.slicer, facts.printer_model, facts.bed_mm), (None, None, None));
    assert_eq!((facts.objects, facts.bounds_mm, facts.estimated_print_time_s), (None, None, None));
    assert!(facts.tools.iter().all(|tool| tool.color.is_none()));
}

#[test]
fn a_weight_of_zero_is_unknown_unless_the_tool_is_unused() {
    let facts = parse("; filament used [mm] = 10.5, 0.00\n; filament used [g] = 0.00, 0.00\n");
    let weights: Vec<_> = facts.tools.iter().map(|tool| tool.filament_g).collect();
    assert_eq!(weights, [None, Some(0.0)]);
}

#[test]
fn totals_of_several_tools_are_no_fact_of_a_tool() {
    let text = "M83\nG1 X1 E1\nT1\nG1 X2 E1\n;   Filament length: 10.0 mm (0.01 m)\n; total filament used [g] = 3\n";
    assert_eq!(parse(text).tools, []);
    let one = parse(text.replace("T1", "T0"));
    assert_eq!((one.tools[0].filament_mm, one.tools[0].filament_g), (Some(10.0), Some(3.0)));
}

#[test]
fn simplify3d_5_uses_other_words() {
    let text = ";   Build Time: 2 hours 5 min 10 sec\n;   Material Length: 10.5 mm\n;   Material Weight: 2.5 g\n";
    let facts = parse(text);
    assert_eq!(facts.estimated_print_time_s, Some(7_510));
    assert_eq!((facts.tools[0].filament_mm, facts.tools[0].filament_g), (Some(10.5), Some(2.5)));
}

#[test]
fn bambu_lists_without_the_filaments_line() {
    let text = "; total filament length [mm] : 5.0,6.0\n; filament_type = PLA;PLA;PLA\n";
    assert!(filament(text).iter().all(Option::is_none), "two of three, but which?");
    assert_eq!(filament(&format!("M83\nG1 X1 E1\nT2\nG1 X2 E1\n{text}")), [Some(5.0), None, Some(6.0)]);
    assert!(filament(&format!("{text}; filament: 1,2,3\n")).iter().all(Option::is_none), "a contradiction");
}

#[test]
fn objects() {
    let objects = |text: &str| parse(text).objects;
    assert_eq!(
        objects("; objects_info = {\"objects\":[{\"name\":\"a;b\",\"polygon\":[[1,2]]},{\"name\":\"c\"}]}\n"),
        Some(2)
    );
    assert_eq!(objects("; objects_info = {\"objects\":[]}\n; printing object a id:0 copy 0\n"), Some(1));
    assert_eq!(objects("; objects_info = {\"objects\":[{\"name\":\n"), None, "a cut line");
    assert_eq!(
        objects("EXCLUDE_OBJECT_DEFINE NAME=a\nEXCLUDE_OBJECT_DEFINE NAME=b\nEXCLUDE_OBJECT_DEFINE NAME=a\n"),
        Some(2)
    );
    assert_eq!(objects("M486 S0\nM486 A\"x\"\nM486 S1\nM486 S-1\nM486 S0\n"), Some(2));
    assert_eq!(objects("M486 T5\nM486 S0\n"), Some(5));
    assert_eq!(objects("; model label id: 7\n"), Some(1));
    assert_eq!(objects(";MESH:a.stl\n;MESH:b.stl\n"), None, "meshes of one object may be many");
}

#[test]
fn slicer_names() {
    let slicer = |text: &str| parse(text).slicer.map(|slicer| (slicer.name, slicer.version.unwrap_or_default()));
    let named = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
    assert_eq!(
        slicer("; generated by Slic3r Prusa Edition 1.41.0+linux64 on 2018\n"),
        named("Slic3r Prusa Edition", "1.41.0+linux64")
    );
    assert_eq!(slicer("; generated by Kiri\n"), named("Kiri", ""));
    assert_eq!(slicer("; generated by\n"), None);
    assert_eq!(slicer("; the thumbnail was generated by Tool 1.0\n"), None);
    assert_eq!(slicer("; BambuStudio is great\n"), None);
    assert_eq!(slicer("; generated by A 1\n; generated by B 2\n"), named("A", "1"), "the first");
}

#[test]
fn facts_from_bgcode_metadata() {
    let mut parser = GcodeParser::new();
    parser.set_producer("PrusaSlicer 2.8.0");
    parser.push_setting("filament used [g]", "3.5");
    parser.push_setting("filament used [mm]", "1200.5");
    parser.push_setting("layer_height", "0.2");
    parser.push_setting("estimated printing time (normal mode)", "1h 2m 3s");
    parser.push_setting("objects_info", "{\"objects\":[{\"name\":\"a\"}]}");
    parser.push_setting("unknown", "x");
    parser.push(b"; layer_height = 0.5\n");
    let facts = parser.finish();
    assert_eq!(facts.slicer, Some(Slicer { name: "PrusaSlicer".to_owned(), version: Some("2.8.0".to_owned()) }));
    assert_eq!((facts.tools[0].filament_mm, facts.tools[0].filament_g), (Some(1_200.5), Some(3.5)));
    assert_eq!((facts.layer_height_mm, facts.estimated_print_time_s, facts.objects), (Some(0.2), Some(3_723), Some(1)));
}

#[test]
fn facts_survive_json() {
    let mut facts = sample("prusaslicer");
    let json = serde_json::to_string(&facts).expect("JSON");
    facts.thumbnails.clear();
    facts.extrusion = ExtrusionCurve::default();
    assert_eq!(serde_json::from_str::<GcodeFacts>(&json).expect("facts"), facts);
}
