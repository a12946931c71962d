//! The API of the server that a reader runs.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{DEADLINE, as_text, items, terminal::Machine};
use crate::support::{
    http_client,
    server::{JsonResponse, send_request},
    wait,
};

/// The API of a server, with a token.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    pub token: String,
}

impl Api {
    pub fn new(machine: &Machine, token: &str) -> Self {
        let base = format!("http://{}/api/v1", machine.address);
        Self { client: http_client(), base, token: token.to_owned() }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token).timeout(DEADLINE)
    }

    pub async fn try_get(&self, path: &str) -> JsonResponse {
        send_request(self.request(Method::GET, path)).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body, _) = self.try_get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: &Value) -> JsonResponse {
        send_request(self.request(Method::POST, path).json(body)).await
    }

    pub async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> JsonResponse {
        send_request(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// Like [`Self::post_with_key`], and waits for the end of the batch.
    pub async fn finish_with_key(&self, path: &str, key: &str, body: &Value) -> JsonResponse {
        let request = self.request(Method::POST, path).header("Prefer", "wait=30").header("Idempotency-Key", key);
        send_request(request.json(body)).await
    }

    /// Sends a batch, and waits for its end.
    pub async fn finish_batch(&self, path: &str, body: &Value) -> Value {
        let request = self.request(Method::POST, path).header("Prefer", "wait=30").json(body);
        let (status, batch, _) = send_request(request).await;
        assert_eq!(status, StatusCode::MULTI_STATUS, "{batch}");
        batch
    }

    pub async fn list_printer_ids(&self, tag: &str) -> Vec<String> {
        let page = self.get("/printers?limit=500").await;
        let tagged = items(&page).iter().filter(|printer| has_text(&printer["tags"], tag));
        tagged.map(|printer| as_text(&printer["id"]).to_owned()).collect()
    }
}

fn has_text(list: &Value, text: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|item| item == text))
}

/// Returns the values of a field of every row of a batch.
pub fn row_values<'a>(batch: &'a Value, field: &str) -> BTreeSet<&'a str> {
    let rows = batch["commands"].as_array().unwrap_or_else(|| panic!("no rows: {batch}"));
    rows.iter().map(|row| as_text(&row[field])).collect()
}

/// Waits until a list of prints has `count` prints, either all running or all ended. The server stores the outcome of a
/// command before the print.
pub async fn until_prints(api: &Api, query: &str, count: usize, have_ended: bool) -> Vec<Value> {
    wait::until("the prints are stored", DEADLINE, async || {
        let page = api.get(&format!("/prints?limit=500&{query}")).await;
        let prints = items(&page).clone();
        let is_stored = prints.len() == count && prints.iter().all(|print| print["ended_at"].is_null() != have_ended);
        if is_stored { Ok(prints) } else { Err(page) }
    })
    .await
}

pub async fn until_ready(machine: &Machine) {
    let (client, url) = (http_client(), format!("http://{}/readyz", machine.address));
    wait::until("the server is ready", DEADLINE, async || {
        let answer = client.get(&url).send().await.map_err(|error| error.to_string())?;
        if answer.status() == StatusCode::OK { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
}

/// Opens a link as a browser without cookies. Returns the status and the cookie.
pub async fn open_link(link: &str) -> (StatusCode, String) {
    let answer = http_client().get(link).timeout(DEADLINE).send().await.expect("an answer");
    let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    (answer.status(), cookie.to_owned())
}
