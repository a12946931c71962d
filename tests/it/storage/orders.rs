//! Parts, orders and copies: what is stored, the sums of every history, and what may be deleted.

mod copies;
mod open;
pub mod samples;

use printyard::{
    clock::new_id,
    domain::{
        copy::CopyState,
        event::EventType,
        file::FileFormat,
        order::{Adjustment, BusinessKey, OrderEnd, OrderFilter, OrderState},
        part::PartFilter,
    },
    storage::{
        copies as stored_copies, events,
        files::{self, FileRemoval},
        orders::{self, OrderChange, OrderInsert},
        parts,
    },
};
use serde_json::json;

use self::samples::{
    assign_copy, decide, insert_order, list_event_types, sample_file, sample_order, sample_part, set_state,
};
use super::{
    databases::on_each_database,
    fixtures::{at, sample_entry},
};

#[tokio::test]
async fn a_part_is_read_as_it_was_stored_and_its_versions_follow_each_other() {
    on_each_database(async |db| {
        let part = sample_part("MO/7 ü%", &[new_id(), new_id()]);
        assert!(parts::put(&db, &part, &sample_entry()).await.expect("stored"));
        assert!(!parts::put(&db, &part, &sample_entry()).await.expect("no error"), "it exists");
        assert_eq!(parts::get(&db, "MO/7 ü%").await.expect("read"), Some(part.clone()));
        assert_eq!(parts::get(&db, "MO\0").await.expect("read"), None);
        let mut changed = part.clone();
        (changed.version, changed.details.title) = (2, "Bügel".into());
        changed.details.files.pop();
        assert!(parts::put(&db, &changed, &sample_entry()).await.expect("stored"));
        assert!(!parts::put(&db, &changed, &sample_entry()).await.expect("no error"), "a stale version");
        assert!(parts::put(&db, &sample_part("A-1", &[]), &sample_entry()).await.expect("stored"));
        let numbers = async |text: Option<&str>, after: Option<&str>| {
            let filter = PartFilter { text: text.map(str::to_owned) };
            let found = parts::list_page(&db, &filter, after, 10).await.expect("read");
            found.into_iter().map(|part| part.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(None, None).await, ["A-1", "MO/7 ü%"]);
        assert_eq!(numbers(None, Some("A-1")).await, ["MO/7 ü%"]);
        assert_eq!(numbers(Some("BÜGEL"), None).await, ["MO/7 ü%"]);
        assert_eq!(numbers(Some("7 Ü%"), None).await, ["MO/7 ü%"]);
        assert!(!parts::remove(&db, "MO/7 ü%", 1, &sample_entry()).await.expect("no error"), "a stale version");
        assert!(parts::remove(&db, "MO/7 ü%", 2, &sample_entry()).await.expect("removed"));
        assert_eq!(parts::get(&db, "MO/7 ü%").await.expect("read"), None);
    })
    .await;
}

#[tokio::test]
async fn an_order_is_read_as_it_was_stored() {
    on_each_database(async |db| {
        let mut order = sample_order(120);
        order.tag_limit = vec!["hall-a".into(), "hall-b".into()];
        order.part_revision = Some("C".into());
        order.details.not_before = Some(at(1));
        order.details.due_at = Some(at(2));
        order.details.max_printers = Some(3);
        order.details.max_surplus = Some(0);
        order.details.requirements.material = Some("PETG".into());
        order.details.metadata = [("cost centre".to_owned(), json!({"n": 7.5}))].into_iter().collect();
        insert_order(&db, &order).await;
        let read = orders::get(&db, order.id).await.expect("read").expect("an order");
        assert_eq!(read.order, order);
        assert_eq!(read.sums, Default::default());
        assert_eq!((read.state(), read.quantities().queued), (OrderState::Queued, 120));
        assert_eq!(list_event_types(&db).await, [EventType::OrderCreated]);
        let page = events::list_page(&db, 0, None, 10).await.expect("read");
        let event = page.events.iter().find(|event| event.kind == EventType::OrderCreated).expect("an event");
        assert_eq!(event.external_ref.as_deref(), order.external_ref.as_deref());
        assert_eq!((&event.data["order_id"], &event.data["quantities"]["ordered"]), (&json!(order.id), &json!(120)));
    })
    .await;
}

#[tokio::test]
async fn a_business_key_belongs_to_one_order() {
    on_each_database(async |db| {
        let order = sample_order(1);
        insert_order(&db, &order).await;
        let mut other = sample_order(2);
        (other.external_ref, other.line) = (order.external_ref.clone(), order.line.clone());
        let new = [(sample_order(3), vec![1], sample_entry()), (other.clone(), vec![2], sample_entry())];
        assert_eq!(orders::insert(&db, &new).await.expect("no error"), OrderInsert::KeyTaken);
        assert_eq!(orders::get(&db, new[0].0.id).await.expect("read"), None, "all or none");
        let key = BusinessKey {
            source: order.source.clone(),
            external_ref: order.external_ref.clone().expect("a reference"),
            line: order.line.clone(),
        };
        assert_eq!(orders::find_by_key(&db, &key).await.expect("read"), Some((order.id, vec![7])));
        assert_eq!(orders::find_by_key(&db, &BusinessKey { line: "11".into(), ..key }).await.expect("read"), None);
        // Without a reference there is no key.
        for _ in 0..2 {
            let mut order = sample_order(1);
            order.external_ref = None;
            insert_order(&db, &order).await;
        }
        other.line = "20".into();
        insert_order(&db, &other).await;
    })
    .await;
}

#[tokio::test]
async fn orders_are_found_by_key_state_times_and_tags_and_paged() {
    on_each_database(async |db| {
        let mut all = Vec::new();
        for n in 0..4_i32 {
            let mut order = sample_order(5);
            order.source = if n < 2 { "odoo" } else { "erpnext" }.into();
            order.external_ref = Some(format!("MO/{n}"));
            order.line = n.to_string();
            order.updated_at = at(i64::from(n));
            order.details.due_at = (n > 0).then(|| at(100 + i64::from(n)));
            order.tag_limit = match n {
                0 => vec!["hall-a".into()],
                1 => vec!["hall-a".into(), "hall-b".into()],
                _ => Vec::new(),
            };
            insert_order(&db, &order).await;
            all.push(order);
        }
        assign_copy(&db, all[2].id, new_id()).await.expect("assigned");
        let ids = async |filter: OrderFilter| {
            let found = orders::list_page(&db, &filter, None, 10).await.expect("read");
            let mut found: Vec<usize> = found
                .iter()
                .map(|one| all.iter().position(|order| order.id == one.order.id).expect("one of them"))
                .collect();
            found.sort_unstable();
            found
        };
        let filter = OrderFilter::default;
        assert_eq!(ids(filter()).await, [0, 1, 2, 3]);
        assert_eq!(ids(OrderFilter { source: Some("odoo".into()), ..filter() }).await, [0, 1]);
        assert_eq!(ids(OrderFilter { external_ref: Some("MO/3".into()), ..filter() }).await, [3]);
        assert_eq!(ids(OrderFilter { line: Some("1".into()), ..filter() }).await, [1]);
        assert_eq!(ids(OrderFilter { state: Some(OrderState::Running), ..filter() }).await, [2]);
        assert_eq!(ids(OrderFilter { state: Some(OrderState::Queued), ..filter() }).await, [0, 1, 3]);
        assert_eq!(ids(OrderFilter { state: Some(OrderState::OnHold), ..filter() }).await, [0; 0]);
        assert_eq!(ids(OrderFilter { state: Some(OrderState::Completed), ..filter() }).await, [0; 0]);
        assert_eq!(ids(OrderFilter { updated_since: Some(at(3)), ..filter() }).await, [2, 3], "the copy counts");
        assert_eq!(ids(OrderFilter { due_before: Some(at(102)), ..filter() }).await, [1]);
        assert_eq!(ids(OrderFilter { ids: Some(vec![all[1].id]), ..filter() }).await, [1]);
        let limited = |tags: &[&str]| OrderFilter {
            visible_tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
            ..filter()
        };
        assert_eq!(ids(limited(&["hall-a"])).await, [0], "every tag of the order must be visible");
        assert_eq!(ids(limited(&["hall-b", "hall-a"])).await, [0, 1]);
        let first = orders::list_page(&db, &filter(), None, 3).await.expect("read");
        let rest = orders::list_page(&db, &filter(), Some(first[2].order.id), 3).await.expect("read");
        assert_eq!(rest.iter().map(|one| one.order.id).collect::<Vec<_>>(), [all[0].id], "newest first");
    })
    .await;
}

#[tokio::test]
async fn counted_parts_complete_and_reopen_an_order() {
    on_each_database(async |db| {
        let order = sample_order(3);
        insert_order(&db, &order).await;
        let adjust = async |good: i32, scrap: i32, seconds: i64| {
            let changed = orders::change(&db, order.id, at(seconds), |before| {
                let adjustment = Some(Adjustment { good, scrap, reason: "counted".into() });
                Ok::<_, ()>(Some(orders::Decision { adjustment, ..decide(before, EventType::OrderUpdated) }))
            });
            match changed.await.expect("no error") {
                OrderChange::Changed(order) => order,
                other => panic!("{other:?}"),
            }
        };
        let complete = adjust(3, 1, 10).await;
        assert_eq!((complete.state(), complete.sums.good, complete.sums.scrap), (OrderState::Completed, 3, 1));
        assert_eq!((complete.order.completed_at, complete.order.updated_at), (Some(at(10)), at(10)));
        let reopened = adjust(-1, 1, 20).await;
        assert_eq!((reopened.state(), reopened.quantities().queued), (OrderState::Queued, 1));
        assert_eq!(orders::get(&db, order.id).await.expect("read"), Some(reopened));
        let expected = [
            EventType::OrderCreated,
            EventType::OrderUpdated,
            EventType::OrderCompleted,
            EventType::OrderUpdated,
            EventType::OrderReopened,
        ];
        assert_eq!(list_event_types(&db).await, expected);
        let refused = orders::change(&db, order.id, at(30), |_| Err("no")).await.expect("no error");
        assert!(matches!(refused, OrderChange::Refused("no")));
        let unknown = orders::change(&db, new_id(), at(30), |_| Ok::<_, ()>(None)).await.expect("no error");
        assert!(matches!(unknown, OrderChange::NotFound));
    })
    .await;
}

#[tokio::test]
async fn a_file_and_its_content_stay_while_a_part_or_an_open_order_needs_them() {
    on_each_database(async |db| {
        let file = sample_file("a.gcode", 1);
        let stored = files::put(&db, &file, &samples::no_parts(), &sample_entry()).await;
        assert!(stored.expect("stored"));
        assert_eq!(file.content.format, FileFormat::Gcode);
        let part = sample_part("A", &[file.id]);
        assert!(parts::put(&db, &part, &sample_entry()).await.expect("stored"));
        let remove = async || files::remove(&db, file.id, &sample_entry()).await.expect("no error");
        assert_eq!(remove().await, FileRemoval::InUse, "the part names it");
        assert!(parts::remove(&db, "A", 1, &sample_entry()).await.expect("removed"));
        let mut order = sample_order(1);
        order.files[0].file_id = file.id;
        order.files[0].sha256 = file.content.sha256.clone();
        insert_order(&db, &order).await;
        assert_eq!(remove().await, FileRemoval::InUse, "the open order names it");
        // The file gets another content. The order keeps the first one.
        let again = sample_file("a.gcode", 2);
        let again = printyard::domain::file::LibraryFile { id: file.id, version: 2, ..again };
        assert!(files::put(&db, &again, &samples::no_parts(), &sample_entry()).await.expect("stored"));
        assert_eq!(files::delete_unused_contents(&db, at(1_000)).await.expect("no error"), [""; 0]);
        let ended = orders::change(&db, order.id, at(5), |before| {
            let mut decision = decide(before, EventType::OrderCancelled);
            (decision.order.ended_as, decision.order.completed_at) = (Some(OrderEnd::Cancelled), Some(at(5)));
            Ok::<_, ()>(Some(decision))
        });
        assert!(matches!(ended.await.expect("no error"), OrderChange::Changed(_)));
        assert_eq!(
            files::delete_unused_contents(&db, at(1_000)).await.expect("deleted"),
            [file.content.sha256.as_str()]
        );
        assert_eq!(remove().await, FileRemoval::Removed);
    })
    .await;
}

#[tokio::test]
async fn orders_are_deleted_by_position_after_their_end() {
    on_each_database(async |db| {
        let mut all = Vec::new();
        for n in 0..4 {
            let mut order = sample_order(1);
            order.created_at = at(n);
            insert_order(&db, &order).await;
            all.push(order.id);
        }
        let copy = assign_copy(&db, all[0], new_id()).await.expect("assigned");
        let running = assign_copy(&db, all[1], new_id()).await.expect("assigned");
        for id in [all[0], all[1], all[3]] {
            let ended = orders::change(&db, id, at(10), |before| {
                let mut decision = decide(before, EventType::OrderCancelled);
                (decision.order.ended_as, decision.order.completed_at) = (Some(OrderEnd::Cancelled), Some(at(10)));
                Ok::<_, ()>(Some(decision))
            });
            assert!(matches!(ended.await.expect("no error"), OrderChange::Changed(_)));
        }
        set_state(&db, copy.id, CopyState::Released, at(11)).await;
        let deleted = orders::delete_older_than(&db, at(5), at(50)).await.expect("no error");
        assert_eq!(deleted, 0, "they ended since");
        let deleted = orders::delete_older_than(&db, at(20), at(50)).await.expect("deleted");
        assert_eq!(deleted, 2, "one has an active copy, and one has not ended");
        assert_eq!(stored_copies::get(&db, copy.id).await.expect("read"), None);
        assert!(stored_copies::get(&db, running.id).await.expect("read").is_some());
        let left = orders::list_page(&db, &OrderFilter::default(), None, 10).await.expect("read");
        assert_eq!(left.iter().map(|one| one.order.id).collect::<Vec<_>>(), [all[2], all[1]]);
    })
    .await;
}
