//! The reconciler of transfers: compares what is wanted with what runs.

use std::{
    collections::{HashMap, HashSet},
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
};
use crate::{
    clock,
    domain::{
        batch::BatchSpec,
        command::{FileRef, Outcome, Reason},
        file::name_on_printer,
        message::Message,
        printer_content::{PrinterContent, PrinterContentState},
        reading::LOCAL_ORIGIN,
    },
    service::{Services, access::Principal, background::RunResult, dispatch::FileRefusal, error::Error},
    storage::{self, printer_contents::AwaitedContent},
};

/// Capacity of the queue of ended transfers. A transfer that ends waits for room in it.
const ENDS_CAPACITY: usize = 256;

/// A printer and a content.
type Key = (Uuid, String);

/// What a printer is to get, or to lose.
#[derive(Debug, Clone)]
struct Wanted {
    content: PrinterContent,
    /// The command that waits for it. `None`: a user asked for it, or it is to be deleted.
    command: Option<AwaitedContent>,
}

/// A running transfer or deletion.
struct Active {
    sha256: String,
    is_removal: bool,
    progress: Arc<Progress>,
    cut: CancellationToken,
}

/// Failed attempts of a transfer, in memory.
struct Attempts {
    count: u32,
    next: Instant,
}

/// Compares what is wanted with what runs. At most one transfer runs for each printer.
pub(super) struct TransferReconciler {
    services: Services,
    tasks: TaskTracker,
    active: HashMap<Uuid, Active>,
    attempts: HashMap<Key, Attempts>,
    /// Commands that passed the check before their transfer.
    checked: HashSet<Uuid>,
    /// When the check of a command was first tried.
    first_checks: HashMap<Uuid, Instant>,
    /// Commands whose files are on the printers. They are reported to the dispatcher until they are released.
    ready: HashMap<Uuid, String>,
    specs: HashMap<Uuid, BatchSpec>,
    ends: mpsc::Receiver<(Key, TransferEnd)>,
    sender: mpsc::Sender<(Key, TransferEnd)>,
    /// Ended transfers whose results are not stored yet.
    unstored: Vec<(Key, TransferEnd)>,
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
            specs: HashMap::new(),
            ends,
            sender,
            unstored: Vec::new(),
        }
    }

    /// Returns the services.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// One run. Returns the number of printers that wait for a content.
    pub async fn run(&mut self) -> RunResult {
        while let Ok(end) = self.ends.try_recv() {
            self.active.remove(&end.0.0);
            self.services.transfers.active().remove(end.0.0);
            self.unstored.push(end);
        }
        let awaited = storage::printer_contents::list_awaited(&self.services.db).await?;
        let requested = storage::printer_contents::list_unfinished(&self.services.db).await?;
        self.forget_ended_commands(&awaited);
        let wanted = oldest_of_each_printer(&awaited, &requested, &self.ready);
        self.store_ends(&awaited, &requested).await?;
        self.cut_unwanted(&wanted);
        self.abandon_sending(&wanted, &requested).await?;
        let mut refused = Vec::new();
        for (printer_id, wanted) in &wanted {
            if self.active.contains_key(printer_id) {
                continue;
            }
            if let Some(refusal) = self.advance(*printer_id, wanted).await? {
                refused.push(refusal);
            }
        }
        if !self.ready.is_empty() {
            let ready = self.ready.iter().map(|(id, path)| (*id, path.clone())).collect();
            self.services.dispatcher.signal_files_ready(ready).await;
        }
        if !refused.is_empty() {
            self.services.dispatcher.signal_files_refused(refused).await;
        }
        Ok(Some(wanted.len() as u64))
    }

    /// Drops what is in memory about commands that no longer wait.
    fn forget_ended_commands(&mut self, awaited: &[AwaitedContent]) {
        let waiting: HashSet<Uuid> = awaited.iter().map(|one| one.command_id).collect();
        let batches: HashSet<Uuid> = awaited.iter().map(|one| one.batch_id).collect();
        self.checked.retain(|id| waiting.contains(id));
        self.first_checks.retain(|id, _| waiting.contains(id));
        self.ready.retain(|id, _| waiting.contains(id));
        self.specs.retain(|id, _| batches.contains(id));
    }

    /// Stores the results of ended transfers, and passes them to the commands that wait for them.
    async fn store_ends(&mut self, awaited: &[AwaitedContent], requested: &[PrinterContent]) -> Result<(), Error> {
        while let Some((key, end)) = self.unstored.last() {
            let (printer_id, sha256) = key.clone();
            let commands: Vec<&AwaitedContent> = awaited
                .iter()
                .filter(|one| one.printer_id == printer_id && one.content.sha256 == sha256)
                .filter(|one| self.checked.contains(&one.command_id))
                .collect();
            let request = requested.iter().find(|one| one.printer_id == printer_id && one.sha256 == sha256);
            match end {
                TransferEnd::Present { path } => {
                    let path = path.clone();
                    self.store_present(printer_id, &sha256, &path, &commands, request).await?;
                    self.ready.extend(commands.iter().map(|one| (one.command_id, path.clone())));
                    self.attempts.remove(key);
                }
                TransferEnd::Removed => {
                    storage::printer_contents::delete(&self.services.db, printer_id, &sha256).await?;
                    self.attempts.remove(key);
                }
                TransferEnd::Cut | TransferEnd::InUse => {}
                TransferEnd::Unreachable => self.plan_attempt(key.clone(), 1),
                TransferEnd::Lost(message) => {
                    let count = self.attempts.get(key).map_or(0, |attempts| attempts.count) + 1;
                    if count < MAX_ATTEMPTS {
                        self.plan_attempt(key.clone(), count);
                    } else {
                        let message = message.clone();
                        self.fail(&commands, request, &message).await?;
                        self.attempts.remove(&(printer_id, sha256));
                    }
                }
                TransferEnd::Failed(message) => {
                    let message = message.clone();
                    self.fail(&commands, request, &message).await?;
                    self.attempts.remove(&(printer_id, sha256));
                }
            }
            self.unstored.pop();
        }
        Ok(())
    }

    fn plan_attempt(&mut self, key: Key, count: u32) {
        self.attempts.insert(key, Attempts { count, next: Instant::now() + pause_after(count) });
    }

    /// Stores that a printer has a content, and selects it there if a user asked for that.
    async fn store_present(
        &self,
        printer_id: Uuid,
        sha256: &str,
        path: &str,
        commands: &[&AwaitedContent],
        request: Option<&PrinterContent>,
    ) -> Result<(), Error> {
        let asked = request.filter(|request| request.select_after);
        let known = request.cloned().or_else(|| commands.first().map(|one| wanted_content(one)));
        let Some(known) = known else { return Ok(()) };
        let mut detail = None;
        if let Some(request) = asked.filter(|_| commands.is_empty()) {
            detail = self.select(printer_id, path, request).await;
        }
        let present = PrinterContent {
            printer_id,
            sha256: sha256.to_owned(),
            path: Some(path.to_owned()),
            state: PrinterContentState::Present,
            select_after: false,
            detail,
            updated_at: clock::now(),
            ..known
        };
        Ok(storage::printer_contents::put(&self.services.db, &present).await?)
    }

    /// Selects a file on its printer. Returns why that failed.
    async fn select(&self, printer_id: Uuid, path: &str, request: &PrinterContent) -> Option<Message> {
        let mut who = Principal::server_admin(crate::domain::audit::ActorKind::Scheduler);
        who.name = request.requested_by.clone().unwrap_or(who.name);
        let file = FileRef { path: path.to_owned(), origin: LOCAL_ORIGIN.to_owned() };
        self.services.select_file(&who, printer_id, file).await.err().map(|error| error.message())
    }

    /// Ends the commands that wait for a transfer that failed.
    async fn fail(
        &mut self,
        commands: &[&AwaitedContent],
        request: Option<&PrinterContent>,
        why: &Message,
    ) -> Result<(), Error> {
        let known = request.cloned().or_else(|| commands.first().map(|one| wanted_content(one)));
        if let Some(known) = known {
            let failed = PrinterContent {
                state: PrinterContentState::Failed,
                detail: Some(why.clone()),
                updated_at: clock::now(),
                ..known
            };
            storage::printer_contents::put(&self.services.db, &failed).await?;
        }
        let refusals = commands.iter().map(|one| FileRefusal {
            command_id: one.command_id,
            outcome: Outcome::Rejected,
            reason: Reason::UploadFailed,
            detail: Some(Message::new("refusal-upload-failed").with_message("cause", why.clone())),
        });
        let refusals: Vec<FileRefusal> = refusals.collect();
        if !refusals.is_empty() {
            self.services.dispatcher.signal_files_refused(refusals).await;
        }
        Ok(())
    }

    /// Cuts the transfers that are no longer wanted.
    fn cut_unwanted(&self, wanted: &HashMap<Uuid, Wanted>) {
        for (printer_id, active) in &self.active {
            let is_wanted = wanted.get(printer_id).is_some_and(|wanted| {
                wanted.content.sha256 == active.sha256
                    && (wanted.content.state == PrinterContentState::Removing) == active.is_removal
            });
            if !is_wanted {
                active.cut.cancel();
            }
        }
    }

    /// Marks contents whose transfer began and is no longer wanted. The printer may have the file, so it is deleted there.
    async fn abandon_sending(&self, wanted: &HashMap<Uuid, Wanted>, requested: &[PrinterContent]) -> Result<(), Error> {
        for content in requested.iter().filter(|one| one.state == PrinterContentState::Sending) {
            let is_wanted =
                wanted.get(&content.printer_id).is_some_and(|wanted| wanted.content.sha256 == content.sha256);
            if is_wanted || content.requested_by.is_some() || self.active.contains_key(&content.printer_id) {
                continue;
            }
            let removing =
                PrinterContent { state: PrinterContentState::Removing, updated_at: clock::now(), ..content.clone() };
            storage::printer_contents::put(&self.services.db, &removing).await?;
        }
        Ok(())
    }

    /// Takes the next step for a printer: checks the command, then begins the transfer if the printer allows it. Returns the
    /// end of a command that is refused.
    async fn advance(&mut self, printer_id: Uuid, wanted: &Wanted) -> Result<Option<FileRefusal>, Error> {
        if let Some(command) = &wanted.command
            && !self.checked.contains(&command.command_id)
        {
            match self.check(command).await? {
                Check::Passed => self.checked.insert(command.command_id),
                Check::Later => return Ok(None),
                Check::Refused(refusal) => return Ok(Some(refusal)),
            };
        }
        let key = (printer_id, wanted.content.sha256.clone());
        let waits = self.attempts.get(&key).is_some_and(|attempts| Instant::now() < attempts.next);
        let moving = self.active.values().filter(|active| active.progress.is_moving()).count();
        if waits || moving >= self.services.settings.max_transfers || !self.services.may_begin_transfer(printer_id) {
            return Ok(None);
        }
        self.begin(key, wanted);
        Ok(None)
    }

    async fn check(&mut self, command: &AwaitedContent) -> Result<Check, Error> {
        let since = *self.first_checks.entry(command.command_id).or_insert_with(Instant::now);
        if !self.specs.contains_key(&command.batch_id) {
            let batch = storage::batches::get(&self.services.db, command.batch_id).await?;
            let Some(batch) = batch else { return Ok(Check::Later) };
            self.specs.insert(command.batch_id, batch.spec);
        }
        let row = storage::commands::get(&self.services.db, command.command_id).await?;
        let (Some(row), Some(spec)) = (row, self.specs.get(&command.batch_id)) else { return Ok(Check::Later) };
        // Its transfer began before a restart or a print: the command was checked then.
        let began = storage::printer_contents::list_by_content(&self.services.db, &command.content.sha256).await?;
        let has_begun =
            began.iter().any(|one| one.printer_id == command.printer_id && one.state == PrinterContentState::Sending);
        if has_begun {
            return Ok(Check::Passed);
        }
        Ok(self.services.check_before_transfer(command, &row, spec, since))
    }

    fn begin(&mut self, key: Key, wanted: &Wanted) {
        let (printer_id, sha256) = key.clone();
        let is_removal = wanted.content.state == PrinterContentState::Removing;
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
            let work = std::panic::AssertUnwindSafe(work).catch_unwind();
            let Some(end) = stop.run_until_cancelled(work).await else { return };
            let end = end.unwrap_or_else(|_| TransferEnd::Failed(Message::new("refusal-internal")));
            // The reconciler ends with the server only.
            let _ = sender.send((key, end)).await;
            services.transfers.wake();
        });
    }
}

/// Returns what each printer gets next: what its oldest command waits for, or else the oldest request or deletion.
fn oldest_of_each_printer(
    awaited: &[AwaitedContent],
    requested: &[PrinterContent],
    ready: &HashMap<Uuid, String>,
) -> HashMap<Uuid, Wanted> {
    let mut wanted: HashMap<Uuid, Wanted> = HashMap::new();
    // A command whose file is ready waits for its release only. Later commands to the printer are decided after it.
    let mut taken: HashSet<Uuid> = HashSet::new();
    for command in awaited {
        if taken.insert(command.printer_id) && !ready.contains_key(&command.command_id) {
            let content = wanted_content(command);
            wanted.insert(command.printer_id, Wanted { content, command: Some(command.clone()) });
        }
    }
    for content in requested {
        let is_own = content.requested_by.is_some() || content.state == PrinterContentState::Removing;
        if is_own && !taken.contains(&content.printer_id) {
            wanted.entry(content.printer_id).or_insert_with(|| Wanted { content: content.clone(), command: None });
        }
    }
    wanted
}

/// Returns the content that a command waits for, as it is stored for its printer.
fn wanted_content(command: &AwaitedContent) -> PrinterContent {
    PrinterContent {
        printer_id: command.printer_id,
        sha256: command.content.sha256.clone(),
        name: name_on_printer(&command.content.name),
        print_size: command.content.print_size,
        path: None,
        state: PrinterContentState::Sending,
        select_after: false,
        requested_by: None,
        detail: None,
        updated_at: clock::now(),
    }
}
