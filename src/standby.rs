//! Standby: waits until the server that runs the farm ends, then claims the farm. Until then it starts no actor and
//! writes nothing.

use std::time::Duration;

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    claim_farm,
    config::Config,
    domain::epoch::EpochHolder,
    http::{self, client_address::TrustedProxies, limits::ServerLimits},
    open_vault,
    service::{resealing::check_keys, sending},
    storage::{Db, SchemaState},
};

/// Pause between two attempts to claim the farm.
const CLAIM_INTERVAL: Duration = Duration::from_secs(1);

/// Waits until the farm can be claimed. Until then, requests get the reply that this server is a standby. `None`:
/// `stop` was cancelled. Fails if the secret keys do not belong to the farm, because such a standby could not take
/// over.
pub async fn wait_for_claim(
    config: &Config,
    listener: TcpListener,
    holder: Option<EpochHolder>,
    stop: CancellationToken,
) -> anyhow::Result<Option<Box<sending::ClaimedFarm>>> {
    check_stored_keys(config).await?;
    tracing::info!(holder = ?holder, "another server runs the farm; this server waits as its standby");
    let (holder_sender, holder) = watch::channel(holder);
    let standby_end = stop.child_token();
    let tls = config.tls.as_ref().map(http::tls::load_acceptor).transpose()?;
    let proxies = TrustedProxies::new(config.trusted_proxies.clone());
    let router = http::standby::router(holder);
    let server =
        tokio::spawn(http::serve(listener, router, ServerLimits::default(), proxies, tls, standby_end.clone()));
    let claimed = stop.run_until_cancelled(async {
        loop {
            tokio::time::sleep(CLAIM_INTERVAL).await;
            match claim_farm(config, false).await {
                Ok(Ok(claimed)) => return claimed,
                Ok(Err(holder)) => drop(holder_sender.send_replace(holder)),
                // The database may be unavailable for a moment. All servers that use it recover at the same time, so
                // the standby continues.
                Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot claim the farm; trying again"),
            }
        }
    });
    let claimed = claimed.await;
    standby_end.cancel();
    server.await.context("the HTTP server of the standby panicked")?;
    Ok(claimed)
}

/// Checks that this process has the keys of the stored secrets, if the database can be read.
async fn check_stored_keys(config: &Config) -> anyhow::Result<()> {
    let Ok(db) = Db::open(&config.database_url).await else { return Ok(()) };
    let checked = async {
        match db.schema_state().await? {
            SchemaState::Newer => return Err(sending::newer_schema_error().into()),
            SchemaState::Empty | SchemaState::Older => return Ok(()),
            SchemaState::Current => {}
        }
        if crate::storage::sealed::count_values(&db).await? > 0 {
            check_keys(&db, &open_vault(config, &db).await?).await?;
        }
        Ok(())
    };
    let checked = checked.await;
    db.close().await;
    checked
}
