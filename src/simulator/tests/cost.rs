//! Cost of the simulator. This is a measurement, not a test: run it to repeat the numbers.

use super::*;

/// Returns the resident memory of this process in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Returns the processor time of this process in clock ticks (10 ms).
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2).map(|it| it.parse::<u64>().unwrap()).sum()
}

async fn raw_socket(printer: &SimulatedPrinter) -> TcpStream {
    let session = printer.new_session();
    let mut stream = TcpStream::connect(address(printer)).await.unwrap();
    let request = "GET /sockjs/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    for text in [r#"{"subscribe":{"state":false,"events":["PrintDone"]}}"#, &format!(r#"{{"auth":"admin:{session}"}}"#)]
    {
        // Masked with zeros, so the text does not change.
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        stream.write_all(&frame).await.unwrap();
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: cargo test --lib simulator -- --ignored --nocapture"]
async fn measure_the_cost_of_a_thousand_printers() {
    let printers = 1000;
    let before = resident_kib();
    let farm = Farm::start(FarmConfig { printers, with_sample_files: true, ..FarmConfig::default() }).await.unwrap();
    let started = resident_kib();
    let mut sockets = Vec::with_capacity(printers);
    for printer in farm.printers() {
        sockets.push(raw_socket(printer).await);
    }
    wait_until("all listen", || farm.printers().iter().all(|printer| printer.listener_count() == 1)).await;
    let open = resident_kib();
    println!("KiB for each printer: {} idle, {} with its socket", started - before, open - before);
    println!("(divide by {printers})");
    let print_cpu_share = async |what: &str| {
        let ticks = cpu_ticks();
        tokio::time::sleep(Duration::from_secs(10)).await;
        println!("{what}: {} % of a core", (cpu_ticks() - ticks) as f64 / 10.0);
    };
    print_cpu_share("idle").await;
    for printer in farm.printers() {
        printer.select("long/vase.gcode");
        printer.perform(MachineAction::StartSelected);
    }
    print_cpu_share("all printing lines of a second").await;
    let command = "POST /api/job HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Api-Key: ";
    let mut streams = Vec::new();
    for printer in farm.printers() {
        streams.push((TcpStream::connect(address(printer)).await.unwrap(), printer.api_key().to_owned()));
    }
    for printer in farm.printers() {
        printer.set_fault(Some(Fault::Slow(Duration::from_millis(50))));
    }
    let ticks = cpu_ticks();
    let started = Instant::now();
    let pauses: Vec<_> = streams
        .into_iter()
        .map(|(mut stream, key)| {
            let body = r#"{"command":"pause","action":"pause"}"#;
            let request = format!("{command}{key}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            tokio::spawn(async move {
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut reply = [0; 256];
                let length = stream.read(&mut reply).await.unwrap();
                assert!(reply[..length].starts_with(b"HTTP/1.1 204"));
                stream
            })
        })
        .collect();
    for pause in pauses {
        pause.await.unwrap();
    }
    println!(
        "{printers} pauses at once, 50 ms late: {:?}, {} ms of processor",
        started.elapsed(),
        (cpu_ticks() - ticks) * 10
    );
}
