//! Outcomes that the database refuses to store, and batches that cannot be read.

use printyard::{
    domain::{
        command::{Outcome, Reason},
        event::EventType,
    },
    storage::{batches, commands, events},
};

use super::{
    databases::{execute, on_each_database},
    fixtures::{at, create_queued_batch, sample_report, sample_send},
};

#[tokio::test]
async fn an_unrecorded_row_is_rejected_if_nothing_was_sent_and_unknown_otherwise() {
    on_each_database(async |db| {
        let (_, rows) = create_queued_batch(&db, 4).await;
        let [queued, sent, accepted, ended] = [0, 1, 2, 3].map(|i| rows[i].id);
        commands::commit_sends(&db, &[sent, accepted, ended].map(|id| sample_send(id, 1))).await.expect("sent");
        let reports = [sample_report(accepted, Outcome::Accepted), sample_report(ended, Outcome::Confirmed)];
        commands::store_reports(&db, &reports, &[]).await.expect("reported");
        let missing = printyard::clock::new_id();
        for _ in 0..2 {
            let ids = [queued, sent, accepted, ended, missing];
            let now = commands::end_not_recorded(&db, &ids, at(30)).await.expect("ended");
            let expected = [
                (queued, Outcome::Rejected),
                (sent, Outcome::Unknown),
                (accepted, Outcome::Unknown),
                (ended, Outcome::Confirmed),
            ];
            assert_eq!(now, expected.into(), "the second call returns the same result");
        }
        for id in [queued, sent, accepted] {
            let row = commands::get(&db, id).await.expect("read").expect("a row");
            assert_eq!((row.reason, row.finished_at), (Some(Reason::NotRecorded), Some(at(30))));
        }
        let page = events::list_page(&db, 0, Some(&[EventType::CommandFinished]), 500).await.expect("read");
        assert_eq!(page.events.len(), 4, "each outcome has one event");
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_hides_no_other() {
    on_each_database(async |db| {
        let ((one, _), (other, _)) = (create_queued_batch(&db, 1).await, create_queued_batch(&db, 1).await);
        execute(&db, "update batches set state = 'lost' where id in (select id from batches order by id limit 1)")
            .await;
        let unfinished = batches::list_unfinished(&db).await.expect("read");
        let readable: Vec<_> = unfinished.iter().map(|(id, batch)| (*id, batch.is_ok())).collect();
        assert_eq!(readable, [(one.id, false), (other.id, true)]);
    })
    .await;
}
