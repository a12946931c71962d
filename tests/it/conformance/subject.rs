//! A printer under test: a real OctoPrint with its virtual printer, or a simulated one. Scenarios control both over
//! OctoPrint's HTTP API only, so they run unchanged on either kind.

use std::time::Duration;

use printyard::simulator::{Farm, FarmConfig, Fault, Flavor, SimulatedPrinter};
use serde_json::{Value, json};

use crate::support::{
    octoprint::{OctoPrintInstance, OctoPrintVersion},
    wait,
};

/// Deadline for steps that take two seconds at most without a fault.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// One printer.
pub struct TestSubject {
    pub name: String,
    pub url: String,
    pub api_key: String,
    pub version: OctoPrintVersion,
    client: reqwest::Client,
    backend: SubjectBackend,
    has_socket: bool,
}

enum SubjectBackend {
    Real(Box<OctoPrintInstance>),
    // Dropping the farm stops its printers.
    Simulated { printer: SimulatedPrinter, _farm: Farm },
}

impl TestSubject {
    /// Starts a real OctoPrint; `None` where that version is not installed.
    pub async fn start_real(version: OctoPrintVersion) -> Option<Self> {
        let instance = OctoPrintInstance::start(version).await?;
        let name = format!("OctoPrint {version:?} at {}", instance.url);
        let (url, api_key) = (instance.url.clone(), instance.api_key.clone());
        let backend = SubjectBackend::Real(Box::new(instance));
        Some(Self { name, url, api_key, version, client: crate::support::http_client(), backend, has_socket: true })
    }

    /// Starts a simulated printer in real time.
    pub async fn start_simulated(version: OctoPrintVersion) -> Self {
        let flavor = match version {
            OctoPrintVersion::V1 => Flavor::V1_11,
            OctoPrintVersion::V2 => Flavor::V2_0,
        };
        let farm = Farm::start(FarmConfig { flavor, ..FarmConfig::default() }).await.expect("a port");
        let printer = farm.printers()[0].clone();
        let (url, api_key) = (printer.url().to_owned(), printer.api_key().to_owned());
        let name = format!("simulated {version:?} at {url}");
        let backend = SubjectBackend::Simulated { printer, _farm: farm };
        Self { name, url, api_key, version, client: crate::support::http_client(), backend, has_socket: true }
    }

    /// Whether its event socket can be opened.
    pub fn has_socket(&self) -> bool {
        self.has_socket
    }

    /// Returns the handle of the simulated printer.
    ///
    /// # Panics
    /// For a real OctoPrint.
    pub fn simulated_printer(&self) -> &SimulatedPrinter {
        match &self.backend {
            SubjectBackend::Simulated { printer, .. } => printer,
            SubjectBackend::Real(_) => panic!("{} is real", self.name),
        }
    }

    /// Decides on the pending request for an application key, as a user in a browser. Returns false if there is no
    /// request yet.
    pub async fn decide_app_key(&self, grant: bool) -> bool {
        let instance = match &self.backend {
            SubjectBackend::Simulated { printer, .. } => return printer.decide_app_key(grant),
            SubjectBackend::Real(instance) => instance,
        };
        let request = instance.request(reqwest::Method::GET, "/api/plugin/appkeys");
        let keys: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        let Some(token) = keys["pending"].as_object().and_then(|pending| pending.keys().next()) else { return false };
        let request = instance.request(reqwest::Method::POST, &format!("/plugin/appkeys/decision/{token}"));
        let answer = request.json(&json!({"decision": grant})).send().await.expect("an answer");
        assert_eq!(answer.status(), 204, "{}", self.name);
        true
    }

    /// Freezes the printer: it accepts connections and answers nothing.
    pub fn freeze(&self) {
        match &self.backend {
            SubjectBackend::Real(instance) => instance.freeze(),
            SubjectBackend::Simulated { printer, .. } => printer.set_fault(Some(Fault::Hang)),
        }
    }

    /// Ends the effect of `freeze`.
    pub fn thaw(&self) {
        match &self.backend {
            SubjectBackend::Real(instance) => instance.thaw(),
            SubjectBackend::Simulated { printer, .. } => printer.set_fault(None),
        }
    }

    /// Ends the printer as a power cut would: connections are refused.
    pub fn kill(&mut self) {
        match &mut self.backend {
            SubjectBackend::Real(instance) => instance.kill(),
            SubjectBackend::Simulated { printer, .. } => printer.set_fault(Some(Fault::Refuse)),
        }
    }

    /// Returns the same printer without an event socket. Only the simulator supports this.
    pub fn without_socket(mut self) -> Self {
        if let SubjectBackend::Simulated { printer, .. } = &self.backend {
            printer.set_fault(Some(Fault::DropSocket));
            self.name = format!("{} by polling", self.name);
            self.has_socket = false;
        }
        self
    }

    /// Sends G-code lines outside any print; `!!DEBUG:…` reaches the virtual printer itself.
    pub async fn send_gcode(&self, lines: &[&str]) {
        let sent = self.post("/api/printer/command", json!({ "commands": lines })).await;
        assert_eq!(sent, 204, "{}: {lines:?}", self.name);
    }

    /// Sets G-code scripts, which make short states last.
    pub async fn set_scripts(&self, scripts: &[(&str, &str)]) {
        let scripts: serde_json::Map<_, _> =
            scripts.iter().map(|(name, gcode)| ((*name).to_owned(), Value::from(*gcode))).collect();
        let set = self.post("/api/settings", json!({ "scripts": { "gcode": scripts } })).await;
        assert_eq!(set, 200, "{}: scripts", self.name);
    }

    /// Uploads a file to its local storage.
    pub async fn upload(&self, path: &str, content: impl Into<String>) {
        let file = reqwest::multipart::Part::text(content.into()).file_name(path.to_owned());
        let form = reqwest::multipart::Form::new().part("file", file);
        let request = self.request(reqwest::Method::POST, "/api/files/local").multipart(form);
        let status = request.send().await.expect("an answer").status().as_u16();
        assert_eq!(status, 201, "{}: upload of {path}", self.name);
    }

    /// Selects a file, as OctoPrint's own page does.
    pub async fn select(&self, path: &str) {
        let status = self.post(&format!("/api/files/local/{path}"), json!({ "command": "select" })).await;
        assert_eq!(status, 204, "{}: selection of {path}", self.name);
    }

    /// Sends a job command as OctoPrint's own page does. Returns the status and the text of an error.
    pub async fn post_job(&self, command: &str, action: Option<&str>) -> (u16, String) {
        let mut body = json!({ "command": command });
        if let Some(action) = action {
            body["action"] = action.into();
        }
        let request = self.request(reqwest::Method::POST, "/api/job").json(&body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.json::<Value>().await.unwrap_or_default();
        (status, text["error"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends `connect` or `disconnect` for the printer, as OctoPrint's own page does.
    pub async fn post_connection(&self, command: &str) {
        assert_eq!(self.post("/api/connection", json!({ "command": command })).await, 204, "{}", self.name);
    }

    /// Returns the body of `GET /api/job`.
    pub async fn read_job(&self) -> Value {
        let request = self.request(reqwest::Method::GET, "/api/job");
        request.send().await.expect("an answer").json().await.expect("json")
    }

    /// Waits until OctoPrint reports this state.
    pub async fn until_state(&self, state: &str) {
        wait::until(&format!("{} is {state}", self.name), DEADLINE, async || {
            let job = self.read_job().await;
            if job["state"] == state { Ok(()) } else { Err(job.to_string()) }
        })
        .await;
    }

    /// Sends a POST and returns its status.
    pub async fn post(&self, path: &str, body: Value) -> u16 {
        let request = self.request(reqwest::Method::POST, path).json(&body);
        request.send().await.unwrap_or_else(|error| panic!("{}: {path}: {error}", self.name)).status().as_u16()
    }

    /// Builds a request with its API key.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).header("X-Api-Key", &self.api_key).timeout(DEADLINE)
    }
}
