//! Reads the version of OctoPrint, and checks the key: this is the cheapest request that needs a permission.

use serde::Deserialize;

use super::{Error, OctoPrint, RequestOptions, lenient::Text, request::MAX_RESPONSE};

/// The response to `GET /api/version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OctoPrintVersion {
    /// The version, for example `1.11.8`. If the body has only a text, this is that text.
    pub server: String,
    /// The text for users, for example `OctoPrint 1.11.8`. Servers that imitate OctoPrint name themselves here.
    pub text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VersionResponse {
    server: Text,
    text: Text,
}

impl OctoPrint {
    /// Reads the version (`GET /api/version`). It needs the permission STATUS, so it also checks the key.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a key that is bad or lacks STATUS (1.11: 403). [`Error::Protocol`] or [`Error::NotFound`]
    /// if another server than OctoPrint responds.
    pub async fn version(&self, options: &RequestOptions) -> Result<OctoPrintVersion, Error> {
        let body: VersionResponse = self.get_json(self.endpoint(&["api", "version"]), MAX_RESPONSE, options).await?;
        body.into_version()
    }
}

impl VersionResponse {
    fn into_version(self) -> Result<OctoPrintVersion, Error> {
        let (server, text) = (self.server.non_empty(), self.text.non_empty());
        match (server, text) {
            (Some(server), Some(text)) => Ok(OctoPrintVersion { server, text }),
            (Some(only), None) | (None, Some(only)) => Ok(OctoPrintVersion { server: only.clone(), text: only }),
            (None, None) => Err(Error::protocol("cause-no-version")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octoprint::testing::sample;

    #[test]
    fn every_shape_of_the_version_is_read() {
        for (name, server) in [
            ("version", "1.11.8"),
            ("dev2-version-v1", "2.1.0.dev+unknown.g744c8359"),
            ("dev2-version-v2", "2.1.0.dev+unknown.g744c8359"),
        ] {
            let version = sample::<VersionResponse>(name).into_version().expect(name);
            assert_eq!(version.server, server);
            assert!(version.text.starts_with("OctoPrint "), "{name}");
        }
    }

    #[test]
    fn json_of_another_program_is_not_a_version() {
        let body: VersionResponse = serde_json::from_str(r#"{"status":"ok","server":7}"#).expect("json");
        assert!(matches!(body.into_version(), Err(Error::Protocol { .. })));
    }
}
