//! Tests of failures and actions at the machine, and of how time is computed.

use crate::simulator::machine::tests::*;

#[test]
fn a_firmware_error_closes_the_connection_and_unselects_the_file() {
    let mut bench = TestBench::in_state(MachineState::Printing);
    bench.machine.run_gcode("!!DEBUG:trigger_fatal_error_marlin", bench.now);
    assert_eq!(bench.event_kinds(), ["PrintFailed", "ERROR", "Error", "Disconnected", "OFFLINE"]);
    assert_eq!(bench.machine.state(), MachineState::OfflineAfterError);
    assert!(bench.machine.selected().is_none());
    assert!(bench.machine.connection_error().error.starts_with("Thermal Runaway"));
}

#[test]
fn a_lost_connection_sends_print_failed_last() {
    let mut bench = TestBench::in_state(MachineState::Printing);
    assert!(bench.machine.disconnect(bench.now));
    assert_eq!(bench.event_kinds(), ["Disconnecting", "Disconnected", "OFFLINE", "PrintFailed"]);
    assert_eq!(bench.machine.state(), MachineState::Offline);
}

#[test]
fn an_emergency_stop_closes_the_connection_in_every_connected_state() {
    for state in [MachineState::Operational, MachineState::Printing, MachineState::Paused] {
        let mut bench = TestBench::in_state(state);
        assert!(bench.machine.run_gcode("M112", bench.now));
        let failed = if state == MachineState::Printing { vec!["PrintFailed"] } else { Vec::new() };
        assert_eq!(
            bench.event_kinds(),
            [vec!["FileDeselected", "Disconnected", "OFFLINE", "EStop"], failed].concat(),
            "{state:?}"
        );
        assert_eq!(bench.machine.state(), MachineState::OfflineAfterError, "{state:?}");
        assert!(!bench.machine.run_gcode("M112", bench.now), "OctoPrint refuses a second one");
    }
}

#[test]
fn a_filament_change_is_reported_before_the_printer_is_paused() {
    let mut bench = TestBench::in_state(MachineState::Printing);
    bench.machine.perform(&MachineAction::M600, bench.now);
    assert_eq!(bench.event_kinds(), ["FilamentChange", "PAUSING", "PrintPaused"]);
    bench.wait(1_000);
    assert_eq!(bench.event_kinds(), ["PAUSED"]);
}

#[test]
fn a_resume_continues_after_the_line_that_paused_the_job() {
    let mut bench = TestBench::with_gcode(Flavor::V1_11, Some("G4 P100\nM600\nG4 P100\n"));
    bench.send(START);
    bench.wait(1_000);
    assert_eq!(bench.machine.state(), MachineState::Paused);
    bench.send(RESUME);
    bench.wait(1_000);
    assert_eq!(bench.machine.state(), MachineState::Operational);
    assert!(bench.machine.take_ended_prints().iter().all(|ended| ended.success));
}

#[test]
fn a_reset_cancels_the_job() {
    let mut bench = TestBench::in_state(MachineState::Printing);
    bench.machine.perform(&MachineAction::Reset, bench.now);
    bench.wait(20);
    let expected = ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrinterReset", "PrintFailed", "OPERATIONAL"];
    assert_eq!(bench.event_kinds(), expected);
}

#[test]
fn a_hung_firmware_stays_printing_with_a_frozen_position() {
    let mut bench = TestBench::in_state(MachineState::Printing);
    bench.machine.perform(&MachineAction::GoAwol, bench.now);
    let before = bench.machine.progress(bench.now, None).map(|it| it.filepos);
    bench.wait(100_000);
    assert_eq!(bench.machine.state(), MachineState::Printing);
    assert_eq!(bench.machine.progress(bench.now, None).map(|it| it.filepos), before);
    assert_eq!(bench.machine.next_due(), None);
}

#[test]
fn connecting_passes_through_its_states_in_50_ms() {
    let mut bench = TestBench::in_state(MachineState::Offline);
    assert!(bench.machine.connect(bench.now));
    assert_eq!(bench.machine.state(), MachineState::Opening);
    bench.wait(60);
    assert_eq!(bench.machine.state(), MachineState::Operational);
    assert!(!bench.machine.connect(bench.now));
}

#[test]
fn completion_counts_bytes_and_print_time_excludes_pauses() {
    let mut bench = TestBench::in_state(MachineState::Paused);
    bench.wait(60_000);
    let progress = bench.machine.progress(bench.now, None);
    assert_eq!(progress.map(|it| it.completion), Some(15.0));
    assert_eq!(progress.map(|it| it.print_time.round()), Some(2.0));
}

#[test]
fn the_result_does_not_depend_on_how_often_time_advances() {
    let mut often = TestBench::in_state(MachineState::Printing);
    let mut once = TestBench::in_state(MachineState::Printing);
    for _ in 0..2_000 {
        often.wait(1);
    }
    once.wait(2_000);
    let filepos = |bench: &TestBench| bench.machine.progress(bench.now, None).map(|it| it.filepos);
    assert_eq!(filepos(&often), filepos(&once));
}

#[test]
fn no_gcode_overflows_the_clock() {
    let gcode = "G4 S1e19\nG1 X1e308 F1e-300\nG91\nG1 X1e308\nM109 S1e300\nG4 P-1\nG4 Pnan\n";
    let mut bench = TestBench::with_gcode(Flavor::V1_11, Some(gcode));
    bench.machine.set_script("beforePrintStarted", gcode);
    bench.send(START);
    for _ in 0..20 {
        bench.wait(400 * 24 * 3_600 * 1_000);
    }
    assert_eq!(bench.machine.state(), MachineState::Operational);
}
