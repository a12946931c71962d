//! Applies the printer registry to the fleet: each enabled printer has an actor with the data of its row.
//!
//! This is a periodic task. The wanted state is the rows of `printers`, each with its version. The actual state is the
//! versions that the fleet has, and the actors that run. A request stores its rows, signals the task, and waits until
//! their versions are applied, for at most 2 s. Then it returns in any case: the row is stored, and the task continues.
//! If a row cannot be read, or its key cannot be opened, only that printer is left out. Each run reads such a row
//! again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::{
    LAST_COMMANDS, Services,
    background::{PeriodicTask, RunResult},
    error::Error,
};
use crate::{
    clock,
    domain::{
        message::Message,
        plate::Plate,
        print::{Print, PrintFact, SentStart},
        printer::Printer,
        printer_access::SecretKind,
        state::PrinterState,
    },
    fleet::{ActorConfig, view::LivePrinter},
    storage::{self, printer_observations::PrinterObservation, printers::SealedAccess},
};

/// A change whose request was dropped before its signal is applied within this time.
const PERIOD: Duration = Duration::from_secs(5);
/// Maximum time that a request waits until its change is applied.
const APPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time until the dispatcher accepts a signal.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Error of a printer that is left out.
const LEFT_OUT_ERROR: Message = Message::new("refusal-access-unreadable");

/// The registry rows that were applied to the fleet.
#[derive(Default)]
pub(crate) struct Registry {
    /// Signals that a row has changed.
    changed: Notify,
    applied: watch::Sender<HashMap<Uuid, AppliedRow>>,
}

/// A row in its applied version.
#[derive(Clone)]
struct AppliedRow {
    version: i64,
    enabled: bool,
    client: ClientParts,
    is_left_out: bool,
}

/// The data from which a client is created.
#[derive(Clone, Default, PartialEq, Eq)]
struct ClientParts {
    url: String,
    proxy_user: Option<String>,
    ca_certificate: Option<String>,
    sealed: SealedAccess,
}

impl ClientParts {
    fn from_printer(printer: &Printer, mut sealed: SealedAccess) -> Self {
        // Pictures are fetched with separate clients.
        sealed.secrets.retain(|secret| secret.kind != SecretKind::CameraUrl);
        let details = &printer.details;
        Self {
            url: details.url.clone(),
            proxy_user: details.proxy_user.clone(),
            ca_certificate: details.ca_certificate.clone(),
            sealed,
        }
    }
}

impl Registry {
    /// Returns the printers whose rows are removed.
    fn removed_ids(&self, rows: &HashMap<Uuid, i64>) -> Vec<Uuid> {
        self.applied.borrow().keys().filter(|id| !rows.contains_key(id)).copied().collect()
    }

    /// Returns the printers whose rows must be applied. `running`: printers that have an actor.
    fn stale_ids(&self, rows: &HashMap<Uuid, i64>, running: &HashSet<Uuid>) -> Vec<Uuid> {
        let applied = self.applied.borrow();
        let is_applied = |id: &Uuid, version: i64| {
            applied.get(id).is_some_and(|applied| {
                applied.version == version && !applied.is_left_out && (!applied.enabled || running.contains(id))
            })
        };
        rows.iter().filter(|(id, version)| !is_applied(id, **version)).map(|(id, _)| *id).collect()
    }

    fn applied_row(&self, id: Uuid) -> Option<AppliedRow> {
        self.applied.borrow().get(&id).cloned()
    }

    /// Returns the number of printers that are left out.
    fn count_left_out(&self) -> u64 {
        self.applied.borrow().values().filter(|applied| applied.is_left_out).count() as u64
    }
}

/// Signals a change of the registry when it is dropped.
struct ChangeSignal<'a>(&'a Registry);

impl Drop for ChangeSignal<'_> {
    fn drop(&mut self) {
        self.0.changed.notify_one();
    }
}

/// The periodic task that applies the registry.
pub(super) struct RegistryTask(Services);

impl PeriodicTask for RegistryTask {
    async fn run(&mut self) -> RunResult {
        self.0.reconcile_registry().await?;
        self.0.end_prints_of_removed().await?;
        Ok(Some(self.0.registry.count_left_out()))
    }

    async fn wait_for_work(&mut self) {
        self.0.registry.changed.notified().await;
    }
}

/// Stored state of printers outside their rows.
#[derive(Default)]
struct StoredState {
    plates: HashMap<Uuid, Plate>,
    observations: HashMap<Uuid, PrinterObservation>,
    prints: HashMap<Uuid, Print>,
    /// Starts that the previous process sent. They are read once, at the start of the server.
    starts: HashMap<Uuid, SentStart>,
}

impl Services {
    /// Starts the task that applies the registry.
    pub(super) fn start_registry(&self) {
        self.background.add("printer_registry", PERIOD, RegistryTask(self.clone()));
    }

    /// Runs a change of the registry and signals it, even if the request is dropped before the change has ended.
    pub(super) async fn change_registry<T>(&self, change: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let _signal = ChangeSignal(&self.registry);
        change.await
    }

    /// Waits until the fleet follows these versions of printers, for at most 2 s. `None`: the printer was removed.
    pub(super) async fn apply_to_fleet(&self, versions: &[(Uuid, Option<i64>)]) {
        let mut applied = self.registry.applied.subscribe();
        let follows = applied.wait_for(|applied| {
            versions.iter().all(|(id, version)| match version {
                Some(version) => applied.get(id).is_some_and(|row| row.version >= *version),
                None => !applied.contains_key(id),
            })
        });
        tokio::select! {
            _ = tokio::time::timeout(APPLY_TIMEOUT, follows) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Compares the registry with the fleet, and corrects the difference.
    pub(super) async fn reconcile_registry(&self) -> Result<(), Error> {
        let rows = storage::printers::list_versions(&self.db).await?;
        for id in self.registry.removed_ids(&rows) {
            self.fleet.remove(id);
            self.signal_dispatcher(self.dispatcher.signal_printer_removed(id)).await?;
            self.registry.applied.send_modify(|applied| drop(applied.remove(&id)));
        }
        let running = self.fleet.running_actors();
        let stale = self.registry.stale_ids(&rows, &running);
        if stale.iter().any(|id| !running.contains(id) && self.registry.applied_row(*id).is_some()) {
            // A disabled printer may be enabled again. Its earlier observations are stored first.
            self.fleet.flush_observations().await;
        }
        let mut parts = if stale.is_empty() { Vec::new() } else { vec![stale] };
        while let Some(mut part) = parts.pop() {
            match (self.read_stored(&part).await, part.as_slice()) {
                (Ok((printers, mut stored)), _) => {
                    for printer in printers {
                        self.apply_row(printer, &mut stored, &running).await?;
                    }
                }
                (Err(error @ storage::Error::Unreadable { .. }), [id]) => {
                    let initial = LivePrinter::unobserved(*id, PrinterState::Unknown, None, Plate::clear());
                    let enabled = self.registry.applied_row(*id).is_some_and(|applied| applied.enabled);
                    let version = rows.get(id).copied().unwrap_or_default();
                    self.leave_out(initial, version, enabled, &error.into());
                }
                (Err(storage::Error::Unreadable { .. }), _) => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Ends the prints of removed printers as unknown, because they are no longer observed.
    async fn end_prints_of_removed(&self) -> Result<(), Error> {
        // The observations before the removal are stored first.
        let is_stored =
            !storage::prints::list_open_of_removed(&self.db).await?.is_empty() && self.fleet.flush_observations().await;
        if !is_stored {
            return Ok(());
        }
        let at = clock::now();
        let open = storage::prints::list_open_of_removed(&self.db).await?;
        let ends: Vec<(Uuid, PrintFact)> =
            open.iter().map(|print| (print.printer_id, PrintFact::unobserved_end(print.id, at))).collect();
        Ok(storage::print_facts::store_facts(&self.db, clock::new_id(), &ends, &[]).await?)
    }

    async fn read_stored(&self, ids: &[Uuid]) -> Result<(Vec<(Printer, SealedAccess)>, StoredState), storage::Error> {
        let printers = storage::printers::get_many_with_secrets(&self.db, ids).await?;
        let observations = storage::printer_observations::get_many(&self.db, ids).await?;
        let prints = storage::prints::list_open(&self.db, ids).await?;
        let stored = StoredState {
            plates: storage::plates::get_many(&self.db, ids).await?.into_iter().collect(),
            observations: observations.into_iter().map(|observation| (observation.printer_id, observation)).collect(),
            prints: prints.into_iter().map(|print| (print.printer_id, print)).collect(),
            starts: if self.registry.applied.borrow().is_empty() {
                storage::prints::list_sent_starts(&self.db, clock::now() - LAST_COMMANDS).await?.into_iter().collect()
            } else {
                HashMap::new()
            },
        };
        Ok((printers, stored))
    }

    /// Applies one row to the fleet. `running`: the printers that have an actor.
    async fn apply_row(
        &self,
        row: (Printer, SealedAccess),
        stored: &mut StoredState,
        running: &HashSet<Uuid>,
    ) -> Result<(), Error> {
        let (printer, sealed) = row;
        let (id, version, enabled) = (printer.id, printer.version, printer.details.enabled);
        let before = self.registry.applied_row(id);
        let observation = stored.observations.remove(&id);
        let last_state = observation.as_ref().map_or(PrinterState::Unknown, |observation| observation.state);
        let observed_at = observation.as_ref().map(|observation| observation.observed_at);
        let plate = stored.plates.remove(&id).unwrap_or_else(Plate::clear);
        let octoprint_version: Option<Arc<str>> =
            observation.as_ref().and_then(|observation| observation.octoprint_version.as_deref().map(Arc::from));
        let initial = LivePrinter::unobserved(id, last_state, observed_at, plate.clone());
        let initial = LivePrinter { octoprint_version: octoprint_version.clone(), ..initial };
        // Before anything that can fail: a printer out of service must not print.
        let out_of_service = printer.details.production.refusal();
        self.fleet.set_out_of_service(id, out_of_service.clone());
        if !enabled && before.as_ref().is_some_and(|before| before.enabled) {
            self.fleet.retire(id);
            self.signal_dispatcher(self.dispatcher.signal_printer_disabled(id)).await?;
        }
        let octoprint = match self.client_with_secrets(&printer, &sealed) {
            Ok(octoprint) => octoprint,
            Err(error) => {
                self.leave_out(initial, version, enabled, &error);
                return Ok(());
            }
        };
        let applied =
            AppliedRow { version, enabled, client: ClientParts::from_printer(&printer, sealed), is_left_out: false };
        let is_repaired = before.as_ref().is_some_and(|before| before.is_left_out);
        let has_client =
            running.contains(&id) && before.is_some_and(|before| before.enabled && before.client == applied.client);
        if enabled && (!has_client || is_repaired) {
            self.fleet.start_actor(ActorConfig {
                id,
                octoprint,
                last_state,
                observed_at,
                octoprint_version,
                mark: observation.map(|observation| (observation.mark, observation.observed_at)),
                plate,
                print: stored.prints.remove(&id),
                start: stored.starts.remove(&id),
                out_of_service,
            });
        } else if is_repaired || self.fleet.view().get(id).is_none() {
            self.fleet.view().put(initial);
        } else {
            // The actor does not need the name or the tags, and it has the service state. Pages follow the view.
            self.fleet.touch(id);
        }
        self.registry.applied.send_modify(|all| drop(all.insert(id, applied)));
        Ok(())
    }

    /// Marks a printer as unusable until its row is repaired. A running actor continues with its current data.
    fn leave_out(&self, initial: LivePrinter, version: i64, enabled: bool, error: &Error) {
        let id = initial.id;
        let before = self.registry.applied_row(id);
        if before.as_ref().is_some_and(|before| before.is_left_out && before.version == version) {
            return;
        }
        tracing::error!(printer.id = %id, ?error, "a printer is left out: its row cannot be used");
        let live = self.fleet.view().get(id).map_or(initial, |live| LivePrinter::clone(&live));
        self.fleet.view().put(LivePrinter { error: Some(LEFT_OUT_ERROR), ..live });
        let client = before.map(|before| before.client).unwrap_or_default();
        let applied = AppliedRow { version, enabled, client, is_left_out: true };
        self.registry.applied.send_modify(|all| drop(all.insert(id, applied)));
    }

    /// Waits for room in the dispatcher's queue. A change that could not be signalled is not applied, and is tried
    /// again.
    async fn signal_dispatcher(&self, signal: impl Future<Output = ()>) -> Result<(), Error> {
        let busy = |_| Error::Busy(Message::new("refusal-dispatcher-silent"));
        tokio::time::timeout(SIGNAL_TIMEOUT, signal).await.map_err(busy)
    }
}
