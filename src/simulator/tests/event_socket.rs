//! Tests of the event socket.

use crate::simulator::tests::*;

#[tokio::test]
async fn a_client_without_state_gets_only_the_requested_events() {
    let (_farm, printer) = start_ready_farm().await;
    printer.put_file("a.gcode", "G4 P10\n");
    printer.select("a.gcode");
    let subscription = json!({"subscribe": {"state": false, "events": ["PrintStarted", "PrintDone"], "plugins": []}});
    let mut socket = open_socket(&printer, Some(subscription)).await;
    assert_eq!(receive_frame(&mut socket).await, json!({"timelapse": null}));
    wait_until("listening", || printer.listener_count() == 1).await;
    printer.perform(MachineAction::StartSelected);
    assert_eq!(receive_frame(&mut socket).await["event"]["type"], "PrintStarted");
    assert_eq!(receive_frame(&mut socket).await["event"]["payload"]["path"], "a.gcode");
    socket.send(Message::Ping(b"are you there".to_vec().into())).await.unwrap();
    let pong = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(pong, Message::Pong(_)));
}

#[tokio::test]
async fn a_client_without_subscription_gets_history_current_and_every_event() {
    let (_farm, printer) = start_ready_farm().await;
    let mut socket = open_socket(&printer, None).await;
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let frame = receive_frame(&mut socket).await;
        kinds.push(frame.as_object().unwrap().keys().next().unwrap().clone());
    }
    assert_eq!(kinds, ["history", "timelapse", "current", "event", "current"]);
}

#[tokio::test]
async fn a_bad_session_gets_reauth_required() {
    let (_farm, printer) = start_ready_farm().await;
    let url = format!("ws://{}/sockjs/websocket", address(&printer));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    receive_frame(&mut socket).await;
    socket.send(Message::text(json!({"auth": "admin:nonsense"}).to_string())).await.unwrap();
    assert_eq!(receive_frame(&mut socket).await, json!({"reauthRequired": {"reason": "stale"}}));
}

#[tokio::test]
async fn a_dropped_socket_is_refused_with_404() {
    let (_farm, printer) = start_ready_farm().await;
    let mut open = open_socket(&printer, None).await;
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
    let (farm, printer) = start_ready_farm().await;
    let mut open = open_socket(&printer, None).await;
    farm.stop().await;
    let refused = send_request(&printer, "GET /api/version", "").await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let gone = async { while open.next().await.is_some_and(|message| message.is_ok()) {} };
    tokio::time::timeout(DEADLINE, gone).await.unwrap();
}
