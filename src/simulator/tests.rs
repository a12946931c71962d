//! The simulator as a client meets it: over sockets. The client here is a few lines of its own, so that no client
//! library hides what is on the wire.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use super::{Act, Farm, FarmConfig, Fault, Flavor, SimulatedPrinter, sample_gcode};

const DEADLINE: Duration = Duration::from_secs(10);

/// An answer: its status (0: none came), head and body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn address(printer: &SimulatedPrinter) -> &str {
    printer.url().strip_prefix("http://").unwrap()
}

/// One request on a connection of its own; an error is that of the socket.
async fn ask(printer: &SimulatedPrinter, head: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address(printer)).await?;
    let length = body.len();
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers = headers.replace('\n', "\r\n");
    let end = if headers.is_empty() { "" } else { "\r\n" };
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}{end}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or(("", &text));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

async fn get(printer: &SimulatedPrinter, path: &str) -> Answer {
    ask(printer, &format!("GET {path}\nX-Api-Key: {}", printer.api_key()), "").await.unwrap()
}

async fn try_post(printer: &SimulatedPrinter, path: &str, body: Value) -> std::io::Result<Answer> {
    let head = format!("POST {path}\nX-Api-Key: {}\nContent-Type: application/json", printer.api_key());
    ask(printer, &head, &body.to_string()).await
}

async fn post(printer: &SimulatedPrinter, path: &str, body: Value) -> Answer {
    try_post(printer, path, body).await.unwrap()
}

async fn upload(printer: &SimulatedPrinter, name: &str, content: &str, fields: &[(&str, &str)]) -> Answer {
    let mut body = String::new();
    for (field, value) in fields {
        body.push_str(&format!("--x\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"));
    }
    body.push_str(&format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n--x--\r\n"
    ));
    let key = printer.api_key();
    let head = format!("POST /api/files/local\nX-Api-Key: {key}\nContent-Type: multipart/form-data; boundary=x");
    ask(printer, &head, &body).await.unwrap()
}

/// Waits for a condition, not for a time.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn until_state(printer: &SimulatedPrinter, state: &str) {
    until(state, || printer.state_text() == state).await;
}

async fn farm(config: FarmConfig) -> (Farm, SimulatedPrinter) {
    let farm = Farm::start(config).await.unwrap();
    let printer = farm.printers()[0].clone();
    (farm, printer)
}

async fn ready_farm() -> (Farm, SimulatedPrinter) {
    let (farm, printer) = farm(FarmConfig::default()).await;
    printer.put_file("a.gcode", "G4 P50\n".repeat(200));
    printer.select("a.gcode");
    (farm, printer)
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

async fn socket(printer: &SimulatedPrinter, before_auth: Option<Value>) -> Socket {
    let url = format!("ws://{}/sockjs/websocket", address(printer));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let connected = hear(&mut socket).await;
    assert!(connected.get("connected").is_some(), "{connected}");
    let login = post(printer, "/api/login", json!({"passive": true})).await.json();
    if let Some(message) = before_auth {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let auth = format!("{}:{}", login["name"].as_str().unwrap(), login["session"].as_str().unwrap());
    socket.send(Message::text(json!({"auth": auth}).to_string())).await.unwrap();
    socket
}

async fn hear(socket: &mut Socket) -> Value {
    loop {
        match tokio::time::timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            _ => continue,
        }
    }
}

#[tokio::test]
async fn a_bad_key_is_403_for_readers_and_400_for_writers() {
    let (_farm, printer) = ready_farm().await;
    assert_eq!(ask(&printer, "GET /api/job", "").await.unwrap().status, 403);
    let refused = ask(&printer, "POST /api/job\nX-Api-Key: no\nContent-Type: application/json", "{}").await.unwrap();
    assert_eq!((refused.status, refused.json()), (400, json!({"error": "CSRF validation failed"})));
    let key = printer.api_key();
    let bearer = format!("GET /api/version\nAuthorization: Bearer {key}");
    assert_eq!(ask(&printer, &bearer, "").await.unwrap().status, 200);
    assert_eq!(ask(&printer, &format!("{bearer}\nX-Api-Key: no"), "").await.unwrap().status, 403);
    let query = format!("GET /api/version?apikey={key}\nX-Api-Key: no");
    assert_eq!(ask(&printer, &query, "").await.unwrap().status, 200);
    assert_eq!(ask(&printer, "GET /api/version\nX-Api-Key: ü", "").await.unwrap().status, 500);
    printer.revoke_key();
    assert_eq!(get(&printer, "/api/version").await.status, 403);
}

#[tokio::test]
async fn errors_are_those_of_octoprint() {
    let (_farm, printer) = ready_farm().await;
    let key = printer.api_key();
    assert_eq!(get(&printer, "/api/nothing").await.status, 404);
    assert_eq!(get(&printer, "/api/login").await.status, 405);
    assert_eq!(post(&printer, "/api/job", json!({"command": "dance"})).await.json()["error"], "command is invalid");
    let text = ask(&printer, &format!("POST /api/job\nX-Api-Key: {key}\nContent-Type: text/plain"), "{}").await;
    assert_eq!(text.unwrap().status, 415);
    let json = ask(&printer, &format!("POST /api/job\nX-Api-Key: {key}\nContent-Type: application/json"), "{").await;
    assert_eq!(json.unwrap().status, 400);
}

#[tokio::test]
async fn a_print_runs_to_its_end_and_is_counted() {
    let (_farm, printer) = ready_farm().await;
    printer.put_file("a.gcode", "G4 P10\n".repeat(5));
    printer.select("a.gcode");
    let tag = |answer: &Answer| answer.head.lines().find(|line| line.starts_with("etag")).map(str::to_owned);
    let before = tag(&get(&printer, "/api/files").await);
    let started = post(&printer, "/api/job", json!({"command": "start"})).await;
    assert_eq!((started.status, started.body.as_str()), (204, ""));
    until("done", || printer.state_text() == "Operational").await;
    let job = get(&printer, "/api/job").await.json();
    assert_eq!((&job["state"], &job["progress"]["completion"]), (&json!("Operational"), &json!(100.0)));
    assert_eq!(job["progress"]["printTimeLeft"], 0);
    assert!(job.get("error").is_none());
    let file = get(&printer, "/api/files/local/a.gcode").await.json();
    assert_eq!((&file["prints"]["success"], &file["prints"]["last"]["success"]), (&json!(1), &json!(true)));
    assert_ne!(tag(&get(&printer, "/api/files").await), before);
}

#[tokio::test]
async fn the_log_tells_what_acted() {
    let (_farm, printer) = ready_farm().await;
    post(&printer, "/api/job", json!({"command": "start"})).await;
    post(&printer, "/api/job", json!({"command": "start"})).await;
    until_state(&printer, "Printing").await;
    post(&printer, "/api/job", json!({"command": "pause", "action": "pause"})).await;
    until_state(&printer, "Paused").await;
    post(&printer, "/api/job", json!({"command": "pause", "action": "pause"})).await;
    let log: Vec<_> = printer.received().into_iter().map(|it| (it.command, it.acted, it.status)).collect();
    let expected = [("start", true, 204), ("start", false, 409), ("pause", true, 204), ("pause", false, 204)];
    assert_eq!(log, expected.map(|(command, acted, status)| (command.to_owned(), acted, status)));
}

#[tokio::test]
async fn uploads_say_what_was_effective() {
    let (_farm, printer) = farm(FarmConfig::default()).await;
    let gcode = "G4 P100\n".repeat(50);
    let selected = upload(&printer, "b.gcode", &gcode, &[("path", "x/y"), ("select", "true")]).await;
    assert_eq!(selected.status, 201);
    assert_eq!(selected.json()["effectiveSelect"], true);
    assert_eq!(selected.json()["files"]["local"]["path"], "x/y/b.gcode");
    let printed = upload(&printer, "c.gcode", &gcode, &[("print", "true"), ("userdata", r#"{"id":"7"}"#)]).await.json();
    assert_eq!((&printed["effectiveSelect"], &printed["effectivePrint"]), (&json!(false), &json!(true)));
    until_state(&printer, "Printing").await;
    let busy = upload(&printer, "d.gcode", &gcode, &[("print", "true")]).await;
    assert_eq!((busy.status, &busy.json()["effectivePrint"]), (201, &json!(false)));
    assert_eq!(upload(&printer, "c.gcode", &gcode, &[]).await.status, 409);
    assert_eq!(upload(&printer, "d.gcode", &gcode, &[("noOverwrite", "true")]).await.status, 409);
    assert_eq!(upload(&printer, "e.txt", &gcode, &[]).await.status, 415);
    assert_eq!(upload(&printer, "e.gcode", &gcode, &[("path", "../up")]).await.status, 400);
    let listed = get(&printer, "/api/files?recursive=true").await.json();
    assert_eq!(listed["files"][0]["children"][0]["children"][0]["name"], "b.gcode");
    assert_eq!(get(&printer, "/api/files/local/c.gcode").await.json()["userdata"], json!({"id": "7"}));
    let offline = printer.clone();
    offline.at_printer(Act::Disconnect);
    let select = json!({"command": "select", "print": true});
    assert_eq!(post(&printer, "/api/files/local/b%20.gcode", select.clone()).await.status, 404);
    assert_eq!(post(&printer, "/api/files/local/x/y/b.gcode", select).await.status, 409);
}

#[tokio::test]
async fn a_closed_connection_is_seen_in_each_resource_in_its_own_words() {
    for (flavor, word) in [(Flavor::V1_11, "Closed"), (Flavor::V2_0, "Offline")] {
        let (_farm, printer) = farm(FarmConfig { flavor, ..FarmConfig::default() }).await;
        printer.at_printer(Act::FirmwareError("Kaputt".to_owned()));
        let job = get(&printer, "/api/job").await.json();
        assert_eq!(job["state"], "Offline after error");
        assert_eq!(
            job.get("error").cloned(),
            Some(if flavor == Flavor::V1_11 { json!("Kaputt") } else { json!(null) })
        );
        assert_eq!(get(&printer, "/api/connection").await.json()["current"]["state"], word);
        assert_eq!(get(&printer, "/api/printer").await.status, 409);
        assert_eq!(post(&printer, "/api/connection", json!({"command": "connect"})).await.status, 204);
        until_state(&printer, "Operational").await;
        assert_eq!(get(&printer, "/api/printer").await.json()["state"]["flags"]["ready"], true);
    }
}

#[tokio::test]
async fn who_subscribes_without_state_gets_only_the_events_asked_for() {
    let (_farm, printer) = ready_farm().await;
    printer.put_file("a.gcode", "G4 P10\n");
    printer.select("a.gcode");
    let wanted = json!({"subscribe": {"state": false, "events": ["PrintStarted", "PrintDone"], "plugins": []}});
    let mut socket = socket(&printer, Some(wanted)).await;
    assert_eq!(hear(&mut socket).await, json!({"timelapse": null}));
    until("listening", || printer.listeners() == 1).await;
    printer.at_printer(Act::StartSelected);
    assert_eq!(hear(&mut socket).await["event"]["type"], "PrintStarted");
    assert_eq!(hear(&mut socket).await["event"]["payload"]["path"], "a.gcode");
    socket.send(Message::Ping(b"are you there".to_vec().into())).await.unwrap();
    let pong = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(pong, Message::Pong(_)));
}

#[tokio::test]
async fn who_does_not_subscribe_gets_history_current_and_every_event() {
    let (_farm, printer) = ready_farm().await;
    let mut socket = socket(&printer, None).await;
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let frame = hear(&mut socket).await;
        kinds.push(frame.as_object().unwrap().keys().next().unwrap().clone());
    }
    assert_eq!(kinds, ["history", "timelapse", "current", "event", "current"]);
}

#[tokio::test]
async fn a_bad_session_is_told_to_authenticate_again() {
    let (_farm, printer) = ready_farm().await;
    let url = format!("ws://{}/sockjs/websocket", address(&printer));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    hear(&mut socket).await;
    socket.send(Message::text(json!({"auth": "admin:nonsense"}).to_string())).await.unwrap();
    assert_eq!(hear(&mut socket).await, json!({"reauthRequired": {"reason": "stale"}}));
}

#[tokio::test]
async fn refuse_closes_the_port_at_once_and_opens_it_again() {
    let (_farm, printer) = ready_farm().await;
    let mut socket = socket(&printer, None).await;
    let mut idle = TcpStream::connect(address(&printer)).await.unwrap();
    printer.set_fault(Some(Fault::Refuse));
    let refused = try_post(&printer, "/api/job", json!({"command": "start"})).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let gone = async { while socket.next().await.is_some_and(|message| message.is_ok()) {} };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
    let eof = tokio::time::timeout(DEADLINE, idle.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(eof, Ok(0) | Err(_)));
    printer.set_fault(None);
    assert_eq!(get(&printer, "/api/version").await.status, 200);
    assert!(printer.received().is_empty());
}

#[tokio::test]
async fn hang_answers_nothing_and_carries_out_later_what_was_asked() {
    let (_farm, printer) = ready_farm().await;
    let mut socket = socket(&printer, Some(json!({"subscribe": {"state": false, "events": []}}))).await;
    hear(&mut socket).await;
    printer.set_fault(Some(Fault::Hang));
    let gave_up =
        tokio::time::timeout(Duration::from_millis(100), post(&printer, "/api/job", json!({"command": "start"}))).await;
    assert!(gave_up.is_err());
    socket.send(Message::Ping(Vec::new().into())).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), socket.next()).await.is_err());
    assert_eq!(printer.state_text(), "Operational");
    printer.set_fault(None);
    until_state(&printer, "Printing").await;
    assert!(matches!(socket.next().await.unwrap().unwrap(), Message::Pong(_)));
}

#[tokio::test]
async fn resets_come_before_or_after_acting() {
    let (_farm, printer) = ready_farm().await;
    let start = json!({"command": "start"});
    printer.set_fault(Some(Fault::Reset));
    let reset = try_post(&printer, "/api/job", start.clone()).await.unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(printer.state_text(), "Operational");
    printer.set_fault(Some(Fault::ResetAfterActing));
    assert!(try_post(&printer, "/api/job", start).await.is_err());
    until_state(&printer, "Printing").await;
    let log: Vec<_> = printer.received().iter().map(|it| (it.acted, it.status)).collect();
    assert_eq!(log, [(false, 0), (true, 0)]);
}

#[tokio::test]
async fn garbage_is_no_http_and_drip_is_slow() {
    let (_farm, printer) = ready_farm().await;
    printer.set_fault(Some(Fault::Garbage));
    let garbage = ask(&printer, "GET /api/version", "").await.unwrap();
    assert_eq!((garbage.status, garbage.body.as_str()), (0, "Not found"));
    printer.set_fault(Some(Fault::Drip));
    let started = Instant::now();
    let mut stream = TcpStream::connect(address(&printer)).await.unwrap();
    stream.write_all(b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 1);
    assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 1);
    assert!(started.elapsed() >= Duration::from_millis(900));
}

#[tokio::test]
async fn a_status_fault_acts_or_does_not() {
    let (_farm, printer) = ready_farm().await;
    let start = json!({"command": "start"});
    printer.set_fault(Some(Fault::Status(502)));
    assert_eq!(post(&printer, "/api/job", start.clone()).await.status, 502);
    assert_eq!(printer.state_text(), "Operational");
    printer.set_fault(None);
    printer.fault_next_command(Fault::StatusAfterActing(500));
    assert_eq!(get(&printer, "/api/job").await.status, 200);
    assert_eq!(post(&printer, "/api/job", start.clone()).await.status, 500);
    until_state(&printer, "Printing").await;
    assert_eq!(post(&printer, "/api/job", start).await.status, 409);
}

#[tokio::test]
async fn a_dropped_socket_is_refused_with_404() {
    let (_farm, printer) = ready_farm().await;
    let mut open = socket(&printer, None).await;
    printer.set_fault(Some(Fault::DropSocket));
    let gone = async { while open.next().await.is_some_and(|message| message.is_ok()) {} };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
    let url = format!("ws://{}/sockjs/websocket", address(&printer));
    let refused = tokio_tungstenite::connect_async(url).await.unwrap_err();
    assert!(refused.to_string().contains("404"), "{refused}");
    assert_eq!(get(&printer, "/api/job").await.status, 200);
}

#[tokio::test]
async fn another_process_steers_through_the_printer_or_the_control_port() {
    let config = FarmConfig { control_port: Some(0), with_sample_files: true, ..FarmConfig::default() };
    let farm = Farm::start(config).await.unwrap();
    let printer = farm.printers()[0].clone();
    assert_eq!(post(&printer, "/sim/fault", json!({"fault": {"status": 500}})).await.status, 204);
    assert_eq!(get(&printer, "/api/job").await.status, 500);
    assert_eq!(post(&printer, "/sim/fault", json!({"fault": null})).await.status, 204);
    printer.select("bracket.gcode");
    assert_eq!(post(&printer, "/sim/act", json!({"act": "start_selected"})).await.status, 204);
    until_state(&printer, "Printing").await;
    printer.set_fault(Some(Fault::Refuse));
    let control = farm.control_url().unwrap().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(control).await.unwrap();
    let body = r#"{"fault":null}"#;
    let request = format!(
        "POST /sim/printers/SIM-0001/fault HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(get(&printer, "/api/job").await.json()["state"], "Printing");
}

#[tokio::test]
async fn latency_delays_the_answer_and_a_client_that_gave_up_has_not_called_it_back() {
    let latency = Duration::from_millis(150);
    let (_farm, printer) = farm(FarmConfig { latency, with_sample_files: true, ..FarmConfig::default() }).await;
    let started = Instant::now();
    assert_eq!(get(&printer, "/api/version").await.status, 200);
    assert!(started.elapsed() >= latency);
    printer.select("bracket.gcode");
    let start = post(&printer, "/api/job", json!({"command": "start"}));
    assert!(tokio::time::timeout(Duration::from_millis(50), start).await.is_err());
    until_state(&printer, "Printing").await;
}

#[tokio::test]
async fn stopping_a_farm_closes_its_ports_and_sockets() {
    let (farm, printer) = ready_farm().await;
    let mut open = socket(&printer, None).await;
    farm.stop().await;
    let gone = async { while open.next().await.is_some_and(|message| message.is_ok()) {} };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
}

#[tokio::test]
async fn a_sample_prints_faster_with_the_time_scale() {
    let (_farm, printer) = farm(FarmConfig { time_scale: 100.0, ..FarmConfig::default() }).await;
    printer.put_file("s.gcode", sample_gcode(30));
    printer.select("s.gcode");
    let started = Instant::now();
    printer.at_printer(Act::StartSelected);
    until("heated", || printer.tool_temperature() > 59.0).await;
    until_state(&printer, "Operational").await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_camera_gives_a_picture_without_a_key() {
    let (_farm, printer) = ready_farm().await;
    let picture = ask(&printer, "GET /webcam/?action=snapshot", "").await.unwrap();
    assert_eq!(picture.status, 200);
    assert!(picture.head.contains("image/png") && picture.body.contains("IHDR"));
}
