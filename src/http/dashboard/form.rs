//! Parses HTML forms: fields in order, names may repeat.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::StatusCode,
    response::IntoResponse,
};
use uuid::Uuid;

use super::page::{Failure, local_path};

/// The fields of a form.
pub(super) struct FormData(Vec<(String, String)>);

impl FormData {
    /// Returns a form with these fields.
    #[cfg(test)]
    pub fn from_pairs(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Returns the first field of this name that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Returns all fields of this name that are not empty.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim());
        values.filter(|value| !value.is_empty())
    }

    /// Returns a field exactly as it was typed, including spaces.
    pub fn secret(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns whether a checkbox is ticked.
    pub fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// Returns a whole number. `None` if the field is empty or not a number.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }

    /// Returns unique ids, in the order of the page.
    pub fn ids(&self, name: &str) -> Vec<Uuid> {
        let mut seen = std::collections::HashSet::new();
        self.values(name).filter_map(|text| text.parse().ok()).filter(|id| seen.insert(*id)).collect()
    }

    /// Returns all fields exactly as they were typed.
    pub fn fields(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// Adds fields, if the form has none of these names. An empty field counts: the user has emptied it.
    pub fn with_defaults(mut self, names: &[&str], defaults: impl Iterator<Item = (String, String)>) -> Self {
        if !self.0.iter().any(|(name, _)| names.contains(&name.as_str())) {
            self.0.extend(defaults);
        }
        self
    }

    /// Replaces the address if the button `use_url` was pressed, so that the form is shown again with that address.
    pub fn with_suggestion(mut self) -> Self {
        if let Some(url) = self.text("use_url").map(str::to_owned) {
            self.0.retain(|(name, _)| !["use_url", "url", "act"].contains(&name.as_str()));
            self.0.extend([("url".to_owned(), url), ("act".to_owned(), "check".to_owned())]);
        }
        self
    }

    /// Returns the path to go back to: a path of this site, else the farm page.
    pub fn back_path(&self) -> &str {
        local_path(self.text("back")).unwrap_or("/")
    }
}

impl<S: Send + Sync> FromRequest<S> for FormData {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        // axum limits the body to 2 MiB. A batch of 5,000 printers needs a tenth of it.
        let body = Bytes::from_request(request, state).await.map_err(|refused| {
            let too_large = refused.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE;
            if too_large { Failure::too_large() } else { Failure::invalid_form() }
        })?;
        let pairs = url::form_urlencoded::parse(&body);
        Ok(Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }
}

/// Parses a number that has a point or a comma.
pub(super) fn parse_decimal(text: &str) -> Option<f64> {
    text.replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_path_never_leaves_the_site() {
        for path in ["/", "/?show=need", "/batches/1"] {
            assert_eq!(local_path(Some(path)), Some(path));
        }
        for path in ["//evil", "/\\evil", "http://evil", "javascript:x", "", "/a b", "/\r\nx"] {
            assert_eq!(local_path(Some(path)), None, "{path}");
        }
    }
}
