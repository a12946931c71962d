//! Webhook storage: each delivery is created once and taken once, secrets are limited, and old rows are removed.

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    clock::{self, new_id},
    domain::{
        audit::{Action, AuditEntry},
        event::EventType,
        message::Message,
        webhook::{DeliveryFilter, DeliveryState, DisabledReason, Webhook, WebhookDetails},
    },
    storage::{
        Db, audit, sealed,
        sealed::{ResealedSecret, SealedTable},
        webhooks::{self, AttemptResult, NewDelivery, PositionAdvance, SigningSecret},
    },
};
use uuid::Uuid;

use super::{
    databases::{execute, on_each_database},
    fixtures::{at, sample_entry},
};

fn sample_secret(bytes: &[u8]) -> SigningSecret {
    SigningSecret { id: new_id(), sealed: bytes.to_vec(), until: None }
}

async fn insert_webhook(db: &Db, ordered: bool) -> Uuid {
    let webhook = Webhook {
        id: new_id(),
        details: WebhookDetails {
            url: "http://erp.example/".into(),
            description: "erp".into(),
            types: vec![EventType::BatchFinished],
            enabled: true,
            ordered,
        },
        tags: vec!["hall-a".into()],
        created_by: "anna".into(),
        position: 0,
        disabled_reason: None,
        failing_since: None,
        last_success_at: None,
        last_error: None,
        version: 1,
        created_at: at(0),
        updated_at: at(0),
    };
    assert!(webhooks::insert(db, &webhook, &sample_secret(b"one"), 3, &sample_entry()).await.expect("inserted"));
    let position = webhooks::get(db, webhook.id).await.expect("read").expect("a row").position;
    assert_eq!(
        webhooks::get(db, webhook.id).await.expect("read"),
        Some(Webhook { position, ..webhook.clone() }),
        "the stored position"
    );
    webhook.id
}

fn sample_advance(webhook_id: Uuid, from: i64, n: i64) -> PositionAdvance {
    let delivery =
        |seq| NewDelivery { id: new_id(), event_seq: seq, event_id: new_id(), kind: EventType::BatchFinished };
    PositionAdvance { webhook_id, from, to: from + n, deliveries: (from + 1..=from + n).map(delivery).collect() }
}

async fn read_position(db: &Db, id: Uuid) -> i64 {
    webhooks::get(db, id).await.expect("read").expect("a row").position
}

async fn count_deliveries(db: &Db, id: Uuid) -> usize {
    webhooks::list_deliveries(db, id, &DeliveryFilter::default(), None, 1_000).await.expect("read").len()
}

fn sample_attempt(
    delivery: &printyard::domain::webhook::Delivery,
    state: DeliveryState,
    next_at: Option<DateTime<Utc>>,
) -> AttemptResult {
    AttemptResult {
        id: delivery.id,
        webhook_id: delivery.webhook_id,
        number: delivery.attempts,
        state,
        is_about_receiver: true,
        next_at,
        status: Some(500),
        error: Some(Message::verbatim("no\0good")),
        response: Some("oh".into()),
        latency_ms: Some(3),
        at: at(100),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_advances_with_its_deliveries_and_for_one_writer() {
    on_each_database(async |db| {
        let (id, other) = (insert_webhook(&db, false).await, insert_webhook(&db, false).await);
        let (start, start_of_other) = (read_position(&db, id).await, read_position(&db, other).await);
        for round in 0..20 {
            let from = start + round * 3;
            let racing = (0..4).map(|n| {
                let (db, steps) = (db.clone(), [sample_advance(id, from, 3), sample_advance(other, start_of_other, 1)]);
                tokio::spawn(async move {
                    let steps = if n % 2 == 0 { steps } else { [steps[1].clone(), steps[0].clone()] };
                    webhooks::advance_positions(&db, &steps[..], at(1)).await.expect("written")
                })
            });
            let mut moved = Vec::new();
            for task in racing.collect::<Vec<_>>() {
                moved.extend(task.await.expect("no panic"));
            }
            assert_eq!(moved.iter().filter(|moved| **moved == id).count(), 1, "{moved:?}");
            assert_eq!(read_position(&db, id).await, from + 3);
        }
        assert_eq!((count_deliveries(&db, id).await, count_deliveries(&db, other).await), (60, 1));
        let pending = webhooks::count_pending(&db).await.expect("read");
        assert!(pending.contains(&(id, 60)) && pending.contains(&(other, 1)), "{pending:?}");
        assert!(webhooks::disable(&db, id, DisabledReason::Gone, at(2), &sample_entry()).await.expect("written"));
        assert!(!webhooks::disable(&db, id, DisabledReason::Failing, at(2), &sample_entry()).await.expect("written"));
        assert!(
            webhooks::advance_positions(&db, &[sample_advance(id, start + 60, 1)], at(1))
                .await
                .expect("written")
                .is_empty()
        );
        assert!(
            webhooks::claim_due(&db, id, false, 9, at(9), at(30)).await.expect("claimed").is_empty(),
            "it is disabled"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_claimed_once_and_again_after_its_lease() {
    on_each_database(async |db| {
        let id = insert_webhook(&db, false).await;
        let from = read_position(&db, id).await;
        webhooks::advance_positions(&db, &[sample_advance(id, from, 30)], at(1)).await.expect("written");
        let claims = (0..6).map(|_| {
            let db = db.clone();
            tokio::spawn(async move { webhooks::claim_due(&db, id, false, 10, at(2), at(40)).await.expect("claimed") })
        });
        let mut claimed = Vec::new();
        for task in claims.collect::<Vec<_>>() {
            claimed.extend(task.await.expect("no panic"));
        }
        let mut seqs: Vec<i64> = claimed.iter().map(|delivery| delivery.event_seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        assert_eq!(seqs.len(), claimed.len(), "none twice");
        claimed.extend(webhooks::claim_due(&db, id, false, 30, at(2), at(40)).await.expect("claimed"));
        assert_eq!((claimed.len(), webhooks::next_due(&db, id, false).await.expect("read")), (30, Some(at(40))));
        let lost = webhooks::claim_due(&db, id, false, 1, at(41), at(80)).await.expect("claimed");
        assert_eq!(lost[0].attempts, 2);
        let first = claimed.iter().find(|delivery| delivery.id == lost[0].id).expect("claimed before");
        let late = webhooks::store_attempt(&db, &sample_attempt(first, DeliveryState::Delivered, None))
            .await
            .expect("written");
        let now = webhooks::get_delivery(&db, id, first.id).await.expect("read").expect("a row");
        assert_eq!((late, now.state), (None, DeliveryState::Pending), "another attempt is in flight");
        let since =
            webhooks::store_attempt(&db, &sample_attempt(&lost[0], DeliveryState::Pending, Some(at(200)))).await;
        assert_eq!(since.expect("written"), Some(at(100)));
        let now = webhooks::get_delivery(&db, id, first.id).await.expect("read").expect("a row");
        let error = Some(Message::verbatim("no\0good"));
        assert_eq!((now.status, now.error, now.next_at), (Some(500), error.clone(), Some(at(200))));
        let hook = webhooks::get(&db, id).await.expect("read").expect("a row");
        assert_eq!((hook.failing_since, hook.last_error), (Some(at(100)), error));
        let sent =
            webhooks::redeliver(&db, id, first.id, at(101), &sample_entry()).await.expect("written").expect("a row");
        assert_eq!((sent.attempts, sent.next_at), (0, Some(at(101))));
        let again = webhooks::claim_due(&db, id, false, 1, at(102), at(140)).await.expect("claimed");
        let under_way = webhooks::redeliver(&db, id, again[0].id, at(103), &sample_entry()).await.expect("written");
        assert_eq!(under_way.expect("a row").next_at, Some(at(140)), "a delivery in flight is unchanged");
        assert_eq!(webhooks::redeliver(&db, id, new_id(), at(103), &sample_entry()).await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn an_ordered_webhook_claims_only_its_oldest_delivery() {
    on_each_database(async |db| {
        let id = insert_webhook(&db, true).await;
        let from = read_position(&db, id).await;
        webhooks::advance_positions(&db, &[sample_advance(id, from, 3)], at(1)).await.expect("written");
        let claim = async |now, lost_at| webhooks::claim_due(&db, id, true, 4, now, lost_at).await.expect("claimed");
        let first = claim(at(2), at(40)).await;
        assert_eq!(first.iter().map(|delivery| delivery.event_seq).collect::<Vec<_>>(), [from + 1]);
        assert!(claim(at(3), at(40)).await.is_empty(), "the delivery is in flight");
        webhooks::store_attempt(&db, &sample_attempt(&first[0], DeliveryState::Pending, Some(at(50))))
            .await
            .expect("written");
        assert!(claim(at(49), at(90)).await.is_empty(), "it waits");
        assert_eq!(webhooks::next_due(&db, id, true).await.expect("read"), Some(at(50)));
        let again = claim(at(50), at(90)).await;
        webhooks::store_attempt(&db, &sample_attempt(&again[0], DeliveryState::Abandoned, None))
            .await
            .expect("written");
        assert_eq!(claim(at(51), at(90)).await[0].event_seq, from + 2);
    })
    .await;
}

#[tokio::test]
async fn a_webhook_has_at_most_two_secrets_that_are_resealed_and_removed_with_it() {
    on_each_database(async |db| {
        let id = insert_webhook(&db, false).await;
        let all = async |now| webhooks::list_secrets(&db, id, now).await.expect("read");
        for (bytes, until) in [(b"two", at(50)), (b"tri", at(60))] {
            assert!(
                webhooks::rotate_secret(&db, id, &sample_secret(bytes), until, &sample_entry()).await.expect("written")
            );
        }
        let values = |secrets: Vec<SigningSecret>| secrets.into_iter().map(|secret| secret.sealed).collect::<Vec<_>>();
        assert_eq!(values(all(at(59)).await), [b"tri".to_vec(), b"two".to_vec()]);
        assert_eq!(values(all(at(60)).await), [b"tri".to_vec()]);
        assert!(
            !webhooks::rotate_secret(&db, new_id(), &sample_secret(b"x"), at(1), &sample_entry()).await.expect("read")
        );
        let stored = sealed::list_page(&db, SealedTable::Webhooks, None, 10).await.expect("read");
        assert!(stored.len() == 2 && stored[0].name == "the webhook http://erp.example/", "{}", stored[0].name);
        let fresh: Vec<_> = stored
            .iter()
            .map(|value| ResealedSecret { id: value.id, previous: value.sealed.clone(), sealed: b"new".to_vec() })
            .collect();
        assert_eq!(sealed::reseal(&db, SealedTable::Webhooks, &fresh).await.expect("written"), 2);
        assert_eq!(values(all(at(59)).await), [b"new".to_vec(), b"new".to_vec()]);
        assert_eq!(sealed::count_values(&db).await.expect("read"), 2);
        assert!(webhooks::remove(&db, id, &sample_entry()).await.expect("removed"));
        assert!(!webhooks::remove(&db, id, &sample_entry()).await.expect("read"));
        assert_eq!(sealed::count_values(&db).await.expect("read"), 0);
        assert!(audit::verify(&db).await.expect("read").faults.is_empty());
    })
    .await;
}

#[tokio::test]
async fn webhooks_and_their_stored_deliveries_are_limited() {
    on_each_database(async |db| {
        let id = insert_webhook(&db, false).await;
        for _ in 0..2 {
            insert_webhook(&db, false).await;
        }
        let webhook = Webhook { id: new_id(), ..webhooks::get(&db, id).await.expect("read").expect("a row") };
        assert!(
            !webhooks::insert(&db, &webhook, &sample_secret(b"x"), 3, &sample_entry()).await.expect("read"),
            "three webhooks are the limit"
        );

        let (from, now) = (read_position(&db, id).await, clock::now());
        webhooks::advance_positions(&db, &[sample_advance(id, from, 14)], now).await.expect("written");
        // The first four events are no longer stored.
        execute(&db, "delete from events").await;
        execute(&db, &format!("update events_head set seq = {}", from + 4)).await;
        let cleared = AuditEntry { action: Action::PlateCleared, printer_ids: vec![new_id()], ..sample_entry() };
        audit::append_single(&db, &cleared).await.expect("written");
        assert_eq!(webhooks::delete_old_deliveries(&db, 3).await.expect("deleted"), 4, "waiting deliveries are kept");
        for delivery in
            webhooks::claim_due(&db, id, false, 10, now, now + TimeDelta::minutes(1)).await.expect("claimed")
        {
            webhooks::store_attempt(&db, &sample_attempt(&delivery, DeliveryState::Abandoned, None))
                .await
                .expect("written");
        }
        assert_eq!(webhooks::delete_old_deliveries(&db, 3).await.expect("deleted"), 7);
        assert_eq!(count_deliveries(&db, id).await, 3);
    })
    .await;
}
