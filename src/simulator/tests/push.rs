//! Tests of the event socket.

use super::*;

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
async fn stopping_a_farm_closes_its_ports_and_sockets() {
    let (farm, printer) = ready_farm().await;
    let mut open = socket(&printer, None).await;
    farm.stop().await;
    let refused = ask(&printer, "GET /api/version", "").await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let gone = async { while open.next().await.is_some_and(|message| message.is_ok()) {} };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
}
