//! Races in the command log: exactly one writer wins, and the others learn that they lost.

use std::collections::HashSet;

use printyard::{
    clock::new_id,
    domain::{
        audit::AuditEntry,
        command::{Outcome, Reason},
        command_report::CommandReport,
        print::{PrintActor, PrintFact},
    },
    storage::{
        audit, batches,
        commands::{self, SendCommit},
        print_facts, printers,
    },
};
use uuid::Uuid;

use super::{
    databases::on_each_database,
    fixtures::{
        self, at, create_batch, create_queued_batch, read_outcome, sample_entry, sample_printer, sample_report,
        sample_row, sample_send, sorted_ids,
    },
};

/// Repetitions of a race, enough for both orders.
const ROUNDS: usize = 12;

#[tokio::test]
async fn a_send_before_the_stop_is_kept_and_one_after_it_is_refused() {
    on_each_database(async |db| {
        let (batch, rows) = create_queued_batch(&db, 2).await;
        let (before, after) = (rows[0].id, rows[1].id);
        assert_eq!(commands::commit_sends(&db, &[sample_send(before, 1)]).await.expect("no error"), [before]);
        let stopped = batches::stop(&db, batch.id, at(1), &sample_entry()).await.expect("stopped").expect("a row");
        assert_eq!(stopped.skipped, [after]);
        assert!(commands::commit_sends(&db, &[sample_send(after, 1)]).await.expect("no error").is_empty());
        assert_eq!(read_outcome(&db, before).await, Outcome::Sent);
        assert_eq!(read_outcome(&db, after).await, Outcome::Skipped);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_of_stop_send_and_expiry_wins_each_row() {
    on_each_database(async |db| {
        for _ in 0..ROUNDS {
            let (batch, rows) = create_queued_batch(&db, 40).await;
            let all: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            // The sends begin at the first row and the expiry at the last one, both in parts. So all three meet in the middle.
            let sends = async {
                let mut won = Vec::new();
                for part in all.chunks(10) {
                    let sends: Vec<SendCommit> = part.iter().map(|id| sample_send(*id, 1)).collect();
                    won.extend(commands::commit_sends(&db, &sends).await.expect("no error"));
                }
                won
            };
            let expiry = async {
                let mut won = Vec::new();
                for part in all.rchunks(10) {
                    let ended = commands::end_queued(&db, part, Outcome::Expired, None, None, at(9)).await;
                    won.extend(sorted_ids(&ended.expect("no error")));
                }
                won
            };
            let stop = async {
                tokio::task::yield_now().await;
                batches::stop(&db, batch.id, at(9), &sample_entry()).await.expect("no error").expect("a row").skipped
            };
            let (sent, expired, skipped) = tokio::join!(sends, expiry, stop);
            let mut union: Vec<Uuid> = [&sent[..], &expired, &skipped].concat();
            union.sort();
            assert_eq!(union, all, "each row has one winner");
            for (winners, expected) in [(sent, Outcome::Sent), (expired, Outcome::Expired), (skipped, Outcome::Skipped)]
            {
                for id in winners {
                    assert_eq!(read_outcome(&db, id).await, expected);
                }
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sends_of_one_row_commit_one() {
    on_each_database(async |db| {
        for attempt in 1..=3 {
            let (_, rows) = create_queued_batch(&db, 30).await;
            for before in 1..attempt {
                let sends: Vec<SendCommit> = rows.iter().map(|row| sample_send(row.id, before)).collect();
                assert_eq!(commands::commit_sends(&db, &sends).await.expect("no error").len(), 30);
            }
            let forward: Vec<SendCommit> = rows.iter().map(|row| sample_send(row.id, attempt)).collect();
            let backward: Vec<SendCommit> = forward.iter().rev().cloned().collect();
            let (one, two) =
                tokio::join!(commands::commit_sends(&db, &forward), commands::commit_sends(&db, &backward));
            let (one, two) = (one.expect("no error"), two.expect("no error"));
            assert_eq!(one.len() + two.len(), 30);
            let union: HashSet<Uuid> = one.into_iter().chain(two).collect();
            assert_eq!(union.len(), 30);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_stop_has_returned_no_further_send_is_committed() {
    on_each_database(async |db| {
        for _ in 0..ROUNDS {
            let (batch, rows) = create_queued_batch(&db, 20).await;
            let first: Vec<SendCommit> = rows.iter().map(|row| sample_send(row.id, 1)).collect();
            commands::commit_sends(&db, &first).await.expect("sent");
            let attempts = async || -> Vec<i64> {
                let rows =
                    commands::list_by_batch(&db, batch.id, None, 500, None, &Default::default()).await.expect("read");
                rows.iter().map(|row| row.attempts).collect()
            };
            let again = async {
                for row in &rows {
                    commands::commit_sends(&db, &[sample_send(row.id, 2)]).await.expect("no error");
                }
            };
            let stop = async {
                batches::stop(&db, batch.id, at(9), &sample_entry()).await.expect("stopped");
                attempts().await
            };
            let (at_stop, ()) = tokio::join!(stop, again);
            assert_eq!(attempts().await, at_stop);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_writes_that_share_rows_wait_for_each_other_and_never_fail() {
    on_each_database(async |db| {
        for _ in 0..ROUNDS {
            let owner = sample_printer(&format!("p{}", printyard::clock::new_id().simple()));
            fixtures::insert_printer(&db, &owner, None, &sample_entry()).await.expect("inserted");
            let batch = super::fixtures::sample_batch(printyard::domain::command::Command::Pause);
            let rows: Vec<_> = (0..40)
                .map(|position| {
                    let mut row = sample_row(&batch, position);
                    row.printer_id = owner.id;
                    row
                })
                .collect();
            create_batch(&db, &batch, &rows, &sample_entry()).await.expect("created");
            let all: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            let backward: Vec<Uuid> = all.iter().rev().copied().collect();
            let reports: Vec<CommandReport> = backward.iter().map(|id| sample_report(*id, Outcome::Rejected)).collect();
            let sends: Vec<SendCommit> = all.iter().map(|id| sample_send(*id, 1)).collect();
            let times: Vec<_> = backward.iter().map(|id| (*id, at(99), None)).collect();
            let note = sample_entry();
            let results = tokio::join!(
                commands::store_reports(&db, &reports, &[]),
                commands::commit_sends(&db, &sends),
                commands::release_queued(&db, &times, at(1)),
                commands::end_queued(&db, &backward, Outcome::Skipped, Some(Reason::OvertakenByCancel), None, at(2)),
                printers::remove(&db, owner.id, at(3), &note),
                batches::stop(&db, batch.id, at(4), &note),
            );
            results.0.expect("reported");
            results.1.expect("no error");
            results.2.expect("released");
            results.3.expect("skipped");
            results.4.expect("removed").expect("a row");
            results.5.expect("stopped").expect("a row");
            assert!(commands::list_open_of_batch(&db, batch.id).await.expect("read").is_empty());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_ends_once_when_several_writers_end_its_last_row() {
    on_each_database(async |db| {
        for _ in 0..ROUNDS {
            let (batch, rows) = create_queued_batch(&db, 3).await;
            let (a, b) = (rows[0].id, rows[1].id);
            commands::commit_sends(&db, &[sample_send(a, 1), sample_send(b, 1)]).await.expect("sent");
            let end = async |id: Uuid| {
                commands::store_reports(&db, &[sample_report(id, Outcome::Confirmed)], &[]).await.expect("reported");
                batches::finish_ended(&db, &[batch.id], at(20)).await.expect("no error").len()
            };
            let stop = async {
                let stopped =
                    batches::stop(&db, batch.id, at(20), &sample_entry()).await.expect("stopped").expect("a row");
                usize::from(stopped.finished)
            };
            let (one, two, three) = tokio::join!(end(a), end(b), stop);
            assert_eq!(one + two + three, 1);
            assert!(batches::list_unfinished(&db).await.expect("read").is_empty());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_of_the_audit_make_one_chain_and_none_fails() {
    on_each_database(async |db| {
        for _ in 0..ROUNDS {
            let (batch, rows) = create_queued_batch(&db, 5).await;
            let reports: Vec<CommandReport> = rows.iter().map(|row| sample_report(row.id, Outcome::Rejected)).collect();
            commands::store_reports(&db, &reports, &[]).await.expect("reported");
            let fact = PrintFact::Began { id: new_id(), file: None, at: at(1), by: PrintActor::printer() };
            let (facts, ended) = ([(rows[0].printer_id, fact)], [batch.id]);
            let audited = AuditEntry { printer_ids: rows.iter().map(|row| row.printer_id).collect(), ..sample_entry() };
            let (one, two, stopped, recorded, listed, again, removed) = tokio::join!(
                batches::finish_ended(&db, &ended, at(3)),
                batches::finish_ended(&db, &ended, at(3)),
                batches::stop(&db, batch.id, at(4), &audited),
                print_facts::store_facts(&db, new_id(), &facts, std::slice::from_ref(&audited)),
                audit::index_new_rows(&db),
                audit::index_new_rows(&db),
                audit::delete_older_than(&db, at(-1), at(9)),
            );
            let by_stop = stopped.expect("no error").is_some_and(|result| result.finished);
            let ends = one.expect("no error").len() + two.expect("no error").len() + usize::from(by_stop);
            assert_eq!(ends, 1, "the batch ends once");
            recorded.expect("recorded");
            assert!(listed.is_ok() && again.is_ok() && removed.is_ok(), "{listed:?} {again:?} {removed:?}");
        }
        audit::index_new_rows(&db).await.expect("listed");
        let verified = audit::verify(&db).await.expect("verified");
        assert_eq!(verified.faults, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_permit_that_was_not_used_is_committed_again_and_a_used_one_is_not() {
    on_each_database(async |db| {
        let (_, rows) = create_queued_batch(&db, 1).await;
        let id = rows[0].id;
        let repeated = SendCommit { is_repeated: true, ..sample_send(id, 1) };
        let commit =
            async |send: &SendCommit| commands::commit_sends(&db, std::slice::from_ref(send)).await.expect("saved");
        assert!(commit(&repeated).await.is_empty(), "the permit was never granted");
        assert_eq!(commit(&sample_send(id, 1)).await, [id]);
        assert!(commit(&sample_send(id, 1)).await.is_empty(), "the permit was granted");
        assert_eq!(commit(&repeated).await, [id]);
        let row = commands::get(&db, id).await.expect("read").expect("a row");
        assert_eq!(row.attempts, 1);
    })
    .await;
}
