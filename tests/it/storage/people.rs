//! Tokens and sessions.

use printyard::{
    clock::new_id,
    domain::access::{Role, Session, Token},
    secrets::{new_token, token_hash},
    storage::{sessions, tokens},
};

use super::{
    databases::on_each,
    fixtures::{at, entry},
};

fn token(name: &str) -> Token {
    Token {
        id: new_id(),
        name: name.into(),
        role: Role::Operator,
        tags: vec!["hall-a".into(), "petg".into()],
        created_at: at(0),
        expires_at: Some(at(100)),
        last_used_at: None,
    }
}

fn session(token_id: Option<uuid::Uuid>, expires: i64) -> Session {
    Session {
        token_id,
        name: "anna".into(),
        role: Role::Viewer,
        tags: vec![],
        created_at: at(0),
        expires_at: at(expires),
    }
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_until_it_is_revoked() {
    on_each(async |db| {
        let (secret, hash) = new_token().expect("random numbers");
        let mut kept = token("erp");
        tokens::insert(&db, &kept, &hash, &entry()).await.expect("inserted");
        assert_eq!(tokens::by_hash(&db, &token_hash(&secret)).await.expect("read").as_ref(), Some(&kept));
        assert_eq!(tokens::by_hash(&db, &token_hash("pyd_other")).await.expect("read"), None);
        tokens::touch(&db, kept.id, at(7)).await.expect("noted");
        tokens::touch(&db, kept.id, at(5)).await.expect("noted");
        kept.last_used_at = Some(at(7));
        assert_eq!(tokens::get(&db, kept.id).await.expect("read"), Some(kept.clone()));
        assert!(tokens::revoke(&db, kept.id, at(9), &entry()).await.expect("revoked"));
        assert!(!tokens::revoke(&db, kept.id, at(10), &entry()).await.expect("asked"));
        assert_eq!(tokens::by_hash(&db, &hash).await.expect("read"), None);
        assert_eq!(tokens::get(&db, kept.id).await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn revoking_a_token_ends_the_sessions_that_it_opened() {
    on_each(async |db| {
        let opener = token("anna");
        tokens::insert(&db, &opener, b"hash", &entry()).await.expect("inserted");
        sessions::insert(&db, b"one", &session(Some(opener.id), 50)).await.expect("inserted");
        sessions::insert(&db, b"two", &session(None, 50)).await.expect("inserted");
        assert!(tokens::revoke(&db, opener.id, at(1), &entry()).await.expect("revoked"));
        assert_eq!(sessions::by_hash(&db, b"one").await.expect("read"), None);
        assert_eq!(sessions::by_hash(&db, b"two").await.expect("read"), Some(session(None, 50)));
    })
    .await;
}

#[tokio::test]
async fn tokens_are_paged_newest_first() {
    on_each(async |db| {
        let mut all = Vec::new();
        for i in 0..5_u8 {
            all.push(Token { expires_at: None, tags: vec![], ..token(&i.to_string()) });
            tokens::insert(&db, &all[usize::from(i)], &[i], &entry()).await.expect("inserted");
        }
        all.reverse();
        let first = tokens::page(&db, None, 3).await.expect("read");
        let second = tokens::page(&db, Some(first[2].id), 3).await.expect("read");
        assert_eq!([first, second].concat(), all);
    })
    .await;
}

#[tokio::test]
async fn sessions_end_when_they_are_deleted_or_expire() {
    on_each(async |db| {
        for (hash, expires) in [(b"a", 1), (b"b", 2), (b"c", 3)] {
            sessions::insert(&db, hash, &session(None, expires)).await.expect("inserted");
        }
        assert_eq!(sessions::delete_expired(&db, at(2)).await.expect("deleted"), 2);
        assert!(sessions::delete(&db, b"c").await.expect("deleted"));
        assert!(!sessions::delete(&db, b"c").await.expect("asked"));
    })
    .await;
}
