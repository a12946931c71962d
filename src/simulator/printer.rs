//! One simulated printer: its machine, files, keys, log and listeners under one lock, and the handle that tests hold.
//!
//! Idle, a printer is this value, a listening socket and a task that waits on it. A second task lives only while the
//! machine has something due (see [`super::machine`]); it sleeps until then, and at least [`NAP`] at a time.

mod faults;

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
    config::{Act, FarmConfig, Fault, Flavor, Received},
    farm::listen,
    files::{Blob, Blobs, Files},
    hub::Hub,
    machine::{Machine, State},
};

/// The shortest sleep of a printer that is between two states.
const NAP: Duration = Duration::from_millis(1);
/// The shortest sleep of one that only runs lines. Who asks catches up anyway, so lines of a millisecond need not
/// wake anybody one by one; the events of what a line does (its end, `M600`) come this much late at most.
const LINE_NAP: Duration = Duration::from_millis(100);
/// Requests that are remembered.
const LOG_LENGTH: usize = 20_000;
/// Push sessions that stay valid; every passive login makes one.
const SESSIONS: usize = 32;

/// What the lock guards.
pub struct Inner {
    pub machine: Machine,
    pub files: Files,
    pub hub: Hub,
    pub sessions: VecDeque<String>,
    pub key_revoked: bool,
    pub app_keys: AppKeys,
    /// OctoPrint's permissions of the key's user; none: an administrator.
    pub rights: Option<Vec<String>>,
    log: VecDeque<Received>,
    /// Faults that hit one command each.
    once: VecDeque<Fault>,
    /// When the worker will look again; `None`: there is no worker.
    worker_due: Option<Instant>,
}

/// What the printers of a farm have in common.
pub struct Common {
    pub latency: Duration,
    pub flavor: Flavor,
    pub started: Instant,
    pub blobs: Blobs,
    /// Ends everything.
    pub stop: CancellationToken,
    pub runtime: Handle,
}

struct Shared {
    name: String,
    url: String,
    address: SocketAddr,
    api_key: String,
    common: Arc<Common>,
    fault: watch::Sender<Option<Fault>>,
    /// Taken away while the printer refuses connections.
    listener: Mutex<Option<TcpListener>>,
    /// Cancelled to cut every connection, and replaced.
    life: Mutex<CancellationToken>,
    wake: Notify,
    /// Connections of which it stopped reading ([`Fault::StopReading`]).
    stopped_reading: AtomicUsize,
    inner: Mutex<Inner>,
}

/// A handle on a simulated printer, for the hands of a test. Cheap to clone.
#[derive(Clone)]
pub struct SimulatedPrinter(Arc<Shared>);

impl std::fmt::Debug for SimulatedPrinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedPrinter").field("name", &self.0.name).field("url", &self.0.url).finish()
    }
}

impl SimulatedPrinter {
    pub(super) fn new(
        number: usize,
        config: &FarmConfig,
        common: Arc<Common>,
        listener: TcpListener,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let machine = Machine::new(common.started, config.flavor, config.time_scale, config.pause_answer);
        let life = Mutex::new(common.stop.child_token());
        Ok(Self(Arc::new(Shared {
            name: format!("SIM-{number:04}"),
            url: format!("http://{address}"),
            address,
            api_key: format!("sim-key-{number:04}"),
            common,
            fault: watch::Sender::new(None),
            listener: Mutex::new(Some(listener)),
            life,
            wake: Notify::new(),
            stopped_reading: AtomicUsize::new(0),
            inner: Mutex::new(Inner {
                machine,
                files: Files::default(),
                hub: Hub::default(),
                sessions: VecDeque::new(),
                key_revoked: false,
                app_keys: AppKeys::default(),
                rights: None,
                log: VecDeque::new(),
                once: VecDeque::new(),
                worker_due: None,
            }),
        })))
    }

    /// `SIM-0001`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// `http://127.0.0.1:<port>`, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The one key that it accepts: `sim-key-0001`.
    pub fn api_key(&self) -> &str {
        &self.0.api_key
    }

    /// Whether this is the printer's key, or one that it gave to an application.
    pub(super) fn accepts_key(&self, key: &str) -> bool {
        let inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (key == self.0.api_key && !inner.key_revoked) || inner.app_keys.accepts(key)
    }

    /// OctoPrint's word for what it is doing, whatever the fault.
    pub fn state_text(&self) -> String {
        self.with(|inner, _| inner.machine.state().text().to_owned())
    }

    /// Every request that changed something or might have, in order (the last 20,000).
    pub fn received(&self) -> Vec<Received> {
        self.with(|inner, _| inner.log.iter().cloned().collect())
    }

    /// What somebody at the machine does.
    pub fn at_printer(&self, act: Act) {
        self.with(|inner, now| {
            inner.machine.act(&act, now);
            if act == Act::RestartServer {
                inner.sessions.clear();
            }
        });
        if act == Act::RestartServer {
            self.cut_connections();
        }
    }

    /// Puts a file on the printer, over another of that path.
    pub fn put_file(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.put_blob(path, self.0.common.blobs.intern(content.into()));
    }

    pub(super) fn put_blob(&self, path: &str, blob: Arc<Blob>) {
        self.with(|inner, _| inner.files.put(path, blob, None));
    }

    /// Selects a file, as at OctoPrint's own page. Nothing happens where there is no such file, or while one prints.
    pub fn select(&self, path: &str) {
        self.with(|inner, _| {
            if let Some(file) = inner.files.selection(path) {
                inner.machine.select(file);
            }
        });
    }

    /// Sets one of OctoPrint's G-code scripts (`beforePrintStarted` …), to make transient states last.
    pub fn set_script(&self, name: &str, gcode: &str) {
        self.with(|inner, _| inner.machine.set_script(name, gcode));
    }

    /// The key is no longer good, nor are the push sessions that it made.
    pub fn revoke_key(&self) {
        self.with(|inner, _| {
            inner.key_revoked = true;
            inner.sessions.clear();
        });
    }

    /// The key is good again.
    pub fn restore_key(&self) {
        self.with(|inner, _| inner.key_revoked = false);
    }

    /// Every key's user is one with these permissions (`STATUS` …) from now on. The login tells of them, and without
    /// `STATUS` the version is refused; the rest is not held against them.
    pub fn limit_rights(&self, rights: &[&str]) {
        self.with(|inner, _| inner.rights = Some(rights.iter().map(|right| (*right).to_owned()).collect()));
    }

    /// Somebody at OctoPrint's own page answers the oldest request for an application key. False where none waits.
    pub fn decide_app_key(&self, grant: bool) -> bool {
        self.with(|inner, now| inner.app_keys.decide(grant, now))
    }

    /// Degrees Celsius of the tool, now.
    pub fn tool_temperature(&self) -> f64 {
        self.with(|inner, now| inner.machine.temperatures(now)[0].0)
    }

    /// How many authenticated event sockets are open.
    pub fn listeners(&self) -> usize {
        self.with(|inner, _| inner.hub.len())
    }

    pub(super) fn common(&self) -> &Common {
        &self.0.common
    }

    pub(super) fn remember(&self, received: Received) {
        self.with(|inner, _| {
            if inner.log.len() == LOG_LENGTH {
                inner.log.pop_front();
            }
            inner.log.push_back(received);
        });
    }

    /// A session for the event socket.
    pub(super) fn new_session(&self) -> String {
        let session = format!("{:032x}", rand::random::<u128>());
        self.with(|inner, _| {
            if inner.sessions.len() == SESSIONS {
                inner.sessions.pop_front();
            }
            inner.sessions.push_back(session.clone());
        });
        session
    }

    /// Cancelled when the connections of now are to be cut.
    pub(super) fn life(&self) -> CancellationToken {
        self.0.life.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The farm has ended; a handle that somebody still holds must not keep the port.
    pub(super) fn close(&self) {
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn cut_connections(&self) {
        let mut life = self.0.life.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *life, self.0.common.stop.child_token());
        drop(life);
        old.cancel();
    }

    /// On the same port. Should another process have taken it meanwhile, the printer stays refusing.
    fn listen_again(&self) -> Option<TcpListener> {
        let _runtime = self.0.common.runtime.enter();
        listen(self.0.address).ok()
    }

    /// For the task at the door: pending while there is no listener.
    pub(super) fn poll_accept(
        &self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<(tokio::net::TcpStream, SocketAddr)>> {
        match &*self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(listener) => listener.poll_accept(cx),
            None => std::task::Poll::Pending,
        }
    }

    /// Everything goes through here: catches up with the time, does `work`, tells what came of it, and sees to it
    /// that somebody wakes up for what comes next.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let now = Instant::now();
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.machine.advance(now);
        let result = work(&mut inner, now);
        inner.machine.advance(now);
        inner.settle();
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
            self.0.common.runtime.spawn(self.clone().work());
        } else if wake {
            self.0.wake.notify_one();
        }
        result
    }

    /// The worker: lives while something is due.
    async fn work(self) {
        let stop = &self.0.common.stop;
        loop {
            let due = {
                let now = Instant::now();
                let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
                inner.machine.advance(now);
                inner.settle();
                let nap = if inner.machine.state() == State::Printing { LINE_NAP } else { NAP };
                inner.worker_due = inner.machine.next_due().map(|due| due.max(now + nap));
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

impl Inner {
    /// Passes on what the machine has produced.
    fn settle(&mut self) {
        for ended in self.machine.take_ended() {
            self.files.count(&ended);
        }
        for event in self.machine.take_events() {
            self.hub.publish(&event);
        }
    }
}
