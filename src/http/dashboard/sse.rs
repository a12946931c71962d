//! Encodes server-sent events for browsers: as text, or compressed (gzip) if the browser accepts it.
//!
//! Many browsers get the same farm stream, and its text repeats a lot: compression reduces it to a fifteenth.
//! Compressing it for each browser would cost more than all other work. So each piece is compressed once and
//! separately, and ends at a whole byte (RFC 1951, 3.2.4). Then pieces can follow each other in any browser's stream.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use flate2::{Compress, Compression, Crc, FlushCompress};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::http::compression::accepts_gzip;

/// Header of a gzip stream (RFC 1952): deflate, no name, no time.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last block of a deflate stream, with nothing in it.
const LAST: [u8; 2] = [0x03, 0x00];
/// The compressor needs a quarter of a megabyte, so all streams share one.
static PACKER: Mutex<Option<Compress>> = Mutex::new(None);

/// Events that are sent together.
#[derive(Debug, Default)]
pub(super) struct Piece {
    text: String,
    packed: OnceLock<Packed>,
}

/// The same events as part of a gzip stream.
#[derive(Debug, Clone)]
struct Packed {
    bytes: Bytes,
    crc: Arc<Crc>,
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Piece {
    /// Creates a piece with one event.
    pub fn of(name: &str, data: &str) -> Arc<Self> {
        let mut piece = Self::default();
        piece.add(name, None, data);
        Arc::new(piece)
    }

    /// Returns whether it has no events.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds an event. A browser reconnects with the id of the last event that has one.
    pub fn add(&mut self, name: &str, id: Option<&str>, data: &str) {
        let _ = writeln!(self.text, "event: {name}");
        if let Some(id) = id {
            let _ = writeln!(self.text, "id: {id}");
        }
        // A carriage return would end a line, too.
        for line in data.split(['\n', '\r']) {
            let _ = writeln!(self.text, "data: {line}");
        }
        self.text.push('\n');
    }

    fn packed(&self) -> Packed {
        let pack = || {
            let mut crc = Crc::new();
            crc.update(self.text.as_bytes());
            Packed { bytes: pack(self.text.as_bytes()).into(), crc: Arc::new(crc) }
        };
        self.packed.get_or_init(pack).clone()
    }
}

/// Compresses a text into deflate blocks. None of them is the final block, and none refers to data before the text.
fn pack(text: &[u8]) -> Vec<u8> {
    let mut packer = PACKER.lock().unwrap_or_else(PoisonError::into_inner);
    let packer = packer.get_or_insert_with(|| Compress::new(Compression::fast(), false));
    packer.reset();
    let mut packed = Vec::with_capacity(text.len() / 8 + 64);
    loop {
        let at = usize::try_from(packer.total_in()).unwrap_or(usize::MAX).min(text.len());
        // Writing to memory does not fail. If room is left, everything was written.
        let result = packer.compress_vec(&text[at..], &mut packed, FlushCompress::Sync);
        if result.is_err() || packed.len() < packed.capacity() {
            return packed;
        }
        packed.reserve(packed.len() + 64);
    }
}

/// Streams the pieces until the channel closes.
pub(super) fn answer(request: &HeaderMap, pieces: mpsc::Receiver<Arc<Piece>>) -> Response {
    let pieces = stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|piece| (piece, pieces)) });
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::VARY, "Accept-Encoding")];
    if !accepts_gzip(request) {
        let texts = pieces.map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece.text.as_bytes())));
        return (kind, Body::from_stream(texts)).into_response();
    }
    let mut sum = Crc::new();
    // The checksum is known at the end, so `None` marks the end.
    let parts = pieces.map(Some).chain(stream::iter([None])).map(move |piece| {
        Ok::<_, Infallible>(match piece {
            Some(piece) => {
                let packed = piece.packed();
                sum.combine(&packed.crc);
                packed.bytes
            }
            None => [&LAST[..], &sum.sum().to_le_bytes(), &sum.amount().to_le_bytes()].concat().into(),
        })
    });
    let whole = stream::iter([Ok(Bytes::from_static(&HEAD))]).chain(parts);
    (kind, [(header::CONTENT_ENCODING, "gzip")], Body::from_stream(whole)).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::{body::to_bytes, http::HeaderValue};
    use flate2::read::GzDecoder;

    use super::*;

    fn accepting(codings: &'static str) -> HeaderMap {
        [(header::ACCEPT_ENCODING, HeaderValue::from_static(codings))].into_iter().collect()
    }

    #[test]
    fn an_event_has_a_line_of_data_for_each_of_its_lines() {
        let mut piece = Piece::default();
        piece.add("strip", Some("a-7"), "<p>\r<b>");
        piece.add("beat", None, "{}");
        assert_eq!(piece.text, "event: strip\nid: a-7\ndata: <p>\ndata: <b>\n\nevent: beat\ndata: {}\n\n");
    }

    #[tokio::test]
    async fn pieces_that_were_packed_apart_make_one_whole_stream() {
        // Far more than fits at first, and data that hardly compresses.
        let noise: String = (0..200_000_u32).map(|n| char::from(b'!' + (n.wrapping_mul(n) % 89) as u8)).collect();
        let pieces = ["", "a", &"<li class=\"tile\">".repeat(50_000), &noise, "the end"];
        let pieces: Vec<_> = pieces.iter().map(|data| Piece::of("tiles", data)).collect();
        let expected: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        for (codings, packed) in [("gzip", true), ("gzip", true), ("identity", false)] {
            let (send, receive) = mpsc::channel(pieces.len());
            for piece in &pieces {
                send.send(piece.clone()).await.expect("room");
            }
            drop(send);
            let response = answer(&accepting(codings), receive);
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), packed);
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            let mut text = String::new();
            match packed {
                true => GzDecoder::new(&*body).read_to_string(&mut text).expect("a whole gzip stream"),
                false => (&*body).read_to_string(&mut text).expect("a text"),
            };
            assert!(text == expected, "{codings}");
        }
    }
}
