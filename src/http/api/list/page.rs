//! Pagination of lists: a page, and an opaque cursor to the next one.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

/// Default page size.
pub const DEFAULT_LIMIT: usize = 50;
/// Maximum page size.
pub const MAX_LIMIT: usize = 500;
/// Version of the cursor format.
const CURSOR_VERSION: u8 = 1;
/// Maximum length of a cursor that is read. Cursors of this server are shorter.
const MAX_CURSOR_LENGTH: usize = 2_000;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Cursor of the next page, for `?cursor=…`. Null: this is the last page.
    pub next_cursor: Option<String>,
}

/// One page whose next position is not encoded as a cursor yet.
pub struct RawPage<T, P> {
    pub items: Vec<T>,
    /// The next page starts after this position. None: this is the last page.
    pub next: Option<P>,
}

impl<T, P: Serialize> RawPage<T, P> {
    /// Converts to the page that is sent.
    pub fn into_page(self, list: &str) -> Page<T> {
        let next_cursor = self.next.map(|position| encode_cursor(list, &position));
        Page { items: self.items, next_cursor }
    }
}

/// Cuts a page from up to `limit` + 1 rows. The extra row means that a next page exists. It starts after the `position`
/// of the last row shown.
pub fn cut_page<R, T, P>(
    mut rows: Vec<R>,
    limit: usize,
    position: impl Fn(&R) -> P,
    item: impl FnMut(R) -> T,
) -> RawPage<T, P> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(position);
    RawPage { items: rows.into_iter().map(item).collect(), next }
}

/// Returns `limit` + 1, in the type that the storage uses.
pub fn limit_plus_one(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Returns a cursor that continues a list after a position.
pub fn encode_cursor<P: Serialize>(list: &str, position: &P) -> String {
    // Infallible for positions of lists: names, ids and numbers.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(CURSOR_VERSION, list, position)).unwrap_or_default())
}

/// Decodes a cursor. None: it was not made for this list.
pub fn decode_cursor<P: DeserializeOwned>(list: &str, cursor: &str) -> Option<P> {
    if cursor.len() > MAX_CURSOR_LENGTH {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (version, cursor_list, position): (u8, String, serde_json::Value) = serde_json::from_slice(&bytes).ok()?;
    // PostgreSQL accepts no U+0000 in a text.
    if version != CURSOR_VERSION || cursor_list != list || has_nul(&position) {
        return None;
    }
    serde_json::from_value(position).ok()
}

fn has_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(values) => values.iter().any(has_nul),
        _ => false,
    }
}
