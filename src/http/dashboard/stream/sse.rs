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
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last block of a deflate stream, with nothing in it.
const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];
/// The compressor needs a quarter of a megabyte, so all streams share one.
static COMPRESSOR: Mutex<Option<Compress>> = Mutex::new(None);

/// Events that are sent together.
#[derive(Debug, Default)]
pub(in crate::http::dashboard) struct EventPiece {
    text: String,
    compressed: OnceLock<CompressedPiece>,
}

/// The same events as part of a gzip stream.
#[derive(Debug, Clone)]
struct CompressedPiece {
    bytes: Bytes,
    crc: Arc<Crc>,
}

impl PartialEq for EventPiece {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl EventPiece {
    /// Creates a piece with one event.
    pub fn from_event(name: &str, data: &str) -> Arc<Self> {
        let mut piece = Self::default();
        piece.add_event(name, None, data);
        Arc::new(piece)
    }

    /// Returns whether it has no events.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds an event. A browser reconnects with the id of the last event that has one.
    pub fn add_event(&mut self, name: &str, id: Option<&str>, data: &str) {
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

    fn compressed(&self) -> CompressedPiece {
        let compress_text = || {
            let mut crc = Crc::new();
            crc.update(self.text.as_bytes());
            CompressedPiece { bytes: compress(self.text.as_bytes()).into(), crc: Arc::new(crc) }
        };
        self.compressed.get_or_init(compress_text).clone()
    }
}

/// Compresses a text into deflate blocks. None of them is the final block, and none refers to data before the text.
fn compress(text: &[u8]) -> Vec<u8> {
    let mut guard = COMPRESSOR.lock().unwrap_or_else(PoisonError::into_inner);
    let compressor = guard.get_or_insert_with(|| Compress::new(Compression::fast(), false));
    compressor.reset();
    let mut compressed = Vec::with_capacity(text.len() / 8 + 64);
    loop {
        let at = usize::try_from(compressor.total_in()).unwrap_or(usize::MAX).min(text.len());
        // Writing to memory does not fail. If room is left, everything was written.
        let result = compressor.compress_vec(&text[at..], &mut compressed, FlushCompress::Sync);
        if result.is_err() || compressed.len() < compressed.capacity() {
            return compressed;
        }
        compressed.reserve(compressed.len() + 64);
    }
}

/// Streams the pieces until the channel closes.
pub(in crate::http::dashboard) fn stream_response(
    request: &HeaderMap,
    pieces: mpsc::Receiver<Arc<EventPiece>>,
) -> Response {
    let pieces = stream::unfold(pieces, |mut pieces| async { pieces.recv().await.map(|piece| (piece, pieces)) });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::VARY, "Accept-Encoding")];
    if !accepts_gzip(request) {
        let texts = pieces.map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece.text.as_bytes())));
        return (headers, Body::from_stream(texts)).into_response();
    }
    let mut checksum = Crc::new();
    // The checksum is known at the end, so `None` marks the end.
    let parts = pieces.map(Some).chain(stream::iter([None])).map(move |piece| {
        Ok::<_, Infallible>(match piece {
            Some(piece) => {
                let compressed = piece.compressed();
                checksum.combine(&compressed.crc);
                compressed.bytes
            }
            None => [&FINAL_BLOCK[..], &checksum.sum().to_le_bytes(), &checksum.amount().to_le_bytes()].concat().into(),
        })
    });
    let gzip_stream = stream::iter([Ok(Bytes::from_static(&GZIP_HEADER))]).chain(parts);
    (headers, [(header::CONTENT_ENCODING, "gzip")], Body::from_stream(gzip_stream)).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::{body::to_bytes, http::HeaderValue};
    use flate2::read::GzDecoder;

    use crate::http::dashboard::stream::sse::*;

    fn accepting(codings: &'static str) -> HeaderMap {
        [(header::ACCEPT_ENCODING, HeaderValue::from_static(codings))].into_iter().collect()
    }

    #[test]
    fn an_event_has_a_line_of_data_for_each_of_its_lines() {
        let mut piece = EventPiece::default();
        piece.add_event("strip", Some("a-7"), "<p>\r<b>");
        piece.add_event("heartbeat", None, "{}");
        assert_eq!(piece.text, "event: strip\nid: a-7\ndata: <p>\ndata: <b>\n\nevent: heartbeat\ndata: {}\n\n");
    }

    #[tokio::test]
    async fn separately_compressed_pieces_form_one_gzip_stream() {
        // Far more than fits at first, and data that hardly compresses.
        let noise: String = (0..200_000_u32).map(|n| char::from(b'!' + (n.wrapping_mul(n) % 89) as u8)).collect();
        let pieces = ["", "a", &"<li class=\"tile\">".repeat(50_000), &noise, "the end"];
        let pieces: Vec<_> = pieces.iter().map(|data| EventPiece::from_event("tiles", data)).collect();
        let expected: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        for (codings, is_compressed) in [("gzip", true), ("gzip", true), ("identity", false)] {
            let (send, receive) = mpsc::channel(pieces.len());
            for piece in &pieces {
                send.send(piece.clone()).await.expect("room");
            }
            drop(send);
            let response = stream_response(&accepting(codings), receive);
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), is_compressed);
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            let mut text = String::new();
            match is_compressed {
                true => GzDecoder::new(&*body).read_to_string(&mut text).expect("a whole gzip stream"),
                false => (&*body).read_to_string(&mut text).expect("a text"),
            };
            assert!(text == expected, "{codings}");
        }
    }
}
