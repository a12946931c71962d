//! Webhook storage: each delivery is created once and taken once, secrets are limited, and old rows are removed.

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    clock::{self, new_id},
    domain::{
        audit::{Action, Entry},
        event::EventType,
        webhook::{DeliveryState, DisabledReason, Webhook, WebhookDetails},
    },
    storage::{
        Db, audit, sealed,
        sealed::{Resealed, Shelf},
        webhooks::{self, Advance, Attempt, DeliveryFilter, NewDelivery, Secret},
    },
};
use uuid::Uuid;

use super::{
    databases::{execute, on_each},
    fixtures::{at, entry},
};

fn secret(bytes: &[u8]) -> Secret {
    Secret { id: new_id(), sealed: bytes.to_vec(), until: None }
}

async fn insert(db: &Db, ordered: bool) -> Uuid {
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
    assert!(webhooks::insert(db, &webhook, &secret(b"one"), 3, &entry()).await.expect("inserted"));
    let position = webhooks::get(db, webhook.id).await.expect("read").expect("a row").position;
    assert_eq!(
        webhooks::get(db, webhook.id).await.expect("read"),
        Some(Webhook { position, ..webhook.clone() }),
        "the stored position"
    );
    webhook.id
}

fn step(webhook_id: Uuid, from: i64, n: i64) -> Advance {
    let delivery =
        |seq| NewDelivery { id: new_id(), event_seq: seq, event_id: new_id(), kind: EventType::BatchFinished };
    Advance { webhook_id, from, to: from + n, deliveries: (from + 1..=from + n).map(delivery).collect() }
}

async fn position(db: &Db, id: Uuid) -> i64 {
    webhooks::get(db, id).await.expect("read").expect("a row").position
}

async fn count(db: &Db, id: Uuid) -> usize {
    webhooks::page_of_deliveries(db, id, &DeliveryFilter::default(), None, 1_000).await.expect("read").len()
}

fn attempt(
    delivery: &printyard::domain::webhook::Delivery,
    state: DeliveryState,
    again: Option<DateTime<Utc>>,
) -> Attempt {
    Attempt {
        id: delivery.id,
        webhook_id: delivery.webhook_id,
        number: delivery.attempts,
        state,
        about_receiver: true,
        next_at: again,
        status: Some(500),
        error: Some("no\0good".into()),
        response: Some("oh".into()),
        latency_ms: Some(3),
        at: at(100),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_moves_with_its_deliveries_and_of_two_that_move_it_one_does() {
    on_each(async |db| {
        let (id, other) = (insert(&db, false).await, insert(&db, false).await);
        let (start, start_of_other) = (position(&db, id).await, position(&db, other).await);
        for round in 0..20 {
            let from = start + round * 3;
            let racing = (0..4).map(|n| {
                let (db, steps) = (db.clone(), [step(id, from, 3), step(other, start_of_other, 1)]);
                tokio::spawn(async move {
                    let steps = if n % 2 == 0 { steps } else { [steps[1].clone(), steps[0].clone()] };
                    webhooks::advance(&db, &steps[..], at(1)).await.expect("written")
                })
            });
            let mut moved = Vec::new();
            for task in racing.collect::<Vec<_>>() {
                moved.extend(task.await.expect("no panic"));
            }
            assert_eq!(moved.iter().filter(|moved| **moved == id).count(), 1, "{moved:?}");
            assert_eq!(position(&db, id).await, from + 3);
        }
        assert_eq!((count(&db, id).await, count(&db, other).await), (60, 1));
        let pending = webhooks::pending(&db).await.expect("read");
        assert!(pending.contains(&(id, 60)) && pending.contains(&(other, 1)), "{pending:?}");
        assert!(webhooks::disable(&db, id, DisabledReason::Gone, at(2), &entry()).await.expect("written"));
        assert!(!webhooks::disable(&db, id, DisabledReason::Failing, at(2), &entry()).await.expect("written"));
        assert!(webhooks::advance(&db, &[step(id, start + 60, 1)], at(1)).await.expect("written").is_empty());
        assert!(webhooks::claim(&db, id, false, 9, at(9), at(30)).await.expect("claimed").is_empty(), "it is disabled");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_taken_by_one_and_taken_again_when_nothing_was_heard_of_it() {
    on_each(async |db| {
        let id = insert(&db, false).await;
        let from = position(&db, id).await;
        webhooks::advance(&db, &[step(id, from, 30)], at(1)).await.expect("written");
        let takers = (0..6).map(|_| {
            let db = db.clone();
            tokio::spawn(async move { webhooks::claim(&db, id, false, 10, at(2), at(40)).await.expect("claimed") })
        });
        let mut taken = Vec::new();
        for task in takers.collect::<Vec<_>>() {
            taken.extend(task.await.expect("no panic"));
        }
        let mut seqs: Vec<i64> = taken.iter().map(|delivery| delivery.event_seq).collect();
        seqs.sort_unstable();
        seqs.dedup();
        assert_eq!(seqs.len(), taken.len(), "none twice");
        taken.extend(webhooks::claim(&db, id, false, 30, at(2), at(40)).await.expect("claimed"));
        assert_eq!((taken.len(), webhooks::next_due(&db, id, false).await.expect("read")), (30, Some(at(40))));
        let lost = webhooks::claim(&db, id, false, 1, at(41), at(80)).await.expect("claimed");
        assert_eq!(lost[0].attempts, 2);
        let first = taken.iter().find(|delivery| delivery.id == lost[0].id).expect("claimed before");
        let late = webhooks::report(&db, &attempt(first, DeliveryState::Delivered, None)).await.expect("written");
        let now = webhooks::delivery(&db, id, first.id).await.expect("read").expect("a row");
        assert_eq!((late, now.state), (None, DeliveryState::Pending), "another attempt is in flight");
        let since = webhooks::report(&db, &attempt(&lost[0], DeliveryState::Pending, Some(at(200)))).await;
        assert_eq!(since.expect("written"), Some(at(100)));
        let now = webhooks::delivery(&db, id, first.id).await.expect("read").expect("a row");
        assert_eq!((now.status, now.error.as_deref(), now.next_at), (Some(500), Some("no\u{fffd}good"), Some(at(200))));
        let hook = webhooks::get(&db, id).await.expect("read").expect("a row");
        assert_eq!((hook.failing_since, hook.last_error.as_deref()), (Some(at(100)), Some("no\u{fffd}good")));
        let sent = webhooks::redeliver(&db, id, first.id, at(101), &entry()).await.expect("written").expect("a row");
        assert_eq!((sent.attempts, sent.next_at), (0, Some(at(101))));
        let again = webhooks::claim(&db, id, false, 1, at(102), at(140)).await.expect("claimed");
        let under_way = webhooks::redeliver(&db, id, again[0].id, at(103), &entry()).await.expect("written");
        assert_eq!(under_way.expect("a row").next_at, Some(at(140)), "a delivery in flight is unchanged");
        assert_eq!(webhooks::redeliver(&db, id, new_id(), at(103), &entry()).await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn where_order_counts_the_oldest_alone_is_taken_and_holds_up_the_others() {
    on_each(async |db| {
        let id = insert(&db, true).await;
        let from = position(&db, id).await;
        webhooks::advance(&db, &[step(id, from, 3)], at(1)).await.expect("written");
        let take = async |now, lost_at| webhooks::claim(&db, id, true, 4, now, lost_at).await.expect("claimed");
        let first = take(at(2), at(40)).await;
        assert_eq!(first.iter().map(|delivery| delivery.event_seq).collect::<Vec<_>>(), [from + 1]);
        assert!(take(at(3), at(40)).await.is_empty(), "the delivery is in flight");
        webhooks::report(&db, &attempt(&first[0], DeliveryState::Pending, Some(at(50)))).await.expect("written");
        assert!(take(at(49), at(90)).await.is_empty(), "it waits");
        assert_eq!(webhooks::next_due(&db, id, true).await.expect("read"), Some(at(50)));
        let again = take(at(50), at(90)).await;
        webhooks::report(&db, &attempt(&again[0], DeliveryState::Abandoned, None)).await.expect("written");
        assert_eq!(take(at(51), at(90)).await[0].event_seq, from + 2);
    })
    .await;
}

#[tokio::test]
async fn secrets_are_two_at_most_and_are_sealed_anew_and_go_with_their_webhook() {
    on_each(async |db| {
        let id = insert(&db, false).await;
        let all = async |now| webhooks::secrets(&db, id, now).await.expect("read");
        for (bytes, until) in [(b"two", at(50)), (b"tri", at(60))] {
            assert!(webhooks::rotate(&db, id, &secret(bytes), until, &entry()).await.expect("written"));
        }
        let values = |secrets: Vec<Secret>| secrets.into_iter().map(|secret| secret.sealed).collect::<Vec<_>>();
        assert_eq!(values(all(at(59)).await), [b"tri".to_vec(), b"two".to_vec()]);
        assert_eq!(values(all(at(60)).await), [b"tri".to_vec()]);
        assert!(!webhooks::rotate(&db, new_id(), &secret(b"x"), at(1), &entry()).await.expect("read"));
        let stored = sealed::page(&db, Shelf::Webhooks, None, 10).await.expect("read");
        assert!(stored.len() == 2 && stored[0].name == "the webhook http://erp.example/", "{}", stored[0].name);
        let fresh: Vec<_> = stored
            .iter()
            .map(|value| Resealed { id: value.id, was: value.sealed.clone(), sealed: b"new".to_vec() })
            .collect();
        assert_eq!(sealed::reseal(&db, Shelf::Webhooks, &fresh).await.expect("written"), 2);
        assert_eq!(values(all(at(59)).await), [b"new".to_vec(), b"new".to_vec()]);
        assert_eq!(sealed::count(&db).await.expect("read"), 2);
        assert!(webhooks::remove(&db, id, &entry()).await.expect("removed"));
        assert!(!webhooks::remove(&db, id, &entry()).await.expect("read"));
        assert_eq!(sealed::count(&db).await.expect("read"), 0);
        assert!(audit::verify(&db).await.expect("read").faults.is_empty());
    })
    .await;
}

#[tokio::test]
async fn there_is_an_end_to_webhooks_and_to_what_is_kept_of_their_deliveries() {
    on_each(async |db| {
        let id = insert(&db, false).await;
        for _ in 0..2 {
            insert(&db, false).await;
        }
        let webhook = Webhook { id: new_id(), ..webhooks::get(&db, id).await.expect("read").expect("a row") };
        assert!(
            !webhooks::insert(&db, &webhook, &secret(b"x"), 3, &entry()).await.expect("read"),
            "three webhooks are the limit"
        );

        let (from, now) = (position(&db, id).await, clock::now());
        webhooks::advance(&db, &[step(id, from, 14)], now).await.expect("written");
        // The first four events are no longer stored.
        execute(&db, "delete from events").await;
        execute(&db, &format!("update events_head set seq = {}", from + 4)).await;
        let cleared = Entry { action: Action::PlateCleared, printer_ids: vec![new_id()], ..entry() };
        audit::add(&db, &cleared).await.expect("written");
        assert_eq!(webhooks::delete_old(&db, 3).await.expect("deleted"), 4, "waiting deliveries are kept");
        for delivery in webhooks::claim(&db, id, false, 10, now, now + TimeDelta::minutes(1)).await.expect("claimed") {
            webhooks::report(&db, &attempt(&delivery, DeliveryState::Abandoned, None)).await.expect("written");
        }
        assert_eq!(webhooks::delete_old(&db, 3).await.expect("deleted"), 7);
        assert_eq!(count(&db, id).await, 3);
    })
    .await;
}
