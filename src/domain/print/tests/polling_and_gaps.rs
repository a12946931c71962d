//! Tests of the print tracker without events: by polling, over gaps, and after a restart of the server.

use crate::domain::print::tests::*;

#[test]
fn polling_distinguishes_done_from_cancelled() {
    let mut watch = TrackerFixture::polling(&idle(A));
    for (end, result) in [(done(A, 20), "done"), (idle(A), "cancelled")] {
        watch.receive_reading(&printing(A, 100, 5));
        watch.receive_reading(&printing(A, 200, 10));
        watch.receive_reading(&end);
        assert_eq!(watch.take_facts(), ["began a.gcode by printer", result]);
    }
    watch.receive_reading(&printing(A, 100, 5));
    let error = Some("Thermal Runaway".to_owned());
    watch.receive_reading(&JobReading { error, ..reading(S::Error, None, None, 0, 0) });
    assert_eq!(watch.take_facts()[1..], ["failed: Thermal Runaway"]);
}

#[test]
fn polling_finds_the_author_of_a_pause() {
    let mut watch = TrackerFixture::polling(&idle(A));
    watch.receive_reading(&printing(A, 100, 5));
    watch.receive_reading(&reading(S::Paused, Some(A), Some(10.0), 100, 5));
    watch.receive_reading(&printing(A, 110, 6));
    watch.pausing = Some(command(1));
    watch.receive_reading(&reading(S::Paused, Some(A), Some(10.0), 110, 6));
    assert_eq!(watch.take_facts()[1..], ["paused by printer", "resumed", "paused by command 1"]);
}

#[test]
fn polling_finds_a_new_print_when_the_file_starts_over() {
    let mut watch = TrackerFixture::polling(&idle(A));
    watch.receive_reading(&printing(A, 500, 50));
    watch.receive_reading(&printing(A, 20, 1));
    assert_eq!(watch.take_facts(), ["began a.gcode by printer", "unknown", "began a.gcode by printer"]);
}

#[test]
fn polling_finds_a_print_that_ran_between_two_readings() {
    let mut watch = TrackerFixture::polling(&idle(A));
    watch.starting = Some(command(5));
    watch.receive_reading(&done(A, 1));
    assert_eq!(watch.take_facts(), ["began a.gcode by command 5", "done"]);
    watch.starting = None;
    watch.receive_reading(&done(A, 1));
    assert_eq!(watch.take_facts(), [""; 0], "the same reading again is no print");
    watch.receive_reading(&done(A, 2));
    assert_eq!(watch.take_facts(), ["began a.gcode by printer", "done"], "another time is another print");
    watch.receive_reading(&idle(B));
    assert_eq!(watch.take_facts(), [""; 0], "a selection is no print");
    watch.receive_reading(&done(B, 1));
    assert_eq!(watch.take_facts(), ["began b.gcode by printer", "done"]);
}

#[test]
fn polling_records_a_print_observed_only_at_its_end() {
    let mut watch = TrackerFixture::polling(&idle(A));
    watch.receive_reading(&reading(S::Finishing, Some(A), Some(100.0), 1_000, 1));
    watch.receive_reading(&done(A, 1));
    watch.receive_reading(&reading(S::Cancelling, Some(A), None, 0, 0));
    watch.receive_reading(&idle(A));
    assert_eq!(watch.take_facts(), ["began a.gcode by printer", "done", "began a.gcode by printer", "cancelled"]);
}

#[test]
fn a_print_reported_by_events_is_not_recorded_again_by_a_reading() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Finishing]);
    watch.receive_event(print_done(A, 10));
    watch.receive_states(&[S::Operational]);
    watch.receive_reading(&done(A, 1));
    watch.receive_reading(&done(A, 1));
    assert_eq!(watch.take_facts(), ["began a.gcode by printer", "done"]);
}

/// Returns the tracker of a print that was at position 500 after 50 s, and was then not observed for `gap_s` seconds.
fn unobserved_for(gap_s: i64) -> TrackerFixture {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_reading(&printing(A, 500, 50));
    watch.facts.clear();
    watch.tracker.begin_gap();
    watch.second += gap_s;
    watch
}

#[test]
fn a_print_continues_over_a_gap() {
    let mut watch = unobserved_for(30);
    let id = watch.tracker.current().map(|print| print.id);
    watch.receive_reading(&printing(A, 700, 80));
    assert_eq!(watch.take_facts(), [""; 0]);
    assert_eq!(watch.tracker.current().map(|print| print.id), id);
    let mut watch = unobserved_for(3_600);
    watch.receive_reading(&reading(S::Paused, Some(A), Some(10.0), 500, 50));
    assert_eq!(watch.take_facts(), ["paused by unknown"], "it stood all the time");
    let mut watch = unobserved_for(40);
    watch.receive_reading(&reading(S::Paused, Some(A), Some(10.0), 600, 60));
    assert_eq!(watch.take_facts(), ["paused by unknown"], "no other copy could be 60 s old");
}

#[test]
fn a_new_copy_after_a_gap_is_another_print() {
    // It went backwards; it is younger than the gap; it has another file.
    for now in [printing(A, 100, 10), printing(A, 900, 200), printing(B, 700, 80)] {
        let mut watch = unobserved_for(600);
        watch.receive_reading(&now);
        let path = now.file.map(|file| file.path).unwrap_or_default();
        assert_eq!(watch.take_facts(), ["unknown: end not seen".to_owned(), format!("began {path} by unknown")]);
    }
}

#[test]
fn the_reading_after_a_gap_decides_how_a_print_ended() {
    let mut watch = unobserved_for(60);
    watch.receive_reading(&done(A, 90));
    assert_eq!(watch.take_facts(), ["done"]);
    let mut watch = unobserved_for(60);
    watch.receive_reading(&idle(A));
    assert_eq!(watch.take_facts(), ["cancelled"]);
}

#[test]
fn another_done_file_after_a_gap_does_not_make_the_print_done() {
    let mut watch = unobserved_for(600);
    watch.receive_reading(&done(B, 90));
    assert_eq!(watch.take_facts(), ["unknown: end not seen", "began b.gcode by unknown", "done: end not seen"]);
    let mut watch = unobserved_for(600);
    watch.receive_reading(&done(A, 20));
    assert_eq!(
        watch.take_facts(),
        ["unknown: end not seen", "began a.gcode by unknown", "done: end not seen"],
        "too quick"
    );
    let mut watch = unobserved_for(600);
    watch.receive_reading(&idle(B));
    assert_eq!(watch.take_facts()[0], "unknown: end not seen");
}

#[test]
fn an_octoprint_restart_within_a_gap_ends_the_print_as_unknown() {
    let mut watch = unobserved_for(60);
    watch.receive_reading(&reading(S::Operational, None, None, 0, 0));
    assert_eq!(watch.take_facts(), ["unknown"]);
    assert!(watch.tracker.current().is_none());
}

#[test]
fn a_print_has_an_unknown_result_if_its_printer_is_off_after_a_gap() {
    for state in [S::Offline, S::Error] {
        let mut watch = unobserved_for(3_600);
        watch.receive_reading(&reading(state, None, None, 0, 0));
        assert_eq!(watch.take_facts(), ["unknown: end not seen"], "{state:?}");
    }
}

#[test]
fn a_print_that_ran_within_a_gap_is_found() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.tracker.begin_gap();
    watch.second += 600;
    watch.receive_reading(&done(A, 300));
    assert_eq!(watch.take_facts(), ["began a.gcode by unknown", "done: end not seen"]);
    watch.tracker.begin_gap();
    watch.receive_reading(&done(A, 300));
    assert_eq!(watch.take_facts(), [""; 0], "nothing has changed");
}

#[test]
fn a_selection_within_a_short_gap_is_no_print() {
    let select_within = |seconds: i64, starting: Option<Uuid>| {
        let mut watch = TrackerFixture::after_reading(&done(A, 300));
        watch.starting = starting;
        watch.tracker.begin_gap();
        watch.second += seconds;
        watch.receive_reading(&idle(B));
        watch.take_facts()
    };
    // The event socket is opened a moment after the first poll. Selections in between have no event.
    assert_eq!(select_within(2, None), [""; 0]);
    let unknown = ["began b.gcode by unknown", "unknown: end not seen"];
    assert_eq!(select_within(60, None), unknown, "a print may have been cancelled since");
    assert_eq!(select_within(2, Some(command(3))), unknown, "the start may have printed");
}

#[test]
fn a_print_that_began_within_a_gap_has_a_known_author_only_after_a_sent_start() {
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.tracker.begin_gap();
    watch.receive_reading(&printing(A, 100, 5));
    assert_eq!(watch.take_facts(), ["began a.gcode by unknown"]);
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.starting = Some(command(2));
    watch.tracker.begin_gap();
    watch.receive_reading(&printing(A, 100, 5));
    assert_eq!(watch.take_facts(), ["began a.gcode by command 2"], "its own start was in flight");
}

fn stored_print(paused_by: Option<PrintActor>) -> Print {
    Print {
        id: Uuid::from_u128(77),
        printer_id: Uuid::nil(),
        file: Some(file(A)),
        started_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(97),
        ended_at: None,
        result: None,
        reason: None,
        started_by: PrintActor::printer(),
        paused_by,
        batch_id: None,
        external_ref: None,
    }
}

fn stored_mark(reading: &JobReading) -> Option<(JobMark, DateTime<Utc>)> {
    let phase = if reading.state.is_active() { MarkPhase::Print(Uuid::from_u128(77)) } else { MarkPhase::Idle };
    Some((JobMark { phase, ..JobMark::from_reading(reading) }, DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(100)))
}

#[test]
fn a_print_continues_after_a_server_restart() {
    let mut watch =
        TrackerFixture::new(PrintTracker::resume(Some(&stored_print(None)), stored_mark(&printing(A, 500, 50))));
    watch.receive_reading(&printing(A, 550, 55));
    assert_eq!(watch.take_facts(), [""; 0]);
    assert_eq!(watch.tracker.current().map(|print| print.id), Some(Uuid::from_u128(77)));
    watch.receive_until_accepted(&done(A, 90));
    assert_eq!(watch.take_facts(), ["done"]);
}

#[test]
fn a_pause_keeps_its_author_after_a_server_restart() {
    let by = PrintActor::command(command(4));
    let paused = reading(S::Paused, Some(A), Some(10.0), 500, 50);
    let mut watch = TrackerFixture::new(PrintTracker::resume(Some(&stored_print(Some(by))), stored_mark(&paused)));
    watch.receive_reading(&paused);
    assert_eq!(watch.take_facts(), [""; 0]);
    assert_eq!(watch.tracker.current().and_then(|print| print.paused_by), Some(by));
    let mut watch =
        TrackerFixture::new(PrintTracker::resume(Some(&stored_print(None)), stored_mark(&printing(A, 500, 50))));
    watch.receive_reading(&paused);
    assert_eq!(watch.take_facts(), ["paused by unknown"]);
    assert!(watch.tracker.credit_pause(command(4)).is_some());
    assert!(watch.tracker.credit_pause(command(4)).is_none(), "once");
}

#[test]
fn another_file_after_a_server_restart_is_another_print_even_without_a_mark() {
    let mut watch = TrackerFixture::new(PrintTracker::resume(Some(&stored_print(None)), None));
    watch.receive_reading(&printing(B, 100, 5));
    assert_eq!(watch.take_facts(), ["unknown: end not seen", "began b.gcode by unknown"]);
    let mut watch = TrackerFixture::new(PrintTracker::resume(Some(&stored_print(None)), None));
    watch.receive_reading(&printing(A, 100, 5));
    assert_eq!(watch.take_facts(), [""; 0]);
}

#[test]
fn the_first_reading_finds_an_active_print_and_invents_none() {
    let mut watch = TrackerFixture::new(PrintTracker::resume(None, None));
    watch.receive_reading(&done(A, 90));
    assert_eq!(watch.take_facts(), [""; 0], "it may be from before Printyard");
    let mut watch = TrackerFixture::new(PrintTracker::resume(None, None));
    watch.receive_reading(&reading(S::Paused, Some(A), Some(10.0), 500, 50));
    assert_eq!(watch.take_facts(), ["began a.gcode by unknown", "paused by unknown"]);
}

#[test]
fn facts_name_the_author_of_a_resume_and_of_an_end() {
    let ends = |cancelling: Option<Uuid>, starting: Option<Uuid>, result: fn(&mut TrackerFixture)| {
        let mut watch = TrackerFixture::after_reading(&idle(A));
        watch.receive_print_begin(A);
        (watch.cancelling, watch.starting) = (cancelling, starting);
        result(&mut watch);
        watch.receive_states(&[S::Operational]);
        match watch.facts.last() {
            Some(PrintFact::Ended { by, .. }) => *by,
            other => panic!("{other:?}"),
        }
    };
    let done = |watch: &mut TrackerFixture| watch.receive_event(print_done(A, 10));
    assert_eq!(ends(Some(command(1)), None, TrackerFixture::receive_print_cancelled), PrintActor::command(command(1)));
    assert_eq!(ends(None, None, TrackerFixture::receive_print_cancelled), PrintActor::printer());
    assert_eq!(ends(Some(command(1)), None, done), PrintActor::printer(), "it was done before the cancel came");
    let mut watch = TrackerFixture::after_reading(&idle(A));
    watch.receive_print_begin(A);
    watch.receive_states(&[S::Pausing, S::Paused]);
    watch.resuming = Some(command(2));
    watch.receive_states(&[S::Resuming]);
    assert!(
        matches!(watch.facts.last(), Some(PrintFact::Resumed { by, .. }) if *by == PrintActor::command(command(2)))
    );
}
