//! The audit: rows are written in the transaction of the change and chained, so every later change of them is found.

use printyard::{
    clock::new_id,
    domain::audit::{Action, AuditEntry, AuditFilter, AuditRecord, CheckedRecord},
    storage::{
        Db,
        audit::{self, AuditRemoval},
        tokens,
    },
};
use uuid::Uuid;

use super::{
    databases::{execute, on_each_database, on_sqlite},
    fixtures::{self, at, sample_entry, sample_printer},
};

fn note_entry(n: i64) -> AuditEntry {
    let mut note = AuditEntry { at: at(n), action: Action::TokenRevoked, ..sample_entry() };
    note.actor.name = format!("ann \u{0} {n}");
    note.changes.insert("name".into(), "a\u{0}b".into());
    note
}

async fn write_rows(db: &Db, rows: i64) {
    for n in 1..=rows {
        audit::append_single(db, &note_entry(n)).await.expect("written");
    }
}

async fn find_faults(db: &Db) -> Vec<String> {
    audit::verify(db).await.expect("verified").faults
}

#[track_caller]
fn expect_whole(found: &CheckedRecord) -> &AuditRecord {
    match found {
        CheckedRecord::Intact(record) => record,
        CheckedRecord::Damaged { .. } => panic!("{found:?}"),
    }
}

#[tokio::test]
async fn written_rows_read_back_in_order_and_the_chain_is_valid() {
    on_each_database(async |db| {
        assert_eq!(find_faults(&db).await, Vec::<String>::new(), "an empty chain is valid");
        write_rows(&db, 5).await;
        let verified = audit::verify(&db).await.expect("verified");
        assert_eq!((verified.rows, verified.last_seq, verified.faults.len()), (5, 5, 0), "{verified:?}");
        let page = audit::list_page(&db, &AuditFilter::default(), None, 3).await.expect("read");
        assert_eq!(page.iter().map(CheckedRecord::seq).collect::<Vec<_>>(), [5, 4, 3]);
        assert_eq!(expect_whole(&page[0]).entry, note_entry(5));
        let rest = audit::list_page(&db, &AuditFilter::default(), Some(3), 3).await.expect("read");
        assert_eq!(rest.iter().map(CheckedRecord::seq).collect::<Vec<_>>(), [2, 1]);
    })
    .await;
}

#[tokio::test]
async fn a_page_shows_only_matching_rows() {
    on_each_database(async |db| {
        let id = new_id();
        audit::append_single(&db, &AuditEntry { printer_ids: vec![id], action: Action::PlateCleared, ..note_entry(1) })
            .await
            .expect("written");
        audit::append_single(&db, &note_entry(2)).await.expect("written");
        let seqs = async |filter: AuditFilter| -> Vec<i64> {
            let page = audit::list_page(&db, &filter, None, 10).await.expect("read");
            page.iter().map(CheckedRecord::seq).collect()
        };
        assert_eq!(seqs(AuditFilter { printer_id: Some(id), ..Default::default() }).await, [1]);
        assert_eq!(seqs(AuditFilter { printer_id: Some(new_id()), ..Default::default() }).await, [0; 0]);
        assert_eq!(seqs(AuditFilter { action: Some(Action::TokenRevoked), ..Default::default() }).await, [2]);
        assert_eq!(seqs(AuditFilter { until: Some(at(2)), ..Default::default() }).await, [1]);
        assert_eq!(seqs(AuditFilter { since: Some(at(2)), ..Default::default() }).await, [2]);
        assert_eq!(seqs(AuditFilter { actor: Some("ann \u{0} 1".into()), ..Default::default() }).await, [1]);
    })
    .await;
}

/// Returns the rows that concern a printer, newest first.
async fn list_printer_rows(db: &Db, id: Uuid, before: Option<i64>) -> Vec<i64> {
    let filter = AuditFilter { printer_id: Some(id), ..Default::default() };
    let page = audit::list_page(db, &filter, before, 10).await.expect("read");
    page.iter().map(CheckedRecord::seq).collect()
}

#[tokio::test]
async fn the_rows_of_a_printer_are_found_before_and_after_they_are_indexed() {
    on_each_database(async |db| {
        let (id, other) = (new_id(), new_id());
        // The printer is listed twice in the first entry, and appears only in the changes of the second one.
        audit::append_single(&db, &AuditEntry { printer_ids: vec![id, other, id], ..note_entry(1) })
            .await
            .expect("written");
        let mut aside = note_entry(2);
        aside.changes.insert("of".into(), id.to_string().into());
        audit::append_single(&db, &aside).await.expect("written");
        audit::append_single(&db, &AuditEntry { printer_ids: vec![id], ..note_entry(3) }).await.expect("written");
        let check_found = async || {
            assert_eq!(list_printer_rows(&db, id, None).await, [3, 1]);
            assert_eq!(list_printer_rows(&db, id, Some(3)).await, [1]);
            assert_eq!(list_printer_rows(&db, other, None).await, [1]);
            assert_eq!(find_faults(&db).await, Vec::<String>::new());
        };
        check_found().await;
        assert_eq!(audit::index_new_rows(&db).await.expect("listed"), 3);
        check_found().await;
        // The filter reads the index, and verification compares that index with the records.
        execute(&db, "delete from audit_printers where seq = 1").await;
        assert_eq!(list_printer_rows(&db, id, None).await, [3]);
        assert_eq!(find_faults(&db).await, ["row 1 is not listed under the printers that it names"]);
        // More rows than the index task handles at once.
        for n in 4..600 {
            audit::append_single(&db, &note_entry(n)).await.expect("written");
        }
        execute(&db, "delete from audit_printers").await;
        execute(&db, "update audit_indexed set seq = 0").await;
        assert_eq!(audit::index_new_rows(&db).await.expect("listed"), 599);
        assert_eq!(audit::index_new_rows(&db).await.expect("no error"), 0);
        audit::append_single(&db, &AuditEntry { printer_ids: vec![other], ..note_entry(600) }).await.expect("written");
        assert_eq!(list_printer_rows(&db, other, None).await, [600, 1], "one indexed row and one new row");
        assert_eq!(list_printer_rows(&db, id, None).await, [3, 1]);
        assert_eq!(audit::delete_older_than(&db, at(2), at(1_000)).await.expect("deleted"), 1);
        assert_eq!(
            (list_printer_rows(&db, id, None).await, list_printer_rows(&db, other, None).await),
            (vec![3], vec![600])
        );
        assert_eq!(find_faults(&db).await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_damaged_row_hides_no_other_and_is_reported() {
    for (damage, expected) in [
        ("update audit set record = '{\"seq\": 2' where seq = 2", "row 2 was altered"),
        ("update audit set record = replace(record, 'token.revoked', 'token.lost') where seq = 2", "row 2 was altered"),
        ("update audit set actor = 'nobody' where seq = 2", "the columns of row 2 do not say what its record says"),
    ] {
        on_each_database(async |db| {
            write_rows(&db, 3).await;
            execute(&db, damage).await;
            let page = audit::list_page(&db, &AuditFilter::default(), None, 10).await.expect("read");
            assert_eq!((page.len(), expect_whole(&page[0]).seq, expect_whole(&page[2]).seq), (3, 3, 1));
            let damaged = CheckedRecord::Damaged { seq: 2, at: Some(at(2)), action: Some("token.revoked".into()) };
            assert_eq!(page[1], damaged, "{damage}");
            assert!(find_faults(&db).await.iter().any(|fault| fault == expected), "{damage}");
        })
        .await;
    }
    // Damage that only SQLite allows.
    on_sqlite(async |db| {
        write_rows(&db, 3).await;
        execute(&db, "update audit set at = 'yesterday', record = x'ff' where seq = 2").await;
        let page = audit::list_page(&db, &AuditFilter::default(), None, 10).await.expect("read");
        assert_eq!(page[1], CheckedRecord::Damaged { seq: 2, at: None, action: Some("token.revoked".into()) });
        assert_eq!(find_faults(&db).await, ["row 2 cannot be read"]);
        assert_eq!(audit::index_new_rows(&db).await.expect("listed"), 3);
    })
    .await;
}

#[tokio::test]
async fn an_altered_row_is_found() {
    for (alter, fault) in [
        ("update audit set record = replace(record, 'TokenRevoked', 'x') || ' ' where seq = 3", "row 3 was altered"),
        ("update audit set hash = 'ab' where seq = 3", "row 3 was altered"),
        ("update audit set actor = 'nobody' where seq = 3", "the columns of row 3 do not say what its record says"),
        (
            "update audit set action = 'user.created' where seq = 3",
            "the columns of row 3 do not say what its record says",
        ),
        ("delete from audit where seq = 3", "row 3 is missing"),
        ("delete from audit where seq in (2, 3)", "rows 2 to 3 are missing"),
        ("delete from audit where seq = 1", "row 1 is missing"),
        ("delete from audit where seq > 3", "rows 4 to 5 are missing"),
        ("update audit_head set hash = 'ab'", "row 5 is not the one that was written last"),
        ("delete from audit_head", "the end of the chain (table audit_head) is missing"),
    ] {
        on_each_database(async |db| {
            write_rows(&db, 5).await;
            execute(&db, alter).await;
            let found = find_faults(&db).await;
            assert_eq!(found.first().map(String::as_str), Some(fault), "{alter}: {found:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_change_that_fails_leaves_no_entry_and_one_that_succeeds_leaves_one() {
    on_each_database(async |db| {
        let kept = sample_printer("MK4-001");
        fixtures::insert_printer(&db, &kept, None, &sample_entry()).await.expect("inserted");
        let again = fixtures::insert_printer(&db, &kept, None, &sample_entry()).await;
        assert!(again.is_err());
        assert!(!tokens::revoke(&db, new_id(), at(1), &sample_entry()).await.expect("no error"));
        assert_eq!(audit::verify(&db).await.expect("verified").rows, 1);
    })
    .await;
}

#[tokio::test]
async fn concurrent_writers_make_one_chain() {
    on_each_database(async |db| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let db = db.clone();
                tokio::spawn(async move {
                    for n in 0..10 {
                        audit::append_single(&db, &note_entry(writer * 10 + n)).await.expect("written");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("no panic");
        }
        let verified = audit::verify(&db).await.expect("verified");
        assert_eq!((verified.rows, verified.faults.len()), (80, 0), "{verified:?}");
    })
    .await;
}

#[tokio::test]
async fn old_records_are_removed_and_the_rest_of_the_chain_is_valid() {
    on_each_database(async |db| {
        write_rows(&db, 5).await;
        assert_eq!(audit::delete_older_than(&db, at(3), at(50)).await.expect("deleted"), 2);
        assert_eq!(audit::delete_older_than(&db, at(3), at(51)).await.expect("deleted"), 0);
        audit::append_single(&db, &note_entry(6)).await.expect("written");
        let verified = audit::verify(&db).await.expect("verified");
        assert_eq!((verified.rows, verified.faults.len()), (5, 0), "{verified:?}");
        let first = AuditRemoval { at: at(50), first_seq: 1, last_seq: 2, rows: 2 };
        assert_eq!((verified.removed_up_to, verified.removed), (2, vec![first]));
        // The last row stays, however old it is.
        assert_eq!(audit::delete_older_than(&db, at(100), at(200)).await.expect("deleted"), 4);
        let verified = audit::verify(&db).await.expect("verified");
        assert_eq!(verified.faults, Vec::<String>::new());
        let second = AuditRemoval { at: at(200), first_seq: 3, last_seq: 6, rows: 4 };
        assert_eq!((verified.removed_up_to, verified.removed), (6, vec![second]));
        // Verification reports rows that were deleted without an entry, including those at the beginning.
        execute(&db, "delete from audit where seq = 7").await;
        execute(&db, "update audit_head set base_seq = 7, base_hash = 'x'").await;
        let found = find_faults(&db).await;
        let fault = "rows up to 7 were removed, and by the entries it was rows up to 6";
        assert!(found.iter().any(|found| found == fault), "{found:?}");
    })
    .await;
}
