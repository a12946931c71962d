//! The passive login: exchanges an API key for the session that the event socket needs.

use bytes::Bytes;
use serde::Deserialize;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{List, Object, Text},
    request::MAX_RESPONSE,
};

/// The user of the API key. OctoPrint's response also contains the user's API key, which is not read.
#[derive(Clone, PartialEq, Eq)]
pub struct OctoPrintSession {
    pub name: String,
    /// A secret: together with the name it opens the event socket. It is lost when OctoPrint restarts.
    pub session: String,
    /// The user's own permissions and those of the user's groups: OctoPrint's names in lower case. They include `admin` if the
    /// user has all permissions.
    pub permissions: Vec<String>,
}

impl std::fmt::Debug for OctoPrintSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("name", &self.name).field("rights", &self.permissions).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoginResponse {
    name: Text,
    session: Text,
    needs: Object<Needs>,
    permissions: List<Text>,
}

/// The permissions that count: the user's own and those of the groups. (The field `permissions` has only the user's own.)
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Needs {
    role: List<Text>,
}

impl OctoPrint {
    /// Logs in with the key (`POST /api/login`, passive). Checks the key, and returns a session for the event socket.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a bad key (1.11: 400 `CSRF validation failed`).
    pub async fn login(&self, options: &RequestOptions) -> Result<OctoPrintSession, Error> {
        let url = self.endpoint(&["api", "login"]);
        let response = self.post_json(url, Bytes::from_static(br#"{"passive":true}"#), options).await?;
        response.json::<LoginResponse>(MAX_RESPONSE).await?.into_session()
    }
}

impl LoginResponse {
    fn into_session(self) -> Result<OctoPrintSession, Error> {
        let (Some(name), Some(session)) = (self.name.non_empty(), self.session.non_empty()) else {
            return Err(Error::protocol("cause-no-session"));
        };
        let permissions = self.needs.0.map_or(self.permissions, |needs| needs.role);
        let permissions =
            permissions.0.into_iter().filter_map(Text::non_empty).map(|permission| permission.to_lowercase());
        Ok(OctoPrintSession { name, session, permissions: permissions.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_and_hidden_from_debug_output() {
        let body = r#"{"name":"ann","session":"S3SSION","apikey":"K3Y","needs":{}}"#;
        let session = serde_json::from_str::<LoginResponse>(body).expect("json").into_session().expect("session");
        assert_eq!(session.session, "S3SSION");
        let debug_output = format!("{session:?}");
        assert!(!debug_output.contains("S3SSION") && !debug_output.contains("K3Y"), "{debug_output}");
    }

    /// Measured: a user of the group `users` has no permissions of their own.
    #[test]
    fn permissions_of_groups_count() {
        for (fields, permissions) in [
            (r#""permissions":[],"needs":{"role":["status","print"],"group":["users"]}"#, &["status", "print"][..]),
            (r#""permissions":["PRINT"],"needs":{}"#, &[]),
            (r#""permissions":["PRINT"]"#, &["print"]),
        ] {
            let body = format!(r#"{{"name":"ann","session":"s",{fields}}}"#);
            let session = serde_json::from_str::<LoginResponse>(&body).expect("json").into_session().expect("session");
            assert_eq!(session.permissions, permissions, "{fields}");
        }
    }

    #[test]
    fn a_response_without_a_session_is_an_error() {
        let body: LoginResponse = serde_json::from_str(r#"{"name":null,"permissions":[]}"#).expect("json");
        assert!(body.into_session().is_err());
    }
}
