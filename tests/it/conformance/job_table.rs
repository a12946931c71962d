//! Sends `POST /api/job` through the job client: every state and command of `octoprint.md`, section 2. Also sends the
//! emergency stop of section 3 in every state.
//!
//! A row has what a client can observe: the response, the states that follow, and the events of the print. States come
//! from the event socket, so states of 10 ms are included. Scripts make each state last while the command is sent.
//!
//! On a busy machine a state can still end before the command arrives, and events of the cell before can be late. So a
//! cell that differs is tried again. Only a difference in every try fails the test.

use std::time::{Duration, Instant};

use printyard::{
    domain::{printer_access::PrinterAccess, reading::PrinterEvent, state::PrinterState as S},
    octoprint::{Error, EventFrame, EventSocket, OctoPrint, RequestOptions},
    outbound::{Networks, Outbound},
};

use super::subject::{DEADLINE, TestSubject};
use crate::support::octoprint::OctoPrintVersion;

/// A settled printer without events for this long stays in its state. Changes begin within 20 ms.
const SETTLE_TIME: Duration = Duration::from_millis(300);
/// The same limit after a refusal.
const SETTLE_TIME_AFTER_REFUSAL: Duration = Duration::from_millis(60);
/// Deadline for expected events on a slow machine.
const EVENT_DEADLINE: Duration = Duration::from_secs(10);
/// Tries per cell, because a busy machine may send a command after the state has ended.
const MAX_TRIES: usize = 5;
const DWELL_SCRIPT: &str = "G4 S1";

const LONG_FILE: &str = "long.gcode";
const SLOW_FILE: &str = "slow.gcode";
const SHORT_FILE: &str = "short.gcode";
const EMPTY_FILE: &str = "empty.gcode";

const START: &str = "start";
const RESTART: &str = "restart";
const CANCEL: &str = "cancel";
const PAUSE: &str = "pause";
const RESUME: &str = "resume";
const TOGGLE: &str = "toggle";
const PAUSE_WITHOUT_ACTION: &str = "bare pause";
const UNKNOWN_ACTION: &str = "nonsense";
/// It is sent to the printer, not to the job.
const EMERGENCY_STOP: &str = "emergency stop";

const ERROR_NOT_OPERATIONAL: &str = "409 Printer is not operational";
const ERROR_ALREADY_ACTIVE: &str = "409 Printer already has an active print job, did you mean 'restart'?";
const ERROR_NOT_PAUSED: &str = "409 Printer does not have an active print job or is not paused";
const ERROR_PAUSE_NOT_ACTIVE: &str = "409 Printer is neither printing nor paused, 'pause' command cannot be performed";
const ERROR_CANCEL_NOT_ACTIVE: &str =
    "409 Printer is neither printing nor paused, 'cancel' command cannot be performed";
const ERROR_UNKNOWN_ACTION: &str = "400 Unknown action";
const SUCCESS: &str = "204";

/// State, command, response, following states, and events of the print.
type TableRow = (String, String, String, String, String);

fn table_row(state: &str, command: &str, answer: &str, next_states: &str, print_events: &str) -> TableRow {
    (state.to_owned(), command.to_owned(), answer.to_owned(), next_states.to_owned(), print_events.to_owned())
}

/// Returns the table of the document.
fn expected_rows(version: OctoPrintVersion) -> Vec<TableRow> {
    let mut rows = Vec::new();
    for state in ["Offline", "Offline after error"] {
        for command in
            [START, RESTART, CANCEL, PAUSE_WITHOUT_ACTION, TOGGLE, PAUSE, RESUME, UNKNOWN_ACTION, EMERGENCY_STOP]
        {
            rows.push(table_row(state, command, ERROR_NOT_OPERATIONAL, "", ""));
        }
    }
    for state in ["Operational, no file", "Operational, empty file", "Operational, file"] {
        for (command, answer) in [
            (RESTART, ERROR_NOT_PAUSED),
            (CANCEL, ERROR_CANCEL_NOT_ACTIVE),
            (PAUSE_WITHOUT_ACTION, ERROR_PAUSE_NOT_ACTIVE),
            (TOGGLE, ERROR_PAUSE_NOT_ACTIVE),
            (PAUSE, ERROR_PAUSE_NOT_ACTIVE),
            (RESUME, ERROR_PAUSE_NOT_ACTIVE),
            (UNKNOWN_ACTION, ERROR_PAUSE_NOT_ACTIVE),
        ] {
            rows.push(table_row(state, command, answer, "", ""));
        }
        let (next_states, print_events) = match state {
            "Operational, file" => ("Starting Printing", "PrintStarted"),
            "Operational, empty file" => ("Starting Printing Finishing Operational", "PrintDone PrintStarted"),
            _ => ("", ""),
        };
        rows.push(table_row(state, START, SUCCESS, next_states, print_events));
    }
    const CANCELLED: &str = "PrintCancelled PrintFailed";
    // States that end by themselves, with the next state and its events.
    let passing = [
        ("Starting", "Printing", "PrintStarted"),
        ("Printing", "", ""),
        ("Pausing", "Paused", "PrintPaused"),
        ("Paused", "", ""),
        ("Resuming", "Printing", "PrintResumed"),
        ("Cancelling", "Operational", CANCELLED),
        ("Finishing", "Operational", ""),
    ];
    for (state, next, print_events) in passing {
        rows.push(table_row(state, START, ERROR_ALREADY_ACTIVE, next, print_events));
        if state != "Paused" {
            rows.push(table_row(state, RESTART, ERROR_NOT_PAUSED, next, print_events));
        }
        rows.push(table_row(state, UNKNOWN_ACTION, ERROR_UNKNOWN_ACTION, next, print_events));
    }
    let pauses = [PAUSE_WITHOUT_ACTION, TOGGLE, PAUSE];
    for pause in pauses {
        // Measured: OctoPrint shows the pausing state, continues to print, and still sends `PrintPaused`.
        rows.push(table_row("Starting", pause, SUCCESS, "Pausing Printing", "PrintPaused PrintStarted"));
        rows.push(table_row("Printing", pause, SUCCESS, "Pausing Paused", "PrintPaused"));
        rows.push(table_row("Pausing", pause, SUCCESS, "Paused", "PrintPaused"));
        rows.push(table_row("Resuming", pause, SUCCESS, "Pausing Paused", "PrintPaused PrintResumed"));
    }
    rows.push(table_row("Paused", PAUSE, SUCCESS, "", ""));
    for resume in [RESUME, TOGGLE, PAUSE_WITHOUT_ACTION] {
        // Measured on 2.0.0rc7: a toggle handles a paused print as if it were printing.
        let lost = version == OctoPrintVersion::V2 && resume != RESUME;
        let (next_states, print_events) = if lost { ("", "") } else { ("Resuming Printing", "PrintResumed") };
        rows.push(table_row("Paused", resume, SUCCESS, next_states, print_events));
    }
    rows.push(table_row("Starting", RESUME, SUCCESS, "Printing", "PrintStarted"));
    rows.push(table_row("Printing", RESUME, SUCCESS, "", ""));
    rows.push(table_row("Pausing", RESUME, SUCCESS, "Paused", "PrintPaused"));
    rows.push(table_row("Resuming", RESUME, SUCCESS, "Printing", "PrintResumed"));
    for command in [CANCEL, PAUSE_WITHOUT_ACTION, TOGGLE, PAUSE, RESUME] {
        rows.push(table_row("Cancelling", command, SUCCESS, "Operational", CANCELLED));
        if command != CANCEL {
            rows.push(table_row("Finishing", command, SUCCESS, "Operational", ""));
        }
    }
    // Measured on both: the state Printing lasts about 8 ms.
    let print_events = "PrintCancelled PrintFailed PrintStarted";
    rows.push(table_row("Starting", CANCEL, SUCCESS, "Cancelling Printing Operational", print_events));
    for (state, print_events) in [
        ("Printing", CANCELLED),
        ("Pausing", "PrintCancelled PrintFailed PrintPaused"),
        ("Paused", CANCELLED),
        ("Resuming", "PrintCancelled PrintFailed PrintResumed"),
        ("Finishing", CANCELLED),
    ] {
        rows.push(table_row(state, CANCEL, SUCCESS, "Cancelling Operational", print_events));
    }
    rows.push(match version {
        OctoPrintVersion::V1 => table_row("Paused", RESTART, SUCCESS, "Starting Printing", "PrintStarted"),
        OctoPrintVersion::V2 => table_row("Paused", RESTART, SUCCESS, "", ""),
    });
    rows.extend(emergency_stop_rows(version));
    rows
}

/// Returns the cells of the emergency stop in the states in which OctoPrint is connected to its printer.
fn emergency_stop_rows(version: OctoPrintVersion) -> impl Iterator<Item = TableRow> {
    // Events of the state itself, before the stop.
    let states = [
        ("Operational, no file", ""),
        ("Operational, file", ""),
        ("Starting", "PrintStarted"),
        ("Printing", ""),
        ("Pausing", ""),
        ("Paused", ""),
        ("Resuming", "PrintResumed"),
        ("Cancelling", "PrintCancelled PrintFailed"),
        ("Finishing", ""),
    ];
    states.into_iter().map(move |(state, events_before)| {
        let has_job = !state.starts_with("Operational");
        // Measured: 1.11.8 reports the end of the print only from Printing.
        let fails = has_job && (version == OctoPrintVersion::V2 || state == "Printing");
        let mut print_events: Vec<&str> = events_before.split_whitespace().collect();
        print_events.extend(fails.then_some("PrintFailed"));
        print_events.sort_unstable();
        let closed = if version == OctoPrintVersion::V1 { "Offline" } else { "Offline after error" };
        table_row(state, EMERGENCY_STOP, SUCCESS, closed, &print_events.join(" "))
    })
}

/// A job client for one printer, with an open event socket.
struct CellRunner<'a> {
    subject: &'a TestSubject,
    octoprint: OctoPrint,
    push: EventSocket,
    state: S,
    /// Whether an error closed the connection to the printer.
    failed: bool,
    scripts: Vec<&'static str>,
}

impl<'a> CellRunner<'a> {
    async fn new(subject: &'a TestSubject) -> Self {
        let outbound = Outbound::new(Networks::default()).expect("a client");
        let octoprint =
            OctoPrint::new(subject.url.parse().expect("url"), &PrinterAccess::with_api_key(&subject.api_key), outbound);
        let octoprint = octoprint.expect("a key");
        let push = EventSocket::open(&octoprint, &RequestOptions::default()).await.expect("an event socket");
        let state = octoprint.job().get(&RequestOptions::default()).await.expect("a job").state;
        Self { subject, octoprint, push, state, failed: false, scripts: Vec::new() }
    }

    /// Returns the next event, and stores its state.
    async fn next_event(&mut self) -> PrinterEvent {
        loop {
            if let Some(event) = self.next_event_or_pong().await {
                return event;
            }
        }
    }

    /// Returns the next event after storing its state, or `None` for the response to a ping.
    async fn next_event_or_pong(&mut self) -> Option<PrinterEvent> {
        loop {
            let frame = tokio::time::timeout(DEADLINE, self.push.next()).await;
            match frame.unwrap_or_else(|_| panic!("{}: no event in state {:?}", self.subject.name, self.state)) {
                Ok(EventFrame::Event(event)) => {
                    if let PrinterEvent::StateChanged { state, .. } = &event {
                        self.state = *state;
                    }
                    return Some(event);
                }
                Ok(EventFrame::Pong) => return None,
                Ok(EventFrame::Other) => {}
                Err(error) => panic!("{}: the event socket: {error}", self.subject.name),
            }
        }
    }

    /// Returns the next event of a settled printer, if there is one. The ping proves that the printer sent nothing, and
    /// that the machine was not just slow.
    async fn next_event_within(&mut self, quiet: Duration) -> Option<PrinterEvent> {
        if let Ok(event) = tokio::time::timeout(quiet, self.next_event()).await {
            return Some(event);
        }
        self.push.ping().await.expect("an open socket");
        let event = self.next_event_or_pong().await?;
        // The pong arrives later and is skipped.
        Some(event)
    }

    /// Reads events until the printer is in this state.
    async fn until_state(&mut self, state: S) {
        while self.state != state {
            self.next_event().await;
        }
    }

    /// Reads events until the printer has settled and no more events arrive.
    async fn drain_events(&mut self, quiet: Duration) -> (Vec<String>, Vec<String>) {
        self.drain_events_at_least(quiet, 0).await
    }

    /// The same, but waits for at least `due` states and events.
    async fn drain_events_at_least(&mut self, quiet: Duration, due: usize) -> (Vec<String>, Vec<String>) {
        let (mut states, mut print_events) = (Vec::new(), Vec::new());
        let deadline = Instant::now() + EVENT_DEADLINE;
        loop {
            let settled = matches!(self.state, S::Operational | S::Printing | S::Paused | S::Offline | S::Error);
            let event = if settled {
                match self.next_event_within(quiet).await {
                    Some(event) => event,
                    None if states.len() + print_events.len() < due && Instant::now() < deadline => continue,
                    None => break,
                }
            } else {
                self.next_event().await
            };
            match event {
                PrinterEvent::StateChanged { text, .. } => states.push(text),
                PrinterEvent::PrintStarted { .. } => print_events.push("PrintStarted".to_owned()),
                PrinterEvent::PrintDone { .. } => print_events.push("PrintDone".to_owned()),
                PrinterEvent::PrintFailed { .. } => print_events.push("PrintFailed".to_owned()),
                PrinterEvent::PrintCancelled { .. } => print_events.push("PrintCancelled".to_owned()),
                PrinterEvent::PrintPaused { .. } => print_events.push("PrintPaused".to_owned()),
                PrinterEvent::PrintResumed { .. } => print_events.push("PrintResumed".to_owned()),
                _ => {}
            }
        }
        print_events.sort();
        (states, print_events)
    }

    /// Sets exactly these scripts, so that their states last.
    async fn set_lasting_scripts(&mut self, scripts: &[&'static str]) {
        let off = self.scripts.iter().filter(|name| !scripts.contains(name)).map(|name| (*name, ""));
        let on = scripts.iter().filter(|name| !self.scripts.contains(name)).map(|name| (*name, DWELL_SCRIPT));
        let change: Vec<_> = off.chain(on).collect();
        if !change.is_empty() {
            self.subject.set_scripts(&change).await;
        }
        self.scripts = scripts.to_vec();
    }

    async fn send(&mut self, command: &str) -> String {
        let (job, options) = (self.octoprint.job(), RequestOptions::default());
        let result = match command {
            START => job.start(&options).await,
            RESTART => job.restart(&options).await,
            CANCEL => job.cancel(&options).await,
            PAUSE => job.pause(&options).await,
            RESUME => job.resume(&options).await,
            TOGGLE => job.toggle_pause(&options).await,
            // Requests that the client never sends: a pause without an action, and an unknown action.
            PAUSE_WITHOUT_ACTION => return self.send_pause(None).await,
            EMERGENCY_STOP => {
                let result = self.octoprint.printer().emergency_stop(&options).await;
                self.failed |= result.is_ok();
                result
            }
            _ => return self.send_pause(Some("none")).await,
        };
        match result {
            Ok(()) => SUCCESS.to_owned(),
            Err(Error::Conflict { message }) => format!("409 {message}"),
            Err(error) => format!("{error:?}"),
        }
    }

    async fn send_pause(&self, action: Option<&str>) -> String {
        match self.subject.post_job("pause", action).await {
            (204, _) => SUCCESS.to_owned(),
            (status, text) => format!("{status} {text}"),
        }
    }

    /// Makes the printer idle with this file selected, and waits until no more events arrive.
    async fn make_idle(&mut self, file: &str) {
        if self.state.is_active() {
            if matches!(self.state, S::Starting | S::Printing | S::Pausing | S::Paused | S::Resuming) {
                self.send(CANCEL).await;
            }
            self.until_state(S::Operational).await;
            self.drain_events(SETTLE_TIME).await;
        } else if self.state != S::Operational {
            self.subject.post_connection("connect").await;
            self.failed = false;
            self.until_state(S::Operational).await;
            self.drain_events(SETTLE_TIME).await;
        }
        if self.subject.read_job().await["job"]["file"]["path"] != file {
            self.subject.select(file).await;
            self.drain_events(SETTLE_TIME).await;
        }
    }

    async fn make_printing(&mut self) {
        if self.state != S::Printing {
            self.set_lasting_scripts(&[]).await;
            self.make_idle(LONG_FILE).await;
            self.send(START).await;
            self.until_state(S::Printing).await;
            self.drain_events(SETTLE_TIME).await;
        }
    }

    async fn make_paused(&mut self) {
        if self.state != S::Paused {
            self.make_printing().await;
            self.send(PAUSE).await;
            self.until_state(S::Paused).await;
            self.drain_events(SETTLE_TIME).await;
        }
    }

    /// Brings the printer into a state that lasts. Earlier events have been read. Events of the new state itself have
    /// not been read.
    async fn reach_state(&mut self, state: &str) {
        match state {
            "Offline" => {
                if self.state != S::Offline || self.failed {
                    self.make_idle(LONG_FILE).await;
                    self.subject.post_connection("disconnect").await;
                    self.until_state(S::Offline).await;
                    self.drain_events(SETTLE_TIME).await;
                }
            }
            "Offline after error" => {
                if !self.failed {
                    self.make_idle(LONG_FILE).await;
                    self.subject.send_gcode(&["!!DEBUG:trigger_fatal_error_marlin"]).await;
                    self.subject.until_state("Offline after error").await;
                    self.failed = true;
                    while !matches!(self.state, S::Error | S::Offline) {
                        self.next_event().await;
                    }
                    self.drain_events(SETTLE_TIME).await;
                }
            }
            "Operational, no file" => {
                self.make_idle(LONG_FILE).await;
                let unselect = serde_json::json!({ "command": "unselect" });
                self.subject.post("/api/files/local/long.gcode", unselect).await;
                self.drain_events(SETTLE_TIME).await;
            }
            "Operational, empty file" => self.make_idle(EMPTY_FILE).await,
            "Operational, file" => {
                self.set_lasting_scripts(&[]).await;
                self.make_idle(LONG_FILE).await;
            }
            "Starting" => {
                self.set_lasting_scripts(&["beforePrintStarted"]).await;
                self.make_idle(LONG_FILE).await;
                self.send(START).await;
                self.until_state(S::Starting).await;
            }
            "Printing" => self.make_printing().await,
            "Pausing" => {
                self.make_printing().await;
                self.set_lasting_scripts(&["afterPrintPaused"]).await;
                self.send(PAUSE).await;
                self.until_state(S::Pausing).await;
            }
            "Paused" => self.make_paused().await,
            "Resuming" => {
                self.make_paused().await;
                self.set_lasting_scripts(&["beforePrintResumed"]).await;
                self.send(RESUME).await;
                self.until_state(S::Resuming).await;
            }
            "Cancelling" => {
                self.set_lasting_scripts(&[]).await;
                self.make_idle(SLOW_FILE).await;
                self.send(START).await;
                self.until_state(S::Printing).await;
                // The state lasts as long as the line that is being printed. No script can make it longer (measured on
                // both).
                self.send(CANCEL).await;
                self.until_state(S::Cancelling).await;
            }
            "Finishing" => {
                self.set_lasting_scripts(&["afterPrintDone"]).await;
                self.make_idle(SHORT_FILE).await;
                self.send(START).await;
                while !matches!(self.next_event().await, PrinterEvent::PrintDone { .. }) {}
            }
            _ => unreachable!("{state}"),
        }
    }

    /// Returns the observed rows for one cell, or for several cells whose commands are refused.
    async fn observe_rows(&mut self, expected: &[TableRow]) -> Vec<TableRow> {
        let (state, _, _, expected_states, expected_events) = &expected[0];
        let state_text = state.split(',').next().unwrap_or(state);
        let due = expected_states.split_whitespace().count() + expected_events.split_whitespace().count();
        let mut seen = None;
        for _ in 0..MAX_TRIES {
            self.reach_state(state).await;
            let mut answers = Vec::new();
            let mut lasted = true;
            for (_, command, ..) in expected {
                lasted &= self.subject.read_job().await["state"] == state_text;
                answers.push(self.send(command).await);
            }
            // Checks that the state lasted until the last command: a refused command does not change the state.
            lasted &= answers.last().is_some_and(|answer| answer == SUCCESS)
                || self.subject.read_job().await["state"] == state_text;
            let quiet =
                if answers.iter().any(|answer| answer == SUCCESS) { SETTLE_TIME } else { SETTLE_TIME_AFTER_REFUSAL };
            let (states, print_events) = self.drain_events_at_least(quiet, due).await;
            if lasted {
                let observed_row = |((_, command, ..), answer): (&TableRow, &String)| {
                    table_row(state, command, answer, &states.join(" "), &print_events.join(" "))
                };
                let rows: Vec<TableRow> = expected.iter().zip(&answers).map(observed_row).collect();
                if rows == expected {
                    return rows;
                }
                seen = Some(rows);
            }
        }
        seen.unwrap_or_else(|| panic!("{}: {state} does not last", self.subject.name))
    }
}

/// Tries every cell of these rows, and compares the observed rows with the document.
async fn assert_conforms(subject: &TestSubject, rows: &[TableRow]) {
    subject.upload(LONG_FILE, "G4 P20\n".repeat(6_000)).await;
    subject.upload(SLOW_FILE, "G4 P1500\n".repeat(100)).await;
    subject.upload(SHORT_FILE, "G4 P20\n".repeat(3)).await;
    subject.upload(EMPTY_FILE, "").await;
    let mut runner = CellRunner::new(subject).await;
    let mut observed = Vec::with_capacity(rows.len());
    // Refused commands change nothing, so they share one try.
    let same_try = |one: &TableRow, next: &TableRow| one.0 == next.0 && one.2 != SUCCESS && next.2 != SUCCESS;
    for cells in rows.chunk_by(same_try) {
        observed.extend(runner.observe_rows(cells).await);
    }
    let lines = |rows: &[TableRow], others: &[TableRow]| -> Vec<String> {
        let differs = rows.iter().zip(others).filter(|(one, other)| one != other);
        differs.map(|(row, _)| format!("{row:?}")).collect()
    };
    assert_eq!(lines(&observed, rows), lines(rows, &observed), "{}: left is observed, right is expected", subject.name);
}

/// Splits the table over two printers of the same kind.
async fn assert_both_conform(subjects: &[TestSubject; 2], version: OctoPrintVersion) {
    let first_half = ["Printing", "Pausing", "Resuming", "Cancelling"];
    let (first, second): (Vec<TableRow>, Vec<TableRow>) =
        expected_rows(version).into_iter().partition(|row| first_half.contains(&row.0.as_str()));
    tokio::join!(assert_conforms(&subjects[0], &first), assert_conforms(&subjects[1], &second));
}

async fn real_and_simulated_answer_as_the_document_says(version: OctoPrintVersion) {
    let simulated = async {
        assert_both_conform(
            &[TestSubject::start_simulated(version).await, TestSubject::start_simulated(version).await],
            version,
        )
        .await;
    };
    let real = async {
        let (first, second) = tokio::join!(TestSubject::start_real(version), TestSubject::start_real(version));
        if let (Some(first), Some(second)) = (first, second) {
            assert_both_conform(&[first, second], version).await;
        }
    };
    tokio::join!(simulated, real);
}

/// Both versions run at the same time, because they mostly wait.
#[tokio::test]
async fn octoprint_and_the_simulator_answer_as_the_document_says() {
    let [first, second] = OctoPrintVersion::ALL.map(real_and_simulated_answer_as_the_document_says);
    tokio::join!(first, second);
}
