//! Tests of the job client: the requests that it sends, and the recorded jobs that it reads.

use super::*;
use crate::octoprint::testing::{StubServer, client, sample};

fn read_sample(name: &str) -> JobReading {
    sample::<JobResponse>(name).into_reading().expect(name)
}

#[test]
fn every_recorded_job_is_read() {
    for (name, state, path) in [
        ("job-idle-nofile", PrinterState::Operational, None),
        ("job-selected", PrinterState::Operational, Some("job60.gcode")),
        ("job-printing", PrinterState::Printing, Some("farm/batch1/job60.gcode")),
        ("job-paused", PrinterState::Paused, Some("farm/batch1/job60.gcode")),
        ("job-cancelled", PrinterState::Operational, Some("farm/batch1/job60.gcode")),
        ("job-done", PrinterState::Operational, Some("job2.gcode")),
        ("job-offline", PrinterState::Offline, None),
        ("job-error", PrinterState::Error, None),
        ("dev2-job-v1", PrinterState::Operational, Some("job5.gcode")),
        ("dev2-job-v2", PrinterState::Operational, Some("job5.gcode")),
    ] {
        let reading = read_sample(name);
        assert_eq!(reading.state, state, "{name}");
        assert_eq!(reading.file.as_ref().map(|file| file.path.as_str()), path, "{name}");
        assert_eq!(reading.error.is_some(), name == "job-error", "{name}");
    }
}

#[test]
fn a_printing_job_has_its_progress() {
    let reading = read_sample("job-printing");
    let progress = reading.progress;
    assert_eq!(progress.completion.map(f64::round), Some(13.0));
    assert_eq!((progress.print_time_s, progress.print_time_left_s), (Some(8), Some(58)));
    assert_eq!(progress.file_position, Some(1295));
    let file = reading.file.expect("file");
    assert_eq!((file.name.as_str(), file.origin.as_str(), file.size), ("job60.gcode", "local", Some(9636)));
    assert_eq!(file.date.map(|date| date.timestamp()), Some(1_795_439_421));
    assert_eq!(reading.user.as_deref(), Some("admin"));
}

#[test]
fn an_invalid_value_does_not_affect_other_fields() {
    let body = r#"{"state":"Dreaming deeply","job":{"file":{"path":"a/b.gcode","size":"12","date":1.5,"origin":null},
        "estimatedPrintTime":"12.5","user":7},"progress":{"completion":-100,"filepos":12.0,"printTime":8.9}}"#;
    let reading = serde_json::from_str::<JobResponse>(body).expect("json").into_reading().expect("reading");
    assert_eq!((reading.state, reading.state_text.as_str()), (PrinterState::Unknown, "Dreaming deeply"));
    let file = reading.file.expect("file");
    assert_eq!((file.name.as_str(), file.origin.as_str(), file.size), ("b.gcode", "local", Some(12)));
    assert_eq!((reading.user, reading.estimated_print_time_s), (None, Some(12.5)));
    assert_eq!(reading.progress.completion, None);
    assert_eq!((reading.progress.file_position, reading.progress.print_time_s), (Some(12), Some(8)));
}

#[tokio::test]
async fn every_command_sends_its_name_and_its_action() {
    let server = StubServer::start_replying("HTTP/1.1 204 NO CONTENT\r\nconnection: close\r\n\r\n").await;
    let client = server.client();
    let job = client.job();
    let options = RequestOptions::default();
    assert_eq!(job.start(&options).await, Ok(()));
    assert_eq!(job.cancel(&options).await, Ok(()));
    assert_eq!(job.restart(&options).await, Ok(()));
    assert_eq!(job.pause(&options).await, Ok(()));
    assert_eq!(job.resume(&options).await, Ok(()));
    assert_eq!(job.toggle_pause(&options).await, Ok(()));
    for body in [
        r#"{"command":"start"}"#,
        r#"{"command":"cancel"}"#,
        r#"{"command":"restart"}"#,
        r#"{"command":"pause","action":"pause"}"#,
        r#"{"command":"pause","action":"resume"}"#,
        r#"{"command":"pause","action":"toggle"}"#,
    ] {
        let request = server.next_request().await;
        assert!(request.starts_with("POST /api/job HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
        let head = request.to_lowercase();
        assert!(head.contains("x-api-key: key\r\n") && head.contains("content-type: application/json\r\n"), "{head}");
        assert!(head.contains("user-agent: printyard/") && !head.contains("x-octoprint-api-version"), "{head}");
    }
}

#[tokio::test]
async fn the_callers_headers_and_parameters_are_sent() {
    let server = StubServer::start_replying("HTTP/1.1 204 NO CONTENT\r\n\r\n").await;
    let options = RequestOptions {
        headers: vec![("X-Trace".into(), "42".into()), ("X-Api-Key".into(), "OTHER".into())],
        params: vec![("who".into(), "a&b".into())],
        ..RequestOptions::default()
    };
    assert_eq!(server.client().job().start(&options).await, Ok(()));
    let request = server.next_request().await.to_lowercase();
    assert!(request.starts_with("post /api/job?who=a%26b http/1.1\r\n"), "{request}");
    assert!(request.contains("x-trace: 42\r\n") && request.contains("x-api-key: other\r\n"), "{request}");
    assert!(!request.contains("x-api-key: key\r\n"), "{request}");
}

#[tokio::test]
async fn a_reserved_header_is_refused_before_the_request_is_sent() {
    for name in ["Host", "content-length", "X-OctoPrint-Api-Version", "two words"] {
        let options = RequestOptions { headers: vec![(name.into(), "1".into())], ..RequestOptions::default() };
        let error = client("http://127.0.0.1:9/").job().start(&options).await.expect_err(name);
        assert!(matches!(&error, Error::Invalid { .. }) && error.is_unsent(), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_user_and_password_in_the_address_go_to_the_proxy() {
    let server = StubServer::start_replying("HTTP/1.1 204 NO CONTENT\r\n\r\n").await;
    let mut url = server.url();
    url.set_username("ann").expect("user");
    url.set_password(Some("p:s")).expect("password");
    assert_eq!(client(url.as_str()).job().start(&RequestOptions::default()).await, Ok(()));
    assert!(server.next_request().await.contains("Basic YW5uOnA6cw=="));
}
