//! Keys of requests that may be repeated: bound with the effect or not at all, by one request, for a day.

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

/// What is written down of a batch that was made with a key.
fn made(key: &KeyUse) -> Entry {
    Entry { action: Action::BatchCreated, subject: Some(new_id()), key: Some(Arc::new(key.clone())), ..entry() }
}

#[tokio::test]
async fn a_key_is_bound_by_one_request_and_free_again_after_a_day() {
    on_each(async |db| {
        let (first, second) = (key(), key());
        let batch = made(&first);
        audit::add(&db, &batch).await.expect("bound");
        let bound = idempotency::get(&db, first.scope, &first.key, at(60)).await.expect("read").expect("bound");
        assert_eq!((bound.location, bound.status), (batch.location(), None), "without an answer yet");
        audit::add(&db, &made(&first)).await.expect("the same request may write more");
        assert!(matches!(audit::add(&db, &made(&second)).await, Err(Error::KeyTaken)));
        idempotency::note_answer(&db, &second, 200, None, at(1)).await.expect("asked");
        idempotency::note_answer(&db, &first, 202, None, at(1)).await.expect("noted");
        let bound = idempotency::get(&db, first.scope, &first.key, at(60)).await.expect("read").expect("bound");
        assert_eq!(
            (bound.location, bound.status),
            (batch.location(), Some(202)),
            "the first, and what it was bound to"
        );

        let later = at(0) + TimeDelta::hours(25);
        assert_eq!(idempotency::get(&db, first.scope, &first.key, later).await.expect("read"), None);
        let again = Entry { at: later, ..made(&second) };
        audit::add(&db, &again).await.expect("bound anew");
        let bound = idempotency::get(&db, first.scope, &first.key, later).await.expect("read").expect("bound");
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
