//! `printyard demo` as a separate process.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{http_client, port, process::PRINTYARD, wait};

/// Deadline for each condition on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A running demo. Dropping it kills the process.
pub struct Demo {
    child: Child,
    /// The folder in which the demo creates its own.
    folder: TempDir,
    url: String,
    token: String,
    client: reqwest::Client,
    /// The session of the demo's link.
    cookie: String,
    /// Time from the start of the process until it printed its link.
    pub started_in: Duration,
}

impl Demo {
    /// Starts a demo with these arguments.
    pub async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listen = format!("127.0.0.1:{}", port::pick_free_port());
        let output = folder.path().join("output");
        let begun = Instant::now();
        let child = Command::new(PRINTYARD)
            .args(["demo", "--listen", &listen])
            .args(arguments)
            .env("TMPDIR", folder.path())
            .stdout(Stdio::from(File::create(&output).expect("a file")))
            .spawn()
            .expect("the demo starts");
        let mut demo = Self {
            child,
            folder,
            url: format!("http://{listen}"),
            token: String::new(),
            client: http_client(),
            cookie: String::new(),
            started_in: Duration::ZERO,
        };
        let text = wait::until("the demo prints its link", DEADLINE, async || {
            let text = std::fs::read_to_string(&output).unwrap_or_default();
            if text.contains("Ctrl-C") { Ok(text) } else { Err(text) }
        })
        .await;
        demo.started_in = begun.elapsed();
        let (_, rest) = text.split_once("token=").expect("a token");
        demo.token = rest.split_whitespace().next().expect("a token").to_owned();
        demo.cookie = demo.log_in(&demo.token).await;
        demo
    }

    /// Returns the URL of a path.
    pub fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Returns the link that the demo printed.
    pub fn login_link(&self) -> String {
        self.url_of(&format!("/login?token={}", self.token))
    }

    /// Opens a session. Returns its cookie.
    pub async fn log_in(&self, token: &str) -> String {
        let request = self.client.get(self.url_of(&format!("/login?token={token}")));
        let answer = request.send().await.expect("an answer");
        let cookie = answer.headers().get("set-cookie").and_then(|cookie| cookie.to_str().ok()).expect("a cookie");
        cookie.split(';').next().expect("a cookie").to_owned()
    }

    /// Returns the body of a GET below `/api/v1`.
    pub async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    /// Sends a POST below `/api/v1`, and waits up to 30 s for the end of a batch.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token);
        let answer = request.header("Prefer", "wait=30").json(body).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Returns all items of a list of the API.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}?limit=500{cursor}")).await;
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Builds a request to a page with the cookie of a session, as from a page of the same origin.
    pub fn page_request(&self, method: Method, path: &str, cookie: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.header("Cookie", cookie).header("Sec-Fetch-Site", "same-origin")
    }

    /// Returns a page.
    pub async fn get_page(&self, path: &str) -> String {
        let answer = self.page_request(Method::GET, path, &self.cookie).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.expect("a page")
    }

    /// Submits a form. Returns the status and the page, which may be that of a redirect.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let answer = with_form(self.page_request(Method::POST, path, &self.cookie), fields).send().await;
        let answer = answer.expect("an answer");
        let location: Option<String> =
            answer.headers().get("location").map(|path| path.to_str().expect("a path").to_owned());
        match location {
            Some(path) => (StatusCode::OK, self.get_page(&path).await),
            None => (answer.status(), answer.text().await.expect("a page")),
        }
    }

    /// Waits until a printer is as described by the condition. Returns the printer.
    pub async fn until(&self, id: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, DEADLINE, async || {
            let printer = self.get(&format!("/printers/{id}")).await;
            if condition(&printer) { Ok(printer) } else { Err(printer) }
        })
        .await
    }

    /// Ends the demo like Ctrl-C, and checks that it deletes its data.
    pub async fn interrupt(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().is_ok_and(|status| status.success()));
        let child = &mut self.child;
        let status = wait::until("the demo ends", DEADLINE, async || child.try_wait().expect("a child")).await;
        assert!(status.success(), "{status}");
        let left: Vec<_> = std::fs::read_dir(self.folder.path())
            .expect("a folder")
            .map(|it| it.expect("a file").file_name())
            .collect();
        assert_eq!(left, ["output"]);
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the id of an object.
pub fn id_of(object: &Value) -> &str {
    object["id"].as_str().expect("an id")
}

/// Adds the fields of a form to a request.
pub fn with_form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("Content-Type", "application/x-www-form-urlencoded").body(body)
}
