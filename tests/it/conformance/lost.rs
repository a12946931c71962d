//! Lost replies, on the simulator: a start is never sent twice, harmless commands are sent again, and an outcome
//! reports only observed effects.

use printyard::simulator::{Fault, Received};
use serde_json::json;

use super::{
    subject::{SOON, Subject},
    yard::{LONG, SHORT, Yard, ended},
};
use crate::support::{octoprint::Version, wait};

/// Returns the job requests that the printer has received since `from`, in order.
fn sent(yard: &Yard, from: usize) -> Vec<String> {
    let of_the_job = |received: &&Received| received.path == "/api/job" || received.command == "select";
    let log = yard.subject.simulated_printer().received();
    log.iter()
        .skip(from)
        .filter(of_the_job)
        .map(|received| received.action.clone().unwrap_or(received.command.clone()))
        .collect()
}

fn log_length(yard: &Yard) -> usize {
    yard.subject.simulated_printer().received().len()
}

/// Sends a command with this fault. Checks its outcome and the exact requests.
async fn meets(yard: &Yard, fault: Fault, command: &str, outcome: &str, requests: &[&str]) {
    let from = log_length(yard);
    yard.subject.simulated_printer().fault_next_command(fault.clone());
    let row = yard.job(json!({ "command": command, "confirm_within_s": 4 })).await;
    assert_eq!(ended(&row), outcome, "{command} with {fault:?}: {row}");
    assert_eq!(sent(yard, from), requests, "{command} with {fault:?}");
    assert_eq!(row["attempts"], requests.len(), "{row}");
}

const LOSSES: [Fault; 2] = [Fault::ResetAfterActing, Fault::StatusAfterActing(502)];
const NEVER_DONE: [Fault; 3] = [Fault::Reset, Fault::Garbage, Fault::Status(502)];

async fn a_lost_reply_to_what_was_done_is_confirmed_by_looking(yard: &Yard) {
    for fault in LOSSES {
        yard.idle_with(LONG).await;
        meets(yard, fault.clone(), "start", "confirmed", &["start"]).await;
        meets(yard, fault.clone(), "pause", "confirmed", &["pause"]).await;
        meets(yard, fault.clone(), "resume", "confirmed", &["resume"]).await;
        meets(yard, fault.clone(), "cancel", "confirmed", &["cancel"]).await;
    }
}

async fn what_does_no_harm_is_sent_again_when_it_was_not_done(yard: &Yard) {
    for fault in NEVER_DONE {
        yard.printing().await;
        meets(yard, fault.clone(), "pause", "confirmed", &["pause", "pause"]).await;
        meets(yard, fault.clone(), "resume", "confirmed", &["resume", "resume"]).await;
        meets(yard, fault.clone(), "cancel", "confirmed", &["cancel", "cancel"]).await;
    }
}

async fn a_start_is_never_sent_again(yard: &Yard) {
    for fault in NEVER_DONE {
        yard.idle_with(LONG).await;
        meets(yard, fault.clone(), "start", "unknown/no_answer", &["start"]).await;
        assert_eq!(yard.subject.job().await["state"], "Operational");
    }
}

async fn a_lost_start_of_a_short_print_is_confirmed(yard: &Yard) {
    for fault in LOSSES {
        yard.idle_with(SHORT).await;
        meets(yard, fault, "start", "confirmed", &["start"]).await;
    }
}

async fn a_pause_that_is_refused_again_and_again_is_given_up(yard: &Yard) {
    yard.printing().await;
    for _ in 0..2 {
        yard.subject.simulated_printer().fault_next_command(Fault::Reset);
    }
    meets(yard, Fault::Reset, "pause", "unknown/no_answer", &["pause", "pause", "pause"]).await;
    assert_eq!(yard.subject.job().await["state"], "Printing");
}

/// The first send may still take effect, so the response to the second one does not decide the outcome.
async fn a_refusal_of_the_second_send_is_no_word_about_the_first(yard: &Yard) {
    yard.printing().await;
    yard.subject.simulated_printer().fault_next_command(Fault::Reset);
    meets(yard, Fault::WrongKey, "pause", "unknown", &["pause", "pause"]).await;
}

/// The start was lost, and a user selects its file while the printer is unreachable. A selection must not confirm the
/// start.
async fn a_selection_behind_our_back_confirms_no_start(yard: &Yard) {
    yard.idle_with(LONG).await;
    let printer = yard.subject.simulated_printer();
    printer.fault_next_command(Fault::Reset);
    let from = log_length(yard);
    let start = json!({ "command": "start", "file": { "path": SHORT }, "confirm_within_s": 6 });
    let batch = yard.post(start).await;
    wait::until("the start was sent", SOON, async || sent(yard, from).len() == 1).await;
    printer.set_fault(Some(Fault::Refuse));
    yard.until("not reachable", |printer| printer["status"]["reachability"] == "unreachable").await;
    printer.select(SHORT);
    printer.set_fault(None);
    let row = yard.end_of(&batch).await;
    assert_eq!(ended(&row), "unknown/no_answer", "{row}");
    assert_eq!(sent(yard, from), ["select"]);
}

async fn pushed() {
    let yard = Yard::over(Subject::simulated(Version::V1).await).await;
    a_lost_reply_to_what_was_done_is_confirmed_by_looking(&yard).await;
    what_does_no_harm_is_sent_again_when_it_was_not_done(&yard).await;
    a_lost_start_of_a_short_print_is_confirmed(&yard).await;
    a_start_is_never_sent_again(&yard).await;
    a_pause_that_is_refused_again_and_again_is_given_up(&yard).await;
    a_refusal_of_the_second_send_is_no_word_about_the_first(&yard).await;
    a_selection_behind_our_back_confirms_no_start(&yard).await;
}

async fn polled() {
    let yard = Yard::over(Subject::simulated(Version::V1).await.without_socket()).await;
    a_lost_reply_to_what_was_done_is_confirmed_by_looking(&yard).await;
    what_does_no_harm_is_sent_again_when_it_was_not_done(&yard).await;
    a_lost_start_of_a_short_print_is_confirmed(&yard).await;
    a_start_is_never_sent_again(&yard).await;
}

#[tokio::test]
async fn a_reply_that_is_lost_is_settled_by_looking_with_an_event_socket_and_without() {
    tokio::join!(pushed(), polled());
}
