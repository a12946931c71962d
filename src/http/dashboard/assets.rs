//! Serves static files: style sheets, scripts, icons, and Swagger UI.
//!
//! `build.rs` compresses the files and embeds them in the binary. A URL contains the hash of the content, so browsers
//! cache a file for a year.

use std::{
    collections::HashMap,
    io::{self, Read},
    sync::LazyLock,
};

use axum::{
    body::Bytes,
    extract::{Path, RawQuery},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::http::{compression::accepts_gzip, etag};

include!(concat!(env!("OUT_DIR"), "/static_files.rs"));

struct StaticFile {
    compressed: &'static [u8],
    /// The first 12 hex digits of the SHA-256 of the compressed content.
    hash: String,
}

static FILES: LazyLock<HashMap<&'static str, StaticFile>> =
    LazyLock::new(|| COMPRESSED.iter().map(|&(path, compressed)| (path, StaticFile::new(compressed))).collect());

impl StaticFile {
    fn new(compressed: &'static [u8]) -> Self {
        let hash = Sha256::digest(compressed).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { compressed, hash }
    }

    /// Returns the plain content, for clients that do not accept gzip.
    fn decompress(&self) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        GzDecoder::new(self.compressed).read_to_end(&mut plain)?;
        Ok(plain)
    }
}

/// Returns the URL of a file. It changes with the content.
pub(super) fn url(path: &str) -> String {
    let hash = FILES.get(path).map_or("", |file| file.hash.as_str());
    format!("/static/{path}?v={hash}")
}

pub(super) async fn serve(Path(path): Path<String>, RawQuery(query): RawQuery, request: HeaderMap) -> Response {
    let Some(file) = FILES.get(path.as_str()) else { return StatusCode::NOT_FOUND.into_response() };
    let is_named_by_hash = query.as_deref().and_then(|query| query.strip_prefix("v=")) == Some(file.hash.as_str());
    let caching =
        if is_named_by_hash { "public, max-age=31536000, immutable" } else { "public, max-age=0, must-revalidate" };
    // Weak, because both encodings share it.
    let tag = format!("W/\"{}\"", file.hash);
    let kind = mime_guess::from_path(&path).first_or_octet_stream().to_string();
    let headers = [
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::VARY, "Accept-Encoding".to_owned()),
        (header::ETAG, tag.clone()),
    ];
    if etag::if_none_match_contains(&request, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = [(header::CONTENT_TYPE, kind)];
    if accepts_gzip(&request) {
        let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        return (headers, kind, encoding, Bytes::from_static(file.compressed)).into_response();
    }
    match file.decompress() {
        Ok(plain) => (headers, kind, plain).into_response(),
        Err(error) => {
            tracing::error!(%error, path, "a static file cannot be decompressed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
