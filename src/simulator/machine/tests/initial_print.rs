//! Prints that began before the machine was created.

use super::*;
use crate::simulator::config::InitialPrint;

/// Creates a machine that has printed half of 100 lines of half a second, in 25 s.
fn in_middle(is_paused: bool) -> TestBench {
    let mut bench = TestBench::with_gcode(Flavor::V1_11, None);
    let blob = BlobStore::default().intern("G4 P489\n".repeat(100).into());
    let file = SelectedFile { name: "a.gcode".into(), path: "a.gcode".into(), date: 0, blob };
    let print = InitialPrint {
        path: "a.gcode".into(),
        done: 0.5,
        print_time: Duration::from_secs(25),
        temperatures_c: [215.0, 60.0],
    };
    bench.machine.continue_print(file, &print, is_paused, bench.now);
    bench
}

impl TestBench {
    /// Returns completion and print time.
    fn progress(&self) -> (f64, f64) {
        let progress = self.machine.progress(self.now, None).expect("a print");
        (progress.completion, progress.print_time)
    }
}

#[test]
fn a_print_continues_from_the_middle_to_its_end() {
    let mut bench = in_middle(false);
    assert_eq!((bench.machine.state(), bench.progress()), (MachineState::Printing, (50.0, 25.0)));
    assert_eq!(bench.machine.temperatures(bench.now), [(215.0, 215.0), (60.0, 60.0)]);
    bench.wait(10_000);
    let (completion, print_time) = bench.progress();
    assert!((68.0..72.0).contains(&completion), "{completion}");
    assert!((34.9..35.1).contains(&print_time), "{print_time}");
    bench.wait(20_000);
    assert_eq!(bench.machine.state(), MachineState::Operational);
    assert!((49.0..51.0).contains(&bench.progress().1), "{:?}", bench.progress());
}

#[test]
fn a_paused_print_continues_when_it_is_resumed() {
    let mut bench = in_middle(true);
    bench.wait(60_000);
    assert_eq!((bench.machine.state(), bench.progress()), (MachineState::Paused, (50.0, 25.0)));
    bench.send(RESUME);
    bench.wait(10_000);
    let (completion, print_time) = bench.progress();
    assert!(bench.machine.state() == MachineState::Printing && completion > 60.0, "{completion}");
    assert!((34.9..35.1).contains(&print_time), "{print_time}");
}

#[test]
fn a_finished_print_skips_the_rest_of_its_file() {
    let mut bench = in_middle(false);
    bench.wait(100);
    bench.machine.perform(&MachineAction::FinishPrint, bench.now);
    bench.wait(50);
    assert_eq!((bench.machine.state(), bench.progress().0), (MachineState::Operational, 100.0));
    assert!(bench.machine.take_events().iter().any(|event| event.kind == "PrintDone"));
    assert_eq!(bench.machine.take_ended_prints().len(), 1);
}

#[test]
fn a_printer_that_does_not_print_ignores_the_end_of_a_print() {
    let mut bench = in_middle(true);
    bench.machine.perform(&MachineAction::FinishPrint, bench.now);
    bench.wait(1_000);
    assert_eq!((bench.machine.state(), bench.progress().0), (MachineState::Paused, 50.0));
}
