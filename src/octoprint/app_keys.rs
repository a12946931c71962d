//! Requests an API key through OctoPrint's bundled plugin *Application Keys*.
//!
//! A program requests a key, and a user allows it on OctoPrint's own page. The program then receives the key, so it is never
//! copied by hand.
//!
//! Measured on 1.11.8 and 2.0.0rc7: the program must poll for the decision at least every 5 s, or OctoPrint forgets the
//! request. OctoPrint accepts three requests a minute, five in ten minutes, and ten an hour. It returns the key only once.

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Error, OctoPrint, RequestOptions, lenient::Text, request::MAX_RESPONSE};

/// A request for a key that waits for a user's decision. The holder of the request gets the key.
// No `Debug`: the request is a secret.
#[derive(Clone)]
pub struct KeyRequest(String);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyRequestResponse {
    app_token: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyDecision {
    api_key: Text,
}

impl OctoPrint {
    /// Requests a key for an application with this name. This request needs no key.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the plugin is disabled, and [`Error::Refused`] with 429 after too many requests.
    pub async fn request_key(&self, app: &str, options: &RequestOptions) -> Result<KeyRequest, Error> {
        let body = Bytes::from(json!({ "app": app }).to_string());
        let response = self.post_json(self.endpoint(&["plugin", "appkeys", "request"]), body, options).await?;
        let token = response.json::<KeyRequestResponse>(MAX_RESPONSE).await?.app_token.non_empty();
        token.map(KeyRequest).ok_or_else(|| Error::protocol("cause-no-key-token"))
    }

    /// Polls for the decision. Returns `None` while there is no decision.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a request that was denied or is no longer known.
    pub async fn poll_requested_key(
        &self,
        request: &KeyRequest,
        options: &RequestOptions,
    ) -> Result<Option<String>, Error> {
        let url = self.endpoint(&["plugin", "appkeys", "request", &request.0]);
        let response = self.send_request(self.build_request(Method::GET, url, options)?, options).await?;
        let is_pending = response.status() == reqwest::StatusCode::ACCEPTED;
        match response.json::<KeyDecision>(MAX_RESPONSE).await?.api_key.non_empty() {
            Some(key) if !is_pending => Ok(Some(key)),
            None if is_pending => Ok(None),
            _ => Err(Error::protocol("cause-no-key-decision")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octoprint::testing::StubServer;

    async fn poll(response: &str) -> Result<Option<String>, Error> {
        let (status, body) = response.split_once('\n').expect("status and body");
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        let server = StubServer::start_replying(head + body).await;
        server.client().poll_requested_key(&KeyRequest("../../api/job".to_owned()), &RequestOptions::default()).await
    }

    #[tokio::test]
    async fn only_a_complete_decision_is_accepted() {
        assert_eq!(poll("202 ACCEPTED\n{\"message\":\"Awaiting decision\"}").await, Ok(None));
        assert_eq!(poll("200 OK\n{\"api_key\":\"K3Y\"}").await, Ok(Some("K3Y".to_owned())));
        assert_eq!(poll("404 NOT FOUND\n{}").await, Err(Error::NotFound));
        for odd in ["200 OK\n{}", "202 ACCEPTED\n{\"api_key\":\"K3Y\"}", "200 OK\n{\"api_key\":7}"] {
            assert!(matches!(poll(odd).await, Err(Error::Protocol { .. })), "{odd}");
        }
    }

    #[tokio::test]
    async fn a_token_is_encoded_as_one_path_segment() {
        let server = StubServer::start_replying("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        let request = KeyRequest("../x?y".to_owned());
        let _ = server.client().poll_requested_key(&request, &RequestOptions::default()).await;
        let received = server.next_request().await;
        assert!(received.starts_with("GET /plugin/appkeys/request/..%2Fx%3Fy HTTP"), "{received}");
    }
}
