//! Permits: `sent` is committed to the command log before an actor may send.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Dispatcher,
    retry::{Group, Part},
};
use crate::{clock, domain::command::Outcome, fleet::message::SendRequest, storage::commands};

impl Dispatcher {
    /// Commits `sent` for a group of requests, and grants or refuses each permit.
    pub(super) async fn on_readies(&mut self, readies: Vec<SendRequest>) {
        let mut group = Group::new(readies);
        while let Some(part) = self
            .next_part("commit of sends", &mut group, |readies| async {
                // Each attempt uses the current time: a command that expires while the database is unavailable is not
                // sent.
                let won = commands::commit_sends(&self.db, &sends(&readies, clock::now())).await;
                (readies, won)
            })
            .await
        {
            match part {
                Part::Done(readies, won) => {
                    let won: HashSet<Uuid> = won.into_iter().collect();
                    let (won, lost): (Vec<_>, Vec<_>) =
                        readies.into_iter().partition(|ready| won.contains(&ready.command_id));
                    for ready in won {
                        self.grant(ready);
                    }
                    self.on_lost(lost).await;
                }
                Part::Refused(ready) => {
                    let (id, is_first) = (ready.command_id, ready.attempt == 1 && !ready.is_repeated);
                    refuse(ready);
                    // An actor that has sent this command before ends it itself.
                    if is_first && self.rows.contains_key(&id) {
                        self.end_as_not_recorded(vec![id.into()]).await;
                    }
                }
            }
        }
    }

    fn grant(&mut self, ready: SendRequest) {
        self.printer_queues.mark_sent(ready.printer_id, ready.command_id);
        if let Some(row) = self.rows.get_mut(&ready.command_id) {
            (row.outcome, row.attempts) = (Outcome::Sent, ready.attempt);
        }
        // If the actor is gone, there is nothing to send.
        let _ = ready.permit.send(true);
    }

    /// Handles sends that the command log did not accept. The command has ended or expired, or its send was committed
    /// by a write whose reply was lost.
    async fn on_lost(&mut self, lost: Vec<SendRequest>) {
        if lost.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = lost.iter().map(|ready| ready.command_id).collect();
        let (stored, _) = self.read_rows(&ids).await;
        let mut dropped = Vec::new();
        for ready in lost {
            let id = ready.command_id;
            // Only this process sends. So a send that is in the log and was never granted is this one.
            let is_committed =
                stored.get(&id).is_some_and(|row| row.outcome == Outcome::Sent && row.attempts == ready.attempt);
            if is_committed && self.rows.get(&id).is_some_and(|row| row.attempts < ready.attempt) {
                self.grant(ready);
                continue;
            }
            // An actor that got this permit before and did not use it ends its command itself.
            if ready.attempt == 1 && !ready.is_repeated && self.rows.contains_key(&id) {
                dropped.push(id);
            }
            refuse(ready);
        }
        self.end_rows(&dropped, Outcome::Expired, None, "Its time passed before it could be sent.").await;
    }
}

fn refuse(ready: SendRequest) {
    // If the actor is gone, there is nothing to send.
    let _ = ready.permit.send(false);
}

fn sends(readies: &[SendRequest], at: DateTime<Utc>) -> Vec<commands::Send> {
    let send = |ready: &SendRequest| commands::Send {
        id: ready.command_id,
        attempt: ready.attempt,
        is_repeated: ready.is_repeated,
        step: ready.step,
        resolved: ready.resolved,
        state_before: Some(ready.state_before),
        print_id: ready.print_id,
        file_path: ready.file_path.clone(),
        at,
    };
    readies.iter().map(send).collect()
}
