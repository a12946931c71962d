//! Streaming decoder for heatshrink, an LZSS compression for small devices.
//!
//! The input is a bit stream, most significant bit first. A set bit starts a literal of 8 bits. A cleared bit starts a
//! back-reference: the distance minus one (`window_bits` bits), then the length minus one (4 bits). Distances beyond
//! the start of the data refer to zeros. Source: `heatshrink_decoder.c` of github.com/atomicobject/heatshrink.

/// Number of bits of a back-reference's length. Binary G-code always uses 4.
const LENGTH_BITS: u32 = 4;
const LITERAL_BITS: u32 = 8;

/// Decodes one compressed block. Its memory is one window, at most 4 KiB.
#[derive(Debug)]
pub(super) struct HeatshrinkDecoder {
    window_bits: u32,
    /// The last `2^window_bits` decoded bytes, as a ring.
    window: Box<[u8]>,
    /// The next position of the ring.
    head: usize,
    /// Bits that are read but not used, in the lowest `bit_count` bits.
    bits: u32,
    bit_count: u32,
    /// The rest of the current back-reference.
    copy: BackReference,
}

#[derive(Debug, Default)]
struct BackReference {
    distance: usize,
    left: usize,
}

impl HeatshrinkDecoder {
    /// Creates a decoder with a window of `2^window_bits` bytes. `window_bits` is 11 or 12 in binary G-code.
    pub(super) fn new(window_bits: u32) -> Self {
        Self {
            window_bits,
            window: vec![0; 1 << window_bits].into_boxed_slice(),
            head: 0,
            bits: 0,
            bit_count: 0,
            copy: BackReference::default(),
        }
    }

    /// Decodes until `input` is used up or `output` is full. Returns the numbers of bytes read and written.
    pub(super) fn decode(&mut self, input: &[u8], output: &mut [u8]) -> (usize, usize) {
        let (mut consumed, mut produced) = (0, 0);
        while produced < output.len() {
            if self.copy.left > 0 {
                let count = self.copy.left.min(output.len() - produced);
                for slot in &mut output[produced..produced + count] {
                    *slot = self.byte_at(self.copy.distance);
                    self.append(*slot);
                }
                self.copy.left -= count;
                produced += count;
                continue;
            }
            let Some(literal) = self.next_symbol(input, &mut consumed) else { break };
            if let Some(byte) = literal {
                output[produced] = byte;
                produced += 1;
                self.append(byte);
            }
        }
        (consumed, produced)
    }

    /// Reads one literal, or starts a back-reference (`Some(None)`). Returns `None` if more input is needed.
    fn next_symbol(&mut self, input: &[u8], consumed: &mut usize) -> Option<Option<u8>> {
        // A symbol has at most 1 + 12 + 4 bits, so at most 16 unused bits precede the byte that is added here.
        while !self.has_symbol() {
            self.bits = (self.bits << 8) | u32::from(*input.get(*consumed)?);
            self.bit_count += 8;
            *consumed += 1;
        }
        if self.take_bits(1) == 1 {
            return Some(Some(self.take_bits(LITERAL_BITS) as u8));
        }
        let distance = self.take_bits(self.window_bits) as usize + 1;
        let left = self.take_bits(LENGTH_BITS) as usize + 1;
        self.copy = BackReference { distance, left };
        Some(None)
    }

    /// Returns whether the unused bits contain a whole symbol.
    fn has_symbol(&self) -> bool {
        let Some(tag_position) = self.bit_count.checked_sub(1) else { return false };
        let is_literal = (self.bits >> tag_position) & 1 == 1;
        self.bit_count > if is_literal { LITERAL_BITS } else { self.window_bits + LENGTH_BITS }
    }

    /// Takes `count` bits, which must be available.
    fn take_bits(&mut self, count: u32) -> u32 {
        self.bit_count -= count;
        let value = self.bits >> self.bit_count;
        self.bits &= (1 << self.bit_count) - 1;
        value
    }

    fn byte_at(&self, distance: usize) -> u8 {
        self.window[self.head.wrapping_sub(distance) & (self.window.len() - 1)]
    }

    fn append(&mut self, byte: u8) {
        self.window[self.head] = byte;
        self.head = (self.head + 1) & (self.window.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs (value, number of bits) pairs, most significant bit first.
    fn pack(fields: &[(u32, u32)]) -> Vec<u8> {
        let bits: Vec<u32> =
            fields.iter().flat_map(|(value, count)| (0..*count).rev().map(move |bit| (value >> bit) & 1)).collect();
        bits.chunks(8)
            .map(|chunk| chunk.iter().enumerate().fold(0, |byte, (index, bit)| byte | ((*bit as u8) << (7 - index))))
            .collect()
    }

    /// Decodes with input pieces of `step` bytes and an output of `room` bytes.
    fn decode(window_bits: u32, input: &[u8], step: usize, room: usize) -> Vec<u8> {
        let mut decoder = HeatshrinkDecoder::new(window_bits);
        let mut decoded = Vec::new();
        for mut piece in input.chunks(step) {
            loop {
                let mut output = vec![0; room];
                let (consumed, produced) = decoder.decode(piece, &mut output);
                decoded.extend_from_slice(&output[..produced]);
                piece = &piece[consumed..];
                if produced < room {
                    break;
                }
            }
            assert_eq!(piece, b"", "all input is read");
        }
        decoded
    }

    #[test]
    fn literals_and_back_references_are_decoded_in_any_pieces() {
        for window_bits in [11, 12] {
            let literal = |byte: u8| [(1, 1), (u32::from(byte), 8)];
            let reference = |distance: u32, length: u32| [(0, 1), (distance - 1, window_bits), (length - 1, 4)];
            let mut fields = Vec::new();
            fields.extend(literal(b'G'));
            fields.extend(literal(b'1'));
            fields.extend(reference(2, 7)); // overlaps its own output
            fields.extend(literal(b'X'));
            fields.extend(reference(1, 16));
            fields.extend(reference(10 + 16, 3));
            let input = pack(&fields);
            for step in 1..=input.len() {
                for room in [1, 2, 5, 100] {
                    let decoded = decode(window_bits, &input, step, room);
                    assert_eq!(decoded, b"G1G1G1G1GXXXXXXXXXXXXXXXXXG1G", "{step} {room}");
                }
            }
        }
    }

    #[test]
    fn a_reference_beyond_the_start_gives_zeros() {
        let input = pack(&[(0, 1), ((1 << 11) - 1, 11), (15, 4), (1, 1), (0x41, 8)]);
        let mut expected = vec![0; 16];
        expected.push(0x41);
        assert_eq!(decode(11, &input, 1, 3), expected);
    }

    #[test]
    fn a_reference_reaches_the_whole_window() {
        for window_bits in [11, 12] {
            let mut fields = Vec::new();
            for index in 0..1u32 << window_bits {
                fields.extend([(1, 1), (index % 251, 8)]);
            }
            fields.extend([(0, 1), ((1 << window_bits) - 1, window_bits), (15, 4)]);
            let decoded = decode(window_bits, &pack(&fields), 7, 64);
            assert_eq!(decoded[1 << window_bits..], decoded[..16]);
        }
    }
}
