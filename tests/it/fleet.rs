//! The fleet alone, with simulated printers. The test takes the dispatcher's part and grants the permits to send.

use std::time::{Duration, Instant};

use printyard::{
    config::Settings,
    domain::{
        command::{Command, Outcome, Reason},
        command_report::CommandReport,
        message::Message,
        printer_access::PrinterAccess,
        state::PrinterState,
    },
    fleet::{
        ActorConfig, ActorUnavailable, Fleet, Inbox,
        message::{ActorCommand, ActorEvent, SendRequest},
        settings::{DISPATCHER_QUEUE, MAILBOX, OUTBOX, PERMIT_AGE},
    },
    octoprint::OctoPrint,
    outbound::{Networks, Outbound},
    simulator::{Farm, Fault, MachineAction},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::support::{server::start_farm, wait};

const PRINTER: Uuid = Uuid::from_u128(1);
const DEADLINE: Duration = Duration::from_secs(60);

/// A fleet with one printer that is printing.
struct FleetSetup {
    fleet: Fleet,
    inbox: Inbox,
    farm: Farm,
    stop: CancellationToken,
}

impl FleetSetup {
    async fn new() -> Self {
        let (farm, stop) = (start_farm(1).await, CancellationToken::new());
        let (fleet, inbox) = Fleet::new(Settings::default(), &TaskTracker::new(), stop.clone());
        let printer = &farm.printers()[0];
        let outbound = Outbound::new(Networks::default()).expect("a client");
        let url = printer.url().parse().expect("a url");
        let octoprint =
            OctoPrint::new(url, &PrinterAccess::with_api_key(printer.api_key()), outbound).expect("a client");
        fleet.start_actor(ActorConfig::new(PRINTER, octoprint));
        printer.select("long/vase.gcode");
        printer.perform(MachineAction::StartSelected);
        let setup = Self { fleet, inbox, farm, stop };
        setup.until_state(PrinterState::Printing).await;
        setup
    }

    async fn until_state(&self, state: PrinterState) {
        wait::until(&format!("the printer is {state:?}"), DEADLINE, async || {
            let seen = self.fleet.view().get(PRINTER).map(|live| live.state);
            if seen == Some(state) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }

    fn perform(&self, id: u128, command: Command, expires: Instant) {
        self.try_perform(id, command, expires).expect("accepted");
    }

    fn try_perform(&self, id: u128, command: Command, expires: Instant) -> Result<(), ActorUnavailable> {
        let actor_command = ActorCommand {
            command_id: Uuid::from_u128(id),
            command,
            expected_job: None,
            file: None,
            named: true,
            force: false,
            assume_clear: true,
            confirm_within: DEADLINE,
            wait_when_unreachable: false,
            expires,
            recovery: None,
        };
        self.fleet.perform(PRINTER, actor_command)
    }

    /// Returns the next event of the actor.
    async fn next(&mut self) -> ActorEvent {
        tokio::time::timeout(DEADLINE, self.inbox.events.recv()).await.expect("in time").expect("an actor")
    }

    async fn next_send_request(&mut self) -> SendRequest {
        match self.next().await {
            ActorEvent::SendRequest(request) => request,
            other => panic!("the actor requests no permit: {other:?}"),
        }
    }

    async fn next_report(&mut self) -> CommandReport {
        match self.next().await {
            ActorEvent::Report(report) => report,
            other => panic!("the actor sends no report: {other:?}"),
        }
    }

    /// Waits until every actor has ended after a stop.
    async fn until_ended(&self) {
        tokio::time::timeout(DEADLINE, self.fleet.ended().cancelled_owned()).await.expect("the actors end");
    }

    /// Returns the commands that the printer has received from the job client.
    fn received_commands(&self) -> Vec<String> {
        self.farm.printers()[0].received_requests().into_iter().map(|received| received.command).collect()
    }
}

#[tokio::test]
async fn a_command_whose_permit_arrives_after_its_expiry_is_not_sent() {
    let mut setup = FleetSetup::new().await;
    let mut time = Duration::from_millis(250);
    // On a slow machine the command may expire before the actor requests its permit. Then the loop allows more time.
    let (request, expires) = loop {
        let expires = Instant::now() + time;
        setup.perform(1, Command::Pause, expires);
        match setup.next().await {
            ActorEvent::SendRequest(request) => break (request, expires),
            ActorEvent::Report(report) if report.outcome == Outcome::Expired && time < DEADLINE => time *= 2,
            other => panic!("the actor requests no permit: {other:?}"),
        }
    };
    wait::until("the command has expired", DEADLINE, async || Instant::now() >= expires).await;
    request.permit.send(true).expect("the actor waits");
    assert_eq!(setup.next_report().await.outcome, Outcome::Expired);
    assert!(setup.received_commands().is_empty(), "{:?}", setup.received_commands());
    // The next command is sent as usual.
    setup.perform(2, Command::Pause, Instant::now() + DEADLINE);
    setup.next_send_request().await.permit.send(true).expect("the actor waits");
    assert_eq!(setup.next_report().await.outcome, Outcome::Accepted);
    assert_eq!(setup.next_report().await.outcome, Outcome::Confirmed);
    assert_eq!(setup.received_commands(), ["pause"]);
    setup.stop.cancel();
}

#[tokio::test]
async fn an_actor_keeps_reading_its_printer_while_the_dispatcher_accepts_nothing() {
    let mut setup = FleetSetup::new().await;
    let all = u128::try_from(DISPATCHER_QUEUE + OUTBOX + MAILBOX).expect("a number");
    // Each of these commands has expired before the actor receives it, and is reported at once.
    let past = Instant::now();
    for id in 0..all {
        wait::until("there is room in the mailbox", DEADLINE, async || setup.try_perform(id, Command::Pause, past))
            .await;
    }
    wait::until("the mailbox stays full", DEADLINE, async || setup.try_perform(all, Command::Pause, past).is_err())
        .await;
    setup.farm.printers()[0].perform(MachineAction::Pause);
    setup.until_state(PrinterState::Paused).await;
    for id in 0..all {
        let report = setup.next_report().await;
        assert_eq!((report.command_id, report.outcome), (Uuid::from_u128(id), Outcome::Expired), "in order");
    }
    setup.stop.cancel();
}

#[tokio::test]
async fn a_late_permit_is_not_used_and_is_requested_again() {
    let mut setup = FleetSetup::new().await;
    setup.perform(1, Command::Pause, Instant::now() + DEADLINE);
    let first = setup.next_send_request().await;
    assert!(!first.is_repeated);
    // By then another server may have taken over.
    let too_old = Instant::now() + PERMIT_AGE;
    wait::until("the permit is too old", DEADLINE, async || Instant::now() >= too_old).await;
    first.permit.send(true).expect("the actor waits");
    let second = setup.next_send_request().await;
    assert_eq!((second.is_repeated, second.attempt), (true, first.attempt));
    assert!(setup.received_commands().is_empty(), "nothing was sent: {:?}", setup.received_commands());
    second.permit.send(true).expect("the actor waits");
    assert_eq!(setup.next_report().await.outcome, Outcome::Accepted);
    assert_eq!(setup.next_report().await.outcome, Outcome::Confirmed);
    assert_eq!(setup.received_commands(), ["pause"]);
    setup.stop.cancel();
}

#[tokio::test]
async fn a_permit_is_not_used_for_a_printer_that_was_taken_out_of_service_in_the_meantime() {
    let refusal = || Some(Message::new("refusal-out-of-service"));
    let mut setup = FleetSetup::new().await;
    setup.farm.printers()[0].perform(MachineAction::Pause);
    setup.until_state(PrinterState::Paused).await;
    for (id, command) in [(1, Command::Resume), (2, Command::Restart)] {
        setup.fleet.set_out_of_service(PRINTER, None);
        setup.perform(id, command, Instant::now() + DEADLINE);
        let request = setup.next_send_request().await;
        setup.fleet.set_out_of_service(PRINTER, refusal());
        request.permit.send(true).expect("the actor waits");
        let report = setup.next_report().await;
        assert_eq!((report.outcome, report.reason), (Outcome::Rejected, Some(Reason::OutOfService)), "{command}");
        assert_eq!(report.detail, refusal());
    }
    assert!(setup.received_commands().is_empty(), "{:?}", setup.received_commands());
    setup.stop.cancel();
}

#[tokio::test]
async fn a_restart_does_not_start_a_printer_that_was_taken_out_of_service_in_the_meantime() {
    let mut setup = FleetSetup::new().await;
    setup.perform(1, Command::Restart, Instant::now() + DEADLINE);
    setup.next_send_request().await.permit.send(true).expect("the actor waits");
    assert_eq!(setup.next_report().await.outcome, Outcome::Accepted);
    // The permit for the second half was requested before or after this.
    setup.fleet.set_out_of_service(PRINTER, Some(Message::new("refusal-out-of-service")));
    let report = match setup.next().await {
        ActorEvent::Report(report) => report,
        ActorEvent::SendRequest(request) => {
            request.permit.send(true).expect("the actor waits");
            setup.next_report().await
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((report.outcome, report.reason), (Outcome::Unconfirmed, Some(Reason::CancelledNotStarted)));
    assert_eq!(report.detail.map(|detail| detail.id), Some("refusal-not-started-again".into()));
    assert_eq!(setup.received_commands(), ["cancel"]);
    setup.stop.cancel();
}

#[tokio::test]
async fn a_server_that_stops_waits_for_the_reply_to_a_command_that_it_sent() {
    let mut setup = FleetSetup::new().await;
    setup.perform(1, Command::Pause, Instant::now() + DEADLINE);
    let request = setup.next_send_request().await;
    // From here, no reading is needed before the send.
    setup.farm.printers()[0].set_fault(Some(Fault::Hang));
    request.permit.send(true).expect("the actor waits");
    setup.stop.cancel();
    setup.farm.printers()[0].set_fault(None);
    assert_eq!(setup.next_report().await.outcome, Outcome::Accepted);
    setup.until_ended().await;
    assert_eq!(setup.received_commands(), ["pause"]);
}

#[tokio::test]
async fn a_server_that_stops_uses_the_permits_that_were_requested() {
    for granted in [true, false] {
        let mut setup = FleetSetup::new().await;
        setup.perform(1, Command::Pause, Instant::now() + DEADLINE);
        let request = setup.next_send_request().await;
        setup.stop.cancel();
        request.permit.send(granted).expect("the actor waits");
        if granted {
            assert_eq!(setup.next_report().await.outcome, Outcome::Accepted);
        }
        setup.until_ended().await;
        let sent: &[&str] = if granted { &["pause"] } else { &[] };
        assert_eq!(setup.received_commands(), sent);
        assert!(setup.inbox.events.try_recv().is_err(), "no command ends, and no permit is requested");
    }
}

#[tokio::test]
async fn a_printer_that_does_not_reply_holds_up_the_stop_for_the_time_of_one_request() {
    let mut setup = FleetSetup::new().await;
    setup.farm.printers()[0].queue_command_fault(Fault::Hang);
    setup.perform(1, Command::Pause, Instant::now() + DEADLINE);
    setup.next_send_request().await.permit.send(true).expect("the actor waits");
    setup.stop.cancel();
    setup.until_ended().await;
    assert!(setup.inbox.events.try_recv().is_err(), "the next process reads the printer");
}

#[tokio::test]
async fn a_server_that_has_lost_the_farm_ends_its_actors_at_once() {
    let mut setup = FleetSetup::new().await;
    setup.perform(1, Command::Pause, Instant::now() + DEADLINE);
    let request = setup.next_send_request().await;
    setup.stop.cancel();
    setup.fleet.abort_actors();
    setup.until_ended().await;
    assert!(request.permit.send(true).is_err(), "no one sends it");
    assert!(setup.received_commands().is_empty(), "{:?}", setup.received_commands());
}
