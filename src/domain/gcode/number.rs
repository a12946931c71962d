//! Decimal numbers of G-code: reads eight bytes at a time, without UTF-8 checks or allocation.
//!
//! A number of at most 15 digits is `mantissa / 10^k`. Both are exact, so the quotient is rounded once and equals
//! `str::parse`. Longer numbers and exponents use `str::parse`.

/// The largest magnitude that counts as a coordinate. Others are ignored, so that sums stay finite.
pub const MAX_MAGNITUDE: f64 = 1e12;
/// A number is not longer than this, in bytes.
const MAX_NUMBER_BYTES: usize = 64;

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// Added to a byte, sets its high bit if the byte is above 9.
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;

const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
const WHOLE_POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Reads the number at the start of `bytes`: sign, digits, point. Returns the value and its length in bytes, or a
/// length of 0 if there is no number. Does not read exponents.
#[inline(always)]
pub fn read_number(bytes: &[u8]) -> (f64, usize) {
    match bytes {
        // A branch instead of arithmetic: the processor predicts it, so the digits do not wait for the sign.
        [b'-' | b'+', ..] => read_signed(bytes),
        _ => read_unsigned(bytes),
    }
}

/// Reads a number that starts with a sign.
#[inline(never)]
fn read_signed(bytes: &[u8]) -> (f64, usize) {
    let Some((&sign, digits)) = bytes.split_first() else { return (0.0, 0) };
    if matches!(digits.first(), Some(b'-' | b'+')) {
        return (0.0, 0);
    }
    let (value, length) = read_unsigned(digits);
    (if sign == b'-' { -value } else { value }, if length > 0 { length + 1 } else { 0 })
}

#[inline(always)]
fn read_unsigned(bytes: &[u8]) -> (f64, usize) {
    let Some(chunk) = bytes.first_chunk::<8>() else { return read_long_number(bytes) };
    let (word, other) = digits_of(u64::from_le_bytes(*chunk));
    let whole = (other.trailing_zeros() >> 3) as usize;
    if whole == 8 {
        return read_long_number(bytes);
    }
    if chunk[whole] != b'.' {
        if whole == 0 {
            return (0.0, 0);
        }
        let value = parse_eight(word << (64 - 8 * whole)) as i64 as f64;
        return (value, whole);
    }
    // Removes the point: the digits behind it move down by one byte.
    let below = (1u64 << (8 * whole)) - 1;
    let joined = (word & below) | ((word >> 8) & !below);
    let end = ((other & (other - 1)).trailing_zeros() >> 3) as usize;
    let count = end - 1;
    if count == 0 {
        return (0.0, 0);
    }
    let mut mantissa = parse_eight(joined << (64 - 8 * count));
    let (mut length, mut fraction) = (end, count - whole);
    if end == 8 {
        let Some(next) = bytes[8..].first_chunk::<8>() else { return read_long_number(bytes) };
        let (word, other) = digits_of(u64::from_le_bytes(*next));
        let more = (other.trailing_zeros() >> 3) as usize;
        if more == 8 {
            return read_long_number(bytes);
        }
        if more > 0 {
            mantissa = mantissa * WHOLE_POWERS[more] + parse_eight(word << (64 - 8 * more));
            length += more;
            fraction += more;
        }
    }
    (mantissa as i64 as f64 / POWERS[fraction & 15], length)
}

/// Reads any number, also with an exponent. Returns a length of 0 if the text is no number, or if its magnitude is above
/// [`MAX_MAGNITUDE`].
#[inline(never)]
pub fn read_long_number(bytes: &[u8]) -> (f64, usize) {
    let bytes = &bytes[..bytes.len().min(MAX_NUMBER_BYTES)];
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    end += digits(end);
    if bytes.get(end) == Some(&b'.') {
        end += 1;
        end += digits(end);
    }
    if bytes.get(end) == Some(&b'e') {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits((end + 1 + sign).min(bytes.len()));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let value = std::str::from_utf8(&bytes[..end]).ok().and_then(|text| text.parse::<f64>().ok());
    match value {
        Some(value) if value.abs() <= MAX_MAGNITUDE => (value, end),
        _ => (0.0, 0),
    }
}

/// Returns the values of the digits, and a word whose high bits are set where a byte is no digit.
///
/// The second word is correct up to the first byte that is no digit. If that byte is a point, the word is correct up to
/// the second one. Behind it, a byte above 0x89 can carry into the next.
#[inline(always)]
fn digits_of(word: u64) -> (u64, u64) {
    let word = word ^ ASCII_ZEROS;
    (word, (word.wrapping_add(ABOVE_NINE) | word) & HIGH_BITS)
}

/// Returns the number that eight digits form, the first digit in the lowest byte.
#[inline(always)]
fn parse_eight(word: u64) -> u64 {
    let pairs = (word.wrapping_mul(2561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(42_949_672_960_001) >> 32
}
