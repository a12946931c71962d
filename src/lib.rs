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
pub mod storage;
pub mod telemetry;

use std::future::Future;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use self::{
    config::Config,
    http::{api::limits::Limits, bounds::Bounds, peer::Proxies},
    lifecycle::Lifecycle,
    oidc::Oidc,
    outbound::{Networks, Outbound},
    secrets::Vault,
    service::{Parts, Services},
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
}

impl Server {
    /// Opens the ledger and starts the live side. Fails with a sentence for the operator.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("the data folder {} cannot be made", config.data_dir.display()))?;
        let networks = match &config.printer_networks {
            Some(text) => text.parse::<Networks>().context("PRINTYARD_PRINTER_NETWORKS")?,
            None => Networks::default(),
        };
        let webhook_networks = match &config.webhook_networks {
            Some(text) => text.parse::<Networks>().context("PRINTYARD_WEBHOOK_NETWORKS")?,
            None => Networks::default(),
        };
        let tls = config.tls.as_ref().map(http::tls::acceptor).transpose()?;
        let proxies = Proxies::new(config.trusted_proxies.clone());
        let db = Db::connect(&config.database_url).await.context("the database cannot be used")?;
        let vault = open_vault(config, &db).await?;
        let lifecycle = Lifecycle::default();
        let parts = Parts {
            db,
            outbound: Outbound::new(networks)?,
            to_receivers: Outbound::new(webhook_networks)?,
            vault,
            admin_token: config.admin_token.clone(),
            settings: config.settings,
            oidc: config.oidc.clone().map(Oidc::new).transpose()?,
        };
        let services = Services::start(parts, &lifecycle.tasks, &lifecycle.stop, &lifecycle.failed).await?;
        Ok(Self { services, limits: Limits::default(), bounds: Bounds::default(), proxies, tls, lifecycle })
    }

    /// Serves until `shutdown` is ready, then ends every task. Fails when an essential task ended by itself.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let stop = self.lifecycle.stop.clone();
        let router = http::router(self.services.clone(), self.limits, self.bounds, self.proxies.clone(), stop.clone());
        let server = tokio::spawn(http::serve(listener, router, self.bounds, self.proxies, self.tls, stop.clone()));
        let failed = tokio::select! {
            () = shutdown => false,
            () = self.lifecycle.failed.cancelled() => true,
        };
        stop.cancel();
        server.await.context("the HTTP server panicked")?;
        if !self.lifecycle.drain().await {
            tracing::warn!("some tasks did not end in time");
        }
        self.services.close().await;
        if failed {
            anyhow::bail!("an essential task ended by itself; see the log above");
        }
        Ok(())
    }
}

/// The keys of a farm. A key is made only for a database that needs none yet. Fails with a sentence for the operator.
pub async fn open_vault(config: &Config, db: &Db) -> anyhow::Result<Vault> {
    Ok(match &config.secret_key {
        Some(keys) => Vault::from_keys(keys)?,
        None => Vault::from_data_dir(&config.data_dir, storage::sealed::count(db).await?)?,
    })
}
