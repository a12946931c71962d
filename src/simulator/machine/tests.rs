//! Tests of the measured table of `POST /api/job`, row by row, with the time as a value.

use std::time::{Duration, Instant};

use super::{JobCommand, Machine, PauseAction, Refusal, Selected, State};
use crate::simulator::{
    config::{Act, Flavor},
    files::Blobs,
};

mod trouble;

const PAUSE: JobCommand = JobCommand::Pause(PauseAction::Pause);
const RESUME: JobCommand = JobCommand::Pause(PauseAction::Resume);
const TOGGLE: JobCommand = JobCommand::Pause(PauseAction::Toggle);
const NONSENSE: JobCommand = JobCommand::Pause(PauseAction::Unknown);
const START: JobCommand = JobCommand::Start;
const CANCEL: JobCommand = JobCommand::Cancel;
const RESTART: JobCommand = JobCommand::Restart;

/// A machine and its current time.
struct Bench {
    machine: Machine,
    now: Instant,
}

impl Bench {
    fn with(flavor: Flavor, gcode: Option<&str>) -> Self {
        let now = Instant::now();
        let mut machine = Machine::new(now, flavor, 1.0, Duration::from_millis(40));
        if let Some(gcode) = gcode {
            let blob = Blobs::default().intern(gcode.into());
            machine.select(Selected { name: "a.gcode".into(), path: "a.gcode".into(), date: 0, blob });
        }
        Self { machine, now }
    }

    fn idle() -> Self {
        Self::with(Flavor::V1_11, Some(&"G4 P489\n".repeat(20)))
    }

    /// Creates a machine in this state. Scripts make a transient state last two seconds.
    fn in_state(state: State) -> Self {
        let mut bench = Self::idle();
        let script = |bench: &mut Self, name| bench.machine.set_script(name, "G4 S2");
        match state {
            State::Offline => {
                bench.machine.disconnect(bench.now);
            }
            State::OfflineAfterError => bench.machine.fail("Thermal Runaway", bench.now),
            State::Starting => {
                script(&mut bench, "beforePrintStarted");
                bench.send(START);
            }
            State::Printing => {
                bench.send(START);
                bench.wait(1_200);
            }
            State::Pausing => {
                bench = Self::in_state(State::Printing);
                bench.send(PAUSE);
            }
            State::Paused => {
                bench = Self::in_state(State::Pausing);
                bench.wait(1_000);
            }
            State::Resuming => {
                bench = Self::in_state(State::Paused);
                script(&mut bench, "beforePrintResumed");
                bench.send(RESUME);
            }
            State::Cancelling => {
                bench = Self::in_state(State::Printing);
                bench.send(CANCEL);
            }
            State::Finishing => {
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
        assert!(self.machine.command(command, self.now).is_ok(), "{command:?}");
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.machine.advance(self.now);
    }

    /// Returns the reply, the state right after the command, and the state a long time after it.
    fn after(mut self, command: JobCommand) -> (Result<bool, Refusal>, State, State) {
        let answer = self.machine.command(command, self.now);
        let at_once = self.machine.state();
        self.wait(3_000);
        (answer, at_once, self.machine.state())
    }

    fn told(&mut self) -> Vec<String> {
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
fn offline_refuses_everything_with_a() {
    for state in [State::Offline, State::OfflineAfterError] {
        for command in [START, RESTART, CANCEL, TOGGLE, PAUSE, RESUME, NONSENSE] {
            assert_eq!(Bench::in_state(state).after(command).0, Err(Refusal::NotOperational));
        }
    }
}

#[test]
fn start_without_a_file_is_accepted_and_nothing_happens() {
    let bench = Bench::with(Flavor::V1_11, None);
    assert_eq!(bench.after(START), (Ok(false), State::Operational, State::Operational));
}

#[test]
fn an_empty_file_is_printed_at_once_and_ends_at_minus_a_hundred_percent() {
    let mut bench = Bench::with(Flavor::V1_11, Some(""));
    bench.machine.take_events();
    bench.send(START);
    bench.wait(20);
    let told = ["STARTING", "PrintStarted", "PRINTING", "FINISHING", "PrintDone", "MetadataStatisticsUpdated"];
    assert_eq!(bench.told(), [told.as_slice(), &["OPERATIONAL"]].concat());
    assert_eq!(bench.machine.progress(bench.now, None).map(|it| it.completion), Some(-100.0));
}

#[test]
fn a_cancel_in_starting_shows_printing_for_a_moment() {
    let mut bench = Bench::in_state(State::Starting);
    bench.send(CANCEL);
    bench.wait(3_000);
    let told = ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed", "PRINTING", "OPERATIONAL"];
    assert_eq!(bench.told(), told);
}

#[test]
fn a_toggle_of_a_paused_print_does_nothing_on_2_0() {
    let mut bench = Bench::in_state(State::Paused);
    bench.machine.flavor = Flavor::V2_0;
    assert_eq!(bench.after(TOGGLE), (Ok(false), State::Paused, State::Paused));
}

#[test]
fn operational_starts_within_20_ms_and_refuses_the_rest() {
    let mut bench = Bench::idle();
    bench.send(START);
    assert_eq!(bench.machine.state(), State::Starting);
    bench.wait(20);
    assert_eq!(bench.machine.state(), State::Printing);
    assert_eq!(Bench::idle().after(RESTART).0, Err(Refusal::NotPaused));
    assert_eq!(Bench::idle().after(CANCEL).0, Err(Refusal::NotActive("cancel")));
    for pause in [TOGGLE, PAUSE, RESUME, NONSENSE] {
        assert_eq!(Bench::idle().after(pause).0, Err(Refusal::NotActive("pause")));
    }
}

#[test]
fn every_active_state_refuses_start_with_b_restart_with_c_and_nonsense_with_e() {
    let active = [
        State::Starting,
        State::Printing,
        State::Pausing,
        State::Paused,
        State::Resuming,
        State::Cancelling,
        State::Finishing,
    ];
    for state in active {
        assert_eq!(Bench::in_state(state).after(START).0, Err(Refusal::AlreadyActive), "{state:?}");
        assert_eq!(Bench::in_state(state).after(NONSENSE).0, Err(Refusal::UnknownAction), "{state:?}");
        if state != State::Paused {
            assert_eq!(Bench::in_state(state).after(RESTART).0, Err(Refusal::NotPaused), "{state:?}");
        }
    }
}

#[test]
fn a_pause_in_starting_is_lost() {
    for pause in [PAUSE, TOGGLE] {
        let mut bench = Bench::in_state(State::Starting);
        bench.send(pause);
        assert_eq!(bench.machine.state(), State::Pausing);
        bench.wait(2_050);
        assert_eq!(bench.machine.state(), State::Printing);
        assert_eq!(bench.told(), ["PAUSING", "PRINTING"]);
        bench.wait(150);
        assert_eq!(bench.told(), ["PrintPaused"]);
        assert_eq!(bench.machine.state(), State::Printing);
    }
}

#[test]
fn starting_cancels_and_ignores_resume() {
    assert_eq!(Bench::in_state(State::Starting).after(CANCEL), (Ok(true), State::Cancelling, State::Operational));
    assert_eq!(Bench::in_state(State::Starting).after(RESUME), (Ok(false), State::Starting, State::Printing));
}

#[test]
fn printing_pauses_after_the_line_in_flight_and_the_printers_answer() {
    for pause in [PAUSE, TOGGLE] {
        assert_eq!(Bench::in_state(State::Printing).after(pause), (Ok(true), State::Pausing, State::Paused));
    }
    let mut bench = Bench::in_state(State::Pausing);
    // At 1,200 ms the third line of half a second is in flight: paused at 5 + 3 * 500 + 40 ms.
    bench.wait(344);
    assert_eq!(bench.machine.state(), State::Pausing);
    bench.wait(1);
    assert_eq!(bench.machine.state(), State::Paused);
    assert_eq!(bench.told(), ["PrintPaused", "PAUSED"]);
}

#[test]
fn printing_ignores_resume_and_cancels() {
    assert_eq!(Bench::in_state(State::Printing).after(RESUME), (Ok(false), State::Printing, State::Printing));
    assert_eq!(Bench::in_state(State::Printing).after(CANCEL), (Ok(true), State::Cancelling, State::Operational));
}

#[test]
fn pausing_loses_a_resume_and_ends_paused() {
    for command in [RESUME, PAUSE, TOGGLE] {
        assert_eq!(Bench::in_state(State::Pausing).after(command), (Ok(false), State::Pausing, State::Paused));
    }
    assert_eq!(Bench::in_state(State::Pausing).after(CANCEL), (Ok(true), State::Cancelling, State::Operational));
}

#[test]
fn paused_resumes_cancels_at_once_and_ignores_pause() {
    for command in [RESUME, TOGGLE] {
        assert_eq!(Bench::in_state(State::Paused).after(command), (Ok(true), State::Resuming, State::Printing));
    }
    assert_eq!(Bench::in_state(State::Paused).after(PAUSE), (Ok(false), State::Paused, State::Paused));
    let mut bench = Bench::in_state(State::Paused);
    bench.send(CANCEL);
    bench.wait(20);
    assert_eq!(bench.machine.state(), State::Operational);
}

#[test]
fn restart_from_paused_prints_from_zero_on_1_11_and_does_nothing_on_2_0() {
    let mut bench = Bench::in_state(State::Paused);
    let before = bench.machine.progress(bench.now, None).map(|it| it.filepos);
    bench.send(RESTART);
    bench.wait(20);
    assert_eq!(bench.machine.state(), State::Printing);
    assert!(bench.machine.progress(bench.now, None).map(|it| it.filepos) < before);
    let mut bench = Bench::in_state(State::Paused);
    bench.machine.flavor = Flavor::V2_0;
    assert_eq!(bench.after(RESTART), (Ok(false), State::Paused, State::Paused));
}

#[test]
fn resuming_pauses_again_cancels_and_ignores_resume() {
    for pause in [PAUSE, TOGGLE] {
        assert_eq!(Bench::in_state(State::Resuming).after(pause), (Ok(true), State::Pausing, State::Paused));
    }
    assert_eq!(Bench::in_state(State::Resuming).after(RESUME), (Ok(false), State::Resuming, State::Printing));
    assert_eq!(Bench::in_state(State::Resuming).after(CANCEL), (Ok(true), State::Cancelling, State::Operational));
}

#[test]
fn cancelling_ignores_cancel_pause_and_resume() {
    for command in [CANCEL, TOGGLE, PAUSE, RESUME] {
        let expected = (Ok(false), State::Cancelling, State::Operational);
        assert_eq!(Bench::in_state(State::Cancelling).after(command), expected);
    }
}

#[test]
fn a_cancel_in_finishing_comes_after_print_done_and_cancels_it_too() {
    for command in [TOGGLE, PAUSE, RESUME] {
        let expected = (Ok(false), State::Finishing, State::Operational);
        assert_eq!(Bench::in_state(State::Finishing).after(command), expected);
    }
    let mut bench = Bench::in_state(State::Finishing);
    bench.send(CANCEL);
    bench.wait(3_000);
    assert_eq!(bench.told(), ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed", "OPERATIONAL"]);
    let ended = bench.machine.take_ended();
    assert_eq!(ended.iter().map(|it| it.success).collect::<Vec<_>>(), [true, false]);
    assert_eq!(bench.machine.progress(bench.now, None), None);
}

#[test]
fn a_print_tells_its_life_in_the_measured_order() {
    let mut bench = Bench::idle();
    bench.send(START);
    bench.wait(60_000);
    let told = [
        "FileSelected",
        "STARTING",
        "PrintStarted",
        "PRINTING",
        "FINISHING",
        "PrintDone",
        "MetadataStatisticsUpdated",
        "OPERATIONAL",
    ];
    assert_eq!(bench.told(), told);
    assert_eq!(bench.machine.progress(bench.now, None).map(|it| it.completion), Some(100.0));
}

#[test]
fn octoprint_2_tells_a_selection_twice() {
    let mut bench = Bench::with(Flavor::V2_0, Some("G4 P100"));
    assert_eq!(bench.told(), ["FileSelected", "FileSelected"]);
}

#[test]
fn a_cancel_tells_both_cancelled_and_failed() {
    let mut bench = Bench::in_state(State::Printing);
    bench.send(CANCEL);
    bench.wait(1_000);
    assert_eq!(bench.told(), ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed", "OPERATIONAL"]);
    assert!(bench.machine.selected().is_some());
}

#[test]
fn a_cancel_in_pausing_lets_print_paused_come_late() {
    let mut bench = Bench::in_state(State::Pausing);
    bench.send(CANCEL);
    bench.wait(1_000);
    let told = ["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed", "OPERATIONAL", "PrintPaused"];
    assert_eq!(bench.told(), told);
}
