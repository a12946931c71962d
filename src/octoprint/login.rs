//! The passive login: exchanges an API key for the session that the event socket needs.

use bytes::Bytes;
use serde::Deserialize;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{List, Object, Text},
    request::SMALL,
};

/// The user of the API key. OctoPrint's response also contains the user's API key, which is not read.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub name: String,
    /// A secret: together with the name it opens the event socket. It is lost when OctoPrint restarts.
    pub session: String,
    /// The user's own permissions and those of the user's groups: OctoPrint's names in lower case. They include `admin` if the
    /// user has all permissions.
    pub rights: Vec<String>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("name", &self.name).field("rights", &self.rights).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
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
    pub async fn login(&self, options: &RequestOptions) -> Result<Session, Error> {
        let url = self.endpoint(&["api", "login"]);
        let answer = self.post_json(url, Bytes::from_static(br#"{"passive":true}"#), options).await?;
        answer.json::<Body>(SMALL).await?.session()
    }
}

impl Body {
    fn session(self) -> Result<Session, Error> {
        let (Some(name), Some(session)) = (self.name.filled(), self.session.filled()) else {
            return Err(Error::protocol("the answer to the login has no session"));
        };
        let rights = self.needs.0.map_or(self.permissions, |needs| needs.role);
        let rights = rights.0.into_iter().filter_map(Text::filled).map(|right| right.to_lowercase());
        Ok(Session { name, session, rights: rights.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_and_does_not_show() {
        let body = r#"{"name":"ann","session":"S3SSION","apikey":"K3Y","needs":{}}"#;
        let session = serde_json::from_str::<Body>(body).expect("json").session().expect("session");
        assert_eq!(session.session, "S3SSION");
        let shown = format!("{session:?}");
        assert!(!shown.contains("S3SSION") && !shown.contains("K3Y"), "{shown}");
    }

    /// Measured: a user of the group `users` has no permissions of their own.
    #[test]
    fn rights_come_by_groups_too() {
        for (fields, rights) in [
            (r#""permissions":[],"needs":{"role":["status","print"],"group":["users"]}"#, &["status", "print"][..]),
            (r#""permissions":["PRINT"],"needs":{}"#, &[]),
            (r#""permissions":["PRINT"]"#, &["print"]),
        ] {
            let body = format!(r#"{{"name":"ann","session":"s",{fields}}}"#);
            let session = serde_json::from_str::<Body>(&body).expect("json").session().expect("session");
            assert_eq!(session.rights, rights, "{fields}");
        }
    }

    #[test]
    fn an_answer_without_a_session_is_no_login() {
        let body: Body = serde_json::from_str(r#"{"name":null,"permissions":[]}"#).expect("json");
        assert!(body.session().is_err());
    }
}
