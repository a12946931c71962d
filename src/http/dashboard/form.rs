//! Forms as browsers send them: fields in order, names that repeat.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::StatusCode,
    response::IntoResponse,
};
use uuid::Uuid;

use super::page::Failure;

/// The fields of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The first field of this name that holds anything.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every field of this name that holds anything.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim());
        values.filter(|value| !value.is_empty())
    }

    /// A field that is taken as it was typed, spaces included.
    pub fn secret(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A checkbox.
    pub fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// A whole number; `None` where the field is empty or holds something else.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }

    /// Ids, each once, in the order of the page.
    pub fn ids(&self, name: &str) -> Vec<Uuid> {
        let mut seen = std::collections::HashSet::new();
        self.all(name).filter_map(|text| text.parse().ok()).filter(|id| seen.insert(*id)).collect()
    }

    /// Every field, as it was typed.
    pub fn fields(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// The form with the address of a button `use_url`, where that was pressed, and to be shown again.
    pub fn with_suggestion(mut self) -> Self {
        if let Some(url) = self.text("use_url").map(str::to_owned) {
            self.0.retain(|(name, _)| !["use_url", "url", "act"].contains(&name.as_str()));
            self.0.extend([("url".to_owned(), url), ("act".to_owned(), "check".to_owned())]);
        }
        self
    }

    /// Where to go back to: a path of our own, the farm otherwise.
    pub fn back(&self) -> &str {
        own_path(self.text("back")).unwrap_or("/")
    }
}

/// A path on this site and nothing that a browser would take for another one.
pub(super) fn own_path(path: Option<&str>) -> Option<&str> {
    path.filter(|path| {
        let second = path.as_bytes().get(1);
        path.starts_with('/')
            && second.is_none_or(|byte| !matches!(byte, b'/' | b'\\'))
            && path.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        // Cut off at axum's own 2 MiB: a batch of 5,000 printers has a tenth of it.
        let body = Bytes::from_request(request, state).await.map_err(|refused| {
            let too_large = refused.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE;
            if too_large { Failure::too_large() } else { Failure::broken_form() }
        })?;
        let pairs = url::form_urlencoded::parse(&body);
        Ok(Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_never_leaves_the_site() {
        for path in ["/", "/?show=need", "/batches/1"] {
            assert_eq!(own_path(Some(path)), Some(path));
        }
        for path in ["//evil", "/\\evil", "http://evil", "javascript:x", "", "/a b", "/\r\nx"] {
            assert_eq!(own_path(Some(path)), None, "{path}");
        }
    }
}
