//! Permits: `sent` is committed to the command log before an actor may send.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Dispatcher,
    retry::{GroupPart, RowGroup},
};
use crate::{
    clock,
    domain::{command::Outcome, message::Message},
    fleet::message::SendRequest,
    storage::commands,
};

impl Dispatcher {
    /// Commits `sent` for a group of requests, and grants or refuses each permit.
    pub(super) async fn on_send_requests(&mut self, requests: Vec<SendRequest>) {
        let mut group = RowGroup::new(requests);
        while let Some(part) = self
            .next_part("commit of sends", &mut group, |readies| async {
                // Each attempt uses the current time: a command that expires while the database is unavailable is not
                // sent.
                let won = commands::commit_sends(&self.db, &to_sends(&readies, clock::now())).await;
                (readies, won)
            })
            .await
        {
            match part {
                GroupPart::Done(requests, won) => {
                    let won: HashSet<Uuid> = won.into_iter().collect();
                    let (won, lost): (Vec<_>, Vec<_>) =
                        requests.into_iter().partition(|request| won.contains(&request.command_id));
                    for request in won {
                        self.grant_permit(request);
                    }
                    self.on_refused_sends(lost).await;
                }
                GroupPart::Refused(request) => {
                    let (id, is_first) = (request.command_id, request.attempt == 1 && !request.is_repeated);
                    refuse_permit(request);
                    // An actor that has sent this command before ends it itself.
                    if is_first && self.rows.contains_key(&id) {
                        self.end_as_not_recorded(vec![id.into()]).await;
                    }
                }
            }
        }
    }

    fn grant_permit(&mut self, request: SendRequest) {
        self.printer_queues.mark_sent(request.printer_id, request.command_id);
        if let Some(row) = self.rows.get_mut(&request.command_id) {
            (row.outcome, row.attempts) = (Outcome::Sent, request.attempt);
        }
        // If the actor is gone, there is nothing to send.
        let _ = request.permit.send(true);
    }

    /// Handles sends that the command log did not accept. The command has ended or expired, or its send was committed
    /// by a write whose reply was lost.
    async fn on_refused_sends(&mut self, lost: Vec<SendRequest>) {
        if lost.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = lost.iter().map(|request| request.command_id).collect();
        let (stored, _) = self.read_rows(&ids).await;
        let mut dropped = Vec::new();
        for request in lost {
            let id = request.command_id;
            // Only this process sends. So a send that is in the log and was never granted is this one.
            let is_committed =
                stored.get(&id).is_some_and(|row| row.outcome == Outcome::Sent && row.attempts == request.attempt);
            if is_committed && self.rows.get(&id).is_some_and(|row| row.attempts < request.attempt) {
                self.grant_permit(request);
                continue;
            }
            // An actor that got this permit before and did not use it ends its command itself.
            if request.attempt == 1 && !request.is_repeated && self.rows.contains_key(&id) {
                dropped.push(id);
            }
            refuse_permit(request);
        }
        self.end_rows(&dropped, Outcome::Expired, None, Some(&Message::new("refusal-expired"))).await;
    }
}

fn refuse_permit(request: SendRequest) {
    // If the actor is gone, there is nothing to send.
    let _ = request.permit.send(false);
}

fn to_sends(requests: &[SendRequest], at: DateTime<Utc>) -> Vec<commands::SendCommit> {
    let send = |request: &SendRequest| commands::SendCommit {
        id: request.command_id,
        attempt: request.attempt,
        is_repeated: request.is_repeated,
        step: request.step,
        resolved: request.resolved,
        state_before: Some(request.state_before),
        print_id: request.print_id,
        file_path: request.file_path.clone(),
        at,
    };
    requests.iter().map(send).collect()
}
