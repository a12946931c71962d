//! `printyard serve`: runs the server, or a standby that takes over when the server ends.

use anyhow::Context;
use printyard::{
    FarmClaimError, Server, claim_farm,
    config::{Config, RawConfig},
    lifecycle, standby, telemetry,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Arguments of `serve`.
#[derive(clap::Args)]
pub struct ServeArgs {
    /// Wait while another server runs this farm, and take over when it ends
    #[arg(long)]
    standby: bool,
    /// Start with an empty database, even if the data folder contains the secret key of another one
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    raw: RawConfig,
}

impl ServeArgs {
    /// Serves until a signal arrives. Fails with [`FarmClaimError`] if another server runs the farm.
    pub async fn run(self) -> anyhow::Result<()> {
        telemetry::init("printyard=info,warn");
        let config = self.raw.clone().with_file()?.validate()?;
        super::raise_file_limit();
        lifecycle::survive_file_size_limit();
        let stop = CancellationToken::new();
        let signal = stop.clone();
        tokio::spawn(async move {
            lifecycle::shutdown_signal().await;
            signal.cancel();
        });
        let (mut listener, mut has_served) = (None, false);
        loop {
            let claimed = match claim_farm(&config, self.create).await {
                // This process served before, so its settings are right. The database is unavailable for a moment.
                Err(error) if self.standby && has_served => {
                    tracing::warn!(error = format!("{error:#}"), "cannot claim the farm; trying again");
                    Err(None)
                }
                claimed => claimed?,
            };
            let claimed = match claimed {
                Ok(claimed) => claimed,
                Err(holder) if self.standby => {
                    let listener = bind_once(&mut listener, &config)?;
                    match standby::wait_for_claim(&config, listener, holder, stop.clone()).await? {
                        Some(claimed) => claimed,
                        None => return Ok(()),
                    }
                }
                Err(holder) => return Err(FarmClaimError::Held(holder).into()),
            };
            let listener = bind_once(&mut listener, &config)?;
            let server = Server::start_claimed(&config, *claimed).await?;
            has_served = true;
            super::warn_about_file_limit(server.services.fleet().view().printers().len());
            show_setup_link(&server, &config, &listener).await?;
            match server.serve(listener, stop.clone().cancelled_owned()).await {
                Err(error) if self.standby && error.is::<FarmClaimError>() => {
                    tracing::warn!(%error, "waiting as a standby")
                }
                ended => return ended,
            }
        }
    }
}

/// Returns the listener on the server's port. It is bound once, so that connections are accepted during a take-over,
/// too.
fn bind_once(bound: &mut Option<std::net::TcpListener>, config: &Config) -> anyhow::Result<TcpListener> {
    let message = || format!("{} cannot be listened on", config.listen);
    if bound.is_none() {
        let listener = super::bind_listener(config.listen).with_context(message)?;
        tracing::info!(address = %listener.local_addr()?, tls = config.tls.is_some(), "listening");
        *bound = Some(listener);
    }
    let listener = bound.as_ref().map(std::net::TcpListener::try_clone).transpose()?;
    let listener = listener.with_context(message)?;
    Ok(TcpListener::from_std(listener)?)
}

async fn show_setup_link(server: &Server, config: &Config, listener: &TcpListener) -> anyhow::Result<()> {
    if let Some(key) = server.services.create_setup_link().await? {
        // Printed to standard output and not to the log, because a reader of logs must not become an admin.
        println!("No users yet. Open this link within one hour to create the first admin (it works once):");
        println!();
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        println!("  {scheme}://{}/setup?key={key}", listener.local_addr()?);
        println!();
    }
    Ok(())
}
