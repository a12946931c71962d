//! Sends `POST /api/job` through the job client: every state and command of `octoprint.md`, section 2.
//!
//! A row has what a client can observe: the response, the states that follow, and the events of the print. States come
//! from the event socket, so states of 10 ms are included. Scripts make each state last while the command is sent.
//!
//! On a busy machine a state can still end before the command arrives, and events of the cell before can be late. So a
//! cell that differs is tried again. Only a difference in every try fails the test.

use std::time::{Duration, Instant};

use printyard::{
    domain::{printer_access::PrinterAccess, reading::PrinterEvent, state::PrinterState as S},
    octoprint::{Error, OctoPrint, Push, PushFrame, RequestOptions},
    outbound::{Networks, Outbound},
};

use super::subject::{SOON, Subject};
use crate::support::octoprint::Version;

/// A settled printer without events for this long stays in its state. Changes begin within 20 ms.
const QUIET: Duration = Duration::from_millis(300);
/// The same limit after a refusal.
const REFUSED: Duration = Duration::from_millis(60);
/// Deadline for expected events on a slow machine.
const LATE: Duration = Duration::from_secs(10);
/// Tries per cell, because a busy machine may send a command after the state has ended.
const VISITS: usize = 5;
const SCRIPT: &str = "G4 S1";

const LONG: &str = "long.gcode";
const SLOW: &str = "slow.gcode";
const SHORT: &str = "short.gcode";
const EMPTY: &str = "empty.gcode";

const START: &str = "start";
const RESTART: &str = "restart";
const CANCEL: &str = "cancel";
const PAUSE: &str = "pause";
const RESUME: &str = "resume";
const TOGGLE: &str = "toggle";
const BARE: &str = "bare pause";
const NONSENSE: &str = "nonsense";

const A: &str = "409 Printer is not operational";
const B: &str = "409 Printer already has an active print job, did you mean 'restart'?";
const C: &str = "409 Printer does not have an active print job or is not paused";
const D: &str = "409 Printer is neither printing nor paused, 'pause' command cannot be performed";
const D_CANCEL: &str = "409 Printer is neither printing nor paused, 'cancel' command cannot be performed";
const E: &str = "400 Unknown action";
const OK: &str = "204";

/// State, command, response, following states, and events of the print.
type Row = (String, String, String, String, String);

fn row(state: &str, command: &str, answer: &str, follows: &str, told: &str) -> Row {
    (state.to_owned(), command.to_owned(), answer.to_owned(), follows.to_owned(), told.to_owned())
}

/// Returns the table of the document.
fn expected(version: Version) -> Vec<Row> {
    let mut rows = Vec::new();
    for state in ["Offline", "Offline after error"] {
        for command in [START, RESTART, CANCEL, BARE, TOGGLE, PAUSE, RESUME, NONSENSE] {
            rows.push(row(state, command, A, "", ""));
        }
    }
    for state in ["Operational, no file", "Operational, empty file", "Operational, file"] {
        for (command, answer) in
            [(RESTART, C), (CANCEL, D_CANCEL), (BARE, D), (TOGGLE, D), (PAUSE, D), (RESUME, D), (NONSENSE, D)]
        {
            rows.push(row(state, command, answer, "", ""));
        }
        let (follows, told) = match state {
            "Operational, file" => ("Starting Printing", "PrintStarted"),
            "Operational, empty file" => ("Starting Printing Finishing Operational", "PrintDone PrintStarted"),
            _ => ("", ""),
        };
        rows.push(row(state, START, OK, follows, told));
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
    for (state, next, told) in passing {
        rows.push(row(state, START, B, next, told));
        if state != "Paused" {
            rows.push(row(state, RESTART, C, next, told));
        }
        rows.push(row(state, NONSENSE, E, next, told));
    }
    let pauses = [BARE, TOGGLE, PAUSE];
    for pause in pauses {
        // Measured: OctoPrint shows the pausing state, continues to print, and still sends `PrintPaused`.
        rows.push(row("Starting", pause, OK, "Pausing Printing", "PrintPaused PrintStarted"));
        rows.push(row("Printing", pause, OK, "Pausing Paused", "PrintPaused"));
        rows.push(row("Pausing", pause, OK, "Paused", "PrintPaused"));
        rows.push(row("Resuming", pause, OK, "Pausing Paused", "PrintPaused PrintResumed"));
    }
    rows.push(row("Paused", PAUSE, OK, "", ""));
    for resume in [RESUME, TOGGLE, BARE] {
        // Measured on 2.0.0rc7: a toggle handles a paused print as if it were printing.
        let lost = version == Version::V2 && resume != RESUME;
        let (follows, told) = if lost { ("", "") } else { ("Resuming Printing", "PrintResumed") };
        rows.push(row("Paused", resume, OK, follows, told));
    }
    rows.push(row("Starting", RESUME, OK, "Printing", "PrintStarted"));
    rows.push(row("Printing", RESUME, OK, "", ""));
    rows.push(row("Pausing", RESUME, OK, "Paused", "PrintPaused"));
    rows.push(row("Resuming", RESUME, OK, "Printing", "PrintResumed"));
    for command in [CANCEL, BARE, TOGGLE, PAUSE, RESUME] {
        rows.push(row("Cancelling", command, OK, "Operational", CANCELLED));
        if command != CANCEL {
            rows.push(row("Finishing", command, OK, "Operational", ""));
        }
    }
    // Measured on both: the state Printing lasts about 8 ms.
    let told = "PrintCancelled PrintFailed PrintStarted";
    rows.push(row("Starting", CANCEL, OK, "Cancelling Printing Operational", told));
    for (state, told) in [
        ("Printing", CANCELLED),
        ("Pausing", "PrintCancelled PrintFailed PrintPaused"),
        ("Paused", CANCELLED),
        ("Resuming", "PrintCancelled PrintFailed PrintResumed"),
        ("Finishing", CANCELLED),
    ] {
        rows.push(row(state, CANCEL, OK, "Cancelling Operational", told));
    }
    rows.push(match version {
        Version::V1 => row("Paused", RESTART, OK, "Starting Printing", "PrintStarted"),
        Version::V2 => row("Paused", RESTART, OK, "", ""),
    });
    rows
}

/// A job client for one printer, with an open event socket.
struct Visitor<'a> {
    subject: &'a Subject,
    octoprint: OctoPrint,
    push: Push,
    state: S,
    /// Whether an error closed the connection to the printer.
    failed: bool,
    scripts: Vec<&'static str>,
}

impl<'a> Visitor<'a> {
    async fn new(subject: &'a Subject) -> Self {
        let outbound = Outbound::new(Networks::default()).expect("a client");
        let octoprint =
            OctoPrint::new(subject.url.parse().expect("url"), &PrinterAccess::with_key(&subject.api_key), outbound);
        let octoprint = octoprint.expect("a key");
        let push = Push::open(&octoprint, &RequestOptions::default()).await.expect("an event socket");
        let state = octoprint.job().get(&RequestOptions::default()).await.expect("a job").state;
        Self { subject, octoprint, push, state, failed: false, scripts: Vec::new() }
    }

    /// Returns the next event, and stores its state.
    async fn event(&mut self) -> PrinterEvent {
        loop {
            if let Some(event) = self.frame().await {
                return event;
            }
        }
    }

    /// Returns the next event after storing its state, or `None` for the response to a ping.
    async fn frame(&mut self) -> Option<PrinterEvent> {
        loop {
            let frame = tokio::time::timeout(SOON, self.push.next()).await;
            match frame.unwrap_or_else(|_| panic!("{}: no event in state {:?}", self.subject.name, self.state)) {
                Ok(PushFrame::Event(event)) => {
                    if let PrinterEvent::StateChanged { state, .. } = &event {
                        self.state = *state;
                    }
                    return Some(event);
                }
                Ok(PushFrame::Pong) => return None,
                Ok(PushFrame::Other) => {}
                Err(error) => panic!("{}: the event socket: {error}", self.subject.name),
            }
        }
    }

    /// Returns the next event of a settled printer, if there is one. The ping proves that the printer sent nothing, and
    /// that the machine was not just slow.
    async fn event_within(&mut self, quiet: Duration) -> Option<PrinterEvent> {
        if let Ok(event) = tokio::time::timeout(quiet, self.event()).await {
            return Some(event);
        }
        self.push.ping().await.expect("an open socket");
        let event = self.frame().await?;
        // The pong arrives later and is skipped.
        Some(event)
    }

    /// Reads events until the printer is in this state.
    async fn until(&mut self, state: S) {
        while self.state != state {
            self.event().await;
        }
    }

    /// Reads events until the printer has settled and no more events arrive.
    async fn rest(&mut self, quiet: Duration) -> (Vec<String>, Vec<String>) {
        self.rest_after(quiet, 0).await
    }

    /// The same, but waits for at least `due` states and events.
    async fn rest_after(&mut self, quiet: Duration, due: usize) -> (Vec<String>, Vec<String>) {
        let (mut states, mut told) = (Vec::new(), Vec::new());
        let late = Instant::now() + LATE;
        loop {
            let settled = matches!(self.state, S::Operational | S::Printing | S::Paused | S::Offline | S::Error);
            let event = if settled {
                match self.event_within(quiet).await {
                    Some(event) => event,
                    None if states.len() + told.len() < due && Instant::now() < late => continue,
                    None => break,
                }
            } else {
                self.event().await
            };
            match event {
                PrinterEvent::StateChanged { text, .. } => states.push(text),
                PrinterEvent::PrintStarted { .. } => told.push("PrintStarted".to_owned()),
                PrinterEvent::PrintDone { .. } => told.push("PrintDone".to_owned()),
                PrinterEvent::PrintFailed { .. } => told.push("PrintFailed".to_owned()),
                PrinterEvent::PrintCancelled { .. } => told.push("PrintCancelled".to_owned()),
                PrinterEvent::PrintPaused { .. } => told.push("PrintPaused".to_owned()),
                PrinterEvent::PrintResumed { .. } => told.push("PrintResumed".to_owned()),
                _ => {}
            }
        }
        told.sort();
        (states, told)
    }

    /// Sets exactly these scripts, so that their states last.
    async fn lasting(&mut self, scripts: &[&'static str]) {
        let off = self.scripts.iter().filter(|name| !scripts.contains(name)).map(|name| (*name, ""));
        let on = scripts.iter().filter(|name| !self.scripts.contains(name)).map(|name| (*name, SCRIPT));
        let change: Vec<_> = off.chain(on).collect();
        if !change.is_empty() {
            self.subject.scripts(&change).await;
        }
        self.scripts = scripts.to_vec();
    }

    async fn send(&self, command: &str) -> String {
        let (job, options) = (self.octoprint.job(), RequestOptions::default());
        let result = match command {
            START => job.start(&options).await,
            RESTART => job.restart(&options).await,
            CANCEL => job.cancel(&options).await,
            PAUSE => job.pause(&options).await,
            RESUME => job.resume(&options).await,
            TOGGLE => job.toggle_pause(&options).await,
            // Requests that the client never sends: a pause without an action, and an unknown action.
            BARE => return self.bare(None).await,
            _ => return self.bare(Some("none")).await,
        };
        match result {
            Ok(()) => OK.to_owned(),
            Err(Error::Conflict { message }) => format!("409 {message}"),
            Err(error) => format!("{error:?}"),
        }
    }

    async fn bare(&self, action: Option<&str>) -> String {
        match self.subject.job_answer("pause", action).await {
            (204, _) => OK.to_owned(),
            (status, text) => format!("{status} {text}"),
        }
    }

    /// Makes the printer idle with this file selected, and waits until no more events arrive.
    async fn idle(&mut self, file: &str) {
        if self.state.is_active() {
            if matches!(self.state, S::Starting | S::Printing | S::Pausing | S::Paused | S::Resuming) {
                self.send(CANCEL).await;
            }
            self.until(S::Operational).await;
            self.rest(QUIET).await;
        } else if self.state != S::Operational {
            self.subject.connection("connect").await;
            self.failed = false;
            self.until(S::Operational).await;
            self.rest(QUIET).await;
        }
        if self.subject.job().await["job"]["file"]["path"] != file {
            self.subject.select(file).await;
            self.rest(QUIET).await;
        }
    }

    async fn printing(&mut self) {
        if self.state != S::Printing {
            self.lasting(&[]).await;
            self.idle(LONG).await;
            self.send(START).await;
            self.until(S::Printing).await;
            self.rest(QUIET).await;
        }
    }

    async fn paused(&mut self) {
        if self.state != S::Paused {
            self.printing().await;
            self.send(PAUSE).await;
            self.until(S::Paused).await;
            self.rest(QUIET).await;
        }
    }

    /// Brings the printer into a state that lasts. Earlier events have been read. Events of the new state itself have
    /// not been read.
    async fn reach(&mut self, state: &str) {
        match state {
            "Offline" => {
                if self.state != S::Offline || self.failed {
                    self.idle(LONG).await;
                    self.subject.connection("disconnect").await;
                    self.until(S::Offline).await;
                    self.rest(QUIET).await;
                }
            }
            "Offline after error" => {
                if !self.failed {
                    self.idle(LONG).await;
                    self.subject.gcode(&["!!DEBUG:trigger_fatal_error_marlin"]).await;
                    self.subject.until_state("Offline after error").await;
                    self.failed = true;
                    while !matches!(self.state, S::Error | S::Offline) {
                        self.event().await;
                    }
                    self.rest(QUIET).await;
                }
            }
            "Operational, no file" => {
                self.idle(LONG).await;
                let unselect = serde_json::json!({ "command": "unselect" });
                self.subject.post("/api/files/local/long.gcode", unselect).await;
                self.rest(QUIET).await;
            }
            "Operational, empty file" => self.idle(EMPTY).await,
            "Operational, file" => {
                self.lasting(&[]).await;
                self.idle(LONG).await;
            }
            "Starting" => {
                self.lasting(&["beforePrintStarted"]).await;
                self.idle(LONG).await;
                self.send(START).await;
                self.until(S::Starting).await;
            }
            "Printing" => self.printing().await,
            "Pausing" => {
                self.printing().await;
                self.lasting(&["afterPrintPaused"]).await;
                self.send(PAUSE).await;
                self.until(S::Pausing).await;
            }
            "Paused" => self.paused().await,
            "Resuming" => {
                self.paused().await;
                self.lasting(&["beforePrintResumed"]).await;
                self.send(RESUME).await;
                self.until(S::Resuming).await;
            }
            "Cancelling" => {
                self.lasting(&[]).await;
                self.idle(SLOW).await;
                self.send(START).await;
                self.until(S::Printing).await;
                // The state lasts as long as the line that is being printed. No script can make it longer (measured on
                // both).
                self.send(CANCEL).await;
                self.until(S::Cancelling).await;
            }
            "Finishing" => {
                self.lasting(&["afterPrintDone"]).await;
                self.idle(SHORT).await;
                self.send(START).await;
                while !matches!(self.event().await, PrinterEvent::PrintDone { .. }) {}
            }
            _ => unreachable!("{state}"),
        }
    }

    /// Returns the observed rows for one cell, or for several cells whose commands are refused.
    async fn observe(&mut self, expected: &[Row]) -> Vec<Row> {
        let (state, _, _, follows, tells) = &expected[0];
        let shown = state.split(',').next().unwrap_or(state);
        let due = follows.split_whitespace().count() + tells.split_whitespace().count();
        let mut seen = None;
        for _ in 0..VISITS {
            self.reach(state).await;
            let mut answers = Vec::new();
            let mut lasted = true;
            for (_, command, ..) in expected {
                lasted &= self.subject.job().await["state"] == shown;
                answers.push(self.send(command).await);
            }
            // Checks that the state lasted until the last command: a refused command does not change the state.
            lasted &= answers.last().is_some_and(|answer| answer == OK) || self.subject.job().await["state"] == shown;
            let quiet = if answers.iter().any(|answer| answer == OK) { QUIET } else { REFUSED };
            let (states, told) = self.rest_after(quiet, due).await;
            if lasted {
                let row = |((_, command, ..), answer): (&Row, &String)| {
                    row(state, command, answer, &states.join(" "), &told.join(" "))
                };
                let rows: Vec<Row> = expected.iter().zip(&answers).map(row).collect();
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
async fn conforms(subject: &Subject, rows: &[Row]) {
    subject.upload(LONG, "G4 P20\n".repeat(6_000)).await;
    subject.upload(SLOW, "G4 P1500\n".repeat(100)).await;
    subject.upload(SHORT, "G4 P20\n".repeat(3)).await;
    subject.upload(EMPTY, "").await;
    let mut visitor = Visitor::new(subject).await;
    let mut observed = Vec::with_capacity(rows.len());
    // Refused commands change nothing, so they share one try.
    let one_visit = |one: &Row, next: &Row| one.0 == next.0 && one.2 != OK && next.2 != OK;
    for visit in rows.chunk_by(one_visit) {
        observed.extend(visitor.observe(visit).await);
    }
    let lines = |rows: &[Row], others: &[Row]| -> Vec<String> {
        let differs = rows.iter().zip(others).filter(|(one, other)| one != other);
        differs.map(|(row, _)| format!("{row:?}")).collect()
    };
    assert_eq!(lines(&observed, rows), lines(rows, &observed), "{}: left is observed, right is expected", subject.name);
}

/// Splits the table over two printers of the same kind.
async fn both_conform(subjects: &[Subject; 2], version: Version) {
    let first_half = ["Printing", "Pausing", "Resuming", "Cancelling"];
    let (first, second): (Vec<Row>, Vec<Row>) =
        expected(version).into_iter().partition(|row| first_half.contains(&row.0.as_str()));
    tokio::join!(conforms(&subjects[0], &first), conforms(&subjects[1], &second));
}

async fn real_and_simulated_answer_as_the_document_says(version: Version) {
    let simulated = async {
        both_conform(&[Subject::simulated(version).await, Subject::simulated(version).await], version).await;
    };
    let real = async {
        let (first, second) = tokio::join!(Subject::real(version), Subject::real(version));
        if let (Some(first), Some(second)) = (first, second) {
            both_conform(&[first, second], version).await;
        }
    };
    tokio::join!(simulated, real);
}

/// Both versions run at the same time, because they mostly wait.
#[tokio::test]
async fn octoprint_and_the_simulator_answer_as_the_document_says() {
    let [first, second] = Version::ALL.map(real_and_simulated_answer_as_the_document_says);
    tokio::join!(first, second);
}
