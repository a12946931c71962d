//! Tests of the recorder queue: the messages that it keeps, merges and hands over.

use futures_util::FutureExt;

use super::*;
use crate::domain::print::{By, Mark, PrintResult};

const PRINTER: Uuid = Uuid::from_u128(1);

fn began(id: u128, by: By) -> PrintFact {
    PrintFact::Began { id: Uuid::from_u128(id), file: None, at: DateTime::UNIX_EPOCH, by }
}

fn ended(id: u128) -> PrintFact {
    PrintFact::Ended {
        id: Uuid::from_u128(id),
        at: DateTime::UNIX_EPOCH,
        result: PrintResult::Done,
        reason: None,
        by: By::printer(),
        left: Mark::default(),
    }
}

fn paused(id: u128) -> PrintFact {
    PrintFact::Paused { id: Uuid::from_u128(id), by: By::printer() }
}

fn resumed(id: u128) -> PrintFact {
    PrintFact::Resumed { id: Uuid::from_u128(id), by: By::printer() }
}

/// Adds a print from its start to its end.
fn print(queue: &RecorderQueue, printer_id: Uuid, id: u128, by: By) {
    queue.add_fact(printer_id, began(id, by));
    queue.add_fact(printer_id, ended(id));
}

/// Takes all messages. Returns the facts and summaries of one printer, in order.
fn taken(queue: &RecorderQueue, of: Uuid) -> (Vec<PrintFact>, Vec<Noisy>) {
    let (mut facts, mut merged) = (Vec::new(), Vec::new());
    for message in queue.try_take(usize::MAX) {
        match message {
            RecorderMessage::Print { printer_id, fact } if printer_id == of => facts.push(fact),
            RecorderMessage::Noisy { printer_id, noisy } if printer_id == of => merged.push(noisy),
            RecorderMessage::Print { .. } | RecorderMessage::Noisy { .. } | RecorderMessage::Flush(_) => {}
        }
    }
    (facts, merged)
}

#[test]
fn facts_up_to_the_bound_are_kept_in_order_and_those_of_other_printers_do_not_count() {
    let (queue, other) = (RecorderQueue::default(), Uuid::from_u128(2));
    for id in 0..50 {
        print(&queue, PRINTER, id, By::printer());
        print(&queue, other, 1_000 + id, By::printer());
    }
    assert_eq!(queue.backlog().facts, 2 * FACTS_KEPT);
    let (facts, merged) = taken(&queue, PRINTER);
    assert_eq!(facts, (0..50).flat_map(|id| [began(id, By::printer()), ended(id)]).collect::<Vec<_>>());
    assert_eq!(merged, []);
}

#[test]
fn beyond_the_bound_the_oldest_finished_prints_are_merged_and_counted() {
    let queue = RecorderQueue::default();
    // This print began earlier: the queue has only its end.
    queue.add_fact(PRINTER, ended(9_999));
    for id in 0..500 {
        print(&queue, PRINTER, id, By::printer());
        assert!(queue.backlog().facts <= FACTS_KEPT, "print {id}");
    }
    queue.add_fact(PRINTER, began(500, By::printer()));
    let (facts, merged) = taken(&queue, PRINTER);
    assert!(facts.len() <= FACTS_KEPT && facts.len() > FACTS_KEPT - 2);
    assert_eq!(facts.first(), Some(&ended(9_999)), "a print that is stored as open gets its end");
    assert_eq!(facts[facts.len() - 3..], [began(499, By::printer()), ended(499), began(500, By::printer())]);
    let kept = facts.iter().filter(|fact| matches!(fact, PrintFact::Began { .. })).count() as u64;
    let [noisy] = merged[..] else { panic!("{merged:?}") };
    assert_eq!((noisy.prints + kept, noisy.changes), (501, 0), "each print is kept or counted");
    assert!(noisy.from <= noisy.until);
}

#[test]
fn the_open_print_and_the_last_one_are_never_merged() {
    let queue = RecorderQueue::default();
    queue.add_fact(PRINTER, began(1, By::printer()));
    for _ in 0..300 {
        queue.add_fact(PRINTER, paused(1));
        queue.add_fact(PRINTER, resumed(1));
        assert!(queue.backlog().facts <= FACTS_KEPT);
    }
    queue.add_fact(PRINTER, paused(1));
    queue.add_fact(PRINTER, ended(1));
    let (facts, merged) = taken(&queue, PRINTER);
    assert_eq!(facts.first(), Some(&began(1, By::printer())));
    assert_eq!(facts[facts.len() - 2..], [paused(1), ended(1)], "the last change is kept");
    let [noisy] = merged[..] else { panic!("{merged:?}") };
    assert_eq!(noisy.prints, 0);
    assert_eq!(noisy.changes + facts.len() as u64, 603, "each fact is kept or counted");
}

#[test]
fn prints_of_commands_are_merged_last() {
    let queue = RecorderQueue::default();
    let command = By::command(Uuid::from_u128(77));
    print(&queue, PRINTER, 1, command);
    for id in 2..200 {
        print(&queue, PRINTER, id, By::printer());
    }
    let (facts, _) = taken(&queue, PRINTER);
    assert_eq!(facts[..2], [began(1, command), ended(1)]);
}

#[test]
fn changes_that_are_outdated_are_merged_before_a_print_of_a_command() {
    let queue = RecorderQueue::default();
    let command = By::command(Uuid::from_u128(77));
    print(&queue, PRINTER, 1, command);
    queue.add_fact(PRINTER, began(2, By::printer()));
    for _ in 0..200 {
        queue.add_fact(PRINTER, paused(2));
        queue.add_fact(PRINTER, resumed(2));
    }
    let (facts, merged) = taken(&queue, PRINTER);
    assert_eq!(facts[..3], [began(1, command), ended(1), began(2, By::printer())]);
    let [noisy] = merged[..] else { panic!("{merged:?}") };
    assert_eq!(noisy.prints, 0);
}

#[test]
fn what_is_taken_counts_until_it_is_stored_and_is_merged_with_nothing() {
    let queue = RecorderQueue::default();
    queue.add_fact(PRINTER, began(1, By::printer()));
    assert_eq!(queue.try_take(10).len(), 1);
    let since = queue.backlog().since;
    assert!(since.is_some());
    queue.add_fact(PRINTER, ended(1));
    for id in 2..100 {
        print(&queue, PRINTER, id, By::printer());
    }
    let backlog = queue.backlog();
    assert!(backlog.facts <= FACTS_KEPT + 1 && backlog.since == since);
    let (facts, _) = taken(&queue, PRINTER);
    assert_eq!(facts.first(), Some(&ended(1)));
    queue.mark_stored();
    assert_eq!(queue.backlog(), Backlog::default());
}

#[test]
fn a_group_has_the_oldest_messages_and_a_flush_marker_keeps_its_place() {
    let queue = RecorderQueue::default();
    queue.add_fact(PRINTER, began(1, By::printer()));
    let _stored = queue.add_flush();
    queue.add_fact(PRINTER, ended(1));
    let group = queue.try_take(2);
    assert!(matches!(group[..], [RecorderMessage::Print { .. }, RecorderMessage::Flush(_)]), "{group:?}");
    assert_eq!(queue.backlog().facts, 2);
    assert!(matches!(queue.try_take(2)[..], [RecorderMessage::Print { .. }]));
    assert!(queue.try_take(2).is_empty());
}

#[tokio::test]
async fn taking_waits_for_the_first_message() {
    let queue = RecorderQueue::default();
    let mut take = Box::pin(queue.take(10));
    assert!((&mut take).now_or_never().is_none());
    queue.add_fact(PRINTER, began(1, By::printer()));
    assert_eq!(take.await.len(), 1);
}

#[test]
fn of_observations_the_last_one_of_each_printer_waits() {
    let queue = RecorderQueue::default();
    for reachability in [Reachability::Online, Reachability::Unreachable] {
        queue.add_reach(PRINTER, reachability, DateTime::UNIX_EPOCH);
    }
    let observed = queue.take_observed();
    assert_eq!(observed.reach[&PRINTER].0, Reachability::Unreachable);
    assert!(queue.take_observed().reach.is_empty());
}

#[test]
fn the_reachability_of_a_printer_waits_for_the_facts_that_its_observation_waits_for() {
    let queue = RecorderQueue::default();
    queue.add_reach(PRINTER, Reachability::Online, DateTime::UNIX_EPOCH);
    queue.add_fact(PRINTER, began(1, By::printer()));
    assert!(queue.take_observed().reach.is_empty(), "it is stored with the observation");
    assert_eq!(queue.try_take(10).len(), 1);
    assert_eq!(queue.take_observed().reach.len(), 1);
}

#[test]
fn a_flooding_printer_is_held_back_and_delays_no_other() {
    let (queue, other) = (RecorderQueue::default(), Uuid::from_u128(2));
    for id in 0..200 {
        print(&queue, PRINTER, id, By::printer());
        drop(queue.lock().take(usize::MAX, Take::Steady));
    }
    queue.mark_stored();
    assert!(queue.lock().is_held(PRINTER), "400 facts are more than the burst");
    print(&queue, other, 1_000, By::printer());
    assert_eq!(queue.lock().take(usize::MAX, Take::Steady).len(), 2, "only the facts of the other printer");
    queue.mark_stored();
    assert_eq!(queue.backlog(), Backlog::default(), "held-back facts are not backlog");
    // A flush marker is answered after all earlier messages, including the end of the last print.
    let _stored = queue.add_flush();
    let (facts, merged) = taken(&queue, PRINTER);
    assert!(facts.len() <= FACTS_KEPT, "{}", facts.len());
    assert_eq!(facts.last(), Some(&ended(199)));
    assert!(merged.len() <= 1, "{merged:?}");
}

#[test]
fn what_is_held_back_is_taken_when_the_server_stops() {
    let queue = RecorderQueue::default();
    for id in 0..200 {
        print(&queue, PRINTER, id, By::printer());
        drop(queue.try_take(usize::MAX));
    }
    queue.close();
    let (facts, _) = taken(&queue, PRINTER);
    assert_eq!(facts.last(), Some(&ended(199)));
    assert!(queue.try_take(usize::MAX).is_empty());
}
