//! The command log: stored values are read back, writes are compare-and-set, and a final outcome never changes.

use printyard::{
    clock::new_id,
    domain::{
        audit::{Action, Found},
        batch::{Batch, BatchState, PlatePolicy},
        command::{Command, CommandRow, Effect, ExpectedJob, FileRef, Outcome, Reason, Settled, Step},
        state::PrinterState,
    },
    storage::{
        audit::{self, AuditFilter},
        batches::{self, BatchFilter, StopResult},
        commands::{self, Report, Reported, Send, Visible},
    },
};
use serde_json::json;
use uuid::Uuid;

use super::{
    databases::on_each,
    fixtures::{at, batch, create, entry, ids, outcome, report, row, send, stored},
};

fn full_batch() -> Batch {
    let mut full = batch(Command::Start);
    full.state = BatchState::Scheduled;
    full.spec.file = Some(FileRef { path: "ä \"b\"/c.gcode".into(), origin: "local".into() });
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
        detail: Some("it said \"no\" – twice".into()),
        released_at: Some(at(1)),
        expires_at: Some(at(61)),
        finished_at: Some(at(4)),
        ..row(batch, position)
    }
}

#[tokio::test]
async fn a_batch_and_its_rows_read_back_as_they_were_written() {
    on_each(async |db| {
        let full = full_batch();
        let rows = [row(&full, 0), full_row(&full, 1)];
        create(&db, &full, &rows, &entry()).await.expect("created");
        assert_eq!(batches::get(&db, full.id).await.expect("read"), Some(full.clone()));
        for row in &rows {
            assert_eq!(commands::get(&db, row.id).await.expect("read").as_ref(), Some(row));
        }
        assert_eq!(commands::of_batch(&db, full.id, None, 500, None, &Visible::default()).await.expect("read"), rows);
        // SQLite stores whole seconds and milliseconds as shorter texts.
        let mut round = batch(Command::Cancel);
        round.created_at = chrono::DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let mut tenth = row(&round, 0);
        tenth.expires_at = chrono::DateTime::from_timestamp(1_790_000_000, 100_000_000);
        create(&db, &round, std::slice::from_ref(&tenth), &entry()).await.expect("created");
        assert_eq!(batches::get(&db, round.id).await.expect("read"), Some(round));
        assert_eq!(commands::get(&db, tenth.id).await.expect("read"), Some(tenth));
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all() {
    on_each(async |db| {
        let broken = batch(Command::Pause);
        let rows = [row(&broken, 0), row(&broken, 0)];
        assert!(create(&db, &broken, &rows, &entry()).await.is_err(), "two rows at one position are refused");
        assert_eq!(batches::get(&db, broken.id).await.expect("read"), None);
        create(&db, &broken, &[], &entry()).await.expect("the database works");
        assert!(batches::counts(&db, &[broken.id], &Visible::default()).await.expect("read").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_send_is_committed_once_and_keeps_what_was_first() {
    on_each(async |db| {
        let (_, rows) = stored(&db, 2).await;
        let (id, bare) = (rows[0].id, rows[1].id);
        let print_id = new_id();
        let first = Send {
            resolved: Some(Command::Pause),
            state_before: Some(PrinterState::Printing),
            print_id: Some(print_id),
            ..send(id, 1)
        };
        let won = commands::commit_sends(&db, &[first.clone(), first.clone(), send(bare, 1)]).await.expect("no error");
        assert_eq!(won, [id, bare]);
        assert!(commands::commit_sends(&db, &[first]).await.expect("no error").is_empty());
        assert!(commands::commit_sends(&db, &[send(id, 3)]).await.expect("no error").is_empty());
        let second = Send {
            step: Step::Start,
            state_before: Some(PrinterState::Paused),
            resolved: Some(Command::Resume),
            at: at(12),
            ..send(id, 2)
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
    on_each(async |db| {
        let (_, rows) = stored(&db, 3).await;
        let (early, late, whole) = (rows[0].id, rows[1].id, rows[2].id);
        // A send at 10.123456 s is compared with the same time, the next microsecond, and the whole second before.
        let next = at(10) + chrono::Duration::microseconds(1);
        let second = at(10) - chrono::Duration::microseconds(123_456);
        let released = commands::release(&db, &[(early, at(10)), (late, next), (whole, second)], at(1)).await;
        assert_eq!(released.expect("released").len(), 3);
        let sends = [send(early, 1), send(late, 1), send(whole, 1)];
        assert_eq!(commands::commit_sends(&db, &sends).await.expect("no error"), [late]);
        let row = commands::get(&db, early).await.expect("read").expect("a row");
        assert_eq!((row.released_at, row.expires_at), (Some(at(1)), Some(at(10))));
        assert_eq!(commands::release(&db, &[(late, at(99))], at(2)).await.expect("no error"), [], "it is sent");
        let ended = commands::end_queued(&db, &[early, late], Outcome::Expired, None, Some("too late"), at(11)).await;
        assert_eq!(ids(&ended.expect("ended")), [early]);
        let row = commands::get(&db, early).await.expect("read").expect("a row");
        assert_eq!(
            (row.outcome, row.detail.as_deref(), row.finished_at),
            (Outcome::Expired, Some("too late"), Some(at(11)))
        );
    })
    .await;
}

#[tokio::test]
async fn a_final_outcome_never_changes() {
    on_each(async |db| {
        for outcome in Outcome::ALL.iter().filter(|outcome| outcome.is_final()) {
            let (batch, rows) = stored(&db, 1).await;
            let id = rows[0].id;
            commands::commit_sends(&db, &[send(id, 1)]).await.expect("sent");
            assert_eq!(commands::report(&db, &[report(id, *outcome)], &[]).await.expect("reported").changed, 1);
            let before = commands::get(&db, id).await.expect("read");
            for other in Outcome::ALL {
                let again = commands::report(&db, &[report(id, *other)], &[]).await.expect("no error");
                assert_eq!(again, Reported::default(), "{outcome} {other}");
            }
            assert!(commands::commit_sends(&db, &[send(id, 1), send(id, 2)]).await.expect("no error").is_empty());
            assert!(commands::commit_sends(&db, &[send(id, 2)]).await.expect("no error").is_empty());
            assert_eq!(commands::skip_queued(&db, &[id], Reason::BatchStopped, None, at(9)).await.expect("saved"), []);
            assert_eq!(commands::release(&db, &[(id, at(9))], at(9)).await.expect("no error"), []);
            assert!(
                batches::stop(&db, batch.id, at(9), &entry()).await.expect("saved").expect("a row").skipped.is_empty()
            );
            assert_eq!(commands::get(&db, id).await.expect("read"), before);
        }
    })
    .await;
}

#[tokio::test]
async fn a_row_never_goes_back_and_is_sent_by_commit_alone() {
    on_each(async |db| {
        let (_, rows) = stored(&db, 1).await;
        let id = rows[0].id;
        let reported =
            async |outcome| commands::report(&db, &[report(id, outcome)], &[]).await.expect("no error").changed == 1;
        assert!(!reported(Outcome::Sent).await);
        assert!(!reported(Outcome::Accepted).await);
        assert!(reported(Outcome::Queued).await, "a waiting row can say why");
        commands::commit_sends(&db, &[send(id, 1)]).await.expect("sent");
        assert!(!reported(Outcome::Queued).await);
        assert!(reported(Outcome::Accepted).await);
        assert!(!reported(Outcome::Sent).await);
        assert_eq!(commands::commit_sends(&db, &[send(id, 2)]).await.expect("no error"), [id]);
        assert!(reported(Outcome::Unconfirmed).await);
    })
    .await;
}

#[tokio::test]
async fn reports_of_one_row_in_one_group_count_in_their_order() {
    on_each(async |db| {
        let (_, rows) = stored(&db, 3).await;
        let (id, twice, bare) = (rows[0].id, rows[1].id, rows[2].id);
        commands::commit_sends(&db, &[send(id, 1), send(twice, 1), send(bare, 1)]).await.expect("sent");
        let print_id = new_id();
        let group = [
            Report { accepted_at: Some(at(11)), print_id: Some(print_id), ..report(id, Outcome::Accepted) },
            report(twice, Outcome::Confirmed),
            Report {
                reason: Some(Reason::NoEffect),
                detail: Some("nothing\0 moved".into()),
                state_after: Some(PrinterState::Printing),
                accepted_at: Some(at(15)),
                ..report(id, Outcome::Unconfirmed)
            },
            report(twice, Outcome::Unknown),
            report(bare, Outcome::Accepted),
        ];
        let touched = commands::report(&db, &group, &[]).await.expect("reported");
        assert_eq!((touched.changed, touched.ended), (3, [id, twice].into()));
        let row = commands::get(&db, id).await.expect("read").expect("a row");
        assert_eq!((row.outcome, row.reason), (Outcome::Unconfirmed, Some(Reason::NoEffect)));
        assert_eq!(row.detail.as_deref(), Some("nothing\u{fffd} moved"));
        assert_eq!((row.accepted_at, row.finished_at), (Some(at(11)), Some(at(20))));
        assert_eq!((row.print_id, row.state_after), (Some(print_id), Some(PrinterState::Printing)));
        assert_eq!(outcome(&db, twice).await, Outcome::Confirmed);
        let row = commands::get(&db, bare).await.expect("read").expect("a row");
        assert_eq!((row.outcome, row.reason, row.accepted_at, row.finished_at), (Outcome::Accepted, None, None, None));
    })
    .await;
}

#[tokio::test]
async fn an_empty_group_is_nothing_to_do() {
    on_each(async |db| {
        assert_eq!(commands::release(&db, &[], at(0)).await.expect("no error"), []);
        assert!(commands::commit_sends(&db, &[]).await.expect("no error").is_empty());
        assert_eq!(commands::report(&db, &[], &[]).await.expect("no error"), Reported::default());
        assert_eq!(commands::skip_queued(&db, &[], Reason::BatchStopped, None, at(0)).await.expect("no error"), []);
        assert!(batches::finish_done(&db, &[], at(0)).await.expect("no error").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_late_effect_is_added_once_to_an_unknown_one_or_to_one_that_was_undone() {
    on_each(async |db| {
        let (_, rows) = stored(&db, 3).await;
        let (maybe, done, old) = (rows[0].id, rows[1].id, rows[2].id);
        let sends: Vec<Send> = rows.iter().map(|row| send(row.id, 1)).collect();
        commands::commit_sends(&db, &sends).await.expect("sent");
        let old_report = Report { finished_at: Some(at(5)), ..report(old, Outcome::Unconfirmed) };
        let reports = [report(maybe, Outcome::Unknown), report(done, Outcome::Confirmed), old_report];
        commands::report(&db, &reports, &[]).await.expect("reported");
        let unsettled = async || -> Vec<_> {
            commands::unsettled_since(&db, at(5)).await.expect("read").iter().map(|row| row.id).collect()
        };
        assert_eq!(unsettled().await, [maybe]);
        let settled = Settled { effect: Effect::Done, state: PrinterState::Paused, at: at(90) };
        assert!(commands::settle(&db, maybe, &settled).await.expect("settled"));
        let other = Settled { effect: Effect::None, ..settled };
        assert!(!commands::settle(&db, maybe, &other).await.expect("no error"));
        assert!(commands::settle(&db, done, &other).await.expect("settled"), "a done command can be settled as undone");
        assert!(!commands::settle(&db, done, &settled).await.expect("no error"));
        assert_eq!(commands::get(&db, maybe).await.expect("read").expect("a row").settled, Some(settled));
        assert!(unsettled().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn rows_are_found_by_where_they_are() {
    on_each(async |db| {
        let (batch, rows) = stored(&db, 7).await;
        let (_, others) = stored(&db, 1).await;
        let sends: Vec<Send> = rows[..4].iter().map(|row| send(row.id, 1)).collect();
        commands::commit_sends(&db, &sends).await.expect("sent");
        let reports = [report(rows[0].id, Outcome::Confirmed), report(rows[1].id, Outcome::Unchanged)];
        commands::report(&db, &reports, &[]).await.expect("reported");
        let positions = |rows: &[CommandRow]| rows.iter().map(|row| row.position).collect::<Vec<_>>();
        let mut seen = Vec::new();
        loop {
            let page = commands::of_batch(&db, batch.id, seen.last().copied(), 3, None, &Visible::default())
                .await
                .expect("read");
            if page.is_empty() {
                break;
            }
            seen.extend(positions(&page));
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        let done = [Outcome::Confirmed, Outcome::Unchanged];
        let page = commands::of_batch(&db, batch.id, Some(0), 3, Some(&done), &Visible::default()).await.expect("read");
        assert_eq!(positions(&page), [1]);
        assert!(
            commands::of_batch(&db, batch.id, None, 3, Some(&[]), &Visible::default()).await.expect("read").is_empty()
        );
        assert_eq!(
            positions(&commands::outcomes_of(&db, batch.id, &done, &Visible::default()).await.expect("read")),
            [0, 1]
        );
        assert_eq!(positions(&commands::open_of_batch(&db, batch.id).await.expect("read")), [2, 3, 4, 5, 6]);
        let open = commands::open(&db).await.expect("read");
        assert_eq!(open.len(), 6);
        assert!(open.iter().any(|row| row.id == others[0].id));
        let counts = batches::counts(&db, &[batch.id], &Visible::default()).await.expect("read");
        let counts = counts.get(&batch.id).expect("its counts");
        assert_eq!((counts.total(), counts.finals(), counts.of(Outcome::Sent)), (7, 2, 2));
    })
    .await;
}

#[tokio::test]
async fn a_stop_skips_what_is_queued_and_the_batch_ends_with_its_last_row() {
    on_each(async |db| {
        let (batch, rows) = stored(&db, 3).await;
        commands::commit_sends(&db, &[send(rows[0].id, 1)]).await.expect("sent");
        let stopped = batches::stop(&db, batch.id, at(15), &entry()).await.expect("stopped").expect("a row");
        assert_eq!((stopped.before, stopped.skipped.len(), stopped.finished), (BatchState::Running, 2, false));
        let read = async || batches::get(&db, batch.id).await.expect("read").expect("a row");
        assert_eq!((read().await.state, read().await.finished_at), (BatchState::Stopped, None));
        let row = commands::get(&db, rows[1].id).await.expect("read").expect("a row");
        assert_eq!(
            (row.outcome, row.reason, row.finished_at),
            (Outcome::Skipped, Some(Reason::BatchStopped), Some(at(15)))
        );
        assert!(commands::commit_sends(&db, &[send(rows[0].id, 2)]).await.expect("saved").is_empty(), "no second send");
        let unfinished = batches::unfinished(&db).await.expect("read");
        let unfinished: Vec<Batch> = unfinished.into_iter().map(|(_, batch)| batch.expect("readable")).collect();
        assert_eq!(unfinished, [read().await]);
        let again = batches::stop(&db, batch.id, at(16), &entry()).await.expect("no error");
        assert_eq!(again, Some(StopResult { before: BatchState::Stopped, skipped: vec![], finished: false }));
        assert!(batches::finish_done(&db, &[batch.id], at(17)).await.expect("no error").is_empty());
        commands::report(&db, &[report(rows[0].id, Outcome::Confirmed)], &[]).await.expect("reported");
        assert_eq!(batches::finish_done(&db, &[batch.id], at(20)).await.expect("finished"), [batch.id]);
        assert!(batches::finish_done(&db, &[batch.id], at(21)).await.expect("no error").is_empty());
        assert_eq!((read().await.state, read().await.finished_at), (BatchState::Stopped, Some(at(20))));
        // The audit has the end of the batch once, with the printers on which the command did not succeed.
        let filter = AuditFilter { action: Some(Action::BatchFinished), ..Default::default() };
        let ends = audit::page(&db, &filter, None, 10).await.expect("read");
        let [Found::Whole(end)] = ends.as_slice() else { panic!("{ends:?}") };
        let skipped: Vec<Uuid> = rows[1..].iter().map(|row| row.printer_id).collect();
        assert_eq!((end.entry.subject, &end.entry.printer_ids), (Some(batch.id), &skipped));
        let told = json!({"state": "stopped", "result": "partial", "counts": {"confirmed": 1, "skipped": 2}});
        assert_eq!(serde_json::Value::Object(end.entry.changes.clone()), told);
    })
    .await;
}

#[tokio::test]
async fn a_stop_of_a_batch_of_which_nothing_was_sent_ends_it_at_once() {
    on_each(async |db| {
        let (batch, _) = stored(&db, 3).await;
        let stopped = batches::stop(&db, batch.id, at(15), &entry()).await.expect("stopped").expect("a row");
        assert!(stopped.finished);
        let read = batches::get(&db, batch.id).await.expect("read").expect("a row");
        assert_eq!((read.state, read.finished_at), (BatchState::Stopped, Some(at(15))));
    })
    .await;
}

#[tokio::test]
async fn a_finished_batch_cannot_be_stopped() {
    on_each(async |db| {
        let (batch, rows) = stored(&db, 1).await;
        commands::report(&db, &[report(rows[0].id, Outcome::Unreachable)], &[]).await.expect("reported");
        assert_eq!(batches::finish_done(&db, &[batch.id], at(20)).await.expect("finished"), [batch.id]);
        let stopped = batches::stop(&db, batch.id, at(30), &entry()).await.expect("no error").expect("a row");
        assert_eq!(stopped.before, BatchState::Finished);
        let read = batches::get(&db, batch.id).await.expect("read").expect("a row");
        assert_eq!((read.state, read.finished_at), (BatchState::Finished, Some(at(20))));
    })
    .await;
}

#[tokio::test]
async fn batches_are_paged_newest_first_and_filtered() {
    on_each(async |db| {
        let mut all = vec![full_batch()];
        all.extend((0..6).map(|i| Batch { created_at: at(i), ..batch(Command::Pause) }));
        for batch in &all {
            create(&db, batch, &[], &entry()).await.expect("created");
        }
        all.reverse();
        let mut seen = Vec::new();
        loop {
            let after = seen.last().map(|batch: &Batch| batch.id);
            let page = batches::page(&db, &BatchFilter::default(), after, 3).await.expect("read");
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, all);
        let count = async |filter: BatchFilter| batches::page(&db, &filter, None, 50).await.expect("read").len();
        let some = BatchFilter::default;
        assert_eq!(count(BatchFilter { state: Some(BatchState::Scheduled), ..some() }).await, 1);
        assert_eq!(count(BatchFilter { command: Some(Command::Pause), ..some() }).await, 6);
        assert_eq!(count(BatchFilter { external_ref: Some("PP-100234".into()), ..some() }).await, 1);
        assert_eq!(count(BatchFilter { since: Some(at(4)), ..some() }).await, 2);
        let full = all.last().expect("a row");
        assert!(batches::run(&db, full.id).await.expect("runs"));
        assert!(!batches::run(&db, full.id).await.expect("no error"));
        assert_eq!(count(BatchFilter { state: Some(BatchState::Scheduled), ..some() }).await, 0);
    })
    .await;
}

#[tokio::test]
async fn old_batches_are_deleted_with_their_rows_and_unfinished_ones_are_kept() {
    on_each(async |db| {
        let mut old = Vec::new();
        for _ in 0..45 {
            let (batch, rows) = stored(&db, 1).await;
            commands::report(&db, &[report(rows[0].id, Outcome::Rejected)], &[]).await.expect("reported");
            old.push((batch.id, rows[0].id));
        }
        let (open, _) = stored(&db, 1).await;
        let batch_ids: Vec<_> = old.iter().map(|(batch, _)| *batch).chain([open.id]).collect();
        assert_eq!(batches::finish_done(&db, &batch_ids, at(20)).await.expect("finished").len(), 45);
        assert_eq!(batches::delete_older_than(&db, at(20), at(1_000)).await.expect("deleted"), 0);
        assert_eq!(batches::delete_older_than(&db, at(21), at(1_000)).await.expect("deleted"), 45);
        assert_eq!(commands::get(&db, old[0].1).await.expect("read"), None);
        assert_eq!(commands::open_of_batch(&db, open.id).await.expect("read").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_rows_of_a_printer_are_found_by_their_places_and_no_others() {
    on_each(async |db| {
        let (first, rows) = stored(&db, 3).await;
        let (second, others) = stored(&db, 2).await;
        let printer = rows[2].printer_id;
        let mut same = others[1].clone();
        same.id = new_id();
        same.printer_id = printer;
        same.position = 2;
        let third = Batch { created_at: at(5), created_by: "bert".into(), ..batch(Command::Start) };
        same.batch_id = third.id;
        create(&db, &third, &[same.clone()], &entry()).await.expect("created");
        let places = [(first.id, 2), (second.id, 1), (third.id, 2), (third.id, 7), (new_id(), 0)];
        let found = commands::at_places(&db, printer, &places).await.expect("read");
        let told: Vec<_> = found.iter().map(|asked| (asked.row.id, asked.by.as_str(), asked.at)).collect();
        assert_eq!(told, [(same.id, "bert", at(5)), (rows[2].id, "anna", at(0))]);
        assert!(commands::at_places(&db, printer, &[]).await.expect("read").is_empty());
    })
    .await;
}
