//! A standby: it waits for the end of the server that runs the farm, and claims the farm then. It starts no actor and
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

/// Between two attempts to claim the farm.
const EVERY: Duration = Duration::from_secs(1);

/// Waits until the farm can be claimed; meanwhile the port answers that this is a standby. None: `stop` was cancelled.
/// Fails where the secret keys are not those of the farm: such a standby could not take over.
pub async fn wait(
    config: &Config,
    listener: TcpListener,
    holder: Option<Holder>,
    stop: CancellationToken,
) -> anyhow::Result<Option<Box<sending::Claimed>>> {
    check(config).await?;
    tracing::info!(holder = ?holder, "another server runs the farm: waiting as its standby");
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
                // The database may be away for a moment: its servers come back together.
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the farm cannot be claimed at the moment"),
            }
        }
    });
    let claimed = claimed.await;
    over.cancel();
    server.await.context("the HTTP server of the standby panicked")?;
    Ok(claimed)
}

/// Checks that this process holds the keys of what is stored, where it can be read.
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
