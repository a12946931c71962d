//! Files of real slicers: the facts of the G-code parser against the slicer's own lines, and bounds and filament against
//! OctoPrint's own analysis.
//!
//! The tests slice cubes that they write. They read the slicer's lines in another and simpler way than the parser.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use printyard::domain::gcode::{Bounds, GcodeFacts, GcodeParser, ToolFacts};
use tempfile::TempDir;

use self::octoprint_analysis::assert_moves_match;
use crate::support::{env_or_skip, needs};

mod octoprint_analysis;
mod random_moves;

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// A folder with the model and the result of a slicer.
struct Workbench {
    folder: TempDir,
    slicer: PathBuf,
}

impl Workbench {
    fn new(slicer: &str) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), slicer: slicer.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a cube as ASCII STL, with a corner at the origin.
    fn write_cube(&self, size_mm: f64) -> PathBuf {
        let corner = |index: usize| [index >> 2 & 1, index >> 1 & 1, index & 1].map(|bit| bit as f64 * size_mm);
        // Corners of each face, against the clock as seen from outside.
        let faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]];
        let mut stl = "solid cube\n".to_owned();
        for [a, b, c, d] in faces {
            for triangle in [[a, b, c], [a, c, d]] {
                stl.push_str("facet normal 0 0 0\nouter loop\n");
                for [x, y, z] in triangle.map(corner) {
                    let _ = writeln!(stl, "vertex {x} {y} {z}");
                }
                stl.push_str("endloop\nendfacet\n");
            }
        }
        stl.push_str("endsolid cube\n");
        let path = self.path("cube.stl");
        fs::write(&path, stl).expect("written");
        path
    }

    /// Runs the slicer. Returns the G-code, and the parser's facts.
    fn slice(&self, command: &mut Command) -> (String, GcodeFacts) {
        let output = command.current_dir(self.folder.path()).output().expect("the slicer starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(self.path("out.gcode")).expect("the slicer's file");
        let mut parser = GcodeParser::new();
        text.as_bytes().chunks(65_536).for_each(|chunk| parser.push(chunk));
        (text, parser.finish())
    }

    fn prusa_slicer(&self, size_mm: f64, settings: &str, arguments: &[&str]) -> (String, GcodeFacts) {
        let cube = self.write_cube(size_mm);
        fs::write(self.path("settings.ini"), settings).expect("written");
        let mut command = Command::new(&self.slicer);
        command.arg("--datadir").arg(self.path("data")).args(["--load", "settings.ini", "-g", "-o", "out.gcode"]);
        self.slice(command.args(arguments).arg(cube))
    }

    fn cura_engine(&self, resources: &str, printer: &str, arguments: &[&str]) -> (String, GcodeFacts) {
        let definitions = Path::new(resources).join("definitions");
        let extruders = Path::new(resources).join("extruders");
        self.write_cube(20.0);
        let mut command = Command::new(&self.slicer);
        command.env("CURA_ENGINE_SEARCH_PATH", format!("{}:{}", definitions.display(), extruders.display()));
        command.args(["slice", "-o", "out.gcode", "-j"]).arg(definitions.join(format!("{printer}.def.json")));
        self.slice(command.args(arguments))
    }
}

/// Returns the values of `; key = value`, split at a separator. The key must occur once.
fn values<'a>(text: &'a str, key: &str, separator: char) -> Vec<&'a str> {
    let start = format!("; {key} = ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&start));
    let value = lines.next().unwrap_or_else(|| panic!("no line {start}"));
    assert_eq!(lines.next(), None, "{start}");
    value.split(separator).map(str::trim).collect()
}

fn numbers(text: &str, key: &str) -> Vec<f64> {
    values(text, key, ',').into_iter().map(|value| value.parse().expect("a number")).collect()
}

/// Returns the seconds of `3d 16h 18m 40s`.
fn seconds(duration: &str) -> u64 {
    let part = |part: &str| {
        let (number, unit) = part.split_at(part.len() - 1);
        let unit = ["s", "m", "h", "d"].iter().position(|known| *known == unit).expect("a unit");
        number.parse::<u64>().expect("a number") * [1, 60, 3_600, DAY_S][unit]
    };
    duration.split(' ').map(part).sum()
}

/// Compares all facts with the lines of PrusaSlicer.
fn assert_facts_match_prusa_slicer(text: &str, facts: &GcodeFacts) {
    let first: Vec<&str> = text.lines().next().expect("a line").split(' ').collect();
    assert_eq!(first[..3], [";", "generated", "by"]);
    let slicer = facts.slicer.as_ref().expect("a slicer");
    assert_eq!((slicer.name.as_str(), slicer.version.as_deref()), (first[3], Some(first[4])));
    assert_eq!(facts.printer_model.as_deref(), Some(values(text, "printer_model", '\n')[0]));
    assert_eq!(facts.nozzle_mm, numbers(text, "nozzle_diameter"));
    assert_eq!(facts.layer_height_mm, Some(numbers(text, "layer_height")[0]));
    let time = values(text, "estimated printing time (normal mode)", '\n')[0];
    assert_eq!(facts.estimated_print_time_s, Some(seconds(time)), "{time}");
    let corner = values(text, "bed_shape", ',')[2].split_once('x').expect("a corner");
    assert_eq!(facts.bed_mm, Some([corner.0, corner.1].map(|value| value.parse().expect("a number"))));
    let labels: BTreeSet<&str> = text.lines().filter(|line| line.starts_with("; printing object ")).collect();
    assert_eq!(facts.objects.map(|count| count as usize), Some(labels.len()));
    let (materials, colors) = (values(text, "filament_type", ';'), values(text, "filament_colour", ';'));
    let (mm, g) = (numbers(text, "filament used [mm]"), numbers(text, "filament used [g]"));
    let tool = |tool: usize| ToolFacts {
        tool: tool as u32,
        material: Some(materials[tool].to_owned()),
        color: Some(colors[tool].to_owned()),
        filament_mm: Some(mm[tool]),
        filament_g: Some(g[tool]),
    };
    assert_eq!(facts.tools, (0..materials.len()).map(tool).collect::<Vec<_>>());
    for (tool, mm) in mm.iter().enumerate() {
        // The slicer rounds to two digits.
        assert!((facts.extruded_mm[tool] - mm).abs() < 0.01, "tool {tool}: {} and {mm}", facts.extruded_mm[tool]);
    }
}

fn size_mm(bounds: Bounds) -> [f64; 3] {
    std::array::from_fn(|axis| bounds.max[axis] - bounds.min[axis])
}

#[test]
#[ignore = "needs PrusaSlicer and OctoPrint, which tests/run provides"]
fn prusa_slicer_with_one_tool() {
    let slicer = needs!(env_or_skip("PRINTYARD_TEST_PRUSA_SLICER", "PrusaSlicer"));
    let settings = "layer_height = 0.2\nfilament_density = 1.24\nprinter_model = MK4\nskirts = 0\n\
        bed_shape = 0x0,250x0,250x210,0x210\ngcode_label_objects = 1\n";
    // The start G-code prints outside the bed.
    let purge = "start_gcode = G28\\nM83\\nG1 X0 Y-3 Z0.3\\nG1 X60 E9\n";
    let (text, facts) =
        Workbench::new(&slicer).prusa_slicer(20.0, &format!("{settings}use_relative_e_distances = 1\n{purge}"), &[]);
    needs!(assert_moves_match(&text));
    let bounds = facts.bounds_mm.expect("bounds");
    assert_eq!((bounds.min[0], bounds.min[1]), (0.0, -3.0), "the purge line");
    let model = size_mm(facts.bounds_after_first_layer_mm.expect("layers"));
    assert!(model.iter().all(|mm| (19.0..=20.0).contains(mm)), "the cube without the purge line: {model:?}");

    let (text, facts) = Workbench::new(&slicer).prusa_slicer(20.0, settings, &[]);
    assert_facts_match_prusa_slicer(&text, &facts);
    needs!(assert_moves_match(&text));
}

#[test]
#[ignore = "needs PrusaSlicer and OctoPrint, which tests/run provides"]
fn prusa_slicer_with_two_tools() {
    let slicer = needs!(env_or_skip("PRINTYARD_TEST_PRUSA_SLICER", "PrusaSlicer"));
    let settings = "layer_height = 0.2\nnozzle_diameter = 0.4,0.6\nfilament_type = PETG;PLA\n\
        filament_colour = #FF8000;#000000\nfilament_density = 1.27,1.24\nfilament_diameter = 1.75,1.75\n\
        printer_model = XL\nbed_shape = 0x0,360x0,360x360,0x360\nperimeter_extruder = 1\ninfill_extruder = 2\n\
        solid_infill_extruder = 2\ngcode_label_objects = 1\n";
    let (text, facts) = Workbench::new(&slicer).prusa_slicer(20.0, settings, &["--duplicate", "3"]);
    assert_facts_match_prusa_slicer(&text, &facts);
    assert_eq!((facts.tools.len(), facts.objects), (2, Some(3)));
    needs!(assert_moves_match(&text));
}

#[test]
#[ignore = "needs PrusaSlicer and OctoPrint, which tests/run provides"]
fn prusa_slicer_with_a_print_of_more_than_three_days() {
    let slicer = needs!(env_or_skip("PRINTYARD_TEST_PRUSA_SLICER", "PrusaSlicer"));
    // Slow, so that the file is small.
    let settings = "layer_height = 0.3\nfilament_density = 1.27\nprinter_model = MK4\nfill_density = 5%\n\
        perimeter_speed = 12\nexternal_perimeter_speed = 12\ninfill_speed = 12\nsolid_infill_speed = 12\n\
        bed_shape = 0x0,250x0,250x210,0x210\ngcode_label_objects = 1\n";
    let (text, facts) = Workbench::new(&slicer).prusa_slicer(180.0, settings, &[]);
    assert_facts_match_prusa_slicer(&text, &facts);
    assert!(facts.estimated_print_time_s > Some(3 * DAY_S), "{:?}", facts.estimated_print_time_s);
    needs!(assert_moves_match(&text));
}

#[test]
#[ignore = "needs CuraEngine and OctoPrint, which tests/run provides"]
fn curaengine_alone_writes_placeholders() {
    let slicer = needs!(env_or_skip("PRINTYARD_TEST_CURA_ENGINE", "CuraEngine"));
    let resources = needs!(env_or_skip("PRINTYARD_TEST_CURA_RESOURCES", "Cura's definitions of printers"));
    let arguments = ["-s", "layer_height=0.2", "-l", "cube.stl"];
    let (text, facts) = Workbench::new(&slicer).cura_engine(&resources, "creality_ender3", &arguments);
    let has_line = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!([";TIME:6666", ";Filament used: 0m", ";MINX:2.14748e+06"].into_iter().all(has_line));
    let version = text.lines().find_map(|line| line.strip_prefix(";Generated with Cura_SteamEngine ")).expect("a name");
    let named = facts.slicer.expect("a slicer");
    assert_eq!((named.name.as_str(), named.version.as_deref()), ("Cura", Some(version)));
    assert_eq!((facts.estimated_print_time_s, facts.tools, facts.printer_model), (None, vec![], None));
    assert_eq!(facts.layer_height_mm, Some(0.2));
    let model = size_mm(facts.bounds_after_first_layer_mm.expect("layers"));
    assert!(model[2] < 20.5, "the cube without the purge line: {model:?}");
    needs!(assert_moves_match(&text));
}

#[test]
#[ignore = "needs CuraEngine and OctoPrint, which tests/run provides"]
fn curaengine_with_two_tools_and_a_griffin_header() {
    let slicer = needs!(env_or_skip("PRINTYARD_TEST_CURA_ENGINE", "CuraEngine"));
    let resources = needs!(env_or_skip("PRINTYARD_TEST_CURA_RESOURCES", "Cura's definitions of printers"));
    let arguments =
        ["-s", "layer_height=0.2", "-e0", "-l", "cube.stl", "-e1", "-s", "mesh_position_x=40", "-l", "cube.stl"];
    let (text, facts) = Workbench::new(&slicer).cura_engine(&resources, "ultimaker_s5", &arguments);
    let value = |key: &str| {
        let start = format!(";{key}:");
        text.lines().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
    };
    let nozzle = |tool: u32| value(&format!("EXTRUDER_TRAIN.{tool}.NOZZLE.DIAMETER")).expect("a nozzle");
    assert_eq!(facts.nozzle_mm, [nozzle(0), nozzle(1)].map(|mm| mm.parse::<f64>().expect("a number")));
    assert_eq!(facts.printer_model, value("TARGET_MACHINE.NAME"));
    assert_eq!(facts.slicer.expect("a slicer").version, value("GENERATOR.VERSION"));
    assert_eq!((facts.estimated_print_time_s, facts.tools), (None, vec![]));
    assert_eq!(facts.extruded_mm.len(), 2);
    needs!(assert_moves_match(&text));
}
