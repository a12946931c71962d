//! Tests that every command ends, whichever database operation fails.

use super::*;
use crate::storage::fault_injection::{FailureDuration, FailurePoint, InjectedFailure};

/// Runs everything that the dispatcher writes, while one database operation fails. Returns the number of operations,
/// and the expected end of each command.
async fn run_script(
    test: &mut TestDispatcher,
    failure: InjectedFailure,
) -> (u64, Vec<(Uuid, Outcome, Option<Reason>)>) {
    let sent = test.add(|_| {}).await;
    let expired = test.add(|row| row.expires_at = Some(clock::now())).await;
    let unsettled = test.add(|row| (row.outcome, row.attempts) = (Outcome::Sent, 1)).await;
    let limited = |spec: &mut BatchSpec| (spec.on_failure, spec.max_in_flight) = (OnFailure::Stop, 1);
    let (_, stopped) = test.store(BatchState::Running, limited, 2, |_| {}).await;
    let by_token = |spec: &mut BatchSpec| spec.token_id = Some(Uuid::nil());
    let (_, forbidden) = test.store(BatchState::Scheduled, by_token, 1, |_| {}).await;

    test.dispatcher.db.faults().inject(failure);
    let ((one, granted), (other, refused)) = (send_request(&sent, 1), send_request(&expired, 1));
    test.dispatcher.on_actor_events(vec![ActorEvent::SendRequest(one), ActorEvent::SendRequest(other)]).await;
    assert_eq!((granted.await, refused.await), (Ok(true), Ok(false)), "{failure:?}");
    let settled = SettledEffect { effect: Effect::Done, state: PrinterState::Paused, at: clock::now() };
    let messages = [test.report(sent.id, Outcome::Accepted), test.report(unsettled.id, Outcome::Unknown)];
    test.dispatcher.on_actor_events(messages.into()).await;
    test.dispatcher.on_actor_events(vec![ActorEvent::Settled { command_id: unsettled.id, settled }]).await;
    let end = test.report(sent.id, Outcome::Confirmed);
    test.dispatcher.on_actor_events(vec![end]).await;
    let is_over = |dispatcher: &Dispatcher| dispatcher.rows.is_empty() && dispatcher.active_batches.is_empty();
    for turn in 0.. {
        assert!(turn < 10, "{failure:?}: {:?}", test.dispatcher.rows);
        let now = Instant::now();
        (test.dispatcher.next_due_check, test.dispatcher.compare_at, test.dispatcher.next_record_attempt.0) =
            (now, now, now);
        test.dispatcher.tick().await;
        test.dispatcher.release_commands().await;
        // The first tick that can read the batches of the script takes them up.
        if turn > 1 && is_over(&test.dispatcher) {
            break;
        }
    }
    assert!(test.dispatcher.unrecorded.is_empty() && test.dispatcher.undelivered.is_empty(), "{failure:?}");
    let uses = test.dispatcher.db.faults().uses();
    test.dispatcher.db.faults().stop();
    let row = test.stored_row(unsettled.id).await;
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
async fn fail_each_use(moment: FailurePoint) {
    let mut test = TestDispatcher::new().await;
    let printers = test.dispatcher.rows.drain().map(|(_, row)| row.id).collect::<Vec<_>>();
    let ends: Vec<_> = printers.iter().map(|id| CommandReport::new(*id, Outcome::Confirmed, clock::now())).collect();
    commands::store_reports(&test.dispatcher.db, &ends, &[]).await.expect("ended");
    for nth in 1.. {
        let (uses, ends) =
            run_script(&mut test, InjectedFailure { nth, point: moment, duration: FailureDuration::OneUse }).await;
        for (id, outcome, reason) in ends {
            let row = test.stored_row(id).await;
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
    fail_each_use(FailurePoint::Before).await;
}

#[tokio::test]
async fn every_command_ends_when_any_use_of_the_database_fails_before_its_commit() {
    fail_each_use(FailurePoint::BeforeCommit).await;
}

#[tokio::test]
async fn every_command_ends_when_any_use_of_the_database_loses_the_reply_to_its_commit() {
    fail_each_use(FailurePoint::AfterCommit).await;
}
