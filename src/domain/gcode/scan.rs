//! The parser's hot loop: splits chunks into lines, and lines into commands and comments.

use memchr::{memchr, memrchr};

use super::{
    MAX_LINE_BYTES,
    comment::{CommentEffect, Comments},
    curve::CurveBuilder,
    facts::{GcodeFacts, Thumbnail},
    interpret::fill_facts,
    motion::Motion,
    params::{Letter, Params},
    settings::{Separator, key_of},
    slicer::parse_slicer,
};

/// Reads G-code in chunks. See the module for what it returns.
#[derive(Debug, Default)]
pub struct GcodeParser {
    motion: Motion,
    /// Parameters of the current command.
    params: Params,
    comments: Comments,
    curve: CurveBuilder,
    /// Start of a line whose end has not arrived yet. At most [`MAX_LINE_BYTES`]; more of the line is dropped.
    carry: Vec<u8>,
}

impl GcodeParser {
    /// Creates a scanner at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes of the file. Chunks may be cut anywhere.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // A part is not longer than a line may be, so no line inside of it is too long.
            let room = usize::try_from(self.curve.bytes_to_next()).unwrap_or(usize::MAX).min(MAX_LINE_BYTES);
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            self.push_part(part);
            if self.curve.advance(part.len() as u64) {
                self.curve.add_entry(self.motion.extruded_mm().sum());
            }
            bytes = rest;
        }
    }

    /// A fact from the metadata blocks of a `.bgcode` file: the same keys as PrusaSlicer's `; key = value` lines.
    pub fn push_setting(&mut self, key: &str, value: &str) {
        let (key, value) = (key.trim(), value.trim());
        if key == "objects_info" {
            self.comments.objects.set_info(value);
        } else if let Some(key) = key_of(Separator::Equals, key) {
            self.comments.settings.set_from_metadata(key, value);
        }
    }

    /// Adds a thumbnail from a `.bgcode` block or a 3MF entry. Skipped if it is larger than
    /// [`MAX_THUMBNAIL_BYTES`](super::MAX_THUMBNAIL_BYTES), or if there are [`MAX_THUMBNAILS`](super::MAX_THUMBNAILS).
    pub fn push_thumbnail(&mut self, thumbnail: Thumbnail) {
        self.comments.thumbnails.add_thumbnail(thumbnail);
    }

    /// Sets the program that metadata name, such as `PrusaSlicer 2.8.0`. The first program counts.
    pub fn set_producer(&mut self, producer: &str) {
        if let Some(slicer) = parse_slicer(producer) {
            self.comments.slicer.get_or_insert(slicer);
        }
    }

    /// Returns the facts. A last line without a line end counts.
    pub fn finish(mut self) -> GcodeFacts {
        self.flush_carry();
        let extruded_mm: Vec<f64> = self.motion.extruded_mm().collect();
        let mut facts = GcodeFacts {
            objects: self.comments.objects.count_objects(),
            bounds_mm: self.motion.printed_bounds(),
            bounds_after_first_layer_mm: self.motion.printed_bounds_after_first_layer(),
            extrusion: self.curve.finish(extruded_mm.iter().sum()),
            extruded_mm,
            thumbnails: self.comments.thumbnails.finish(),
            ..GcodeFacts::default()
        };
        fill_facts(&self.comments.settings, self.comments.slicer, &mut facts);
        facts
    }

    fn push_part(&mut self, part: &[u8]) {
        let Some(last) = memrchr(b'\n', part) else { return self.extend_carry(part) };
        let mut start = 0;
        if !self.carry.is_empty() {
            start = memchr(b'\n', part).map_or(0, |end| end + 1);
            self.extend_carry(&part[..start]);
            self.flush_carry();
        }
        self.scan_lines(part.get(start..=last).unwrap_or_default());
        self.extend_carry(&part[last + 1..]);
    }

    fn extend_carry(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.carry.len());
        self.carry.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    fn flush_carry(&mut self) {
        let mut line = std::mem::take(&mut self.carry);
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        self.scan_lines(&line);
        line.clear();
        self.carry = line;
    }

    /// Processes complete lines. `rest` ends with a line end.
    fn scan_lines(&mut self, mut rest: &[u8]) {
        while let Some(&first) = rest.first() {
            if first == b'G' && matches!(rest, [_, b'0' | b'1', b' ', ..]) {
                let after = self.params.read_params(&rest[3..]);
                self.motion.move_linear(&self.params);
                rest = match after.split_first() {
                    Some((b'\n', next)) => next,
                    _ => split_line(after).1,
                };
                continue;
            }
            let (line, next) = split_line(rest);
            match first {
                b';' => self.run_comment(line),
                b'\r' if line.len() == 1 => {}
                _ => self.run_command(line),
            }
            rest = next;
        }
    }

    fn run_comment(&mut self, line: &[u8]) {
        if self.comments.process_comment(line) == CommentEffect::Layer {
            self.motion.begin_layer();
        }
    }

    /// Processes a line that is not a comment, as OctoPrint does: `G1`, `G01.2`, `M83`, `T0`, after any spaces.
    #[inline(never)]
    fn run_command(&mut self, line: &[u8]) {
        let line = line.trim_ascii_start();
        let Some((&letter, rest)) = line.split_first() else { return };
        match letter {
            b';' => self.run_comment(line),
            b'G' | b'M' | b'T' => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if digits == 0 || digits > 9 {
                    return;
                }
                let code = rest[..digits].iter().fold(0u32, |code, digit| code * 10 + u32::from(digit - b'0'));
                let mut parameters = &rest[digits..];
                if letter != b'T' && parameters.first() == Some(&b'.') {
                    let digits = parameters[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    parameters = &parameters[1 + digits..];
                }
                self.run_coded_command(letter, code, parameters);
            }
            b'E' => {
                if let Some(parameters) = line.strip_prefix(b"EXCLUDE_OBJECT_DEFINE ") {
                    self.comments.objects.add_definition(parameters);
                }
            }
            _ => {}
        }
    }

    fn run_coded_command(&mut self, letter: u8, code: u32, parameters: &[u8]) {
        if letter == b'T' {
            return self.motion.select_tool(code);
        }
        let known = match letter {
            b'G' => matches!(code, 0..=3 | 20 | 21 | 28 | 90 | 91 | 92),
            _ => matches!(code, 82 | 83 | 486 | 605),
        };
        if !known {
            return;
        }
        self.params.read_params(parameters);
        match (letter, code) {
            (b'G', 0 | 1) => self.motion.move_linear(&self.params),
            (b'G', 2 | 3) => self.motion.move_arc(&self.params, code == 2),
            (b'G', _) => self.motion.run_g(code, &self.params),
            (_, 486) => self.comments.objects.run_m486(self.params.get(Letter::T), self.params.get(Letter::S)),
            _ => self.motion.run_m(code, &self.params),
        }
    }
}

/// Returns the line without its line end, and what follows it.
#[inline(always)]
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}
