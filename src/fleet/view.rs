//! The snapshot of the farm: the current state of every printer, with a version on every entry.
//!
//! Actors write, all other tasks read. A reader asks for the changes since the last version that it knows. A slow reader skips
//! versions and delays no other task.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::{
    command::{Command, CommandRow, SettledEffect},
    event_channel::ChannelError,
    message::Message,
    plate::Plate,
    print::PrintActor,
    reading::{JobFile, Progress, Temperatures},
    state::{PrinterState, Reachability},
};

/// How long after a start the heaters may not show it yet. Until they are read, the printer counts as heating.
pub const HEATING_SHOWS_WITHIN: Duration = Duration::from_secs(120);

/// A reading of the temperatures this soon after a start proves nothing: OctoPrint learns the targets with a delay.
const TARGETS_DELAY: Duration = Duration::from_secs(8);

/// How changes of a printer are observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Its event socket is open.
    Push,
    /// It is read at intervals.
    Poll,
}

impl Channel {
    /// Returns the value for the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Poll => "poll",
        }
    }
}

/// The job of a printer: the active print, or the selected file.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveJob {
    /// The active print. `None` while a file is only selected.
    pub print_id: Option<Uuid>,
    pub file: Option<JobFile>,
    pub user: Option<String>,
    pub estimated_print_time_s: Option<f64>,
    pub started_by: Option<PrintActor>,
    pub paused_by: Option<PrintActor>,
    pub progress: Progress,
}

/// The observed state of one printer. Values that rarely change are shared between versions.
#[derive(Debug, Clone)]
pub struct LivePrinter {
    pub id: Uuid,
    /// Unique. Grows with every change of any printer.
    pub version: u64,
    pub reachability: Reachability,
    /// `Unknown` while the printer is not online.
    pub state: PrinterState,
    /// The last observed state, even from before a restart of the server.
    pub last_state: PrinterState,
    pub state_text: String,
    /// The printer's own error text, or why the last request to the printer failed.
    pub error: Option<Message>,
    /// When this state was last observed, in microseconds since 1970; 0 = never. Grows without a new version.
    pub observed_at_us: Arc<AtomicI64>,
    pub channel: Option<Channel>,
    /// Why no events arrive, while the printer is polled.
    pub channel_error: Option<ChannelError>,
    pub octoprint_version: Option<Arc<str>>,
    pub temperatures: Arc<Temperatures>,
    pub job: Option<Arc<LiveJob>>,
    pub plate: Plate,
    pub stalled_since: Option<DateTime<Utc>>,
    /// The command in flight.
    pub in_flight: Option<Command>,
    /// The result of its last command. The view keeps it when an actor publishes a new observation.
    pub last_command: Option<Arc<CommandRow>>,
    /// When the temperatures were last read, on the monotonic clock.
    pub heaters_read_at: Option<Instant>,
    /// Until when the printer counts as heating because of its temperatures, on the monotonic clock.
    pub heating_until: Option<Instant>,
    /// When a print was last started or resumed, on the monotonic clock.
    pub last_start_at: Option<Instant>,
}

impl LivePrinter {
    /// The entry of a printer that has not been observed by this process.
    pub fn unobserved(id: Uuid, last_state: PrinterState, observed_at: Option<DateTime<Utc>>, plate: Plate) -> Self {
        Self {
            id,
            version: 0,
            reachability: Reachability::Unknown,
            state: PrinterState::Unknown,
            last_state,
            state_text: String::new(),
            error: None,
            observed_at_us: Arc::new(AtomicI64::new(observed_at.map_or(0, |at| at.timestamp_micros()))),
            channel: None,
            channel_error: None,
            octoprint_version: None,
            temperatures: Arc::default(),
            job: None,
            plate,
            stalled_since: None,
            in_flight: None,
            last_command: None,
            heaters_read_at: None,
            heating_until: None,
            last_start_at: None,
        }
    }

    /// Returns when this state was last observed.
    pub fn observed_at(&self) -> Option<DateTime<Utc>> {
        Some(self.observed_at_us.load(Ordering::Relaxed)).filter(|at| *at > 0).and_then(DateTime::from_timestamp_micros)
    }

    /// Whether a heater is below its target at `now`, by a reading that still counts.
    pub fn is_below_target(&self, now: Instant) -> bool {
        self.heating_until.is_some_and(|until| now < until)
    }

    /// Clears the temperatures and the last start, because OctoPrint is no longer connected to the printer.
    pub fn clear_temperatures(&mut self) {
        self.temperatures = Arc::default();
        self.last_start_at = None;
    }

    /// Whether the printer draws heating current at `now`, or may soon do so. It does not matter who started the print.
    pub fn is_heating(&self, now: Instant) -> bool {
        if self.is_below_target(now) {
            return true;
        }
        self.last_start_at.is_some_and(|start| {
            let read_since = self.heaters_read_at.is_some_and(|read| read >= start + TARGETS_DELAY);
            !read_since && now.duration_since(start) < HEATING_SHOWS_WITHIN
        })
    }
}

#[derive(Default)]
struct ViewState {
    printers: HashMap<Uuid, Arc<LivePrinter>>,
    by_version: BTreeMap<u64, Uuid>,
    removed: BTreeMap<u64, Uuid>,
    version: u64,
}

impl ViewState {
    /// Inserts a printer with the next version, and returns that version. Its last command stays.
    fn put(&mut self, mut live: LivePrinter) -> u64 {
        self.version += 1;
        live.version = self.version;
        if let Some(old) = self.printers.get(&live.id) {
            live.last_command.clone_from(&old.last_command);
        }
        self.replace(live);
        self.version
    }

    /// Inserts a printer that already has the newest version.
    fn replace(&mut self, live: LivePrinter) {
        let (id, version) = (live.id, live.version);
        if let Some(old) = self.printers.insert(id, Arc::new(live)) {
            self.by_version.remove(&old.version);
        }
        self.by_version.insert(version, id);
    }
}

/// The changes since a version.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Ask for the changes since this version the next time.
    pub version: u64,
    pub changed: Vec<Arc<LivePrinter>>,
    pub removed: Vec<Uuid>,
}

/// Maximum number of removals that are kept for readers. A reader that was away for longer loads the page again.
const REMOVALS_KEPT: usize = 1_000;

/// The snapshot of the farm.
pub struct View {
    inner: RwLock<ViewState>,
    version: watch::Sender<u64>,
}

impl Default for View {
    fn default() -> Self {
        Self { inner: RwLock::default(), version: watch::Sender::new(0) }
    }
}

impl View {
    /// Inserts or replaces the entry of a printer.
    pub fn put(&self, live: LivePrinter) {
        let version = self.write().put(live);
        self.version.send_replace(version);
    }

    /// Replaces the entry of a printer that the snapshot contains. A removed printer does not return through a late update of
    /// its actor.
    pub fn update(&self, live: LivePrinter) {
        let mut inner = self.write();
        if !inner.printers.contains_key(&live.id) {
            return;
        }
        let version = inner.put(live);
        drop(inner);
        self.version.send_replace(version);
    }

    /// Shows the result of the last command of each printer. The rows are final, in any order.
    pub fn show_commands(&self, rows: impl IntoIterator<Item = CommandRow>) {
        let mut inner = self.write();
        for row in rows {
            let Some(old) = inner.printers.get(&row.printer_id).cloned() else { continue };
            // Ids grow with time, so a row with a smaller id is not the last command, even if it was withdrawn later.
            if old.last_command.as_ref().is_some_and(|last| last.id > row.id) {
                continue;
            }
            inner.version += 1;
            let live =
                LivePrinter { version: inner.version, last_command: Some(Arc::new(row)), ..LivePrinter::clone(&old) };
            inner.replace(live);
        }
        let version = inner.version;
        drop(inner);
        self.version.send_replace(version);
    }

    /// Shows an effect of a printer's last command that was observed after the end of the command.
    pub fn show_settled(&self, command_id: Uuid, settled: SettledEffect) {
        let last =
            self.read().printers.values().filter_map(|live| live.last_command.clone()).find(|row| row.id == command_id);
        self.show_commands(last.map(|row| CommandRow { settled: Some(settled), ..CommandRow::clone(&row) }));
    }

    /// Makes readers read these printers again: something outside this snapshot has changed.
    pub fn touch(&self, ids: impl IntoIterator<Item = Uuid>) {
        let mut inner = self.write();
        let before = inner.version;
        for id in ids {
            let Some(old) = inner.printers.get(&id).cloned() else { continue };
            inner.put(LivePrinter::clone(&old));
        }
        let version = inner.version;
        drop(inner);
        if version != before {
            self.version.send_replace(version);
        }
    }

    /// Removes a printer.
    pub fn remove(&self, id: Uuid) {
        let mut inner = self.write();
        let Some(old) = inner.printers.remove(&id) else { return };
        inner.by_version.remove(&old.version);
        inner.version += 1;
        let version = inner.version;
        inner.removed.insert(version, id);
        while inner.removed.len() > REMOVALS_KEPT {
            inner.removed.pop_first();
        }
        drop(inner);
        self.version.send_replace(version);
    }

    /// Returns the entry of one printer.
    pub fn get(&self, id: Uuid) -> Option<Arc<LivePrinter>> {
        self.read().printers.get(&id).cloned()
    }

    /// Returns the entries of all printers, in no order.
    pub fn printers(&self) -> Vec<Arc<LivePrinter>> {
        self.read().printers.values().cloned().collect()
    }

    /// Returns the changes since `version`; since 0, all entries.
    pub fn changes_since(&self, version: u64) -> Changes {
        let inner = self.read();
        let after = (std::ops::Bound::Excluded(version), std::ops::Bound::Unbounded);
        Changes {
            version: inner.version,
            changed: inner.by_version.range(after).filter_map(|(_, id)| inner.printers.get(id)).cloned().collect(),
            removed: inner.removed.range(after).map(|(_, id)| *id).collect(),
        }
    }

    /// Returns a receiver of new versions. A slow receiver gets only the newest.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, ViewState> {
        self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, ViewState> {
        self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::Effect;

    fn live(id: Uuid) -> LivePrinter {
        LivePrinter::unobserved(id, PrinterState::Unknown, None, Plate::clear())
    }

    #[test]
    fn a_reader_gets_each_change_once_and_only_the_newest_of_a_printer() {
        let view = View::default();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        view.put(live(a));
        view.put(live(b));
        let first = view.changes_since(0);
        assert_eq!(first.changed.len(), 2);
        view.put(live(a));
        view.put(live(a));
        let second = view.changes_since(first.version);
        assert_eq!(second.changed.iter().map(|live| live.id).collect::<Vec<_>>(), [a]);
        view.touch([b, Uuid::from_u128(3)]);
        let touched = view.changes_since(second.version);
        assert_eq!(touched.changed.iter().map(|live| live.id).collect::<Vec<_>>(), [b]);
        view.remove(b);
        view.update(live(b));
        let third = view.changes_since(touched.version);
        assert!(third.changed.is_empty());
        assert_eq!(third.removed, [b]);
    }

    #[test]
    fn the_last_command_stays_with_a_printer_until_a_later_one_has_ended() {
        let view = View::default();
        let printer = Uuid::from_u128(1);
        view.put(live(printer));
        let row = |id| CommandRow::queued(Uuid::from_u128(id), Uuid::nil(), printer, String::new(), Command::Pause);
        view.show_commands([row(2)]);
        let before = view.changes_since(0).version;
        view.show_commands([row(1)]);
        view.put(live(printer));
        let last = || view.get(printer).and_then(|live| live.last_command.clone()).expect("a command");
        assert_eq!(
            last().id,
            Uuid::from_u128(2),
            "an earlier command that ended late, and a new observation, change nothing"
        );
        assert_eq!(view.changes_since(before).changed.len(), 1);
        let settled = SettledEffect { effect: Effect::Done, state: PrinterState::Paused, at: DateTime::UNIX_EPOCH };
        view.show_settled(Uuid::from_u128(2), settled);
        assert_eq!(last().settled, Some(settled));
    }

    #[test]
    fn a_printer_that_was_just_started_counts_as_heating_until_its_targets_were_read() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut printer = live(Uuid::from_u128(1));
        assert!(!printer.is_heating(start));
        printer.last_start_at = Some(start);
        assert!(printer.is_heating(at(1)));
        printer.heaters_read_at = Some(at(1));
        assert!(printer.is_heating(at(2)), "OctoPrint may not know the targets yet");
        printer.heaters_read_at = Some(at(10));
        assert!(!printer.is_heating(at(11)));
        printer.heaters_read_at = None;
        assert!(!printer.is_heating(at(121)));
        printer.heating_until = Some(at(150));
        assert!(printer.is_heating(at(149)) && !printer.is_heating(at(150)));
    }
}
