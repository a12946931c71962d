//! What the benchmarks share: a simulated farm in a process of its own, the server over it, and a bare loop to
//! compare with.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize;

/// A printer of the simulated farm.
#[derive(Debug, Clone, Deserialize)]
pub struct Printer {
    pub name: String,
    pub url: String,
    pub api_key: String,
}

/// A simulated farm in a process of its own, ended with this value.
pub struct Farm {
    child: Child,
    pub printers: Vec<Printer>,
}

impl Farm {
    /// Starts `printyard simulate`, every printer with a long print selected.
    pub fn start(printers: usize, latency_ms: u64) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_printyard"))
            .args(["simulate", "--printers", &printers.to_string(), "--latency-ms", &latency_ms.to_string()])
            .args(["--select", "long/vase.gcode"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        Self { printers: serde_json::from_str(&line).expect("its printers"), child }
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The middle one of some figures, with the smallest and the largest.
pub fn median(figures: &[f64]) -> (f64, f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}

/// Waits until `done` says so, for at most two minutes.
pub async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done().await {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Milliseconds since `start`.
pub fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}
