//! Idempotency keys: each is bound together with the effect of one request, for a day.

use std::sync::Arc;

use chrono::TimeDelta;
use printyard::{
    clock::new_id,
    domain::{
        audit::{Action, AuditEntry},
        idempotency::KeyUse,
    },
    storage::{Error, audit, idempotency},
};
use uuid::Uuid;

use super::{
    databases::on_each_database,
    fixtures::{at, sample_entry},
};

fn sample_key() -> KeyUse {
    KeyUse { scope: Uuid::nil(), key: "MO/1".into(), use_id: new_id(), fingerprint: vec![1] }
}

/// Returns the audit entry of a batch that was created with a key.
fn entry_with_key(key: &KeyUse) -> AuditEntry {
    AuditEntry {
        action: Action::BatchCreated,
        subject: Some(new_id()),
        idempotency_key: Some(Arc::new(key.clone())),
        ..sample_entry()
    }
}

#[tokio::test]
async fn a_key_is_bound_by_one_request_and_free_again_after_a_day() {
    on_each_database(async |db| {
        let (first, second) = (sample_key(), sample_key());
        let batch = entry_with_key(&first);
        audit::append_single(&db, &batch).await.expect("written");
        let bound = idempotency::get(&db, first.scope, &first.key, at(60)).await.expect("read").expect("a key");
        assert_eq!((bound.location, bound.status), (batch.location(), None), "no response is stored yet");
        audit::append_single(&db, &entry_with_key(&first)).await.expect("a second entry of the same request");
        assert!(matches!(audit::append_single(&db, &entry_with_key(&second)).await, Err(Error::KeyTaken)));
        idempotency::store_response(&db, &second, 200, None, at(1)).await.expect("no error");
        idempotency::store_response(&db, &first, 202, None, at(1)).await.expect("stored");
        let bound = idempotency::get(&db, first.scope, &first.key, at(60)).await.expect("read").expect("a key");
        assert_eq!(
            (bound.location, bound.status),
            (batch.location(), Some(202)),
            "the first response, with its resource"
        );

        let later = at(0) + TimeDelta::hours(25);
        assert_eq!(idempotency::get(&db, first.scope, &first.key, later).await.expect("read"), None);
        let again = AuditEntry { at: later, ..entry_with_key(&second) };
        audit::append_single(&db, &again).await.expect("bound again");
        let bound = idempotency::get(&db, first.scope, &first.key, later).await.expect("read").expect("a key");
        assert_eq!((bound.location, bound.status), (again.location(), None));
        assert_eq!(idempotency::delete_outdated(&db, later + TimeDelta::hours(25)).await.expect("deleted"), 1);
    })
    .await;
}

#[tokio::test]
async fn an_entry_without_an_api_resource_binds_no_key() {
    on_each_database(async |db| {
        let key = sample_key();
        let tested = AuditEntry { action: Action::WebhookTested, ..entry_with_key(&key) };
        audit::append_single(&db, &tested).await.expect("written");
        assert_eq!(idempotency::get(&db, key.scope, &key.key, at(1)).await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn the_oldest_answers_of_a_scope_are_dropped_and_their_keys_stay() {
    on_each_database(async |db| {
        let other = KeyUse { scope: new_id(), ..sample_key() };
        idempotency::store_response(&db, &other, 207, Some("theirs"), at(0)).await.expect("stored");
        let answers = |n: i64| KeyUse { key: format!("MO/{n}"), ..sample_key() };
        let body = "x".repeat(1024 * 1024);
        for n in 0..12 {
            idempotency::store_response(&db, &answers(n), 207, Some(&body), at(n)).await.expect("stored");
        }
        for n in 0..12 {
            let answer_key = answers(n);
            let bound =
                idempotency::get(&db, answer_key.scope, &answer_key.key, at(60)).await.expect("read").expect("a key");
            assert_eq!((bound.body.is_some(), bound.body_gone), (n >= 4, n < 4), "answer {n}");
            assert_eq!(bound.status, Some(207));
        }
        let bound = idempotency::get(&db, other.scope, &other.key, at(60)).await.expect("read").expect("a key");
        assert_eq!(bound.body.as_deref(), Some("theirs"), "another scope has its own limit");
        // After its time is over, a key can be used again and gets a new response.
        let later = at(0) + TimeDelta::hours(25);
        idempotency::store_response(&db, &KeyUse { use_id: new_id(), ..answers(0) }, 207, Some("new"), later)
            .await
            .expect("stored");
        let bound = idempotency::get(&db, answers(0).scope, "MO/0", later).await.expect("read").expect("a key");
        assert_eq!((bound.body.as_deref(), bound.body_gone), (Some("new"), false));
    })
    .await;
}
