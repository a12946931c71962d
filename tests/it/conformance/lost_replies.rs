//! Lost replies, on the simulator: a start is never sent twice, harmless commands are sent again, and an outcome
//! reports only observed effects.

use printyard::simulator::{Fault, ReceivedRequest};
use serde_json::json;

use super::{
    setup::{LONG_FILE, PrinterSetup, SHORT_FILE, format_outcome},
    subject::{DEADLINE, TestSubject},
};
use crate::support::{octoprint::OctoPrintVersion, wait};

/// Returns the job requests that the printer has received since `from`, in order.
fn list_job_requests(setup: &PrinterSetup, from: usize) -> Vec<String> {
    let of_the_job = |received: &&ReceivedRequest| received.path == "/api/job" || received.command == "select";
    let log = setup.subject.simulated_printer().received_requests();
    log.iter()
        .skip(from)
        .filter(of_the_job)
        .map(|received| received.action.clone().unwrap_or(received.command.clone()))
        .collect()
}

fn log_length(setup: &PrinterSetup) -> usize {
    setup.subject.simulated_printer().received_requests().len()
}

/// Sends a command with this fault. Checks its outcome and the exact requests.
async fn expect_with_fault(setup: &PrinterSetup, fault: Fault, command: &str, outcome: &str, requests: &[&str]) {
    let from = log_length(setup);
    setup.subject.simulated_printer().queue_command_fault(fault.clone());
    let row = setup.run_command(json!({ "command": command, "confirm_within_s": 4 })).await;
    assert_eq!(format_outcome(&row), outcome, "{command} with {fault:?}: {row}");
    assert_eq!(list_job_requests(setup, from), requests, "{command} with {fault:?}");
    assert_eq!(row["attempts"], requests.len(), "{row}");
}

const REPLY_LOST_FAULTS: [Fault; 2] = [Fault::ResetAfterActing, Fault::StatusAfterActing(502)];
const NOT_EXECUTED_FAULTS: [Fault; 3] = [Fault::Reset, Fault::Garbage, Fault::Status(502)];

async fn a_lost_reply_to_an_executed_command_is_confirmed_by_observation(setup: &PrinterSetup) {
    for fault in REPLY_LOST_FAULTS {
        setup.prepare_idle(LONG_FILE).await;
        expect_with_fault(setup, fault.clone(), "start", "confirmed", &["start"]).await;
        expect_with_fault(setup, fault.clone(), "pause", "confirmed", &["pause"]).await;
        expect_with_fault(setup, fault.clone(), "resume", "confirmed", &["resume"]).await;
        expect_with_fault(setup, fault.clone(), "cancel", "confirmed", &["cancel"]).await;
    }
}

async fn a_harmless_command_that_was_not_executed_is_sent_again(setup: &PrinterSetup) {
    for fault in NOT_EXECUTED_FAULTS {
        setup.start_long_print().await;
        expect_with_fault(setup, fault.clone(), "pause", "confirmed", &["pause", "pause"]).await;
        expect_with_fault(setup, fault.clone(), "resume", "confirmed", &["resume", "resume"]).await;
        expect_with_fault(setup, fault.clone(), "cancel", "confirmed", &["cancel", "cancel"]).await;
    }
}

async fn a_start_is_never_sent_again(setup: &PrinterSetup) {
    for fault in NOT_EXECUTED_FAULTS {
        setup.prepare_idle(LONG_FILE).await;
        expect_with_fault(setup, fault.clone(), "start", "unknown/no_answer", &["start"]).await;
        assert_eq!(setup.subject.read_job().await["state"], "Operational");
    }
}

async fn a_lost_start_of_a_short_print_is_confirmed(setup: &PrinterSetup) {
    for fault in REPLY_LOST_FAULTS {
        setup.prepare_idle(SHORT_FILE).await;
        expect_with_fault(setup, fault, "start", "confirmed", &["start"]).await;
    }
}

async fn a_pause_that_keeps_failing_is_given_up(setup: &PrinterSetup) {
    setup.start_long_print().await;
    for _ in 0..2 {
        setup.subject.simulated_printer().queue_command_fault(Fault::Reset);
    }
    expect_with_fault(setup, Fault::Reset, "pause", "unknown/no_answer", &["pause", "pause", "pause"]).await;
    assert_eq!(setup.subject.read_job().await["state"], "Printing");
}

/// The first send may still take effect, so the response to the second one does not decide the outcome.
async fn a_refusal_of_the_second_send_does_not_decide_the_first(setup: &PrinterSetup) {
    setup.start_long_print().await;
    setup.subject.simulated_printer().queue_command_fault(Fault::Reset);
    expect_with_fault(setup, Fault::WrongKey, "pause", "unknown", &["pause", "pause"]).await;
}

/// The start was lost, and a user selects its file while the printer is unreachable. A selection must not confirm the
/// start.
async fn a_selection_by_a_user_confirms_no_start(setup: &PrinterSetup) {
    setup.prepare_idle(LONG_FILE).await;
    let printer = setup.subject.simulated_printer();
    printer.queue_command_fault(Fault::Reset);
    let from = log_length(setup);
    let start = json!({ "command": "start", "file": { "path": SHORT_FILE }, "confirm_within_s": 6 });
    let batch = setup.post_command(start).await;
    wait::until("the start was sent", DEADLINE, async || list_job_requests(setup, from).len() == 1).await;
    printer.set_fault(Some(Fault::Refuse));
    setup.until_printer("not reachable", |printer| printer["status"]["reachability"] == "unreachable").await;
    printer.select(SHORT_FILE);
    printer.set_fault(None);
    let row = setup.until_command_ended(&batch).await;
    assert_eq!(format_outcome(&row), "unknown/no_answer", "{row}");
    assert_eq!(list_job_requests(setup, from), ["select"]);
}

async fn check_with_event_socket() {
    let setup = PrinterSetup::start(TestSubject::start_simulated(OctoPrintVersion::V1).await).await;
    a_lost_reply_to_an_executed_command_is_confirmed_by_observation(&setup).await;
    a_harmless_command_that_was_not_executed_is_sent_again(&setup).await;
    a_lost_start_of_a_short_print_is_confirmed(&setup).await;
    a_start_is_never_sent_again(&setup).await;
    a_pause_that_keeps_failing_is_given_up(&setup).await;
    a_refusal_of_the_second_send_does_not_decide_the_first(&setup).await;
    a_selection_by_a_user_confirms_no_start(&setup).await;
}

async fn check_without_event_socket() {
    let setup = PrinterSetup::start(TestSubject::start_simulated(OctoPrintVersion::V1).await.without_socket()).await;
    a_lost_reply_to_an_executed_command_is_confirmed_by_observation(&setup).await;
    a_harmless_command_that_was_not_executed_is_sent_again(&setup).await;
    a_lost_start_of_a_short_print_is_confirmed(&setup).await;
    a_start_is_never_sent_again(&setup).await;
}

#[tokio::test]
async fn a_lost_reply_is_settled_by_observation() {
    tokio::join!(check_with_event_socket(), check_without_event_socket());
}
