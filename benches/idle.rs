//! What 1,000 live printers cost while nothing happens: memory, and processor time over a minute.
//!
//! `cargo bench --bench idle`

#[expect(dead_code, reason = "each benchmark uses a part of what they share")]
mod support;

use std::time::Duration;

use support::{Farm, Server};

const PRINTERS: usize = 1_000;
const WATCH: Duration = Duration::from_secs(60);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let farm = Farm::start(PRINTERS, 0);
    runtime.block_on(async {
        let server = Server::start(&farm).await;
        // Connecting is over, and the first readings are made.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let before = server.ticks();
        tokio::time::sleep(WATCH).await;
        let ticks = server.ticks() - before;
        assert_eq!(server.online().await, PRINTERS);
        let share = f64::from(u32::try_from(ticks).expect("few")) / 100.0 / WATCH.as_secs_f64() * 100.0;
        println!("{PRINTERS} operational printers, all with their event socket open");
        println!("resident memory     {} MB  (target: at most 64)", server.resident_kib() / 1_024);
        println!("processor           {share:.1} % of a core over {} s  (target: at most 5)", WATCH.as_secs());
    });
}
