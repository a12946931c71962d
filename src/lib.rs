//! Printyard, the server that runs print farms.
//!
//! Every command is written down before it is sent, is sent at most once where a second send could do harm, and ends
//! in one truthful outcome, for every printer, whatever happens.
//!
//! The house, from the top: [`http`] speaks to programs and people, [`service`] is what the program does,
//! [`storage`] is the ledger, [`fleet`] is the live side with one actor per printer, [`octoprint`] speaks to
//! printers and [`oidc`] to a provider of identities through [`outbound`], and [`domain`] decides. `ARCHITECTURE.md` tells the rest.

pub mod clock;
pub mod config;
pub mod domain;
pub mod fleet;
pub mod http;
pub mod lifecycle;
pub mod octoprint;
pub mod oidc;
pub mod outbound;
pub mod secrets;
pub mod service;
pub mod simulator;
pub mod standby;
pub mod storage;
pub mod telemetry;

use std::future::Future;

use anyhow::Context;
use chrono::SecondsFormat;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    config::Config,
    domain::sending::Holder,
    http::{api::limits::Limits, bounds::Bounds, peer::Proxies},
    lifecycle::Lifecycle,
    oidc::Oidc,
    outbound::{Certificates, Networks, Outbound},
    secrets::Vault,
    service::{
        Parts, Services,
        sending::{self, Claim, Claimed},
    },
    storage::Db,
};

/// A server that is ready to serve.
pub struct Server {
    pub services: Services,
    /// The rate at which one token may ask; measurements and tests raise it.
    pub limits: Limits,
    /// What anybody outside may take; tests shorten the times.
    pub bounds: Bounds,
    proxies: Proxies,
    tls: Option<TlsAcceptor>,
    lifecycle: Lifecycle,
    /// Another server has taken over.
    overtaken: CancellationToken,
    keeper: JoinHandle<()>,
    /// Dropped: the lock of the farm is given up.
    end_keeper: DropGuard,
}

/// Another server runs the farm: this one does not. The process ends with exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum NotSending {
    #[error("another server runs this farm{}. Stop it first, or wait for its end with --standby", described(.0.as_ref()))]
    Held(Option<Holder>),
    #[error("another server has taken over this farm{}", described(.0.as_ref()))]
    Overtaken(Option<Holder>),
}

fn described(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |Holder { host, pid, since, .. }| match since {
        Some(since) => format!(": {host}, process {pid}, since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true)),
        None => format!(": {host}, process {pid}"),
    })
}

/// Claims the farm for this process: lock, database, epoch. `create`: an empty database is begun with also where there is
/// a secret key of another one. Fails with a sentence for the operator.
pub async fn claim(config: &Config, create: bool) -> anyhow::Result<Result<Box<Claimed>, Option<Holder>>> {
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("the data folder {} cannot be made", config.data_dir.display()))?;
    let key = config.data_dir.join(secrets::KEY_FILE);
    let may_create = create || config.secret_key.is_some() || !key.exists();
    match sending::claim(&config.database_url, may_create).await.context("the database cannot be used")? {
        Claim::Won(claimed) => Ok(Ok(claimed)),
        Claim::Held(holder) => Ok(Err(holder)),
        Claim::Missing => anyhow::bail!(
            "there is no database, although {} is there: the database was moved or deleted, or its volume is not \
             mounted. Put it back; or start with --create, which begins with an empty one",
            key.display()
        ),
    }
}

impl Server {
    /// Claims the farm and starts the fleet. Fails with a sentence for the operator, and with [`NotSending`].
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        match claim(config, false).await? {
            Ok(claimed) => Self::start_claimed(config, *claimed).await,
            Err(holder) => Err(NotSending::Held(holder).into()),
        }
    }

    /// Starts the fleet of a farm that this process has claimed. Fails with a sentence for the operator.
    pub async fn start_claimed(config: &Config, claimed: Claimed) -> anyhow::Result<Self> {
        let networks = match &config.printer_networks {
            Some(text) => text.parse::<Networks>().context("PRINTYARD_PRINTER_NETWORKS")?,
            None => Networks::default(),
        };
        let webhook_networks = match &config.webhook_networks {
            Some(text) => text.parse::<Networks>().context("PRINTYARD_WEBHOOK_NETWORKS")?,
            None => Networks::default(),
        };
        let certificates = config.ca_file.as_deref().map(Certificates::from_file).transpose();
        let certificates = certificates.map_err(|error| anyhow::anyhow!("PRINTYARD_CA_FILE: {error}"))?;
        let certificates = certificates.unwrap_or_default();
        let tls = config.tls.as_ref().map(http::tls::acceptor).transpose()?;
        let proxies = Proxies::new(config.trusted_proxies.clone());
        let Claimed { db, keeper, others_send_until } = claimed;
        let vault = open_vault(config, &db).await?;
        let lifecycle = Lifecycle::default();
        let parts = Parts {
            db,
            sending: keeper.subscribe(),
            others_send_until,
            outbound: Outbound::new(networks)?.trusting(&certificates)?,
            to_receivers: Outbound::new(webhook_networks.without_loopback())?.trusting(&certificates)?,
            vault,
            admin_token: config.admin_token.clone(),
            settings: config.settings,
            oidc: config.oidc.clone().map(|provider| Oidc::new(provider, &certificates)).transpose()?,
            data_dir: config.data_dir.clone(),
        };
        let services = Services::start(parts, &lifecycle.tasks, &lifecycle.stop, &lifecycle.failed).await?;
        let (end, overtaken) = (CancellationToken::new(), CancellationToken::new());
        let keeper = tokio::spawn(keeper.run(end.clone(), overtaken.clone()));
        let (limits, bounds) = (Limits::default(), Bounds::default());
        let end_keeper = end.drop_guard();
        Ok(Self { services, limits, bounds, proxies, tls, lifecycle, overtaken, keeper, end_keeper })
    }

    /// Serves until `shutdown` is ready, then ends every task and gives the farm up. Fails when an essential task ended by
    /// itself, and with [`NotSending::Overtaken`].
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let stop = self.lifecycle.stop.clone();
        let router = http::router(self.services.clone(), self.limits, self.bounds, self.proxies.clone(), stop.clone());
        let server = tokio::spawn(http::serve(listener, router, self.bounds, self.proxies, self.tls, stop.clone()));
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            () = self.overtaken.cancelled() => Err(anyhow::Error::from(NotSending::Overtaken(None))),
            () = self.lifecycle.failed.cancelled() => {
                Err(anyhow::anyhow!("an essential task ended by itself; see the log above"))
            }
        };
        stop.cancel();
        server.await.context("the HTTP server panicked")?;
        if !self.lifecycle.drain().await {
            tracing::warn!("some tasks did not end in time");
        }
        // Last: until here this process may write and send.
        drop(self.end_keeper);
        self.keeper.await.context("the keeper of the farm's lock panicked")?;
        self.services.close().await;
        ended
    }
}

/// The keys of a farm. A key is made only for a database that needs none yet. Fails with a sentence for the operator.
pub async fn open_vault(config: &Config, db: &Db) -> anyhow::Result<Vault> {
    Ok(match &config.secret_key {
        Some(keys) => Vault::from_keys(keys)?,
        None => Vault::from_data_dir(&config.data_dir, storage::sealed::count(db).await?)?,
    })
}
