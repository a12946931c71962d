//! Camera picture of a growing print, so that a demo has something to show.
//!
//! A PNG with an 8-bit palette and uncompressed blocks: forty lines instead of a dependency.

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

/// Background, bed, print, nozzle.
const PALETTE: [u8; 12] = [0x1f, 0x26, 0x2e, 0x4a, 0x55, 0x60, 0xf2, 0x8c, 0x28, 0xc8, 0xd2, 0xdc];

/// Returns a picture of a print that is `completion` percent high.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=40 rows before")]
pub fn render_snapshot(completion: f64) -> Vec<u8> {
    let height = (completion.clamp(0.0, 100.0) * 0.4) as usize;
    let mut pixels = Vec::with_capacity((WIDTH + 1) * HEIGHT);
    for y in 0..HEIGHT {
        pixels.push(0); // this row is not filtered
        for x in 0..WIDTH {
            let above_bed = 54_usize.saturating_sub(y);
            pixels.push(match (x, y) {
                (8..88, 54..58) => 1,
                (32..64, _) if (1..=height).contains(&above_bed) => 2,
                (46..50, _) if (height + 1..height + 7).contains(&above_bed) => 3,
                _ => 0,
            });
        }
    }
    encode_png(&pixels)
}

fn encode_png(pixels: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(13);
    header.extend((WIDTH as u32).to_be_bytes());
    header.extend((HEIGHT as u32).to_be_bytes());
    header.extend([8, 3, 0, 0, 0]); // 8 bits, palette
    // One stored deflate block holds up to 65,535 bytes; the picture has about 6,200.
    let length = u16::try_from(pixels.len()).unwrap_or(u16::MAX);
    let mut data = vec![0x78, 0x01, 0x01];
    data.extend(length.to_le_bytes());
    data.extend((!length).to_le_bytes());
    data.extend_from_slice(pixels);
    data.extend(adler32(pixels).to_be_bytes());

    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, body) in [(b"IHDR", &header[..]), (b"PLTE", &PALETTE[..]), (b"IDAT", &data[..]), (b"IEND", &[][..])] {
        png.extend(u32::try_from(body.len()).unwrap_or_default().to_be_bytes());
        let start = png.len();
        png.extend(kind);
        png.extend(body);
        let checksum = crc32(png.get(start..).unwrap_or_default());
        png.extend(checksum.to_be_bytes());
    }
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use crate::simulator::camera_picture::*;

    #[test]
    fn the_checksums_match_the_standards() {
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
