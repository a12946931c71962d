//! The queue to the recorder. It has a limit per printer, and an actor never waits for room.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chrono::{DateTime, Utc};
use governor::{RateLimiter, clock::MonotonicClock, state::keyed::HashMapStateStore};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::{
    message::{RecorderMessage, StoredObservation},
    settings::{FACT_RATE, FACTS_KEPT, NOISY_EVERY},
};
use crate::{
    clock,
    domain::{
        merged_facts::MergedFacts,
        print::{ActorKind, PrintFact},
        state::Reachability,
    },
};

/// The queue from all actors to the recorder. Cheap to clone.
///
/// At most [`FACTS_KEPT`] facts about the prints of one printer wait. Beyond that, finished prints of that printer are merged,
/// the oldest first. Its last print is never merged: an open print stays complete, and the plate stays correct.
///
/// The recorder takes the facts of one printer at the rate [`FACT_RATE`]. Facts beyond that rate are held back, and are
/// taken once a second.
///
/// The queue keeps only the last observation and the last reachability of each printer.
#[derive(Clone, Default)]
pub struct RecorderQueue(Arc<SharedQueue>);

#[derive(Default)]
struct SharedQueue {
    state: Mutex<QueueState>,
    added: Notify,
}

#[derive(Default)]
struct QueueState {
    last_position: u64,
    /// In the order of arrival.
    messages: BTreeMap<u64, QueuedMessage>,
    printers: HashMap<Uuid, Positions>,
    observed: LatestObservations,
    /// Facts that the recorder has taken and not yet stored.
    taken: Backlog,
    rates: FactRates,
    /// Printers that exceeded their rate. Their waiting facts are taken only with the observations.
    held_printers: HashSet<Uuid>,
    /// When the last summary of a printer was taken.
    noisy_at: HashMap<Uuid, Instant>,
    flushes: usize,
    /// The server is stopping: nothing is held back.
    is_closing: bool,
}

/// Limits the rate of facts per printer.
struct FactRates(RateLimiter<Uuid, HashMapStateStore<Uuid>, MonotonicClock>);

impl Default for FactRates {
    fn default() -> Self {
        Self(RateLimiter::new(FACT_RATE, HashMapStateStore::default(), MonotonicClock))
    }
}

/// The messages that may be taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TakeMode {
    /// Only messages of printers that keep to their rate.
    Steady,
    /// Also the held-back messages that the rates now allow.
    Held,
}

struct QueuedMessage {
    since: Instant,
    at: DateTime<Utc>,
    content: RecorderMessage,
}

/// The positions of one printer's messages in the queue.
#[derive(Default)]
struct Positions {
    facts: VecDeque<u64>,
    noisy: Option<u64>,
}

/// The last observation and the last reachability of each printer, if they are new.
#[derive(Debug, Default)]
pub struct LatestObservations {
    pub observations: HashMap<Uuid, StoredObservation>,
    pub reachability: HashMap<Uuid, (Reachability, DateTime<Utc>)>,
}

/// Facts about prints that are not stored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    pub facts: usize,
    /// When the oldest of them arrived.
    pub since: Option<Instant>,
}

impl RecorderQueue {
    /// Adds a fact about a print.
    pub fn add_fact(&self, printer_id: Uuid, fact: PrintFact) {
        let is_held = self.lock().add_fact(printer_id, fact);
        if !is_held {
            self.0.added.notify_one();
        }
    }

    /// Adds an observation. It replaces the previous one.
    pub fn add_observation(&self, observation: StoredObservation) {
        self.lock().observed.observations.insert(observation.printer_id, observation);
    }

    /// Adds a change of reachability. It replaces the previous one.
    pub fn add_reachability(&self, printer_id: Uuid, reachability: Reachability, at: DateTime<Utc>) {
        self.lock().observed.reachability.insert(printer_id, (reachability, at));
    }

    /// Adds a flush marker. It is answered once all earlier facts are stored.
    pub fn add_flush(&self) -> oneshot::Receiver<()> {
        let (done, flushed) = oneshot::channel();
        let mut state = self.lock();
        state.flushes += 1;
        state.push_message(RecorderMessage::Flush(done));
        drop(state);
        self.0.added.notify_one();
        flushed
    }

    /// Waits for messages, and takes the oldest, at most `limit`. They count as backlog until [`RecorderQueue::mark_stored`].
    /// Cancel safe.
    pub async fn take(&self, limit: usize) -> Vec<RecorderMessage> {
        loop {
            let taken = self.lock().take(limit, TakeMode::Steady);
            if !taken.is_empty() {
                return taken;
            }
            self.0.added.notified().await;
            // Actors that were woken at the same time share one group.
            tokio::task::yield_now().await;
        }
    }

    /// Takes messages like [`RecorderQueue::take`], but does not wait for the first one. It also takes held-back messages, as
    /// far as the rates allow.
    pub fn try_take(&self, limit: usize) -> Vec<RecorderMessage> {
        self.lock().take(limit, TakeMode::Held)
    }

    /// Stops holding back messages: the server is stopping.
    pub fn close(&self) {
        self.lock().is_closing = true;
    }

    /// Records that the taken messages are stored.
    pub fn mark_stored(&self) {
        self.lock().taken = Backlog::default();
    }

    /// Takes the observations of all printers without waiting facts. An observation is never stored before the print that it
    /// shows. The reachability waits too, because it is stored with the observation.
    pub fn take_observed(&self) -> LatestObservations {
        let mut state = self.lock();
        let LatestObservations { observations, reachability } = std::mem::take(&mut state.observed);
        let has_facts =
            |printer_id: &Uuid| state.printers.get(printer_id).is_some_and(|positions| !positions.facts.is_empty());
        let (deferred, observations) = observations.into_iter().partition(|(printer_id, _)| has_facts(printer_id));
        let (deferred_reachability, reach) =
            reachability.into_iter().partition(|(printer_id, _)| has_facts(printer_id));
        state.observed = LatestObservations { observations: deferred, reachability: deferred_reachability };
        LatestObservations { observations, reachability: reach }
    }

    /// Returns the facts that are not stored yet. Held-back facts do not count: the recorder is not behind.
    pub fn backlog(&self) -> Backlog {
        let state = self.lock();
        let counted = state.printers.iter().filter(|(printer_id, _)| !state.is_held(**printer_id));
        let facts: usize = counted.map(|(_, printer)| printer.facts.len()).sum();
        let is_counted = |message: &&QueuedMessage| message.content.printer_id().is_none_or(|id| !state.is_held(id));
        let oldest = state.messages.values().find(is_counted).map(|message| message.since);
        Backlog { facts: facts + state.taken.facts, since: state.taken.since.or(oldest) }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn push_message(&mut self, content: RecorderMessage) -> u64 {
        self.last_position += 1;
        self.messages.insert(self.last_position, QueuedMessage { since: Instant::now(), at: clock::now(), content });
        self.last_position
    }

    fn is_held(&self, printer_id: Uuid) -> bool {
        self.held_printers.contains(&printer_id)
    }

    /// Adds a fact. Returns whether facts of this printer are held back.
    fn add_fact(&mut self, printer_id: Uuid, fact: PrintFact) -> bool {
        // The waiting observation is older than the fact.
        if let (Some((mark, at)), Some(older)) = (fact.mark(), self.observed.observations.get_mut(&printer_id)) {
            (older.mark, older.at) = (mark, at);
        }
        let position = self.push_message(RecorderMessage::Print { printer_id, fact });
        self.printers.entry(printer_id).or_default().facts.push_back(position);
        while self.printers.get(&printer_id).is_some_and(|printer| printer.facts.len() > FACTS_KEPT)
            && self.merge_facts(printer_id)
        {}
        self.is_held(printer_id)
    }

    /// Returns the messages that may be taken now, in order. With a flush marker, or when the server stops, nothing is held
    /// back.
    fn due_positions(&mut self, limit: usize, mode: TakeMode) -> Vec<u64> {
        let now = Instant::now();
        self.noisy_at.retain(|_, at| now.duration_since(*at) < NOISY_EVERY);
        if self.flushes > 0 || self.is_closing {
            return self.messages.keys().take(limit).copied().collect();
        }
        if mode == TakeMode::Held {
            self.rates.0.retain_recent();
            self.held_printers.clear();
        }
        let mut due = Vec::new();
        for (position, message) in &self.messages {
            if due.len() >= limit {
                break;
            }
            let is_due = match &message.content {
                RecorderMessage::Print { printer_id, .. } => {
                    let is_held =
                        self.held_printers.contains(printer_id) || self.rates.0.check_key(printer_id).is_err();
                    if is_held {
                        self.held_printers.insert(*printer_id);
                    }
                    !is_held
                }
                RecorderMessage::Noisy { printer_id, .. } => match self.noisy_at.entry(*printer_id) {
                    Entry::Vacant(entry) => {
                        entry.insert(now);
                        true
                    }
                    Entry::Occupied(_) => false,
                },
                RecorderMessage::Flush(_) => true,
            };
            if is_due {
                due.push(*position);
            }
        }
        due
    }

    fn take(&mut self, limit: usize, take: TakeMode) -> Vec<RecorderMessage> {
        let mut taken = Vec::new();
        for position in self.due_positions(limit, take) {
            let Some(QueuedMessage { since, content, .. }) = self.messages.remove(&position) else { continue };
            match &content {
                RecorderMessage::Print { printer_id, .. } => {
                    self.taken.facts += 1;
                    self.update_positions(*printer_id, |printer| {
                        printer.facts.pop_front();
                    });
                }
                RecorderMessage::Noisy { printer_id, .. } => {
                    self.update_positions(*printer_id, |printer| printer.noisy = None)
                }
                RecorderMessage::Flush(_) => self.flushes -= 1,
            }
            self.taken.since.get_or_insert(since);
            taken.push(content);
        }
        taken
    }

    fn update_positions(&mut self, printer_id: Uuid, forget: impl FnOnce(&mut Positions)) {
        let Some(printer) = self.printers.get_mut(&printer_id) else { return };
        forget(printer);
        if printer.facts.is_empty() && printer.noisy.is_none() {
            self.printers.remove(&printer_id);
        }
    }

    /// Merges the least important facts of a printer. Returns `false` if no facts may be merged.
    fn merge_facts(&mut self, printer_id: Uuid) -> bool {
        let Some(printer) = self.printers.get(&printer_id) else { return false };
        let facts: Vec<(u64, &PrintFact)> =
            printer.facts.iter().filter_map(|position| Some((*position, self.fact_at(*position)?))).collect();
        let Some((merged, is_print)) = next_to_merge(&facts) else { return false };
        let (Some(first), Some(printer)) = (merged.first(), self.printers.get_mut(&printer_id)) else { return false };
        printer.facts.retain(|position| !merged.contains(position));
        let position = *printer.noisy.get_or_insert(*first);
        let removed: Vec<QueuedMessage> = merged.iter().filter_map(|position| self.messages.remove(position)).collect();
        for message in removed {
            let kept = self.messages.entry(position).or_insert_with(|| {
                let noisy = MergedFacts::new(message.at);
                QueuedMessage { content: RecorderMessage::Noisy { printer_id, noisy }, ..message }
            });
            if let RecorderMessage::Noisy { noisy, .. } = &mut kept.content {
                noisy.include(message.at);
            }
        }
        if let Some(RecorderMessage::Noisy { noisy, .. }) =
            self.messages.get_mut(&position).map(|kept| &mut kept.content)
        {
            *(if is_print { &mut noisy.prints } else { &mut noisy.changes }) += 1;
        }
        true
    }

    fn fact_at(&self, position: u64) -> Option<&PrintFact> {
        match &self.messages.get(&position)?.content {
            RecorderMessage::Print { fact, .. } => Some(fact),
            RecorderMessage::Noisy { .. } | RecorderMessage::Flush(_) => None,
        }
    }
}

/// Returns the facts to merge, and whether they are a whole print. Finished prints that no command started are merged first,
/// then outdated changes. Prints of commands keep their rows as long as other facts can be merged.
fn next_to_merge(facts: &[(u64, &PrintFact)]) -> Option<(Vec<u64>, bool)> {
    let whole = |id: Uuid| facts.iter().filter(|(_, fact)| fact.id() == id).map(|(position, _)| *position).collect();
    let finished = |by_command| oldest_finished(facts, by_command).map(|id| (whole(id), true));
    let outdated = || oldest_outdated(facts).map(|position| (vec![position], false));
    finished(false).or_else(outdated).or_else(|| finished(true))
}

/// Returns the oldest print that began and ended among these facts and is not the last one.
fn oldest_finished(facts: &[(u64, &PrintFact)], by_command: bool) -> Option<Uuid> {
    let (_, last) = facts.last()?;
    let ended = |id: &Uuid| {
        facts.iter().any(|(_, fact)| matches!(fact, PrintFact::Ended { id: ended_id, .. } if ended_id == id))
    };
    facts.iter().find_map(|(_, fact)| match fact {
        PrintFact::Began { id, by, .. } => {
            let fits = *id != last.id() && (by.kind == ActorKind::Command) == by_command && ended(id);
            fits.then_some(*id)
        }
        PrintFact::Paused { .. }
        | PrintFact::PauseCredited { .. }
        | PrintFact::Resumed { .. }
        | PrintFact::Stalled { .. }
        | PrintFact::Ended { .. } => None,
    })
}

/// Returns the oldest pause, resume or stall warning that a later one of the same print makes outdated.
fn oldest_outdated(facts: &[(u64, &PrintFact)]) -> Option<u64> {
    let is_change = |fact: &PrintFact| match fact {
        PrintFact::Paused { .. } | PrintFact::PauseCredited { .. } | PrintFact::Resumed { .. } => true,
        PrintFact::Began { .. } | PrintFact::Stalled { .. } | PrintFact::Ended { .. } => false,
    };
    facts.iter().enumerate().find_map(|(index, (position, fact))| {
        let is_outdated = matches!(fact, PrintFact::Stalled { .. })
            || is_change(fact)
                && facts[index + 1..].iter().any(|(_, later)| is_change(later) && later.id() == fact.id());
        is_outdated.then_some(*position)
    })
}

#[cfg(test)]
mod tests;
