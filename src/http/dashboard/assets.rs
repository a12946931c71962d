//! Style, script and icons: embedded in the binary, and cached for good under a name with their hash.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The address of a file, which changes with its content.
pub(super) fn url(path: &str) -> String {
    let hash = Files::get(path).map(|file| file.metadata.sha256_hash()).unwrap_or_default();
    let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("/static/{path}?v={hash}")
}

pub(super) async fn serve(Path(path): Path<String>) -> Response {
    let Some(file) = Files::get(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let kind = mime_guess::from_path(&path).first_or_octet_stream();
    let headers = [
        (header::CONTENT_TYPE, kind.to_string()),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    (headers, file.data).into_response()
}
