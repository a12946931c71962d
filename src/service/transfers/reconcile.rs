//! The reconciler of transfers: compares what is wanted with what runs.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Instant,
};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    check::Check,
    outcome::{MAX_ATTEMPTS, TransferEnd, pause_after},
    progress::Progress,
    send::Transfer,
    wanted::{Key, Wanted, oldest_of_each_printer},
};
use crate::{
    clock,
    domain::{
        batch::BatchSpec,
        command::CommandRow,
        message::Message,
        printer_content::{PrinterContent, PrinterContentState},
    },
    service::{Services, background::RunResult, dispatch::FileRefusal, error::Error},
    storage::{self, printer_contents::AwaitedContent},
};

/// Capacity of the queue of ended transfers. A transfer that ends waits for room in it.
const ENDS_CAPACITY: usize = 256;

/// A running transfer or deletion.
struct Active {
    sha256: String,
    is_removal: bool,
    progress: Arc<Progress>,
    cut: CancellationToken,
}

/// Attempts of a transfer that have failed, in memory.
struct Attempts {
    count: u32,
    next: Instant,
}

/// Compares what is wanted with what runs. At most one transfer runs for each printer.
pub(super) struct TransferReconciler {
    pub(super) services: Services,
    tasks: TaskTracker,
    active: HashMap<Uuid, Active>,
    attempts: HashMap<Key, Attempts>,
    /// Commands that passed the check before their transfer.
    pub(super) checked: HashSet<Uuid>,
    /// When the check of a command was first tried.
    first_checks: HashMap<Uuid, Instant>,
    /// Commands whose files are on the printers. They are reported to the dispatcher until they are released.
    pub(super) ready: HashMap<Uuid, String>,
    /// Commands that end before their transfer. They are reported to the dispatcher until they have ended.
    pub(super) refused: HashMap<Uuid, FileRefusal>,
    specs: HashMap<Uuid, BatchSpec>,
    ends: mpsc::Receiver<(Key, TransferEnd)>,
    sender: mpsc::Sender<(Key, TransferEnd)>,
    /// Ended transfers whose results are not stored yet.
    pub(super) unstored: Vec<(Key, TransferEnd)>,
}

impl TransferReconciler {
    /// Starts without transfers. Its transfers run as tasks of `tasks`.
    pub fn new(services: Services, tasks: TaskTracker) -> Self {
        let (sender, ends) = mpsc::channel(ENDS_CAPACITY);
        Self {
            services,
            tasks,
            active: HashMap::new(),
            attempts: HashMap::new(),
            checked: HashSet::new(),
            first_checks: HashMap::new(),
            ready: HashMap::new(),
            refused: HashMap::new(),
            specs: HashMap::new(),
            ends,
            sender,
            unstored: Vec::new(),
        }
    }

    /// One run. Returns the number of printers that wait for a content.
    pub async fn run(&mut self) -> RunResult {
        while let Ok(end) = self.ends.try_recv() {
            self.active.remove(&end.0.0);
            self.services.transfers.active().remove(end.0.0);
            self.unstored.push(end);
        }
        let awaited = storage::printer_contents::list_awaited(&self.services.db).await?;
        self.forget_ended_commands(&awaited);
        self.store_ends(&awaited).await?;
        let requested = storage::printer_contents::list_unfinished(&self.services.db).await?;
        let settled: HashSet<Uuid> = self.ready.keys().chain(self.refused.keys()).copied().collect();
        let wanted = oldest_of_each_printer(&awaited, &requested, &settled);
        self.cut_unwanted(&wanted);
        self.abandon_sending(&wanted, &requested).await?;
        self.check_commands(&wanted).await?;
        self.begin_transfers(&wanted).await?;
        self.report_to_dispatcher().await;
        Ok(Some(wanted.len() as u64))
    }

    /// Drops what is in memory about commands that no longer wait.
    fn forget_ended_commands(&mut self, awaited: &[AwaitedContent]) {
        let waiting: HashSet<Uuid> = awaited.iter().map(|one| one.command_id).collect();
        let batches: HashSet<Uuid> = awaited.iter().map(|one| one.batch_id).collect();
        self.checked.retain(|id| waiting.contains(id));
        self.first_checks.retain(|id, _| waiting.contains(id));
        self.ready.retain(|id, _| waiting.contains(id));
        self.refused.retain(|id, _| waiting.contains(id));
        self.specs.retain(|id, _| batches.contains(id));
    }

    async fn report_to_dispatcher(&self) {
        if !self.ready.is_empty() {
            let ready = self.ready.iter().map(|(id, path)| (*id, path.clone())).collect();
            self.services.dispatcher.signal_files_ready(ready).await;
        }
        if !self.refused.is_empty() {
            self.services.dispatcher.signal_files_refused(self.refused.values().cloned().collect()).await;
        }
    }

    /// Plans the next attempt of a transfer. `counts`: the attempt counts as failed.
    pub(super) fn plan_attempt(&mut self, key: &Key, counts: bool) {
        let count = self.attempts.get(key).map_or(0, |attempts| attempts.count) + u32::from(counts);
        self.attempts.insert(key.clone(), Attempts { count, next: Instant::now() + pause_after(count.max(1)) });
    }

    /// Returns whether a transfer that has failed again may be tried again.
    pub(super) fn may_try_again(&self, key: &Key) -> bool {
        self.attempts.get(key).map_or(0, |attempts| attempts.count) + 1 < MAX_ATTEMPTS
    }

    /// Forgets the failed attempts of a transfer that has ended.
    pub(super) fn forget_attempts(&mut self, key: &Key) {
        self.attempts.remove(key);
    }

    /// Cuts the transfers that are no longer wanted.
    fn cut_unwanted(&self, wanted: &HashMap<Uuid, Wanted>) {
        for (printer_id, active) in &self.active {
            let is_wanted = wanted.get(printer_id).is_some_and(|wanted| {
                wanted.content.sha256 == active.sha256 && wanted.is_removal() == active.is_removal
            });
            if !is_wanted {
                active.cut.cancel();
            }
        }
    }

    /// Marks contents whose transfer began and is no longer wanted. The printer may have the file, so it is deleted there.
    async fn abandon_sending(&self, wanted: &HashMap<Uuid, Wanted>, requested: &[PrinterContent]) -> Result<(), Error> {
        let is_abandoned = |content: &&PrinterContent| {
            let is_wanted =
                wanted.get(&content.printer_id).is_some_and(|wanted| wanted.content.sha256 == content.sha256);
            content.state == PrinterContentState::Sending
                && content.requested_by.is_none()
                && !is_wanted
                && !self.active.contains_key(&content.printer_id)
        };
        let removing = |content: &PrinterContent| PrinterContent {
            state: PrinterContentState::Removing,
            updated_at: clock::now(),
            ..content.clone()
        };
        let abandoned: Vec<PrinterContent> = requested.iter().filter(is_abandoned).map(removing).collect();
        Ok(storage::printer_contents::put_many(&self.services.db, &abandoned).await?)
    }

    /// Checks the commands whose transfers have not been considered yet.
    async fn check_commands(&mut self, wanted: &HashMap<Uuid, Wanted>) -> Result<(), Error> {
        let unchecked: Vec<&AwaitedContent> = wanted
            .values()
            .filter_map(|wanted| wanted.command.as_ref())
            .filter(|command| !self.checked.contains(&command.command_id))
            .collect();
        if unchecked.is_empty() {
            return Ok(());
        }
        for command in &unchecked {
            if !self.specs.contains_key(&command.batch_id)
                && let Some(batch) = storage::batches::get(&self.services.db, command.batch_id).await?
            {
                self.specs.insert(command.batch_id, batch.spec);
            }
        }
        let ids: Vec<Uuid> = unchecked.iter().map(|command| command.command_id).collect();
        let rows = storage::commands::get_many(&self.services.db, &ids).await?;
        let rows: HashMap<Uuid, CommandRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        // A transfer that began before a restart or a print: its command was checked then.
        let begun: HashSet<Key> =
            storage::printer_contents::list_sending(&self.services.db).await?.into_iter().collect();
        for command in unchecked {
            let since = *self.first_checks.entry(command.command_id).or_insert_with(Instant::now);
            let (Some(row), Some(spec)) = (rows.get(&command.command_id), self.specs.get(&command.batch_id)) else {
                continue;
            };
            if begun.contains(&(command.printer_id, command.content.sha256.clone())) {
                self.checked.insert(command.command_id);
                continue;
            }
            match self.services.check_before_transfer(command, row, spec, since) {
                Check::Passed => drop(self.checked.insert(command.command_id)),
                Check::Later => {}
                Check::Refused(refusal) => drop(self.refused.insert(command.command_id, refusal)),
            }
        }
        Ok(())
    }

    /// Begins the transfers for which there is a place and whose printers allow it.
    async fn begin_transfers(&mut self, wanted: &HashMap<Uuid, Wanted>) -> Result<(), Error> {
        let moving = self.active.values().filter(|active| active.progress.is_moving()).count();
        let places = self.services.settings.max_transfers.saturating_sub(moving);
        let mut next: Vec<&Wanted> = wanted.values().filter(|wanted| self.may_begin(wanted)).collect();
        next.sort_by_key(|wanted| wanted.command.as_ref().map(|command| command.command_id));
        next.truncate(places);
        // Stored before the first byte: a file that arrives is deleted later if it is not wanted any more.
        let sending = |wanted: &&Wanted| {
            let content = wanted.content.clone();
            PrinterContent { state: PrinterContentState::Sending, updated_at: clock::now(), ..content }
        };
        let begun: Vec<PrinterContent> = next.iter().filter(|wanted| !wanted.is_removal()).map(sending).collect();
        storage::printer_contents::put_many(&self.services.db, &begun).await?;
        for wanted in next {
            self.begin(wanted);
        }
        Ok(())
    }

    fn may_begin(&self, wanted: &Wanted) -> bool {
        let printer_id = wanted.content.printer_id;
        let is_checked = wanted.command.as_ref().is_none_or(|command| self.checked.contains(&command.command_id));
        let waits = self.attempts.get(&wanted.key()).is_some_and(|attempts| Instant::now() < attempts.next);
        is_checked && !waits && !self.active.contains_key(&printer_id) && self.services.may_begin_transfer(printer_id)
    }

    fn begin(&mut self, wanted: &Wanted) {
        let (key, is_removal) = (wanted.key(), wanted.is_removal());
        let (printer_id, sha256) = key.clone();
        let (progress, cut) = (Arc::new(Progress::new()), CancellationToken::new());
        self.services.transfers.active().insert(printer_id, &sha256, progress.clone());
        let active = Active { sha256: sha256.clone(), is_removal, progress: progress.clone(), cut: cut.clone() };
        self.active.insert(printer_id, active);
        let (services, sender, stop) = (self.services.clone(), self.sender.clone(), self.services.stop_token());
        let transfer = Transfer { services: services.clone(), content: wanted.content.clone(), progress, cut };
        self.tasks.spawn(async move {
            let work = async {
                if is_removal { services.delete_from_printer(printer_id, &sha256).await } else { transfer.run().await }
            };
            let Some(end) = stop.run_until_cancelled(AssertUnwindSafe(work).catch_unwind()).await else { return };
            let end = end.unwrap_or_else(|_| TransferEnd::Failed(Message::new("refusal-internal")));
            // The reconciler ends with the server only.
            let _ = sender.send((key, end)).await;
            services.transfers.wake();
        });
    }
}
