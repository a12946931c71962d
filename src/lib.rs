//! Printyard is a server for 3D-print farms.
//!
//! Every command is stored before it is sent. It is sent at most once if a second send could do harm. For every printer
//! it ends in one verified outcome, whatever happens.
//!
//! The layers, from the top: [`http`] serves programs and people, and [`service`] contains the use cases. [`storage`]
//! contains the command log and all other data. [`fleet`] runs one actor per printer. [`octoprint`] is the client of
//! printers, and [`oidc`] the client of an identity provider. Both connect through [`outbound`]. [`domain`] contains
//! the rules. `ARCHITECTURE.md` describes the rest.

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
#[cfg(feature = "demo")]
pub mod simulator;
pub mod standby;
pub mod storage;
pub mod telemetry;

use std::{future::Future, sync::Arc};

use anyhow::Context;
use chrono::SecondsFormat;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    config::Config,
    lifecycle::Lifecycle,
    oidc::Oidc,
    outbound::{Certificates, Networks, Outbound},
    secrets::Vault,
    service::{
        ServiceParts, Services,
        demo::DemoFarm,
        sending::{self, ClaimResult, ClaimedFarm},
    },
    storage::Db,
};
use crate::{
    domain::epoch::EpochHolder,
    http::{api::middleware::rate_limit::RateLimit, client_address::TrustedProxies, limits::ServerLimits},
};

/// A server that is ready to serve.
pub struct Server {
    pub services: Services,
    /// The request rate of one token. Benchmarks and tests raise it.
    pub rate_limits: RateLimit,
    /// Limits for clients: connections, bytes and time. Tests shorten the times.
    pub client_limits: ServerLimits,
    proxies: TrustedProxies,
    tls: Option<TlsAcceptor>,
    lifecycle: Lifecycle,
    /// Cancelled when another server has taken over.
    overtaken: CancellationToken,
    keeper: JoinHandle<()>,
    /// When this is dropped, the keeper gives up the farm's lock.
    end_keeper: DropGuard,
}

/// Another server runs the farm, so this one does not. The process ends with exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum FarmClaimError {
    #[error("another server runs this farm{}. Stop it first, or wait for its end with --standby", describe_holder(.0.as_ref()))]
    Held(Option<EpochHolder>),
    #[error("another server has taken over this farm{}", describe_holder(.0.as_ref()))]
    Overtaken(Option<EpochHolder>),
}

fn describe_holder(holder: Option<&EpochHolder>) -> String {
    holder.map_or_else(String::new, |EpochHolder { host, pid, since, .. }| match since {
        Some(since) => format!(": {host}, process {pid}, since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true)),
        None => format!(": {host}, process {pid}"),
    })
}

/// Claims the farm for this process: lock, database, epoch. `create` allows an empty database even if the data folder
/// contains the secret key of another one. The error is a sentence for the operator.
pub async fn claim_farm(
    config: &Config,
    create: bool,
) -> anyhow::Result<Result<Box<ClaimedFarm>, Option<EpochHolder>>> {
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("the data folder {} cannot be made", config.data_dir.display()))?;
    let key = config.data_dir.join(secrets::KEY_FILE);
    let may_create = create || config.secret_key.is_some() || !key.exists();
    match sending::claim_farm(&config.database_url, may_create).await.context("the database cannot be used")? {
        ClaimResult::Won(claimed) => Ok(Ok(claimed)),
        ClaimResult::Held(holder) => Ok(Err(holder)),
        ClaimResult::Missing => anyhow::bail!(
            "there is no database, although {} is there: the database was moved or deleted, or its volume is not \
             mounted. Put it back; or start with --create, which begins with an empty one",
            key.display()
        ),
    }
}

impl Server {
    /// Claims the farm and starts the fleet. The error is a sentence for the operator, or [`FarmClaimError`].
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        match claim_farm(config, false).await? {
            Ok(claimed) => Self::start_claimed(config, *claimed).await,
            Err(holder) => Err(FarmClaimError::Held(holder).into()),
        }
    }

    /// Starts the fleet of a farm that this process has claimed. The error is a sentence for the operator.
    pub async fn start_claimed(config: &Config, claimed: ClaimedFarm) -> anyhow::Result<Self> {
        Self::start_with(config, claimed, None).await
    }

    /// Like [`Self::start_claimed`], for a demo with simulated printers.
    #[cfg(feature = "demo")]
    pub async fn start_demo(config: &Config, claimed: ClaimedFarm, farm: Arc<dyn DemoFarm>) -> anyhow::Result<Self> {
        Self::start_with(config, claimed, Some(farm)).await
    }

    async fn start_with(
        config: &Config,
        claimed: ClaimedFarm,
        demo_farm: Option<Arc<dyn DemoFarm>>,
    ) -> anyhow::Result<Self> {
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
        let tls = config.tls.as_ref().map(http::tls::load_acceptor).transpose()?;
        let proxies = TrustedProxies::new(config.trusted_proxies.clone());
        let ClaimedFarm { db, keeper, others_send_until } = claimed;
        let vault = open_vault(config, &db).await?;
        let lifecycle = Lifecycle::default();
        let parts = ServiceParts {
            db,
            sending: keeper.subscribe(),
            others_send_until,
            outbound: Outbound::new(networks)?.with_certificates(&certificates)?,
            webhook_outbound: Outbound::new(webhook_networks.without_loopback())?.with_certificates(&certificates)?,
            vault,
            admin_token: config.admin_token.clone(),
            settings: config.settings,
            staff: config.staff.clone(),
            text_of: http::messages::english,
            oidc: config.oidc.clone().map(|provider| Oidc::new(provider, &certificates)).transpose()?,
            data_dir: config.data_dir.clone(),
            demo_farm,
        };
        let services = Services::start(parts, &lifecycle.tasks, &lifecycle.stop, &lifecycle.failed).await?;
        let (end, overtaken) = (CancellationToken::new(), CancellationToken::new());
        let keeper = tokio::spawn(keeper.run(end.clone(), overtaken.clone()));
        let (rate_limits, client_limits) = (RateLimit::default(), ServerLimits::default());
        let end_keeper = end.drop_guard();
        Ok(Self { services, rate_limits, client_limits, proxies, tls, lifecycle, overtaken, keeper, end_keeper })
    }

    /// Serves until `shutdown` is ready. Then it ends every task and gives up the farm. Fails if an essential task
    /// ended by itself, and with [`FarmClaimError::Overtaken`].
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let stop = self.lifecycle.stop.clone();
        let router = http::router(
            self.services.clone(),
            self.rate_limits,
            self.client_limits,
            self.proxies.clone(),
            stop.clone(),
        );
        let server =
            tokio::spawn(http::serve(listener, router, self.client_limits, self.proxies, self.tls, stop.clone()));
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            () = self.overtaken.cancelled() => Err(anyhow::Error::from(FarmClaimError::Overtaken(None))),
            () = self.lifecycle.failed.cancelled() => {
                Err(anyhow::anyhow!("an essential task ended by itself; see the log above"))
            }
        };
        stop.cancel();
        if ended.is_err() {
            self.services.fleet().abort_actors();
        }
        server.await.context("the HTTP server panicked")?;
        if !self.lifecycle.drain().await {
            tracing::warn!("some tasks did not end in time");
        }
        // This must be last: until here, this process may write and send.
        drop(self.end_keeper);
        self.keeper.await.context("the keeper of the farm's lock panicked")?;
        self.services.close().await;
        ended
    }
}

/// Opens the keys of a farm. A new key is created only if the database contains no sealed values. The error is a
/// sentence for the operator.
pub async fn open_vault(config: &Config, db: &Db) -> anyhow::Result<Vault> {
    Ok(match &config.secret_key {
        Some(keys) => Vault::from_keys(keys)?,
        None => Vault::from_data_dir(&config.data_dir, storage::sealed::count_values(db).await?)?,
    })
}
