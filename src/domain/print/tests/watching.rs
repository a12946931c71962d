//! Tests of the print tracker without events: by polling, over gaps, and after a restart of the server.

use super::*;

#[test]
fn by_polling_a_print_that_is_done_is_told_from_one_that_was_cancelled() {
    let mut watch = Watch::polled(&idle(A));
    for (end, result) in [(done(A, 20), "done"), (idle(A), "cancelled")] {
        watch.read(&printing(A, 100, 5));
        watch.read(&printing(A, 200, 10));
        watch.read(&end);
        assert_eq!(watch.told(), ["began a.gcode by printer", result]);
    }
    watch.read(&printing(A, 100, 5));
    let error = Some("Thermal Runaway".to_owned());
    watch.read(&JobReading { error, ..reading(S::Error, None, None, 0, 0) });
    assert_eq!(watch.told()[1..], ["failed: Thermal Runaway"]);
}

#[test]
fn by_polling_a_pause_has_its_author() {
    let mut watch = Watch::polled(&idle(A));
    watch.read(&printing(A, 100, 5));
    watch.read(&reading(S::Paused, Some(A), Some(10.0), 100, 5));
    watch.read(&printing(A, 110, 6));
    watch.pausing = Some(command(1));
    watch.read(&reading(S::Paused, Some(A), Some(10.0), 110, 6));
    assert_eq!(watch.told()[1..], ["paused by printer", "resumed", "paused by command 1"]);
}

#[test]
fn by_polling_a_file_that_begins_anew_is_another_print() {
    let mut watch = Watch::polled(&idle(A));
    watch.read(&printing(A, 500, 50));
    watch.read(&printing(A, 20, 1));
    assert_eq!(watch.told(), ["began a.gcode by printer", "unknown", "began a.gcode by printer"]);
}

#[test]
fn by_polling_a_print_that_ran_between_two_looks_is_found_all_the_same() {
    let mut watch = Watch::polled(&idle(A));
    watch.starting = Some(command(5));
    watch.read(&done(A, 1));
    assert_eq!(watch.told(), ["began a.gcode by command 5", "done"]);
    watch.starting = None;
    watch.read(&done(A, 1));
    assert_eq!(watch.told(), [""; 0], "the same look again is no print");
    watch.read(&done(A, 2));
    assert_eq!(watch.told(), ["began a.gcode by printer", "done"], "another time is another print");
    watch.read(&idle(B));
    assert_eq!(watch.told(), [""; 0], "a selection is no print");
    watch.read(&done(B, 1));
    assert_eq!(watch.told(), ["began b.gcode by printer", "done"]);
}

#[test]
fn by_polling_a_print_that_is_seen_at_its_end_only_is_a_print() {
    let mut watch = Watch::polled(&idle(A));
    watch.read(&reading(S::Finishing, Some(A), Some(100.0), 1_000, 1));
    watch.read(&done(A, 1));
    watch.read(&reading(S::Cancelling, Some(A), None, 0, 0));
    watch.read(&idle(A));
    assert_eq!(watch.told(), ["began a.gcode by printer", "done", "began a.gcode by printer", "cancelled"]);
}

#[test]
fn a_print_that_events_told_of_is_not_found_again_by_the_next_look() {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Finishing]);
    watch.hear(print_done(A, 10));
    watch.states(&[S::Operational]);
    watch.read(&done(A, 1));
    watch.read(&done(A, 1));
    assert_eq!(watch.told(), ["began a.gcode by printer", "done"]);
}

/// Returns a watch of a print that was at position 500 after 50 s, and was then not observed for `gap_s` seconds.
fn away(gap_s: i64) -> Watch {
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.read(&printing(A, 500, 50));
    watch.facts.clear();
    watch.tracker.lose_sight();
    watch.second += gap_s;
    watch
}

#[test]
fn over_a_gap_the_same_print_goes_on() {
    let mut watch = away(30);
    let id = watch.tracker.current().map(|print| print.id);
    watch.read(&printing(A, 700, 80));
    assert_eq!(watch.told(), [""; 0]);
    assert_eq!(watch.tracker.current().map(|print| print.id), id);
    let mut watch = away(3_600);
    watch.read(&reading(S::Paused, Some(A), Some(10.0), 500, 50));
    assert_eq!(watch.told(), ["paused by unknown"], "it stood all the time");
    let mut watch = away(40);
    watch.read(&reading(S::Paused, Some(A), Some(10.0), 600, 60));
    assert_eq!(watch.told(), ["paused by unknown"], "no other copy could be 60 s old");
}

#[test]
fn over_a_gap_a_new_copy_is_another_print() {
    // It went backwards; it is younger than the gap; it has another file.
    for now in [printing(A, 100, 10), printing(A, 900, 200), printing(B, 700, 80)] {
        let mut watch = away(600);
        watch.read(&now);
        let path = now.file.map(|file| file.path).unwrap_or_default();
        assert_eq!(watch.told(), ["unknown: not watched".to_owned(), format!("began {path} by unknown")]);
    }
}

#[test]
fn over_a_gap_a_print_ends_as_what_it_left_behind() {
    let mut watch = away(60);
    watch.read(&done(A, 90));
    assert_eq!(watch.told(), ["done"]);
    let mut watch = away(60);
    watch.read(&idle(A));
    assert_eq!(watch.told(), ["cancelled"]);
}

#[test]
fn over_a_gap_another_file_that_is_done_does_not_make_this_one_done() {
    let mut watch = away(600);
    watch.read(&done(B, 90));
    assert_eq!(watch.told(), ["unknown: not watched", "began b.gcode by unknown", "done: not watched"]);
    let mut watch = away(600);
    watch.read(&done(A, 20));
    assert_eq!(watch.told(), ["unknown: not watched", "began a.gcode by unknown", "done: not watched"], "too quick");
    let mut watch = away(600);
    watch.read(&idle(B));
    assert_eq!(watch.told()[0], "unknown: not watched");
}

#[test]
fn over_a_gap_an_octoprint_that_restarted_has_lost_its_print() {
    let mut watch = away(60);
    watch.read(&reading(S::Operational, None, None, 0, 0));
    assert_eq!(watch.told(), ["unknown"]);
    assert!(watch.tracker.current().is_none());
}

#[test]
fn over_a_gap_nobody_knows_how_a_print_ended_whose_printer_is_off() {
    for state in [S::Offline, S::Error] {
        let mut watch = away(3_600);
        watch.read(&reading(state, None, None, 0, 0));
        assert_eq!(watch.told(), ["unknown: not watched"], "{state:?}");
    }
}

#[test]
fn over_a_gap_a_print_that_came_and_went_is_found() {
    let mut watch = Watch::over(&idle(A));
    watch.tracker.lose_sight();
    watch.second += 600;
    watch.read(&done(A, 300));
    assert_eq!(watch.told(), ["began a.gcode by unknown", "done: not watched"]);
    watch.tracker.lose_sight();
    watch.read(&done(A, 300));
    assert_eq!(watch.told(), [""; 0], "nothing has changed");
}

#[test]
fn over_a_gap_a_print_that_began_is_nobodys_that_is_known() {
    let mut watch = Watch::over(&idle(A));
    watch.tracker.lose_sight();
    watch.read(&printing(A, 100, 5));
    assert_eq!(watch.told(), ["began a.gcode by unknown"]);
    let mut watch = Watch::over(&idle(A));
    watch.starting = Some(command(2));
    watch.tracker.lose_sight();
    watch.read(&printing(A, 100, 5));
    assert_eq!(watch.told(), ["began a.gcode by command 2"], "its own start was on the wire");
}

fn kept(paused_by: Option<By>) -> Print {
    Print {
        id: Uuid::from_u128(77),
        printer_id: Uuid::nil(),
        file: Some(file(A)),
        started_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(97),
        ended_at: None,
        result: None,
        reason: None,
        started_by: By::printer(),
        paused_by,
        batch_id: None,
        external_ref: None,
    }
}

fn marked(reading: &JobReading) -> Option<(Mark, DateTime<Utc>)> {
    let of = if reading.state.is_active() { MarkOf::Print(Uuid::from_u128(77)) } else { MarkOf::Idle };
    Some((Mark { of, ..Mark::of_reading(reading) }, DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(100)))
}

#[test]
fn after_a_restart_of_the_server_the_print_goes_on() {
    let mut watch = Watch::of(Tracker::resume(Some(&kept(None)), marked(&printing(A, 500, 50))));
    watch.read(&printing(A, 550, 55));
    assert_eq!(watch.told(), [""; 0]);
    assert_eq!(watch.tracker.current().map(|print| print.id), Some(Uuid::from_u128(77)));
    watch.read_on(&done(A, 90));
    assert_eq!(watch.told(), ["done"]);
}

#[test]
fn after_a_restart_of_the_server_a_pause_keeps_its_author() {
    let by = By::command(command(4));
    let paused = reading(S::Paused, Some(A), Some(10.0), 500, 50);
    let mut watch = Watch::of(Tracker::resume(Some(&kept(Some(by))), marked(&paused)));
    watch.read(&paused);
    assert_eq!(watch.told(), [""; 0]);
    assert_eq!(watch.tracker.current().and_then(|print| print.paused_by), Some(by));
    let mut watch = Watch::of(Tracker::resume(Some(&kept(None)), marked(&printing(A, 500, 50))));
    watch.read(&paused);
    assert_eq!(watch.told(), ["paused by unknown"]);
    assert!(watch.tracker.credit_pause(command(4)).is_some());
    assert!(watch.tracker.credit_pause(command(4)).is_none(), "once");
}

#[test]
fn after_a_restart_of_the_server_another_file_is_another_print_even_without_a_mark() {
    let mut watch = Watch::of(Tracker::resume(Some(&kept(None)), None));
    watch.read(&printing(B, 100, 5));
    assert_eq!(watch.told(), ["unknown: not watched", "began b.gcode by unknown"]);
    let mut watch = Watch::of(Tracker::resume(Some(&kept(None)), None));
    watch.read(&printing(A, 100, 5));
    assert_eq!(watch.told(), [""; 0]);
}

#[test]
fn the_first_look_of_all_finds_a_print_and_makes_up_none() {
    let mut watch = Watch::of(Tracker::resume(None, None));
    watch.read(&done(A, 90));
    assert_eq!(watch.told(), [""; 0], "it may be from before Printyard");
    let mut watch = Watch::of(Tracker::resume(None, None));
    watch.read(&reading(S::Paused, Some(A), Some(10.0), 500, 50));
    assert_eq!(watch.told(), ["began a.gcode by unknown", "paused by unknown"]);
}

#[test]
fn who_resumed_and_who_ended_a_print_is_told() {
    let ends = |cancelling: Option<Uuid>, starting: Option<Uuid>, result: fn(&mut Watch)| {
        let mut watch = Watch::over(&idle(A));
        watch.begins(A);
        (watch.cancelling, watch.starting) = (cancelling, starting);
        result(&mut watch);
        watch.states(&[S::Operational]);
        match watch.facts.last() {
            Some(PrintFact::Ended { by, .. }) => *by,
            other => panic!("{other:?}"),
        }
    };
    let done = |watch: &mut Watch| watch.hear(print_done(A, 10));
    assert_eq!(ends(Some(command(1)), None, Watch::cancelled), By::command(command(1)));
    assert_eq!(ends(None, None, Watch::cancelled), By::printer());
    assert_eq!(ends(Some(command(1)), None, done), By::printer(), "it was done before the cancel came");
    let mut watch = Watch::over(&idle(A));
    watch.begins(A);
    watch.states(&[S::Pausing, S::Paused]);
    watch.resuming = Some(command(2));
    watch.states(&[S::Resuming]);
    assert!(matches!(watch.facts.last(), Some(PrintFact::Resumed { by, .. }) if *by == By::command(command(2))));
}
