//! One simulated printer: its machine, files, keys, log and event listeners behind one lock, and the handle for tests.
//!
//! An idle printer is this value, a listening socket, and a task that waits on the socket. A second task exists only
//! while something is due in the machine (see [`super::machine`]). It sleeps until then, and at least [`MIN_SLEEP`] each
//! time.

mod faults;
mod scenario;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Notify, watch},
};
use tokio_util::sync::CancellationToken;

use super::{
    app_keys::AppKeys,
    config::{FarmConfig, Fault, Flavor, MachineAction, ReceivedRequest},
    event_hub::EventHub,
    files::{Blob, BlobStore, FileStore},
    listener::open_listener,
    machine::{Machine, MachineState},
};

/// Shortest sleep of the worker while the printer is between two states.
const MIN_SLEEP: Duration = Duration::from_millis(1);
/// Shortest sleep of the worker while the printer only runs lines. Each request catches up with the lines. So lines of
/// a millisecond need not wake the worker one by one. Events of a line (its end, `M600`) are at most this late.
const MIN_LINE_SLEEP: Duration = Duration::from_millis(100);
/// Length of the log, in requests.
const MAX_LOG_ENTRIES: usize = 20_000;
/// Push sessions that stay valid. Every passive login creates one.
const MAX_SESSIONS: usize = 32;

/// State that the lock protects.
pub struct PrinterInner {
    pub machine: Machine,
    pub files: FileStore,
    pub hub: EventHub,
    pub sessions: VecDeque<String>,
    pub key_revoked: bool,
    pub app_keys: AppKeys,
    /// OctoPrint permissions of the key's user. `None`: an administrator.
    pub permissions: Option<Vec<String>>,
    log: VecDeque<ReceivedRequest>,
    /// Faults that apply to one command each.
    command_faults: VecDeque<Fault>,
    /// When the worker wakes next. `None`: there is no worker.
    worker_due: Option<Instant>,
}

/// Data that the printers of a farm share.
pub struct FarmContext {
    pub latency: Duration,
    pub flavor: Flavor,
    pub started: Instant,
    pub blobs: BlobStore,
    /// Ends all tasks and connections.
    pub stop: CancellationToken,
    pub runtime: Handle,
}

struct SharedPrinter {
    name: String,
    url: String,
    address: SocketAddr,
    api_key: String,
    context: Arc<FarmContext>,
    fault: watch::Sender<Option<Fault>>,
    /// `None` while the printer refuses connections.
    listener: Mutex<Option<TcpListener>>,
    /// Cancelled to cut all connections, and replaced.
    connections_token: Mutex<CancellationToken>,
    wake: Notify,
    /// Connections that the printer stopped reading ([`Fault::StopReading`]).
    stopped_reading: AtomicUsize,
    inner: Mutex<PrinterInner>,
}

/// Handle of a simulated printer, for tests. Cheap to clone.
#[derive(Clone)]
pub struct SimulatedPrinter(Arc<SharedPrinter>);

impl std::fmt::Debug for SimulatedPrinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedPrinter").field("name", &self.0.name).field("url", &self.0.url).finish()
    }
}

impl SimulatedPrinter {
    pub(super) fn new(
        number: usize,
        config: &FarmConfig,
        context: Arc<FarmContext>,
        listener: TcpListener,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let machine = Machine::new(context.started, config.flavor, config.time_scale, config.pause_reply_delay);
        let connections_token = Mutex::new(context.stop.child_token());
        Ok(Self(Arc::new(SharedPrinter {
            name: format!("SIM-{number:04}"),
            url: format!("http://{address}"),
            address,
            api_key: format!("sim-key-{number:04}"),
            context,
            fault: watch::Sender::new(None),
            listener: Mutex::new(Some(listener)),
            connections_token,
            wake: Notify::new(),
            stopped_reading: AtomicUsize::new(0),
            inner: Mutex::new(PrinterInner {
                machine,
                files: FileStore::default(),
                hub: EventHub::default(),
                sessions: VecDeque::new(),
                key_revoked: false,
                app_keys: AppKeys::default(),
                permissions: None,
                log: VecDeque::new(),
                command_faults: VecDeque::new(),
                worker_due: None,
            }),
        })))
    }

    /// Name of the printer: `SIM-0001`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Base URL: `http://127.0.0.1:<port>`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The one API key that it accepts: `sim-key-0001`.
    pub fn api_key(&self) -> &str {
        &self.0.api_key
    }

    /// Returns whether this is the printer's key, or one that it issued to an application.
    pub(super) fn accepts_key(&self, key: &str) -> bool {
        let inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (key == self.0.api_key && !inner.key_revoked) || inner.app_keys.accepts(key)
    }

    /// Returns OctoPrint's text for the state, whatever the fault.
    pub fn state_text(&self) -> String {
        self.with_inner(|inner, _| inner.machine.state().text().to_owned())
    }

    /// Returns every request that changed something or could have, in order (the last 20,000).
    pub fn received_requests(&self) -> Vec<ReceivedRequest> {
        self.with_inner(|inner, _| inner.log.iter().cloned().collect())
    }

    /// Performs an action at the machine.
    pub fn perform(&self, action: MachineAction) {
        self.with_inner(|inner, now| {
            inner.machine.perform(&action, now);
            if action == MachineAction::RestartServer {
                inner.sessions.clear();
            }
        });
        if action == MachineAction::RestartServer {
            self.cut_connections();
        }
    }

    /// Stores a file on the printer. Overwrites a file with the same path.
    pub fn put_file(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.put_blob(path, self.0.context.blobs.intern(content.into()));
    }

    pub(super) fn put_blob(&self, path: &str, blob: Arc<Blob>) {
        self.with_inner(|inner, _| inner.files.put(path, blob, None));
    }

    /// Returns the paths of all files.
    pub fn file_paths(&self) -> Vec<String> {
        self.with_inner(|inner, _| inner.files.entries().map(|(path, _)| path.to_owned()).collect())
    }

    /// Returns the content of a file.
    pub fn read_file(&self, path: &str) -> Option<Vec<u8>> {
        self.with_inner(|inner, _| inner.files.get(path).map(|file| file.blob.bytes().to_vec()))
    }

    /// Returns the path of the selected file.
    pub fn selected_path(&self) -> Option<String> {
        self.with_inner(|inner, _| inner.machine.selected().map(|file| file.path.clone()))
    }

    /// Selects a file, as on OctoPrint's own page. Does nothing if the file does not exist, or if the printer is not
    /// idle.
    pub fn select(&self, path: &str) {
        self.with_inner(|inner, _| {
            if let Some(file) = inner.files.to_selected(path) {
                inner.machine.select(file);
            }
        });
    }

    /// Sets one of OctoPrint's G-code scripts (`beforePrintStarted` …), to make transient states longer.
    pub fn set_script(&self, name: &str, gcode: &str) {
        self.with_inner(|inner, _| inner.machine.set_script(name, gcode));
    }

    /// Revokes the key, and the push sessions that it created.
    pub fn revoke_key(&self) {
        self.with_inner(|inner, _| {
            inner.key_revoked = true;
            inner.sessions.clear();
        });
    }

    /// Makes the key valid again.
    pub fn restore_key(&self) {
        self.with_inner(|inner, _| inner.key_revoked = false);
    }

    /// Limits the user of every key to these permissions (`STATUS` …) from now on. The login returns them, and the
    /// version is refused without `STATUS`. No other request checks them.
    pub fn limit_permissions(&self, permissions: &[&str]) {
        self.with_inner(|inner, _| {
            inner.permissions = Some(permissions.iter().map(|permission| (*permission).to_owned()).collect())
        });
    }

    /// Grants or denies the oldest request for an application key, like a user on OctoPrint's own page. Returns `false`
    /// if no request is pending.
    pub fn decide_app_key(&self, grant: bool) -> bool {
        self.with_inner(|inner, now| inner.app_keys.decide_oldest(grant, now))
    }

    /// Returns the temperature of the tool in degrees Celsius.
    pub fn tool_temperature(&self) -> f64 {
        self.with_inner(|inner, now| inner.machine.temperatures(now)[0].0)
    }

    /// Returns the number of authenticated event sockets.
    pub fn listener_count(&self) -> usize {
        self.with_inner(|inner, _| inner.hub.len())
    }

    pub(super) fn context(&self) -> &FarmContext {
        &self.0.context
    }

    pub(super) fn log_request(&self, request: ReceivedRequest) {
        self.with_inner(|inner, _| {
            if inner.log.len() == MAX_LOG_ENTRIES {
                inner.log.pop_front();
            }
            inner.log.push_back(request);
        });
    }

    /// Creates a session for the event socket.
    pub(super) fn new_session(&self) -> String {
        let session = format!("{:032x}", rand::random::<u128>());
        self.with_inner(|inner, _| {
            if inner.sessions.len() == MAX_SESSIONS {
                inner.sessions.pop_front();
            }
            inner.sessions.push_back(session.clone());
        });
        session
    }

    /// Returns a token that is cancelled when the current connections are cut.
    pub(super) fn connections_token(&self) -> CancellationToken {
        self.0.connections_token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the port at the end of the farm, even if a handle of the printer still exists.
    pub(super) fn close(&self) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn cut_connections(&self) {
        let mut token = self.0.connections_token.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *token, self.0.context.stop.child_token());
        drop(token);
        old.cancel();
    }

    /// Opens the same port. If another process has taken it meanwhile, the printer keeps refusing connections.
    fn reopen_listener(&self) -> Option<TcpListener> {
        let _runtime = self.0.context.runtime.enter();
        open_listener(self.0.address).ok()
    }

    /// Accepts a connection. Pending while there is no listener.
    pub(super) fn poll_accept(
        &self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<(tokio::net::TcpStream, SocketAddr)>> {
        match &*self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(listener) => listener.poll_accept(cx),
            None => std::task::Poll::Pending,
        }
    }

    /// Gives `access` the state; every access uses this function. Advances the machine to the current time,
    /// runs `access`, publishes the results, and schedules the worker for the next due time.
    pub(super) fn with_inner<R>(&self, access: impl FnOnce(&mut PrinterInner, Instant) -> R) -> R {
        let now = Instant::now();
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.machine.advance(now);
        let result = access(&mut inner, now);
        inner.machine.advance(now);
        inner.publish_results();
        let due = inner.machine.next_due();
        let (spawn, wake) = match (due, inner.worker_due) {
            (Some(_), None) => (true, false),
            (Some(due), Some(planned)) => (false, due < planned),
            (None, _) => (false, false),
        };
        if spawn || wake {
            inner.worker_due = due;
        }
        drop(inner);
        if spawn {
            self.0.context.runtime.spawn(self.clone().run_worker());
        } else if wake {
            self.0.wake.notify_one();
        }
        result
    }

    /// Worker task: runs while something is due.
    async fn run_worker(self) {
        let stop = &self.0.context.stop;
        loop {
            let due = {
                let now = Instant::now();
                let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
                inner.machine.advance(now);
                inner.publish_results();
                let min_sleep =
                    if inner.machine.state() == MachineState::Printing { MIN_LINE_SLEEP } else { MIN_SLEEP };
                inner.worker_due = inner.machine.next_due().map(|due| due.max(now + min_sleep));
                inner.worker_due
            };
            let Some(due) = due else { return };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(due.into()) => {}
                () = self.0.wake.notified() => {}
            }
        }
    }
}

impl PrinterInner {
    /// Publishes the events and counts the prints that the machine has produced.
    fn publish_results(&mut self) {
        for ended in self.machine.take_ended_prints() {
            self.files.count_print(&ended);
        }
        for event in self.machine.take_events() {
            self.hub.publish(&event);
        }
    }
}
