//! Tests of the print tracker with orders of events that random histories found to be recorded wrongly.

use super::*;

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
fn killed_after(fact: &PrintFact) -> Watch {
    Watch::of(Tracker::resume(None, fact.mark()))
}

#[test]
fn a_print_that_was_read_in_finishing_is_done_although_it_is_cancelled_then() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.read(&finishing(A, 40));
    watch.read(&cancelling(A));
    watch.states(&[S::Operational]);
    assert_eq!(watch.told()[1..], ["done"]);
}

#[test]
fn a_late_event_does_not_undo_an_end_that_was_read() {
    let mut watch = Watch::over(&idle(A));
    watch.states(&[S::Starting]);
    watch.hear(started(A));
    watch.read(&cancelling(A));
    watch.states(&[S::Printing, S::Pausing, S::Paused]);
    watch.facts.clear();
    watch.read_on(&printing(A, 3, 2));
    assert_eq!(watch.told(), ["cancelled", "began a.gcode by printer"]);
}

#[test]
fn by_polling_a_print_after_one_that_was_cancelled_is_another_one() {
    let mut watch = Watch::polled(&printing(A, 0, 0));
    watch.read(&cancelling(A));
    watch.read(&printing(A, 20, 1));
    assert_eq!(watch.told(), ["cancelled", "began a.gcode by printer"]);
}

#[test]
fn an_end_that_a_reading_and_its_event_show_is_one_end() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Error]);
    watch.read_on(&reading(S::Error, None, None, 0, 0));
    watch.states(&[S::Offline, S::Connecting, S::Operational]);
    watch.hear(selected(B));
    assert_eq!(watch.told()[1..], ["failed"]);
    watch.tracker.lose_sight();
    watch.read(&idle(B));
    assert_eq!(watch.told(), [""; 0], "the selection was observed");
}

#[test]
fn events_say_how_a_print_ended_that_a_reading_showed_to_be_over() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.read(&printing(A, 500, 50));
    watch.read(&printing(A, 0, 0));
    watch.states(&[S::Cancelling]);
    watch.tracker.lose_sight();
    watch.facts.clear();
    watch.read(&printing(A, 10, 2));
    assert_eq!(watch.told(), ["cancelled", "began a.gcode by unknown"]);
}

#[test]
fn a_print_that_was_done_before_the_first_reading_has_its_events_only() {
    let mut watch = Watch::over(&idle(A));
    watch.tracker.lose_sight();
    watch.begins(B);
    watch.states(&[S::Finishing]);
    watch.hear(print_done(B, 2));
    watch.read(&done(B, 2));
    watch.states(&[S::Operational]);
    assert_eq!(watch.told(), ["began b.gcode by unknown", "done: not watched"]);
    watch.begins(B);
    assert_eq!(watch.told(), ["began b.gcode by printer"]);
}

#[test]
fn an_earlier_print_that_is_cancelled_is_not_the_young_one_that_was_read() {
    let mut watch = Watch::over(&printing(A, 0, 0));
    watch.states(&[S::Cancelling]);
    watch.hear(PrinterEvent::PrintCancelled { path: A.to_owned(), time_s: Some(39) });
    watch.states(&[S::Operational, S::Starting, S::Printing]);
    watch.read_on(&printing(A, 100, 10));
    assert_eq!(watch.told(), [""; 0]);
}

#[test]
fn a_print_whose_file_is_no_longer_selected_has_its_file_and_its_command() {
    let mut watch = Watch::over(&idle(A));
    watch.starting = Some(command(7));
    watch.hear(selected(B));
    watch.read(&idle(A));
    watch.states(&[S::Starting]);
    watch.hear(started(B));
    assert_eq!(watch.told(), ["began b.gcode by command 7"]);
}

#[test]
fn a_print_begins_although_the_events_of_an_earlier_reading_are_given_up() {
    let mut watch = Watch::over(&reading(S::Operational, None, None, 0, 0));
    watch.second += 20;
    watch.states(&[S::Starting]);
    watch.second += 15;
    watch.hear(started(A));
    assert_eq!(watch.told(), ["began a.gcode by printer"]);
}

#[test]
fn a_print_that_was_cut_off_long_ago_is_not_ended_again_by_late_events() {
    let mut watch = Watch::over(&idle(A));
    watch.second += 20;
    watch.begins(A);
    watch.states(&[S::Error]);
    watch.second += 15;
    watch.failed("error", "MINTEMP");
    watch.read(&printing(B, 0, 0));
    watch.states(&[S::Connecting, S::Operational]);
    watch.begins(B);
    assert_eq!(watch.told()[1..], ["failed: MINTEMP", "began b.gcode by printer"]);
}

#[test]
fn a_printer_that_connects_has_no_print() {
    let connecting = reading(S::Connecting, None, None, 0, 0);
    let mut watch = Watch::polled(&printing(A, 100, 10));
    watch.read(&connecting);
    watch.read(&idle(A));
    assert_eq!(watch.told(), ["unknown"]);
    let mut watch = Watch::over(&printing(A, 100, 10));
    watch.tracker.lose_sight();
    watch.read(&connecting);
    watch.read(&idle(A));
    assert_eq!(watch.told(), ["unknown: not watched"]);
}

#[test]
fn by_polling_a_print_is_found_that_ran_since_the_printer_was_off() {
    let mut watch = Watch::polled(&reading(S::Offline, None, None, 0, 0));
    watch.read(&reading(S::Connecting, None, None, 0, 0));
    watch.read(&done(B, 2));
    assert_eq!(watch.told(), ["began b.gcode by printer", "done"]);
}

#[test]
fn a_server_that_is_killed_between_two_facts_of_a_reading_finds_the_second_again() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Finishing]);
    watch.tracker.lose_sight();
    watch.facts.clear();
    watch.tracker.mark.print_time_s = Some(50);
    watch.read(&done(A, 20));
    let first = watch.facts[0].clone();
    assert_eq!(watch.told(), ["done: not watched", "began a.gcode by unknown", "done: not watched"]);
    let mut watch = killed_after(&first);
    watch.read(&done(A, 20));
    assert_eq!(watch.told(), ["began a.gcode by unknown", "done: not watched"]);
}

#[test]
fn a_command_that_started_a_print_starts_no_other_one_after_a_kill() {
    let mut watch = Watch::over(&idle(A));
    watch.starting = Some(command(7));
    watch.begins(A);
    watch.states(&[S::Cancelling, S::Operational]);
    let end = watch.facts[1].clone();
    assert_eq!(watch.told(), ["began a.gcode by command 7", "cancelled"]);
    let mut watch = Watch { starting: watch.starting, ..killed_after(&end) };
    watch.read(&printing(A, 0, 0));
    assert_eq!(watch.told(), ["began a.gcode by unknown"]);
}

#[test]
fn a_print_that_began_long_after_a_start_is_not_its_effect() {
    for (idle_at, by) in [(5, By::command(command(7))), (30, By::unknown())] {
        let mut watch = Watch::over(&idle(A));
        let sent_at = Some(DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(watch.second));
        watch.second += idle_at - 1;
        watch.read(&idle(A));
        watch.tracker.lose_sight();
        watch.second += 60;
        watch.starting = Some(command(7));
        let mut moment = watch.moment();
        moment.starting = moment.starting.map(|start| StartSent { sent_at, by_previous_run: true, ..start });
        let facts = watch.tracker.on_reading(&done(A, 20), &moment);
        assert!(matches!(&facts[0], PrintFact::Began { by: began_by, .. } if *began_by == by), "{facts:?}");
    }
}
