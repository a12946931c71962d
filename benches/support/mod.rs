//! Fixtures that the benchmarks share: a simulated farm and a server, each in its own process, and an API client.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json};

/// The admin token of the benchmarks' servers.
pub const TOKEN: &str = "benchmark-token-0123456789";

/// A printer of the simulated farm.
#[derive(Debug, Clone, Deserialize)]
pub struct Printer {
    pub name: String,
    pub url: String,
    pub api_key: String,
}

/// A simulated farm in its own process. Dropping it ends the process.
pub struct Farm {
    child: Child,
    pub printers: Vec<Printer>,
    pub control_url: String,
}

impl Farm {
    /// Starts `printyard simulate`. Every printer has a long print selected.
    pub fn start(printers: usize, latency_ms: u64) -> Self {
        Self::start_at_speed(printers, latency_ms, 1)
    }

    /// Starts a farm whose printers print `speed` times faster than real ones.
    pub fn start_at_speed(printers: usize, latency_ms: u64, speed: u32) -> Self {
        let control = free_port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_printyard"))
            .args(["simulate", "--printers", &printers.to_string(), "--latency-ms", &latency_ms.to_string()])
            .args(["--select", "long/vase.gcode", "--control-port", &control.to_string()])
            .args(["--speed", &speed.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let printers = serde_json::from_str(&line).expect("its printers");
        Self { printers, child, control_url: format!("http://127.0.0.1:{control}") }
    }

    /// Sets a fault of a printer.
    pub async fn set_fault(&self, name: &str, fault: &str) {
        self.set_fault_value(name, &json!(fault)).await;
    }

    /// Sets a fault of a printer, as `Fault::from_json` reads it. Null ends the fault.
    pub async fn set_fault_value(&self, name: &str, fault: &Value) {
        let url = format!("{}/sim/printers/{name}/fault", self.control_url);
        let response = client().post(url).json(&json!({"fault": fault})).send().await.expect("an answer");
        assert!(response.status().is_success(), "{response:?}");
    }

    /// Returns the processor time used so far, in milliseconds.
    pub fn cpu_ms(&self) -> f64 {
        cpu_ms(self.child.id())
    }
}

/// Returns the processor time that the current threads of a process have used so far, in milliseconds, from `/proc`.
pub fn cpu_ms(process: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    let nanoseconds = tasks.flatten().filter_map(|task| {
        // A thread may end between the listing and this read.
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e6
}

impl Drop for Farm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server in its own process. Dropping it ends the process.
pub struct Server {
    child: Child,
    dir: tempfile::TempDir,
    /// Has no slash at its end.
    pub url: String,
    pub client: reqwest::Client,
}

impl Server {
    /// Starts `printyard serve` on SQLite, registers the farm, and waits until every printer is online with an open
    /// event socket.
    pub async fn start(farm: &Farm) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let listen = format!("127.0.0.1:{}", free_port());
        let child = Command::new(env!("CARGO_BIN_EXE_printyard"))
            .arg("serve")
            .current_dir(dir.path())
            .env("PRINTYARD_LISTEN", &listen)
            .env("PRINTYARD_ADMIN_TOKEN", TOKEN)
            .env("RUST_LOG", "printyard=error")
            .spawn()
            .expect("the server starts");
        let server = Self { child, dir, url: format!("http://{listen}"), client: client() };
        wait_until("the server is ready", || async {
            server.client.get(format!("{}/readyz", server.url)).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        for printer in &farm.printers {
            let body = json!({"name": printer.name, "url": printer.url, "api_key": printer.api_key});
            let (status, response) = server.post("/printers", &body).await;
            assert_eq!(status, 201, "{response}");
            // Stays within the request limit of one token.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let count = farm.printers.len();
        wait_until("every printer is online", || async {
            // Polls rarely: each request costs the server memory that it keeps, and this memory would be measured too.
            tokio::time::sleep(Duration::from_millis(500)).await;
            server.count_online().await == count
        })
        .await;
        server
    }

    /// Counts the printers that are online with their event socket open.
    pub async fn count_online(&self) -> usize {
        self.list_printers().await.iter().filter(|item| item["status"]["channel"] == "push").count()
    }

    /// Counts the printers in this state.
    pub async fn count_in_state(&self, state: &str) -> usize {
        self.list_printers().await.iter().filter(|item| item["status"]["state"] == state).count()
    }

    /// Returns every printer as the API returns it.
    pub async fn list_printers(&self) -> Vec<Value> {
        let mut cursor = String::new();
        let mut printers = Vec::new();
        loop {
            let page = self.get(&format!("/printers?limit=500{cursor}")).await;
            printers.extend(page["items"].as_array().expect("printers").clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return printers,
            }
        }
    }

    /// Sends a GET below `/api/v1`.
    pub async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}/api/v1{path}", self.url)).bearer_auth(TOKEN);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    /// Sends a POST below `/api/v1`.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}/api/v1{path}", self.url)).bearer_auth(TOKEN).json(body);
        let response = request.send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// Runs a batch to its end and returns it with all its commands.
    pub async fn run_batch(&self, body: &Value) -> (Value, Vec<Value>) {
        let (status, batch) = self.post("/batches", body).await;
        assert_eq!(status, 202, "{batch}");
        let id = batch["id"].as_str().expect("an id").to_owned();
        let url = format!("{}/api/v1/batches/{id}", self.url);
        let request = self.client.get(url).bearer_auth(TOKEN).header("Prefer", "wait=30");
        let batch: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert!(!batch["finished_at"].is_null(), "{}", batch["counts"]);
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/batches/{id}/commands?limit=500{cursor}")).await;
            rows.extend(page["items"].as_array().expect("rows").clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (batch, rows),
            }
        }
    }

    /// Creates tokens of the role operator: one token may send 200 requests at once.
    pub async fn operator_tokens(&self, count: usize) -> Vec<String> {
        let mut tokens = Vec::new();
        for number in 0..count {
            let body = json!({"name": format!("client {number}"), "role": "operator"});
            let (status, token) = self.post("/tokens", &body).await;
            assert_eq!(status, 201, "{token}");
            tokens.push(token["token"].as_str().expect("a token").to_owned());
        }
        tokens
    }

    /// Returns the URL of the server's database.
    pub fn database_url(&self) -> String {
        format!("sqlite:{}", self.dir.path().join("printyard.db").display())
    }

    /// Returns the resident memory in KiB, from `/proc`.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// Returns the processor time used so far, in milliseconds.
    pub fn cpu_ms(&self) -> f64 {
        cpu_ms(self.child.id())
    }

    /// Returns the processor time used so far, in ticks of 10 ms, from `/proc`.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("its stat");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        fields[11].parse::<u64>().expect("user") + fields[12].parse::<u64>().expect("system")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a plain client, for the comparison and for the API.
#[expect(clippy::disallowed_methods, reason = "the bare client that Printyard is compared with")]
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http1_only().no_proxy().tcp_nodelay(true).pool_max_idle_per_host(2);
    client.build().expect("a client")
}

/// A client that returns redirects as they are.
#[expect(clippy::disallowed_methods, reason = "a browser without a page")]
pub fn client_without_redirects() -> reqwest::Client {
    let client = reqwest::Client::builder().http1_only().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.build().expect("a client")
}

/// Returns the smallest, the median and the largest of some figures.
pub fn min_median_max(figures: &[f64]) -> (f64, f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}

/// Waits until `done` returns true, for at most two minutes.
pub async fn wait_until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done().await {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Returns the milliseconds since `start`.
pub fn elapsed_ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}

/// Returns a free port below the system's ephemeral range, from which the farm takes a thousand ports.
fn free_port() -> u16 {
    std::iter::repeat_with(|| rand::random_range(20_000..30_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
