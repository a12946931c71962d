//! Use cases of the server. Each one has a single place here.
//!
//! A use case takes the principal and the request, checks the rules, and changes the command log or the printer
//! registry. The fleet then follows the change. The HTTP layer uses only these functions.

pub mod access;
pub mod app_keys;
mod attention;
pub mod audit;
pub mod background;
mod batch_writer;
pub mod batches;
pub mod bulk;
pub mod cameras;
pub mod command_history;
pub mod connection_test;
pub mod copies;
pub mod demo;
mod device_cookies;
pub mod diagnosis;
pub mod discovery;
pub mod dispatch;
pub mod dry_run;
pub mod error;
pub mod events;
pub mod files;
pub mod health;
pub mod idempotency;
pub mod import;
mod login_throttle;
mod maintenance;
pub mod oidc;
pub mod orders;
pub mod parts;
pub mod planner;
pub mod plates;
pub mod printer_access;
pub mod printer_files;
pub mod printers;
pub mod prints;
pub mod recorder;
mod registry;
pub mod resealing;
pub mod retention;
pub mod sealed_form;
pub mod selection;
pub mod sending;
pub mod sessions;
mod snapshot;
mod start_files;
pub mod statistics;
pub mod tags;
pub mod tasks;
pub mod temperatures;
pub mod tokens;
mod transfer_locks;
pub mod transfers;
pub mod uploads;
pub mod users;
pub mod webhooks;

use std::{
    ops::Deref,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::error::Error;
use self::{
    app_keys::KeyRequests,
    background::BackgroundTasks,
    batch_writer::BatchWriter,
    cameras::Cameras,
    demo::DemoFarm,
    discovery::Discovery,
    dispatch::{Dispatcher, DispatcherHandle},
    events::FeedNotifier,
    files::{content_store::ContentStore, printable::DecodedTexts},
    health::WriteStatus,
    idempotency::HeldKeys,
    login_throttle::LoginThrottle,
    recorder::RecorderStatus,
    registry::Registry,
    sending::SendingStatus,
    transfer_locks::TransferLocks,
    transfers::Transfers,
    uploads::Uploads,
    webhooks::Webhooks,
};
use crate::{
    clock,
    config::Settings,
    domain::{farm_staff::FarmStaff, message::TextOf},
    fleet::Fleet,
    oidc::Oidc,
    outbound::Outbound,
    secrets::Vault,
    storage::{self, Db, sealed::SealedTable},
};

/// Commands that ended up to this long before a start of the server still matter. They are shown with their printers,
/// and may have started a print that was not recorded.
const LAST_COMMANDS: TimeDelta = TimeDelta::days(1);

/// Everything that use cases need. Cloning is cheap (a reference count), because every layer of every request has a clone.
#[derive(Clone)]
pub struct Services(Arc<SharedServices>);

impl Deref for Services {
    type Target = SharedServices;

    fn deref(&self) -> &SharedServices {
        &self.0
    }
}

/// State that all clones of [`Services`] share.
pub struct SharedServices {
    db: Db,
    sending: watch::Receiver<SendingStatus>,
    fleet: Fleet,
    dispatcher: DispatcherHandle,
    batch_writer: BatchWriter,
    outbound: Outbound,
    vault: Arc<Vault>,
    admin_token: Option<Arc<str>>,
    settings: Settings,
    staff: FarmStaff,
    /// Returns the English text of a message, for the bodies of webhooks.
    text_of: TextOf,
    oidc: Option<Oidc>,
    uploads: Arc<Uploads>,
    /// One list of files is read from a printer at a time.
    file_list_locks: Arc<TransferLocks>,
    /// Contents of the library on disk.
    contents: ContentStore,
    decoded_texts: Arc<DecodedTexts>,
    transfers: Transfers,
    planner: planner::PlannerHandle,
    registry: Arc<Registry>,
    login_throttle: Arc<LoginThrottle>,
    cameras: Arc<Cameras>,
    discovery: Arc<Discovery>,
    key_requests: Arc<KeyRequests>,
    feed_notifier: FeedNotifier,
    idempotency_keys: HeldKeys,
    webhooks: Webhooks,
    /// The simulated printers of a demo.
    demo_farm: Option<Arc<dyn DemoFarm>>,
    recorder: RecorderStatus,
    background: BackgroundTasks,
    write_status: WriteStatus,
    /// Cancelled on shutdown. Long waits must select on it.
    stop: CancellationToken,
    hashers: Arc<tokio::sync::Semaphore>,
    /// Number of passwords that were hashed or verified since the start.
    passwords_hashed: Arc<AtomicU64>,
}

/// What the services need for their start.
pub struct ServiceParts {
    pub db: Db,
    /// Whether this server is the one that sends commands.
    pub sending: watch::Receiver<SendingStatus>,
    /// Until this time, the previous server may still send commands.
    pub others_send_until: Option<std::time::Instant>,
    pub outbound: Outbound,
    /// Connections to the receivers of webhooks.
    pub webhook_outbound: Outbound,
    pub vault: Vault,
    pub admin_token: Option<String>,
    pub settings: Settings,
    /// When plates get cleared.
    pub staff: FarmStaff,
    /// Returns the English text of a message, for the bodies of webhooks.
    pub text_of: TextOf,
    pub oidc: Option<Oidc>,
    /// Folder for uploads in transit to printers.
    pub data_dir: PathBuf,
    /// The simulated printers of a demo.
    pub demo_farm: Option<Arc<dyn DemoFarm>>,
}

impl Services {
    /// Starts the fleet, the dispatcher and the recorder as tasks of `tasks`, which end when `stop` is cancelled.
    /// `failed` is cancelled when one of them ends by itself. Fails if the printer registry cannot be read.
    pub async fn start(
        parts: ServiceParts,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        failed: &CancellationToken,
    ) -> Result<Self, Error> {
        let uploads = Uploads::open(&parts.data_dir);
        let (fleet, inbox) = Fleet::new(parts.settings, tasks, stop.clone());
        let dispatcher = Dispatcher::new(parts.db.clone(), fleet.clone(), inbox.events, parts.others_send_until);
        let (batch_writer, batch_writer_task) = BatchWriter::new(parts.db.clone(), dispatcher.handle());
        let services = Self(Arc::new(SharedServices {
            db: parts.db,
            sending: parts.sending,
            fleet,
            dispatcher: dispatcher.handle(),
            batch_writer,
            outbound: parts.outbound,
            vault: Arc::new(parts.vault),
            admin_token: parts.admin_token.map(Arc::from),
            settings: parts.settings,
            staff: parts.staff,
            text_of: parts.text_of,
            oidc: parts.oidc,
            uploads: Arc::new(uploads),
            file_list_locks: Arc::default(),
            contents: ContentStore::open(&parts.data_dir),
            decoded_texts: Arc::default(),
            transfers: Transfers::default(),
            planner: planner::PlannerHandle::default(),
            registry: Arc::default(),
            login_throttle: Arc::default(),
            cameras: Arc::default(),
            discovery: Arc::default(),
            key_requests: Arc::new(KeyRequests::new(tasks.clone(), stop.clone())),
            feed_notifier: FeedNotifier::default(),
            idempotency_keys: HeldKeys::default(),
            webhooks: Webhooks::new(parts.webhook_outbound),
            demo_farm: parts.demo_farm,
            recorder: RecorderStatus::new(inbox.recorder.clone()),
            background: BackgroundTasks::new(tasks.clone(), stop.clone()),
            write_status: WriteStatus::default(),
            stop: stop.clone(),
            hashers: Arc::new(tokio::sync::Semaphore::new(sessions::MAX_HASHERS)),
            passwords_hashed: Arc::default(),
        }));
        services.check_keys().await?;
        // Before the dispatcher runs, because it treats a printer without an actor as disabled.
        services.reconcile_registry().await?;
        // Before requests arrive: unfinished batches of the previous process count for their principals.
        dispatcher.count_unfinished().await?;
        let since = clock::now() - LAST_COMMANDS;
        services.fleet.view().show_commands(storage::commands::list_last_of_each_printer(&services.db, since).await?);
        let (guard, token) = (failed.clone().drop_guard(), stop.clone());
        tasks.spawn(async move {
            let _guard = guard;
            dispatcher.run(token).await;
        });
        let (guard, token) = (failed.clone().drop_guard(), stop.clone());
        tasks.spawn(async move {
            let _guard = guard;
            batch_writer_task.run(token).await;
        });
        // What the actors observe until their end is stored.
        let (guard, token, db) = (failed.clone().drop_guard(), services.fleet.ended(), services.db.clone());
        let (storing, status) = (services.dispatcher.subscribe_storing(), services.recorder.clone());
        tasks.spawn(async move {
            let _guard = guard;
            recorder::run(db, inbox.recorder, storing, status, token).await;
        });
        tasks.spawn(services.feed_notifier.clone().run(services.db.clone(), stop.clone()));
        services.start_registry();
        services.start_plates();
        services.start_webhooks(tasks.clone());
        services.start_retention();
        services.start_health_writes();
        services.start_log_checkpoints();
        services.start_file_clean_up();
        services.start_transfers(tasks.clone());
        services.start_planner();
        Ok(services)
    }

    /// Returns the injected failures of the database, for tests.
    #[cfg(feature = "fault-injection")]
    pub fn faults(&self) -> &storage::fault_injection::FaultInjector {
        self.db.faults()
    }

    /// Fails if the stored secrets were sealed with keys that are missing.
    async fn check_keys(&self) -> Result<(), Error> {
        let mut sealed = Vec::new();
        for shelf in SealedTable::ALL {
            sealed.extend(storage::sealed::list_page(&self.db, shelf, None, i64::MAX).await?);
        }
        self.vault.check_stored_values(sealed.iter().map(|secret| (secret.id, secret.sealed.as_slice())))?;
        Ok(())
    }

    /// Returns the status of the recorder: whether it keeps up.
    pub fn recorder_status(&self) -> &RecorderStatus {
        &self.recorder
    }

    /// Returns whether this server is the one that sends, and since when.
    pub fn sending_status(&self) -> SendingStatus {
        self.sending.borrow().clone()
    }

    /// Closes the database. Must be called after all tasks have ended.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Returns the fleet, for the tests and the start of the process. `http` uses the functions of `snapshot.rs`.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Returns the token that is cancelled on shutdown.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Returns the periodic tasks of the server.
    pub fn background(&self) -> &BackgroundTasks {
        &self.background
    }

    /// Returns the handle of the dispatcher, for requests that follow batches.
    pub fn dispatcher(&self) -> &DispatcherHandle {
        &self.dispatcher
    }

    /// Returns whether an occupied plate blocks a start.
    pub fn plate_gate(&self) -> bool {
        self.settings.plate_gate
    }

    /// Returns the stagger that the start sheet proposes: commands at once, seconds between two, and heating printers per
    /// power group. 0 is no limit.
    pub fn proposed_stagger(&self) -> [u32; 3] {
        let stagger = self.settings.start_stagger;
        [stagger.max_in_flight, stagger.interval_s, stagger.max_heating]
    }
}
