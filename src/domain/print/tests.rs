//! Tests of the print tracker with events and readings in the order that was measured on real OctoPrints.

use super::*;
use crate::domain::{
    reading::{JobFile, JobReading, PrinterEvent, Progress},
    state::PrinterState,
};

mod interleaving;
mod orders;
mod watch;
mod watching;

use watch::*;

use PrinterState as S;

#[test]
fn a_start_and_its_end_are_one_print() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    assert_eq!(watch.told(), ["began a.gcode by printer"]);
    let id = watch.tracker.current().map(|print| print.id);
    watch.read(&printing(A, 100, 5));
    watch.states(&[S::Finishing]);
    watch.hear(print_done(A, 10));
    assert_eq!(watch.tracker.current().map(|print| print.id), id);
    watch.states(&[S::Operational]);
    watch.read(&done(A, 10));
    assert_eq!(watch.told(), ["done"]);
    assert!(watch.tracker.current().is_none());
}

#[test]
fn two_copies_of_a_file_are_two_prints() {
    let mut watch = Watch::over(&idle(A));
    for _ in 0..2 {
        watch.begins(A);
        watch.states(&[S::Finishing]);
        watch.hear(print_done(A, 10));
        watch.states(&[S::Operational]);
    }
    assert_eq!(watch.told(), ["began a.gcode by printer", "done", "began a.gcode by printer", "done"]);
}

#[test]
fn a_print_that_printyard_started_is_its_own() {
    let mut watch = Watch::over(&idle(A));
    watch.starting = Some(command(7));
    watch.begins(B);
    assert_eq!(watch.told(), ["began b.gcode by command 7"]);
}

#[test]
fn a_cancelled_print_is_cancelled_although_octoprint_says_failed_too() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Cancelling]);
    watch.cancelled();
    watch.states(&[S::Operational]);
    assert_eq!(watch.told()[1..], ["cancelled"]);
}

#[test]
fn a_print_that_was_done_stays_done_when_it_is_cancelled_in_finishing() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Finishing]);
    watch.hear(print_done(A, 10));
    watch.states(&[S::Cancelling]);
    watch.cancelled();
    watch.states(&[S::Operational]);
    watch.read(&idle(A));
    assert_eq!(watch.told()[1..], ["done"]);
}

#[test]
fn a_firmware_error_fails_the_print_in_the_firmwares_own_words_whatever_the_order() {
    let error = || PrinterEvent::Error { error: "MINTEMP triggered!".to_owned() };
    // Measured: trigger_fatal_error, mintemp_error, maxtemp_error, and M112 or drop_connection without the event Error.
    let orders: [&dyn Fn(&mut Watch); 4] = [
        &|watch| {
            watch.failed("error", "MINTEMP triggered!");
            watch.states(&[S::Error]);
            watch.hear(error());
            watch.hear(PrinterEvent::Disconnected);
            watch.states(&[S::Offline]);
        },
        &|watch| {
            watch.states(&[S::Error]);
            watch.hear(error());
            watch.hear(PrinterEvent::Disconnected);
            watch.states(&[S::Offline]);
            watch.failed("error", "MINTEMP triggered!");
        },
        &|watch| {
            watch.states(&[S::Error]);
            watch.hear(error());
            watch.failed("error", "MINTEMP triggered!");
            watch.hear(PrinterEvent::Disconnected);
            watch.states(&[S::Offline]);
        },
        &|watch| {
            watch.hear(PrinterEvent::Disconnected);
            watch.states(&[S::Offline]);
            watch.failed("error", "MINTEMP triggered!");
        },
    ];
    for order in orders {
        let mut watch = Watch::over(&idle(A));
        watch.begins(A);
        order(&mut watch);
        watch.read(&reading(S::Error, None, None, 0, 0));
        assert_eq!(watch.told()[1..], ["failed: MINTEMP triggered!"]);
        assert!(watch.tracker.current().is_none());
    }
}

#[test]
fn the_error_event_has_the_words_that_octoprint_2_0_calls_unknown() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Error]);
    watch.hear(PrinterEvent::Error { error: "MINTEMP triggered!".to_owned() });
    watch.hear(PrinterEvent::FileDeselected);
    watch.hear(PrinterEvent::Disconnected);
    watch.states(&[S::Error]);
    watch.failed("error", "unknown");
    assert_eq!(watch.told()[1..], ["failed: MINTEMP triggered!"]);
}

#[test]
fn a_disconnect_fails_the_print_without_words() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.hear(PrinterEvent::Disconnected);
    watch.states(&[S::Offline]);
    watch.failed("error", "");
    watch.read(&reading(S::Offline, None, None, 0, 0));
    assert_eq!(watch.told()[1..], ["failed"]);
}

#[test]
fn a_connection_that_is_lost_without_an_event_of_the_print_ends_it_at_the_next_look() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Offline]);
    let lost = JobReading { error: Some("SerialTimeoutException".to_owned()), ..reading(S::Error, None, None, 0, 0) };
    watch.read_on(&lost);
    assert_eq!(watch.told()[1..], ["failed: SerialTimeoutException"]);
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Offline, S::Connecting, S::Operational]);
    assert_eq!(watch.told()[1..], ["failed"], "connected again before anybody looked");
}

#[test]
fn an_error_that_the_print_survives_does_not_fail_it() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.hear(PrinterEvent::Error { error: "a sensor was odd".to_owned() });
    watch.states(&[S::Finishing]);
    watch.hear(print_done(A, 10));
    watch.states(&[S::Operational]);
    assert_eq!(watch.told()[1..], ["done"]);
}

#[test]
fn filament_that_runs_out_is_a_pause_at_the_printer() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Pausing]);
    watch.hear(PrinterEvent::PrintPaused { path: A.to_owned() });
    assert!(watch.tracker.current().is_some_and(|print| print.paused_by.is_none()));
    watch.states(&[S::Paused]);
    watch.read(&reading(S::Paused, Some(A), Some(10.0), 100, 5));
    assert_eq!(watch.told()[1..], ["paused by printer"]);
    watch.states(&[S::Resuming, S::Printing]);
    assert_eq!(watch.told(), ["resumed"]);
}

#[test]
fn a_pause_of_printyards_is_its_own() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.pausing = Some(command(3));
    watch.states(&[S::Pausing]);
    watch.hear(PrinterEvent::PrintPaused { path: A.to_owned() });
    watch.states(&[S::Paused]);
    watch.pausing = None;
    watch.read(&reading(S::Paused, Some(A), Some(10.0), 100, 5));
    assert_eq!(watch.told()[1..], ["paused by command 3"]);
}

#[test]
fn print_paused_that_comes_late_is_not_believed() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Pausing, S::Printing]);
    watch.hear(PrinterEvent::PrintPaused { path: A.to_owned() });
    watch.read(&printing(A, 100, 5));
    assert_eq!(watch.told()[1..], [""; 0]);
    watch.states(&[S::Pausing, S::Cancelling]);
    watch.cancelled();
    watch.states(&[S::Operational]);
    watch.hear(PrinterEvent::PrintPaused { path: A.to_owned() });
    assert_eq!(watch.told(), ["cancelled"]);
}

#[test]
fn a_restart_from_paused_on_1_11_ends_one_print_and_begins_another() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Pausing, S::Paused]);
    let first = watch.tracker.current().map(|print| print.id);
    watch.states(&[S::Starting]);
    watch.hear(PrinterEvent::PrintStarted { path: A.to_owned(), origin: "local".to_owned() });
    watch.states(&[S::Printing]);
    watch.read(&printing(A, 10, 0));
    let second = watch.tracker.current().map(|print| print.id);
    assert!(first.is_some() && second.is_some() && first != second);
    let told = watch.told();
    assert_eq!(told[1..], ["paused by printer", "cancelled: started again", "began a.gcode by printer"]);
}

#[test]
fn the_end_of_one_print_that_is_told_late_is_not_the_end_of_the_next() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Cancelling, S::Operational]);
    watch.begins(B);
    watch.cancelled();
    watch.states(&[S::Finishing]);
    watch.hear(print_done(B, 10));
    watch.states(&[S::Operational]);
    assert_eq!(watch.told().last().map(String::as_str), Some("done"));
}
