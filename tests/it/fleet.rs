//! The fleet alone, with simulated printers. The test takes the dispatcher's part and grants the permits to send.

use std::time::{Duration, Instant};

use printyard::{
    config::Settings,
    domain::{
        command::{Command, Outcome},
        printer_access::PrinterAccess,
        state::PrinterState,
    },
    fleet::{
        ActorConfig, Fleet, Inbox, NotTaken,
        message::{ActorCommand, ActorEvent, Report, SendRequest},
        settings::{MAILBOX, OUTBOX, PERMIT_AGE, UP_QUEUE},
    },
    octoprint::OctoPrint,
    outbound::{Networks, Outbound},
    simulator::{Act, Farm},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::support::{server::farm, wait};

const PRINTER: Uuid = Uuid::from_u128(1);
const LONG: Duration = Duration::from_secs(60);

/// A fleet with one printer that is printing.
struct Desk {
    fleet: Fleet,
    inbox: Inbox,
    farm: Farm,
    stop: CancellationToken,
}

impl Desk {
    async fn new() -> Self {
        let (farm, stop) = (farm(1).await, CancellationToken::new());
        let (fleet, inbox) = Fleet::new(Settings::default(), TaskTracker::new(), stop.clone());
        let printer = &farm.printers()[0];
        let outbound = Outbound::new(Networks::default()).expect("a client");
        let url = printer.url().parse().expect("a url");
        let octoprint = OctoPrint::new(url, &PrinterAccess::with_key(printer.api_key()), outbound).expect("a client");
        fleet.start_actor(ActorConfig::fresh(PRINTER, octoprint));
        printer.select("long/vase.gcode");
        printer.at_printer(Act::StartSelected);
        let desk = Self { fleet, inbox, farm, stop };
        desk.until(PrinterState::Printing).await;
        desk
    }

    async fn until(&self, state: PrinterState) {
        wait::until(&format!("the printer is {state:?}"), LONG, async || {
            let seen = self.fleet.view().get(PRINTER).map(|live| live.state);
            if seen == Some(state) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }

    fn perform(&self, id: u128, command: Command, expires: Instant) {
        self.try_perform(id, command, expires).expect("accepted");
    }

    fn try_perform(&self, id: u128, command: Command, expires: Instant) -> Result<(), NotTaken> {
        let order = ActorCommand {
            command_id: Uuid::from_u128(id),
            command,
            expected_job: None,
            file: None,
            named: true,
            force: false,
            assume_clear: false,
            confirm_within: LONG,
            wait_when_unreachable: false,
            expires,
            recover: None,
        };
        self.fleet.perform(PRINTER, order)
    }

    /// Returns the next event of the actor.
    async fn next(&mut self) -> ActorEvent {
        tokio::time::timeout(LONG, self.inbox.ledger.recv()).await.expect("in time").expect("an actor")
    }

    async fn asks(&mut self) -> SendRequest {
        match self.next().await {
            ActorEvent::SendRequest(ready) => ready,
            other => panic!("the actor requests no permit: {other:?}"),
        }
    }

    async fn reports(&mut self) -> Report {
        match self.next().await {
            ActorEvent::Report(report) => report,
            other => panic!("the actor sends no report: {other:?}"),
        }
    }

    /// Returns the commands that the printer has received from the job client.
    fn came(&self) -> Vec<String> {
        self.farm.printers()[0].received().into_iter().map(|received| received.command).collect()
    }
}

#[tokio::test]
async fn a_command_whose_leave_comes_after_its_time_is_not_sent() {
    let mut desk = Desk::new().await;
    let mut time = Duration::from_millis(250);
    // On a slow machine the command may expire before the actor requests its permit. Then the loop allows more time.
    let (ready, expires) = loop {
        let expires = Instant::now() + time;
        desk.perform(1, Command::Pause, expires);
        match desk.next().await {
            ActorEvent::SendRequest(ready) => break (ready, expires),
            ActorEvent::Report(report) if report.outcome == Outcome::Expired && time < LONG => time *= 2,
            other => panic!("the actor requests no permit: {other:?}"),
        }
    };
    wait::until("the command has expired", LONG, async || Instant::now() >= expires).await;
    ready.permit.send(true).expect("the actor waits");
    assert_eq!(desk.reports().await.outcome, Outcome::Expired);
    assert!(desk.came().is_empty(), "{:?}", desk.came());
    // The next command is sent as usual.
    desk.perform(2, Command::Pause, Instant::now() + LONG);
    desk.asks().await.permit.send(true).expect("the actor waits");
    assert_eq!(desk.reports().await.outcome, Outcome::Accepted);
    assert_eq!(desk.reports().await.outcome, Outcome::Confirmed);
    assert_eq!(desk.came(), ["pause"]);
    desk.stop.cancel();
}

#[tokio::test]
async fn an_actor_keeps_reading_its_printer_while_the_dispatcher_takes_nothing() {
    let mut desk = Desk::new().await;
    let all = u128::try_from(UP_QUEUE + OUTBOX + MAILBOX).expect("a number");
    // Each of these commands has expired before the actor receives it, and is reported at once.
    let past = Instant::now();
    for id in 0..all {
        wait::until("there is room in the mailbox", LONG, async || desk.try_perform(id, Command::Pause, past)).await;
    }
    wait::until("the mailbox stays full", LONG, async || desk.try_perform(all, Command::Pause, past).is_err()).await;
    desk.farm.printers()[0].at_printer(Act::Pause);
    desk.until(PrinterState::Paused).await;
    for id in 0..all {
        let report = desk.reports().await;
        assert_eq!((report.command_id, report.outcome), (Uuid::from_u128(id), Outcome::Expired), "in order");
    }
    desk.stop.cancel();
}

#[tokio::test]
async fn a_permit_that_comes_late_is_not_used_and_is_asked_for_again() {
    let mut desk = Desk::new().await;
    desk.perform(1, Command::Pause, Instant::now() + LONG);
    let first = desk.asks().await;
    assert!(!first.is_repeated);
    // By then another server may have taken over.
    let too_old = Instant::now() + PERMIT_AGE;
    wait::until("the permit is too old", LONG, async || Instant::now() >= too_old).await;
    first.permit.send(true).expect("the actor waits");
    let second = desk.asks().await;
    assert_eq!((second.is_repeated, second.attempt), (true, first.attempt));
    assert!(desk.came().is_empty(), "nothing was sent: {:?}", desk.came());
    second.permit.send(true).expect("the actor waits");
    assert_eq!(desk.reports().await.outcome, Outcome::Accepted);
    assert_eq!(desk.reports().await.outcome, Outcome::Confirmed);
    assert_eq!(desk.came(), ["pause"]);
    desk.stop.cancel();
}
