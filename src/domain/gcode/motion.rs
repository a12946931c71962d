//! Machine state: position, extrusion per tool and bounds of extruding moves. Follows OctoPrint 1.11's analysis
//! (`octoprint/util/gcodeInterpreter.py`) with its default settings: no tool offsets, a bed at Z 0, and no influence of
//! G90 on the extruder.
//!
//! Deliberate differences:
//!
//! - Arcs have their true bounds. OctoPrint misses quadrants of arcs that pass 0°, full circles, and the centre of R
//!   arcs.
//! - I, J and R are scaled in inches, like X and Y. E is not, as in OctoPrint.
//! - Numbers need no space before the next letter.
//! - Tools up to 63 count. OctoPrint stops at 10 by default.

use super::{
    MAX_TOOLS,
    arc::{ArcForm, arc_bounds},
    facts::Bounds,
    params::{Letter, Params},
};

/// Millimetres per inch.
const INCH_MM: f64 = 25.4;
/// Height of the bed in mm. OctoPrint's bounds always include it.
const BED_Z_MM: f64 = 0.0;

/// State of the simulated printer.
#[derive(Debug)]
pub struct Motion {
    position: [f64; 3],
    /// Millimetres per unit of X, Y and Z.
    scale: f64,
    relative: bool,
    relative_e: bool,
    /// The first tool's extrusion is copied to the others (M605).
    duplicating: bool,
    active: Extruder,
    active_tool: usize,
    /// State of all tools. The active tool's entry is stale.
    tools: Vec<Extruder>,
    bounds: Extent,
    /// The current position is part of `bounds`.
    recorded: bool,
    /// Bounds before the first layer. `None`: no layer was announced yet.
    before_layers: Option<Extent>,
}

/// Extrusion of one tool in mm.
#[derive(Debug, Clone, Copy, Default)]
struct Extruder {
    /// The firmware's E position.
    e: f64,
    total: f64,
    highest: f64,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    min: [f64; 3],
    max: [f64; 3],
}

impl Default for Motion {
    fn default() -> Self {
        Self {
            position: [0.0; 3],
            scale: 1.0,
            relative: false,
            relative_e: false,
            duplicating: false,
            active: Extruder::default(),
            active_tool: 0,
            tools: vec![Extruder::default()],
            bounds: Extent::EMPTY,
            recorded: false,
            before_layers: None,
        }
    }
}

impl Motion {
    /// Processes G0 and G1.
    #[inline(always)]
    pub fn move_linear(&mut self, params: &Params) {
        let old = self.position;
        let moved = params.has_position();
        if moved {
            self.move_to(params);
        }
        let extruded = self.extrude(params);
        if moved {
            if extruded > 0.0 {
                if !self.recorded {
                    self.bounds.include(old);
                }
                self.bounds.include(self.position);
            }
            self.recorded = extruded > 0.0;
        }
    }

    /// Processes G2 and G3.
    #[inline(never)]
    pub fn move_arc(&mut self, params: &Params, clockwise: bool) {
        let old = self.position;
        self.move_to(params);
        let length = |letter| params.get(letter).map(|value| value * self.scale);
        let (i, j, r) = (length(Letter::I), length(Letter::J), length(Letter::R));
        let extruded = self.extrude(params);
        self.recorded = false;
        if !params.has_position() && i.is_none() && j.is_none() && r.is_none() || extruded <= 0.0 {
            return;
        }
        let form = match r {
            Some(radius) if i.is_none() && j.is_none() => ArcForm::Radius(radius),
            _ => ArcForm::Offset([i.unwrap_or(0.0), j.unwrap_or(0.0)]),
        };
        let new = self.position;
        let (min, max) = arc_bounds([old[0], old[1]], [new[0], new[1]], form, clockwise);
        self.bounds.include([min[0], min[1], old[2]]);
        self.bounds.include([max[0], max[1], new[2]]);
    }

    #[inline(always)]
    fn move_to(&mut self, params: &Params) {
        for (axis, letter) in [Letter::X, Letter::Y, Letter::Z].into_iter().enumerate() {
            if let Some(value) = params.get(letter) {
                let base = if self.relative { self.position[axis] } else { 0.0 };
                self.position[axis] = base + value * self.scale;
            }
        }
    }

    /// Returns the extruded length in mm. Negative: a retraction.
    #[inline(always)]
    fn extrude(&mut self, params: &Params) -> f64 {
        let Some(mut e) = params.get(Letter::E) else { return 0.0 };
        if !(self.relative || self.relative_e) {
            e -= self.active.e;
        }
        self.active.add(e);
        if self.duplicating && self.active_tool == 0 {
            self.tools.iter_mut().skip(1).for_each(|tool| tool.add(e));
        }
        e
    }

    /// Processes a G command other than G0 to G3.
    pub fn run_g(&mut self, code: u32, params: &Params) {
        match code {
            20 => self.scale = INCH_MM,
            21 => self.scale = 1.0,
            28 => self.set_axes(params, |_| 0.0),
            90 => self.relative = false,
            91 => self.relative = true,
            92 => {
                match params.get(Letter::E) {
                    Some(e) => self.active.e = e,
                    None if !params.has_position() => self.active.e = 0.0,
                    None => {}
                }
                if params.has_position() || !params.has(Letter::E) {
                    self.set_axes(params, |value| value);
                }
            }
            _ => {}
        }
    }

    /// Processes the M commands that change the extrusion mode.
    pub fn run_m(&mut self, code: u32, params: &Params) {
        match code {
            82 => self.relative_e = false,
            83 => self.relative_e = true,
            605 => {
                self.duplicating = params.get(Letter::S).is_some_and(|mode| [2.0, 4.0, 5.0, 6.0].contains(&mode));
            }
            _ => {}
        }
    }

    /// Sets the named axes, or all axes to 0 if none is named.
    fn set_axes(&mut self, params: &Params, value: impl Fn(f64) -> f64) {
        self.recorded = false;
        for (axis, letter) in [Letter::X, Letter::Y, Letter::Z].into_iter().enumerate() {
            match params.get(letter) {
                Some(given) => self.position[axis] = value(given),
                None if !params.has_position() => self.position[axis] = 0.0,
                None => {}
            }
        }
    }

    /// Processes T. Ignores numbers that are no tool, such as Bambu's T255 and T1000.
    pub fn select_tool(&mut self, tool: u32) {
        let tool = tool as usize;
        if tool >= MAX_TOOLS || tool == self.active_tool {
            return;
        }
        if self.tools.len() <= tool {
            self.tools.resize(tool + 1, Extruder::default());
        }
        self.tools[self.active_tool] = self.active;
        self.active = self.tools[tool];
        self.active_tool = tool;
    }

    /// Processes a comment that announces a layer.
    pub fn begin_layer(&mut self) {
        if self.before_layers.is_none() {
            self.before_layers = Some(std::mem::replace(&mut self.bounds, Extent::EMPTY));
            self.recorded = false;
        }
    }

    /// Returns the highest cumulative extrusion of each tool in mm.
    pub fn extruded_mm(&self) -> impl Iterator<Item = f64> + '_ {
        let highest = |(tool, state): (usize, &Extruder)| {
            if tool == self.active_tool { self.active.highest } else { state.highest }
        };
        self.tools.iter().enumerate().map(highest)
    }

    /// Returns the bounds of all extruding moves in mm. Includes the bed's height.
    pub fn printed_bounds(&self) -> Option<Bounds> {
        let mut all = self.bounds;
        if let Some(before) = self.before_layers.filter(|before| before.bounds().is_some()) {
            all.include(before.min);
            all.include(before.max);
        }
        let mut bounds = all.bounds()?;
        bounds.min[2] = bounds.min[2].min(BED_Z_MM);
        Some(bounds)
    }

    /// Returns the bounds of the extruding moves since the first layer was announced, in mm.
    pub fn printed_bounds_after_first_layer(&self) -> Option<Bounds> {
        self.before_layers.and_then(|_| self.bounds.bounds())
    }
}

impl Extruder {
    #[inline(always)]
    fn add(&mut self, mm: f64) {
        self.total += mm;
        self.e += mm;
        if self.total > self.highest {
            self.highest = self.total;
        }
    }
}

impl Extent {
    const EMPTY: Self = Self { min: [f64::INFINITY; 3], max: [f64::NEG_INFINITY; 3] };

    #[inline(always)]
    fn include(&mut self, point: [f64; 3]) {
        for (axis, value) in point.into_iter().enumerate() {
            self.min[axis] = if value < self.min[axis] { value } else { self.min[axis] };
            self.max[axis] = if value > self.max[axis] { value } else { self.max[axis] };
        }
    }

    fn bounds(&self) -> Option<Bounds> {
        (self.min[0] <= self.max[0]).then_some(Bounds { min: self.min, max: self.max })
    }
}
