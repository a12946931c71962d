//! Storage of tokens, users and sessions.

use printyard::{
    clock::new_id,
    domain::{
        access::{Role, Session, Token},
        oidc::Identity,
        user::{User, UserDetails},
    },
    secrets::{new_token, token_hash},
    storage::{
        Error, identities, sessions, tokens,
        users::{self, SessionsToEnd, UserUpdate, UserUpdateResult},
    },
};

use super::{
    databases::on_each_database,
    fixtures::{at, sample_entry},
};

fn sample_token(name: &str) -> Token {
    let id = new_id();
    Token {
        id,
        name: name.into(),
        role: Role::Operator,
        tags: vec!["hall-a".into(), "petg".into()],
        created_at: at(0),
        expires_at: Some(at(100)),
        last_used_at: None,
        root_id: id,
        requires_key: false,
        created_by: Some("Anna".into()),
    }
}

fn sample_session(token_id: Option<uuid::Uuid>, expires: i64) -> Session {
    Session {
        id: new_id(),
        user_id: None,
        token_id,
        admin_hash: token_id.is_none().then(|| b"admin".to_vec()),
        created_at: at(0),
        last_seen_at: at(0),
        expires_at: at(expires),
        address: Some("10.0.0.9".into()),
        agent: "Firefox".into(),
    }
}

fn sample_user(name: &str, role: Role) -> User {
    User {
        id: new_id(),
        details: UserDetails { name: name.into(), role, tags: vec![], enabled: true },
        version: 1,
        created_at: at(0),
        updated_at: at(0),
        last_login_at: None,
    }
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_until_it_is_revoked() {
    on_each_database(async |db| {
        let (secret, hash) = new_token().expect("random numbers");
        let mut kept = sample_token("erp");
        tokens::insert(&db, &kept, &hash, &sample_entry()).await.expect("inserted");
        assert_eq!(tokens::find_by_hash(&db, &token_hash(&secret)).await.expect("read").as_ref(), Some(&kept));
        assert_eq!(tokens::find_by_hash(&db, &token_hash("pyd_other")).await.expect("read"), None);
        tokens::record_use(&db, kept.id, at(7)).await.expect("stored");
        tokens::record_use(&db, kept.id, at(5)).await.expect("stored");
        kept.last_used_at = Some(at(7));
        assert_eq!(tokens::get(&db, kept.id).await.expect("read"), Some(kept.clone()));
        assert!(tokens::revoke(&db, kept.id, at(9), &sample_entry()).await.expect("revoked"));
        assert!(!tokens::revoke(&db, kept.id, at(10), &sample_entry()).await.expect("no error"));
        assert_eq!(tokens::find_by_hash(&db, &hash).await.expect("read"), None);
        assert_eq!(tokens::get(&db, kept.id).await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn revoking_a_token_ends_the_sessions_that_it_opened() {
    on_each_database(async |db| {
        let opener = sample_token("anna");
        tokens::insert(&db, &opener, b"hash", &sample_entry()).await.expect("inserted");
        sessions::insert(&db, b"one", &sample_session(Some(opener.id), 50), None, &sample_entry())
            .await
            .expect("inserted");
        let other = sample_session(None, 50);
        sessions::insert(&db, b"two", &other, None, &sample_entry()).await.expect("inserted");
        assert!(tokens::revoke(&db, opener.id, at(1), &sample_entry()).await.expect("revoked"));
        assert_eq!(sessions::find_by_hash(&db, b"one").await.expect("read"), None);
        assert_eq!(sessions::find_by_hash(&db, b"two").await.expect("read"), Some(other));
    })
    .await;
}

#[tokio::test]
async fn tokens_are_paged_newest_first() {
    on_each_database(async |db| {
        let mut all = Vec::new();
        for i in 0..5_u8 {
            all.push(Token { expires_at: None, tags: vec![], ..sample_token(&i.to_string()) });
            tokens::insert(&db, &all[usize::from(i)], &[i], &sample_entry()).await.expect("inserted");
        }
        all.reverse();
        let first = tokens::list_page(&db, None, 3).await.expect("read");
        let second = tokens::list_page(&db, Some(first[2].id), 3).await.expect("read");
        assert_eq!([first, second].concat(), all);
    })
    .await;
}

#[tokio::test]
async fn sessions_end_when_they_are_deleted_expire_or_are_not_used() {
    on_each_database(async |db| {
        for (hash, expires) in [(b"a", 1), (b"b", 2), (b"c", 3)] {
            sessions::insert(&db, hash, &sample_session(None, expires), None, &sample_entry()).await.expect("inserted");
        }
        assert_eq!(sessions::delete_expired(&db, at(2), at(-1)).await.expect("deleted"), 2);
        assert!(sessions::delete(&db, b"c", &sample_entry()).await.expect("deleted"));
        assert!(!sessions::delete(&db, b"c", &sample_entry()).await.expect("no error"));
        let used = Session { last_seen_at: at(10), ..sample_session(None, 50) };
        sessions::insert(&db, b"d", &used, None, &sample_entry()).await.expect("inserted");
        sessions::record_use(&db, used.id, at(20), at(60)).await.expect("stored");
        sessions::record_use(&db, used.id, at(15), at(55)).await.expect("stored");
        let noted = sessions::find_by_hash(&db, b"d").await.expect("read").expect("a row");
        assert_eq!((noted.last_seen_at, noted.expires_at), (at(20), at(60)));
        assert_eq!(sessions::delete_expired(&db, at(21), at(19)).await.expect("deleted"), 0);
        assert_eq!(sessions::delete_expired(&db, at(21), at(20)).await.expect("deleted"), 1);
    })
    .await;
}

#[tokio::test]
async fn a_login_ends_the_session_that_the_browser_had() {
    on_each_database(async |db| {
        sessions::insert(&db, b"planted", &sample_session(None, 50), None, &sample_entry()).await.expect("inserted");
        sessions::insert(&db, b"new", &sample_session(None, 50), Some(b"planted"), &sample_entry())
            .await
            .expect("inserted");
        assert_eq!(sessions::find_by_hash(&db, b"planted").await.expect("read"), None);
        assert!(sessions::find_by_hash(&db, b"new").await.expect("read").is_some());
    })
    .await;
}

#[tokio::test]
async fn a_user_name_is_unique_in_any_case() {
    on_each_database(async |db| {
        let ann = sample_user("Änn", Role::Operator);
        users::insert(&db, &ann, Some("hash"), &sample_entry()).await.expect("inserted");
        let again = users::insert(&db, &sample_user("änn", Role::Viewer), None, &sample_entry()).await;
        assert!(matches!(again, Err(Error::NameTaken)), "{again:?}");
        assert_eq!(users::find_by_name(&db, "ÄNN").await.expect("read"), Some((ann.clone(), Some("hash".into()))));
        let ben = sample_user("ben", Role::Admin);
        users::insert(&db, &ben, Some("hash"), &sample_entry()).await.expect("inserted");
        let mut renamed = User { version: 2, ..ann.clone() };
        renamed.details.name = "BEN".into();
        let taken = users::update(&db, &sample_update(&renamed), &sample_entry()).await;
        assert!(matches!(taken, Err(Error::NameTaken)), "{taken:?}");
    })
    .await;
}

/// Returns a change of version 1 that sets no new password.
fn sample_update(user: &User) -> UserUpdate<'_> {
    let (password_hash, sessions) = (None, SessionsToEnd::None);
    UserUpdate { user, expected_version: 1, password_hash, sessions, require_other_admin: false }
}

#[tokio::test]
async fn two_admins_who_demote_each_other_leave_one_admin() {
    on_each_database(async |db| {
        for round in 0..10 {
            let [ann, ben] = ["ann", "ben"].map(|name| sample_user(&format!("{name} {round}"), Role::Admin));
            users::insert(&db, &ann, Some("hash"), &sample_entry()).await.expect("inserted");
            users::insert(&db, &ben, Some("hash"), &sample_entry()).await.expect("inserted");
            let demote = async |admin: &User| {
                let mut viewer = User { version: 2, ..admin.clone() };
                viewer.details.role = Role::Viewer;
                let change = UserUpdate { require_other_admin: true, ..sample_update(&viewer) };
                users::update(&db, &change, &sample_entry()).await.expect("no error")
            };
            let (one, two) = tokio::join!(demote(&ann), demote(&ben));
            let both = [one, two];
            assert!(
                both.contains(&UserUpdateResult::Stored) && both.contains(&UserUpdateResult::LastAdmin),
                "{both:?}"
            );
            let left = if one == UserUpdateResult::LastAdmin { ann } else { ben };
            let mut viewer = User { version: 2, ..left };
            viewer.details.role = Role::Viewer;
            assert_eq!(
                users::update(&db, &sample_update(&viewer), &sample_entry()).await.expect("no error"),
                UserUpdateResult::Stored
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_changed_password_ends_the_users_other_sessions_and_a_stale_change_none() {
    on_each_database(async |db| {
        let ann = sample_user("ann", Role::Operator);
        users::insert(&db, &ann, Some("hash"), &sample_entry()).await.expect("inserted");
        let of_ann = || Session { user_id: Some(ann.id), admin_hash: None, ..sample_session(None, 50) };
        let (this, other) = (of_ann(), of_ann());
        sessions::insert(&db, b"this", &this, None, &sample_entry()).await.expect("inserted");
        sessions::insert(&db, b"other", &other, None, &sample_entry()).await.expect("inserted");
        let changed = User { version: 2, ..ann.clone() };
        let sessions_but_this = SessionsToEnd::Others(this.id);
        let change = UserUpdate { password_hash: Some("new"), sessions: sessions_but_this, ..sample_update(&changed) };
        let stale = UserUpdate { expected_version: 7, ..change };
        assert_eq!(users::update(&db, &stale, &sample_entry()).await.expect("no error"), UserUpdateResult::Stale);
        assert_eq!(sessions::list_by_user(&db, ann.id, at(1)).await.expect("read").len(), 2);
        assert_eq!(users::update(&db, &change, &sample_entry()).await.expect("changed"), UserUpdateResult::Stored);
        assert_eq!(sessions::list_by_user(&db, ann.id, at(1)).await.expect("read"), [this]);
        assert_eq!(users::find_by_name(&db, "ann").await.expect("read").expect("a row").1.as_deref(), Some("new"));
    })
    .await;
}

#[tokio::test]
async fn a_setup_link_creates_one_admin_before_it_expires() {
    on_each_database(async |db| {
        users::store_setup_link(&db, b"old", at(10)).await.expect("stored");
        users::store_setup_link(&db, b"link", at(10)).await.expect("stored");
        let admin = sample_user("ann", Role::Admin);
        for (link, when) in [(b"old ".as_slice(), 5), (b"old", 5), (b"link", 10)] {
            assert!(
                !users::create_first_admin(&db, link, &admin, "hash", at(when), &sample_entry())
                    .await
                    .expect("no error")
            );
        }
        assert!(users::is_setup_link(&db, b"link", at(5)).await.expect("read"));
        assert!(users::create_first_admin(&db, b"link", &admin, "hash", at(5), &sample_entry()).await.expect("made"));
        let second = sample_user("ben", Role::Admin);
        assert!(
            !users::create_first_admin(&db, b"link", &second, "hash", at(5), &sample_entry()).await.expect("no error")
        );
        users::store_setup_link(&db, b"another", at(10)).await.expect("stored");
        assert!(
            !users::create_first_admin(&db, b"another", &second, "hash", at(5), &sample_entry())
                .await
                .expect("no error"),
            "there is a user already"
        );
    })
    .await;
}

#[tokio::test]
async fn an_identity_has_one_user_and_is_stored_with_it_or_not_at_all() {
    on_each_database(async |db| {
        let ann = Identity { issuer: "https://id.example".into(), subject: "a-1".into() };
        let elsewhere = Identity { issuer: "https://other.example".into(), ..ann.clone() };
        assert_eq!(identities::find_user_id(&db, &ann).await.expect("read"), None);
        let user_ann = sample_user("ann", Role::Operator);
        identities::insert_user(&db, &user_ann, &ann, &sample_entry()).await.expect("stored");
        assert_eq!(identities::find_user_id(&db, &ann).await.expect("read"), Some(user_ann.id));
        assert_eq!(
            identities::find_user_id(&db, &elsewhere).await.expect("read"),
            None,
            "the same subject of another issuer"
        );
        // The identity or the name is already in use. Nothing of the new user is stored.
        for (name, identity) in [("bob", &ann), ("Ann", &elsewhere)] {
            let other = sample_user(name, Role::Admin);
            let refused = identities::insert_user(&db, &other, identity, &sample_entry()).await;
            assert!(matches!(refused, Err(Error::NameTaken)), "{name}: {refused:?}");
            assert_eq!(users::get(&db, other.id).await.expect("read"), None);
        }
        users::insert(&db, &sample_user("chief", Role::Admin), Some("a hash"), &sample_entry()).await.expect("stored");
        let expected = vec![(user_ann.id, ann.issuer.clone())];
        assert_eq!(identities::list_issuers(&db, None).await.expect("read"), expected);
        assert_eq!(identities::list_issuers(&db, Some(user_ann.id)).await.expect("read"), expected);
        assert_eq!(identities::list_issuers(&db, Some(new_id())).await.expect("read"), []);
    })
    .await;
}
