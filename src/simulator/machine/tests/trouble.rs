//! Tests of failures and acts at the machine, and of how time is computed.

use super::*;

#[test]
fn a_firmware_error_closes_the_connection_and_lets_go_of_the_file() {
    let mut bench = Bench::in_state(State::Printing);
    bench.machine.gcode("!!DEBUG:trigger_fatal_error_marlin", bench.now);
    assert_eq!(bench.told(), ["PrintFailed", "ERROR", "Error", "Disconnected", "OFFLINE"]);
    assert_eq!(bench.machine.state(), State::OfflineAfterError);
    assert!(bench.machine.selected().is_none());
    assert!(bench.machine.trouble().error.starts_with("Thermal Runaway"));
}

#[test]
fn a_lost_connection_tells_of_the_failure_last() {
    let mut bench = Bench::in_state(State::Printing);
    bench.machine.gcode("M112", bench.now);
    assert_eq!(bench.told(), ["Disconnected", "OFFLINE", "PrintFailed"]);
    let mut bench = Bench::in_state(State::Printing);
    assert!(bench.machine.disconnect(bench.now));
    assert_eq!(bench.told(), ["Disconnecting", "Disconnected", "OFFLINE", "PrintFailed"]);
    assert_eq!(bench.machine.state(), State::Offline);
}

#[test]
fn a_filament_change_is_told_before_the_printer_stands() {
    let mut bench = Bench::in_state(State::Printing);
    bench.machine.act(&Act::M600, bench.now);
    assert_eq!(bench.told(), ["FilamentChange", "PAUSING", "PrintPaused"]);
    bench.wait(1_000);
    assert_eq!(bench.told(), ["PAUSED"]);
}

#[test]
fn a_line_of_the_file_can_pause_the_job_and_it_goes_on_behind_it() {
    let mut bench = Bench::with(Flavor::V1_11, Some("G4 P100\nM600\nG4 P100\n"));
    bench.send(START);
    bench.wait(1_000);
    assert_eq!(bench.machine.state(), State::Paused);
    bench.send(RESUME);
    bench.wait(1_000);
    assert_eq!(bench.machine.state(), State::Operational);
    assert!(bench.machine.take_ended().iter().all(|ended| ended.success));
}

#[test]
fn a_reset_cancels_the_job() {
    let mut bench = Bench::in_state(State::Printing);
    bench.machine.act(&Act::Reset, bench.now);
    bench.wait(20);
    let told = ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrinterReset", "PrintFailed", "OPERATIONAL"];
    assert_eq!(bench.told(), told);
}

#[test]
fn a_hung_firmware_stays_printing_with_a_frozen_position() {
    let mut bench = Bench::in_state(State::Printing);
    bench.machine.act(&Act::GoAwol, bench.now);
    let before = bench.machine.progress(bench.now, None).map(|it| it.filepos);
    bench.wait(100_000);
    assert_eq!(bench.machine.state(), State::Printing);
    assert_eq!(bench.machine.progress(bench.now, None).map(|it| it.filepos), before);
    assert_eq!(bench.machine.next_due(), None);
}

#[test]
fn connecting_passes_through_its_states_in_50_ms() {
    let mut bench = Bench::in_state(State::Offline);
    assert!(bench.machine.connect(bench.now));
    assert_eq!(bench.machine.state(), State::Opening);
    bench.wait(60);
    assert_eq!(bench.machine.state(), State::Operational);
    assert!(!bench.machine.connect(bench.now));
}

#[test]
fn completion_goes_by_bytes_and_pauses_do_not_count_as_print_time() {
    let mut bench = Bench::in_state(State::Paused);
    bench.wait(60_000);
    let progress = bench.machine.progress(bench.now, None);
    assert_eq!(progress.map(|it| it.completion), Some(15.0));
    assert_eq!(progress.map(|it| it.print_time.round()), Some(2.0));
}

#[test]
fn how_late_it_is_asked_makes_no_difference() {
    let mut often = Bench::in_state(State::Printing);
    let mut once = Bench::in_state(State::Printing);
    for _ in 0..2_000 {
        often.wait(1);
    }
    once.wait(2_000);
    let filepos = |bench: &Bench| bench.machine.progress(bench.now, None).map(|it| it.filepos);
    assert_eq!(filepos(&often), filepos(&once));
}

#[test]
fn no_gcode_overflows_the_clock() {
    let gcode = "G4 S1e19\nG1 X1e308 F1e-300\nG91\nG1 X1e308\nM109 S1e300\nG4 P-1\nG4 Pnan\n";
    let mut bench = Bench::with(Flavor::V1_11, Some(gcode));
    bench.machine.set_script("beforePrintStarted", gcode);
    bench.send(START);
    for _ in 0..20 {
        bench.wait(400 * 24 * 3_600 * 1_000);
    }
    assert_eq!(bench.machine.state(), State::Operational);
}
