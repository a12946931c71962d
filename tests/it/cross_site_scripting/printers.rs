//! Printers that return test texts in their states, errors, files, versions and refusals.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{PAYLOADS, PayloadLog};
use crate::support::{server::TestServer, wait};

/// How a printer behaves. Each kind of text has a printer of each mode.
pub const MODES: [&str; 6] = ["ready", "printing", "failed", "strange", "refusing", "moved"];

/// Permissions that an API key must have. Without them the connection test ends early.
const PERMISSIONS: [&str; 8] =
    ["STATUS", "CONNECTION", "PRINT", "FILES_LIST", "FILES_UPLOAD", "FILES_SELECT", "FILES_DELETE", "CONTROL"];

const DEADLINE: Duration = Duration::from_secs(60);

/// One listener for all printers. Each printer has its own path.
pub struct PayloadPrinters {
    /// `{url}/{kind}/{mode}` is the address of an OctoPrint.
    pub url: String,
    texts: Arc<PrinterTexts>,
    _end: DropGuard,
}

struct PrinterTexts {
    payloads: PayloadLog,
    by_place: Mutex<HashMap<(usize, String), String>>,
}

impl PrinterTexts {
    /// Returns the text of this printer at this place. The text stays the same until `change_texts`.
    fn text_at(&self, kind: usize, place: &str) -> String {
        let mut by_place = self.by_place.lock().unwrap_or_else(PoisonError::into_inner);
        by_place.entry((kind, place.to_owned())).or_insert_with(|| self.payloads.create(kind, place)).clone()
    }
}

impl PayloadPrinters {
    /// Starts to listen.
    pub async fn start(payloads: PayloadLog) -> Self {
        let texts = Arc::new(PrinterTexts { payloads, by_place: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let end = CancellationToken::new();
        let router = Router::new().fallback(respond).with_state(texts.clone());
        let serve = axum::serve(listener, router).with_graceful_shutdown(end.clone().cancelled_owned());
        tokio::spawn(async move { serve.await });
        Self { url, texts, _end: end.drop_guard() }
    }

    /// Registers all printers. Returns their ids by kind, and within a kind by mode.
    pub async fn register(&self, server: &TestServer) -> Vec<String> {
        let mut ids = Vec::new();
        for kind in 0..PAYLOADS.len() {
            for mode in MODES {
                let body = json!({
                    "name": self.texts.payloads.create(kind, "the name of a printer"), "url": format!("{}/{kind}/{mode}", self.url),
                    "api_key": "K3Y", "tags": ["seen-by-all", self.texts.payloads.create(kind, "a tag")],
                });
                let (status, printer, _) = server.post("/api/v1/printers", body).await;
                assert_eq!(status, 201, "{printer}");
                ids.push(printer["id"].as_str().expect("an id").to_owned());
            }
        }
        ids
    }

    /// Waits until every printer was read once.
    pub async fn until_read(&self, server: &TestServer) {
        wait::until("every printer was read", DEADLINE, async || {
            let (_, page, _) = server.get("/api/v1/printers?limit=500&tag=seen-by-all").await;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            let online = items.iter().filter(|item| item["status"]["reachability"] == "online").count();
            let silent = items.iter().filter(|item| item["status"]["reachability"] == "incompatible").count();
            let (want_online, want_silent) = (PAYLOADS.len() * 4, PAYLOADS.len());
            if online >= want_online && silent >= want_silent { Ok(()) } else { Err((online, silent)) }
        })
        .await;
    }

    /// Changes every text from now on. Returns the first number of the new texts.
    pub fn change_texts(&self) -> usize {
        let mut by_place = self.texts.by_place.lock().unwrap_or_else(PoisonError::into_inner);
        by_place.clear();
        self.texts.payloads.len()
    }
}

async fn respond(State(texts): State<Arc<PrinterTexts>>, method: Method, uri: Uri) -> Response {
    let mut parts = uri.path().splitn(4, '/').skip(1);
    let kind: usize = parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
    let (mode, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // Several printers can be registered for one kind and mode. Each has another path before `api/`.
    let rest = rest.find("api/").map_or(rest, |at| &rest[at..]);
    let text = |place: &str| texts.text_at(kind, &format!("{mode}: {place}"));
    let state = match mode {
        "printing" => "Printing".to_owned(),
        "failed" => format!("Error: {}", text("its state")),
        "strange" => text("its state"),
        _ => "Operational".to_owned(),
    };
    let refused = |status: StatusCode| (status, Json(json!({"error": text("its refusal")}))).into_response();
    let file = || {
        json!({"name": text("its file"), "path": text("its file"), "origin": text("its origin"), "size": 1000, "date": 1,
            "type": "machinecode"})
    };
    let body: Value = match (method.as_str(), rest) {
        ("GET", "api/version") => json!({"api": "0.1", "server": text("its version"), "text": text("its version")}),
        ("POST", "api/login") => {
            json!({"name": text("its user"), "session": "s", "permissions": PERMISSIONS, "groups": [text("its group")]})
        }
        ("GET", _) if mode == "refusing" => return refused(StatusCode::BAD_REQUEST),
        ("GET", _) if mode == "moved" => {
            return (StatusCode::FOUND, [(header::LOCATION, text("where it moved"))]).into_response();
        }
        ("GET", "api/job") => json!({
            "job": {"file": file(), "user": text("its user"), "estimatedPrintTime": 10},
            "progress": {"completion": 10, "printTime": 1, "printTimeLeft": 500, "filepos": 1},
            "state": state, "error": text("its error"),
        }),
        ("GET", "api/printer") => {
            json!({"temperature": {text("its heater"): {"actual": 20, "target": 0}}, "state": {"text": state, "flags": {}}})
        }
        ("GET", "api/printer/error") => json!({"error": text("its error")}),
        ("GET", "api/files") => json!({"files": [file()]}),
        ("GET", "api/settings") => json!({"webcam": {"snapshotUrl": text("its camera")}}),
        ("POST", "api/files/local") => {
            return (StatusCode::CREATED, Json(json!({"files": {"local": file()}}))).into_response();
        }
        ("POST" | "DELETE", _) => return refused(StatusCode::CONFLICT),
        _ => return refused(StatusCode::NOT_FOUND),
    };
    Json(body).into_response()
}
