//! Tests of `judge`: the verdict for every step and state, and verdicts that no evidence allows.

use crate::domain::effect::tests::*;

const STEPS: [Step; 7] =
    [Step::Start, Step::Pause, Step::Resume, Step::Cancel, Step::Connect, Step::Disconnect, Step::EmergencyStop];
const PENDING: Verdict = Verdict::Pending { moving: false };
const MOVING: Verdict = Verdict::Pending { moving: true };
const CHANGED: Verdict = Verdict::Gone(Reason::JobChanged);

/// Returns the observation before a step is sent.
fn before(step: Step) -> Observation {
    observation(match step {
        Step::Start | Step::Disconnect => S::Operational,
        Step::Pause | Step::Cancel | Step::EmergencyStop => S::Printing,
        Step::Resume => S::Paused,
        Step::Connect => S::Offline,
    })
}

fn verdict(step: Step, evidence: &Evidence, now: &Observation) -> Verdict {
    judge(step, None, &before(step), evidence, now)
}

/// Verdicts if only the current state was observed since the send.
#[rustfmt::skip]
const TABLE: [(S, [Verdict; 7]); 13] = {
    use Verdict::Confirmed as DONE;
    const NOT_OPERATIONAL: Verdict = Verdict::Gone(Reason::NotOperational);
    [
        //                start            pause    resume   cancel   connect  disconnect  emergency_stop
        (S::Offline,     [NOT_OPERATIONAL, CHANGED, CHANGED, DONE,    PENDING, DONE,       DONE]),
        (S::Error,       [NOT_OPERATIONAL, CHANGED, CHANGED, DONE,    PENDING, DONE,       DONE]),
        (S::Connecting,  [PENDING,         PENDING, PENDING, PENDING, MOVING,  PENDING,    PENDING]),
        (S::Operational, [PENDING,         CHANGED, CHANGED, DONE,    DONE,    PENDING,    PENDING]),
        (S::Starting,    [DONE,            MOVING,  PENDING, PENDING, DONE,    PENDING,    PENDING]),
        (S::Printing,    [DONE,            PENDING, DONE,    PENDING, DONE,    PENDING,    PENDING]),
        (S::Pausing,     [DONE,            MOVING,  MOVING,  PENDING, DONE,    PENDING,    PENDING]),
        (S::Paused,      [DONE,            DONE,    PENDING, PENDING, DONE,    PENDING,    PENDING]),
        (S::Resuming,    [DONE,            MOVING,  DONE,    PENDING, DONE,    PENDING,    PENDING]),
        (S::Cancelling,  [MOVING,          PENDING, PENDING, MOVING,  DONE,    PENDING,    PENDING]),
        (S::Finishing,   [DONE,            PENDING, DONE,    MOVING,  DONE,    PENDING,    PENDING]),
        (S::Transferring, [PENDING,        CHANGED, CHANGED, DONE,    DONE,    PENDING,    PENDING]),
        (S::Unknown,     [PENDING,         PENDING, PENDING, PENDING, PENDING, PENDING,    PENDING]),
    ]
};

#[test]
fn every_step_is_judged_by_the_observed_state() {
    for state in S::ALL {
        let (_, row) = TABLE.iter().find(|(row_state, _)| *row_state == state).expect("a row for every state");
        for (step, expected) in STEPS.into_iter().zip(row) {
            assert_eq!(verdict(step, &evidence_with(&[state]), &observation(state)), *expected, "{step} at {state:?}");
        }
    }
}

#[test]
fn a_cancel_of_a_transfer_is_confirmed_by_its_end() {
    let transfers = observation(S::Transferring);
    assert_eq!(judge(Step::Cancel, None, &transfers, &Evidence::default(), &transfers), PENDING);
    let ready = observation(S::Operational);
    assert_eq!(judge(Step::Cancel, None, &transfers, &Evidence::default(), &ready), Verdict::Confirmed);
}

#[test]
fn a_pause_that_octoprint_undoes_is_lost() {
    assert_eq!(
        verdict(Step::Pause, &evidence_with(&[S::Pausing, S::Printing]), &observation(S::Printing)),
        Verdict::Lost
    );
    assert_eq!(verdict(Step::Pause, &evidence_with(&[S::Printing]), &observation(S::Printing)), PENDING);
}

#[test]
fn a_resume_in_pausing_is_lost() {
    assert_eq!(verdict(Step::Resume, &evidence_with(&[S::Pausing]), &observation(S::Pausing)), MOVING);
    assert_eq!(verdict(Step::Resume, &evidence_with(&[S::Pausing, S::Paused]), &observation(S::Paused)), Verdict::Lost);
    assert_eq!(verdict(Step::Resume, &evidence_with(&[S::Paused]), &observation(S::Paused)), PENDING);
}

#[test]
fn a_cancel_that_shows_printing_again_is_not_lost() {
    // Measured for a cancel in Starting: Cancelling, Printing for 8 ms, Operational.
    assert_eq!(
        verdict(Step::Cancel, &evidence_with(&[S::Cancelling, S::Printing]), &observation(S::Printing)),
        PENDING
    );
}

#[test]
fn states_observed_before_the_reply_count_after_they_ended() {
    let resumed = evidence_with(&[S::Resuming, S::Printing, S::Finishing, S::Operational]);
    assert_eq!(verdict(Step::Resume, &resumed, &observation(S::Operational)), Verdict::Confirmed, "the rest was short");
    let again = evidence_with(&[S::Resuming, S::Printing, S::Pausing, S::Paused]);
    assert_eq!(verdict(Step::Resume, &again, &observation(S::Paused)), Verdict::Confirmed, "filament ran out at once");
    let paused = evidence_with(&[S::Pausing, S::Paused, S::Resuming, S::Printing]);
    assert_eq!(
        verdict(Step::Pause, &paused, &observation(S::Printing)),
        Verdict::Confirmed,
        "the print was resumed at once"
    );
    let cancelled = evidence_with(&[S::Pausing, S::Paused, S::Cancelling, S::Operational]);
    assert_eq!(verdict(Step::Pause, &cancelled, &observation(S::Operational)), Verdict::Confirmed);
}

#[test]
fn states_of_another_print_prove_nothing() {
    let resumed = evidence_with(&[S::Operational, S::Starting, S::Printing]);
    assert_eq!(verdict(Step::Resume, &resumed, &observation(S::Operational)), CHANGED);
    let paused = evidence_with(&[S::Operational, S::Starting, S::Printing, S::Pausing, S::Paused, S::Cancelling]);
    assert_eq!(verdict(Step::Pause, &paused, &observation(S::Operational)), CHANGED);
}

#[test]
fn the_same_file_at_100_percent_does_not_confirm_a_start() {
    assert_eq!(verdict(Step::Start, &evidence_with(&[S::Operational]), &observation(S::Operational)), PENDING);
    assert_eq!(verdict(Step::Start, &evidence_of_start("a.gcode"), &observation(S::Operational)), Verdict::Confirmed);
}

#[test]
fn a_start_is_confirmed_only_by_its_own_file() {
    let other = Observation { file: Some(file("b.gcode")), ..observation(S::Printing) };
    assert_eq!(verdict(Step::Start, &Evidence::default(), &other), CHANGED);
    assert_eq!(verdict(Step::Start, &evidence_of_start("b.gcode"), &observation(S::Printing)), CHANGED);
    let named = file("b.gcode");
    let verdict =
        |evidence: &Evidence, now: &Observation| judge(Step::Start, Some(&named), &before(Step::Start), evidence, now);
    assert_eq!(verdict(&Evidence::default(), &other), Verdict::Confirmed);
    assert_eq!(verdict(&Evidence::default(), &observation(S::Printing)), CHANGED);
    let without_file = Observation { file: None, ..observation(S::Printing) };
    assert_eq!(verdict(&Evidence::default(), &without_file), MOVING, "the file is read in a moment");
    let hidden = Evidence { is_file_hidden: true, ..Evidence::default() };
    assert_eq!(verdict(&hidden, &without_file), PENDING, "nothing will name the file");
}

#[test]
fn a_start_that_is_cancelled_later_is_confirmed() {
    let evidence = Evidence { started: Some("a.gcode".to_owned()), ..evidence_with(&[S::Printing, S::Cancelling]) };
    assert_eq!(verdict(Step::Start, &evidence, &observation(S::Operational)), Verdict::Confirmed);
}

#[test]
fn another_print_proves_that_the_expected_one_has_ended() {
    for state in S::ALL.into_iter().filter(|state| state.is_active()) {
        let other = Observation { print_id: print_id(2), ..observation(state) };
        assert_eq!(verdict(Step::Pause, &Evidence::default(), &other), CHANGED, "{state:?}");
        assert_eq!(verdict(Step::Resume, &Evidence::default(), &other), CHANGED, "{state:?}");
        assert_eq!(verdict(Step::Cancel, &Evidence::default(), &other), Verdict::Confirmed, "{state:?}");
    }
}

#[test]
fn a_closed_connection_proves_an_emergency_stop_only_if_it_was_open_before() {
    const CLOSED_BEFORE: Verdict = Verdict::Gone(Reason::NotOperational);
    let judge = |before, evidence: &Evidence, now| {
        judge(Step::EmergencyStop, None, &observation(before), evidence, &observation(now))
    };
    let accepted = Evidence { is_accepted: true, ..Evidence::default() };
    for now in [S::Offline, S::Error] {
        for before in S::ALL {
            let expected = if before.is_operational() { Verdict::Confirmed } else { CLOSED_BEFORE };
            assert_eq!(judge(before, &evidence_with(&[now]), now), expected, "{before:?}");
            assert_eq!(judge(before, &accepted, now), Verdict::Confirmed, "{before:?}");
        }
        assert_eq!(judge(S::Unknown, &evidence_with(&[S::Printing, now]), now), Verdict::Confirmed);
        assert_eq!(judge(S::Unknown, &evidence_with(&[now, S::Operational]), now), CLOSED_BEFORE);
    }
    let reconnected = evidence_with(&[S::Error, S::Connecting, S::Operational]);
    assert_eq!(judge(S::Printing, &reconnected, S::Operational), Verdict::Confirmed);
    assert_eq!(judge(S::Unknown, &reconnected, S::Operational), PENDING);
}

#[test]
fn only_harmless_steps_are_resent_and_only_to_the_unchanged_print() {
    for (step, state) in STEPS.into_iter().flat_map(|step| S::ALL.map(|state| (step, state))) {
        let allowed = match step {
            Step::Pause => state == S::Printing,
            Step::Resume => state == S::Paused,
            Step::Cancel => matches!(state, S::Starting | S::Printing | S::Pausing | S::Paused | S::Resuming),
            Step::Start | Step::Connect | Step::Disconnect | Step::EmergencyStop => false,
        };
        assert_eq!(may_resend(step, &before(step), &observation(state)), allowed, "{step} at {state:?}");
        let other = Observation { print_id: print_id(2), ..observation(state) };
        assert!(!may_resend(step, &before(step), &other), "{step} at {state:?} of another print");
        let without_print = Observation { print_id: None, ..observation(state) };
        assert!(!may_resend(step, &without_print, &without_print), "{step} at {state:?} of no print that is known");
    }
}

#[test]
fn an_overdue_effect_names_the_state_that_it_waits_for() {
    for state in S::ALL {
        let reason = overdue_reason(state);
        let expected = match state {
            S::Starting | S::Pausing | S::Resuming | S::Cancelling => format!("still_{}", state.as_str()),
            _ => "no_effect".to_owned(),
        };
        assert_eq!(reason.as_str(), expected);
    }
}

fn any_state() -> impl Strategy<Value = S> {
    proptest::sample::select(S::ALL.to_vec())
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let paths = proptest::option::of(proptest::sample::select(vec!["a.gcode", "b.gcode"]));
    let prints = proptest::option::of(1_u128..4);
    (any_state(), paths, prints, any::<bool>()).prop_map(|(state, path, id, paused_by_printyard)| Observation {
        state,
        file: path.map(file),
        print_id: id.map(Uuid::from_u128),
        paused_by_printyard,
    })
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let started = proptest::option::of(proptest::sample::select(vec!["a.gcode", "b.gcode"]));
    (proptest::collection::vec(any_state(), 0..6), started)
        .prop_map(|(states, path)| Evidence { started: path.map(str::to_owned), ..evidence_with(&states) })
}

fn any_guards() -> impl Strategy<Value = Guards> {
    let job = (proptest::option::of(Just("a.gcode".to_owned())), proptest::option::of(1_u128..4))
        .prop_map(|(path, id)| ExpectedJob { path, print_id: id.map(Uuid::from_u128) });
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (flags, proptest::option::of(job), proptest::option::of(Just(file("b.gcode")))).prop_map(|(flags, job, file)| {
        let (enabled, out_of_service, plate_clear, named, force) = flags;
        Guards { enabled, out_of_service, plate_clear, expected_job: job, file, named, force }
    })
}

proptest! {
    #[test]
    fn a_start_is_never_confirmed_without_its_print(
        before in any_observation(), evidence in any_evidence(), now in any_observation(), named in any::<bool>(),
    ) {
        let target = named.then(|| file("b.gcode"));
        let wanted = target.as_ref().or(before.file.as_ref()).map(|file| file.path.clone());
        if judge(Step::Start, target.as_ref(), &before, &evidence, &now) == Verdict::Confirmed {
            let began = evidence.started.is_some() && evidence.started == wanted;
            let prints = now.state.is_active() && wanted.is_some()
                && now.file.as_ref().map(|file| &file.path) == wanted.as_ref();
            prop_assert!(began || prints);
        }
    }

    #[test]
    fn a_pause_is_never_confirmed_without_paused(
        before in any_observation(), evidence in any_evidence(), now in any_observation(),
    ) {
        if judge(Step::Pause, None, &before, &evidence, &now) == Verdict::Confirmed {
            prop_assert!(now.state == S::Paused || evidence.has_state(S::Paused));
            prop_assert!(before.print_id.is_none() || now.print_id.is_none() || before.print_id == now.print_id);
        }
    }

    #[test]
    fn a_resume_is_never_confirmed_without_a_printing_state(
        before in any_observation(), evidence in any_evidence(), now in any_observation(),
    ) {
        if judge(Step::Resume, None, &before, &evidence, &now) == Verdict::Confirmed {
            let moves = |state| matches!(state, S::Resuming | S::Printing | S::Finishing);
            prop_assert!(moves(now.state) || S::ALL.into_iter().any(|state| moves(state) && evidence.has_state(state)));
        }
    }

    #[test]
    fn a_cancel_is_never_confirmed_while_the_same_print_is_active(
        before in any_observation(), evidence in any_evidence(), now in any_observation(),
    ) {
        if judge(Step::Cancel, None, &before, &evidence, &now) == Verdict::Confirmed {
            prop_assert!(!now.state.is_active() || before.print_id != now.print_id);
        }
    }

    #[test]
    fn an_emergency_stop_is_never_confirmed_without_a_closed_connection(
        before in any_observation(), evidence in any_evidence(), now in any_observation(),
    ) {
        if judge(Step::EmergencyStop, None, &before, &evidence, &now) == Verdict::Confirmed {
            let is_closed = |state: S| matches!(state, S::Offline | S::Error);
            prop_assert!(is_closed(now.state) || S::ALL.into_iter().any(|it| is_closed(it) && evidence.has_state(it)));
        }
    }

    #[test]
    fn a_step_that_may_be_resent_is_neither_confirmed_nor_gone(
        before in any_observation(), evidence in any_evidence(), now in any_observation(),
    ) {
        for step in STEPS.into_iter().filter(|step| may_resend(*step, &before, &now)) {
            prop_assert!(step.may_be_repeated());
            let verdict = judge(step, None, &before, &Evidence::default(), &now);
            prop_assert!(matches!(verdict, Verdict::Pending { .. } | Verdict::Lost), "{step}: {verdict:?}");
            let _ = judge(step, None, &before, &evidence, &now);
        }
    }

    #[test]
    fn no_guard_is_ever_violated_by_a_send(observation in any_observation(), guards in any_guards()) {
        for command in COMMANDS {
            let Decision::Send(step) = decide(command, &observation, &guards) else { continue };
            prop_assert!(guards.enabled);
            let starts_print = matches!(command, Command::Start | Command::Restart);
            prop_assert!(!starts_print || guards.plate_clear);
            prop_assert!(step != Step::Start || observation.state == S::Operational);
            prop_assert!(step != Step::Start || observation.file.is_some() || guards.file.is_some());
            prop_assert!(step != Step::Resume || guards.named || observation.paused_by_printyard);
            let concerns_job = !matches!(command, Command::Connect | Command::Disconnect | Command::EmergencyStop);
            if let Some(expected) = guards.expected_job.as_ref().filter(|_| concerns_job) {
                prop_assert!(is_expected_job(expected, &observation), "{command}");
            }
        }
    }
}
