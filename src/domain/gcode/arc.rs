//! Bounds of circular moves (G2 and G3) in the XY plane.

use std::f64::consts::{FRAC_PI_2, TAU};

/// How a command describes the centre of an arc.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ArcForm {
    /// Offset of the centre from the start, in mm (I and J).
    Offset([f64; 2]),
    /// Radius in mm (R). Negative: the longer of the two arcs.
    Radius(f64),
}

/// Returns the box of an arc in mm: minimum, then maximum. An arc that cannot exist counts as a straight line.
pub fn arc_bounds(start: [f64; 2], end: [f64; 2], form: ArcForm, clockwise: bool) -> ([f64; 2], [f64; 2]) {
    let mut min = [start[0].min(end[0]), start[1].min(end[1])];
    let mut max = [start[0].max(end[0]), start[1].max(end[1])];
    let centre = match form {
        ArcForm::Offset(offset) => [start[0] + offset[0], start[1] + offset[1]],
        ArcForm::Radius(radius) => match find_centre(start, end, radius, clockwise) {
            Some(centre) => centre,
            None => return (min, max),
        },
    };
    let radius = (start[0] - centre[0]).hypot(start[1] - centre[1]);
    if radius == 0.0 {
        return (min, max);
    }
    let (from, to) = if clockwise { (end, start) } else { (start, end) };
    let angle = |point: [f64; 2]| (point[1] - centre[1]).atan2(point[0] - centre[0]);
    let first = angle(from);
    let mut sweep = (angle(to) - first).rem_euclid(TAU);
    // Marlin and Klipper draw a full circle from a point to itself.
    if start == end {
        sweep = TAU;
    }
    for quarter in 0..4u8 {
        if (f64::from(quarter) * FRAC_PI_2 - first).rem_euclid(TAU) <= sweep {
            match quarter {
                0 => max[0] = max[0].max(centre[0] + radius),
                1 => max[1] = max[1].max(centre[1] + radius),
                2 => min[0] = min[0].min(centre[0] - radius),
                _ => min[1] = min[1].min(centre[1] - radius),
            }
        }
    }
    (min, max)
}

/// Returns the centre of an arc with this radius, or `None` if the ends coincide or are too far apart.
fn find_centre(start: [f64; 2], end: [f64; 2], radius: f64, clockwise: bool) -> Option<[f64; 2]> {
    let (dx, dy) = (end[0] - start[0], end[1] - start[1]);
    let distance = dx.hypot(dy);
    let square = radius * radius - distance * distance / 4.0;
    if distance == 0.0 || radius == 0.0 || square < -1e-3 * radius * radius {
        return None;
    }
    // The centre of a short clockwise arc is on the right of the chord.
    let side = if clockwise == (radius > 0.0) { -1.0 } else { 1.0 };
    let height = side * square.max(0.0).sqrt() / distance;
    Some([(start[0] + end[0]) / 2.0 - dy * height, (start[1] + end[1]) / 2.0 + dx * height])
}
