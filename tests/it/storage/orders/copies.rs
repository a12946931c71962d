//! Copies: assigned with their start command, followed to their end, and replaced.

use printyard::{
    clock::new_id,
    domain::{
        batch::{BatchFilter, BatchOrigin},
        copy::{CopyFilter, CopyResult, CopyState, Quality},
        event::EventType,
        order::{HoldReason, OrderState},
        part::Judgement,
    },
    storage::{
        Db, Error, batches, commands,
        copies::{self, AssignmentResult, CopyChange, CopyDecision},
        orders::{self, OrderChange},
    },
};
use serde_json::Map;
use uuid::Uuid;

use super::samples::{assign_copy, decide, insert_order, list_event_types, sample_assignment, sample_order, set_state};
use crate::storage::{databases::on_each_database, fixtures::at};

async fn read_order(db: &Db, id: Uuid) -> printyard::domain::order::CountedOrder {
    orders::get(db, id).await.expect("read").expect("an order")
}

#[tokio::test]
async fn a_copy_and_its_start_command_are_written_together() {
    on_each_database(async |db| {
        let order = sample_order(2);
        insert_order(&db, &order).await;
        let printer = new_id();
        let assignment = sample_assignment(&order, printer);
        let AssignmentResult::Assigned(copy) = copies::assign(&db, &assignment).await.expect("no error") else {
            panic!("not assigned")
        };
        assert_eq!(copies::get(&db, copy.id).await.expect("read").as_ref(), Some(&*copy));
        let row = commands::get(&db, copy.command_id).await.expect("read").expect("a command");
        assert_eq!((row.batch_id, row.printer_id), (copy.batch_id, printer));
        let counted = read_order(&db, order.id).await;
        assert_eq!((counted.state(), counted.quantities().printing), (OrderState::Running, 1));
        assert_eq!(counted.order.updated_at, at(5));
        // The list of batches leaves the batch out, unless it is asked for.
        let origins = [(None, 0), (Some(BatchOrigin::Client), 0), (Some(BatchOrigin::Planner), 1)];
        for (origin, found) in origins {
            let filter = BatchFilter { origin, ..BatchFilter::default() };
            assert_eq!(batches::list_page(&db, &filter, None, 10).await.expect("read").len(), found, "{origin:?}");
        }
        // Nothing is stored of a copy that the printer cannot take.
        let second = sample_assignment(&order, printer);
        assert_eq!(copies::assign(&db, &second).await.expect("no error"), AssignmentResult::PrinterTaken);
        assert_eq!(commands::get(&db, second.batch.rows[0].id).await.expect("read"), None);
        assert_eq!(copies::list_active(&db).await.expect("read"), [*copy]);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_assigned_beyond_the_quantity_or_to_an_order_that_is_held_or_ended() {
    on_each_database(async |db| {
        let order = sample_order(1);
        insert_order(&db, &order).await;
        let hold = async |hold: Option<HoldReason>| {
            let changed = orders::change(&db, order.id, at(6), |before| {
                let mut decision = decide(before, EventType::OrderHeld);
                decision.order.hold = hold;
                Ok::<_, ()>(Some(decision))
            });
            assert!(matches!(changed.await.expect("no error"), OrderChange::Changed(_)));
        };
        hold(Some(HoldReason::OnHold)).await;
        assert_eq!(assign_copy(&db, order.id, new_id()).await, None);
        hold(None).await;
        let copy = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        assert_eq!(assign_copy(&db, order.id, new_id()).await, None, "one part is enough");
        set_state(&db, copy.id, CopyState::Printing, at(7)).await;
        set_state(&db, copy.id, CopyState::Finished, at(8)).await;
        assert_eq!(assign_copy(&db, order.id, new_id()).await, None, "the order is completed");
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_followed_to_its_end_and_completes_its_order() {
    on_each_database(async |db| {
        let order = sample_order(1);
        insert_order(&db, &order).await;
        let copy = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        let states = [CopyState::Uploading, CopyState::Starting, CopyState::Printing];
        for (n, state) in states.into_iter().enumerate() {
            let counted = set_state(&db, copy.id, state, at(10 + i64::try_from(n).expect("small"))).await;
            assert_eq!((counted.state(), counted.quantities().printing), (OrderState::Running, 1), "{state}");
        }
        let print_id = new_id();
        let finished = copies::change(&db, copy.id, at(20), |copy, order| {
            let mut copy = copy.advance(&order.order, CopyState::Finished, at(20)).ok_or(())?;
            let result = CopyResult { filament_mm: Some(100.5), filament_g: None, print_time_s: Some(60.0) };
            (copy.print_id, copy.result) = (Some(print_id), Some(result));
            Ok::<_, ()>(Some(CopyDecision {
                copy,
                event: Some(EventType::CopyFinished),
                data: Map::new(),
                entry: None,
            }))
        });
        let CopyChange::Changed { copy, order: counted } = finished.await.expect("no error") else {
            panic!("not changed")
        };
        assert_eq!((copy.quality, copy.good, copy.started_at), (Quality::Judged, 1, Some(at(12))));
        assert_eq!(copies::get(&db, copy.id).await.expect("read").as_ref(), Some(&*copy));
        assert_eq!((counted.state(), counted.order.completed_at), (OrderState::Completed, Some(at(20))));
        let expected = [
            EventType::OrderCreated,
            EventType::CopyStarted,
            EventType::OrderStarted,
            EventType::CopyFinished,
            EventType::OrderCompleted,
        ];
        assert_eq!(list_event_types(&db).await, expected);
        // A final state is compared before it is changed, so a late report changes nothing.
        let late = copies::change(&db, copy.id, at(30), |copy, order| {
            Ok::<_, ()>(copy.advance(&order.order, CopyState::Failed, at(30)).map(|copy| CopyDecision {
                copy,
                event: None,
                data: Map::new(),
                entry: None,
            }))
        });
        assert!(matches!(late.await.expect("no error"), CopyChange::Unchanged { .. }));
    })
    .await;
}

#[tokio::test]
async fn a_failed_copy_is_replaced_until_the_attempts_are_used_up() {
    on_each_database(async |db| {
        let mut order = sample_order(2);
        order.details.on_failure.max_attempts = 2;
        insert_order(&db, &order).await;
        let other = sample_order(1);
        insert_order(&db, &other).await;
        let first = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        assert_eq!((first.attempt, first.replaces), (1, None));
        let counted = set_state(&db, first.id, CopyState::Failed, at(10)).await;
        assert_eq!((counted.state(), counted.quantities().queued), (OrderState::Queued, 2));
        // A released copy replaced nothing: it was never started.
        let released = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        assert_eq!((released.attempt, released.replaces), (2, Some(first.id)));
        set_state(&db, released.id, CopyState::Released, at(11)).await;
        let second = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        assert_eq!((second.attempt, second.replaces), (2, Some(first.id)));
        let beside = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        assert_eq!((beside.attempt, beside.replaces), (1, None), "one copy replaces one copy");
        let counted = set_state(&db, second.id, CopyState::Cancelled, at(12)).await;
        assert_eq!((counted.state(), counted.order.hold), (OrderState::OnHold, Some(HoldReason::AttemptsUsedUp)));
        assert_eq!(read_order(&db, other.id).await.order.hold, None, "no other order is put on hold");
        assert!(list_event_types(&db).await.ends_with(&[EventType::CopyCancelled, EventType::OrderHeld]));
        // The copy beside it still counts.
        let counted = set_state(&db, beside.id, CopyState::Finished, at(13)).await;
        assert_eq!((counted.state(), counted.sums.good), (OrderState::OnHold, 1));
        // A release grants new attempts.
        let released = orders::change(&db, order.id, at(14), |before| {
            let mut decision = decide(before, EventType::OrderReleased);
            (decision.order.hold, decision.order.attempts_since) = (None, Some(at(14)));
            Ok::<_, ()>(Some(decision))
        });
        assert!(matches!(released.await.expect("no error"), OrderChange::Changed(_)));
        let third = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        assert_eq!((third.attempt, third.replaces), (1, Some(second.id)));
    })
    .await;
}

#[tokio::test]
async fn a_failed_copy_that_is_not_needed_any_more_puts_nothing_on_hold() {
    on_each_database(async |db| {
        let mut order = sample_order(2);
        order.details.on_failure.max_attempts = 1;
        insert_order(&db, &order).await;
        let [first, second] = [
            assign_copy(&db, order.id, new_id()).await.expect("assigned"),
            assign_copy(&db, order.id, new_id()).await.expect("assigned"),
        ];
        let smaller = orders::change(&db, order.id, at(6), |before| {
            let mut decision = decide(before, EventType::OrderUpdated);
            decision.order.details.quantity = 1;
            Ok::<_, ()>(Some(decision))
        });
        assert!(matches!(smaller.await.expect("no error"), OrderChange::Changed(_)));
        let counted = set_state(&db, first.id, CopyState::Failed, at(7)).await;
        assert_eq!((counted.order.hold, counted.quantities().surplus), (None, 0), "the other copy is enough");
        let counted = set_state(&db, second.id, CopyState::Failed, at(8)).await;
        assert_eq!(counted.order.hold, Some(HoldReason::AttemptsUsedUp));
    })
    .await;
}

#[tokio::test]
async fn a_judgement_that_leaves_too_few_good_parts_reopens_the_order() {
    on_each_database(async |db| {
        let mut order = sample_order(4);
        order.details.judgement = Judgement::Manual;
        order.files[0].parts_per_plate = 4;
        insert_order(&db, &order).await;
        let copy = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        let counted = set_state(&db, copy.id, CopyState::Finished, at(10)).await;
        assert_eq!((counted.state(), counted.quantities().unjudged), (OrderState::Queued, 4), "a person judges first");
        let judge = async |good: u32, scrap: u32| {
            let changed = copies::change(&db, copy.id, at(20), |copy, _| {
                let copy = printyard::domain::copy::Copy { quality: Quality::Judged, good, scrap, ..copy.clone() };
                let event = Some(EventType::CopyJudged);
                Ok::<_, ()>(Some(CopyDecision { copy, event, data: Map::new(), entry: None }))
            });
            match changed.await.expect("no error") {
                CopyChange::Changed { order, .. } => *order,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(judge(4, 0).await.state(), OrderState::Completed);
        let corrected = judge(3, 1).await;
        let quantities = corrected.quantities();
        assert_eq!((corrected.state(), quantities.queued, quantities.scrap), (OrderState::Queued, 1, 1));
        let expected = [
            EventType::OrderCreated,
            EventType::CopyFinished,
            EventType::OrderStarted,
            EventType::CopyJudged,
            EventType::OrderCompleted,
            EventType::CopyJudged,
            EventType::OrderReopened,
        ];
        assert_eq!(list_event_types(&db).await, expected);
    })
    .await;
}

#[tokio::test]
async fn copies_are_found_by_order_printer_state_and_time_and_paged() {
    on_each_database(async |db| {
        let (mut order, other) = (sample_order(3), sample_order(1));
        order.tag_limit = vec!["hall-a".into()];
        insert_order(&db, &order).await;
        insert_order(&db, &other).await;
        let [a, b] = [new_id(), new_id()];
        let first = assign_copy(&db, order.id, a).await.expect("assigned");
        set_state(&db, first.id, CopyState::Lost, at(9)).await;
        let second = assign_copy(&db, order.id, a).await.expect("assigned");
        let third = assign_copy(&db, other.id, b).await.expect("assigned");
        let ids = async |filter: CopyFilter, after: Option<Uuid>| {
            let found = copies::list_page(&db, &filter, after, 2).await.expect("read");
            found.into_iter().map(|copy| copy.id).collect::<Vec<_>>()
        };
        let filter = CopyFilter::default;
        assert_eq!(ids(filter(), None).await, [third.id, second.id]);
        assert_eq!(ids(filter(), Some(second.id)).await, [first.id]);
        assert_eq!(ids(CopyFilter { order_id: Some(order.id), ..filter() }, None).await, [second.id, first.id]);
        assert_eq!(ids(CopyFilter { printer_id: Some(b), ..filter() }, None).await, [third.id]);
        assert_eq!(ids(CopyFilter { state: Some(CopyState::Lost), ..filter() }, None).await, [first.id]);
        assert_eq!(ids(CopyFilter { since: Some(at(6)), ..filter() }, None).await, Vec::<Uuid>::new());
        let limited = CopyFilter { visible_tags: Some(vec!["hall-a".into()]), ..filter() };
        assert_eq!(ids(limited, None).await, [second.id, first.id]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_was_superseded_assigns_and_changes_nothing() {
    on_each_database(async |db| {
        let order = sample_order(2);
        insert_order(&db, &order).await;
        let copy = assign_copy(&db, order.id, new_id()).await.expect("assigned");
        db.fence().hold(7);
        let assigned = copies::assign(&db, &sample_assignment(&order, new_id())).await;
        assert!(matches!(assigned, Err(Error::Superseded)), "{assigned:?}");
        let changed = copies::change(&db, copy.id, at(9), |_, _| Ok::<_, ()>(None)).await;
        assert!(matches!(changed, Err(Error::Superseded)));
        let changed = orders::change(&db, order.id, at(9), |_| Ok::<_, ()>(None)).await;
        assert!(matches!(changed, Err(Error::Superseded)));
    })
    .await;
}

#[tokio::test]
async fn of_many_assignments_at_once_one_wins_and_the_quantity_holds() {
    on_each_database(async |db| {
        let (order, printer) = (sample_order(3), new_id());
        insert_order(&db, &order).await;
        // Ten for one printer, and ten for printers of their own.
        let targets = (0..20).map(|n| if n < 10 { printer } else { new_id() });
        let assignments: Vec<_> = targets.map(|printer| sample_assignment(&order, printer)).collect();
        let results = futures_util::future::join_all(assignments.iter().map(|one| copies::assign(&db, one))).await;
        let assigned: Vec<Uuid> = results
            .into_iter()
            .filter_map(|result| match result.expect("no error") {
                AssignmentResult::Assigned(copy) => Some(copy.printer_id),
                AssignmentResult::NotNeeded | AssignmentResult::PrinterTaken => None,
            })
            .collect();
        assert_eq!(assigned.len(), 3);
        assert!(assigned.iter().filter(|id| **id == printer).count() <= 1, "{assigned:?}");
        let counted = read_order(&db, order.id).await;
        assert_eq!((counted.sums.printing, counted.quantities().queued), (3, 0));
    })
    .await;
}
