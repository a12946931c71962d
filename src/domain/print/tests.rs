//! Tests of the print tracker with events and readings in the order that was measured on real OctoPrints.

use super::*;
use crate::domain::{
    reading::{JobFile, JobReading, PrinterEvent, Progress},
    state::PrinterState,
};

mod event_orders;
mod fixture;
mod interleaving;
mod polling_and_gaps;

use fixture::*;

use PrinterState as S;

#[test]
fn a_start_and_its_end_are_one_print() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    assert_eq!(watch.take_facts(), ["began a.gcode by printer"]);
    let id = watch.tracker.current().map(|print| print.id);
    watch.receive_reading(&printing(A, 100, 5));
    watch.receive_states(&[S::Finishing]);
    watch.receive_event(print_done(A, 10));
    assert_eq!(watch.tracker.current().map(|print| print.id), id);
    watch.receive_states(&[S::Operational]);
    watch.receive_reading(&done(A, 10));
    assert_eq!(watch.take_facts(), ["done"]);
    assert!(watch.tracker.current().is_none());
}

#[test]
fn two_copies_of_a_file_are_two_prints() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    for _ in 0..2 {
        watch.receive_print_begin(A);
        watch.receive_states(&[S::Finishing]);
        watch.receive_event(print_done(A, 10));
        watch.receive_states(&[S::Operational]);
    }
    assert_eq!(watch.take_facts(), ["began a.gcode by printer", "done", "began a.gcode by printer", "done"]);
}

#[test]
fn a_print_started_by_a_command_is_credited_to_it() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.starting = Some(command(7));
    watch.receive_print_begin(B);
    assert_eq!(watch.take_facts(), ["began b.gcode by command 7"]);
}

#[test]
fn a_cancelled_print_is_cancelled_although_octoprint_also_sends_failed() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Cancelling]);
    watch.receive_print_cancelled();
    watch.receive_states(&[S::Operational]);
    assert_eq!(watch.take_facts()[1..], ["cancelled"]);
}

#[test]
fn a_print_that_was_done_stays_done_when_it_is_cancelled_in_finishing() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Finishing]);
    watch.receive_event(print_done(A, 10));
    watch.receive_states(&[S::Cancelling]);
    watch.receive_print_cancelled();
    watch.receive_states(&[S::Operational]);
    watch.receive_reading(&idle(A));
    assert_eq!(watch.take_facts()[1..], ["done"]);
}

#[test]
fn a_firmware_error_is_the_reason_in_every_event_order() {
    let error = || PrinterEvent::Error { error: "MINTEMP triggered!".to_owned() };
    // Measured: trigger_fatal_error, mintemp_error, maxtemp_error, and M112 or drop_connection without the event Error.
    let orders: [&dyn Fn(&mut TrackerFixture); 4] = [
        &|watch| {
            watch.receive_print_failed("error", "MINTEMP triggered!");
            watch.receive_states(&[S::Error]);
            watch.receive_event(error());
            watch.receive_event(PrinterEvent::Disconnected);
            watch.receive_states(&[S::Offline]);
        },
        &|watch| {
            watch.receive_states(&[S::Error]);
            watch.receive_event(error());
            watch.receive_event(PrinterEvent::Disconnected);
            watch.receive_states(&[S::Offline]);
            watch.receive_print_failed("error", "MINTEMP triggered!");
        },
        &|watch| {
            watch.receive_states(&[S::Error]);
            watch.receive_event(error());
            watch.receive_print_failed("error", "MINTEMP triggered!");
            watch.receive_event(PrinterEvent::Disconnected);
            watch.receive_states(&[S::Offline]);
        },
        &|watch| {
            watch.receive_event(PrinterEvent::Disconnected);
            watch.receive_states(&[S::Offline]);
            watch.receive_print_failed("error", "MINTEMP triggered!");
        },
    ];
    for order in orders {
        let mut watch = TrackerFixture::after_reading(&idle(A));
        watch.receive_print_begin(A);
        order(&mut watch);
        watch.receive_reading(&reading(S::Error, None, None, 0, 0));
        assert_eq!(watch.take_facts()[1..], ["failed: MINTEMP triggered!"]);
        assert!(watch.tracker.current().is_none());
    }
}

#[test]
fn the_error_event_has_the_reason_that_octoprint_2_0_omits() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Error]);
    watch.receive_event(PrinterEvent::Error { error: "MINTEMP triggered!".to_owned() });
    watch.receive_event(PrinterEvent::FileDeselected);
    watch.receive_event(PrinterEvent::Disconnected);
    watch.receive_states(&[S::Error]);
    watch.receive_print_failed("error", "unknown");
    assert_eq!(watch.take_facts()[1..], ["failed: MINTEMP triggered!"]);
}

#[test]
fn a_disconnect_fails_the_print_without_a_reason() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_event(PrinterEvent::Disconnected);
    watch.receive_states(&[S::Offline]);
    watch.receive_print_failed("error", "");
    watch.receive_reading(&reading(S::Offline, None, None, 0, 0));
    assert_eq!(watch.take_facts()[1..], ["failed"]);
}

#[test]
fn a_lost_connection_without_a_print_event_ends_the_print_at_the_next_reading() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Offline]);
    let lost = JobReading { error: Some("SerialTimeoutException".to_owned()), ..reading(S::Error, None, None, 0, 0) };
    watch.receive_until_accepted(&lost);
    assert_eq!(watch.take_facts()[1..], ["failed: SerialTimeoutException"]);
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Offline, S::Connecting, S::Operational]);
    assert_eq!(watch.take_facts()[1..], ["failed"], "connected again before the next poll");
}

#[test]
fn an_error_that_the_print_survives_does_not_fail_it() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_event(PrinterEvent::Error { error: "a sensor was odd".to_owned() });
    watch.receive_states(&[S::Finishing]);
    watch.receive_event(print_done(A, 10));
    watch.receive_states(&[S::Operational]);
    assert_eq!(watch.take_facts()[1..], ["done"]);
}

#[test]
fn filament_that_runs_out_is_a_pause_at_the_printer() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Pausing]);
    watch.receive_event(PrinterEvent::PrintPaused { path: A.to_owned() });
    assert!(watch.tracker.current().is_some_and(|print| print.paused_by.is_none()));
    watch.receive_states(&[S::Paused]);
    watch.receive_reading(&reading(S::Paused, Some(A), Some(10.0), 100, 5));
    assert_eq!(watch.take_facts()[1..], ["paused by printer"]);
    watch.receive_states(&[S::Resuming, S::Printing]);
    assert_eq!(watch.take_facts(), ["resumed"]);
}

#[test]
fn a_pause_by_a_command_is_credited_to_it() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.pausing = Some(command(3));
    watch.receive_states(&[S::Pausing]);
    watch.receive_event(PrinterEvent::PrintPaused { path: A.to_owned() });
    watch.receive_states(&[S::Paused]);
    watch.pausing = None;
    watch.receive_reading(&reading(S::Paused, Some(A), Some(10.0), 100, 5));
    assert_eq!(watch.take_facts()[1..], ["paused by command 3"]);
}

#[test]
fn a_late_print_paused_event_is_ignored() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Pausing, S::Printing]);
    watch.receive_event(PrinterEvent::PrintPaused { path: A.to_owned() });
    watch.receive_reading(&printing(A, 100, 5));
    assert_eq!(watch.take_facts()[1..], [""; 0]);
    watch.receive_states(&[S::Pausing, S::Cancelling]);
    watch.receive_print_cancelled();
    watch.receive_states(&[S::Operational]);
    watch.receive_event(PrinterEvent::PrintPaused { path: A.to_owned() });
    assert_eq!(watch.take_facts(), ["cancelled"]);
}

#[test]
fn a_restart_from_paused_on_1_11_ends_one_print_and_begins_another() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Pausing, S::Paused]);
    let first = watch.tracker.current().map(|print| print.id);
    watch.receive_states(&[S::Starting]);
    watch.receive_event(PrinterEvent::PrintStarted { path: A.to_owned(), origin: "local".to_owned() });
    watch.receive_states(&[S::Printing]);
    watch.receive_reading(&printing(A, 10, 0));
    let second = watch.tracker.current().map(|print| print.id);
    assert!(first.is_some() && second.is_some() && first != second);
    let facts = watch.take_facts();
    assert_eq!(facts[1..], ["paused by printer", "cancelled: started again", "began a.gcode by printer"]);
}

#[test]
fn a_late_end_event_does_not_end_the_next_print() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Cancelling, S::Operational]);
    watch.receive_print_begin(B);
    watch.receive_print_cancelled();
    watch.receive_states(&[S::Finishing]);
    watch.receive_event(print_done(B, 10));
    watch.receive_states(&[S::Operational]);
    assert_eq!(watch.take_facts().last().map(String::as_str), Some("done"));
}
