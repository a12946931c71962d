//! Moves: bounds and filament as in OctoPrint's analysis.

use super::{area, assert_near, parse, sample};

#[test]
fn bounds_include_the_start_of_an_extruding_move_and_the_bed() {
    let bounds = parse("G1 X10 Y20 Z5\nG1 X30 Y15 E1\nG1 X99 Y99\n").bounds_mm.expect("bounds");
    assert_eq!((bounds.min, bounds.max), ([10.0, 15.0, 0.0], [30.0, 20.0, 5.0]));
    assert_eq!(parse("G1 X10 Y20 E-1\nG1 E5\nG1 X5\n").bounds_mm, None, "nothing is printed");
}

#[test]
fn bounds_after_the_first_layer_exclude_the_purge_line() {
    let facts = sample("simplify3d");
    assert_eq!(facts.bounds_mm.expect("bounds").min, [0.0, -5.0, 0.0]);
    assert_eq!(facts.bounds_after_first_layer_mm.expect("bounds").min, [100.0, 100.0, 0.18]);
    for layer in [";LAYER_CHANGE", "; CHANGE_LAYER", ";LAYER:0", "; layer 1, Z = 0.2"] {
        let facts = parse(format!("M83\nG1 Y-3\nG1 X60 E9\n{layer}\nG1 X10 Y10\nG1 X20 E1\n{layer}\nG1 X30 E1\n"));
        let bounds = facts.bounds_after_first_layer_mm.expect(layer);
        assert_eq!((bounds.min, bounds.max), ([10.0, 10.0, 0.0], [30.0, 10.0, 0.0]));
        assert_eq!(facts.bounds_mm.expect("bounds").min, [0.0, -3.0, 0.0]);
    }
    assert_eq!(parse("G1 X5 E1\n").bounds_after_first_layer_mm, None);
}

#[test]
fn absolute_and_relative_modes() {
    assert_near(area("G91\nG1 X10 Y10 E1\nG1 X5 Y-2 E1\n"), [0.0, 0.0, 15.0, 10.0]);
    assert_eq!(parse("G1 X1 E5\nG1 X2 E4\nG1 X3 E6\n").extruded_mm, [6.0], "retractions are regained");
    assert_eq!(parse("M83\nG1 X1 E5\nG1 X2 E-1\nM82\nG1 X3 E10\n").extruded_mm, [10.0]);
    assert_eq!(parse("G91\nG1 X1 E5\nG90\nG1 X2 E7\n").extruded_mm, [7.0], "G91 makes E relative");
}

#[test]
fn g92_moves_the_origin() {
    assert_eq!(parse("G1 X1 E5\nG92 E0\nG1 X2 E3\n").extruded_mm, [8.0]);
    assert_eq!(parse("G1 X1 E5\nG92\nG1 X2 E3\n").extruded_mm, [8.0]);
    assert_near(area("G1 X50 Y50\nG92 X0 Y10\nG1 X20 E1\n"), [0.0, 10.0, 20.0, 10.0]);
}

#[test]
fn g28_homes() {
    assert_near(area("G1 X50 Y50\nG28\nG1 X20 E1\n"), [0.0, 0.0, 20.0, 0.0]);
    assert_near(area("G1 X50 Y50\nG28 X0\nG1 Y20 E1\n"), [0.0, 20.0, 0.0, 50.0]);
}

#[test]
fn inches_scale_positions() {
    assert_near(area("G20\nG1 X1 Y1\nG1 X2 Y1 E1\nG21\nG1 X60 Y1 E2\n"), [25.4, 1.0, 60.0, 25.4]);
}

#[test]
fn tools_have_their_own_filament() {
    let facts = parse("G1 X1 E5\nT1\nG1 X2 E3\nT0\nG1 X3 E7\nT255\nG1 X4 E8\nT1000\nT99999999999\n");
    assert_near(&facts.extruded_mm, [8.0, 3.0]);
    assert_near(parse("M605 S2\nT1\nT0\nG1 X1 E5\nM605 S1\nG1 X1 E6\n").extruded_mm, [6.0, 5.0]);
}

#[test]
fn firmware_retraction_does_not_extrude() {
    assert_eq!(parse("M83\nG1 X1 E5\nG10\nG11\nG10 S1\nG1 X2 E1\n").extruded_mm, [6.0]);
}

#[test]
fn arcs_have_their_true_bounds() {
    // Quarter of a circle around the origin, in both directions.
    assert_near(area("G1 X10 Y0\nG3 X0 Y10 I-10 J0 E1\n"), [0.0, 0.0, 10.0, 10.0]);
    assert_near(area("G1 X10 Y0\nG2 X0 Y10 I-10 J0 E1\n"), [-10.0, -10.0, 10.0, 10.0]);
    // From 315° to 135°: passes 0° and 90°.
    assert_near(area("G1 X7.0711 Y-7.0711\nG3 X-7.0711 Y7.0711 I-7.0711 J7.0711 E1\n"), [-7.0711, -7.0711, 10.0, 10.0]);
    // A full circle, with and without its end point.
    assert_near(area("G1 X20 Y10\nG2 I-10 J0 E1\n"), [0.0, 0.0, 20.0, 20.0]);
    assert_near(area("G1 X20 Y10\nG3 X20 Y10 I-10 E1\n"), [0.0, 0.0, 20.0, 20.0]);
    assert_near(area("G91\nG1 X20 Y10\nG3 X-20 Y0 I-10 E1\n"), [0.0, 10.0, 20.0, 20.0]);
}

#[test]
fn arcs_by_radius() {
    // Half a circle above, half a circle below.
    assert_near(area("G1 X0 Y10\nG2 X20 Y10 R10 E1\n"), [0.0, 10.0, 20.0, 20.0]);
    assert_near(area("G1 X0 Y10\nG3 X20 Y10 R10 E1\n"), [0.0, 0.0, 20.0, 10.0]);
    // A quarter, and the three quarters of a negative radius.
    assert_near(area("G1 X10 Y0\nG3 X0 Y10 R10 E1\n"), [0.0, 0.0, 10.0, 10.0]);
    assert_near(area("G1 X10 Y0\nG3 X0 Y10 R-10 E1\n"), [0.0, 0.0, 20.0, 20.0]);
    // Impossible: too far apart, or no chord. Counts as a line.
    assert_near(area("G1 X10 Y0\nG3 X100 Y0 R10 E1\n"), [10.0, 0.0, 100.0, 0.0]);
    assert_near(area("G1 X10 Y5\nG3 X10 Y5 R10 E1\n"), [10.0, 5.0, 10.0, 5.0]);
    assert_near(area("G20\nG1 X0 Y1\nG2 X2 Y1 R1 E1\n"), [0.0, 25.4, 50.8, 50.8]);
}

#[test]
fn arcs_extrude() {
    assert_eq!(parse("G1 X10\nG3 X0 Y10 I-10 E4\nG02 X10 Y0 J-10 E6\n").extruded_mm, [6.0]);
    assert_eq!(parse("G1 X10\nG3 X0 Y10 I-10\n").bounds_mm, None);
}

#[test]
fn forms_of_commands() {
    for text in [
        "G1 X10 Y20 E1",
        "G1X10Y20E1",
        "  G1 X10 Y20 E1",
        "G01 X10\tY20  E1",
        "G1 Y20.0 E1.0 X+10 ; X99",
        "G1 F900 X1e1 Y2e1 E1;E9",
    ] {
        let facts = parse(format!("{text}\n"));
        assert_eq!(facts.extruded_mm, [1.0], "{text}");
        assert_eq!(facts.bounds_mm.expect(text).max, [10.0, 20.0, 0.0], "{text}");
    }
    for text in ["G10 X10 E1", "g1 x10 e1", "N1 G1 X10 E1", "M117 G1 X10 E1", "; G1 X10 E1", "G X10 E1", "G1 X E"] {
        assert_eq!(parse(text).bounds_mm, None, "{text}");
    }
    assert_eq!(parse("G1 XNaN Yinf E1 X1e300 Ze5\n").bounds_mm, None, "no number");
}

#[test]
fn the_curve_follows_the_file() {
    let line = "G1 X100.123 Y100.1 E1.000000000\n";
    assert_eq!(line.len(), 32);
    let facts = parse(format!("M83{}\n{}", " ".repeat(28), line.repeat(5_000)));
    let curve = &facts.extrusion;
    assert_eq!((curve.stride_bytes, curve.mm.as_slice()), (65_536, [2_047.0, 4_095.0, 5_000.0].as_slice()));
    assert_near([curve.mm_at(0), curve.mm_at(32_768), curve.mm_at(u64::MAX)], [0.0, 1_023.5, 5_000.0]);
}
