//! Idempotency keys: each is bound together with the effect of one request, for a day.

use std::sync::Arc;

use chrono::TimeDelta;
use printyard::{
    clock::new_id,
    domain::{
        audit::{Action, Entry},
        idempotency::KeyUse,
    },
    storage::{Error, audit, idempotency},
};
use uuid::Uuid;

use super::{
    databases::on_each,
    fixtures::{at, entry},
};

fn key() -> KeyUse {
    KeyUse { scope: Uuid::nil(), key: "MO/1".into(), use_id: new_id(), fingerprint: vec![1] }
}

/// Returns the audit entry of a batch that was created with a key.
fn made(key: &KeyUse) -> Entry {
    Entry { action: Action::BatchCreated, subject: Some(new_id()), key: Some(Arc::new(key.clone())), ..entry() }
}

#[tokio::test]
async fn a_key_is_bound_by_one_request_and_free_again_after_a_day() {
    on_each(async |db| {
        let (first, second) = (key(), key());
        let batch = made(&first);
        audit::add(&db, &batch).await.expect("written");
        let bound = idempotency::get(&db, first.scope, &first.key, at(60)).await.expect("read").expect("a key");
        assert_eq!((bound.location, bound.status), (batch.location(), None), "no response is stored yet");
        audit::add(&db, &made(&first)).await.expect("a second entry of the same request");
        assert!(matches!(audit::add(&db, &made(&second)).await, Err(Error::KeyTaken)));
        idempotency::note_answer(&db, &second, 200, None, at(1)).await.expect("no error");
        idempotency::note_answer(&db, &first, 202, None, at(1)).await.expect("stored");
        let bound = idempotency::get(&db, first.scope, &first.key, at(60)).await.expect("read").expect("a key");
        assert_eq!(
            (bound.location, bound.status),
            (batch.location(), Some(202)),
            "the first response, with its resource"
        );

        let later = at(0) + TimeDelta::hours(25);
        assert_eq!(idempotency::get(&db, first.scope, &first.key, later).await.expect("read"), None);
        let again = Entry { at: later, ..made(&second) };
        audit::add(&db, &again).await.expect("bound again");
        let bound = idempotency::get(&db, first.scope, &first.key, later).await.expect("read").expect("a key");
        assert_eq!((bound.location, bound.status), (again.location(), None));
        assert_eq!(idempotency::delete_outdated(&db, later + TimeDelta::hours(25)).await.expect("deleted"), 1);
    })
    .await;
}

#[tokio::test]
async fn what_has_no_place_in_the_api_binds_no_key() {
    on_each(async |db| {
        let key = key();
        let tested = Entry { action: Action::WebhookTested, ..made(&key) };
        audit::add(&db, &tested).await.expect("written");
        assert_eq!(idempotency::get(&db, key.scope, &key.key, at(1)).await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn the_oldest_answers_of_a_scope_are_dropped_and_their_keys_stay() {
    on_each(async |db| {
        let other = KeyUse { scope: new_id(), ..key() };
        idempotency::note_answer(&db, &other, 207, Some("theirs"), at(0)).await.expect("stored");
        let answers = |n: i64| KeyUse { key: format!("MO/{n}"), ..key() };
        let body = "x".repeat(1024 * 1024);
        for n in 0..12 {
            idempotency::note_answer(&db, &answers(n), 207, Some(&body), at(n)).await.expect("stored");
        }
        for n in 0..12 {
            let of = answers(n);
            let bound = idempotency::get(&db, of.scope, &of.key, at(60)).await.expect("read").expect("a key");
            assert_eq!((bound.body.is_some(), bound.body_gone), (n >= 4, n < 4), "answer {n}");
            assert_eq!(bound.status, Some(207));
        }
        let bound = idempotency::get(&db, other.scope, &other.key, at(60)).await.expect("read").expect("a key");
        assert_eq!(bound.body.as_deref(), Some("theirs"), "another scope has its own limit");
        // After its time is over, a key can be used again and gets a new response.
        let later = at(0) + TimeDelta::hours(25);
        idempotency::note_answer(&db, &KeyUse { use_id: new_id(), ..answers(0) }, 207, Some("new"), later)
            .await
            .expect("stored");
        let bound = idempotency::get(&db, answers(0).scope, "MO/0", later).await.expect("read").expect("a key");
        assert_eq!((bound.body.as_deref(), bound.body_gone), (Some("new"), false));
    })
    .await;
}
