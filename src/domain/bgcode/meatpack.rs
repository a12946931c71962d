//! Streaming decoder for MeatPack, an encoding that packs the 15 most frequent G-code characters into 4 bits each.
//!
//! A byte contains two characters, the first in its lower half. The value 15 marks a character that follows as a full
//! byte. Two bytes 0xFF and a command byte switch the decoder's modes. The encoder removes the spaces of G commands, so
//! the decoder inserts a space before each parameter, as the reference library does. Source: `meatpack.cpp` of
//! github.com/prusa3d/libbgcode.

/// The most characters that one byte of input yields: a delayed 0xFF and the byte give two each, each after a space.
pub(super) const MAX_CHARACTERS_PER_BYTE: usize = 8;

const SIGNAL: u8 = 0xFF;
const ENABLE_PACKING: u8 = 251;
const DISABLE_PACKING: u8 = 250;
const RESET: u8 = 249;
const ENABLE_NO_SPACES: u8 = 247;
const DISABLE_NO_SPACES: u8 = 246;

const PACKED: [u8; 15] = *b"0123456789. \nGX";
/// Index of the space in `PACKED`. Without spaces, it stands for an `E`.
const SPACE: u8 = 11;
/// The half of a byte that stands for a full byte.
const FULL: u8 = 15;
/// Letters of G commands that get a space before them, as in version 0.2.1 of the library. Older versions lack the `S`.
const PARAMETERS: &[u8] = b"XYZEFIJRGPWHCAS";

/// Decodes the text of one G-code block. Its memory does not grow.
#[derive(Debug, Default)]
pub(super) struct MeatPackDecoder {
    packing: bool,
    no_spaces: bool,
    signal: Signal,
    pending: Pending,
    /// The last character of the output.
    last: Option<u8>,
    in_g_command: bool,
}

/// How many bytes 0xFF precede the next byte.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Signal {
    #[default]
    None,
    One,
    Two,
}

/// Full bytes that belong to the current pair.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Pending {
    #[default]
    None,
    /// One full byte, followed by this character of the pair.
    OneBefore(u8),
    One,
    Two,
}

impl MeatPackDecoder {
    /// Decodes one byte and appends at most [`MAX_CHARACTERS_PER_BYTE`] characters to `text`.
    pub(super) fn decode(&mut self, byte: u8, text: &mut Vec<u8>) {
        match (self.signal, byte) {
            (Signal::None, SIGNAL) => self.signal = Signal::One,
            (Signal::One, SIGNAL) => self.signal = Signal::Two,
            (Signal::Two, SIGNAL) => {}
            (Signal::Two, command) => {
                self.signal = Signal::None;
                self.execute(command);
            }
            (Signal::One, _) => {
                self.signal = Signal::None;
                self.unpack(SIGNAL, text);
                self.unpack(byte, text);
            }
            (Signal::None, _) => self.unpack(byte, text),
        }
    }

    /// Returns whether the data may end here: no full byte of a pair is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.pending == Pending::None
    }

    fn execute(&mut self, command: u8) {
        match command {
            ENABLE_PACKING => self.packing = true,
            DISABLE_PACKING | RESET => self.packing = false,
            ENABLE_NO_SPACES => self.no_spaces = true,
            DISABLE_NO_SPACES => self.no_spaces = false,
            _ => {}
        }
    }

    fn unpack(&mut self, byte: u8, text: &mut Vec<u8>) {
        if !self.packing {
            return self.write(byte, text);
        }
        match std::mem::take(&mut self.pending) {
            Pending::OneBefore(second) => {
                self.write(byte, text);
                self.write(second, text);
            }
            Pending::One => self.write(byte, text),
            Pending::Two => {
                self.write(byte, text);
                self.pending = Pending::One;
            }
            Pending::None => match (self.character(byte & 15), self.character(byte >> 4)) {
                (None, None) => self.pending = Pending::Two,
                (None, Some(second)) => self.pending = Pending::OneBefore(second),
                (Some(first), second) => {
                    self.write(first, text);
                    // The second half after a line end is padding.
                    match second {
                        _ if first == b'\n' => {}
                        Some(second) => self.write(second, text),
                        None => self.pending = Pending::One,
                    }
                }
            },
        }
    }

    /// Returns the character of half a byte, or `None` if it follows as a full byte.
    fn character(&self, half: u8) -> Option<u8> {
        match half {
            FULL => None,
            SPACE if self.no_spaces => Some(b'E'),
            _ => PACKED.get(usize::from(half)).copied(),
        }
    }

    /// Writes a character. Inserts spaces into G commands and drops empty lines, except at the start of the block.
    fn write(&mut self, character: u8, text: &mut Vec<u8>) {
        let starts_line = matches!(self.last, None | Some(b'\n'));
        if character == b'G' && starts_line {
            self.in_g_command = true;
        } else if character == b'\n' {
            self.in_g_command = false;
        } else if self.in_g_command && self.last != Some(b' ') && PARAMETERS.contains(&character) {
            text.push(b' ');
        }
        if character != b'\n' || self.last != Some(b'\n') {
            text.push(character);
            self.last = Some(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: [u8; 6] = [0xFF, 0xFF, ENABLE_PACKING, 0xFF, 0xFF, ENABLE_NO_SPACES];

    fn decode(parts: &[&[u8]]) -> String {
        let mut decoder = MeatPackDecoder::default();
        let mut text = Vec::new();
        for byte in parts.concat() {
            decoder.decode(byte, &mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn pairs_are_unpacked_and_get_their_spaces_back() {
        // G1 X1.5 E.2\n, with E in place of the space and padding after the line end.
        assert_eq!(decode(&[&ON, &[0x1D, 0x1E, 0x5A, 0xAB, 0xC2]]), "G1 X1.5 E.2\n");
        assert_eq!(decode(&[&ON, &[0x1D, 0xCC]]), "G1\n", "the second half after a line end is padding");
    }

    #[test]
    fn full_bytes_follow_their_pair() {
        assert_eq!(decode(&[&ON, &[0x1F], b"M", &[0xC0]]), "M10\n", "the first character is a full byte");
        assert_eq!(decode(&[&ON, &[0xFF], b"TY", &[0xCC]]), "TY\n", "0xFF is delayed as it may start a command");
        assert_eq!(decode(&[&ON, &[0xF1], b"M", &[0xC0]]), "1M0\n", "the second character is a full byte");
    }

    #[test]
    fn a_pair_of_two_full_bytes_is_read() {
        let mut decoder = MeatPackDecoder { packing: true, ..MeatPackDecoder::default() };
        let mut text = Vec::new();
        for byte in [0xFF, b'M', b'T'] {
            decoder.decode(byte, &mut text);
        }
        assert_eq!(text, b"MT");
        decoder.decode(0x0F, &mut text);
        assert!(!decoder.is_complete());
    }

    #[test]
    fn text_is_copied_while_packing_is_off() {
        let comment = b"; G1X1 keeps its text\n";
        assert_eq!(
            decode(&[&ON, &[0x1D, 0xCC], &[0xFF, 0xFF, DISABLE_PACKING], comment]),
            "G1\n; G1X1 keeps its text\n"
        );
    }

    #[test]
    fn with_spaces_the_value_11_is_a_space() {
        assert_eq!(decode(&[&[0xFF, 0xFF, ENABLE_PACKING], &[0x1D, 0xEB, 0xC1]]), "G1 X1\n");
    }

    #[test]
    fn only_g_commands_get_spaces() {
        assert_eq!(decode(&[b"M73P0R1\nG1X1Y2\nT0\nG4S1\nG1B1\n"]), "M73P0R1\nG1 X1 Y2\nT0\nG4 S1\nG1B1\n");
    }

    #[test]
    fn empty_lines_are_dropped_after_the_first_character() {
        assert_eq!(decode(&[b"\n\nG1\n\n\nG2\n"]), "\nG1\nG2\n");
    }
}
