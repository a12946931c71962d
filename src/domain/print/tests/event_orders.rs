//! Tests of the print tracker with orders of events that random histories found to be recorded wrongly.

use crate::domain::print::tests::*;

fn finishing(path: &str, time: i64) -> JobReading {
    reading(S::Finishing, Some(path), Some(100.0), 1_000, time)
}

fn cancelling(path: &str) -> JobReading {
    reading(S::Cancelling, Some(path), None, 0, 0)
}

fn selected(path: &str) -> PrinterEvent {
    PrinterEvent::FileSelected { path: path.to_owned(), origin: "local".to_owned() }
}

fn started(path: &str) -> PrinterEvent {
    PrinterEvent::PrintStarted { path: path.to_owned(), origin: "local".to_owned() }
}

/// Returns the tracker of a server that is killed after it has stored this fact, and starts again.
fn killed_after(fact: &PrintFact) -> TrackerFixture {
    TrackerFixture::new(PrintTracker::resume(None, fact.mark()))
}

#[test]
fn a_print_read_in_finishing_is_done_even_if_cancelled_later() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_reading(&finishing(A, 40));
    watch.receive_reading(&cancelling(A));
    watch.receive_states(&[S::Operational]);
    assert_eq!(watch.take_facts()[1..], ["done"]);
}

#[test]
fn a_late_event_does_not_undo_an_end_that_was_read() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_states(&[S::Starting]);
    watch.receive_event(started(A));
    watch.receive_reading(&cancelling(A));
    watch.receive_states(&[S::Printing, S::Pausing, S::Paused]);
    watch.facts.clear();
    watch.receive_until_accepted(&printing(A, 3, 2));
    assert_eq!(watch.take_facts(), ["cancelled", "began a.gcode by printer"]);
}

#[test]
fn polling_finds_a_new_print_after_a_cancelled_one() {
    let mut watch = TrackerFixture::polling(&printing(A, 0, 0));
    watch.receive_reading(&cancelling(A));
    watch.receive_reading(&printing(A, 20, 1));
    assert_eq!(watch.take_facts(), ["cancelled", "began a.gcode by printer"]);
}

#[test]
fn an_end_shown_by_a_reading_and_an_event_is_recorded_once() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Error]);
    watch.receive_until_accepted(&reading(S::Error, None, None, 0, 0));
    watch.receive_states(&[S::Offline, S::Connecting, S::Operational]);
    watch.receive_event(selected(B));
    assert_eq!(watch.take_facts()[1..], ["failed"]);
    watch.tracker.begin_gap();
    watch.receive_reading(&idle(B));
    assert_eq!(watch.take_facts(), [""; 0], "the selection was observed");
}

#[test]
fn events_decide_the_result_of_a_print_that_a_reading_ended() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_reading(&printing(A, 500, 50));
    watch.receive_reading(&printing(A, 0, 0));
    watch.receive_states(&[S::Cancelling]);
    watch.tracker.begin_gap();
    watch.facts.clear();
    watch.receive_reading(&printing(A, 10, 2));
    assert_eq!(watch.take_facts(), ["cancelled", "began a.gcode by unknown"]);
}

#[test]
fn a_print_done_before_the_first_reading_is_recorded_once() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.tracker.begin_gap();
    watch.receive_print_begin(B);
    watch.receive_states(&[S::Finishing]);
    watch.receive_event(print_done(B, 2));
    watch.receive_reading(&done(B, 2));
    watch.receive_states(&[S::Operational]);
    assert_eq!(watch.take_facts(), ["began b.gcode by unknown", "done: end not seen"]);
    watch.receive_print_begin(B);
    assert_eq!(watch.take_facts(), ["began b.gcode by printer"]);
}

#[test]
fn a_late_cancel_event_does_not_end_the_new_print() {
    let mut watch = TrackerFixture::after_reading(&printing(A, 0, 0));
    watch.receive_states(&[S::Cancelling]);
    watch.receive_event(PrinterEvent::PrintCancelled { path: A.to_owned(), time_s: Some(39) });
    watch.receive_states(&[S::Operational, S::Starting, S::Printing]);
    watch.receive_until_accepted(&printing(A, 100, 10));
    assert_eq!(watch.take_facts(), [""; 0]);
}

#[test]
fn a_print_keeps_its_file_and_command_after_another_selection_was_read() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.starting = Some(command(7));
    watch.receive_event(selected(B));
    watch.receive_reading(&idle(A));
    watch.receive_states(&[S::Starting]);
    watch.receive_event(started(B));
    assert_eq!(watch.take_facts(), ["began b.gcode by command 7"]);
}

#[test]
fn a_print_begins_although_the_events_of_an_earlier_reading_are_given_up() {
    let mut watch = TrackerFixture::after_reading(&reading(S::Operational, None, None, 0, 0));
    watch.second += 20;
    watch.receive_states(&[S::Starting]);
    watch.second += 15;
    watch.receive_event(started(A));
    assert_eq!(watch.take_facts(), ["began a.gcode by printer"]);
}

#[test]
fn a_print_that_was_cut_off_long_ago_is_not_ended_again_by_late_events() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.second += 20;
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Error]);
    watch.second += 15;
    watch.receive_print_failed("error", "MINTEMP");
    watch.receive_reading(&printing(B, 0, 0));
    watch.receive_states(&[S::Connecting, S::Operational]);
    watch.receive_print_begin(B);
    assert_eq!(watch.take_facts()[1..], ["failed: MINTEMP", "began b.gcode by printer"]);
}

#[test]
fn a_printer_that_connects_has_no_print() {
    let connecting = reading(S::Connecting, None, None, 0, 0);
    let mut watch = TrackerFixture::polling(&printing(A, 100, 10));
    watch.receive_reading(&connecting);
    watch.receive_reading(&idle(A));
    assert_eq!(watch.take_facts(), ["unknown"]);
    let mut watch = TrackerFixture::after_reading(&printing(A, 100, 10));
    watch.tracker.begin_gap();
    watch.receive_reading(&connecting);
    watch.receive_reading(&idle(A));
    assert_eq!(watch.take_facts(), ["unknown: end not seen"]);
}

#[test]
fn polling_finds_a_print_that_ran_after_the_printer_was_off() {
    let mut watch = TrackerFixture::polling(&reading(S::Offline, None, None, 0, 0));
    watch.receive_reading(&reading(S::Connecting, None, None, 0, 0));
    watch.receive_reading(&done(B, 2));
    assert_eq!(watch.take_facts(), ["began b.gcode by printer", "done"]);
}

#[test]
fn a_server_that_is_killed_between_two_facts_of_a_reading_finds_the_second_again() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Finishing]);
    watch.tracker.begin_gap();
    watch.facts.clear();
    watch.tracker.mark.print_time_s = Some(50);
    watch.receive_reading(&done(A, 20));
    let first = watch.facts[0].clone();
    assert_eq!(watch.take_facts(), ["done: end not seen", "began a.gcode by unknown", "done: end not seen"]);
    let mut watch = killed_after(&first);
    watch.receive_reading(&done(A, 20));
    assert_eq!(watch.take_facts(), ["began a.gcode by unknown", "done: end not seen"]);
}

#[test]
fn a_command_starts_only_one_print_even_after_a_kill() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.starting = Some(command(7));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Cancelling, S::Operational]);
    let end = watch.facts[1].clone();
    assert_eq!(watch.take_facts(), ["began a.gcode by command 7", "cancelled"]);
    let mut watch = TrackerFixture { starting: watch.starting, ..killed_after(&end) };
    watch.receive_reading(&printing(A, 0, 0));
    assert_eq!(watch.take_facts(), ["began a.gcode by unknown"]);
}

#[test]
fn a_print_that_began_long_after_a_start_is_not_its_effect() {
    for (idle_at, by) in [(5, PrintActor::command(command(7))), (30, PrintActor::unknown())] {
        let mut watch = TrackerFixture::after_reading(&idle(A));
        let sent_at = Some(DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(watch.second));
        watch.second += idle_at - 1;
        watch.receive_reading(&idle(A));
        watch.tracker.begin_gap();
        watch.second += 60;
        watch.starting = Some(command(7));
        let mut context = watch.context();
        context.starting = context.starting.map(|start| SentStart { sent_at, by_previous_run: true, ..start });
        let facts = watch.tracker.on_reading(&done(A, 20), &context);
        assert!(matches!(&facts[0], PrintFact::Began { by: began_by, .. } if *began_by == by), "{facts:?}");
    }
}
