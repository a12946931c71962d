//! Tests that each fault has exactly the documented effect. Tests of the product rely on this.

use super::*;

#[tokio::test]
async fn refuse_closes_the_port_at_once_and_opens_it_again() {
    let (_farm, printer) = start_ready_farm().await;
    let mut socket = open_socket(&printer, None).await;
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
    assert!(printer.received_requests().is_empty());
}

#[tokio::test]
async fn hang_sends_no_reply_and_executes_the_request_later() {
    let (_farm, printer) = start_ready_farm().await;
    let mut socket = open_socket(&printer, Some(json!({"subscribe": {"state": false, "events": []}}))).await;
    receive_frame(&mut socket).await;
    printer.set_fault(Some(Fault::Hang));
    let gave_up =
        tokio::time::timeout(Duration::from_millis(100), post(&printer, "/api/job", json!({"command": "start"}))).await;
    assert!(gave_up.is_err());
    socket.send(Message::Ping(Vec::new().into())).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), socket.next()).await.is_err());
    assert_eq!(printer.state_text(), "Operational");
    printer.set_fault(None);
    wait_for_state(&printer, "Printing").await;
    assert!(matches!(socket.next().await.unwrap().unwrap(), Message::Pong(_)));
}

#[tokio::test]
async fn resets_come_before_or_after_acting() {
    let (_farm, printer) = start_ready_farm().await;
    let start = json!({"command": "start"});
    printer.set_fault(Some(Fault::Reset));
    let reset = try_post(&printer, "/api/job", start.clone()).await.unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(printer.state_text(), "Operational");
    printer.set_fault(Some(Fault::ResetAfterActing));
    assert!(try_post(&printer, "/api/job", start).await.is_err());
    wait_for_state(&printer, "Printing").await;
    let log: Vec<_> = printer.received_requests().iter().map(|it| (it.acted, it.status)).collect();
    assert_eq!(log, [(false, 0), (true, 0)]);
}

#[tokio::test]
async fn garbage_is_not_http_and_drip_is_slow() {
    let (_farm, printer) = start_ready_farm().await;
    printer.set_fault(Some(Fault::Garbage));
    let garbage = send_request(&printer, "GET /api/version", "").await.unwrap();
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
    let (_farm, printer) = start_ready_farm().await;
    let start = json!({"command": "start"});
    printer.set_fault(Some(Fault::Status(502)));
    assert_eq!(post(&printer, "/api/job", start.clone()).await.status, 502);
    assert_eq!(printer.state_text(), "Operational");
    printer.set_fault(None);
    printer.queue_command_fault(Fault::StatusAfterActing(500));
    assert_eq!(get(&printer, "/api/job").await.status, 200);
    assert_eq!(post(&printer, "/api/job", start.clone()).await.status, 500);
    wait_for_state(&printer, "Printing").await;
    assert_eq!(post(&printer, "/api/job", start).await.status, 409);
}

#[tokio::test]
async fn another_process_sets_faults_through_the_printer_or_the_control_port() {
    let config = FarmConfig { control_port: Some(0), with_sample_files: true, ..FarmConfig::default() };
    let farm = Farm::start(config).await.unwrap();
    let printer = farm.printers()[0].clone();
    assert_eq!(post(&printer, "/sim/fault", json!({"fault": {"status": 500}})).await.status, 204);
    assert_eq!(get(&printer, "/api/job").await.status, 500);
    assert_eq!(post(&printer, "/sim/fault", json!({"fault": null})).await.status, 204);
    printer.select("bracket.gcode");
    assert_eq!(post(&printer, "/sim/act", json!({"act": "start_selected"})).await.status, 204);
    wait_for_state(&printer, "Printing").await;
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
async fn latency_delays_the_reply_and_a_client_timeout_does_not_cancel_the_command() {
    let latency = Duration::from_millis(150);
    let (_farm, printer) = start_farm(FarmConfig { latency, with_sample_files: true, ..FarmConfig::default() }).await;
    let started = Instant::now();
    assert_eq!(get(&printer, "/api/version").await.status, 200);
    assert!(started.elapsed() >= latency);
    printer.select("bracket.gcode");
    let start = post(&printer, "/api/job", json!({"command": "start"}));
    assert!(tokio::time::timeout(Duration::from_millis(50), start).await.is_err());
    wait_for_state(&printer, "Printing").await;
}
