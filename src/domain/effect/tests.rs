//! Tests of the decision table, and properties that must hold for any input.

mod judge;

use PrinterState as S;
use proptest::prelude::*;

use super::*;

/// Returns the decision for one cell of the table: `send`, `wait`, `unchanged`, or the reason of a refusal.
fn expected_decision(text: &str, command: Command) -> Decision {
    match text {
        "send" => Decision::Send(match command {
            Command::Start => Step::Start,
            Command::Pause => Step::Pause,
            Command::Resume => Step::Resume,
            Command::Cancel | Command::Restart => Step::Cancel,
            Command::Connect => Step::Connect,
            Command::Disconnect => Step::Disconnect,
            Command::EmergencyStop => Step::EmergencyStop,
            Command::Toggle => unreachable!("a toggle is resolved"),
        }),
        "pause" => Decision::Send(Step::Pause),
        "resume" => Decision::Send(Step::Resume),
        "wait" => Decision::Wait,
        "unchanged" => Decision::Unchanged,
        reason => Decision::Reject(Reason::parse(reason).expect(reason)),
    }
}

const COMMANDS: [Command; 9] = [
    Command::Start,
    Command::Pause,
    Command::Resume,
    Command::Cancel,
    Command::Restart,
    Command::Toggle,
    Command::Connect,
    Command::Disconnect,
    Command::EmergencyStop,
];

/// Decision table of the design, section 3: a fresh reading, a selected file, and no guard that refuses.
#[rustfmt::skip]
const TABLE: [(S, [&str; 9]); 13] = [
    //                start              pause              resume             cancel       restart            toggle        connect          disconnect      emergency_stop
    (S::Offline,     ["not_operational", "not_operational", "not_operational", "unchanged", "not_operational", "not_active", "send",          "unchanged",     "not_operational"]),
    (S::Error,       ["not_operational", "not_operational", "not_operational", "unchanged", "not_operational", "not_active", "send",          "unchanged",     "not_operational"]),
    (S::Connecting,  ["not_operational", "not_operational", "not_operational", "unchanged", "not_operational", "not_active", "wait",          "send",          "not_operational"]),
    (S::Operational, ["send",            "not_active",      "not_active",      "unchanged", "not_active",      "not_active", "unchanged",     "send",          "send"]),
    (S::Starting,    ["already_printing", "wait",           "unchanged",       "send",      "send",            "wait",       "unchanged",     "job_active",    "send"]),
    (S::Printing,    ["already_printing", "send",           "unchanged",       "send",      "send",            "pause",      "unchanged",     "job_active",    "send"]),
    (S::Pausing,     ["already_printing", "wait",           "wait",            "send",      "send",            "wait",       "unchanged",     "job_active",    "send"]),
    (S::Paused,      ["already_printing", "unchanged",      "send",            "send",      "send",            "resume",     "unchanged",     "job_active",    "send"]),
    (S::Resuming,    ["already_printing", "wait",           "wait",            "send",      "send",            "wait",       "unchanged",     "job_active",    "send"]),
    (S::Cancelling,  ["wait",            "not_active",      "not_active",      "wait",      "not_active",      "not_active", "unchanged",     "job_active",    "send"]),
    (S::Finishing,   ["wait",            "not_active",      "not_active",      "wait",      "not_active",      "not_active", "unchanged",     "job_active",    "send"]),
    (S::Transferring, ["already_printing", "not_active",    "not_active",      "send",      "not_active",      "not_active", "unchanged",     "job_active",    "send"]),
    (S::Unknown,     ["unknown_state",   "unknown_state",   "unknown_state",   "send",      "unknown_state",   "not_active", "unknown_state", "unknown_state", "send"]),
];

fn file(path: &str) -> FileRef {
    FileRef { path: path.to_owned(), origin: "local".to_owned() }
}

fn print_id(n: u128) -> Option<Uuid> {
    Some(Uuid::from_u128(n))
}

/// Returns an observation of a printer in this state. `a.gcode` is selected, and an active print has the number 1.
fn observation(state: S) -> Observation {
    Observation {
        state,
        file: Some(file("a.gcode")),
        print_id: print_id(1).filter(|_| state.is_active()),
        paused_by_printyard: true,
    }
}

fn guards() -> Guards {
    Guards {
        enabled: true,
        out_of_service: false,
        plate_clear: true,
        expected_job: None,
        file: None,
        named: true,
        force: false,
    }
}

fn evidence_with(states: &[S]) -> Evidence {
    let mut evidence = Evidence::default();
    states.iter().for_each(|state| evidence.add_state(*state));
    evidence
}

fn evidence_of_start(path: &str) -> Evidence {
    Evidence { started: Some(path.to_owned()), ..Evidence::default() }
}

#[test]
fn every_state_and_command_follows_the_decision_table() {
    assert_eq!(TABLE.map(|(state, _)| state).len(), S::ALL.len());
    for state in S::ALL {
        let (_, row) = TABLE.iter().find(|(row_state, _)| *row_state == state).expect("a row for every state");
        for (command, text) in COMMANDS.into_iter().zip(row) {
            assert_eq!(
                decide(command, &observation(state), &guards()),
                expected_decision(text, command),
                "{command} of {state:?}"
            );
        }
    }
}

#[test]
fn a_start_without_a_file_is_refused_unless_it_names_one() {
    let without_file = Observation { file: None, ..observation(S::Operational) };
    assert_eq!(decide(Command::Start, &without_file, &guards()), Decision::Reject(Reason::NoFileSelected));
    let naming_file = Guards { file: Some(file("b.gcode")), ..guards() };
    assert_eq!(decide(Command::Start, &without_file, &naming_file), Decision::Send(Step::Start));
    for state in S::ALL.into_iter().filter(|state| *state != S::Operational) {
        let without_file = Observation { file: None, ..observation(state) };
        assert_eq!(
            decide(Command::Start, &without_file, &guards()),
            decide(Command::Start, &observation(state), &guards())
        );
    }
}

#[test]
fn a_toggle_pauses_an_active_print_and_resumes_a_paused_one() {
    for state in S::ALL {
        let expected = match state {
            S::Starting | S::Printing | S::Resuming => Ok(Command::Pause),
            S::Pausing | S::Paused => Ok(Command::Resume),
            _ => Err(Reason::NotActive),
        };
        assert_eq!(resolve_toggle(state), expected, "{state:?}");
    }
}

#[test]
fn a_disabled_printer_refuses_every_command_in_every_state() {
    let disabled = Guards { enabled: false, ..guards() };
    for (state, command) in S::ALL.into_iter().flat_map(|state| COMMANDS.map(|command| (state, command))) {
        assert_eq!(decide(command, &observation(state), &disabled), Decision::Reject(Reason::PrinterDisabled));
    }
}

#[test]
fn a_printer_out_of_service_refuses_only_commands_that_make_a_print_run() {
    let out_of_service = Guards { out_of_service: true, ..guards() };
    for (state, command) in S::ALL.into_iter().flat_map(|state| COMMANDS.map(|command| (state, command))) {
        let is_refused = match command {
            Command::Start | Command::Restart | Command::Resume => true,
            Command::Toggle => matches!(state, S::Pausing | S::Paused),
            Command::Pause | Command::Cancel | Command::Connect | Command::Disconnect | Command::EmergencyStop => false,
        };
        let expected = if is_refused {
            Decision::Reject(Reason::OutOfService)
        } else {
            decide(command, &observation(state), &guards())
        };
        assert_eq!(decide(command, &observation(state), &out_of_service), expected, "{command} of {state:?}");
    }
}

#[test]
fn an_occupied_plate_refuses_only_start_and_restart() {
    let occupied = Guards { plate_clear: false, ..guards() };
    for (state, command) in S::ALL.into_iter().flat_map(|state| COMMANDS.map(|command| (state, command))) {
        let clear = decide(command, &observation(state), &guards());
        let starts_print = matches!(command, Command::Start | Command::Restart);
        let expected = match clear {
            Decision::Send(_) | Decision::Wait if starts_print => Decision::Reject(Reason::PlateNotClear),
            other => other,
        };
        assert_eq!(decide(command, &observation(state), &occupied), expected, "{command} of {state:?}");
    }
}

#[test]
fn a_job_other_than_the_expected_one_is_never_changed() {
    let other_file = ExpectedJob { path: Some("b.gcode".to_owned()), print_id: None };
    let other_print = ExpectedJob { path: Some("a.gcode".to_owned()), print_id: print_id(2) };
    for expected_job in [other_file, other_print] {
        let expecting_job = Guards { expected_job: Some(expected_job), ..guards() };
        let job_commands = [Command::Pause, Command::Resume, Command::Cancel, Command::Restart, Command::Toggle];
        for (state, command) in S::ALL.into_iter().flat_map(|state| job_commands.map(|command| (state, command))) {
            let decision = decide(command, &observation(state), &expecting_job);
            assert!(!matches!(decision, Decision::Send(_) | Decision::Wait), "{command} of {state:?}: {decision:?}");
            let has_job = state.is_active() || state == S::Transferring;
            if has_job && matches!(decide(command, &observation(state), &guards()), Decision::Send(_)) {
                assert_eq!(decision, Decision::Reject(Reason::JobChanged), "{command} of {state:?}");
            }
        }
    }
    let this = ExpectedJob { path: Some("a.gcode".to_owned()), print_id: print_id(1) };
    let expecting_job = Guards { expected_job: Some(this), ..guards() };
    assert_eq!(decide(Command::Pause, &observation(S::Printing), &expecting_job), Decision::Send(Step::Pause));
    assert_eq!(decide(Command::Cancel, &observation(S::Operational), &expecting_job), Decision::Unchanged);
}

#[test]
fn a_start_with_an_expected_file_needs_that_file_selected() {
    let expecting = |path: &str| {
        let expected_job = Some(ExpectedJob { path: Some(path.to_owned()), print_id: None });
        decide(Command::Start, &observation(S::Operational), &Guards { expected_job, ..guards() })
    };
    assert_eq!(expecting("a.gcode"), Decision::Send(Step::Start));
    assert_eq!(expecting("b.gcode"), Decision::Reject(Reason::JobChanged));
}

#[test]
fn a_print_paused_at_the_printer_is_resumed_only_by_its_id() {
    let at_printer = Observation { paused_by_printyard: false, ..observation(S::Paused) };
    let not_named = Guards { named: false, ..guards() };
    for command in [Command::Resume, Command::Toggle] {
        assert_eq!(decide(command, &at_printer, &not_named), Decision::Reject(Reason::PausedAtPrinter));
        assert_eq!(decide(command, &at_printer, &guards()), Decision::Send(Step::Resume));
        assert_eq!(decide(command, &observation(S::Paused), &not_named), Decision::Send(Step::Resume));
    }
    for command in [Command::Cancel, Command::Restart] {
        assert_eq!(decide(command, &at_printer, &not_named), Decision::Send(Step::Cancel));
    }
}

#[test]
fn no_guard_holds_up_an_emergency_stop() {
    let refusing = Guards {
        enabled: true,
        out_of_service: true,
        plate_clear: false,
        expected_job: Some(ExpectedJob { path: Some("b.gcode".to_owned()), print_id: print_id(2) }),
        file: None,
        named: false,
        force: false,
    };
    for state in S::ALL {
        let at_printer = Observation { paused_by_printyard: false, ..observation(state) };
        let decided = decide(Command::EmergencyStop, &at_printer, &refusing);
        assert_eq!(decided, decide(Command::EmergencyStop, &observation(state), &guards()), "{state:?}");
    }
}

#[test]
fn force_disconnects_in_every_state() {
    let force = Guards { force: true, ..guards() };
    for state in S::ALL {
        let expected = match state {
            S::Offline | S::Error => Decision::Unchanged,
            _ => Decision::Send(Step::Disconnect),
        };
        assert_eq!(decide(Command::Disconnect, &observation(state), &force), expected, "{state:?}");
    }
}

#[test]
fn a_restart_starts_only_an_idle_printer_with_the_same_file() {
    let before = observation(S::Printing);
    let refused = Decision::Reject(Reason::CancelledNotStarted);
    for state in S::ALL {
        let expected = match state {
            S::Operational => Decision::Send(Step::Start),
            S::Cancelling | S::Finishing => Decision::Wait,
            _ => refused,
        };
        assert_eq!(decide_restart_start(&before, &Evidence::default(), &observation(state)), expected, "{state:?}");
    }
    let other = Observation { file: Some(file("b.gcode")), ..observation(S::Operational) };
    assert_eq!(decide_restart_start(&before, &Evidence::default(), &other), refused);
    let gone = Observation { file: None, ..observation(S::Operational) };
    assert_eq!(decide_restart_start(&before, &Evidence::default(), &gone), refused);
    assert_eq!(decide_restart_start(&gone, &Evidence::default(), &gone), refused, "no file is not the same file");
    assert_eq!(decide_restart_start(&before, &evidence_of_start("a.gcode"), &observation(S::Operational)), refused);
}
