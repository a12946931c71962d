//! Tests of the recorder queue: the messages that it keeps, merges and hands over.

use futures_util::FutureExt;

use super::*;
use crate::domain::print::{JobMark, PrintActor, PrintResult};

const PRINTER: Uuid = Uuid::from_u128(1);

fn began(id: u128, by: PrintActor) -> PrintFact {
    PrintFact::Began { id: Uuid::from_u128(id), file: None, at: DateTime::UNIX_EPOCH, by }
}

fn ended(id: u128) -> PrintFact {
    PrintFact::Ended {
        id: Uuid::from_u128(id),
        at: DateTime::UNIX_EPOCH,
        result: PrintResult::Done,
        reason: None,
        by: PrintActor::printer(),
        mark_after: JobMark::default(),
    }
}

fn paused(id: u128) -> PrintFact {
    PrintFact::Paused { id: Uuid::from_u128(id), by: PrintActor::printer() }
}

fn resumed(id: u128) -> PrintFact {
    PrintFact::Resumed { id: Uuid::from_u128(id), by: PrintActor::printer() }
}

/// Adds a print from its start to its end.
fn add_print(queue: &RecorderQueue, printer_id: Uuid, id: u128, by: PrintActor) {
    queue.add_fact(printer_id, began(id, by));
    queue.add_fact(printer_id, ended(id));
}

/// Takes all messages. Returns the facts and summaries of one printer, in order.
fn take_all(queue: &RecorderQueue, printer: Uuid) -> (Vec<PrintFact>, Vec<MergedFacts>) {
    let (mut facts, mut merged) = (Vec::new(), Vec::new());
    for message in queue.try_take(usize::MAX) {
        match message {
            RecorderMessage::Print { printer_id, fact } if printer_id == printer => facts.push(fact),
            RecorderMessage::Noisy { printer_id, noisy } if printer_id == printer => merged.push(noisy),
            RecorderMessage::Print { .. } | RecorderMessage::Noisy { .. } | RecorderMessage::Flush(_) => {}
        }
    }
    (facts, merged)
}

#[test]
fn facts_within_the_limit_of_a_printer_are_kept_in_order() {
    let (queue, other) = (RecorderQueue::default(), Uuid::from_u128(2));
    for id in 0..50 {
        add_print(&queue, PRINTER, id, PrintActor::printer());
        add_print(&queue, other, 1_000 + id, PrintActor::printer());
    }
    assert_eq!(queue.backlog().facts, 2 * FACTS_KEPT);
    let (facts, merged) = take_all(&queue, PRINTER);
    assert_eq!(facts, (0..50).flat_map(|id| [began(id, PrintActor::printer()), ended(id)]).collect::<Vec<_>>());
    assert_eq!(merged, []);
}

#[test]
fn beyond_the_limit_the_oldest_finished_prints_are_merged_and_counted() {
    let queue = RecorderQueue::default();
    // This print began earlier: the queue has only its end.
    queue.add_fact(PRINTER, ended(9_999));
    for id in 0..500 {
        add_print(&queue, PRINTER, id, PrintActor::printer());
        assert!(queue.backlog().facts <= FACTS_KEPT, "print {id}");
    }
    queue.add_fact(PRINTER, began(500, PrintActor::printer()));
    let (facts, merged) = take_all(&queue, PRINTER);
    assert!(facts.len() <= FACTS_KEPT && facts.len() > FACTS_KEPT - 2);
    assert_eq!(facts.first(), Some(&ended(9_999)), "a print that is stored as open gets its end");
    assert_eq!(
        facts[facts.len() - 3..],
        [began(499, PrintActor::printer()), ended(499), began(500, PrintActor::printer())]
    );
    let kept = facts.iter().filter(|fact| matches!(fact, PrintFact::Began { .. })).count() as u64;
    let [noisy] = merged[..] else { panic!("{merged:?}") };
    assert_eq!((noisy.prints + kept, noisy.changes), (501, 0), "each print is kept or counted");
    assert!(noisy.from <= noisy.until);
}

#[test]
fn the_open_print_and_the_last_one_are_never_merged() {
    let queue = RecorderQueue::default();
    queue.add_fact(PRINTER, began(1, PrintActor::printer()));
    for _ in 0..300 {
        queue.add_fact(PRINTER, paused(1));
        queue.add_fact(PRINTER, resumed(1));
        assert!(queue.backlog().facts <= FACTS_KEPT);
    }
    queue.add_fact(PRINTER, paused(1));
    queue.add_fact(PRINTER, ended(1));
    let (facts, merged) = take_all(&queue, PRINTER);
    assert_eq!(facts.first(), Some(&began(1, PrintActor::printer())));
    assert_eq!(facts[facts.len() - 2..], [paused(1), ended(1)], "the last change is kept");
    let [noisy] = merged[..] else { panic!("{merged:?}") };
    assert_eq!(noisy.prints, 0);
    assert_eq!(noisy.changes + facts.len() as u64, 603, "each fact is kept or counted");
}

#[test]
fn prints_of_commands_are_merged_last() {
    let queue = RecorderQueue::default();
    let command = PrintActor::command(Uuid::from_u128(77));
    add_print(&queue, PRINTER, 1, command);
    for id in 2..200 {
        add_print(&queue, PRINTER, id, PrintActor::printer());
    }
    let (facts, _) = take_all(&queue, PRINTER);
    assert_eq!(facts[..2], [began(1, command), ended(1)]);
}

#[test]
fn changes_that_are_outdated_are_merged_before_a_print_of_a_command() {
    let queue = RecorderQueue::default();
    let command = PrintActor::command(Uuid::from_u128(77));
    add_print(&queue, PRINTER, 1, command);
    queue.add_fact(PRINTER, began(2, PrintActor::printer()));
    for _ in 0..200 {
        queue.add_fact(PRINTER, paused(2));
        queue.add_fact(PRINTER, resumed(2));
    }
    let (facts, merged) = take_all(&queue, PRINTER);
    assert_eq!(facts[..3], [began(1, command), ended(1), began(2, PrintActor::printer())]);
    let [noisy] = merged[..] else { panic!("{merged:?}") };
    assert_eq!(noisy.prints, 0);
}

#[test]
fn taken_facts_count_until_they_are_stored_and_are_not_merged() {
    let queue = RecorderQueue::default();
    queue.add_fact(PRINTER, began(1, PrintActor::printer()));
    assert_eq!(queue.try_take(10).len(), 1);
    let since = queue.backlog().since;
    assert!(since.is_some());
    queue.add_fact(PRINTER, ended(1));
    for id in 2..100 {
        add_print(&queue, PRINTER, id, PrintActor::printer());
    }
    let backlog = queue.backlog();
    assert!(backlog.facts <= FACTS_KEPT + 1 && backlog.since == since);
    let (facts, _) = take_all(&queue, PRINTER);
    assert_eq!(facts.first(), Some(&ended(1)));
    queue.mark_stored();
    assert_eq!(queue.backlog(), Backlog::default());
}

#[test]
fn a_group_has_the_oldest_messages_and_a_flush_marker_keeps_its_place() {
    let queue = RecorderQueue::default();
    queue.add_fact(PRINTER, began(1, PrintActor::printer()));
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
    queue.add_fact(PRINTER, began(1, PrintActor::printer()));
    assert_eq!(take.await.len(), 1);
}

#[test]
fn only_the_last_observation_of_each_printer_is_kept() {
    let queue = RecorderQueue::default();
    for reachability in [Reachability::Online, Reachability::Unreachable] {
        queue.add_reachability(PRINTER, reachability, DateTime::UNIX_EPOCH);
    }
    let observed = queue.take_observed();
    assert_eq!(observed.reachability[&PRINTER].0, Reachability::Unreachable);
    assert!(queue.take_observed().reachability.is_empty());
}

#[test]
fn reachability_waits_until_earlier_facts_are_taken() {
    let queue = RecorderQueue::default();
    queue.add_reachability(PRINTER, Reachability::Online, DateTime::UNIX_EPOCH);
    queue.add_fact(PRINTER, began(1, PrintActor::printer()));
    assert!(queue.take_observed().reachability.is_empty(), "it is stored with the observation");
    assert_eq!(queue.try_take(10).len(), 1);
    assert_eq!(queue.take_observed().reachability.len(), 1);
}

#[test]
fn a_flooding_printer_is_held_back_and_delays_no_other() {
    let (queue, other) = (RecorderQueue::default(), Uuid::from_u128(2));
    for id in 0..200 {
        add_print(&queue, PRINTER, id, PrintActor::printer());
        drop(queue.lock().take(usize::MAX, TakeMode::Steady));
    }
    queue.mark_stored();
    assert!(queue.lock().is_held(PRINTER), "400 facts are more than the burst");
    add_print(&queue, other, 1_000, PrintActor::printer());
    assert_eq!(queue.lock().take(usize::MAX, TakeMode::Steady).len(), 2, "only the facts of the other printer");
    queue.mark_stored();
    assert_eq!(queue.backlog(), Backlog::default(), "held-back facts are not backlog");
    // A flush marker is answered after all earlier messages, including the end of the last print.
    let _stored = queue.add_flush();
    let (facts, merged) = take_all(&queue, PRINTER);
    assert!(facts.len() <= FACTS_KEPT, "{}", facts.len());
    assert_eq!(facts.last(), Some(&ended(199)));
    assert!(merged.len() <= 1, "{merged:?}");
}

#[test]
fn held_back_facts_are_taken_when_the_server_stops() {
    let queue = RecorderQueue::default();
    for id in 0..200 {
        add_print(&queue, PRINTER, id, PrintActor::printer());
        drop(queue.try_take(usize::MAX));
    }
    queue.close();
    let (facts, _) = take_all(&queue, PRINTER);
    assert_eq!(facts.last(), Some(&ended(199)));
    assert!(queue.try_take(usize::MAX).is_empty());
}
