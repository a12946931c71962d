//! Real OctoPrints with their bundled virtual printer.
//!
//! Each instance is a separate process with its own base directory. The container's entry point in `docker/octoprint`
//! writes the directory and starts the process, so the tests cover that too. Instances are ended by their recorded
//! process id. From start to Operational an instance takes about 3 s alone. When many start at once on two cores, it
//! takes 1 s each.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::{port, process::send_signal, wait};

/// Deadline from start to Operational: thirty at once took 32 s on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(90);
/// Deadline for one request of the tests. A request takes about 10 ms without a fault.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// Time between SIGTERM and SIGKILL. A clean end takes less than 1 s.
const END_DEADLINE: Duration = Duration::from_secs(3);

/// The supported versions of OctoPrint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OctoPrintVersion {
    /// The stable 1.11 series.
    V1,
    /// The 2.0 series.
    V2,
}

impl OctoPrintVersion {
    /// Both versions.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];
}

/// Returns the `octoprint` executable of that version, which `tests/run` installed. Returns `None` if it is missing,
/// and prints what is left out.
pub fn find_executable(version: OctoPrintVersion) -> Option<PathBuf> {
    let (variable, what) = match version {
        OctoPrintVersion::V1 => ("PRINTYARD_TEST_OCTOPRINT_1", "OctoPrint 1.11"),
        OctoPrintVersion::V2 => ("PRINTYARD_TEST_OCTOPRINT_2", "OctoPrint 2.0"),
    };
    super::env_or_skip(variable, what).map(PathBuf::from)
}

/// A running OctoPrint. Its printer is Operational when `start` returns.
pub struct OctoPrintInstance {
    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub url: String,
    /// The API key of its only user, `admin`. Each instance has another one.
    pub api_key: String,
    /// The port, which `restart` keeps.
    pub port: u16,
    /// The process id, which `restart` changes.
    pub pid: u32,
    /// The version of this instance.
    pub version: OctoPrintVersion,
    executable: PathBuf,
    child: Child,
    client: reqwest::Client,
    // The last field, so the folder is removed after the process has ended.
    basedir: TempDir,
}

impl OctoPrintInstance {
    /// Starts an instance; `None` where that version is not installed.
    pub async fn start(version: OctoPrintVersion) -> Option<Self> {
        let executable = find_executable(version)?;
        // The port was free when it was chosen, but another program may take it first.
        for _ in 0..2 {
            if let Ok(instance) = Self::try_start(version, &executable).await {
                return Some(instance);
            }
        }
        match Self::try_start(version, &executable).await {
            Ok(instance) => Some(instance),
            Err(why) => panic!("OctoPrint {version:?} does not start: {why}"),
        }
    }

    /// Starts several at the same time, in this order; `None` where one of the versions is not installed.
    pub async fn start_many(versions: &[OctoPrintVersion]) -> Option<Vec<Self>> {
        let instances = futures_util::future::join_all(versions.iter().map(|version| Self::start(*version))).await;
        instances.into_iter().collect()
    }

    async fn try_start(version: OctoPrintVersion, executable: &Path) -> Result<Self, String> {
        let basedir = tempfile::Builder::new().prefix("printyard-octoprint-").tempdir().expect("a temporary folder");
        let port = port::pick_free_port();
        let api_key = format!("key-{}", Uuid::now_v7().simple());
        let child = spawn(executable, basedir.path(), port, &api_key);
        let mut instance = Self {
            url: format!("http://127.0.0.1:{port}"),
            api_key,
            port,
            pid: child.id(),
            version,
            executable: executable.to_owned(),
            child,
            client: super::http_client(),
            basedir,
        };
        instance.until_operational().await.map(|()| instance)
    }

    /// Waits for Operational. The error means that the process ended, and contains the end of its output.
    async fn until_operational(&mut self) -> Result<(), String> {
        let what = format!("OctoPrint {:?} at {} is Operational", self.version, self.url);
        let Self { child, client, url, api_key, basedir, .. } = self;
        wait::until(&what, START_DEADLINE, async || {
            if let Ok(Some(status)) = child.try_wait() {
                return Ok(Err(format!("it ended with {status}; it printed:\n{}", read_output_tail(basedir.path()))));
            }
            match get_json(client, &format!("{url}/api/job"), api_key).await {
                Ok(job) if job["state"] == "Operational" => Ok(Ok(())),
                Ok(job) => Err(job["state"].to_string()),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Freezes the process: it accepts connections and answers nothing. `thaw` wakes it.
    pub fn freeze(&self) {
        send_signal("STOP", &[self.pid]);
    }

    /// Wakes the process after `stop`.
    pub fn thaw(&self) {
        send_signal("CONT", &[self.pid]);
    }

    /// Ends the process as a power cut would: connections are refused, and the print is lost.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process of our own can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts the instance again on the same port and folder, and waits for Operational. Kills it first if it still
    /// runs.
    pub async fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.executable, self.basedir.path(), self.port, &self.api_key);
        self.pid = self.child.id();
        if let Err(why) = self.until_operational().await {
            panic!("OctoPrint {:?} does not start again: {why}", self.version);
        }
    }

    /// Returns how many lines of OctoPrint's log contain a text.
    pub fn count_log_lines(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(self.basedir.path().join("logs/octoprint.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// Sends G-code lines outside any print, as OctoPrint's terminal does. `!!DEBUG:…` reaches the virtual printer
    /// itself.
    pub async fn send_gcode(&self, lines: &[&str]) {
        self.post("/api/printer/command", json!({ "commands": lines })).await;
    }

    /// Sets a G-code script, for example `beforePrintStarted` or `afterPrintPaused`, which makes a short state last.
    pub async fn set_script(&self, name: &str, gcode: &str) {
        self.post("/api/settings", json!({ "scripts": { "gcode": { name: gcode } } })).await;
    }

    /// Uploads a file to local storage, with the folders of its path. Selects it if `select` is true.
    pub async fn upload(&self, path: &str, content: impl Into<String>, select: bool) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let file = reqwest::multipart::Part::text(content.into()).file_name(name.to_owned());
        let form = reqwest::multipart::Form::new()
            .text("path", folder.to_owned())
            .text("select", select.to_string())
            .part("file", file);
        let request = self.request(reqwest::Method::POST, "/api/files/local").multipart(form);
        assert_eq!(response_status(request).await, 201, "upload of {path}");
    }

    /// Deletes a file from local storage.
    pub async fn delete(&self, path: &str) {
        let request = self.request(reqwest::Method::DELETE, &format!("/api/files/local/{path}"));
        assert_eq!(response_status(request).await, 204, "deletion of {path}");
    }

    /// Returns the body of `GET /api/job`.
    ///
    /// # Panics
    /// If there is no response; use `try_read_job` for an instance that may not respond.
    pub async fn read_job(&self) -> Value {
        self.try_read_job().await.expect("the job of a healthy OctoPrint")
    }

    /// Returns the body of `GET /api/job`, or the reason why there is no response within 10 s.
    pub async fn try_read_job(&self) -> Result<Value, String> {
        get_json(&self.client, &format!("{}/api/job", self.url), &self.api_key).await
    }

    /// Waits until the state text begins with `state`.
    pub async fn until_state(&self, state: &str, deadline: Duration) {
        wait::until(&format!("{} is {state}", self.url), deadline, async || {
            let job = self.try_read_job().await?;
            let seen = job["state"].as_str().unwrap_or_default();
            if seen.starts_with(state) { Ok(()) } else { Err(job.to_string()) }
        })
        .await;
    }

    /// Sends a command to `/api/job` without Printyard, as a person at the printer would. Returns the status.
    pub async fn post_job(&self, command: &str, action: Option<&str>) -> u16 {
        let mut body = json!({ "command": command });
        if let Some(action) = action {
            body["action"] = action.into();
        }
        response_status(self.request(reqwest::Method::POST, "/api/job").json(&body)).await
    }

    /// Builds a request to this instance with its API key, for requests without a method here.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .header("X-Api-Key", &self.api_key)
            .timeout(REQUEST_DEADLINE)
    }

    async fn post(&self, path: &str, body: Value) {
        let status = response_status(self.request(reqwest::Method::POST, path).json(&body)).await;
        assert!((200..300).contains(&status), "{path} answered {status} to {body}");
    }
}

impl Drop for OctoPrintInstance {
    /// Ends the process with SIGTERM, and with SIGKILL after the deadline. A frozen process is woken first, because it
    /// could not react to SIGTERM.
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        send_signal("CONT", &[self.pid]);
        send_signal("TERM", &[self.pid]);
        let child = &mut self.child;
        if !wait::until_blocking(END_DEADLINE, || matches!(child.try_wait(), Ok(Some(_)))) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts the container's entry point with the Python in which this OctoPrint is installed.
fn spawn(executable: &Path, basedir: &Path, port: u16, api_key: &str) -> Child {
    let python = executable.with_file_name("python");
    let entrypoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/octoprint/entrypoint.py");
    let output = File::options().create(true).append(true).open(basedir.join("output.log")).expect("a log file");
    let child = Command::new(&python)
        .arg(&entrypoint)
        .env("OCTOPRINT_BASEDIR", basedir)
        .env("OCTOPRINT_HOST", "127.0.0.1")
        .env("OCTOPRINT_PORT", port.to_string())
        .env("OCTOPRINT_API_KEY", api_key)
        .current_dir(basedir)
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a second handle"))
        .stderr(output)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", python.display()));
    // With this file `tests/run` ends the processes of a killed test binary.
    std::fs::write(basedir.join("pid"), child.id().to_string()).expect("a pid file");
    child
}

async fn get_json(client: &reqwest::Client, url: &str, api_key: &str) -> Result<Value, String> {
    let request = client.get(url).header("X-Api-Key", api_key).timeout(REQUEST_DEADLINE);
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("status {status}"));
    }
    response.json().await.map_err(|error| format!("{error:?}"))
}

async fn response_status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.expect("an answer from a healthy OctoPrint").status().as_u16()
}

/// Returns the last lines of the process output.
fn read_output_tail(basedir: &Path) -> String {
    let text = std::fs::read_to_string(basedir.join("output.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
