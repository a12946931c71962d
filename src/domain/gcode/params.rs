//! Parameters of a G-code command: letters with numbers.

use super::number::{read_long_number, read_number};

/// Values by letter. Only letters that a command of the parser needs have a place.
#[derive(Debug, Default)]
pub struct Params {
    values: [f64; 16],
    /// Bit `i` is set if `values[i]` is present.
    present: u32,
}

/// A letter that has a place in [`Params`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Letter {
    X = 0,
    Y = 1,
    Z = 2,
    E = 3,
    I = 4,
    J = 5,
    R = 6,
    S = 7,
    T = 8,
}

/// A letter whose number is skipped. Places end here.
const SKIPPED: u8 = 15;
/// The end of the command: a line end or a comment.
const END: u8 = 17;
/// Spaces and bytes without meaning.
const OTHER: u8 = 18;

/// Class of each byte: the place of a letter, or one of the constants above.
static CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte = b'A';
    while byte <= b'Z' {
        classes[byte as usize] = SKIPPED;
        byte += 1;
    }
    classes[b'X' as usize] = Letter::X as u8;
    classes[b'Y' as usize] = Letter::Y as u8;
    classes[b'Z' as usize] = Letter::Z as u8;
    classes[b'E' as usize] = Letter::E as u8;
    classes[b'I' as usize] = Letter::I as u8;
    classes[b'J' as usize] = Letter::J as u8;
    classes[b'R' as usize] = Letter::R as u8;
    classes[b'S' as usize] = Letter::S as u8;
    classes[b'T' as usize] = Letter::T as u8;
    classes[b'\n' as usize] = END;
    classes[b';' as usize] = END;
    classes
};

impl Params {
    /// Reads the parameters at the start of `bytes`, up to a line end or a comment. Returns what follows, starting
    /// with the byte that ended the command. A letter without a number is absent, as in OctoPrint's analysis.
    #[inline(always)]
    pub fn read_params<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        self.present = 0;
        while let Some((&byte, rest)) = bytes.split_first() {
            let class = CLASSES[byte as usize];
            if class <= SKIPPED {
                let (value, length) = read_number(rest);
                if length > 0 {
                    self.set(class, value);
                }
                bytes = match &rest[length..] {
                    // Most numbers are followed by one space: this saves a round.
                    [b' ', after @ ..] => after,
                    [b'e', ..] if length > 0 => self.read_exponent(class, rest, length),
                    after => after,
                };
            } else if class == END {
                break;
            } else {
                bytes = rest;
            }
        }
        bytes
    }

    /// Reads a number again that may have an exponent. A number that is too large is absent. Returns what follows.
    #[inline(never)]
    fn read_exponent<'a>(&mut self, place: u8, bytes: &'a [u8], mantissa: usize) -> &'a [u8] {
        let (value, length) = read_long_number(bytes);
        if length > 0 {
            self.set(place, value);
        } else {
            self.present &= !(1 << place);
        }
        &bytes[length.max(mantissa)..]
    }

    #[inline(always)]
    fn set(&mut self, place: u8, value: f64) {
        self.values[usize::from(place & 15)] = value;
        self.present |= 1 << (place & 15);
    }

    /// Returns the value of a letter.
    #[inline(always)]
    pub fn get(&self, letter: Letter) -> Option<f64> {
        self.has(letter).then(|| self.values[letter as usize])
    }

    /// Returns whether a letter is present.
    #[inline(always)]
    pub fn has(&self, letter: Letter) -> bool {
        self.present & (1 << letter as u8) != 0
    }

    /// Returns whether X, Y or Z is present.
    #[inline(always)]
    pub fn has_position(&self) -> bool {
        self.present & 0b111 != 0
    }
}
