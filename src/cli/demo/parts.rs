//! The parts that the demo prints: their G-code, in the form of PrusaSlicer, and their place on printers.

use std::fmt::Write as _;

use anyhow::anyhow;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use super::thumbnail::{self, Shape};
use printyard::domain::printer_content::content_folder;

/// Print time of one pass to the right, in seconds. A pause begins after the current pass.
const PASS_S: f64 = 2.0;
/// Print time of a pass to the right, the way back and the steps to the next passes, in seconds.
const PAIR_S: f64 = 2.07;
/// Pairs of passes in a layer.
const PASSES: u32 = 30;
/// Seconds until the printer is hot.
const HEATING_S: u32 = 25;
/// Mass of one metre of filament, in grams.
const GRAMS_PER_METRE: f64 = 3.0;

/// A type of printer, with its filament.
pub struct PrinterType {
    pub model: &'static str,
    pub nozzle_mm: f64,
    pub bed_mm: [f64; 3],
    pub material: &'static str,
    /// Colour of the filament.
    pub color: &'static str,
    /// Temperatures of the tool and the bed while it prints.
    pub temperatures_c: [u16; 2],
}

/// The types of the demo's printers.
pub const PRINTER_TYPES: [PrinterType; 3] = [
    PrinterType {
        model: "MK4",
        nozzle_mm: 0.4,
        bed_mm: [250.0, 210.0, 220.0],
        material: "PETG",
        color: "#f2711c",
        temperatures_c: [240, 85],
    },
    PrinterType {
        model: "MINI+",
        nozzle_mm: 0.4,
        bed_mm: [180.0, 180.0, 180.0],
        material: "PLA",
        color: "#2185d0",
        temperatures_c: [215, 60],
    },
    PrinterType {
        model: "XL",
        nozzle_mm: 0.6,
        bed_mm: [360.0, 360.0, 360.0],
        material: "ASA",
        color: "#6b7480",
        temperatures_c: [260, 105],
    },
];

/// A part of the demo. Each printer type prints the parts at its own index, and at that index plus the number of types.
struct Part {
    name: &'static str,
    print_minutes: u32,
    grams: f64,
    shape: Shape,
}

const PARTS: [Part; 6] = [
    Part { name: "bracket-left", print_minutes: 112, grams: 46.2, shape: thumbnail::bracket },
    Part { name: "phone-stand", print_minutes: 73, grams: 31.4, shape: thumbnail::phone_stand },
    Part { name: "fan-housing", print_minutes: 268, grams: 164.0, shape: thumbnail::fan_housing },
    Part { name: "cable-chain", print_minutes: 214, grams: 88.6, shape: thumbnail::cable_chain },
    Part { name: "gear-48t", print_minutes: 148, grams: 57.3, shape: thumbnail::gear },
    Part { name: "drill-guide", print_minutes: 95, grams: 52.7, shape: thumbnail::drill_guide },
];

/// A part as a file.
pub struct PartFile {
    /// Name of the file.
    pub name: String,
    /// Path of the file on printers, where Printyard would put it.
    pub path: String,
    /// SHA-256 of the content, in hexadecimal digits.
    pub sha256: String,
    pub gcode: String,
    /// Index of its printer type.
    pub printer_type: usize,
    pub print_time_s: u32,
}

/// Returns all parts as files.
pub fn create_files() -> anyhow::Result<Vec<PartFile>> {
    let draw = |(index, part): (usize, &Part)| {
        let printer_type = index % PRINTER_TYPES.len();
        thumbnail::render_png(part.shape, PRINTER_TYPES[printer_type].color)
            .map(|picture| create_file(part, printer_type, &picture))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = PARTS.iter().enumerate().map(|part| scope.spawn(move || draw(part))).collect();
        let finish = |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<PartFile>>| {
            thread.join().map_err(|_| anyhow!("a picture of a part could not be drawn"))?
        };
        threads.into_iter().map(finish).collect()
    })
}

fn create_file(part: &Part, printer_type: usize, picture: &[u8]) -> PartFile {
    let printer = &PRINTER_TYPES[printer_type];
    let (hours, minutes) = (part.print_minutes / 60, part.print_minutes % 60);
    let name = format!(
        "{}_{}n_{}mm_{}_{}_{hours}h{minutes}m.gcode",
        part.name,
        printer.nozzle_mm,
        layer_height(printer),
        printer.material,
        printer.model.trim_end_matches('+')
    );
    let gcode = write_gcode(part, printer, picture);
    let sha256 = Sha256::digest(&gcode).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let path = format!("{}/{name}", content_folder(&sha256));
    PartFile { name, path, sha256, gcode, printer_type, print_time_s: part.print_minutes * 60 }
}

fn layer_height(printer: &PrinterType) -> f64 {
    if printer.nozzle_mm > 0.5 { 0.3 } else { 0.2 }
}

/// Writes the file like PrusaSlicer: pictures, moves, results, settings. A simulated printer takes `part.print_minutes`
/// for it.
fn write_gcode(part: &Part, printer: &PrinterType, picture: &[u8]) -> String {
    let seconds = part.print_minutes * 60;
    // On a simulated printer, only moves in positive directions take time.
    let pairs = f64::from(seconds - HEATING_S) / PAIR_S;
    let layers = (pairs / f64::from(PASSES)).ceil();
    let filament_mm = part.grams / GRAMS_PER_METRE * 1_000.0;
    let extrusion_mm = filament_mm / (layers * f64::from(PASSES) * 2.0);
    let [tool, bed] = printer.temperatures_c;
    let mut text = String::with_capacity(400_000);
    text.push_str("; generated by PrusaSlicer 2.8.0 on 2026-11-29 at 06:30:00 UTC\n");
    let picture = BASE64_STANDARD.encode(picture);
    let _ = writeln!(text, "; thumbnail begin {0}x{0} {1}", thumbnail::SIZE, picture.len());
    for line in picture.as_bytes().chunks(78) {
        let _ = writeln!(text, "; {}", String::from_utf8_lossy(line));
    }
    text.push_str("; thumbnail end\n");
    let _ = writeln!(text, "M140 S{bed}\nM104 S{tool}\nG28\nM190 S{bed}\nM109 S{tool}\nG90\nM83\nG92 E0");
    // The simulator moves ten times faster than a real printer.
    let (left, right, front) = (60.0, 120.0, 60.0);
    let feed = (right - left) / PASS_S * 60.0 / 10.0;
    let mut layer = 0.0;
    while layer < layers {
        layer += 1.0;
        let _ = writeln!(text, ";LAYER_CHANGE\nG1 Z{:.1} F{feed}\nG1 X{left} Y{front}", layer * layer_height(printer));
        for pass in 1..=PASSES {
            let y = front + 2.0 * f64::from(pass);
            let _ = writeln!(
                text,
                "G1 X{right} E{extrusion_mm:.3} F{feed}\nG1 Y{}\nG1 X{left} E{extrusion_mm:.3}\nG1 Y{y}",
                y - 1.0
            );
        }
    }
    let _ = writeln!(text, "M104 S0\nM140 S0\nM84");
    let (hours, minutes) = (part.print_minutes / 60, part.print_minutes % 60);
    let [width, depth, _] = printer.bed_mm;
    let _ = writeln!(
        text,
        "; filament used [mm] = {filament_mm:.2}\n; filament used [g] = {:.2}\n\
         ; estimated printing time (normal mode) = {hours}h {minutes}m 0s\n\
         ; prusaslicer_config = begin\n; bed_shape = 0x0,{width}x0,{width}x{depth},0x{depth}\n\
         ; filament_colour = {}\n; filament_type = {}\n; layer_height = {}\n; nozzle_diameter = {}\n\
         ; printer_model = {}\n; prusaslicer_config = end",
        part.grams,
        printer.color,
        printer.material,
        layer_height(printer),
        printer.nozzle_mm,
        printer.model
    );
    text
}
