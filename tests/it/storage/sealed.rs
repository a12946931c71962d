//! Replacing sealed keys: only rows that still have the value that was read are changed.

use printyard::{
    clock::new_id,
    domain::printer_access::SecretKind,
    storage::{
        printers::{self, ApiKeyChange, NewPrinter, SealedAccess, SealedSecret, SecretChanges},
        sealed::{self, ResealedSecret, SealedTable, StoredSecret},
    },
};

use super::{
    databases::on_each_database,
    fixtures::{self, sample_entry, sample_printer},
};

#[tokio::test]
async fn a_key_that_changed_meanwhile_is_not_overwritten_and_no_version_moves() {
    on_each_database(async |db| {
        let (stays, mut changes, bare) = (sample_printer("stays"), sample_printer("changes"), sample_printer("bare"));
        fixtures::insert_printer(&db, &stays, Some(&[0, 1, 255]), &sample_entry()).await.expect("inserted");
        fixtures::insert_printer(&db, &changes, Some(b"old"), &sample_entry()).await.expect("inserted");
        fixtures::insert_printer(&db, &bare, None, &sample_entry()).await.expect("inserted");
        changes.version = 2;
        assert!(
            printers::update(&db, &changes, 1, ApiKeyChange::Set(b"meanwhile".to_vec()), &sample_entry())
                .await
                .expect("written")
        );
        let fresh =
            |id, was: &[u8]| ResealedSecret { id, previous: was.to_vec(), sealed: vec![7, 0, 39, 92, 120, 255] };
        let group =
            [fresh(stays.id, &[0, 1, 255]), fresh(changes.id, b"old"), fresh(bare.id, b""), fresh(new_id(), b"gone")];
        assert_eq!(sealed::reseal(&db, SealedTable::Printers, &group).await.expect("written"), 1);
        assert_eq!(sealed::reseal(&db, SealedTable::Printers, &[]).await.expect("written"), 0);
        let key = async |id| fixtures::read_sealed_key(&db, id).await.expect("read");
        assert_eq!(key(stays.id).await, Some(vec![7, 0, 39, 92, 120, 255]));
        assert_eq!(key(changes.id).await.as_deref(), Some(b"meanwhile".as_slice()));
        assert_eq!(key(bare.id).await, None);
        assert_eq!(printers::get(&db, stays.id).await.expect("read"), Some(stays));
    })
    .await;
}

#[tokio::test]
async fn pages_of_keys_are_complete_and_leave_out_printers_without_one() {
    on_each_database(async |db| {
        assert_eq!(sealed::count_values(&db).await.expect("read"), 0);
        let mut ids = Vec::new();
        for i in 0..5 {
            let one = sample_printer(&format!("p{i}"));
            let key = (i != 2).then_some(b"key".as_slice());
            fixtures::insert_printer(&db, &one, key, &sample_entry()).await.expect("inserted");
            ids.extend(key.map(|_| one.id));
        }
        assert_eq!(sealed::count_values(&db).await.expect("read"), 4);
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page: Vec<StoredSecret> = sealed::list_page(&db, SealedTable::Printers, after, 3).await.expect("read");
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            assert!(page.iter().all(|key| key.sealed == b"key"));
            seen.extend(page.into_iter().map(|key| key.id));
        }
        assert_eq!(seen, ids);
    })
    .await;
}

fn sealed_secret(kind: SecretKind, sealed: &[u8]) -> SealedSecret {
    SealedSecret { id: new_id(), kind, sealed: sealed.to_vec() }
}

#[tokio::test]
async fn secrets_are_stored_by_kind_replaced_and_removed_with_their_printer() {
    on_each_database(async |db| {
        let (mut one, other) = (sample_printer("one"), sample_printer("other"));
        let secrets = vec![
            sealed_secret(SecretKind::ProxyPassword, &[0, 255, 16]),
            sealed_secret(SecretKind::Headers, b"headers"),
        ];
        let sealed = SealedAccess { api_key: Some(b"key".to_vec()), secrets: secrets.clone() };
        let new = [
            NewPrinter { printer: one.clone(), sealed: sealed.clone(), entry: sample_entry() },
            NewPrinter {
                printer: other.clone(),
                sealed: SealedAccess {
                    secrets: vec![sealed_secret(SecretKind::CameraUrl, b"cam")],
                    ..SealedAccess::default()
                },
                entry: sample_entry(),
            },
        ];
        printers::insert(&db, &new).await.expect("inserted");
        let read =
            async |id| printers::get_many_with_secrets(&db, &[id]).await.expect("read").pop().expect("a printer");
        assert_eq!(read(one.id).await, (one.clone(), sealed));
        assert!(read(other.id).await.0.details.has_camera_url);
        assert_eq!(sealed::count_values(&db).await.expect("read"), 4);

        let fresh = ResealedSecret { id: secrets[0].id, previous: vec![0, 255, 16], sealed: vec![9, 9] };
        assert_eq!(sealed::reseal(&db, SealedTable::PrinterSecrets, &[fresh]).await.expect("written"), 1);
        let page = sealed::list_page(&db, SealedTable::PrinterSecrets, None, 10).await.expect("read");
        let names: Vec<&str> = page.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(names, ["one", "one", "other"]);

        one.version = 2;
        let camera = sealed_secret(SecretKind::CameraUrl, b"own");
        let changes = SecretChanges {
            api_key: ApiKeyChange::Keep,
            others: vec![(SecretKind::Headers, None), (SecretKind::CameraUrl, Some(camera.clone()))],
        };
        assert!(printers::update(&db, &one, 1, changes.clone(), &sample_entry()).await.expect("written"));
        assert!(!printers::update(&db, &one, 1, changes, &sample_entry()).await.expect("written"), "another version");
        let (now, sealed) = read(one.id).await;
        assert!(now.details.has_camera_url);
        assert_eq!(sealed.api_key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(sealed.secret(SecretKind::ProxyPassword).map(|secret| secret.sealed.as_slice()), Some(&[9, 9][..]));
        assert_eq!((sealed.secret(SecretKind::Headers), sealed.secret(SecretKind::CameraUrl)), (None, Some(&camera)));

        printers::remove(&db, one.id, fixtures::at(9), &sample_entry()).await.expect("removed");
        let left = sealed::list_page(&db, SealedTable::PrinterSecrets, None, 10).await.expect("read");
        assert_eq!(left.iter().map(|value| value.name.as_str()).collect::<Vec<_>>(), ["other"]);
    })
    .await;
}
