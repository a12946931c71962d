//! Standby: waits until the server that runs the farm ends, then claims the farm. Until then it starts no actor and
//! writes nothing.

use std::time::Duration;

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    claim,
    config::Config,
    domain::sending::Holder,
    http::{self, bounds::Bounds, peer::Proxies},
    open_vault,
    service::{secrets::check_keys, sending},
    storage::{Db, Schema},
};

/// Pause between two attempts to claim the farm.
const EVERY: Duration = Duration::from_secs(1);

/// Waits until the farm can be claimed. Until then, requests get the reply that this server is a standby. `None`:
/// `stop` was cancelled. Fails if the secret keys do not belong to the farm, because such a standby could not take
/// over.
pub async fn wait(
    config: &Config,
    listener: TcpListener,
    holder: Option<Holder>,
    stop: CancellationToken,
) -> anyhow::Result<Option<Box<sending::Claimed>>> {
    check(config).await?;
    tracing::info!(holder = ?holder, "another server runs the farm; this server waits as its standby");
    let (shown, holder) = watch::channel(holder);
    let over = stop.child_token();
    let tls = config.tls.as_ref().map(http::tls::acceptor).transpose()?;
    let proxies = Proxies::new(config.trusted_proxies.clone());
    let router = http::standby::router(holder);
    let server = tokio::spawn(http::serve(listener, router, Bounds::default(), proxies, tls, over.clone()));
    let claimed = stop.run_until_cancelled(async {
        loop {
            tokio::time::sleep(EVERY).await;
            match claim(config, false).await {
                Ok(Ok(claimed)) => return claimed,
                Ok(Err(holder)) => drop(shown.send_replace(holder)),
                // The database may be unavailable for a moment. All servers that use it recover at the same time, so
                // the standby continues.
                Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot claim the farm; trying again"),
            }
        }
    });
    let claimed = claimed.await;
    over.cancel();
    server.await.context("the HTTP server of the standby panicked")?;
    Ok(claimed)
}

/// Checks that this process has the keys of the stored secrets, if the database can be read.
async fn check(config: &Config) -> anyhow::Result<()> {
    let Ok(db) = Db::open(&config.database_url).await else { return Ok(()) };
    let checked = async {
        match db.schema().await? {
            Schema::Newer => return Err(sending::newer().into()),
            Schema::Empty | Schema::Older => return Ok(()),
            Schema::Current => {}
        }
        if crate::storage::sealed::count(&db).await? > 0 {
            check_keys(&db, &open_vault(config, &db).await?).await?;
        }
        Ok(())
    };
    let checked = checked.await;
    db.close().await;
    checked
}
