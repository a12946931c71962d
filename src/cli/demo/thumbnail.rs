//! Pictures of the demo's parts, drawn from signed distance functions.
//!
//! A signed distance function returns the distance from a point to the surface of a part, below 0 inside it. A ray moves
//! by this distance until it reaches the surface. No picture has to be stored, and each is the same on every machine.

use anyhow::Context;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// Width and height, in pixels.
pub const SIZE: u16 = 128;
/// Half of the width of the view. Parts are within 1 of the origin on each axis.
const VIEW: f32 = 1.4;
/// Steps after which a ray counts as a miss.
const MAX_STEPS: usize = 40;
/// Distance at which a ray has reached the surface.
const SURFACE: f32 = 0.004;
/// Distance from the start of a ray to the plane through the origin.
const CAMERA: f32 = 3.0;

/// A point, a direction or a colour. X points to the right, Y to the back, Z up.
pub type Vector = [f32; 3];
/// Returns the distance from a point to the surface of a part.
pub type Shape = fn(Vector) -> f32;

/// Returns a part as a PNG, in a colour of the form `#rrggbb`, on a transparent background.
pub fn render_png(shape: Shape, color: &str) -> anyhow::Result<Vec<u8>> {
    let color = parse_color(color).with_context(|| format!("{color} is not a colour"))?;
    let position = |pixel: u16| ((f32::from(pixel) + 0.5) / f32::from(SIZE) * 2.0 - 1.0) * VIEW;
    let mut pixels = Vec::new();
    for row in 0..SIZE {
        for column in 0..SIZE {
            pixels.extend(render_pixel(shape, color, position(column), -position(row)));
        }
    }
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(&pixels, SIZE.into(), SIZE.into(), ExtendedColorType::Rgba8)?;
    Ok(png)
}

/// Returns the pixel at a position of the view, as red, green, blue and opacity.
fn render_pixel(shape: Shape, color: Vector, x: f32, y: f32) -> [u8; 4] {
    let forward = normalize([-0.55, 0.75, -0.62]);
    let right = normalize([forward[1], -forward[0], 0.0]);
    let up = cross(right, forward);
    let start = add(add(scale(right, x), scale(up, y)), scale(forward, -CAMERA));
    let (mut travelled, mut closest) = (0.0_f32, f32::MAX);
    for _ in 0..MAX_STEPS {
        let point = add(start, scale(forward, travelled));
        let distance = shape(point);
        if distance < SURFACE {
            return opaque(shade(shape, point, color));
        }
        closest = closest.min(distance);
        travelled += distance;
        if travelled > 2.0 * CAMERA {
            break;
        }
    }
    // The rim is half transparent, so that it has no visible steps.
    let pixel = 2.0 * VIEW / f32::from(SIZE);
    let [red, green, blue, _] = opaque(scale(color, 0.7));
    [red, green, blue, to_byte(1.0 - closest / pixel)]
}

/// Returns the colour of a point on the surface, by the direction of the surface to the light.
fn shade(shape: Shape, point: Vector, color: Vector) -> Vector {
    let slope = |axis: usize| {
        let mut next = point;
        next[axis] += 0.01;
        shape(next) - shape(point)
    };
    let normal = normalize([slope(0), slope(1), slope(2)]);
    let light = dot(normal, normalize([0.25, -0.6, 0.9])).max(0.0);
    let highlight = 0.12 * light.powi(8);
    add(scale(color, 0.42 + 0.66 * light), [highlight; 3])
}

fn opaque(color: Vector) -> [u8; 4] {
    let [red, green, blue] = color.map(to_byte);
    [red, green, blue, u8::MAX]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is from 0 to 255")]
fn to_byte(part: f32) -> u8 {
    (part.clamp(0.0, 1.0) * 255.0) as u8
}

fn parse_color(text: &str) -> Option<Vector> {
    let part = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    Some([part(1)?, part(3)?, part(5)?].map(|part| f32::from(part) / 255.0))
}

fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

fn scale(a: Vector, by: f32) -> Vector {
    a.map(|part| part * by)
}

fn dot(a: Vector, b: Vector) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn normalize(a: Vector) -> Vector {
    scale(a, 1.0 / dot(a, a).sqrt().max(f32::EPSILON))
}

/// A box with rounded edges, by its middle and half of its size.
fn rounded_box(point: Vector, middle: Vector, half: Vector) -> f32 {
    const EDGE: f32 = 0.03;
    let [x, y, z] = [0, 1, 2].map(|axis| (point[axis] - middle[axis]).abs() - half[axis] + EDGE);
    let outside = [x.max(0.0), y.max(0.0), z.max(0.0)];
    dot(outside, outside).sqrt() + x.max(y).max(z).min(0.0) - EDGE
}

/// An upright cylinder, by its middle, its radius and half of its height.
fn cylinder(point: Vector, middle: Vector, radius: f32, half: f32) -> f32 {
    let [x, y, z] = [0, 1, 2].map(|axis| point[axis] - middle[axis]);
    (x.hypot(y) - radius).max(z.abs() - half)
}

/// A wall bracket with a gusset and holes.
pub fn bracket(point: Vector) -> f32 {
    let [x, y, z] = point;
    let foot = rounded_box(point, [0.0, 0.0, -0.65], [0.9, 0.55, 0.11]);
    let wall = rounded_box(point, [0.79, 0.0, 0.1], [0.11, 0.55, 0.85]);
    let gusset = ((z - x + 0.15) * 0.707).max(rounded_box(point, [0.2, 0.0, -0.1], [0.6, 0.09, 0.6]));
    let holes = cylinder(point, [-0.5, 0.0, -0.65], 0.17, 1.0).min((y.hypot(z - 0.55) - 0.17).max(0.4 - x));
    foot.min(wall).min(gusset).max(-holes)
}

/// A link of a cable chain.
pub fn cable_chain(point: Vector) -> f32 {
    let [x, y, z] = point;
    let outer = rounded_box(point, [0.0; 3], [0.85, 0.6, 0.5]);
    let channel = rounded_box(point, [0.0, 0.0, 0.08], [1.2, 0.44, 0.36]);
    let pins = (x.abs() - 0.62).hypot(z) - 0.16;
    let pins = pins.max(y.abs() - 0.74);
    let slot = rounded_box(point, [0.0, 0.0, 0.5], [0.28, 0.7, 0.3]);
    outer.max(-channel).max(-slot).min(pins)
}

/// A stand for a phone.
pub fn phone_stand(point: Vector) -> f32 {
    let [x, y, z] = point;
    let base = rounded_box(point, [0.0, 0.0, -0.72], [0.6, 0.75, 0.09]);
    let tilted = [x, y * 0.9 - z * 0.436, y * 0.436 + z * 0.9];
    let back = rounded_box(tilted, [0.0, 0.2, 0.02], [0.6, 0.08, 0.86]);
    let lip = rounded_box(point, [0.0, -0.55, -0.55], [0.6, 0.07, 0.2]);
    let window = rounded_box(tilted, [0.0, 0.2, 0.15], [0.3, 0.3, 0.4]);
    base.min(back.max(-window)).min(lip)
}

/// A spur gear with an axle hole.
pub fn gear(point: Vector) -> f32 {
    let [x, y, _] = point;
    let teeth = (y.atan2(x) * 14.0).sin().clamp(-0.5, 0.5) * 0.14;
    let wheel = cylinder(point, [0.0; 3], 0.85 + teeth, 0.2) * 0.6;
    let hub = cylinder(point, [0.0, 0.0, 0.12], 0.34, 0.34);
    let bore = cylinder(point, [0.0; 3], 0.15, 1.0);
    let ring = (x.hypot(y) - 0.52).abs() - 0.1;
    let groove = ring.max(0.1 - point[2]);
    wheel.max(-groove).min(hub).max(-bore)
}

/// A housing for a fan.
pub fn fan_housing(point: Vector) -> f32 {
    let [x, y, _] = point;
    let frame = rounded_box(point, [0.0; 3], [0.9, 0.9, 0.3]).max(-cylinder(point, [0.0; 3], 0.78, 1.0));
    let struts = (x - y).abs().min((x + y).abs()) * 0.707 - 0.05;
    let struts = struts.max(cylinder(point, [0.0, 0.0, -0.2], 0.85, 0.06));
    let hub = cylinder(point, [0.0, 0.0, -0.05], 0.28, 0.2);
    let screws = cylinder([x.abs(), y.abs(), point[2]], [0.76, 0.76, 0.0], 0.08, 1.0);
    frame.min(struts).min(hub).max(-screws)
}

/// A drill guide with three sizes of holes.
pub fn drill_guide(point: Vector) -> f32 {
    let body = rounded_box(point, [0.0, 0.15, 0.0], [0.95, 0.4, 0.4]);
    let flange = rounded_box(point, [0.0, 0.0, -0.42], [0.95, 0.75, 0.09]);
    let holes = [(-0.55, 0.12), (0.0, 0.18), (0.55, 0.25)];
    let holes = holes.map(|(x, radius)| cylinder(point, [x, 0.15, 0.0], radius, 1.0));
    body.min(flange).max(-holes.into_iter().fold(f32::MAX, f32::min))
}
