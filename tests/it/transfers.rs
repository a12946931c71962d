//! Uploads and file lists time out when their printer is silent, not because they are long. A file transfer to the SD
//! card is not a print.

use std::time::{Duration, Instant};

use bytes::Bytes;
use printyard::{
    http::limits::ServerLimits,
    simulator::{Farm, FarmConfig, Fault, MachineAction},
};
use reqwest::{
    Body, Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::json;

use crate::{
    api::problems::assert_problem,
    support::{
        server::{DEADLINE, JsonResponse, ServerOptions, TestServer, send_request, start_farm},
        wait,
    },
};

/// Starts a server that ends a silent upload after this time instead of 30 s.
async fn start_server(silence: Duration) -> TestServer {
    TestServer::start_with(ServerOptions { upload_silence: Some(silence), ..ServerOptions::default() }).await
}

async fn upload(server: &TestServer, id: &str, content: Bytes) -> JsonResponse {
    let length = content.len() as u64;
    let file = Part::stream_with_length(Body::from(content), length).file_name("part.gcode");
    let request = server.request(Method::POST, &format!("/api/v1/printers/{id}/files"));
    send_request(request.multipart(Form::new().part("file", file))).await
}

fn generate_gcode(megabytes: usize) -> Bytes {
    b"G4 P1\n;".repeat(megabytes * 1024 * 1024 / 7).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_a_slow_printer_does_not_time_out() {
    let silence = Duration::from_millis(1_500);
    let (server, farm) = (start_server(silence).await, Farm::start(FarmConfig::default()).await.expect("a farm"));
    let printer = &farm.printers()[0];
    let id = server.register_printer(printer).await;
    server.until_online(&id).await;
    printer.set_fault(Some(Fault::ReadSlowly(2 * 1024 * 1024)));
    let begun = Instant::now();
    let (status, uploaded, _) = upload(&server, &id, generate_gcode(12)).await;
    assert_eq!(status, StatusCode::CREATED, "{uploaded}");
    let took = begun.elapsed();
    assert!(took > 3 * silence, "{took:?}: the printer was not slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_hang_time_out_and_delay_no_other_printer() {
    const HANGING: usize = 8;
    let farm = Farm::start(FarmConfig { printers: HANGING + 1, ..FarmConfig::default() }).await.expect("a farm");
    let server = start_server(Duration::from_secs(5)).await;
    let mut ids = Vec::new();
    for printer in farm.printers() {
        ids.push(server.register_printer(printer).await);
    }
    for id in &ids {
        server.until_online(id).await;
    }
    let (hanging, healthy) = (&farm.printers()[..HANGING], &ids[HANGING]);
    for printer in hanging {
        printer.set_fault(Some(Fault::StopReading(256 * 1024)));
    }
    // More data than the operating system buffers.
    let content = generate_gcode(8);
    let hung = futures_util::future::join_all(ids[..HANGING].iter().map(|id| upload(&server, id, content.clone())));
    let healthy = async {
        wait::until("every printer hangs", DEADLINE, async || {
            let stopped = hanging.iter().filter(|printer| printer.stopped_reading_count() > 0).count();
            if stopped == HANGING { Ok(()) } else { Err(stopped) }
        })
        .await;
        for _ in 0..3 {
            let (status, uploaded, _) = upload(&server, healthy, generate_gcode(1)).await;
            assert_eq!(status, StatusCode::CREATED, "{uploaded}");
        }
        Instant::now()
    };
    let ended = async {
        let ended = hung.await;
        (ended, Instant::now())
    };
    let (finished, (ended, ended_at)) = tokio::join!(healthy, ended);
    assert!(finished < ended_at, "uploads to the other printer finish before the hung ones");
    for refused in &ended {
        assert_problem(refused, 504, "printer_unreachable");
        assert_eq!(refused.1["detail"], "The printer sent and received no data for 5 s.");
    }
    // The server has freed the places of the ended uploads.
    for (printer, id) in hanging.iter().zip(&ids) {
        printer.set_fault(None);
        let (status, uploaded, _) = upload(&server, id, generate_gcode(1)).await;
        assert_eq!(status, StatusCode::CREATED, "{uploaded}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_list_of_files_does_not_time_out() {
    let server_limits = ServerLimits { response_timeout: Duration::from_millis(300), ..ServerLimits::default() };
    let server = TestServer::start_with(ServerOptions { server_limits, ..ServerOptions::default() }).await;
    let farm = start_farm(1).await;
    let printer = &farm.printers()[0];
    let id = server.register_printer(printer).await;
    server.until_online(&id).await;
    printer.set_fault(Some(Fault::Reading("/api/files".to_owned(), Box::new(Fault::Slow(Duration::from_secs(1))))));
    let (status, files, _) = server.get(&format!("/api/v1/printers/{id}/files")).await;
    assert_eq!(status, StatusCode::OK, "{files}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_to_the_sd_card_is_no_print_and_a_cancel_ends_it() {
    let (server, farm) = (TestServer::start().await, start_farm(2).await);
    // The first printer is observed by events, and the second one only by polling.
    farm.printers()[1].set_fault(Some(Fault::DropSocket));
    for printer in farm.printers() {
        let id = server.register_printer(printer).await;
        server.until_state(&id, "operational").await;
        printer.perform(MachineAction::SendToSd);
        let path = format!("/api/v1/printers/{id}");
        for (command, reason) in [
            ("start", "already_printing"),
            ("pause", "not_active"),
            ("resume", "not_active"),
            ("toggle", "not_active"),
            ("restart", "not_active"),
            ("disconnect", "job_active"),
        ] {
            let (_, row, _) = server.post_and_wait(&format!("{path}/job"), json!({ "command": command })).await;
            assert_eq!((&row["outcome"], &row["reason"]), (&json!("rejected"), &json!(reason)), "{row}");
        }
        assert_eq!(server.until_state(&id, "transferring").await["plate"]["state"], "clear");
        let (_, printing, _) = server.get("/api/v1/printers?state=printing").await;
        assert_eq!(printing["items"], json!([]));
        let (_, row, _) = server.post_and_wait(&format!("{path}/job"), json!({"command": "cancel"})).await;
        assert_eq!((&row["outcome"], &row["state_before"]), (&json!("confirmed"), &json!("transferring")), "{row}");
        assert_eq!(printer.state_text(), "Operational");
        let (_, prints, _) = server.get(&format!("/api/v1/prints?printer_id={id}")).await;
        assert_eq!(prints["items"], json!([]), "no print was recorded");
    }
}
