//! Tests that every command ends, whichever database operation fails.

use super::*;
use crate::storage::faults::{Failure, Lasts, Moment};

/// Runs everything that the dispatcher writes, while one database operation fails. Returns the number of operations,
/// and the expected end of each command.
async fn script(desk: &mut Desk, failure: Failure) -> (u64, Vec<(Uuid, Outcome, Option<Reason>)>) {
    let sent = desk.add(|_| {}).await;
    let expired = desk.add(|row| row.expires_at = Some(clock::now())).await;
    let unsettled = desk.add(|row| (row.outcome, row.attempts) = (Outcome::Sent, 1)).await;
    let limited = |spec: &mut BatchSpec| (spec.on_failure, spec.max_in_flight) = (OnFailure::Stop, 1);
    let (_, stopped) = desk.store(BatchState::Running, limited, 2, |_| {}).await;
    let by_token = |spec: &mut BatchSpec| spec.token_id = Some(Uuid::nil());
    let (_, forbidden) = desk.store(BatchState::Scheduled, by_token, 1, |_| {}).await;

    desk.dispatcher.db.faults().inject(failure);
    let ((one, granted), (other, refused)) = (ready(&sent, 1), ready(&expired, 1));
    desk.dispatcher.on_messages(vec![ActorEvent::SendRequest(one), ActorEvent::SendRequest(other)]).await;
    assert_eq!((granted.await, refused.await), (Ok(true), Ok(false)), "{failure:?}");
    let settled = Settled { effect: Effect::Done, state: PrinterState::Paused, at: clock::now() };
    let messages = [desk.report(sent.id, Outcome::Accepted), desk.report(unsettled.id, Outcome::Unknown)];
    desk.dispatcher.on_messages(messages.into()).await;
    desk.dispatcher.on_messages(vec![ActorEvent::Settled { command_id: unsettled.id, settled }]).await;
    let end = desk.report(sent.id, Outcome::Confirmed);
    desk.dispatcher.on_messages(vec![end]).await;
    let is_over = |dispatcher: &Dispatcher| dispatcher.rows.is_empty() && dispatcher.active_batches.is_empty();
    for turn in 0.. {
        assert!(turn < 10, "{failure:?}: {:?}", desk.dispatcher.rows);
        let now = Instant::now();
        (desk.dispatcher.check_again, desk.dispatcher.compare_at, desk.dispatcher.record_again.0) = (now, now, now);
        desk.dispatcher.tick().await;
        desk.dispatcher.release().await;
        // The first tick that can read the batches of the script takes them up.
        if turn > 1 && is_over(&desk.dispatcher) {
            break;
        }
    }
    assert!(desk.dispatcher.unrecorded.is_empty() && desk.dispatcher.undelivered.is_empty(), "{failure:?}");
    let uses = desk.dispatcher.db.faults().uses();
    desk.dispatcher.db.faults().lift();
    let row = desk.stored(unsettled.id).await;
    assert_eq!(row.settled.map(|settled| settled.effect), Some(Effect::Done), "{failure:?}");
    let ends = vec![
        (sent.id, Outcome::Confirmed, None),
        (expired.id, Outcome::Expired, None),
        (unsettled.id, Outcome::Unknown, None),
        // No printer of this test has an actor.
        (stopped[0].id, Outcome::Rejected, Some(Reason::PrinterDisabled)),
        (stopped[1].id, Outcome::Skipped, Some(Reason::BatchStopped)),
        (forbidden[0].id, Outcome::Rejected, Some(Reason::Forbidden)),
    ];
    (uses, ends)
}

/// Makes each database operation fail once, at this moment of the operation.
async fn fail_each_use(moment: Moment) {
    let mut desk = Desk::new().await;
    let printers = desk.dispatcher.rows.drain().map(|(_, row)| row.id).collect::<Vec<_>>();
    let ends: Vec<_> = printers.iter().map(|id| stored(*id, Outcome::Confirmed)).collect();
    commands::report(&desk.dispatcher.db, &ends, &[]).await.expect("ended");
    for nth in 1.. {
        let (uses, ends) = script(&mut desk, Failure { nth, moment, lasts: Lasts::OneUse }).await;
        for (id, outcome, reason) in ends {
            let row = desk.stored(id).await;
            assert_eq!((row.outcome, row.reason), (outcome, reason), "use {nth}, {moment:?}");
            assert!(row.attempts <= 1);
        }
        if uses < nth {
            assert!(nth > 15, "the script uses the database");
            return;
        }
    }
}

#[tokio::test]
async fn every_command_ends_when_any_use_of_the_database_fails_before_it_runs() {
    fail_each_use(Moment::Before).await;
}

#[tokio::test]
async fn every_command_ends_when_any_use_of_the_database_fails_before_its_commit() {
    fail_each_use(Moment::BeforeCommit).await;
}

#[tokio::test]
async fn every_command_ends_when_any_use_of_the_database_loses_the_reply_to_its_commit() {
    fail_each_use(Moment::AfterCommit).await;
}
