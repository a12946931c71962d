//! Counts the interleavings of random histories. The test fails if one is too rare, because it would then prove little.

use std::collections::BTreeMap;

/// An order of events, readings, gaps and restarts that a tracker could handle wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interleaving {
    /// A reading shows a change before its event arrives.
    ReadingBeforeEvent,
    /// An event arrives after a reading has shown its change.
    EventAfterReading,
    /// An event arrives while the reply to a reading is in flight. The reply is discarded.
    EventBeforeReading,
    /// A print begins by a reading, although its event will arrive.
    BeginningByReading,
    /// A reading contradicts the events.
    UnconfirmedReading,
    UnconfirmedSettledByEvent,
    UnconfirmedAccepted,
    /// The event of a closed connection arrives before the event with the reason of the failed print.
    EndBeforeReason,
    Gap,
    /// Prints began or ended within a gap.
    GapWithChange,
    /// Events arrive before the reading that ends the gap, and are processed after it.
    GapWithEvents,
    /// The events of a whole print did not arrive, and a reading showed the next print. The fixed seeds do not contain
    /// this case.
    HiddenPrintLost,
    /// The connection is lost after a start was sent and before its effect is visible.
    GapBetweenSendAndStart,
    Poll,
    Kill,
    KillWithinPrint,
    KillBetweenEndAndObservation,
    KillWithLostFacts,
    KillBetweenSendAndStart,
    /// A print begins by a start that the previous run sent.
    RecoveredStart,
    /// OctoPrint restarts while it prints.
    PrinterRestartWithinPrint,
}

use Interleaving as I;

/// How often the fixed seeds must have each interleaving: about half of the actual number.
const MIN_OCCURRENCES: &[(Interleaving, u32)] = &[
    (I::ReadingBeforeEvent, 300),
    (I::EventAfterReading, 450),
    (I::EventBeforeReading, 450),
    (I::BeginningByReading, 50),
    (I::UnconfirmedReading, 200),
    (I::UnconfirmedSettledByEvent, 190),
    (I::UnconfirmedAccepted, 8),
    (I::EndBeforeReason, 60),
    (I::Gap, 14_000),
    (I::GapWithChange, 3_000),
    (I::GapWithEvents, 800),
    (I::GapBetweenSendAndStart, 500),
    (I::Poll, 3_000),
    (I::Kill, 2_200),
    (I::KillWithinPrint, 750),
    (I::KillBetweenEndAndObservation, 60),
    (I::KillWithLostFacts, 400),
    (I::KillBetweenSendAndStart, 110),
    (I::RecoveredStart, 80),
    (I::PrinterRestartWithinPrint, 230),
];

/// Number of occurrences of each interleaving.
#[derive(Debug, Default, Clone)]
pub struct InterleavingCounts(BTreeMap<Interleaving, u32>);

impl InterleavingCounts {
    pub fn count_if(&mut self, has: bool, interleaving: Interleaving) {
        if has {
            *self.0.entry(interleaving).or_default() += 1;
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (interleaving, times) in &other.0 {
            *self.0.entry(*interleaving).or_default() += times;
        }
    }

    /// Returns the interleavings that occurred too rarely, with their number.
    pub fn too_rare(&self) -> Vec<(Interleaving, u32)> {
        let times = |interleaving| self.0.get(&interleaving).copied().unwrap_or_default();
        let rare = MIN_OCCURRENCES.iter().filter(|(interleaving, least)| times(*interleaving) < *least);
        rare.map(|(interleaving, _)| (*interleaving, times(*interleaving))).collect()
    }
}
