//! Measures how long users wait until a command is confirmed. The parts are:
//!
//! * `batches`: from a POST until every printer has confirmed the command. For comparison, a bare `reqwest` loop sends the
//!   same requests to the same printers in the same run.
//! * `clients`: single commands of many clients.
//! * `hung`: commands to a farm in which one printer in ten hangs.
//! * `page`: from a change at a printer until an open page receives it.
//!
//! Run all parts with `cargo bench --bench confirm`. Run some of them, or some sizes of batches, with
//! `cargo bench --bench confirm -- batches 100 1000 clients hung page`.

#[expect(dead_code, reason = "each benchmark uses only some of the shared fixtures")]
mod support;

use std::{
    collections::HashSet,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use support::{Farm, Printer, Server, TOKEN, client, cpu_ms, elapsed_ms, min_median_max, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PRINTERS: usize = 1_000;
const LATENCY_MS: u64 = 50;
/// Batches: number of printers, number of rounds, and target of the ratio to the bare loop.
const SIZES: [(usize, usize, f64); 4] = [(1, 8, 1.2), (100, 8, 1.2), (500, 6, 1.5), (1_000, 6, 1.5)];
/// Speed of the simulated printers as a multiple of real ones. A pause waits for a line of G-code, which then takes 0.1 s.
const SPEED: u32 = 10;
/// The commands of a round, each with the state after it.
const COMMANDS: [(&str, &str); 4] =
    [("start", "printing"), ("pause", "paused"), ("resume", "printing"), ("cancel", "operational")];
/// The shortest time of a bare `reqwest` loop in milliseconds, by number of printers, measured with another program. A run
/// is void if its bare loop takes more than 1.2 times as long.
const FLOORS: [(usize, f64); 2] = [(100, 54.0), (1_000, 109.0)];
const CLIENTS: usize = 16;
/// Number of tokens. One token may send at most 50 requests a second.
const TOKENS: usize = 40;
/// Number of printers for the single commands and for the page.
const SMALL_FARM: usize = 100;
/// Number of single commands that are sent at once.
const BURST_COMMANDS: usize = 500;
const HUNG_ROUNDS: usize = 4;
const CHANGES: usize = 100;
/// Pause between measurements, so that the effects of one have ended before the next.
const SETTLE_TIME: Duration = Duration::from_millis(700);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let parts: HashSet<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.contains(part);
    let sizes: HashSet<usize> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    if is_wanted("batches") || is_wanted("clients") || is_wanted("hung") {
        let farm = Farm::start_at_speed(PRINTERS, LATENCY_MS, SPEED);
        runtime.block_on(async {
            let bench = Bench::start(&farm).await;
            if is_wanted("batches") {
                for (size, rounds, target) in
                    SIZES.into_iter().filter(|(size, ..)| sizes.is_empty() || sizes.contains(size))
                {
                    bench.measure_batches(size, rounds, target).await;
                }
            }
            if is_wanted("clients") {
                bench.measure_clients().await;
            }
            if is_wanted("hung") {
                bench.measure_hung().await;
            }
        });
    }
    if is_wanted("page") {
        let farm = Farm::start(SMALL_FARM, 0);
        runtime.block_on(measure_page(&farm));
    }
}

struct Bench<'a> {
    farm: &'a Farm,
    server: Server,
    /// The printers' ids, in the farm's order.
    ids: Vec<String>,
    client: reqwest::Client,
    /// Each token may send at most 200 requests at once.
    tokens: Vec<String>,
}

/// Durations of one command in milliseconds, from the POST.
struct CommandTimes {
    accepted: f64,
    confirmed: f64,
    /// Processor time of the server; `simulator` is that of the simulated farm.
    server: f64,
    simulator: f64,
}

impl<'a> Bench<'a> {
    async fn start(farm: &'a Farm) -> Self {
        let server = Server::start(farm).await;
        let registered = server.list_printers().await;
        let id_of = |printer: &Printer| {
            let found = registered.iter().find(|item| item["name"] == printer.name.as_str()).expect("registered");
            found["id"].as_str().expect("an id").to_owned()
        };
        let ids = farm.printers.iter().map(id_of).collect();
        let tokens = server.operator_tokens(TOKENS).await;
        Self { farm, server, ids, client: client(), tokens }
    }

    /// Sends commands to `size` printers, by a bare loop and by Printyard in turn.
    async fn measure_batches(&self, size: usize, rounds: usize, target: f64) {
        let mut bare = vec![Vec::new(); COMMANDS.len()];
        let mut at_printers = vec![Vec::new(); COMMANDS.len()];
        let mut times: Vec<Vec<CommandTimes>> = COMMANDS.iter().map(|_| Vec::new()).collect();
        // The first round warms the connections.
        for round in 0..=rounds {
            for (index, (command, state)) in COMMANDS.iter().enumerate() {
                tokio::time::sleep(SETTLE_TIME).await;
                let start = Instant::now();
                let time = bare_loop(&self.client, &self.farm.printers[..size], command).await;
                self.wait_for_simulator(size, state).await;
                let reached = elapsed_ms(start);
                self.wait_for_server(size, state).await;
                if round > 0 {
                    bare[index].push(time);
                    at_printers[index].push(reached);
                }
            }
            for (index, (command, state)) in COMMANDS.iter().enumerate() {
                tokio::time::sleep(SETTLE_TIME).await;
                let time = self.run_batch(size, command).await;
                self.wait_for_server(size, state).await;
                if round > 0 {
                    times[index].push(time);
                }
            }
        }
        println!(
            "\none command to {size} printers, {LATENCY_MS} ms latency: medians of {rounds} in ms (least to most)"
        );
        println!(
            "{:8}  {:26}  {:26}  {:26}  {:26}  ratio  processor (server, simulator)",
            "", "bare loop", "its printers are there", "last accepted", "all confirmed"
        );
        for (index, (command, _)) in COMMANDS.iter().enumerate() {
            let values = |value: fn(&CommandTimes) -> f64| times[index].iter().map(value).collect::<Vec<f64>>();
            let confirmed = values(|took| took.confirmed);
            let ratio = min_median_max(&confirmed).1 / min_median_max(&at_printers[index]).1;
            println!(
                "{command:8}  {}  {}  {}  {}  {ratio:5.2}  {:.0}, {:.0} ms",
                format_span(&bare[index]),
                format_span(&at_printers[index]),
                format_span(&values(|took| took.accepted)),
                format_span(&confirmed),
                min_median_max(&values(|took| took.server)).1,
                min_median_max(&values(|took| took.simulator)).1,
            );
        }
        let all: Vec<f64> = bare.into_iter().flatten().collect();
        println!(
            "ratio: all confirmed, to the bare loop with what its printers themselves take (target: at most {target:.1})"
        );
        if let Some((_, floor)) = FLOORS.iter().find(|(printers, _)| *printers == size)
            && min_median_max(&all).1 > floor * 1.2
        {
            println!("VOID: the bare loop took more than 1.2 times its floor of {floor:.0} ms");
        }
    }

    async fn run_batch(&self, size: usize, command: &str) -> CommandTimes {
        let body = self.batch_body(&self.ids[..size], command);
        let url = format!("{}/api/v1/batches", self.server.url);
        let request = self.server.client.post(url).bearer_auth(TOKEN).header("Prefer", "wait=30").json(&body);
        let busy = (self.server.cpu_ms(), self.farm.cpu_ms());
        let (began, start) = (SystemTime::now(), Instant::now());
        let response = request.send().await.expect("a response");
        let status = response.status();
        let bytes = response.bytes().await.expect("a batch");
        let confirmed = elapsed_ms(start);
        let busy = (self.server.cpu_ms() - busy.0, self.farm.cpu_ms() - busy.1);
        let batch: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(status, 207, "{batch}");
        assert_eq!(batch["counts"]["confirmed"], size, "{}", batch["counts"]);
        let id = batch["id"].as_str().expect("an id");
        let mut accepted = 0.0_f64;
        for row in self.list_commands(id).await {
            accepted = accepted.max(ms_since(began, &row["accepted_at"]));
        }
        CommandTimes { accepted, confirmed, server: busy.0, simulator: busy.1 }
    }

    async fn list_commands(&self, batch: &str) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.server.get(&format!("/batches/{batch}/commands?limit=500{cursor}")).await;
            rows.extend(page["items"].as_array().expect("rows").clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }

    fn batch_body(&self, ids: &[String], command: &str) -> Value {
        let mut body = json!({"command": command, "select": {"printer_ids": ids}, "confirm_within_s": 10});
        if command == "start" {
            body["plate"] = "assume_clear".into();
            body["reason"] = "benchmark".into();
        }
        body
    }

    /// Waits until the simulator reports this state for the printers, without asking Printyard.
    async fn wait_for_simulator(&self, size: usize, state: &str) {
        let text = state[..1].to_uppercase() + &state[1..];
        let url = format!("{}/sim/printers", self.farm.control_url);
        wait_until(state, || async {
            let printers: Value = self.client.get(&url).send().await.expect("a response").json().await.expect("JSON");
            let printers = &printers.as_array().expect("printers")[..size];
            printers.iter().all(|printer| printer["state"] == text.as_str())
        })
        .await;
    }

    async fn wait_for_server(&self, size: usize, state: &str) {
        let ids: HashSet<&str> = self.ids[..size].iter().map(String::as_str).collect();
        wait_until(state, || async {
            // Each request costs the server processor time, which is measured meanwhile.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let printers = self.server.list_printers().await;
            let of_size = printers.iter().filter(|printer| ids.contains(printer["id"].as_str().unwrap_or_default()));
            of_size.filter(|printer| printer["status"]["state"] == state).count() == size
        })
        .await;
    }

    /// Sends single commands: first from one client, then from many clients, then all at once.
    async fn measure_clients(&self) {
        let mut alone = Vec::new();
        let mut together = Vec::new();
        let (mut burst, mut processor) = (Vec::new(), Vec::new());
        for round in 0..3 {
            for (command, state) in COMMANDS {
                let one = self.send_single_commands(SMALL_FARM / 5, 1, command).await;
                self.wait_for_server(SMALL_FARM / 5, state).await;
                tokio::time::sleep(SETTLE_TIME).await;
                if round > 0 {
                    alone.extend(one);
                }
            }
            for (command, state) in COMMANDS {
                let many = self.send_single_commands(SMALL_FARM, CLIENTS, command).await;
                self.wait_for_server(SMALL_FARM, state).await;
                tokio::time::sleep(SETTLE_TIME).await;
                if round > 0 {
                    together.extend(many);
                }
            }
            for (command, state) in COMMANDS {
                let (busy, start) = (self.server.cpu_ms(), Instant::now());
                self.send_single_commands(BURST_COMMANDS, BURST_COMMANDS, command).await;
                let took = elapsed_ms(start);
                let each = (self.server.cpu_ms() - busy) / BURST_COMMANDS as f64;
                self.wait_for_server(BURST_COMMANDS, state).await;
                tokio::time::sleep(SETTLE_TIME).await;
                if round > 0 {
                    burst.push(took);
                    processor.push(each);
                }
            }
        }
        let (one, many) = (min_median_max(&alone).1, min_median_max(&together).1);
        println!("\nsingle commands until confirmed, {LATENCY_MS} ms latency, in ms");
        println!("one client, one printer after the other    p50 {one:6.1}");
        println!(
            "{CLIENTS} clients, {SMALL_FARM} printers                   p50 {many:6.1}  ratio {:.2} (target: at most 1.2)",
            many / one
        );
        println!("{BURST_COMMANDS} at once, until the last is confirmed    {}", format_span(&burst));
        println!("processor of the server for each           {}  (target: at most 1.5)", format_span(&processor));
    }

    /// Sends one command to each of `size` printers, `clients` at a time, and waits for each.
    async fn send_single_commands(&self, size: usize, clients: usize, command: &'static str) -> Vec<f64> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut body = json!({"command": command, "confirm_within_s": 10});
        if command == "start" {
            body["plate"] = "assume_clear".into();
            body["reason"] = "benchmark".into();
        }
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                let tokens = self.tokens.clone();
                let (next, ids, body) = (next.clone(), self.ids[..size].to_vec(), body.clone());
                let (client, url) = (self.server.client.clone(), self.server.url.clone());
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(id) = ids.get(index) else { break };
                        let token = &tokens[index % tokens.len()];
                        let url = format!("{url}/api/v1/printers/{id}/job");
                        let request = client.post(url).bearer_auth(token).header("Prefer", "wait=30").json(&body);
                        let start = Instant::now();
                        let response = request.send().await.expect("a response");
                        let status = response.status();
                        let row: Value = response.json().await.expect("JSON");
                        times.push(elapsed_ms(start));
                        assert!(status == 200 && row["outcome"] == "confirmed", "{row}");
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await.expect("a client"));
        }
        times
    }

    /// Measures when the command log has the confirmations of healthy printers, while one printer in ten hangs. A hung printer
    /// accepts connections and never answers.
    async fn measure_hung(&self) {
        let mut log = CommandLog::open(&self.server.database_url()).await;
        let mut without = Vec::new();
        let mut with = Vec::new();
        let hung: Vec<&Printer> = self.farm.printers.iter().step_by(10).collect();
        for round in 0..=HUNG_ROUNDS {
            for (command, state) in COMMANDS {
                tokio::time::sleep(SETTLE_TIME).await;
                let time = self.time_healthy_confirmed(&mut log, command).await;
                self.wait_for_server(PRINTERS, state).await;
                if round > 0 {
                    without.push(time);
                }
            }
        }
        for printer in &hung {
            self.farm.set_fault(&printer.name, "hang").await;
        }
        for round in 0..=HUNG_ROUNDS {
            for (command, _) in COMMANDS {
                tokio::time::sleep(Duration::from_secs(2)).await;
                let time = self.time_healthy_confirmed(&mut log, command).await;
                if round > 0 {
                    with.push(time);
                }
            }
        }
        let (healthy, disturbed) = (min_median_max(&without).1, min_median_max(&with).1);
        println!(
            "\na command to {PRINTERS} printers, until the healthy nine in ten are confirmed in the command log, in ms"
        );
        println!("all healthy       {}", format_span(&without));
        println!("one in ten hung   {}  ratio {:.2} (target: at most 1.1)", format_span(&with), disturbed / healthy);
    }

    async fn time_healthy_confirmed(&self, log: &mut CommandLog, command: &str) -> f64 {
        let body = self.batch_body(&self.ids, command);
        let start = Instant::now();
        let (status, batch) = self.server.post("/batches", &body).await;
        assert_eq!(status, 202, "{batch}");
        let id = batch["id"].as_str().expect("an id").parse().expect("an id");
        let healthy = PRINTERS - PRINTERS / 10;
        let took = log.wait_for_confirmed(id, healthy, start).await;
        wait_until("the batch ends", || async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            !self.server.get(&format!("/batches/{id}")).await["finished_at"].is_null()
        })
        .await;
        took
    }
}

/// Sends one command to all printers at once, as Printyard does. Returns the time in milliseconds.
async fn bare_loop(client: &reqwest::Client, printers: &[Printer], command: &str) -> f64 {
    let body = match command {
        "pause" | "resume" => json!({"command": "pause", "action": command}),
        command => json!({"command": command}),
    };
    let busy = cpu_ms(std::process::id());
    let start = Instant::now();
    let send = |printer: &Printer| {
        let request = client.post(format!("{}/api/job", printer.url)).header("X-Api-Key", &printer.api_key).json(&body);
        tokio::spawn(async move { request.send().await.expect("a response").status() })
    };
    let sends: Vec<_> = printers.iter().map(send).collect();
    for send in sends {
        assert_eq!(send.await.expect("sent"), 204);
    }
    let took = elapsed_ms(start);
    if std::env::var_os("PHASES").is_some() {
        println!("bare {command}: {took:.0} ms, processor {:.0} ms", cpu_ms(std::process::id()) - busy);
    }
    took
}

/// Reads the command log through its own connection, without the server.
struct CommandLog(SqliteConnection);

impl CommandLog {
    async fn open(url: &str) -> Self {
        let options = SqliteConnectOptions::from_str(url).expect("the database's file");
        Self(options.connect().await.expect("the database's file"))
    }

    /// Waits until `count` commands of a batch are confirmed. Returns the time since `start` in milliseconds.
    async fn wait_for_confirmed(&mut self, batch: uuid::Uuid, count: usize, start: Instant) -> f64 {
        const COUNT: &str = "select count(*) from commands where batch_id = $1 and outcome = 'confirmed'";
        let mut known_version = 0_i64;
        loop {
            // Counts only after a write, to leave the processors to the programs that are measured.
            let version: i64 =
                sqlx::query_scalar("pragma data_version").fetch_one(&mut self.0).await.expect("a version");
            if known_version != version {
                known_version = version;
                let confirmed: i64 =
                    sqlx::query_scalar(COUNT).bind(batch).fetch_one(&mut self.0).await.expect("a count");
                if usize::try_from(confirmed).is_ok_and(|confirmed| confirmed >= count) {
                    return elapsed_ms(start);
                }
            }
            assert!(start.elapsed() < Duration::from_secs(60), "the healthy printers were not confirmed");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

/// Measures the time from a change at a printer until an open farm page receives it.
async fn measure_page(farm: &Farm) {
    let bench = Bench::start(farm).await;
    bare_loop(&bench.client, &farm.printers, "start").await;
    bench.wait_for_server(SMALL_FARM, "printing").await;
    let mut stream = PageStream::open(&bench.server).await;
    let mut times = Vec::new();
    for change in 0..CHANGES {
        // A random moment between two rounds of the page.
        tokio::time::sleep(Duration::from_millis(rand::random_range(50..450))).await;
        stream.discard_pending().await;
        let index = change * 37 % SMALL_FARM;
        let command = if (change / SMALL_FARM).is_multiple_of(2) { "pause" } else { "resume" };
        let start = Instant::now();
        bare_loop(&bench.client, &farm.printers[index..=index], command).await;
        stream.wait_for(&bench.ids[index]).await;
        times.push(elapsed_ms(start));
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("\na change at one of {SMALL_FARM} printers until an open page has it, {CHANGES} changes, in ms");
    println!("p50 {:.0} (target: at most 100), p99 {:.0} (target: at most 250)", at(50), at(99));
}

/// The event stream of a farm page, read as a browser reads it.
struct PageStream {
    stream: TcpStream,
    received: String,
}

impl PageStream {
    async fn open(server: &Server) -> Self {
        let login = support::client_without_redirects()
            .get(format!("{}/login?token={TOKEN}", server.url))
            .send()
            .await
            .expect("a response");
        let cookie = login.headers().get("set-cookie").and_then(|value| value.to_str().ok()).expect("a cookie");
        let cookie = cookie.split(';').next().expect("a name and a value").to_owned();
        let page =
            server.client.get(format!("{}/", server.url)).header("cookie", &cookie).send().await.expect("the page");
        let page = page.text().await.expect("a text");
        let path = page.split("data-stream=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("its stream");
        let path = path.replace("&#38;", "&");
        let host = server.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.expect("a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nAccept: text/event-stream\r\n\
             Sec-Fetch-Site: same-origin\r\nAccept-Language: en\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("a request");
        Self { stream, received: String::new() }
    }

    /// Reads and discards everything that the server has sent so far.
    async fn discard_pending(&mut self) {
        while tokio::time::timeout(Duration::from_millis(1), self.read_chunk()).await.is_ok() {}
        self.received.clear();
    }

    /// Waits up to 10 s for each read until the stream contains the id of this printer.
    async fn wait_for(&mut self, id: &str) {
        let deadline = Duration::from_secs(10);
        while !self.received.contains(id) {
            tokio::time::timeout(deadline, self.read_chunk()).await.expect("the page stream sends the tile in time");
        }
    }

    async fn read_chunk(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        let count = self.stream.read(&mut buffer).await.expect("the stream");
        assert!(count > 0, "the stream ended");
        self.received.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

/// Formats the median, the minimum and the maximum of some values.
fn format_span(figures: &[f64]) -> String {
    let (min, middle, max) = min_median_max(figures);
    let spread = format!("({min:.1} to {max:.1})");
    format!("{middle:7.1} {spread:18}")
}

/// Returns the milliseconds from `began` until a time in a response of the API.
fn ms_since(began: SystemTime, at: &Value) -> f64 {
    let at: DateTime<Utc> = at.as_str().and_then(|text| text.parse().ok()).expect("a time");
    let began = began.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    at.timestamp_micros() as f64 / 1_000.0 - began * 1_000.0
}
