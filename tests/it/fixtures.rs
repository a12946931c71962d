//! Tests of the fixtures themselves, because a test on a wrong fixture proves nothing.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::support::{
    fresh_database::create_fresh_database,
    needs,
    octoprint::{OctoPrintInstance, OctoPrintVersion},
    port, wait,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// Returns G-code that prints for `lines` times 0.1 s, to the millisecond if the machine is not busy.
fn dwell_gcode(lines: usize) -> String {
    "G4 P100\n".repeat(lines)
}

#[tokio::test]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn both_generations_of_octoprint_start_together_and_print_a_file_to_its_end() {
    let printers = needs!(OctoPrintInstance::start_many(&OctoPrintVersion::ALL).await);
    for printer in &printers {
        printer.upload("plates/ten.gcode", dwell_gcode(10), true).await;
        assert_eq!(printer.post_job("start", None).await, 204, "{:?}", printer.version);
    }
    for printer in &printers {
        let job = wait::until("the print is done", DEADLINE, async || {
            let job = printer.read_job().await;
            let done = job["state"] == "Operational" && job["progress"]["completion"] == 100.0;
            if done { Ok(job) } else { Err(job.to_string()) }
        })
        .await;
        assert_eq!(job["job"]["file"]["path"], "plates/ten.gcode", "{:?}", printer.version);
        printer.delete("plates/ten.gcode").await;
        assert!(printer.read_job().await["job"]["file"]["path"].is_null());
    }
}

#[tokio::test]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn a_frozen_octoprint_does_not_respond_and_continues_where_it_was() {
    for version in OctoPrintVersion::ALL {
        let printer = needs!(OctoPrintInstance::start(version).await);
        printer.upload("long.gcode", dwell_gcode(600), true).await;
        assert_eq!(printer.post_job("start", None).await, 204);
        printer.until_state("Printing", DEADLINE).await;

        printer.freeze();
        let frozen = Instant::now();
        let url = format!("{}/api/job", printer.url);
        let answer = crate::support::http_client().get(&url).timeout(Duration::from_millis(700)).send().await;
        assert!(answer.is_err_and(|error| error.is_timeout()), "{version:?} answered while frozen");
        assert!(frozen.elapsed() >= Duration::from_millis(700), "a frozen printer must time out, not refuse");

        printer.thaw();
        printer.until_state("Printing", DEADLINE).await;
        assert_eq!(printer.post_job("cancel", None).await, 204);
        printer.until_state("Operational", DEADLINE).await;
    }
}

#[tokio::test]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn a_killed_octoprint_refuses_connections_and_comes_back_on_the_same_port_without_its_print() {
    for version in OctoPrintVersion::ALL {
        let mut printer = needs!(OctoPrintInstance::start(version).await);
        printer.upload("long.gcode", dwell_gcode(600), true).await;
        assert_eq!(printer.post_job("start", None).await, 204);
        printer.until_state("Printing", DEADLINE).await;
        let (port, pid) = (printer.port, printer.pid);

        printer.kill();
        assert!(printer.try_read_job().await.is_err(), "an open connection must be dead, too");
        let refused = std::net::TcpStream::connect(("127.0.0.1", port)).expect_err("the port refuses connections");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

        printer.restart().await;
        assert_eq!(printer.port, port);
        assert_ne!(printer.pid, pid);
        assert!(printer.read_job().await["job"]["file"]["path"].is_null(), "{version:?} forgets its selection");
    }
}

#[tokio::test]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn a_script_makes_a_short_state_last() {
    for version in OctoPrintVersion::ALL {
        let printer = needs!(OctoPrintInstance::start(version).await);
        printer.set_script("beforePrintStarted", "G4 P700").await;
        printer.upload("short.gcode", dwell_gcode(3), true).await;
        assert_eq!(printer.post_job("start", None).await, 204);
        printer.until_state("Starting", DEADLINE).await;
        printer.until_state("Operational", DEADLINE).await;
    }
}

#[tokio::test]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn gcode_reaches_the_printer_and_its_debug_commands_make_it_fail() {
    for version in OctoPrintVersion::ALL {
        let printer = needs!(OctoPrintInstance::start(version).await);
        printer.send_gcode(&["!!DEBUG:trigger_fatal_error_marlin"]).await;
        printer.until_state("Offline after error", DEADLINE).await;
    }
}

#[tokio::test]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn the_end_of_an_instance_leaves_neither_process_nor_port() {
    let printer = needs!(OctoPrintInstance::start(OctoPrintVersion::V1).await);
    let (pid, port) = (printer.pid, printer.port);
    printer.freeze();
    drop(printer);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "even a frozen process ends");
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
}

#[tokio::test]
#[ignore = "needs PostgreSQL, which tests/run provides"]
async fn each_test_has_its_own_database_which_is_dropped_with_it() {
    let one = needs!(create_fresh_database().await);
    let other = needs!(create_fresh_database().await);
    let mut connection = PgConnection::connect(&one.url).await.expect("a connection");
    sqlx::query("create table only_here (id uuid primary key)").execute(&mut connection).await.expect("a table");
    let mut elsewhere = PgConnection::connect(&other.url).await.expect("a connection");
    assert!(sqlx::query("select id from only_here").execute(&mut elsewhere).await.is_err());

    let url = one.url.clone();
    drop(one); // A connection is still open.
    assert!(PgConnection::connect(&url).await.is_err());
}

#[test]
fn no_port_is_handed_out_twice_and_none_is_ephemeral() {
    let ports: std::collections::HashSet<u16> = (0..500).map(|_| port::pick_free_port()).collect();
    assert_eq!(ports.len(), 500);
    assert!(ports.iter().all(|port| *port < 32_768));
}

#[tokio::test]
#[should_panic(expected = "waited 60ms for: the moon; last seen: \"cheese\"")]
async fn a_wait_that_fails_reports_the_last_value() {
    let () = wait::until("the moon", Duration::from_millis(60), async || Err::<(), _>("cheese")).await;
}

#[tokio::test]
#[should_panic(expected = "never answered")]
async fn a_condition_that_hangs_does_not_hang_the_wait() {
    wait::until("an answer", Duration::from_millis(60), async || std::future::pending::<bool>().await).await;
}

#[tokio::test]
#[should_panic(expected = "no longer so: fewer than three looks")]
async fn a_condition_must_hold_for_the_whole_time() {
    let mut looks = 0;
    wait::assert_throughout("fewer than three looks", Duration::from_secs(5), async || {
        looks += 1;
        looks < 3
    })
    .await;
}

#[tokio::test]
async fn a_wait_returns_the_value_of_its_condition() {
    let mut looks = 0;
    let seen = wait::until("a third check", Duration::from_secs(5), async || {
        looks += 1;
        (looks == 3).then_some(looks)
    })
    .await;
    assert_eq!(seen, 3);
}
