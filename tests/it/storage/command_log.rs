//! The command log: stored values are read back, writes are compare-and-set, and a final outcome never changes.

use printyard::{
    clock::new_id,
    domain::{
        audit::{Action, AuditFilter, CheckedRecord},
        batch::{Batch, BatchFilter, BatchState, PlatePolicy},
        command::{
            Command, CommandRow, Effect, ExpectedJob, FileRef, Outcome, Reason, ResultClass, SettledEffect, StartFile,
            Step,
        },
        command_report::CommandReport,
        message::Message,
        state::PrinterState,
    },
    storage::{
        audit,
        batches::{self, StopResult},
        commands::{self, RowVisibility, SendCommit, UpdateSummary},
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{
    databases::on_each_database,
    fixtures::{
        at, create_batch, create_queued_batch, read_outcome, sample_batch, sample_entry, sample_report, sample_row,
        sample_send, sorted_ids,
    },
};

fn full_batch() -> Batch {
    let mut full = sample_batch(Command::Start);
    full.state = BatchState::Scheduled;
    full.spec.file = Some(StartFile::OnPrinter(FileRef { path: "ä \"b\"/c.gcode".into(), origin: "local".into() }));
    full.spec.expected_job = Some(ExpectedJob { path: None, print_id: Some(new_id()) });
    full.spec.plate = PlatePolicy::AssumeClear;
    full.spec.not_before = Some(at(600));
    full.spec.reason = Some("shift end".into());
    full.spec.external_ref = Some("PP-100234".into());
    full.retry_of = Some(new_id());
    full
}

/// Returns a row with every field that a new row can have. A new row may be rejected, or released with its batch.
fn full_row(batch: &Batch, position: i64) -> CommandRow {
    CommandRow {
        expected_job: None,
        outcome: Outcome::Rejected,
        reason: Some(Reason::Forbidden),
        detail: Some(Message::verbatim("it said \"no\" – twice")),
        released_at: Some(at(1)),
        expires_at: Some(at(61)),
        finished_at: Some(at(4)),
        ..sample_row(batch, position)
    }
}

#[tokio::test]
async fn a_batch_and_its_rows_read_back_as_they_were_written() {
    on_each_database(async |db| {
        let full = full_batch();
        let rows = [sample_row(&full, 0), full_row(&full, 1)];
        create_batch(&db, &full, &rows, &sample_entry()).await.expect("created");
        assert_eq!(batches::get(&db, full.id).await.expect("read"), Some(full.clone()));
        for row in &rows {
            assert_eq!(commands::get(&db, row.id).await.expect("read").as_ref(), Some(row));
        }
        assert_eq!(
            commands::list_by_batch(&db, full.id, None, 500, None, &RowVisibility::default()).await.expect("read"),
            rows
        );
        // SQLite stores whole seconds and milliseconds as shorter texts.
        let mut round = sample_batch(Command::Cancel);
        round.created_at = chrono::DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let mut tenth = sample_row(&round, 0);
        tenth.expires_at = chrono::DateTime::from_timestamp(1_790_000_000, 100_000_000);
        create_batch(&db, &round, std::slice::from_ref(&tenth), &sample_entry()).await.expect("created");
        assert_eq!(batches::get(&db, round.id).await.expect("read"), Some(round));
        assert_eq!(commands::get(&db, tenth.id).await.expect("read"), Some(tenth));
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all() {
    on_each_database(async |db| {
        let broken = sample_batch(Command::Pause);
        let rows = [sample_row(&broken, 0), sample_row(&broken, 0)];
        assert!(
            create_batch(&db, &broken, &rows, &sample_entry()).await.is_err(),
            "two rows at one position are refused"
        );
        assert_eq!(batches::get(&db, broken.id).await.expect("read"), None);
        create_batch(&db, &broken, &[], &sample_entry()).await.expect("the database works");
        assert!(batches::count_outcomes(&db, &[broken.id], &RowVisibility::default()).await.expect("read").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_send_is_committed_once_and_keeps_its_first_values() {
    on_each_database(async |db| {
        let (_, rows) = create_queued_batch(&db, 2).await;
        let (id, bare) = (rows[0].id, rows[1].id);
        let print_id = new_id();
        let first = SendCommit {
            resolved: Some(Command::Pause),
            state_before: Some(PrinterState::Printing),
            print_id: Some(print_id),
            ..sample_send(id, 1)
        };
        let won =
            commands::commit_sends(&db, &[first.clone(), first.clone(), sample_send(bare, 1)]).await.expect("no error");
        assert_eq!(won, [id, bare]);
        assert!(commands::commit_sends(&db, &[first]).await.expect("no error").is_empty());
        assert!(commands::commit_sends(&db, &[sample_send(id, 3)]).await.expect("no error").is_empty());
        let second = SendCommit {
            step: Step::Start,
            state_before: Some(PrinterState::Paused),
            resolved: Some(Command::Resume),
            at: at(12),
            ..sample_send(id, 2)
        };
        assert_eq!(commands::commit_sends(&db, &[second]).await.expect("no error"), [id]);
        let row = commands::get(&db, id).await.expect("read").expect("a row");
        let expected = CommandRow {
            outcome: Outcome::Sent,
            attempts: 2,
            step: Some(Step::Start),
            sent_at: Some(at(10)),
            state_before: Some(PrinterState::Printing),
            resolved_command: Some(Command::Pause),
            print_id: Some(print_id),
            file_path: Some("a.gcode".into()),
            ..rows[0].clone()
        };
        assert_eq!(row, expected);
        let row = commands::get(&db, bare).await.expect("read").expect("a row");
        let expected = CommandRow {
            outcome: Outcome::Sent,
            attempts: 1,
            step: Some(Step::Pause),
            sent_at: Some(at(10)),
            file_path: Some("a.gcode".into()),
            ..rows[1].clone()
        };
        assert_eq!(row, expected, "absent fields of a group are null");
    })
    .await;
}

#[tokio::test]
async fn an_expired_row_is_not_sent() {
    on_each_database(async |db| {
        let (_, rows) = create_queued_batch(&db, 3).await;
        let (early, late, whole) = (rows[0].id, rows[1].id, rows[2].id);
        // A send at 10.123456 s is compared with the same time, the next microsecond, and the whole second before.
        let next = at(10) + chrono::Duration::microseconds(1);
        let second = at(10) - chrono::Duration::microseconds(123_456);
        let released =
            commands::release_queued(&db, &[(early, at(10), None), (late, next, None), (whole, second, None)], at(1))
                .await;
        assert_eq!(released.expect("released").len(), 3);
        let sends = [sample_send(early, 1), sample_send(late, 1), sample_send(whole, 1)];
        assert_eq!(commands::commit_sends(&db, &sends).await.expect("no error"), [late]);
        let row = commands::get(&db, early).await.expect("read").expect("a row");
        assert_eq!((row.released_at, row.expires_at), (Some(at(1)), Some(at(10))));
        assert_eq!(
            commands::release_queued(&db, &[(late, at(99), None)], at(2)).await.expect("no error"),
            [],
            "it is sent"
        );
        let ended = commands::end_queued(
            &db,
            &[early, late],
            Outcome::Expired,
            None,
            Some(&Message::new("refusal-expired")),
            at(11),
        )
        .await;
        assert_eq!(sorted_ids(&ended.expect("ended")), [early]);
        let row = commands::get(&db, early).await.expect("read").expect("a row");
        assert_eq!(
            (row.outcome, row.detail.clone(), row.finished_at),
            (Outcome::Expired, Some(Message::new("refusal-expired")), Some(at(11)))
        );
    })
    .await;
}

#[tokio::test]
async fn a_final_outcome_never_changes() {
    on_each_database(async |db| {
        for outcome in Outcome::ALL.iter().filter(|outcome| outcome.is_final()) {
            let (batch, rows) = create_queued_batch(&db, 1).await;
            let id = rows[0].id;
            commands::commit_sends(&db, &[sample_send(id, 1)]).await.expect("sent");
            assert_eq!(
                commands::store_reports(&db, &[sample_report(id, *outcome)], &[]).await.expect("reported").changed,
                1
            );
            let before = commands::get(&db, id).await.expect("read");
            for other in Outcome::ALL {
                let again = commands::store_reports(&db, &[sample_report(id, *other)], &[]).await.expect("no error");
                assert_eq!(again, UpdateSummary::default(), "{outcome} {other}");
            }
            assert!(
                commands::commit_sends(&db, &[sample_send(id, 1), sample_send(id, 2)])
                    .await
                    .expect("no error")
                    .is_empty()
            );
            assert!(commands::commit_sends(&db, &[sample_send(id, 2)]).await.expect("no error").is_empty());
            assert_eq!(
                commands::end_queued(&db, &[id], Outcome::Skipped, Some(Reason::BatchStopped), None, at(9))
                    .await
                    .expect("saved"),
                []
            );
            assert_eq!(
                commands::release_queued(&db, &[(id, at(9), Some("printyard/x/a.gcode"))], at(9))
                    .await
                    .expect("no error"),
                []
            );
            assert!(
                batches::stop(&db, batch.id, at(9), &sample_entry())
                    .await
                    .expect("saved")
                    .expect("a row")
                    .skipped
                    .is_empty()
            );
            assert_eq!(commands::get(&db, id).await.expect("read"), before);
        }
    })
    .await;
}

#[tokio::test]
async fn an_outcome_never_goes_back_and_only_a_commit_makes_it_sent() {
    on_each_database(async |db| {
        let (_, rows) = create_queued_batch(&db, 1).await;
        let id = rows[0].id;
        let reported = async |outcome| {
            commands::store_reports(&db, &[sample_report(id, outcome)], &[]).await.expect("no error").changed == 1
        };
        assert!(!reported(Outcome::Sent).await);
        assert!(!reported(Outcome::Accepted).await);
        assert!(reported(Outcome::Queued).await, "a waiting row can say why");
        commands::commit_sends(&db, &[sample_send(id, 1)]).await.expect("sent");
        assert!(!reported(Outcome::Queued).await);
        assert!(reported(Outcome::Accepted).await);
        assert!(!reported(Outcome::Sent).await);
        assert_eq!(commands::commit_sends(&db, &[sample_send(id, 2)]).await.expect("no error"), [id]);
        assert!(reported(Outcome::Unconfirmed).await);
    })
    .await;
}

#[tokio::test]
async fn reports_of_one_row_in_one_bulk_write_apply_in_order() {
    on_each_database(async |db| {
        let (_, rows) = create_queued_batch(&db, 3).await;
        let (id, twice, bare) = (rows[0].id, rows[1].id, rows[2].id);
        commands::commit_sends(&db, &[sample_send(id, 1), sample_send(twice, 1), sample_send(bare, 1)])
            .await
            .expect("sent");
        let print_id = new_id();
        let group = [
            CommandReport {
                accepted_at: Some(at(11)),
                print_id: Some(print_id),
                ..sample_report(id, Outcome::Accepted)
            },
            sample_report(twice, Outcome::Confirmed),
            CommandReport {
                reason: Some(Reason::NoEffect),
                detail: Some(Message::verbatim("nothing\0 moved")),
                state_after: Some(PrinterState::Printing),
                accepted_at: Some(at(15)),
                ..sample_report(id, Outcome::Unconfirmed)
            },
            sample_report(twice, Outcome::Unknown),
            sample_report(bare, Outcome::Accepted),
        ];
        let reported = commands::store_reports(&db, &group, &[]).await.expect("reported");
        assert_eq!((reported.changed, reported.ended), (3, [id, twice].into()));
        let row = commands::get(&db, id).await.expect("read").expect("a row");
        assert_eq!((row.outcome, row.reason), (Outcome::Unconfirmed, Some(Reason::NoEffect)));
        assert_eq!(row.detail, Some(Message::verbatim("nothing\0 moved")));
        assert_eq!((row.accepted_at, row.finished_at), (Some(at(11)), Some(at(20))));
        assert_eq!((row.print_id, row.state_after), (Some(print_id), Some(PrinterState::Printing)));
        assert_eq!(read_outcome(&db, twice).await, Outcome::Confirmed);
        let row = commands::get(&db, bare).await.expect("read").expect("a row");
        assert_eq!((row.outcome, row.reason, row.accepted_at, row.finished_at), (Outcome::Accepted, None, None, None));
    })
    .await;
}

#[tokio::test]
async fn an_empty_bulk_write_changes_nothing() {
    on_each_database(async |db| {
        assert_eq!(commands::release_queued(&db, &[], at(0)).await.expect("no error"), []);
        assert!(commands::commit_sends(&db, &[]).await.expect("no error").is_empty());
        assert_eq!(commands::store_reports(&db, &[], &[]).await.expect("no error"), UpdateSummary::default());
        assert_eq!(
            commands::end_queued(&db, &[], Outcome::Skipped, Some(Reason::BatchStopped), None, at(0))
                .await
                .expect("no error"),
            []
        );
        assert!(batches::finish_ended(&db, &[], at(0)).await.expect("no error").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_late_effect_is_stored_once_for_an_unknown_or_undone_command() {
    on_each_database(async |db| {
        let (_, rows) = create_queued_batch(&db, 3).await;
        let (unknown, done, old) = (rows[0].id, rows[1].id, rows[2].id);
        let sends: Vec<SendCommit> = rows.iter().map(|row| sample_send(row.id, 1)).collect();
        commands::commit_sends(&db, &sends).await.expect("sent");
        let old_report = CommandReport { at: at(5), ..sample_report(old, Outcome::Unconfirmed) };
        let reports = [sample_report(unknown, Outcome::Unknown), sample_report(done, Outcome::Confirmed), old_report];
        commands::store_reports(&db, &reports, &[]).await.expect("reported");
        let unsettled = async || -> Vec<_> {
            commands::list_unsettled_since(&db, at(5)).await.expect("read").iter().map(|row| row.id).collect()
        };
        assert_eq!(unsettled().await, [unknown]);
        let settled = SettledEffect { effect: Effect::Done, state: PrinterState::Paused, at: at(90) };
        assert!(commands::store_settled_effect(&db, unknown, &settled).await.expect("settled"));
        let other = SettledEffect { effect: Effect::None, ..settled };
        assert!(!commands::store_settled_effect(&db, unknown, &other).await.expect("no error"));
        assert!(
            commands::store_settled_effect(&db, done, &other).await.expect("settled"),
            "a done command can be settled as undone"
        );
        assert!(!commands::store_settled_effect(&db, done, &settled).await.expect("no error"));
        assert_eq!(commands::get(&db, unknown).await.expect("read").expect("a row").settled, Some(settled));
        assert!(unsettled().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn rows_are_found_by_batch_outcome_and_position() {
    on_each_database(async |db| {
        let (batch, rows) = create_queued_batch(&db, 7).await;
        let (_, others) = create_queued_batch(&db, 1).await;
        let sends: Vec<SendCommit> = rows[..4].iter().map(|row| sample_send(row.id, 1)).collect();
        commands::commit_sends(&db, &sends).await.expect("sent");
        let reports = [sample_report(rows[0].id, Outcome::Confirmed), sample_report(rows[1].id, Outcome::Unchanged)];
        commands::store_reports(&db, &reports, &[]).await.expect("reported");
        let positions = |rows: &[CommandRow]| rows.iter().map(|row| row.position).collect::<Vec<_>>();
        let mut seen = Vec::new();
        loop {
            let page = commands::list_by_batch(&db, batch.id, seen.last().copied(), 3, None, &RowVisibility::default())
                .await
                .expect("read");
            if page.is_empty() {
                break;
            }
            seen.extend(positions(&page));
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        let done = [Outcome::Confirmed, Outcome::Unchanged];
        let page = commands::list_by_batch(&db, batch.id, Some(0), 3, Some(&done), &RowVisibility::default())
            .await
            .expect("read");
        assert_eq!(positions(&page), [1]);
        assert!(
            commands::list_by_batch(&db, batch.id, None, 3, Some(&[]), &RowVisibility::default())
                .await
                .expect("read")
                .is_empty()
        );
        assert_eq!(
            positions(&commands::list_by_outcome(&db, batch.id, &done, &RowVisibility::default()).await.expect("read")),
            [0, 1]
        );
        assert_eq!(positions(&commands::list_open_of_batch(&db, batch.id).await.expect("read")), [2, 3, 4, 5, 6]);
        let open = commands::list_open(&db).await.expect("read");
        assert_eq!(open.len(), 6);
        assert!(open.iter().any(|row| row.id == others[0].id));
        let counts = batches::count_outcomes(&db, &[batch.id], &RowVisibility::default()).await.expect("read");
        let counts = counts.get(&batch.id).expect("its counts");
        assert_eq!((counts.total(), counts.final_total(), counts.get(Outcome::Sent)), (7, 2, 2));
    })
    .await;
}

#[tokio::test]
async fn a_stop_skips_queued_rows_and_the_batch_ends_with_its_last_row() {
    on_each_database(async |db| {
        let (batch, rows) = create_queued_batch(&db, 3).await;
        commands::commit_sends(&db, &[sample_send(rows[0].id, 1)]).await.expect("sent");
        let stopped = batches::stop(&db, batch.id, at(15), &sample_entry()).await.expect("stopped").expect("a row");
        assert_eq!((stopped.state_before, stopped.skipped.len(), stopped.finished), (BatchState::Running, 2, false));
        let read = async || batches::get(&db, batch.id).await.expect("read").expect("a row");
        assert_eq!((read().await.state, read().await.finished_at), (BatchState::Stopped, None));
        let row = commands::get(&db, rows[1].id).await.expect("read").expect("a row");
        assert_eq!(
            (row.outcome, row.reason, row.finished_at),
            (Outcome::Skipped, Some(Reason::BatchStopped), Some(at(15)))
        );
        assert!(
            commands::commit_sends(&db, &[sample_send(rows[0].id, 2)]).await.expect("saved").is_empty(),
            "no second send"
        );
        let unfinished = batches::list_unfinished(&db).await.expect("read");
        let unfinished: Vec<Batch> = unfinished.into_iter().map(|(_, batch)| batch.expect("readable")).collect();
        assert_eq!(unfinished, [read().await]);
        let again = batches::stop(&db, batch.id, at(16), &sample_entry()).await.expect("no error");
        assert_eq!(again, Some(StopResult { state_before: BatchState::Stopped, skipped: vec![], finished: false }));
        assert!(batches::finish_ended(&db, &[batch.id], at(17)).await.expect("no error").is_empty());
        commands::store_reports(&db, &[sample_report(rows[0].id, Outcome::Confirmed)], &[]).await.expect("reported");
        assert_eq!(batches::finish_ended(&db, &[batch.id], at(20)).await.expect("finished"), [batch.id]);
        assert!(batches::finish_ended(&db, &[batch.id], at(21)).await.expect("no error").is_empty());
        assert_eq!((read().await.state, read().await.finished_at), (BatchState::Stopped, Some(at(20))));
        // The audit has the end of the batch once, with the printers on which the command did not succeed.
        let filter = AuditFilter { action: Some(Action::BatchFinished), ..Default::default() };
        let ends = audit::list_page(&db, &filter, None, 10).await.expect("read");
        let [CheckedRecord::Intact(end)] = ends.as_slice() else { panic!("{ends:?}") };
        let skipped: Vec<Uuid> = rows[1..].iter().map(|row| row.printer_id).collect();
        assert_eq!((end.entry.subject, &end.entry.printer_ids), (Some(batch.id), &skipped));
        let expected = json!({"state": "stopped", "result": "partial", "counts": {"confirmed": 1, "skipped": 2}});
        assert_eq!(serde_json::Value::Object(end.entry.changes.clone()), expected);
    })
    .await;
}

#[tokio::test]
async fn a_stop_before_any_send_ends_the_batch_at_once() {
    on_each_database(async |db| {
        let (batch, _) = create_queued_batch(&db, 3).await;
        let stopped = batches::stop(&db, batch.id, at(15), &sample_entry()).await.expect("stopped").expect("a row");
        assert!(stopped.finished);
        let read = batches::get(&db, batch.id).await.expect("read").expect("a row");
        assert_eq!((read.state, read.finished_at), (BatchState::Stopped, Some(at(15))));
    })
    .await;
}

#[tokio::test]
async fn a_finished_batch_cannot_be_stopped() {
    on_each_database(async |db| {
        let (batch, rows) = create_queued_batch(&db, 1).await;
        commands::store_reports(&db, &[sample_report(rows[0].id, Outcome::Unreachable)], &[]).await.expect("reported");
        assert_eq!(batches::finish_ended(&db, &[batch.id], at(20)).await.expect("finished"), [batch.id]);
        let stopped = batches::stop(&db, batch.id, at(30), &sample_entry()).await.expect("no error").expect("a row");
        assert_eq!(stopped.state_before, BatchState::Finished);
        let read = batches::get(&db, batch.id).await.expect("read").expect("a row");
        assert_eq!((read.state, read.finished_at), (BatchState::Finished, Some(at(20))));
    })
    .await;
}

#[tokio::test]
async fn batches_are_paged_newest_first_and_filtered() {
    on_each_database(async |db| {
        let mut all = vec![full_batch()];
        all.extend((0..6).map(|i| Batch { created_at: at(i), ..sample_batch(Command::Pause) }));
        for batch in &all {
            create_batch(&db, batch, &[], &sample_entry()).await.expect("created");
        }
        all.reverse();
        let mut seen = Vec::new();
        loop {
            let after = seen.last().map(|batch: &Batch| batch.id);
            let page = batches::list_page(&db, &BatchFilter::default(), after, 3).await.expect("read");
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, all);
        let count = async |filter: BatchFilter| batches::list_page(&db, &filter, None, 50).await.expect("read").len();
        let some = BatchFilter::default;
        assert_eq!(count(BatchFilter { state: Some(BatchState::Scheduled), ..some() }).await, 1);
        assert_eq!(count(BatchFilter { command: Some(Command::Pause), ..some() }).await, 6);
        assert_eq!(count(BatchFilter { external_ref: Some("PP-100234".into()), ..some() }).await, 1);
        assert_eq!(count(BatchFilter { since: Some(at(4)), ..some() }).await, 2);
        let by = all[0].created_by.to_uppercase();
        let expected = all.iter().filter(|batch| batch.created_by == all[0].created_by).count();
        assert_eq!(count(BatchFilter { created_by: Some(by), ..some() }).await, expected);
        assert_eq!(count(BatchFilter { created_by: Some("nobody".into()), ..some() }).await, 0);
        let full = all.last().expect("a row");
        assert!(batches::mark_running(&db, full.id).await.expect("runs"));
        assert!(!batches::mark_running(&db, full.id).await.expect("no error"));
        assert_eq!(count(BatchFilter { state: Some(BatchState::Scheduled), ..some() }).await, 0);
    })
    .await;
}

#[tokio::test]
async fn the_results_of_a_batch_are_summarised_by_outcome_and_reason() {
    on_each_database(async |db| {
        let (batch, rows) = create_queued_batch(&db, 3).await;
        let report = |at: usize, outcome, reason| {
            let report = sample_report(rows[at].id, outcome);
            CommandReport { reason, ..report }
        };
        let reports = [
            report(0, Outcome::Confirmed, None),
            report(1, Outcome::Rejected, Some(Reason::NotActive)),
            report(2, Outcome::Rejected, Some(Reason::PrinterRefused)),
        ];
        commands::store_reports(&db, &reports, &[]).await.expect("reported");
        let summaries = batches::summarise_results(&db, &[batch.id], &RowVisibility::default()).await.expect("read");
        let summary = &summaries[&batch.id];
        let classes = [ResultClass::Done, ResultClass::LeftAlone, ResultClass::Failed, ResultClass::Working];
        assert_eq!(classes.map(|class| summary.counts.get(class)), [1, 1, 1, 0]);
        let first = rows.iter().map(|row| row.printer_name.as_str()).min().expect("a row");
        assert_eq!(summary.printer_name, first);
        assert!(batches::summarise_results(&db, &[], &RowVisibility::default()).await.expect("read").is_empty());
    })
    .await;
}

#[tokio::test]
async fn old_batches_are_deleted_with_their_rows_and_unfinished_ones_are_kept() {
    on_each_database(async |db| {
        let mut old = Vec::new();
        for _ in 0..45 {
            let (batch, rows) = create_queued_batch(&db, 1).await;
            commands::store_reports(&db, &[sample_report(rows[0].id, Outcome::Rejected)], &[]).await.expect("reported");
            old.push((batch.id, rows[0].id));
        }
        let (open, _) = create_queued_batch(&db, 1).await;
        let batch_ids: Vec<_> = old.iter().map(|(batch, _)| *batch).chain([open.id]).collect();
        assert_eq!(batches::finish_ended(&db, &batch_ids, at(20)).await.expect("finished").len(), 45);
        assert_eq!(batches::delete_older_than(&db, at(20), at(1_000)).await.expect("deleted"), 0);
        assert_eq!(batches::delete_older_than(&db, at(21), at(1_000)).await.expect("deleted"), 45);
        assert_eq!(commands::get(&db, old[0].1).await.expect("read"), None);
        assert_eq!(commands::list_open_of_batch(&db, open.id).await.expect("read").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_rows_of_a_printer_are_found_by_their_positions_and_no_others() {
    on_each_database(async |db| {
        let (first, rows) = create_queued_batch(&db, 3).await;
        let (second, others) = create_queued_batch(&db, 2).await;
        let printer = rows[2].printer_id;
        let mut same = others[1].clone();
        same.id = new_id();
        same.printer_id = printer;
        same.position = 2;
        let third = Batch { created_at: at(5), created_by: "bert".into(), ..sample_batch(Command::Start) };
        same.batch_id = third.id;
        create_batch(&db, &third, &[same.clone()], &sample_entry()).await.expect("created");
        let positions = [(first.id, 2), (second.id, 1), (third.id, 2), (third.id, 7), (new_id(), 0)];
        let found = commands::list_at_positions(&db, printer, &positions).await.expect("read");
        let summaries: Vec<_> =
            found.iter().map(|command| (command.row.id, command.requested_by.as_str(), command.requested_at)).collect();
        assert_eq!(summaries, [(same.id, "bert", at(5)), (rows[2].id, "anna", at(0))]);
        assert!(commands::list_at_positions(&db, printer, &[]).await.expect("read").is_empty());
    })
    .await;
}
