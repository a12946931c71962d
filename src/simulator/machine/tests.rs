//! Tests of the measured table of `POST /api/job`, row by row, with the time as a value.

mod failures;
mod initial_print;

use std::time::{Duration, Instant};

use super::{JobCommand, Machine, MachineState, PauseAction, Refusal, SelectedFile};
use crate::simulator::{
    config::{Flavor, MachineAction},
    files::BlobStore,
};

const PAUSE: JobCommand = JobCommand::Pause(PauseAction::Pause);
const RESUME: JobCommand = JobCommand::Pause(PauseAction::Resume);
const TOGGLE: JobCommand = JobCommand::Pause(PauseAction::Toggle);
const NONSENSE: JobCommand = JobCommand::Pause(PauseAction::Unknown);
const START: JobCommand = JobCommand::Start;
const CANCEL: JobCommand = JobCommand::Cancel;
const RESTART: JobCommand = JobCommand::Restart;

/// A machine and its current time.
struct TestBench {
    machine: Machine,
    now: Instant,
}

impl TestBench {
    fn with_gcode(flavor: Flavor, gcode: Option<&str>) -> Self {
        let now = Instant::now();
        let mut machine = Machine::new(now, flavor, 1.0, Duration::from_millis(40));
        if let Some(gcode) = gcode {
            let blob = BlobStore::default().intern(gcode.into());
            machine.select(SelectedFile { name: "a.gcode".into(), path: "a.gcode".into(), date: 0, blob });
        }
        Self { machine, now }
    }

    fn idle() -> Self {
        Self::with_gcode(Flavor::V1_11, Some(&"G4 P489\n".repeat(20)))
    }

    /// Creates a machine in this state. Scripts make a transient state last two seconds.
    fn in_state(state: MachineState) -> Self {
        let mut bench = Self::idle();
        let script = |bench: &mut Self, name| bench.machine.set_script(name, "G4 S2");
        match state {
            MachineState::Offline => {
                bench.machine.disconnect(bench.now);
            }
            MachineState::OfflineAfterError => bench.machine.halt_firmware("Thermal Runaway", bench.now),
            MachineState::Starting => {
                script(&mut bench, "beforePrintStarted");
                bench.send(START);
            }
            MachineState::Printing => {
                bench.send(START);
                bench.wait(1_200);
            }
            MachineState::Pausing => {
                bench = Self::in_state(MachineState::Printing);
                bench.send(PAUSE);
            }
            MachineState::Paused => {
                bench = Self::in_state(MachineState::Pausing);
                bench.wait(1_000);
            }
            MachineState::Resuming => {
                bench = Self::in_state(MachineState::Paused);
                script(&mut bench, "beforePrintResumed");
                bench.send(RESUME);
            }
            MachineState::Cancelling => {
                bench = Self::in_state(MachineState::Printing);
                bench.send(CANCEL);
            }
            MachineState::Finishing => {
                script(&mut bench, "afterPrintDone");
                bench.send(START);
                bench.wait(10_500);
            }
            _ => {}
        }
        assert_eq!(bench.machine.state(), state);
        bench.machine.take_events();
        bench
    }

    fn send(&mut self, command: JobCommand) {
        assert!(self.machine.run_command(command, self.now).is_ok(), "{command:?}");
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.machine.advance(self.now);
    }

    /// Returns the reply, the state right after the command, and the state a long time after it.
    fn states_after(mut self, command: JobCommand) -> (Result<bool, Refusal>, MachineState, MachineState) {
        let reply = self.machine.run_command(command, self.now);
        let at_once = self.machine.state();
        self.wait(3_000);
        (reply, at_once, self.machine.state())
    }

    fn event_kinds(&mut self) -> Vec<String> {
        let events = self.machine.take_events().into_iter();
        events
            .map(|event| match event.payload.get("state_id").and_then(|id| id.as_str()) {
                Some(id) => id.to_owned(),
                None => event.kind.to_owned(),
            })
            .filter(|kind| kind != "Dwelling")
            .collect()
    }
}

#[test]
fn offline_refuses_every_command() {
    for state in [MachineState::Offline, MachineState::OfflineAfterError] {
        for command in [START, RESTART, CANCEL, TOGGLE, PAUSE, RESUME, NONSENSE] {
            assert_eq!(TestBench::in_state(state).states_after(command).0, Err(Refusal::NotOperational));
        }
    }
}

#[test]
fn start_without_a_file_is_accepted_and_nothing_happens() {
    let bench = TestBench::with_gcode(Flavor::V1_11, None);
    assert_eq!(bench.states_after(START), (Ok(false), MachineState::Operational, MachineState::Operational));
}

#[test]
fn an_empty_file_is_printed_at_once_and_ends_at_minus_a_hundred_percent() {
    let mut bench = TestBench::with_gcode(Flavor::V1_11, Some(""));
    bench.machine.take_events();
    bench.send(START);
    bench.wait(20);
    let expected = ["STARTING", "PrintStarted", "PRINTING", "FINISHING", "PrintDone", "MetadataStatisticsUpdated"];
    assert_eq!(bench.event_kinds(), [expected.as_slice(), &["OPERATIONAL"]].concat());
    assert_eq!(bench.machine.progress(bench.now, None).map(|it| it.completion), Some(-100.0));
}

#[test]
fn a_cancel_in_starting_shows_printing_for_a_moment() {
    let mut bench = TestBench::in_state(MachineState::Starting);
    bench.send(CANCEL);
    bench.wait(3_000);
    let expected = ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed", "PRINTING", "OPERATIONAL"];
    assert_eq!(bench.event_kinds(), expected);
}

#[test]
fn a_toggle_of_a_paused_print_does_nothing_on_2_0() {
    let mut bench = TestBench::in_state(MachineState::Paused);
    bench.machine.flavor = Flavor::V2_0;
    assert_eq!(bench.states_after(TOGGLE), (Ok(false), MachineState::Paused, MachineState::Paused));
}

#[test]
fn operational_starts_within_20_ms_and_refuses_the_rest() {
    let mut bench = TestBench::idle();
    bench.send(START);
    assert_eq!(bench.machine.state(), MachineState::Starting);
    bench.wait(20);
    assert_eq!(bench.machine.state(), MachineState::Printing);
    assert_eq!(TestBench::idle().states_after(RESTART).0, Err(Refusal::NotPaused));
    assert_eq!(TestBench::idle().states_after(CANCEL).0, Err(Refusal::NotActive("cancel")));
    for pause in [TOGGLE, PAUSE, RESUME, NONSENSE] {
        assert_eq!(TestBench::idle().states_after(pause).0, Err(Refusal::NotActive("pause")));
    }
}

#[test]
fn every_active_state_refuses_start_restart_and_unknown_actions() {
    let active = [
        MachineState::Starting,
        MachineState::Printing,
        MachineState::Pausing,
        MachineState::Paused,
        MachineState::Resuming,
        MachineState::Cancelling,
        MachineState::Finishing,
    ];
    for state in active {
        assert_eq!(TestBench::in_state(state).states_after(START).0, Err(Refusal::AlreadyActive), "{state:?}");
        assert_eq!(TestBench::in_state(state).states_after(NONSENSE).0, Err(Refusal::UnknownAction), "{state:?}");
        if state != MachineState::Paused {
            assert_eq!(TestBench::in_state(state).states_after(RESTART).0, Err(Refusal::NotPaused), "{state:?}");
        }
    }
}

#[test]
fn a_pause_in_starting_is_lost() {
    for pause in [PAUSE, TOGGLE] {
        let mut bench = TestBench::in_state(MachineState::Starting);
        bench.send(pause);
        assert_eq!(bench.machine.state(), MachineState::Pausing);
        bench.wait(2_050);
        assert_eq!(bench.machine.state(), MachineState::Printing);
        assert_eq!(bench.event_kinds(), ["PAUSING", "PRINTING"]);
        bench.wait(150);
        assert_eq!(bench.event_kinds(), ["PrintPaused"]);
        assert_eq!(bench.machine.state(), MachineState::Printing);
    }
}

#[test]
fn starting_cancels_and_ignores_resume() {
    assert_eq!(
        TestBench::in_state(MachineState::Starting).states_after(CANCEL),
        (Ok(true), MachineState::Cancelling, MachineState::Operational)
    );
    assert_eq!(
        TestBench::in_state(MachineState::Starting).states_after(RESUME),
        (Ok(false), MachineState::Starting, MachineState::Printing)
    );
}

#[test]
fn printing_pauses_after_the_line_in_flight_and_the_reply_delay() {
    for pause in [PAUSE, TOGGLE] {
        assert_eq!(
            TestBench::in_state(MachineState::Printing).states_after(pause),
            (Ok(true), MachineState::Pausing, MachineState::Paused)
        );
    }
    let mut bench = TestBench::in_state(MachineState::Pausing);
    // At 1,200 ms the third line of half a second is in flight: paused at 5 + 3 * 500 + 40 ms.
    bench.wait(344);
    assert_eq!(bench.machine.state(), MachineState::Pausing);
    bench.wait(1);
    assert_eq!(bench.machine.state(), MachineState::Paused);
    assert_eq!(bench.event_kinds(), ["PrintPaused", "PAUSED"]);
}

#[test]
fn printing_ignores_resume_and_cancels() {
    assert_eq!(
        TestBench::in_state(MachineState::Printing).states_after(RESUME),
        (Ok(false), MachineState::Printing, MachineState::Printing)
    );
    assert_eq!(
        TestBench::in_state(MachineState::Printing).states_after(CANCEL),
        (Ok(true), MachineState::Cancelling, MachineState::Operational)
    );
}

#[test]
fn pausing_loses_a_resume_and_ends_paused() {
    for command in [RESUME, PAUSE, TOGGLE] {
        assert_eq!(
            TestBench::in_state(MachineState::Pausing).states_after(command),
            (Ok(false), MachineState::Pausing, MachineState::Paused)
        );
    }
    assert_eq!(
        TestBench::in_state(MachineState::Pausing).states_after(CANCEL),
        (Ok(true), MachineState::Cancelling, MachineState::Operational)
    );
}

#[test]
fn paused_resumes_cancels_at_once_and_ignores_pause() {
    for command in [RESUME, TOGGLE] {
        assert_eq!(
            TestBench::in_state(MachineState::Paused).states_after(command),
            (Ok(true), MachineState::Resuming, MachineState::Printing)
        );
    }
    assert_eq!(
        TestBench::in_state(MachineState::Paused).states_after(PAUSE),
        (Ok(false), MachineState::Paused, MachineState::Paused)
    );
    let mut bench = TestBench::in_state(MachineState::Paused);
    bench.send(CANCEL);
    bench.wait(20);
    assert_eq!(bench.machine.state(), MachineState::Operational);
}

#[test]
fn restart_from_paused_prints_from_zero_on_1_11_and_does_nothing_on_2_0() {
    let mut bench = TestBench::in_state(MachineState::Paused);
    let before = bench.machine.progress(bench.now, None).map(|it| it.filepos);
    bench.send(RESTART);
    bench.wait(20);
    assert_eq!(bench.machine.state(), MachineState::Printing);
    assert!(bench.machine.progress(bench.now, None).map(|it| it.filepos) < before);
    let mut bench = TestBench::in_state(MachineState::Paused);
    bench.machine.flavor = Flavor::V2_0;
    assert_eq!(bench.states_after(RESTART), (Ok(false), MachineState::Paused, MachineState::Paused));
}

#[test]
fn resuming_pauses_again_cancels_and_ignores_resume() {
    for pause in [PAUSE, TOGGLE] {
        assert_eq!(
            TestBench::in_state(MachineState::Resuming).states_after(pause),
            (Ok(true), MachineState::Pausing, MachineState::Paused)
        );
    }
    assert_eq!(
        TestBench::in_state(MachineState::Resuming).states_after(RESUME),
        (Ok(false), MachineState::Resuming, MachineState::Printing)
    );
    assert_eq!(
        TestBench::in_state(MachineState::Resuming).states_after(CANCEL),
        (Ok(true), MachineState::Cancelling, MachineState::Operational)
    );
}

#[test]
fn cancelling_ignores_cancel_pause_and_resume() {
    for command in [CANCEL, TOGGLE, PAUSE, RESUME] {
        let expected = (Ok(false), MachineState::Cancelling, MachineState::Operational);
        assert_eq!(TestBench::in_state(MachineState::Cancelling).states_after(command), expected);
    }
}

#[test]
fn a_cancel_in_finishing_comes_after_print_done_and_cancels_it_too() {
    for command in [TOGGLE, PAUSE, RESUME] {
        let expected = (Ok(false), MachineState::Finishing, MachineState::Operational);
        assert_eq!(TestBench::in_state(MachineState::Finishing).states_after(command), expected);
    }
    let mut bench = TestBench::in_state(MachineState::Finishing);
    bench.send(CANCEL);
    bench.wait(3_000);
    assert_eq!(bench.event_kinds(), ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed", "OPERATIONAL"]);
    let ended = bench.machine.take_ended_prints();
    assert_eq!(ended.iter().map(|it| it.success).collect::<Vec<_>>(), [true, false]);
    assert_eq!(bench.machine.progress(bench.now, None), None);
}

#[test]
fn a_print_sends_its_events_in_the_measured_order() {
    let mut bench = TestBench::idle();
    bench.send(START);
    bench.wait(60_000);
    let expected = [
        "FileSelected",
        "STARTING",
        "PrintStarted",
        "PRINTING",
        "FINISHING",
        "PrintDone",
        "MetadataStatisticsUpdated",
        "OPERATIONAL",
    ];
    assert_eq!(bench.event_kinds(), expected);
    assert_eq!(bench.machine.progress(bench.now, None).map(|it| it.completion), Some(100.0));
}

#[test]
fn octoprint_2_sends_a_selection_twice() {
    let mut bench = TestBench::with_gcode(Flavor::V2_0, Some("G4 P100"));
    assert_eq!(bench.event_kinds(), ["FileSelected", "FileSelected"]);
}

#[test]
fn a_cancel_sends_both_cancelled_and_failed() {
    let mut bench = TestBench::in_state(MachineState::Printing);
    bench.send(CANCEL);
    bench.wait(1_000);
    assert_eq!(bench.event_kinds(), ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed", "OPERATIONAL"]);
    assert!(bench.machine.selected().is_some());
}

#[test]
fn a_cancel_in_pausing_still_sends_print_paused_later() {
    let mut bench = TestBench::in_state(MachineState::Pausing);
    bench.send(CANCEL);
    bench.wait(1_000);
    let expected = ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed", "OPERATIONAL", "PrintPaused"];
    assert_eq!(bench.event_kinds(), expected);
}
