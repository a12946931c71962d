//! What a planner reads: the orders that need parts.

use printyard::{
    clock::new_id,
    domain::{
        copy::CopyState,
        event::EventType,
        order::{FailedCopy, HoldReason, Order, OrderEnd, OrderFilter, OrderState},
    },
    storage::{
        copies::{self, AssignmentResult},
        orders,
    },
};

use super::samples::{assign_copy, decide, insert_order, sample_assignment, sample_order, set_state};
use crate::storage::{databases::on_each_database, fixtures::at};

#[tokio::test]
async fn open_orders_have_what_a_planner_needs() {
    on_each_database(async |db| {
        let [order, filled, held] = [sample_order(3), sample_order(1), sample_order(1)];
        for order in [&order, &filled, &held] {
            insert_order(&db, order).await;
        }
        assign_copy(&db, filled.id, new_id()).await.expect("assigned");
        orders::change(&db, held.id, at(1), |before| {
            let mut decision = decide(before, EventType::OrderHeld);
            decision.order.hold = Some(HoldReason::OnHold);
            Ok::<_, ()>(Some(decision))
        })
        .await
        .expect("no error");
        let [bad, good] = [new_id(), new_id()];
        let failed = assign_copy(&db, order.id, bad).await.expect("assigned");
        set_state(&db, failed.id, CopyState::Failed, at(9)).await;
        let replaced = assign_copy(&db, order.id, bad).await.expect("assigned");
        set_state(&db, replaced.id, CopyState::Lost, at(10)).await;
        assign_copy(&db, order.id, good).await.expect("assigned");
        let beside = assign_copy(&db, order.id, bad).await.expect("assigned");
        set_state(&db, beside.id, CopyState::Failed, at(11)).await;
        let all = [order.id, filled.id, held.id, new_id()];
        let open = orders::list_open(&db, &all).await.expect("read");
        let ids: Vec<_> = open.iter().map(|one| one.counted.order.id).collect();
        assert_eq!(ids, [order.id, held.id], "the filled order needs no more parts");
        assert_eq!(open[0].counted.quantities().queued, 2);
        let expected = FailedCopy { id: beside.id, printer_id: bad, attempt: 1, ended_at: Some(at(11)) };
        assert_eq!(open[0].failed, [expected], "the others were replaced");
        assert_eq!(open[0].printers, [good]);
        assert_eq!((open[1].failed.len(), open[1].printers.len()), (0, 0));
        assert_eq!(Some(&open[0].counted), orders::get(&db, order.id).await.expect("read").as_ref());
        let open = orders::list_open(&db, &[held.id]).await.expect("read");
        assert_eq!(open.iter().map(|one| one.counted.order.id).collect::<Vec<_>>(), [held.id]);
    })
    .await;
}

#[tokio::test]
async fn the_stamp_of_an_open_order_moves_with_everything_that_a_planner_reads() {
    on_each_database(async |db| {
        let order = sample_order(4);
        insert_order(&db, &order).await;
        let mut stamps = Vec::new();
        let mut read = async || {
            let all = orders::list_open_stamps(&db).await.expect("read");
            let stamp = all.into_iter().find(|(id, _)| *id == order.id);
            assert!(!stamps.contains(&stamp), "{stamp:?} in {stamps:?}");
            stamps.push(stamp);
        };
        read().await;
        let first = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        read().await;
        set_state(&db, first.id, CopyState::Failed, at(20)).await;
        read().await;
        let mut assignment = sample_assignment(&order, new_id());
        assignment.at = at(21);
        let AssignmentResult::Assigned(second) = copies::assign(&db, &assignment).await.expect("no error") else {
            panic!("not assigned")
        };
        read().await;
        set_state(&db, second.id, CopyState::Released, at(22)).await;
        read().await;
        orders::change(&db, order.id, at(23), |before| {
            let mut decision = decide(before, EventType::OrderUpdated);
            decision.order.details.priority = 99;
            Ok::<_, ()>(Some(decision))
        })
        .await
        .expect("no error");
        read().await;
        orders::change(&db, order.id, at(24), |before| {
            let mut decision = decide(before, EventType::OrderCancelled);
            (decision.order.ended_as, decision.order.completed_at) = (Some(OrderEnd::Cancelled), Some(at(24)));
            Ok::<_, ()>(Some(decision))
        })
        .await
        .expect("no error");
        read().await;
        assert_eq!(stamps.last(), Some(&None), "an order that ended has none");
    })
    .await;
}

#[tokio::test]
async fn orders_by_urgency_have_the_open_ones_first_then_those_that_ended_last() {
    on_each_database(async |db| {
        let order = |priority: u32, due: Option<i64>, ended: Option<i64>| {
            let mut order = Order { ended_as: ended.map(|_| OrderEnd::Cancelled), ..sample_order(1) };
            (order.details.priority, order.details.due_at) = (priority, due.map(at));
            order.completed_at = ended.map(at);
            order
        };
        let expected = [
            order(80, None, None),
            order(50, Some(5), None),
            order(50, Some(9), None),
            order(50, None, None),
            order(50, None, None),
            order(20, Some(1), None),
            order(10, None, Some(9)),
            order(99, Some(1), Some(8)),
        ];
        for position in [7, 2, 3, 5, 0, 6, 4, 1] {
            insert_order(&db, &expected[position]).await;
        }
        let ids: Vec<_> = expected.iter().map(|order| order.id).collect();
        let list = async |filter: OrderFilter, skipped, limit| -> Vec<_> {
            let found = orders::list_by_urgency(&db, &filter, skipped, limit).await.expect("read");
            found.into_iter().map(|one| one.order.id).collect()
        };
        assert_eq!(list(OrderFilter::default(), 0, 10).await, ids);
        assert_eq!(list(OrderFilter::default(), 3, 2).await, ids[3..5]);
        let cancelled = OrderFilter { state: Some(OrderState::Cancelled), ..OrderFilter::default() };
        assert_eq!(list(cancelled, 0, 10).await, ids[6..]);
    })
    .await;
}
